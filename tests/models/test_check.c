/* `weft check` as a library call: every op of every fixture on every device is within its derived
 * bound, and an op whose kernel is wrong on purpose (tests/plugins/modules/wrong_kernel.c) is
 * named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

typedef struct tally {
    const char *file;
    unsigned passed, failed, unverified;
    char op[64], path[256];
} tally;

static void count(void *user, const weft_check_line *line)
{
    tally *t = user;

    t->passed += line->result == WEFT_CHECK_PASSED;
    t->unverified += line->result == WEFT_CHECK_UNVERIFIED;
    if (line->result != WEFT_CHECK_FAILED) return;
    if (!t->failed++) {
        snprintf(t->op, sizeof t->op, "%s", line->op);
        snprintf(t->path, sizeof t->path, "%s", line->path);
    }
    if (t->file)
        printf("%s: %s %s (%s) at %s: error %g, bound %g, element %llu: got %.9g, want %.9g %s\n"
               "    %s\n",
               t->file, line->device, line->op, line->variant, line->path, line->error, line->bound,
               (unsigned long long)line->index, line->got, line->want, line->why, line->attrs);
}

static void check_folder(const char *folder)
{
    char **names = names_list(folder);
    weft_context *ctx = NULL;
    devices d;
    unsigned failed = 0, passed = 0;

    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    devices_list(ctx, &d);
    for (size_t n = 0; names[n]; n++) {
        fixture f;

        if (fixture_load(ctx, folder, names[n], &f)) continue; /* test_fixtures.c reports it */
        for (size_t i = 0; *d.id[i]; i++) {
            weft_check_options options = { .seed = 1, .inputs = f.in, .n_inputs = f.n_in };
            tally t = { .file = names[n] };

            if (weft_check_model(f.model, d.id[i], &options, count, &t, NULL)) {
                printf("%s on %s: %s\n", names[n], d.id[i], weft_error());
                t.failed++;
            }
            failed += t.failed;
            passed += t.passed;
        }
        fixture_finish(&f);
    }
    names_free(names);
    weft_context_destroy(&ctx);
    printf("%s: %u ops right, %u wrong\n", folder, passed, failed);
    assert_true(passed > 10);
    assert_int_equal(failed, 0);
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

static void test_wrong_kernel(void **state)
{
    weft_context *ctx = NULL;
    weft_model *m = NULL;
    weft_tensor x;
    uint32_t failed = 0;
    devices d;
    char options[1200];

    (void)state;
    snprintf(options, sizeof options, "plugin_path=\"%s\"", WEFT_TEST_MODULES);
    assert_int_equal(weft_context_create(options, &ctx), WEFT_OK);
    assert_int_equal(weft_model_create(ctx, "wrong", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(7));
    x = weft_apply(m, "Dense", "units=5 activation=tanh", x);
    x = weft_apply(m, "org.test.WrongKernel", "name=guilty", x);
    x = weft_apply(m, "Dense", "units=3", x);
    weft_output(m, x);
    if (weft_model_finish(m)) printf("%s\n", weft_error());
    devices_list(ctx, &d);
    for (size_t i = 0; *d.id[i]; i++) {
        tally t = { 0 };

        assert_int_equal(
            weft_check_model(m, d.id[i], &(weft_check_options){ .seed = 3 }, count, &t, &failed),
            WEFT_OK);
        assert_int_equal(failed, 1);
        assert_string_equal(t.op, "org.test.wrong_kernel");
        assert_non_null(strstr(t.path, "guilty"));
        assert_true(t.passed >= 2);
    }
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_models),
                                        cmocka_unit_test(test_layers),
                                        cmocka_unit_test(test_wrong_kernel) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
