/* gradient() of conv, conv_input_grad and conv_filter_grad: which op with which operands and sizes
 * each input's gradient is. The three are the three ways to leave one of x, w, dy out of sum of
 * conv(x, w) dy; unit/cpu_conv_grad checks that they are. Here a builder writes down what is
 * asked for; its values are numbers with names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "graph/ops/op_conv.h"
#include "graph/ops/ops.h"

enum { IN0 = 1, IN1, DOUT, FIRST_OP };

typedef struct recorder {
    weft_build base; /* first */
    weft_spec in[2];
    int with_pads;
    char op[4][256]; /* of the values from FIRST_OP on */
    uint32_t n_ops;
    weft_val out[2];
} recorder;

static recorder *of(weft_build *b)
{
    return (recorder *)b;
}

static weft_val rec_in(weft_build *b, uint32_t i)
{
    (void)b;
    return IN0 + i;
}

static weft_val rec_dout(weft_build *b, uint32_t i)
{
    (void)b;
    assert_int_equal(i, 0);
    return DOUT;
}

static weft_status rec_out(weft_build *b, uint32_t i, weft_val v)
{
    assert_true(i < 2);
    of(b)->out[i] = v;
    return WEFT_OK;
}

static weft_status rec_spec(weft_build *b, weft_val v, weft_spec *spec)
{
    assert_true(v == IN0 || v == IN1);
    *spec = of(b)->in[v - IN0];
    return WEFT_OK;
}

static int64_t rec_attr_i(weft_build *b, const char *name)
{
    (void)b;
    assert_string_equal(name, "groups");
    return 2;
}

static const char *rec_attr_s(weft_build *b, const char *name)
{
    if (!strcmp(name, "strides")) return "(2,1)";
    if (!strcmp(name, "pads")) return of(b)->with_pads ? "(1,0,2,1)" : NULL;
    assert_string_equal(name, "dilations");
    return NULL;
}

static weft_val rec_op(weft_build *b, const char *op, const char *attrs, const weft_val *args,
                       uint32_t n, weft_val *outs, uint32_t n_outs)
{
    static const char *const names[] = { "", "in0", "in1", "dout" };
    recorder *r = of(b);
    (void)outs;
    assert_int_equal(n_outs, 0);
    assert_int_equal(n, 2);
    assert_true(r->n_ops < 4 && args[0] < FIRST_OP && args[1] < FIRST_OP);
    snprintf(r->op[r->n_ops], sizeof r->op[0], "%s(%s, %s) %s", op, names[args[0]], names[args[1]],
             attrs);
    return FIRST_OP + r->n_ops++;
}

static const weft_build_api api = { .struct_size = sizeof api,
                                    .in = rec_in,
                                    .dout = rec_dout,
                                    .out = rec_out,
                                    .spec = rec_spec,
                                    .attr_i = rec_attr_i,
                                    .attr_s = rec_attr_s,
                                    .op = rec_op };

/* x of spatial sizes 7 6, w of 4 2, dy of 4 6. */
static const weft_spec x = { WEFT_F32, 4, { -1, 7, 6, 4 } };
static const weft_spec w = { WEFT_F32, 4, { 4, 2, 2, 6 } };
static const weft_spec dy = { WEFT_F32, 4, { -1, 4, 6, 6 } };

static void expect(const weft_op_class *op, const weft_spec *in0, const weft_spec *in1,
                   const char *const want[2])
{
    for (int with_pads = 0; with_pads < 2; with_pads++) {
        recorder r = { .base = { &api }, .in = { *in0, *in1 }, .with_pads = with_pads };
        assert_int_equal(op->gradient(&r.base), WEFT_OK);
        for (int i = 0; i < 2; i++) {
            char text[256];
            const char *size = strchr(want[i], ';');
            assert_in_range(r.out[i], FIRST_OP, FIRST_OP + r.n_ops - 1);
            snprintf(text, sizeof text, "%.*s strides=(2,1) pads=%s dilations=none groups=2%s",
                     (int)(size - want[i]), want[i], with_pads ? "(1,0,2,1)" : "none", size + 1);
            assert_string_equal(r.op[r.out[i] - FIRST_OP], text);
        }
        assert_int_equal(r.n_ops, 2);
    }
}

static void test_conv(void **unused)
{
    (void)unused;
    expect(&weft__op_conv, &x, &w,
           (const char *const[]){ "conv_input_grad(dout, in1); size=(7,6)",
                                  "conv_filter_grad(in0, dout); size=(4,2)" });
}

static void test_input_grad(void **unused)
{
    (void)unused;
    expect(&weft__op_conv_input_grad, &dy, &w,
           (const char *const[]){ "conv(dout, in1);", "conv_filter_grad(dout, in0); size=(4,2)" });
}

static void test_filter_grad(void **unused)
{
    (void)unused;
    expect(&weft__op_conv_filter_grad, &x, &dy,
           (const char *const[]){ "conv_input_grad(in1, dout); size=(7,6)", "conv(in0, dout);" });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_input_grad),
        cmocka_unit_test(test_filter_grad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
