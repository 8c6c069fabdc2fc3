/* The convolution family. */
#ifndef WEFT_PLUGINS_CONV_H
#define WEFT_PLUGINS_CONV_H
#include <weft/plugin.h>
#include <weft/spatial.h>
#include <weft/window.h>

/* clang-format off */
#define CONV_LAYERS(X) \
    X(conv_1d) X(conv_2d) X(conv_3d) X(depthwise_conv_1d) X(depthwise_conv_2d) \
    X(separable_conv_1d) X(separable_conv_2d)
/* clang-format on */
#define CONV_DECLARE(id) extern const weft_layer_class conv_##id;
CONV_LAYERS(CONV_DECLARE)
#undef CONV_DECLARE

/* One convolution layer's attributes and its input, brought to channels_last. */
typedef struct conv_layer {
    int axes; /* how many spatial ones */
    weft_val x;
    weft_spec s; /* of x */
    int64_t channels;
    weft_window window[3]; /* with padding for x */
} conv_layer;
weft_status conv_begin(weft_build *b, int axes, conv_layer *c);
/* The op conv of x with w, in `groups` groups, by c's windows. */
weft_val conv_op(weft_build *b, const conv_layer *c, weft_val x, weft_val w, int64_t groups);
/* Adds the bias, applies the activation, restores channels_first, sets the result. */
weft_status conv_end(weft_build *b, const conv_layer *c, weft_val y, int64_t filters);
#endif
