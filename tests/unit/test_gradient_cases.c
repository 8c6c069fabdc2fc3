/* The gradient of every op, from its own case lines and more: against central differences in f64,
 * and on every device against cpu in f64. Arguments: none, or an op's name and a case line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"
#include "gradient_case.h"
#include "graph/map.h"
#include "graph/map_table.h"
#include "graph/ops/ops.h"
#include "registry/registry.h"

enum { BATCH = 2 };
static weft_context *ctx;
static devices all;

static const struct {
    const char *op, *line;
} more[] = {
    { "matmul", ": f32 1x3x2x4, f32 Bx1x4x5" },
    { "matmul", "transpose_a=true transpose_b=true : f32 Bx3x4x2, f32 3x5x4" },
    { "matmul", "transpose_b=true : f32 Bx3x4, f32 5x4" },
    { "matmul", "transpose_a=true : f32 Bx4x3, f32 4x5" },
    { "matmul", ": f32 2x3, f32 Bx3x4" },
    { "matmul", "then=\"tanh(a*b)+c\" : f32 Bx4, f32 4x3, f32 Bx1, f32 3" },
    { "reduce", "fn=prod : f32 Bx3" },
    { "reduce", "fn=max axes=(0,2) keepdims=true : f32 Bx3x4" },
    { "reduce", "fn=min : f32 Bx3x4" },
    { "reduce", "fn=mean axes=(1) then=\"square(a)-b\" : f32 Bx3x4, f32 4" },
    { "reduce", "fn=prod axes=(0,2) : f32 Bx3x2" },
    { "slice", "begin=(0,0,1) size=(-1,3,2) step=(1,2,3) : f32 Bx5x5" },
    { "slice", "begin=(1,0) size=(-1,4) step=(2,1) : f32 2Bx4" },
    { "slice", "begin=(0) size=(-1) : f32 3B" },
    { "slice", "begin=(0,0) size=(-1,2) step=(2,1) : f32 5Bx2" },
    { "concat", "axis=0 : f32 Bx2, f32 2Bx2, f32 Bx2" },
    { "concat", "axis=1 : f32 Bx2, f32 Bx0, f32 Bx1" },
    { "broadcast", "shape=(3,-1,2,4) : f32 Bx1x1" },
    { "map", "expr=\"a*b\" : f32 , f32 Bx3" },
    { "map", "expr=\"a/b-c\" : f32 Bx1x5x1, f32 3x1x1, f32 1" },
    { "map", "expr=\"select(a>b,tanh(a)*c,log(abs(b)+1))\" : f32 Bx7, f32 7, f32 Bx1" },
    { "map", "expr=\"a*i32(3)+f32(b)*a\" : f32 Bx7, i32 7" },
    { "map", "expr=\"pow(a,3)+pow(abs(a)+1,0.5)+pow(a,1)+pow(abs(b)+1,a)\" : f32 Bx7, f32 7" },
    { "map", "expr=\"a*0.5*(1+tanh(0.7978845608*(a+0.044715*a*a*a)))\" : f32 Bx9" },
    { "map", "expr=\"log(1+exp(-abs(a)))+max(a,0)-a*b\" : f32 Bx9, f32 Bx9" },
    { "map",
      "expr=\"a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*s*t*u*v*w*x*y*z\" : f32 Bx1, f32 2, f32 2, "
      "f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, "
      "f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2, f32 2" },
};

static void run_line(const char *op, const char *text, int on_devices, gradient_tally *t)
{
    gradient_case c;
    t->lines++;
    if (gradient_begin(&c, ctx, op, text, BATCH)) {
        gradient_differences(&c, t);
        for (size_t i = 0; on_devices && *all.id[i]; i++)
            gradient_device(&c, all.id[i], t);
    }
    gradient_finish(&c);
}

static void finish(const gradient_tally *t)
{
    printf("%u lines: %u elements agree with differences, %u wrong, %u rough, %u undefined; on "
           "devices %u ops right, %u unverified\n",
           t->lines, t->compared, t->wrong, t->rough, t->undefined, t->checked, t->unverified);
    assert_int_equal(t->wrong, 0);
    assert_int_equal(t->unverified, 0);
    assert_true(t->compared > 0);
    assert_true(t->rough * 100 <= t->compared);
}

static void run_op(const weft_op_class *op, gradient_tally *t)
{
    if (!WEFT_HAS(op, gradient) && !WEFT_HAS(op, lower)) {
        printf("op %s has no gradient\n", op->name);
        return;
    }
    for (size_t i = 0; op->cases && op->cases[i]; i++)
        run_line(op->name, op->cases[i], 1, t);
}

static void core_ops(void **state)
{
    gradient_tally t = { 0 };
    (void)state;
    for (size_t i = 0; weft__core_ops[i]; i++)
        run_op(weft__core_ops[i], &t);
    finish(&t);
}

static void plugin_ops(void **state)
{
    gradient_tally t = { 0 };
    (void)state;
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        weft_plugin_info info;
        assert_int_equal(weft_context_plugin(ctx, i, &info), WEFT_OK);
        for (size_t k = 0; info.plugin && info.plugin->ops && info.plugin->ops[k]; k++)
            run_op(info.plugin->ops[k], &t);
    }
    finish(&t);
}

static void more_lines(void **state)
{
    gradient_tally t = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        run_line(more[i].op, more[i].line, 0, &t);
    finish(&t);
}

/* Every function of the table as the root, where its result is an input, and inside. */
static void functions(void **state)
{
    static const char *const lines[] = { "expr=\"%s(%s)\" : f32 Bx7, f32 7, f32 Bx1",
                                         "expr=\"%s(%s)*2+a\" : f32 Bx7, f32 7, f32 Bx1",
                                         "expr=\"tanh(%s(%s))\" : f32 Bx7, f32 7, f32 Bx1" };
    static const char *const args[] = {
        "a", "a,b", "a,b,c", "abs(a)+0.25", "abs(a)+0.25,abs(b)+0.5", "abs(a)+0.25,b,abs(c)+b"
    };
    gradient_tally t = { 0 };
    const weft_map_fn *fn;
    (void)state;
    for (uint32_t row = 0; (fn = weft__map_row(row)) != NULL; row++)
        for (size_t i = 0; i < 2 * sizeof lines / sizeof *lines; i++) {
            char text[160];
            snprintf(text, sizeof text, lines[i / 2], fn->name, args[fn->arity - 1 + i % 2 * 3]);
            run_line("map", text, 0, &t);
        }
    finish(&t);
}

/* What is too large to be differentiated in one expression is cut. */
static void deep_expressions(void **state)
{
    static const char *const calls[] = { "tanh", "sin" };
    gradient_tally t = { 0 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        char text[1024] = "expr=\"", end[256] = "";
        for (int k = 0; k < 60; k++) {
            strcat(strcat(text, calls[i]), "(");
            strcat(end, k % 20 ? ")" : "+b)");
        }
        strcat(strcat(strcat(text, "a"), end), "*a\" : f32 Bx3, f32 3");
        gradient_case c;
        assert_true(gradient_begin(&c, ctx, "map", text, BATCH));
        assert_true(c.backward->n_nodes > 8);
        gradient_finish(&c);
        run_line("map", text, 0, &t);
    }
    finish(&t);
}

static int setup(void **state)
{
    (void)state;
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx)) return -1;
    devices_list(ctx, &all);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

static const char *one_op, *one_line;
static void one(void **state)
{
    gradient_tally t = { 0 };
    (void)state;
    run_line(one_op, one_line, 1, &t);
    finish(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(core_ops), cmocka_unit_test(plugin_ops),
                                        cmocka_unit_test(more_lines),
                                        cmocka_unit_test(deep_expressions),
                                        cmocka_unit_test(functions) };
    const struct CMUnitTest single[] = { cmocka_unit_test(one) };
    if (argc != 3) return cmocka_run_group_tests(tests, setup, teardown);
    one_op = argv[1];
    one_line = argv[2];
    return cmocka_run_group_tests(single, setup, teardown);
}
