/* Models that are saved and read again: the same to the last bit. For every fixture that loads, and
 * for models built by C calls. With a folder as argument it keeps the files there, for
 * tests/data/verify_saved.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"
#include "made.h"
#include "saved.h"

static weft_context *ctx;
static const char *kept; /* a folder of the user's */
static char temporary[] = "/tmp/weft_save_XXXXXX";
static char warnings[4096];

static const char *folder(void)
{
    return kept ? kept : temporary;
}

/* Two files of one model differ in their dates alone. */
static int same_files(const char *a, const char *b)
{
    static const char *const names[] = { "config.json", "model.weights.h5" };
    size_t n_a, n_b, m_a, m_b;
    char *x = saved_read(a, &n_a), *y = saved_read(b, &n_b);
    int same = 1;

    for (size_t i = 0; i < 2; i++) {
        const char *p = saved_member(x, n_a, names[i], &m_a),
                   *q = saved_member(y, n_b, names[i], &m_b);

        if (m_a == m_b && !memcmp(p, q, m_a)) continue;
        printf("%s of the second file differs: %zu and %zu bytes\n", names[i], m_a, m_b);
        same = 0;
    }
    free(x);
    free(y);
    return same;
}

static char *summary(const weft_model *model)
{
    char *text = NULL;
    size_t n = 0;
    FILE *stream = open_memstream(&text, &n);

    assert_non_null(stream);
    assert_int_equal(weft_model_summary(model, stream), WEFT_OK);
    fclose(stream);
    return text;
}

static int same_summary(const weft_model *a, const weft_model *b)
{
    char *x = summary(a), *y = summary(b);
    int same = !strcmp(x, y);

    if (!same) printf("%s\nbecame\n%s\n", x, y);
    free(x);
    free(y);
    return same;
}

static int same_spec(const weft_spec *a, const weft_spec *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
}

static int same_ports(const weft_model *a, const weft_model *b)
{
    weft_spec x, y;
    const char *p = "", *q = "";
    int same = weft_model_n_inputs(a) == weft_model_n_inputs(b) &&
               weft_model_n_outputs(a) == weft_model_n_outputs(b);

    for (uint32_t i = 0; same && i < weft_model_n_inputs(a); i++)
        same = !weft_model_input(a, i, &p, &x) && !weft_model_input(b, i, &q, &y) &&
               !strcmp(p, q) && same_spec(&x, &y);
    for (uint32_t i = 0; same && i < weft_model_n_outputs(a); i++)
        same = !weft_model_output(a, i, &p, &x) && !weft_model_output(b, i, &q, &y) &&
               !strcmp(p, q) && same_spec(&x, &y);
    if (!same) printf("inputs or outputs differ: \"%s\" became \"%s\"\n", p, q);
    return same;
}

static weft_array *value(const weft_model *model, uint32_t i, const weft_spec *spec)
{
    weft_array *array = NULL;

    assert_int_equal(weft_array_create(spec, &array), WEFT_OK);
    assert_int_equal(weft_model_get_variable(model, i, array), WEFT_OK);
    return array;
}

static int same_variables(const weft_model *a, const weft_model *b)
{
    uint32_t n = weft_model_n_variables(a);
    int same = n == weft_model_n_variables(b);

    for (uint32_t i = 0; same && i < n; i++) {
        const char *p = "", *q = "";
        uint32_t f = 0, g = 0;
        weft_spec x, y;

        assert_int_equal(weft_model_variable(a, i, &p, &x, &f), WEFT_OK);
        assert_int_equal(weft_model_variable(b, i, &q, &y, &g), WEFT_OK);
        same = !strcmp(p, q) && same_spec(&x, &y) && f == g;
        if (same) {
            weft_array *v = value(a, i, &x), *w = value(b, i, &y);

            same = !memcmp(v->data, w->data, (size_t)weft_array_bytes(v));
            weft_array_destroy(&v);
            weft_array_destroy(&w);
        }
        if (!same) printf("variable \"%s\" (flags %u) became \"%s\" (flags %u)\n", p, f, q, g);
    }
    return same;
}

/* Outputs on the cpu; 0 after an error, which is printed. */
static int run(weft_model *model, const weft_array *const *in, uint32_t n_in, weft_array **y)
{
    weft_session *s = NULL;
    int bad = weft_session_create(model, "cpu", NULL, &s) ||
              weft_session_run(s, in, n_in, y, weft_model_n_outputs(model));

    if (bad) printf("%s\n", weft_error());
    weft_session_destroy(&s);
    return !bad;
}

static int same_results(weft_model *a, weft_model *b, const weft_array *const *in, uint32_t n_in)
{
    weft_array *x[FIXTURE_MAX] = { NULL }, *y[FIXTURE_MAX] = { NULL };
    int same = run(a, in, n_in, x) && run(b, in, n_in, y);

    for (uint32_t k = 0; k < weft_model_n_outputs(a); k++) {
        same = same && same_spec(&x[k]->spec, &y[k]->spec) &&
               !memcmp(x[k]->data, y[k]->data, (size_t)weft_array_bytes(x[k]));
        weft_array_destroy(&x[k]);
        weft_array_destroy(&y[k]);
    }
    if (!same) printf("the predictions differ\n");
    return same;
}

/* Saves, reads, saves again; everything must be as it was. */
static int round_trip(weft_model *model, const weft_array *const *in, uint32_t n_in,
                      const char *name, int changes)
{
    char path[1024], again[1100];
    weft_model *read = NULL;
    int same = 0;

    snprintf(path, sizeof path, "%s/%s.keras", folder(), name);
    snprintf(again, sizeof again, "%s/again.keras", folder());
    if (weft_model_save(model, path) || weft_model_load(ctx, path, &read) ||
        weft_model_save(read, again))
        printf("%s\n", weft_error());
    else
        same = (changes || same_summary(model, read)) & same_ports(model, read) &
               same_variables(model, read) & same_results(model, read, in, n_in) &
               same_files(path, again);
    if (!same) printf("%s: not the same when read back\n", name);
    weft_model_destroy(&read);
    remove(again);
    if (!kept) remove(path);
    return same;
}

static void check_folder(const char *which)
{
    char **names = names_list(which), name[512];
    int n = 0, wrong = 0, skipped = 0;

    for (; names[n]; n++) {
        fixture f;

        if (fixture_load(ctx, which, names[n], &f)) {
            skipped++; /* test_fixtures.c tells which may */
            continue;
        }
        snprintf(name, sizeof name, "%s_%s", which, names[n]);
        wrong += !round_trip(f.model, f.in, f.n_in, name, 0);
        fixture_finish(&f);
    }
    printf("%s: %d files, %d wrong, %d that do not load\n", which, n, wrong, skipped);
    names_free(names);
    assert_true(skipped < n / 2);
    assert_int_equal(wrong, 0);
}

static void test_models(void **state)
{
    (void)state;
    check_folder("models");
}
static void test_layers(void **state)
{
    (void)state;
    check_folder("layers");
}

/* Weights that differ in every element, and inputs likewise. */
static void fill(weft_array *array, uint32_t *seed)
{
    float *data = array->data;

    assert_int_equal(array->spec.dtype, WEFT_F32);
    for (uint64_t i = 0; i < weft_array_count(array); i++) {
        *seed = *seed * 1664525u + 1013904223u;
        data[i] = (float)(*seed >> 8) / (1 << 24) + 0.01f;
    }
}

static void fill_variables(weft_model *model, uint32_t *seed)
{
    for (uint32_t i = 0; i < weft_model_n_variables(model); i++) {
        weft_array *array = NULL;
        weft_spec spec;
        uint32_t flags;

        assert_int_equal(weft_model_variable(model, i, NULL, &spec, &flags), WEFT_OK);
        if (flags & WEFT_TRANSIENT) continue;
        assert_int_equal(weft_array_create(&spec, &array), WEFT_OK);
        fill(array, seed);
        assert_int_equal(weft_model_set_variable(model, i, array), WEFT_OK);
        weft_array_destroy(&array);
    }
}

/* Inputs and what Weft makes of them beside a file that is kept: of the model in the file, for a
 * model that has run may have a state. */
static void keep_arrays(weft_array **in, uint32_t n_in, const char *name)
{
    char path[1024], *names[2 * FIXTURE_MAX];
    weft_array *arrays[2 * FIXTURE_MAX] = { NULL };
    weft_npz npz = { .name = names, .array = arrays };
    weft_model *model = NULL;
    uint32_t n;

    snprintf(path, sizeof path, "%s/%s.keras", folder(), name);
    if (weft_model_load(ctx, path, &model)) fail_msg("%s", weft_error());
    n = npz.n = n_in + weft_model_n_outputs(model);
    memcpy(arrays, in, n_in * sizeof *in);
    assert_true(run(model, (const weft_array *const *)in, n_in, arrays + n_in));
    for (uint32_t i = 0; i < n; i++) {
        const char *port = "";

        assert_non_null(names[i] = malloc(600));
        if (i < n_in) {
            assert_int_equal(weft_model_input(model, i, &port, NULL), WEFT_OK);
            snprintf(names[i], 600, "in.%s", port);
        } else {
            assert_int_equal(weft_model_output(model, i - n_in, &port, NULL), WEFT_OK);
            snprintf(names[i], 600, "out.%u.%s", (unsigned)(i - n_in), port);
        }
    }
    snprintf(path, sizeof path, "%s/%s.npz", folder(), name);
    assert_int_equal(weft_npz_write(path, &npz), WEFT_OK);
    for (uint32_t i = 0; i < n; i++) {
        free(names[i]);
        if (i >= n_in) weft_array_destroy(&arrays[i]);
    }
    weft_model_destroy(&model);
}

static int check_made(const made_model *made, uint32_t *seed)
{
    weft_model *model = NULL;
    weft_array *in[FIXTURE_MAX] = { NULL };
    uint32_t n = 0;
    char name[128];
    int same = 0;

    snprintf(name, sizeof name, "made_%s", made->name);
    if (made->build(ctx, &model)) {
        printf("%s: %s\n", name, weft_error());
        goto out;
    }
    fill_variables(model, seed);
    for (; n < weft_model_n_inputs(model); n++) {
        weft_spec spec;

        assert_int_equal(weft_model_input(model, n, NULL, &spec), WEFT_OK);
        if (spec.dim[0] == WEFT_BATCH) spec.dim[0] = 3;
        assert_int_equal(weft_array_create(&spec, &in[n]), WEFT_OK);
        fill(in[n], seed);
    }
    same = round_trip(model, (const weft_array *const *)in, n, name, made->changes);
    if (kept) keep_arrays(in, n, name);
out:
    while (n)
        weft_array_destroy(&in[--n]);
    weft_model_destroy(&model);
    return same;
}

static void test_made(void **state)
{
    uint32_t seed = 1;
    int wrong = 0;

    (void)state;
    for (const made_model *made = made_models; made->name; made++)
        wrong += !check_made(made, &seed);
    assert_int_equal(wrong, 0);
    /* what Keras cannot know by itself is said once a file */
    assert_true(holds_words(warnings, "org.example>Swish|custom_objects"));
    assert_true(holds_words(warnings, "score|list in their order"));
}

static void keep_warning(void *user, weft_log_level level, const char *message)
{
    (void)user;
    if (level >= WEFT_LOG_WARN && strlen(warnings) + strlen(message) + 2 < sizeof warnings)
        strcat(strcat(warnings, message), "\n");
}

static int setup(void **state)
{
    weft_status st = weft_context_create(NULL, &ctx);

    (void)state;
    if (!st) weft_context_log(ctx, WEFT_LOG_WARN, keep_warning, NULL);
    return st || !mkdtemp(temporary);
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return rmdir(temporary);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_models),
                                        cmocka_unit_test(test_layers),
                                        cmocka_unit_test(test_made) };

    kept = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, setup, teardown);
}
