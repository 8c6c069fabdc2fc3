/* One step of an optimizer over an array of weights: w are they, g the gradient, rate the learning
 * rate (rank 0), m and v the slots. As Keras 3 computes them.
 *   adam_update  m' = m + (g - m) (1 - beta_1)      v' = v + (g g - v) (1 - beta_2)
 *                w' = w - rate m' / (sqrt(v') + epsilon)     (rate: with the bias correction)
 *   sgd_update   v' = momentum v - rate g           an absent v is 0
 *                w' = w + v', or with nesterov w + momentum v' - rate g */
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/ops.h"

/* Inputs 1.. have the spec of w, but input `rate`, which is of rank 0. */
static weft_status check_inputs(weft_build *b, const char *const *names, uint32_t n, uint32_t rate,
                                weft_spec *w)
{
    weft_status st = weft__op_in_float(b, 0, w);
    for (uint32_t i = 1; i < n && !st; i++) {
        weft_spec spec, want = *w;
        weft__spec_text got, wanted;
        if (b->api->in(b, i) == WEFT_NONE) continue;
        if (i == rate) want.rank = 0;
        if ((st = weft__op_in(b, i, &spec))) break;
        if (!weft__spec_equal(&spec, &want))
            st = weft_fail(WEFT_E_SHAPE, "%s is %s; it must be %s, as w is", names[i],
                           weft__spec_show(&spec, &got), weft__spec_show(&want, &wanted));
    }
    return st;
}

static weft_status infer_adam(weft_build *b, weft_spec *outs)
{
    static const char *const names[] = { "w", "g", "m", "v", "rate" };
    weft_status st = check_inputs(b, names, 5, 4, &outs[0]);
    outs[1] = outs[2] = outs[0];
    return st;
}

/* a + (b - a) (1 - beta) */
static weft_val approach(weft_build *b, weft_val from, weft_val to, const char *beta)
{
    weft_val rest = weft_scalar(b, 1 - b->api->attr_f(b, beta));
    return weft_add(b, from, weft_mul(b, weft_sub(b, to, from), rest));
}

static weft_status lower_adam(weft_build *b)
{
    weft_val w = weft_in(b, 0), g = weft_in(b, 1);
    weft_val m = approach(b, weft_in(b, 2), g, "beta_1");
    weft_val v = approach(b, weft_in(b, 3), weft_mul(b, g, g), "beta_2");
    weft_val below =
        weft_add(b, weft_op1(b, "sqrt", v), weft_scalar(b, b->api->attr_f(b, "epsilon")));
    weft_val change = weft_op2(b, "div", weft_mul(b, weft_in(b, 4), m), below);
    weft_status st = weft_out(b, 0, weft_sub(b, w, change));
    if (!st) st = weft_out(b, 1, m);
    return st ? st : weft_out(b, 2, v);
}

static weft_status infer_sgd(weft_build *b, weft_spec *outs)
{
    static const char *const names[] = { "w", "g", "rate", "v" };
    double momentum = b->api->attr_f(b, "momentum");
    weft_status st = check_inputs(b, names, b->api->n_in(b), 2, &outs[0]);
    outs[1] = outs[0];
    if (!st && momentum > 0 && (b->api->n_in(b) < 4 || b->api->in(b, 3) == WEFT_NONE))
        return weft_fail(WEFT_E_ARG,
                         "momentum is %g, and v is absent; hand it in, or leave "
                         "momentum out",
                         momentum);
    return st;
}

static weft_status lower_sgd(weft_build *b)
{
    weft_val w = weft_in(b, 0), change = weft_mul(b, weft_in(b, 2), weft_in(b, 1));
    weft_val v = weft_op1(b, "neg", change);
    weft_status st;
    if (b->api->n_in(b) > 3 && weft_in(b, 3) != WEFT_NONE) {
        weft_val momentum = weft_scalar(b, b->api->attr_f(b, "momentum"));
        v = weft_sub(b, weft_mul(b, momentum, weft_in(b, 3)), change);
        if (b->api->attr_i(b, "nesterov"))
            w = weft_sub(b, weft_add(b, w, weft_mul(b, momentum, v)), change);
        else
            w = weft_add(b, w, v);
    } else {
        w = weft_sub(b, w, change);
    }
    st = weft_out(b, 0, w);
    return st ? st : weft_out(b, 1, v);
}

static const weft_attr adam_attrs[] = {
    { "beta_1", WEFT_FLOAT, 0, "0.9", "0..1", "how much of m is kept" },
    { "beta_2", WEFT_FLOAT, 0, "0.999", "0..1", "how much of v is kept" },
    { "epsilon", WEFT_FLOAT, 0, "1e-7", "0..", "added to the root of v" },
    { 0 },
};
static const weft_attr sgd_attrs[] = {
    { "momentum", WEFT_FLOAT, 0, "0.0", "0..1", "how much of v is kept" },
    { "nesterov", WEFT_FLAG, 0, "false", NULL, "look ahead along v'" },
    { 0 },
};
/* a v below 0 has no root: there w' is NaN, which must be so on every device */
static const char *const adam_cases[] = {
    ": f32 1031, f32 1031, f32 1031, f32 1031<9, f32",
    "beta_1=0.5 beta_2=0.75 epsilon=0.001 : f32 3x5, f32 3x5, f32 3x5, f32 3x5<3, f32",
    ": f32 Bx4, f32 Bx4, f32 Bx4, f32 Bx4, f32",
    NULL,
};
static const char *const sgd_cases[] = {
    ": f32 1031, f32 1031, f32",
    "momentum=0.9 : f32 1031, f32 1031, f32, f32 1031",
    "momentum=0.9 nesterov=true : f32 3x5, f32 3x5, f32, f32 3x5",
    ": f32 Bx4, f32 Bx4, f32",
    NULL,
};

const weft_op_class weft__op_adam_update = {
    .struct_size = sizeof(weft_op_class),
    .name = "adam_update",
    .inputs = "w, g, m, v, rate",
    .outputs = "w, m, v",
    .attrs = adam_attrs,
    .infer = infer_adam,
    .lower = lower_adam,
    .cases = adam_cases,
    .doc = "A step of Adam: the new weights and slots.",
};

const weft_op_class weft__op_sgd_update = {
    .struct_size = sizeof(weft_op_class),
    .name = "sgd_update",
    .inputs = "w, g, rate, v?",
    .outputs = "w, v?",
    .attrs = sgd_attrs,
    .infer = infer_sgd,
    .lower = lower_sgd,
    .cases = sgd_cases,
    .doc = "A step of gradient descent, with or without momentum: the new weights and slot.",
};
