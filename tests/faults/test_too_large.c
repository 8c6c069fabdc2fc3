/* A value that no memory holds, and one that is larger than what a device gives at once: a status
 * and a text with the size, and the session works with a batch that fits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

/* x [batch, 1] -> softmax over [batch, columns], a value of batch * columns floats -> its sums,
 * [batch]. */
static weft_model *make(weft_context *ctx, int64_t columns, weft_status *st)
{
    weft_model *m = NULL;
    weft_tensor x;
    char attrs[160];

    assert_int_equal(weft_model_create(ctx, "large", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(1));
    snprintf(attrs, sizeof attrs, "name=wide op=broadcast attrs=\"shape=(-1,%" PRId64 ")\"",
             columns);
    x = weft_apply(m, "org.test.Op", attrs, x);
    x = weft_apply(m, "org.test.Op", "name=soft op=softmax", x);
    x = weft_apply(m, "org.test.Op", "name=sums op=reduce attrs=\"fn=sum axes=(1)\"", x);
    weft_output(m, x);
    *st = weft_model_finish(m);
    return m;
}

static weft_status run(weft_session *s, int64_t batch, float *x, weft_array **y)
{
    weft_array in = { { WEFT_F32, 2, { batch, 1 } }, x };
    const weft_array *inputs[] = { &in };

    return weft_session_run(s, inputs, 1, y, 1);
}

static void assert_refused(weft_status st, const weft_array *y, const char *device)
{
    if (!st) fail_msg("%s: a value larger than memory was computed", device);
    assert_null(y);
    if (st != WEFT_E_NOMEM && st != WEFT_E_DEVICE && st != WEFT_E_SHAPE)
        fail_msg("%s: %s", device, weft_error());
    if (!holds_words(weft_error(), "bytes") && !holds_words(weft_error(), "iB"))
        fail_msg("%s: no size in \"%s\"", device, weft_error());
}

static weft_context *context(devices *d)
{
    weft_context *ctx = NULL;
    char options[1200];

    snprintf(options, sizeof options, "plugin_path=\"%s\"", WEFT_TEST_MODULES);
    assert_int_equal(weft_context_create(options, &ctx), WEFT_OK);
    devices_list(ctx, d);
    return ctx;
}

/* The same model fits with one sample and does not with many. */
static void test_batch(void **state)
{
    static float x[4096];
    devices d;
    weft_context *ctx = context(&d);

    (void)state;
    for (size_t i = 0; *d.id[i]; i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        weft_array *y = NULL;
        weft_session *s = NULL;
        weft_model *m;
        weft_status st;
        const char *id;

        assert_int_equal(weft_context_device(ctx, (uint32_t)i, &id, &info), WEFT_OK);
        /* one sample takes a 2048th of the largest allocation; 4096 take twice of it */
        if (!info.max_alloc || info.max_alloc > UINT64_C(1) << 42) continue;
        m = make(ctx, (int64_t)(info.max_alloc / 4 / 2048), &st);
        if (st || weft_session_create(m, d.id[i], "strict=true", &s)) fail_msg("%s", weft_error());
        assert_refused(run(s, 4096, x, &y), y, d.id[i]);
        if (run(s, 1, x, &y)) fail_msg("%s: %s", d.id[i], weft_error());
        assert_true(((float *)y->data)[0] > 0.99f && ((float *)y->data)[0] < 1.01f);
        weft_array_destroy(&y);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
    weft_context_destroy(&ctx);
}

/* More than any memory: refused when the model is made, or when it runs; never tried. */
static void test_absurd(void **state)
{
    static const int64_t columns[] = { INT64_C(1) << 39, INT64_C(1) << 50, INT64_C(1) << 61,
                                       INT64_MAX / 2 };
    static float x[64];
    devices d;
    weft_context *ctx = context(&d);

    (void)state;
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        weft_status made;
        weft_model *m = make(ctx, columns[c], &made);

        if (made && !holds_words(weft_error(), "wide|broadcast|elements"))
            fail_msg("%s", weft_error());
        for (size_t i = 0; !made && *d.id[i]; i++) {
            weft_session *s = NULL;
            weft_array *y = NULL;
            weft_status st = weft_session_create(m, d.id[i], NULL, &s);

            if (!st) st = run(s, 64, x, &y);
            assert_refused(st, y, d.id[i]);
            weft_session_destroy(&s);
        }
        weft_model_destroy(&m);
    }
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_batch),
                                        cmocka_unit_test(test_absurd) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
