/* Keras's activation functions, each a layer class, so that any of them can be an activation=.
 * Formulas: Keras 3, activations/activations.py. Numbers are written so that large arguments do not
 * overflow, and so that the derivative at 0 is that of Keras: inside of expm1 stands
 * select(a>0,0,a), whose derivative at 0 is 1, and not min(a,0). */
#include <math.h>
#include <string.h>
#include "core.h"

#define MAX_SPARSEMAX 1024 /* elements along the axis: the work grows with their square */

weft_val core_map(weft_build *b, weft_val x, const char *format, ...)
{
    char text[1024], attrs[1040];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    snprintf(attrs, sizeof attrs, "expr=\"%s\"", text);
    return b->api->op(b, "map", attrs, &x, 1, NULL, 0);
}

/* Defines the class `id` named `label` whose build() is one expression over a. */
#define FUNCTION(id, label, expression, text)                                \
    static weft_status build_##id(weft_build *b)                             \
    {                                                                        \
        return weft_out(b, 0, core_map(b, weft_in(b, 0), "%s", expression)); \
    }                                                                        \
    WEFT_UNARY_LAYER(core_##id, label, NULL, build_##id, text)
/* The same with attributes and a build() that is written out. */
#define FUNCTION_WITH(id, label, attributes, text) \
    WEFT_UNARY_LAYER(core_##id, label, attributes, build_##id, text)

FUNCTION(selu, "selu", "1.0507009873554805*select(a>0,a,1.6732632423543772*expm1(select(a>0,0,a)))",
         "scaled elu");
FUNCTION(softplus, "softplus", "softplus(a)", "log(exp(x) + 1)");
FUNCTION(softsign, "softsign", "a/(abs(a)+1)", "x / (|x| + 1)");
FUNCTION(silu, "silu", "a*sigmoid(a)", "x sigmoid(x)");
FUNCTION(swish, "swish", "a*sigmoid(a)", "x sigmoid(x); another name of silu");
FUNCTION(tanh_function, "tanh", "tanh(a)", "tanh(x)");
FUNCTION(tanh_shrink, "tanh_shrink", "a-tanh(a)", "x - tanh(x)");
FUNCTION(hard_tanh, "hard_tanh", "clip(a,-1,1)", "x limited to -1..1");
FUNCTION(sigmoid, "sigmoid", "sigmoid(a)", "1 / (1 + exp(-x))");
FUNCTION(log_sigmoid, "log_sigmoid", "-softplus(-a)", "log(sigmoid(x))");
FUNCTION(sparse_sigmoid, "sparse_sigmoid", "clip(0.5*(a+1),0,1)", "0 to -1, (x + 1) / 2, 1 from 1");
FUNCTION(sparse_plus, "sparse_plus", "select(a<=-1,0,select(a<1,0.25*square(a+1),a))",
         "0 to -1, (x + 1)^2 / 4, x from 1");
FUNCTION(hard_sigmoid, "hard_sigmoid", "clip(a/6+0.5,0,1)", "x/6 + 1/2 limited to 0..1 (Keras 3)");
FUNCTION(hard_silu, "hard_silu", "a*clip(a/6+0.5,0,1)", "x hard_sigmoid(x)");
FUNCTION(hard_swish, "hard_swish", "a*clip(a/6+0.5,0,1)",
         "x hard_sigmoid(x); another name of hard_silu");
FUNCTION(exponential, "exponential", "exp(a)", "exp(x)");
FUNCTION(mish, "mish", "a*tanh(softplus(a))", "x tanh(softplus(x))");

static weft_status build_identity(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}
FUNCTION_WITH(identity, "Identity", NULL, "x");
WEFT_UNARY_LAYER(core_linear, "linear", NULL, build_identity, "x");

/* The input as a float, where whole numbers in the expression would keep those of the input. */
static weft_val float_in(weft_build *b)
{
    weft_spec s;

    return weft_float(b, weft_in(b, 0), &s);
}

static weft_status build_relu6(weft_build *b)
{
    return weft_out(b, 0, core_map(b, float_in(b), "clip(a,0,6)"));
}
FUNCTION_WITH(relu6, "relu6", NULL, "min(max(x, 0), 6)");

/* The attribute as a number of the input's kind: Keras cuts it where the input is of whole ones. */
static const char *cut_number(weft_build *b, const char *name, int whole, char text[32])
{
    if (!whole) return b->api->attr_s(b, name);
    snprintf(text, 32, "%lld",
             (long long)fmax(-2147483648.0, fmin(b->api->attr_f(b, name), 2147483647.0)));
    return text;
}

/* Keras's order: the threshold (strictly greater), the limit, then the part below. Whole numbers
 * stay such without a slope; only the limit 6 alone makes floats of them, as relu6 does. */
static weft_status build_relu(weft_build *b)
{
    const char *slope = b->api->attr_s(b, "negative_slope"), *at = b->api->attr_s(b, "threshold");
    int limit = b->api->attr_s(b, "max_value") != NULL;
    int threshold = b->api->attr_f(b, "threshold") != 0,
        steep = b->api->attr_f(b, "negative_slope") != 0;
    int six = limit && !threshold && b->api->attr_f(b, "max_value") == 6;
    char positive[128], limited[256], below[128] = "", number[32];
    weft_val x = weft_in(b, 0);
    weft_spec s;
    int whole;

    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    whole = s.dtype >= WEFT_I32;
    if (steep || six) x = float_in(b);
    if (threshold)
        snprintf(positive, sizeof positive, whole ? "select(a>%s,a,0)" : "a*f32(a>%s)",
                 cut_number(b, "threshold", whole, number));
    else
        snprintf(positive, sizeof positive, "max(a,0)");
    if (limit)
        snprintf(limited, sizeof limited, "clip(%s,0,%s)", positive,
                 cut_number(b, "max_value", whole, number));
    else
        snprintf(limited, sizeof limited, "%s", positive);
    if (steep) snprintf(below, sizeof below, "-(%s)*max((%s)-a,0)", slope, at);
    return weft_out(b, 0, core_map(b, x, "%s%s", limited, below));
}
static const weft_attr relu_attrs[] = {
    { "negative_slope", WEFT_FLOAT, 0, "0.0", NULL, "slope below the threshold" },
    { "max_value", WEFT_FLOAT, WEFT_NULLABLE, "none", "0..", "largest result" },
    { "threshold", WEFT_FLOAT, 0, "0.0", NULL, "below it the slope is negative_slope" },
    { 0 }
};
FUNCTION_WITH(relu, "relu", relu_attrs, "max(x, 0), with slope, limit and threshold");

static weft_status build_leaky_relu(weft_build *b)
{
    return weft_out(
        b, 0, core_map(b, float_in(b), "select(a>=0,a,%s*a)", b->api->attr_s(b, "negative_slope")));
}
static const weft_attr leaky_attrs[] = {
    { "negative_slope", WEFT_FLOAT, 0, "0.2", NULL, "slope for x < 0" }, { 0 }
};
FUNCTION_WITH(leaky_relu, "leaky_relu", leaky_attrs, "x, or negative_slope x for x < 0");

static weft_status build_elu(weft_build *b)
{
    return weft_out(b, 0,
                    core_map(b, weft_in(b, 0), "select(a>0,a,%s*expm1(select(a>0,0,a)))",
                             b->api->attr_s(b, "alpha")));
}
static const weft_attr alpha_attrs[] = {
    { "alpha", WEFT_FLOAT, 0, "1.0", NULL, "scale of the negative part" }, { 0 }
};
FUNCTION_WITH(elu, "elu", alpha_attrs, "x, or alpha (exp(x) - 1) for x < 0");

static weft_status build_celu(weft_build *b)
{
    const char *alpha = b->api->attr_s(b, "alpha");

    if (b->api->attr_f(b, "alpha") == 0)
        return weft_failf(b, WEFT_E_ATTR, "alpha is 0, and celu divides by it");
    return weft_out(
        b, 0,
        core_map(b, weft_in(b, 0), "select(a>0,a,%s*expm1(select(a>0,0,a)/%s))", alpha, alpha));
}
FUNCTION_WITH(celu, "celu", alpha_attrs, "max(x, 0) + min(0, alpha (exp(x / alpha) - 1))");

static weft_status build_gelu(weft_build *b)
{
    return weft_out(b, 0,
                    core_map(b, weft_in(b, 0), "%s",
                             b->api->attr_i(b, "approximate")
                                 ? "0.5*a*(1+tanh(0.7978845608028654*(a+0.044715*a*a*a)))"
                                 : "0.5*a*(1+erf(0.7071067811865476*a))"));
}
static const weft_attr gelu_attrs[] = {
    { "approximate", WEFT_FLAG, 0, "false", NULL, "by tanh instead of erf" }, { 0 }
};
FUNCTION_WITH(gelu, "gelu", gelu_attrs, "x P(X <= x), X normal");

static weft_status build_squareplus(weft_build *b)
{
    return weft_out(b, 0,
                    core_map(b, weft_in(b, 0), "0.5*(a+sqrt(a*a+%s))", b->api->attr_s(b, "b")));
}
static const weft_attr squareplus_attrs[] = { { "b", WEFT_FLOAT, 0, "4.0", "0..", "smoothness" },
                                              { 0 } };
FUNCTION_WITH(squareplus, "squareplus", squareplus_attrs, "(x + sqrt(x^2 + b)) / 2");

static weft_status build_hard_shrink(weft_build *b)
{
    return weft_out(
        b, 0, core_map(b, float_in(b), "select(abs(a)>%s,a,0)", b->api->attr_s(b, "threshold")));
}
static const weft_attr shrink_attrs[] = {
    { "threshold", WEFT_FLOAT, 0, "0.5", NULL, "half of the width that becomes 0" }, { 0 }
};
FUNCTION_WITH(hard_shrink, "hard_shrink", shrink_attrs, "x, or 0 for |x| <= threshold");

static weft_status build_soft_shrink(weft_build *b)
{
    const char *t = b->api->attr_s(b, "threshold");

    return weft_out(b, 0,
                    core_map(b, float_in(b), "select(abs(a)>%s,sign(a)*(abs(a)-%s),0)", t, t));
}
FUNCTION_WITH(soft_shrink, "soft_shrink", shrink_attrs, "sign(x) (|x| - threshold), or 0 inside");

static weft_status build_threshold(weft_build *b)
{
    return weft_out(b, 0,
                    core_map(b, float_in(b), "select(a>%s,a,%s)", b->api->attr_s(b, "threshold"),
                             b->api->attr_s(b, "default_value")));
}
static const weft_attr threshold_attrs[] = {
    { "threshold", WEFT_FLOAT, 0, NULL, NULL, "x up to it is replaced" },
    { "default_value", WEFT_FLOAT, 0, NULL, NULL, "by this" },
    { 0 }
};
FUNCTION_WITH(threshold, "threshold", threshold_attrs, "x, or default_value for x <= threshold");

static const weft_attr axis_attrs[] = {
    { "axis", WEFT_INT, 0, "-1", NULL, "the axis along which it works" }, { 0 }
};
static weft_status build_softmax(weft_build *b)
{
    return weft_out(b, 0,
                    weft_opf(b, "softmax", float_in(b), "axis=%d", (int)b->api->attr_i(b, "axis")));
}
FUNCTION_WITH(softmax, "softmax", axis_attrs, "exp(x) / sum(exp(x))");
static weft_status build_log_softmax(weft_build *b)
{
    return weft_out(
        b, 0, weft_opf(b, "log_softmax", float_in(b), "axis=%d", (int)b->api->attr_i(b, "axis")));
}
FUNCTION_WITH(log_softmax, "log_softmax", axis_attrs, "log(softmax(x))");

/* The positive number of an axis attribute, or -1 after a failure. */
static int get_axis(weft_build *b, const weft_spec *s)
{
    int64_t axis = b->api->attr_i(b, "axis");

    if (axis < -s->rank || axis >= s->rank) {
        weft_failf(b, WEFT_E_ATTR, "axis is %lld, the input has rank %d", (long long)axis,
                   (int)s->rank);
        return -1;
    }
    return (int)(axis < 0 ? axis + s->rank : axis);
}

static weft_status build_glu(weft_build *b)
{
    weft_val x = weft_in(b, 0), half[2];
    weft_spec s;
    char begin[256], size[256];
    int axis, i;

    if (b->api->spec(b, x, &s) || (axis = get_axis(b, &s)) < 0) return weft_out(b, 0, 0);
    if (s.dim[axis] < 0 || s.dim[axis] % 2)
        return weft_failf(b, WEFT_E_SHAPE,
                          "axis %d has size %lld; glu halves it: it must be an even number", axis,
                          (long long)s.dim[axis]);
    s.dim[axis] /= 2;
    weft_ints_text(size, sizeof size, s.dim, (uint32_t)s.rank);
    for (i = 0; i < 2; i++) {
        int64_t first[WEFT_MAX_RANK] = { 0 };

        first[axis] = i * s.dim[axis];
        half[i] = weft_opf(b, "slice", x, "begin=%s size=%s",
                           weft_ints_text(begin, sizeof begin, first, (uint32_t)s.rank), size);
    }
    return weft_out(b, 0, weft_mul(b, half[0], weft_sigmoid(b, half[1])));
}
FUNCTION_WITH(glu, "glu", axis_attrs, "first half times sigmoid(second half) along the axis");

/* 0, 1, .. n - 1 along one axis of a tensor of that rank. */
static weft_val positions(weft_build *b, int32_t rank, int axis, int64_t n)
{
    float value[MAX_SPARSEMAX];
    weft_spec s = { .dtype = WEFT_F32, .rank = rank };
    int64_t i;

    for (i = 0; i < rank; i++)
        s.dim[i] = i == axis ? n : 1;
    for (i = 0; i < n; i++)
        value[i] = (float)i;
    return b->api->constant(b, &s, value);
}

/* Keras's sparsemax. In descending order, element number r (from 1) with z_1 + .. + z_r = S_r is in
 * the support if z_r - (S_r - 1) / r > 0; tau = (sum of S_r over the support - 1) / its size; y =
 * max(z - tau, 0). (Martins and Astudillo 2016 have the last S_r of the support in place of their
 * sum; models were trained with Keras's.) Without sorting: r_i counts and S_i sums the z_j that are
 * larger than z_i, or equal and not behind it. */
static weft_status build_sparsemax(weft_build *b)
{
    weft_val x = weft_in(b, 0), zi, zj, before, r, sum, in, tau;
    weft_spec s, wide;
    int axis, i;

    if (!(x = weft_float(b, x, &s)) || (axis = get_axis(b, &s)) < 0) return weft_out(b, 0, 0);
    if (s.rank == WEFT_MAX_RANK || s.dim[axis] < 0 || s.dim[axis] > MAX_SPARSEMAX)
        return weft_failf(b, WEFT_E_SHAPE,
                          "sparsemax works up to rank %d, along axes of a fixed size up to %d",
                          WEFT_MAX_RANK - 1, MAX_SPARSEMAX);
    wide = s;
    wide.rank++;
    for (i = s.rank; i > axis + 1; i--)
        wide.dim[i] = s.dim[i - 1];
    wide.dim[axis + 1] = 1;
    zi = weft_op_ints(b, "reshape", x, "shape", wide.dim, wide.rank);
    wide.dim[axis + 1] = s.dim[axis];
    wide.dim[axis] = 1;
    zj = weft_op_ints(b, "reshape", x, "shape", wide.dim, wide.rank);
    before = weft_op_(b, "map", "expr=\"select(b>a,1,select(b==a,select(d<=c,1,0),0))\"", zi, zj,
                      positions(b, wide.rank, axis, s.dim[axis]),
                      positions(b, wide.rank, axis + 1, s.dim[axis]));
    before = weft_op_(b, "map", "expr=\"f32(a)\"", before);
    r = weft_opf(b, "reduce", before, "fn=sum axes=(%d)", axis + 1);
    sum = weft_opf(b, "reduce", weft_mul(b, before, zj), "fn=sum axes=(%d)", axis + 1);
    in = weft_op_(b, "map", "expr=\"f32(a-(c-1)/b>0)\"", x, r, sum);
    tau = weft_op_(
        b, "map", "expr=\"(a-1)/b\"",
        weft_opf(b, "reduce", weft_mul(b, in, sum), "fn=sum axes=(%d) keepdims=true", axis),
        weft_opf(b, "reduce", in, "fn=sum axes=(%d) keepdims=true", axis));
    return weft_out(b, 0, weft_op_(b, "map", "expr=\"max(a-b,0)\"", x, tau));
}
FUNCTION_WITH(sparsemax, "sparsemax", axis_attrs,
              "softmax's sparse relative, as Keras computes it");
