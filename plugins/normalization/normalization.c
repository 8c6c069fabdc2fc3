/* BatchNormalization (Keras, layers/normalization): in inference y = gamma (x - mean) /
 * sqrt(variance + epsilon)
 * + beta with the moving statistics. What depends on variables alone runs once, in the plan's
 * prologue. */
#include <weft/plugin.h>

/* The variables have the size of the axis; in x's rank they lie along it. */
static weft_val along(weft_build *b, weft_val v, int64_t size, int32_t rank, int32_t axis)
{
    int64_t shape[WEFT_MAX_RANK];
    int32_t i;

    if (axis == rank - 1) return v;
    for (i = 0; i < rank; i++)
        shape[i] = i == axis ? size : 1;
    return weft_op_ints(b, "reshape", v, "shape", shape, rank);
}

static weft_status get_axis(weft_build *b, const weft_spec *s, int32_t *axis)
{
    int64_t v[2];
    uint32_t n = b->api->attr_v(b, "axis", v, 2);

    if (n != 1 || v[0] < -s->rank || v[0] >= s->rank)
        return weft_failf(b, WEFT_E_ATTR, "axis=%s; give one axis of an input of rank %d",
                          b->api->attr_s(b, "axis"), (int)s->rank);
    *axis = (int32_t)(v[0] < 0 ? v[0] + s->rank : v[0]);
    if (s->dim[*axis] < 0)
        return weft_failf(b, WEFT_E_SHAPE,
                          "axis %d of the input has no fixed size, and the variables' shape "
                          "depends on it",
                          (int)*axis);
    return WEFT_OK;
}

/* Creation order is Keras's: gamma, beta, moving_mean, moving_variance. */
static weft_status build_batch_normalization(weft_build *b)
{
    const weft_build_api *api = b->api;
    weft_val x = weft_in(b, 0), gamma = 0, beta = 0, mean, variance, scale;
    weft_spec s, v = { .rank = 1 };
    int32_t axis = 0;

    if (!(x = weft_float(b, x, &s)) || get_axis(b, &s, &axis)) return weft_out(b, 0, 0);
    v.dtype = s.dtype;
    v.dim[0] = s.dim[axis];
    if (api->attr_i(b, "scale"))
        gamma = api->variable(b, "gamma", &v, api->attr_s(b, "gamma_initializer"), WEFT_TRAINABLE);
    if (api->attr_i(b, "center"))
        beta = api->variable(b, "beta", &v, api->attr_s(b, "beta_initializer"), WEFT_TRAINABLE);
    mean =
        api->variable(b, "moving_mean", &v, api->attr_s(b, "moving_mean_initializer"), WEFT_STATE);
    variance = api->variable(b, "moving_variance", &v,
                             api->attr_s(b, "moving_variance_initializer"), WEFT_STATE);
    if (api->training(b))
        return weft_failf(b, WEFT_E_UNSUPPORTED,
                          "BatchNormalization cannot be trained in this version");
    scale = weft_op1(b, "rsqrt", weft_add(b, variance, weft_scalar(b, api->attr_f(b, "epsilon"))));
    if (gamma) scale = weft_mul(b, scale, gamma);
    x = weft_mul(b, weft_sub(b, x, along(b, mean, s.dim[axis], s.rank, axis)),
                 along(b, scale, s.dim[axis], s.rank, axis));
    if (beta) x = weft_add(b, x, along(b, beta, s.dim[axis], s.rank, axis));
    return weft_out(b, 0, x);
}

#define INITIALIZER(name, def)                                \
    {                                                         \
        name, WEFT_LAYER_CONFIG, 0, def, NULL, "first values" \
    }
#define NONE(name)                                                               \
    {                                                                            \
        name, WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, "used in training" \
    }
static const weft_attr attrs[] = {
    { "axis", WEFT_INTS, 0, "(-1)", NULL,
      "the axis that keeps its statistics, usually the channels" },
    { "momentum", WEFT_FLOAT, 0, "0.99", "0..1", "of the moving statistics, in training" },
    { "epsilon", WEFT_FLOAT, 0, "0.001", "0..", "added to the variance" },
    { "center", WEFT_FLAG, 0, "true", NULL, "add beta" },
    { "scale", WEFT_FLAG, 0, "true", NULL, "multiply by gamma" },
    INITIALIZER("beta_initializer", "zeros"),
    INITIALIZER("gamma_initializer", "ones"),
    INITIALIZER("moving_mean_initializer", "zeros"),
    INITIALIZER("moving_variance_initializer", "ones"),
    NONE("beta_regularizer"),
    NONE("gamma_regularizer"),
    NONE("beta_constraint"),
    NONE("gamma_constraint"),
    { "synchronized", WEFT_FLAG, 0, "false", NULL, "means something on several devices only" },
    { 0 }
};
static WEFT_UNARY_LAYER(
    batch_normalization, "BatchNormalization", attrs, build_batch_normalization,
    "x brought to mean 0 and variance 1 along every axis but one, then gamma x + beta");
static const weft_layer_class *const layers[] = { &batch_normalization, NULL };

WEFT_PLUGIN(normalization, .version = "0.1.0", .author = "the Weft authors",
            .license = "Apache-2.0", .layers = layers);
