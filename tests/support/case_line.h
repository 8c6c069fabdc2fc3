/* Case lines, "attributes : dtype dims, dtype dims" (weft/plugin.h, weft_op_class.cases), and
 * running them through weft_check_op on a device. Shared by the programs of this folder. */
#ifndef WEFT_TESTS_CASE_LINE_H
#define WEFT_TESTS_CASE_LINE_H
#include <weft/weft.h>

enum { CASE_INPUTS = 32 };
typedef struct case_line {
    char attrs[2048];
    uint32_t n;
    weft_spec spec[CASE_INPUTS]; /* dtype 0: an absent input */
    int64_t below[CASE_INPUTS];  /* whole numbers 0 .. below - 1; 0 = any */
    int limited;                 /* is there any such limit? */
} case_line;

/* 0, or -1 after printing what is wrong with it. */
int case_parse(const char *text, case_line *line);
/* The elements of a spec where B is batch. */
int64_t case_count(const weft_spec *spec, int64_t batch);
/* An array of that spec: floats between -2 and 2, integers between -9 and 9 or below the limit. */
weft_array *case_array(const weft_spec *spec, int64_t batch, int64_t below, uint64_t *seed);

typedef struct case_tally {
    unsigned passed, failed, unverified, lines;
    const char *device, *op, *text; /* of the line that runs now */
    int64_t batch;
} case_tally;
/* Runs one line; a failure is printed as what makes it happen again. values: NULL = random ones,
 * else one an input. */
typedef struct case_run {
    weft_context *ctx;
    const char *device, *op, *text;
    int64_t batch;
    weft_array **values;
} case_run;
void case_check(const case_run *run, case_tally *tally);
#endif
