/* BatchNormalization (Keras, layers/normalization): y = gamma (x - mean) / sqrt(variance + epsilon)
 * + beta, with the moving statistics in inference (what depends on variables alone runs once, in
 * the plan's prologue), with those of the batch in training, which the moving ones follow. A frozen
 * layer behaves as in inference. */
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

/* Mean and variance (biased) over all axes but one, of its size. */
static void moments(weft_build *b, weft_val x, const weft_spec *s, int32_t axis, weft_val *mean,
                    weft_val *variance)
{
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = 0;
    char list[256];
    weft_val centred;
    int32_t i;

    for (i = 0; i < s->rank; i++)
        if (i != axis) axes[n++] = i;
    weft_ints_text(list, sizeof list, axes, n);
    *mean = weft_opf(b, "reduce", x, "fn=mean axes=%s", list);
    centred = weft_sub(b, x, along(b, *mean, s->dim[axis], s->rank, axis));
    *variance = weft_opf(b, "reduce", weft_op1(b, "square", centred), "fn=mean axes=%s", list);
}

/* The moving value a step later: value momentum + now (1 - momentum). */
static weft_val follow(weft_build *b, weft_val value, weft_val now)
{
    double momentum = b->api->attr_f(b, "momentum");

    return weft_add(b, weft_mul(b, value, weft_scalar(b, momentum)),
                    weft_mul(b, now, weft_scalar(b, 1 - momentum)));
}

/* Creation order is Keras's: gamma, beta, moving_mean, moving_variance. */
static weft_status build_batch_normalization(weft_build *b)
{
    const weft_build_api *api = b->api;
    weft_val x = weft_in(b, 0), gamma = 0, beta = 0, mean, variance, scale;
    weft_spec s, v = { .rank = 1 };
    int32_t axis;

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
    if (api->training(b) && api->trainable(b)) {
        weft_val seen = mean, spread = variance;

        moments(b, x, &s, axis, &mean, &variance);
        api->assign(b, seen, follow(b, seen, mean));
        api->assign(b, spread, follow(b, spread, variance));
    }
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
