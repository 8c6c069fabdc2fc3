/* softmax and log_softmax along an axis, with the maximum subtracted first, so that nothing
 * overflows.
 *   softmax: y = e / sum(e), e = exp(x - max(x))       log_softmax: y = (x - max(x)) - log(sum(e))
 * NaN anywhere along the axis makes all of it NaN. */
#include "graph/dim.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

static weft_status infer(weft_build *b, weft_spec *outs)
{
    int32_t axis;
    weft_status st = weft__op_in_float(b, 0, &outs[0]);
    return st ? st : weft__axis(b->api->attr_i(b, "axis"), outs[0].rank, &axis);
}

static weft_val reduce(weft_build *b, const char *fn, weft_val x)
{
    char attrs[96];
    snprintf(attrs, sizeof attrs, "fn=%s axes=(%lld) keepdims=true", fn,
             (long long)b->api->attr_i(b, "axis"));
    return b->api->op(b, "reduce", attrs, &x, 1, NULL, 0);
}

static weft_status lower_softmax(weft_build *b)
{
    weft_val x = b->api->in(b, 0);
    weft_val e = weft_op1(b, "exp", weft_op2(b, "sub", x, reduce(b, "max", x)));
    return b->api->out(b, 0, weft_op2(b, "div", e, reduce(b, "sum", e)));
}

static weft_status lower_log_softmax(weft_build *b)
{
    weft_val x = b->api->in(b, 0);
    weft_val shifted = weft_op2(b, "sub", x, reduce(b, "max", x));
    weft_val sum = reduce(b, "sum", weft_op1(b, "exp", shifted));
    return b->api->out(b, 0, weft_op2(b, "sub", shifted, weft_op1(b, "log", sum)));
}

/* dx = (dy - sum(dy y)) y */
static weft_status softmax_gradient(weft_build *b)
{
    weft_val y = b->api->fwd(b, 0), dy = b->api->dout(b, 0);
    const weft_val in[] = { dy, reduce(b, "sum", weft_mul(b, dy, y)), y };
    return b->api->out(b, 0, weft__grad_map(b, "(a-b)*c", in, 3));
}

/* dx = dy - exp(y) sum(dy) */
static weft_status log_softmax_gradient(weft_build *b)
{
    weft_val y = b->api->fwd(b, 0), dy = b->api->dout(b, 0);
    const weft_val in[] = { dy, y, reduce(b, "sum", dy) };
    return b->api->out(b, 0, weft__grad_map(b, "a-exp(b)*c", in, 3));
}

static const weft_attr attrs[] = {
    { "axis", WEFT_INT, 0, "-1", NULL, "along which axis the results add up to 1" },
    { 0 },
};
static const char *const cases[] = {
    ": f32 Bx10", ": f32 Bx3x129", "axis=1 : f32 Bx5x3", "axis=0 : f32 Bx4", ": f32 Bx1", NULL,
};

const weft_op_class weft__op_softmax = {
    .struct_size = sizeof(weft_op_class),
    .name = "softmax",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .lower = lower_softmax,
    .gradient = softmax_gradient,
    .cases = cases,
    .doc = "exp(x) / sum(exp(x)) along an axis.",
};

const weft_op_class weft__op_log_softmax = {
    .struct_size = sizeof(weft_op_class),
    .name = "log_softmax",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .lower = lower_log_softmax,
    .gradient = log_softmax_gradient,
    .cases = cases,
    .doc = "log(softmax(x)) along an axis.",
};
