/* Layers that change something in training only: Dropout and its kin. In inference they hand x
 * through. */
#include <weft/spatial.h>
#include "core.h"

/* In training the layer needs random numbers, which the builder refuses by a clear error of its
 * own. */
static weft_status build_noise(weft_build *b)
{
    weft_val x = weft_in(b, 0);

    if (b->api->training(b)) x = b->api->random(b);
    return weft_out(b, 0, x);
}
static weft_status build_regularization(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
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
WEFT_UNARY_LAYER(core_dropout, "Dropout", dropout_attrs, build_noise,
                 "x; in training some elements are 0");
WEFT_UNARY_LAYER(core_alpha_dropout, "AlphaDropout", dropout_attrs, build_noise,
                 "x; in training some elements take selu's negative limit");

static const weft_attr spatial_attrs[] = { { "rate", WEFT_FLOAT, 0, NULL, "0..1",
                                             "share of the channels that become 0 in training" },
                                           SEED,
                                           WEFT_DATA_FORMAT,
                                           { 0 } };
WEFT_UNARY_LAYER(core_spatial_dropout_1d, "SpatialDropout1D", spatial_attrs, build_noise,
                 "x; in training some channels are 0");
WEFT_UNARY_LAYER(core_spatial_dropout_2d, "SpatialDropout2D", spatial_attrs, build_noise,
                 "x; in training some channels are 0");
WEFT_UNARY_LAYER(core_spatial_dropout_3d, "SpatialDropout3D", spatial_attrs, build_noise,
                 "x; in training some channels are 0");

static const weft_attr rate_attrs[] = {
    { "rate", WEFT_FLOAT, 0, NULL, "0..1", "strength of the noise in training" }, SEED, { 0 }
};
WEFT_UNARY_LAYER(core_gaussian_dropout, "GaussianDropout", rate_attrs, build_noise,
                 "x; in training times normal noise about 1");

static const weft_attr stddev_attrs[] = {
    { "stddev", WEFT_FLOAT, 0, NULL, "0..", "of the noise in training" }, SEED, { 0 }
};
WEFT_UNARY_LAYER(core_gaussian_noise, "GaussianNoise", stddev_attrs, build_noise,
                 "x; in training plus normal noise");

static const weft_attr regularization_attrs[] = {
    { "l1", WEFT_FLOAT, 0, "0.0", "0..", "factor of sum |x|" },
    { "l2", WEFT_FLOAT, 0, "0.0", "0..", "factor of sum x^2" },
    { 0 }
};
WEFT_UNARY_LAYER(core_activity_regularization, "ActivityRegularization", regularization_attrs,
                 build_regularization, "x; adds l1 sum |x| + l2 sum x^2 to the loss in training");
