/* Every op, on every device, against the cpu in f64: the ops' own case lines, those of
 * extra_cases.c and those made by rules, with batches 0, 1 and 3. Arguments:
 *
 *   none                    the ops' own lines
 *   own|extra|made [OP]     those, or others, which are many; of one op alone
 *   small own|extra|made    OpenCL devices alone, small problems, batch 2: for oclgrind
 *   one DEVICE BATCH OP LINE    one, as a failure's text says */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "case_line.h"
#include "extra_cases.h"
#include "fixture.h"

static const char *const core_ops[] = { "map",
                                        "reduce",
                                        "matmul",
                                        "conv",
                                        "reshape",
                                        "transpose",
                                        "slice",
                                        "pad",
                                        "concat",
                                        "broadcast",
                                        "reverse",
                                        "gather",
                                        "softmax",
                                        "log_softmax",
                                        "copy",
                                        "count",
                                        "scatter_add",
                                        "random",
                                        "adam_update",
                                        "sgd_update",
                                        "conv_input_grad",
                                        "conv_filter_grad",
                                        NULL };

static weft_context *ctx;
static devices all;
static int small;
static const char *only = ""; /* the one op */

/* One line with every batch on every device. */
static void run_line(void *user, const char *op, const char *text)
{
    static const int64_t usual[] = { 0, 1, 3 }, few[] = { 2 };
    const int64_t *batches = small ? few : usual;
    size_t n = small ? 1 : 3;
    case_line line;

    if (*only && strcmp(op, only)) return;
    /* oclgrind 21.10 cannot run what clang makes of abs() of integers */
    if (small && strstr(text, "\"abs(a)\" : i")) return;
    if (small && !case_parse(text, &line))
        for (uint32_t i = 0; i < line.n; i++)
            if (line.spec[i].dtype && case_count(&line.spec[i], 2) > 1200) return;
    for (size_t i = 0; *all.id[i]; i++)
        for (size_t k = 0; k < n; k++) {
            case_run run = {
                .ctx = ctx, .device = all.id[i], .op = op, .text = text, .batch = batches[k]
            };

            if (!small || strncmp(run.device, "cpu", 3)) case_check(&run, user);
        }
}

static void finish(const case_tally *t)
{
    printf("%u runs of lines: %u results right, %u wrong, %u unverified\n", t->lines, t->passed,
           t->failed, t->unverified);
    assert_true(t->passed > 0 || *only);
    assert_int_equal(t->failed, 0);
    assert_int_equal(t->unverified, 0);
}

static void run_op(const weft_op_class *op, case_tally *t)
{
    if (!op->cases || !op->cases[0]) printf("op %s has no case lines\n", op->name);
    t->failed += !op->cases || !op->cases[0];
    for (size_t i = 0; op->cases && op->cases[i]; i++)
        run_line(t, op->name, op->cases[i]);
}

static void test_core(void **state)
{
    case_tally t = { 0 };

    (void)state;
    for (size_t i = 0; core_ops[i]; i++) {
        const weft_op_class *op = weft_context_op_class(ctx, core_ops[i]);

        if (!op) fail_msg("the core has no op %s", core_ops[i]);
        assert_string_equal(op->name, core_ops[i]);
        run_op(op, &t);
    }
    finish(&t);
}

static void test_plugins(void **state)
{
    case_tally t = { 0 };

    (void)state;
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        weft_plugin_info info;

        assert_int_equal(weft_context_plugin(ctx, i, &info), WEFT_OK);
        for (size_t k = 0; info.plugin && info.plugin->ops && info.plugin->ops[k]; k++)
            run_op(info.plugin->ops[k], &t);
    }
    finish(&t);
}

static void test_extra(void **state)
{
    case_tally t = { 0 };

    (void)state;
    for (const extra_case *c = extra_cases; c->op; c++)
        run_line(&t, c->op, c->line);
    finish(&t);
}

static void test_made(void **state)
{
    case_tally t = { 0 };

    (void)state;
    made_cases(run_line, &t);
    finish(&t);
}

static int setup(void **state)
{
    (void)state;
    if (weft_context_create(NULL, &ctx)) return -1;
    devices_list(ctx, &all);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

static int run_one(char **argv)
{
    case_tally t = { 0 };
    case_run run = {
        .device = argv[2], .op = argv[4], .text = argv[5], .batch = strtoll(argv[3], NULL, 10)
    };

    if (setup(NULL)) return 1;
    run.ctx = ctx;
    case_check(&run, &t);
    printf("%u right, %u wrong, %u unverified\n", t.passed, t.failed, t.unverified);
    teardown(NULL);
    return t.failed > 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest own[] = { cmocka_unit_test(test_core), cmocka_unit_test(test_plugins) };
    const struct CMUnitTest extra[] = { cmocka_unit_test(test_extra) };
    const struct CMUnitTest made[] = { cmocka_unit_test(test_made) };
    const char *which;

    if (argc == 6 && !strcmp(argv[1], "one")) return run_one(argv);
    small = argc > 1 && !strcmp(argv[1], "small");
    which = argc > 1 + small ? argv[1 + small] : "own";
    only = argc > 2 + small ? argv[2 + small] : "";
    if (!strcmp(which, "extra")) return cmocka_run_group_tests(extra, setup, teardown);
    if (!strcmp(which, "made")) return cmocka_run_group_tests(made, setup, teardown);
    return cmocka_run_group_tests(own, setup, teardown);
}
