/* A plugin's OpenCL kernel that does not compile: the error says which op of which layer, on which
 * device, what OpenCL's code is called, and what the compiler wrote; the cpu runs the model all the
 * same. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

static void expect(weft_model *m, const char *device)
{
    float x[] = { 1, -2, 3 };
    weft_array in = { { WEFT_F32, 2, { 1, 3 } }, x }, *y = NULL;
    const weft_array *inputs[] = { &in };
    weft_session *s = NULL;
    weft_status st = weft_session_create(m, device, NULL, &s);

    if (!st) st = weft_session_run(s, inputs, 1, &y, 1);
    if (strncmp(device, "cpu", 3)) {
        assert_int_not_equal(st, WEFT_OK);
        assert_null(y);
        if (!holds_words(weft_error(),
                         "org.test.bad_source|guilty|CL_BUILD_PROGRAM_FAILURE|no_such_function"))
            fail_msg("%s: %s", device, weft_error());
    } else {
        assert_int_equal(st, WEFT_OK);
        for (int i = 0; i < 3; i++)
            assert_true(((float *)y->data)[i] == x[i] * x[i] + 1);
    }
    weft_array_destroy(&y);
    weft_session_destroy(&s);
}

static void test_bad_source(void **state)
{
    weft_context *ctx = NULL;
    weft_model *m = NULL;
    weft_tensor x;
    devices d;
    char options[1200];

    (void)state;
    snprintf(options, sizeof options, "plugin_path=\"%s\"", WEFT_TEST_MODULES);
    assert_int_equal(weft_context_create(options, &ctx), WEFT_OK);
    assert_int_equal(weft_model_create(ctx, "broken", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3));
    x = weft_apply(m, "org.test.BadSource", "name=guilty", x);
    x = weft_apply(m, "org.test.Op", "op=map attrs=\"expr=\\\"a+1\\\"\"", x);
    weft_output(m, x);
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    devices_list(ctx, &d);
    for (size_t i = 0; *d.id[i]; i++)
        expect(m, d.id[i]);
    for (size_t i = 0; *d.id[i]; i++)
        expect(m, d.id[i]); /* the failure has left nothing behind */
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bad_source) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
