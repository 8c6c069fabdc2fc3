/* Conv1D Conv2D Conv3D, DepthwiseConv and SeparableConv: cross-correlation over NHWC with HWIO
 * kernels (Keras, layers/convolutional). */
#include "conv.h"

/* The kernel's spec: spatial sizes, then the two given ones. */
static weft_spec kernel_spec(const conv_layer *c, int64_t in, int64_t out)
{
    weft_spec w = { .dtype = c->s.dtype, .rank = c->axes + 2 };
    int i;

    for (i = 0; i < c->axes; i++)
        w.dim[i] = c->window[i].size;
    w.dim[c->axes] = in;
    w.dim[c->axes + 1] = out;
    return w;
}

static weft_status build_conv(weft_build *b, int axes)
{
    int64_t filters = b->api->attr_i(b, "filters"), groups = b->api->attr_i(b, "groups");
    conv_layer c;
    weft_spec w;

    if (conv_begin(b, axes, &c)) return weft_out(b, 0, 0);
    if (c.channels % groups || filters % groups)
        return weft_failf(b, WEFT_E_SHAPE,
                          "groups=%lld must divide the %lld channels of the input and the %lld "
                          "filters",
                          (long long)groups, (long long)c.channels, (long long)filters);
    w = kernel_spec(&c, c.channels / groups, filters);
    return conv_end(
        b, &c,
        conv_op(b, &c, c.x,
                b->api->variable(b, "kernel", &w, b->api->attr_s(b, "kernel_initializer"),
                                 WEFT_TRAINABLE),
                groups),
        filters);
}

/* One kernel a channel, `multiplier` results each: a convolution in as many groups as there are
 * channels; result channel * multiplier + m, so the kernel (.., channels, m) is read as (.., 1,
 * channels * m). */
static weft_val depthwise(weft_build *b, const conv_layer *c, const char *variable,
                          const char *initializer)
{
    int64_t multiplier = b->api->attr_i(b, "depth_multiplier");
    weft_spec w = kernel_spec(c, c->channels, multiplier);
    weft_val kernel =
        b->api->variable(b, variable, &w, b->api->attr_s(b, initializer), WEFT_TRAINABLE);

    w.dim[c->axes] = 1;
    w.dim[c->axes + 1] = c->channels * multiplier;
    kernel = weft_op_ints(b, "reshape", kernel, "shape", w.dim, w.rank);
    return conv_op(b, c, c->x, kernel, c->channels);
}

static weft_status build_depthwise(weft_build *b, int axes)
{
    conv_layer c;

    if (conv_begin(b, axes, &c)) return weft_out(b, 0, 0);
    return conv_end(b, &c, depthwise(b, &c, "kernel", "depthwise_initializer"),
                    c.channels * b->api->attr_i(b, "depth_multiplier"));
}

static weft_status build_separable(weft_build *b, int axes)
{
    int64_t filters = b->api->attr_i(b, "filters");
    conv_layer c, point = { .axes = axes };
    weft_spec w;
    weft_val y;
    int i;

    if (conv_begin(b, axes, &c)) return weft_out(b, 0, 0);
    y = depthwise(b, &c, "depthwise_kernel", "depthwise_initializer");
    point.s.dtype = c.s.dtype;
    for (i = 0; i < axes; i++)
        point.window[i] = (weft_window){ .size = 1, .stride = 1, .dilation = 1 };
    w = kernel_spec(&point, c.channels * b->api->attr_i(b, "depth_multiplier"), filters);
    y = conv_op(b, &point, y,
                b->api->variable(b, "pointwise_kernel", &w,
                                 b->api->attr_s(b, "pointwise_initializer"), WEFT_TRAINABLE),
                1);
    return conv_end(b, &c, y, filters);
}

#define NONE(name)                                                               \
    {                                                                            \
        name, WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, "used in training" \
    }
#define WINDOWS(paddings)                                                                      \
    { "kernel_size", WEFT_INTS, 0, NULL, "1..", "of the window: one number, or one an axis" }, \
        { "strides", WEFT_INTS, 0, "(1)", "1..", "how far the window moves" },                 \
        { "padding", WEFT_STRING, 0, "valid", paddings, "zeros around the input" },            \
        WEFT_DATA_FORMAT,                                                                      \
    {                                                                                          \
        "dilation_rate", WEFT_INTS, 0, "(1)", "1..", "distance of the window's elements"       \
    }
#define RESULT                                                                                   \
    {                                                                                            \
        "activation",  WEFT_LAYER_CONFIG,                                                        \
        WEFT_NULLABLE, "none",                                                                   \
        NULL,          "a layer applied to the result"                                           \
    },                                                                                           \
        { "use_bias", WEFT_FLAG, 0, "true", NULL, "add a vector to the result" },                \
        { "bias_initializer", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "first values of the bias" }, \
        NONE("bias_regularizer"), NONE("activity_regularizer"), NONE("bias_constraint")
#define FILTERS                                                       \
    {                                                                 \
        "filters", WEFT_INT, 0, NULL, "1..", "channels of the result" \
    }
#define MULTIPLIER                                                                     \
    {                                                                                  \
        "depth_multiplier", WEFT_INT, 0, "1", "1..1000000", "results for each channel" \
    }
#define INITIALIZER(name)                                                                \
    {                                                                                    \
        name, WEFT_LAYER_CONFIG, 0, "glorot_uniform", NULL, "first values of the kernel" \
    }
#define DEPTHWISE                                                        \
    INITIALIZER("depthwise_initializer"), NONE("depthwise_regularizer"), \
        NONE("depthwise_constraint")
#define CONV(paddings)                                                                \
    {                                                                                 \
        FILTERS, WINDOWS(paddings),                                                   \
            { "groups", WEFT_INT, 0, "1", "1..", "channels are split into" }, RESULT, \
            INITIALIZER("kernel_initializer"), NONE("kernel_regularizer"),            \
            NONE("kernel_constraint"),                                                \
        {                                                                             \
            0                                                                         \
        }                                                                             \
    }

static const weft_attr causal_attrs[] = CONV("valid|same|causal"),
                       conv_attrs[] = CONV("valid|same");
static const weft_attr depthwise_attrs[] = {
    WINDOWS("valid|same"), MULTIPLIER, RESULT, DEPTHWISE, { 0 }
};
#define SEPARABLE(paddings)                                                      \
    {                                                                            \
        FILTERS, WINDOWS(paddings), MULTIPLIER, RESULT, DEPTHWISE,               \
            INITIALIZER("pointwise_initializer"), NONE("pointwise_regularizer"), \
            NONE("pointwise_constraint"),                                        \
        {                                                                        \
            0                                                                    \
        }                                                                        \
    }
static const weft_attr separable_1d_attrs[] = SEPARABLE("valid|same|causal"),
                       separable_2d_attrs[] = SEPARABLE("valid|same");

#define LAYER(id, label, axes, family, attributes, text) \
    WEFT_SPATIAL_LAYER(conv_##id, label, family(b, axes), attributes, text)
LAYER(conv_1d, "Conv1D", 1, build_conv, causal_attrs,
      "convolution over steps; kernel (k, channels/groups, filters)");
LAYER(conv_2d, "Conv2D", 2, build_conv, conv_attrs,
      "convolution; kernel (kh, kw, channels/groups, filters)");
LAYER(conv_3d, "Conv3D", 3, build_conv, conv_attrs,
      "convolution; kernel (kd, kh, kw, channels/groups, filters)");
LAYER(depthwise_conv_1d, "DepthwiseConv1D", 1, build_depthwise, depthwise_attrs,
      "a kernel for each channel");
LAYER(depthwise_conv_2d, "DepthwiseConv2D", 2, build_depthwise, depthwise_attrs,
      "a kernel for each channel");
LAYER(separable_conv_1d, "SeparableConv1D", 1, build_separable, separable_1d_attrs,
      "a kernel for each channel, then a mixture of the channels");
LAYER(separable_conv_2d, "SeparableConv2D", 2, build_separable, separable_2d_attrs,
      "a kernel for each channel, then a mixture of the channels");
