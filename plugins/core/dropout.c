/* Layers that change something in training only (Keras, layers/regularization): Dropout and its
 * kin. In inference they hand x through. */
#include <math.h>
#include <weft/spatial.h>
#include "core.h"

/* Random numbers of that shape: of the layer's own stream, or of the one that `seed` names. */
static weft_val draw(weft_build *b, const char *dist, const weft_spec *shape)
{
    static const weft_spec pair = { WEFT_I64, 1, { 2 } };
    char text[256], attrs[320];
    weft_val stream[2];
    int64_t key[2] = { b->api->attr_i(b, "seed"), 0 };

    if (b->api->random(b, stream)) return 0;
    if (b->api->attr_s(b, "seed")) stream[0] = b->api->constant(b, &pair, key);
    snprintf(attrs, sizeof attrs, "dist=%s shape=%s", dist,
             weft_ints_text(text, sizeof text, shape->dim, (uint32_t)shape->rank));
    return b->api->op(b, "random", attrs, stream, 2, NULL, 0);
}

/* x where the random numbers say that it stays, else `other`. */
static weft_val keep(weft_build *b, weft_val x, const weft_spec *mask, double other)
{
    weft_val in[3];

    in[0] = weft_op2(b, "ge", draw(b, "uniform", mask), weft_scalar(b, b->api->attr_f(b, "rate")));
    in[1] = x;
    in[2] = weft_scalar(b, other);
    return b->api->op(b, "select", NULL, in, 3, NULL, 0);
}

/* Normal noise in x's shape. */
static weft_val noise(weft_build *b, weft_val x, double stddev)
{
    weft_spec s;

    if (b->api->spec(b, x, &s)) return 0;
    return weft_mul(b, draw(b, "normal", &s), weft_scalar(b, stddev));
}

/* y = x / (1 - rate) where u >= rate, else 0; u uniform, of the mask's shape. */
static weft_status drop(weft_build *b, const weft_spec *mask)
{
    double rate = b->api->attr_f(b, "rate");
    weft_val x = weft_in(b, 0);

    if (!b->api->training(b) || rate == 0) return weft_out(b, 0, x);
    if (rate == 1) return weft_out(b, 0, weft_mul(b, x, weft_scalar(b, 0)));
    return weft_out(b, 0, keep(b, weft_mul(b, x, weft_scalar(b, 1 / (1 - rate))), mask, 0));
}

/* The mask's shape: x's, but what noise_shape says otherwise. */
static weft_status mask_shape(weft_build *b, weft_spec *mask)
{
    int64_t dims[WEFT_MAX_RANK];
    uint32_t n = b->api->attr_v(b, "noise_shape", dims, WEFT_MAX_RANK), i;

    if (b->api->spec(b, weft_in(b, 0), mask)) return WEFT_E_SHAPE;
    if (!b->api->attr_s(b, "noise_shape")) return WEFT_OK;
    if (n != (uint32_t)mask->rank)
        return weft_failf(b, WEFT_E_ATTR, "noise_shape has %u numbers, the input rank %d",
                          (unsigned)n, (int)mask->rank);
    for (i = 0; i < n; i++) {
        if (dims[i] == 1)
            mask->dim[i] = 1;
        else if (dims[i] != mask->dim[i] && dims[i] != WEFT_BATCH)
            return weft_failf(b, WEFT_E_ATTR,
                              "noise_shape has %lld at axis %u; 1 and the input's own size fit",
                              (long long)dims[i], (unsigned)i);
    }
    return WEFT_OK;
}

static weft_status build_dropout(weft_build *b)
{
    weft_spec mask;

    return mask_shape(b, &mask) ? weft_out(b, 0, 0) : drop(b, &mask);
}

/* Whole channels: the mask is 1 along every axis between the batch and them. */
static weft_status build_spatial(weft_build *b)
{
    const char *format = b->api->attr_s(b, "data_format");
    weft_spec mask;
    int32_t i, channels;

    if (b->api->spec(b, weft_in(b, 0), &mask)) return WEFT_E_SHAPE;
    channels = format && format[9] == 'f' ? 1 : mask.rank - 1; /* "channels_first" */
    for (i = 1; i < mask.rank; i++)
        if (i != channels) mask.dim[i] = 1;
    return drop(b, &mask);
}

/* Dropped elements take selu's negative limit; then a x + b, which keeps mean and variance
 * (Klambauer et al. 2017, section 3). */
static weft_status build_alpha(weft_build *b)
{
    const double limit = -1.6732632423543772 * 1.0507009873554805;
    double rate = b->api->attr_f(b, "rate"), scale = 0;
    weft_val x = weft_in(b, 0);
    weft_spec mask;

    if (!b->api->training(b) || rate == 0) return weft_out(b, 0, x);
    if (mask_shape(b, &mask)) return weft_out(b, 0, 0);
    if (rate < 1) scale = 1 / sqrt((1 - rate) * (1 + rate * limit * limit));
    x = keep(b, x, &mask, limit);
    x = weft_mul(b, x, weft_scalar(b, scale));
    return weft_out(b, 0, weft_add(b, x, weft_scalar(b, -scale * limit * rate)));
}

static weft_status build_gaussian_dropout(weft_build *b)
{
    double rate = b->api->attr_f(b, "rate");
    weft_val x = weft_in(b, 0), factor;

    if (!b->api->training(b) || rate == 0) return weft_out(b, 0, x);
    if (rate == 1) return weft_failf(b, WEFT_E_ATTR, "rate=1: noise without end; give less than 1");
    factor = weft_add(b, noise(b, x, sqrt(rate / (1 - rate))), weft_scalar(b, 1));
    return weft_out(b, 0, weft_mul(b, x, factor));
}

static weft_status build_gaussian_noise(weft_build *b)
{
    double stddev = b->api->attr_f(b, "stddev");
    weft_val x = weft_in(b, 0);

    if (!b->api->training(b) || stddev == 0) return weft_out(b, 0, x);
    return weft_out(b, 0, weft_add(b, x, noise(b, x, stddev)));
}

static weft_val sum_of(weft_build *b, const char *fn, weft_val x, double factor)
{
    x = weft_opf(b, "reduce", weft_op1(b, fn, x), "fn=sum");
    return weft_mul(b, x, weft_scalar(b, factor));
}

static weft_status build_regularization(weft_build *b)
{
    double l1 = b->api->attr_f(b, "l1"), l2 = b->api->attr_f(b, "l2");
    weft_val x = weft_in(b, 0);

    if (b->api->training(b) && l1 > 0) b->api->add_loss(b, sum_of(b, "abs", x, l1));
    if (b->api->training(b) && l2 > 0) b->api->add_loss(b, sum_of(b, "square", x, l2));
    return weft_out(b, 0, x);
}

#define SEED                                                                   \
    {                                                                          \
        "seed", WEFT_INT, WEFT_NULLABLE, "none", NULL, "of the random numbers" \
    }

static const weft_attr dropout_attrs[] = {
    { "rate", WEFT_FLOAT, 0, NULL, "0..1", "share of the elements that become 0 in training" },
    SEED,
    { "noise_shape", WEFT_INTS, WEFT_NULLABLE, "none", NULL, "shape of the mask, broadcast to x" },
    { 0 }
};
WEFT_UNARY_LAYER(core_dropout, "Dropout", dropout_attrs, build_dropout,
                 "x; in training some elements are 0");
WEFT_UNARY_LAYER(core_alpha_dropout, "AlphaDropout", dropout_attrs, build_alpha,
                 "x; in training some elements take selu's negative limit");

static const weft_attr spatial_attrs[] = { { "rate", WEFT_FLOAT, 0, NULL, "0..1",
                                             "share of the channels that become 0 in training" },
                                           SEED,
                                           WEFT_DATA_FORMAT,
                                           { 0 } };
WEFT_UNARY_LAYER(core_spatial_dropout_1d, "SpatialDropout1D", spatial_attrs, build_spatial,
                 "x; in training some channels are 0");
WEFT_UNARY_LAYER(core_spatial_dropout_2d, "SpatialDropout2D", spatial_attrs, build_spatial,
                 "x; in training some channels are 0");
WEFT_UNARY_LAYER(core_spatial_dropout_3d, "SpatialDropout3D", spatial_attrs, build_spatial,
                 "x; in training some channels are 0");

static const weft_attr rate_attrs[] = {
    { "rate", WEFT_FLOAT, 0, NULL, "0..1", "strength of the noise in training" }, SEED, { 0 }
};
WEFT_UNARY_LAYER(core_gaussian_dropout, "GaussianDropout", rate_attrs, build_gaussian_dropout,
                 "x; in training times normal noise about 1");

static const weft_attr stddev_attrs[] = {
    { "stddev", WEFT_FLOAT, 0, NULL, "0..", "of the noise in training" }, SEED, { 0 }
};
WEFT_UNARY_LAYER(core_gaussian_noise, "GaussianNoise", stddev_attrs, build_gaussian_noise,
                 "x; in training plus normal noise");

static const weft_attr regularization_attrs[] = {
    { "l1", WEFT_FLOAT, 0, "0.0", "0..", "factor of sum |x|" },
    { "l2", WEFT_FLOAT, 0, "0.0", "0..", "factor of sum x^2" },
    { 0 }
};
WEFT_UNARY_LAYER(core_activity_regularization, "ActivityRegularization", regularization_attrs,
                 build_regularization, "x; adds l1 sum |x| + l2 sum x^2 to the loss in training");
