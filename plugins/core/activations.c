/* Activation layers with attributes or variables of their own: Activation ReLU LeakyReLU PReLU ELU
 * Softmax. The functions behind them are the classes of functions.c. */
#include "core.h"

static weft_status build_activation(weft_build *b)
{
    weft_val x = weft_in(b, 0);

    return weft_out(
        b, 0,
        b->api->layer(b, b->api->attr_s(b, "activation"), "activation", NULL, &x, 1, NULL, 0));
}
static const weft_attr activation_attrs[] = {
    { "activation", WEFT_LAYER_CONFIG, 0, NULL, NULL,
      "the function: relu, tanh, LeakyReLU(negative_slope=0.1)" },
    { 0 }
};
WEFT_UNARY_LAYER(core_activation, "Activation", activation_attrs, build_activation,
                 "an activation function as a layer");

/* Calls a class of functions.c with the attributes that both have. */
static weft_status build_by(weft_build *b, const char *function, const char *attrs)
{
    weft_val x = weft_in(b, 0);

    return weft_out(b, 0, b->api->layer(b, function, function, attrs, &x, 1, NULL, 0));
}

static weft_status build_relu_layer(weft_build *b)
{
    const char *limit = b->api->attr_s(b, "max_value");
    char attrs[256];

    snprintf(attrs, sizeof attrs, "negative_slope=%s threshold=%s max_value=%s",
             b->api->attr_s(b, "negative_slope"), b->api->attr_s(b, "threshold"),
             limit ? limit : "none");
    return build_by(b, "relu", attrs);
}
static const weft_attr relu_attrs[] = {
    { "max_value", WEFT_FLOAT, WEFT_NULLABLE, "none", "0..", "largest result" },
    { "negative_slope", WEFT_FLOAT, 0, "0.0", "0..", "slope below the threshold" },
    { "threshold", WEFT_FLOAT, 0, "0.0", "0..", "below it the slope is negative_slope" },
    { 0 }
};
WEFT_UNARY_LAYER(core_relu_layer, "ReLU", relu_attrs, build_relu_layer,
                 "max(x, 0), with slope, limit and threshold");

static weft_status build_leaky(weft_build *b)
{
    char attrs[64];

    snprintf(attrs, sizeof attrs, "negative_slope=%s", b->api->attr_s(b, "negative_slope"));
    return build_by(b, "leaky_relu", attrs);
}
static const weft_attr leaky_attrs[] = {
    { "negative_slope", WEFT_FLOAT, 0, "0.3", NULL, "slope for x < 0" }, { 0 }
};
WEFT_UNARY_LAYER(core_leaky_relu_layer, "LeakyReLU", leaky_attrs, build_leaky,
                 "x, or negative_slope x for x < 0");

static weft_status build_elu_layer(weft_build *b)
{
    char attrs[64];

    snprintf(attrs, sizeof attrs, "alpha=%s", b->api->attr_s(b, "alpha"));
    return build_by(b, "elu", attrs);
}
static const weft_attr elu_attrs[] = {
    { "alpha", WEFT_FLOAT, 0, "1.0", NULL, "scale of the negative part" }, { 0 }
};
WEFT_UNARY_LAYER(core_elu_layer, "ELU", elu_attrs, build_elu_layer,
                 "x, or alpha (exp(x) - 1) for x < 0");

static weft_status build_prelu(weft_build *b)
{
    weft_val x = weft_in(b, 0), alpha;
    weft_spec s, shape = { 0 };
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = b->api->attr_v(b, "shared_axes", axes, WEFT_MAX_RANK), i;

    if (!(x = weft_float(b, x, &s))) return weft_out(b, 0, 0);
    if (s.rank < 1) return weft_failf(b, WEFT_E_SHAPE, "the input has no batch axis");
    shape.dtype = s.dtype;
    shape.rank = s.rank - 1;
    for (i = 1; i < (uint32_t)s.rank; i++)
        shape.dim[i - 1] = s.dim[i];
    for (i = 0; i < n && i < WEFT_MAX_RANK; i++) {
        if (axes[i] < 1 || axes[i] >= s.rank)
            return weft_failf(b, WEFT_E_ATTR, "shared_axes holds %lld; the input has axes 1..%d",
                              (long long)axes[i], (int)s.rank - 1);
        shape.dim[axes[i] - 1] = 1;
    }
    for (i = 0; i < (uint32_t)shape.rank; i++)
        if (shape.dim[i] < 0)
            return weft_failf(b, WEFT_E_SHAPE,
                              "axis %u of the input has no fixed size, and alpha's shape "
                              "depends on it: put it into shared_axes",
                              (unsigned)i + 1);
    alpha = b->api->variable(b, "alpha", &shape, b->api->attr_s(b, "alpha_initializer"),
                             WEFT_TRAINABLE);
    return weft_out(b, 0, weft_op_(b, "map", "expr=\"max(a,0)-b*max(-a,0)\"", x, alpha));
}
static const weft_attr prelu_attrs[] = {
    { "alpha_initializer", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "first values of alpha" },
    { "alpha_regularizer", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "added to the loss in training" },
    { "alpha_constraint", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "applied after each training step" },
    { "shared_axes", WEFT_INTS, WEFT_NULLABLE, "none", NULL, "axes along which alpha is the same" },
    { 0 }
};
WEFT_UNARY_LAYER(core_prelu, "PReLU", prelu_attrs, build_prelu,
                 "x, or alpha x for x < 0, alpha learned");

/* Softmax over several axes at once, for which there is no op. */
static weft_val softmax_axes(weft_build *b, weft_val x, const int64_t *axes, uint32_t n)
{
    char list[256];
    weft_val e, sum;

    weft_ints_text(list, sizeof list, axes, n);
    e = weft_op_(b, "map", "expr=\"exp(a-b)\"", x,
                 weft_opf(b, "reduce", x, "fn=max axes=%s keepdims=true", list));
    sum = weft_opf(b, "reduce", e, "fn=sum axes=%s keepdims=true", list);
    return weft_op2(b, "div", e, sum);
}

static weft_status build_softmax_layer(weft_build *b)
{
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = b->api->attr_v(b, "axis", axes, WEFT_MAX_RANK);
    weft_val x = weft_in(b, 0);
    weft_spec s;

    if (n < 1 || n > WEFT_MAX_RANK)
        return weft_failf(b, WEFT_E_ATTR, "axis holds %u axes", (unsigned)n);
    if (!(x = weft_float(b, x, &s))) return weft_out(b, 0, 0);
    return weft_out(b, 0,
                    n == 1 ? weft_opf(b, "softmax", x, "axis=%lld", (long long)axes[0])
                           : softmax_axes(b, x, axes, n));
}
static const weft_attr softmax_attrs[] = { { "axis", WEFT_INTS, 0, "(-1)", NULL,
                                             "the axis or axes along which the result sums to 1" },
                                           { 0 } };
WEFT_UNARY_LAYER(core_softmax_layer, "Softmax", softmax_attrs, build_softmax_layer,
                 "exp(x) / sum(exp(x)) along one or more axes");
