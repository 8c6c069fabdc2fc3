/* Sessions from outside, but for details that only one process alone shows: plans for unknown
 * dimensions, the prologue, predict in batches, conversions, and what mistakes are told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <weft/weft.h>

static weft_context *ctx;

static int setup(void **state)
{
    (void)state;
    if (!weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx)) return 0;
    fprintf(stderr, "%s\n", weft_error());
    return -1;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

/* y = Dense(x), by time step: x is (batch, steps, 3). */
static weft_model *make(int64_t steps)
{
    weft_model *m = NULL;
    weft_tensor x, y;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(steps, 3));
    y = weft_input(m, "y", WEFT_F32, WEFT_SHAPE(steps, 2));
    weft_output_named(m, "dense",
                      weft_apply(m, "Dense", "units=2 name=d bias_initializer=ones", x));
    weft_output_named(m, "y", y);
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

static weft_session *open(weft_model *m, const char *options)
{
    weft_session *s = NULL;
    if (weft_session_create(m, "cpu", options, &s)) fail_msg("%s", weft_error());
    return s;
}

static weft_array *filled(weft_dtype dtype, int64_t batch, int64_t steps, int64_t width)
{
    weft_array *f = NULL, *a = NULL;
    assert_int_equal(weft_array_create(&(weft_spec){ WEFT_F32, 3, { batch, steps, width } }, &f),
                     WEFT_OK);
    for (uint64_t i = 0; i < weft_array_count(f); i++)
        ((float *)f->data)[i] = (float)(i % 13) / 4;
    assert_int_equal(weft_array_convert(f, dtype, &a), WEFT_OK);
    weft_array_destroy(&f);
    return a;
}

typedef struct feed {
    weft_array *in[2], *out[2];
} feed;

static feed feed_make(weft_dtype dtype, int64_t batch, int64_t steps)
{
    return (feed){ { filled(dtype, batch, steps, 3), filled(dtype, batch, steps, 2) },
                   { NULL, NULL } };
}

static weft_status feed_run(weft_session *s, feed *f)
{
    return weft_session_run(s, (const weft_array *const *)f->in, 2, f->out, 2);
}

static void feed_finish(feed *f)
{
    for (int i = 0; i < 2; i++) {
        weft_array_destroy(&f->in[i]);
        weft_array_destroy(&f->out[i]);
    }
}

static weft_session_stats stats_of(const weft_session *s)
{
    weft_session_stats stats = { .struct_size = sizeof stats };
    assert_int_equal(weft_session_get_stats(s, &stats), WEFT_OK);
    return stats;
}

static void test_a_plan_for_each_unknown_size(void **state)
{
    weft_model *m = make(WEFT_ANY);
    weft_session *s = open(m, NULL);
    (void)state;
    assert_int_equal(stats_of(s).n_plans, 0);
    assert_int_equal(weft_session_plan(s, 1, WEFT_PLAN_STEPS, stdout), WEFT_E_SHAPE);
    for (int64_t i = 0; i < 6; i++) {
        feed f = feed_make(WEFT_F32, 1 + i, 4 + i % 3);
        if (feed_run(s, &f)) fail_msg("%s", weft_error());
        assert_int_equal(f.out[0]->spec.dim[1], 4 + i % 3);
        feed_finish(&f);
    }
    assert_int_equal(stats_of(s).n_plans, 3);
    assert_int_equal(stats_of(s).runs, 6);
    for (int64_t i = 1; i < 200; i++) { /* old plans make room */
        feed f = feed_make(WEFT_F32, 1, i);
        if (feed_run(s, &f)) fail_msg("%s", weft_error());
        feed_finish(&f);
    }
    assert_true(stats_of(s).n_plans <= 64);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_changed_variables_are_seen(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    weft_array bias = { { WEFT_F32, 1, { 2 } }, (float[2]){ 100, 200 } };
    const char *name;
    (void)state;
    feed f = feed_make(WEFT_F32, 2, 4), g = feed_make(WEFT_F32, 2, 4);
    assert_int_equal(feed_run(s, &f), WEFT_OK);
    for (uint32_t i = 0; i < weft_model_n_variables(m); i++) {
        assert_int_equal(weft_model_variable(m, i, &name, NULL, NULL), WEFT_OK);
        if (strstr(name, "bias")) assert_int_equal(weft_model_set_variable(m, i, &bias), WEFT_OK);
    }
    assert_int_equal(feed_run(s, &g), WEFT_OK);
    for (int i = 0; i < 16; i++) {
        float before = ((float *)f.out[0]->data)[i], after = ((float *)g.out[0]->data)[i];
        assert_true(fabsf(after - before - (i % 2 ? 199.f : 99.f)) < 1e-3f);
    }
    feed_finish(&f);
    feed_finish(&g);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_f64_and_conversions(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL), *d = open(m, "dtype=float64");
    feed f = feed_make(WEFT_F32, 3, 4), g = feed_make(WEFT_F64, 3, 4),
         h = feed_make(WEFT_F32, 3, 4);
    feed i = feed_make(WEFT_I64, 3, 4);
    (void)state;
    assert_int_equal(feed_run(s, &f), WEFT_OK);
    assert_int_equal(feed_run(s, &g), WEFT_OK); /* f64 arrays are converted */
    assert_int_equal(feed_run(s, &i), WEFT_OK); /* and integers */
    assert_memory_equal(f.out[0]->data, g.out[0]->data, weft_array_bytes(f.out[0]));
    assert_int_equal(feed_run(d, &h), WEFT_OK);
    assert_int_equal(h.out[0]->spec.dtype, WEFT_F64);
    for (int k = 0; k < 24; k++)
        assert_true(fabs(((double *)h.out[0]->data)[k] - (double)((float *)f.out[0]->data)[k]) <
                    1e-5);
    feed_finish(&f);
    feed_finish(&g);
    feed_finish(&h);
    feed_finish(&i);
    weft_session_destroy(&s);
    weft_session_destroy(&d);
    assert_int_equal(weft_session_create(m, "opencl:0", "dtype=float64", &s), WEFT_E_ARG);
    assert_int_equal(weft_session_create(m, "cpu", "dtyp=float64", &s), WEFT_E_ATTR);
    weft_model_destroy(&m);
}

static void progress(void *user, uint64_t done, uint64_t total)
{
    uint64_t *calls = user;
    calls[0]++;
    assert_true(done > calls[1]);
    calls[1] = done;
    assert_int_equal(total, 23);
}

static void test_predict_in_batches(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    feed whole = feed_make(WEFT_F32, 23, 4), parts = feed_make(WEFT_F32, 23, 4),
         own = feed_make(WEFT_F64, 23, 4);
    uint64_t calls[2] = { 0 };
    (void)state;
    assert_int_equal(feed_run(s, &whole), WEFT_OK);
    assert_int_equal(weft_session_predict(s, (const weft_array *const *)parts.in, 2, parts.out, 2,
                                          5, progress, calls),
                     WEFT_OK);
    assert_int_equal(calls[0], 5);
    assert_int_equal(calls[1], 23);
    assert_int_equal(parts.out[0]->spec.dim[0], 23);
    assert_memory_equal(whole.out[0]->data, parts.out[0]->data, weft_array_bytes(whole.out[0]));
    assert_memory_equal(whole.out[1]->data, whole.in[1]->data, weft_array_bytes(whole.in[1]));
    assert_int_equal(weft_array_create(&whole.out[0]->spec, &own.out[0]),
                     WEFT_OK); /* the caller's, converted input */
    assert_int_equal(
        weft_session_predict(s, (const weft_array *const *)own.in, 2, own.out, 2, 7, NULL, NULL),
        WEFT_OK);
    assert_memory_equal(whole.out[0]->data, own.out[0]->data, weft_array_bytes(whole.out[0]));
    assert_int_equal(
        weft_session_predict(s, (const weft_array *const *)own.in, 2, own.out, 2, 0, NULL, NULL),
        WEFT_E_ARG);
    feed_finish(&whole);
    feed_finish(&parts);
    feed_finish(&own);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_batch_of_nothing(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    feed f = feed_make(WEFT_F32, 0, 4);
    (void)state;
    assert_int_equal(feed_run(s, &f), WEFT_OK);
    assert_int_equal(f.out[0]->spec.dim[0], 0);
    assert_int_equal(f.out[0]->spec.dim[2], 2);
    feed_finish(&f);
    f = feed_make(WEFT_F32, 0, 4);
    assert_int_equal(
        weft_session_predict(s, (const weft_array *const *)f.in, 2, f.out, 2, 8, NULL, NULL),
        WEFT_OK);
    feed_finish(&f);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void expect(weft_status got, weft_status want, const char *const *words)
{
    assert_int_equal(got, want);
    for (; *words; words++)
        if (!strstr(weft_error(), *words)) fail_msg("\"%s\" is not in: %s", *words, weft_error());
}
#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void test_mistakes_are_told(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    feed f = feed_make(WEFT_F32, 2, 4), odd = feed_make(WEFT_F32, 3, 5);
    weft_session *none = s;
    weft_array *kept;
    (void)state;
    expect(weft_session_run(s, (const weft_array *const *)f.in, 1, f.out, 2), WEFT_E_ARG,
           WORDS("takes 2 inputs", "\"x\", \"y\"", "1 is given"));
    expect(weft_session_run(s, (const weft_array *const *)odd.in, 2, f.out, 2), WEFT_E_SHAPE,
           WORDS("\"x\"", "(None, 4, 3)", "(3, 5, 3)"));
    kept = f.in[1];
    f.in[1] = filled(WEFT_F32, 5, 4, 2);
    expect(feed_run(s, &f), WEFT_E_SHAPE,
           WORDS("cardinality is ambiguous", "\"x\": 2", "\"y\": 5"));
    weft_array_destroy(&f.in[1]);
    f.in[1] = kept;
    expect(weft_session_run(s, (const weft_array *const *)f.in, 2, f.out, 1), WEFT_E_ARG,
           WORDS("2 outputs"));
    f.out[0] = filled(WEFT_F32, 2, 4, 3);
    expect(feed_run(s, &f), WEFT_E_SHAPE, WORDS("output \"dense\"", "(2, 4, 2)", "(2, 4, 3)"));
    assert_null(f.out[1]);
    expect(weft_session_create(m, "cpu,", NULL, &none), WEFT_E_ARG, WORDS("name is missing"));
    assert_null(none);
    feed_finish(&f);
    feed_finish(&odd);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_null_is_told(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL), *none = s;
    weft_session_stats stats = { .struct_size = sizeof stats };
    const weft_array *const *in = NULL;
    (void)state;
    expect(weft_session_create(NULL, "cpu", NULL, &none), WEFT_E_ARG, WORDS("model is NULL"));
    assert_null(none);
    expect(weft_session_create(m, "cpu", NULL, NULL), WEFT_E_ARG, WORDS("session is NULL"));
    expect(weft_session_run(NULL, in, 2, NULL, 2), WEFT_E_ARG, WORDS("session is NULL"));
    expect(weft_session_run(s, in, 2, NULL, 2), WEFT_E_ARG, WORDS("inputs is NULL"));
    expect(weft_session_predict(s, in, 2, NULL, 2, 8, NULL, NULL), WEFT_E_ARG,
           WORDS("inputs is NULL"));
    feed f = feed_make(WEFT_F32, 2, 4);
    in = (const weft_array *const *)f.in;
    expect(weft_session_run(s, in, 2, NULL, 2), WEFT_E_ARG, WORDS("outputs is NULL"));
    expect(weft_session_predict(s, in, 2, NULL, 2, 1, NULL, NULL), WEFT_E_ARG,
           WORDS("outputs is NULL"));
    expect(weft_session_plan(NULL, 1, WEFT_PLAN_GRAPH, stdout), WEFT_E_ARG, WORDS("session"));
    expect(weft_session_plan(s, 1, WEFT_PLAN_GRAPH, NULL), WEFT_E_ARG, WORDS("file"));
    expect(weft_session_get_stats(NULL, &stats), WEFT_E_ARG, WORDS("session"));
    expect(weft_session_get_stats(s, NULL), WEFT_E_ARG, WORDS("stats"));
    weft_session_destroy(NULL);
    feed_finish(&f);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_huge_batch_is_refused(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    (void)state;
    for (int shift = 0; shift < 8; shift++)
        expect(weft_session_plan(s, INT64_MAX >> shift, WEFT_PLAN_STEPS, file), WEFT_E_NOMEM,
               WORDS("use a smaller batch"));
    fclose(file);
    free(text);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_plan_text(void **state)
{
    weft_model *m = make(4);
    weft_session *s = open(m, NULL);
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    (void)state;
    for (weft_plan_stage stage = WEFT_PLAN_GRAPH; stage <= WEFT_PLAN_STEPS; stage++)
        assert_int_equal(weft_session_plan(s, 3, stage, file), WEFT_OK);
    assert_int_equal(weft_session_plan(s, -1, WEFT_PLAN_GRAPH, file), WEFT_E_ARG);
    fclose(file);
    assert_non_null(strstr(text, "matmul"));
    assert_non_null(strstr(text, "memory for batch 3"));
    free(text);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan_for_each_unknown_size),
        cmocka_unit_test(test_changed_variables_are_seen),
        cmocka_unit_test(test_f64_and_conversions),
        cmocka_unit_test(test_predict_in_batches),
        cmocka_unit_test(test_batch_of_nothing),
        cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_null_is_told),
        cmocka_unit_test(test_huge_batch_is_refused),
        cmocka_unit_test(test_plan_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
