/* Fixtures written by real Keras: a model file and an .npz with its inputs ("in.<name>") and
 * outputs ("out.<number>.<name>"); and what the tests do with them. */
#ifndef WEFT_TESTS_FIXTURE_H
#define WEFT_TESTS_FIXTURE_H
#include <weft/weft.h>

#define FIXTURE_MAX 64
typedef struct fixture {
    weft_model *model;
    weft_npz *npz;
    const weft_array *in[FIXTURE_MAX],
        *out[FIXTURE_MAX]; /* borrowed from npz, in the model's order */
    uint32_t n_in, n_out;
} fixture;

/* Loads <folder>/<name>.keras and .npz below the test data. Status with weft_error() set, or a text
 * printed. */
weft_status fixture_load(weft_context *ctx, const char *folder, const char *name, fixture *f);
void fixture_finish(fixture *f);

/* Layer classes of Keras that Weft has not yet, though files with them are here; NULL-terminated. A
 * class that comes must be taken out: test_fixtures.c insists. */
extern const char *const awaited_classes[];
/* Does this error name a class that no plugin has, and are all that it names awaited? */
int is_awaited(const char *error);

/* Runs it on a device and returns the largest |got - want| / max(largest |want|, 1e-30) over all
 * outputs; -1 after an error, which is printed. */
double fixture_run(const fixture *f, const char *device, const char *options);

/* The names (without .keras) of a folder of the test data, sorted; NULL-terminated; free with
 * names_free. */
char **names_list(const char *folder);
void names_free(char **names);

/* The largest |a - b|; NaN on both sides is equal. */
double array_difference(const weft_array *a, const weft_array *b);
double array_largest(const weft_array *a);

/* Ids of usable devices, ended by "". */
typedef struct devices {
    char id[16][64];
} devices;
void devices_list(weft_context *ctx, devices *d);

/* Lines of "<name>\t<words>|<words>" of a file of the test data: the words that an error text must
 * hold. */
typedef struct expectation {
    char name[256], words[512];
} expectation;
size_t expectations_read(const char *file, expectation *list, size_t cap);
/* Does text hold every one of the words that | separates? Capitals do not matter. */
int holds_words(const char *text, const char *words);
#endif
