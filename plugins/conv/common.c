/* What all convolution layers share: windows from attributes, channels_first, bias and activation.
 */
#include <string.h>
#include "conv.h"

/* One number, or one for each spatial axis. */
static weft_status get_sizes(weft_build *b, const char *name, int axes, int64_t *values)
{
    uint32_t n = b->api->attr_v(b, name, values, 3);
    int i;

    if (n != 1 && n != (uint32_t)axes)
        return weft_failf(b, WEFT_E_ATTR, "%s=%s; give one number or %d", name,
                          b->api->attr_s(b, name), axes);
    for (i = (int)n; i < axes; i++)
        values[i] = values[0];
    return WEFT_OK;
}

static weft_status get_windows(weft_build *b, conv_layer *c)
{
    int64_t size[3], stride[3], dilation[3];
    const char *padding = b->api->attr_s(b, "padding");
    int i, strided = 0, dilated = 0;

    if (get_sizes(b, "kernel_size", c->axes, size) || get_sizes(b, "strides", c->axes, stride) ||
        get_sizes(b, "dilation_rate", c->axes, dilation))
        return WEFT_E_ATTR;
    for (i = 0; i < c->axes; i++) {
        weft_window *w = &c->window[i];

        *w = (weft_window){ .size = size[i], .stride = stride[i], .dilation = dilation[i] };
        if (size[i] > INT32_MAX || stride[i] > INT32_MAX || dilation[i] > INT32_MAX)
            return weft_failf(b, WEFT_E_ATTR,
                              "kernel_size, strides and dilation_rate must be below 2^31");
        strided |= stride[i] > 1;
        dilated |= dilation[i] > 1;
        weft_window_pad(w, padding, c->s.dim[i + 1]);
        if (weft_window_out(w, c->s.dim[i + 1]) < 1 && c->s.dim[i + 1] != WEFT_ANY)
            return weft_failf(b, WEFT_E_SHAPE,
                              "spatial axis %d has size %lld, and the kernel reaches over %lld; "
                              "use a smaller kernel, or padding=same",
                              i, (long long)c->s.dim[i + 1],
                              (long long)((size[i] - 1) * dilation[i] + 1));
    }
    if (strided && dilated)
        return weft_failf(b, WEFT_E_ATTR,
                          "strides=%s and dilation_rate=%s: only one of them may be above 1",
                          b->api->attr_s(b, "strides"), b->api->attr_s(b, "dilation_rate"));
    return WEFT_OK;
}

weft_status conv_begin(weft_build *b, int axes, conv_layer *c)
{
    weft_status st;
    int i;

    memset(c, 0, sizeof *c);
    c->axes = axes;
    if ((st = weft_spatial_in(b, axes, &c->x, &c->s))) return st;
    if (!(c->x = weft_float(b, c->x, &c->s))) return WEFT_E_DTYPE;
    c->channels = c->s.dim[axes + 1];
    for (i = 1; i <= axes; i++)
        if (c->s.dim[i] < 0 && c->s.dim[i] != WEFT_ANY)
            return weft_failf(b, WEFT_E_SHAPE, "spatial axis %d is a multiple of the batch", i - 1);
    if (c->channels < 1)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the channels axis of the input has no fixed size, and the kernel's "
                          "shape depends on it");
    return get_windows(b, c);
}

weft_val conv_op(weft_build *b, const conv_layer *c, weft_val x, weft_val w, int64_t groups)
{
    int64_t stride[3], dilation[3], pads[6];
    char s[96], d[96], p[160], attrs[512];
    weft_val args[2] = { x, w };
    int i;

    for (i = 0; i < c->axes; i++) {
        stride[i] = c->window[i].stride;
        dilation[i] = c->window[i].dilation;
        pads[i] = c->window[i].low;
        pads[c->axes + i] = c->window[i].high;
    }
    snprintf(attrs, sizeof attrs, "strides=%s pads=%s dilations=%s groups=%lld",
             weft_ints_text(s, sizeof s, stride, (uint32_t)c->axes),
             weft_ints_text(p, sizeof p, pads, 2 * (uint32_t)c->axes),
             weft_ints_text(d, sizeof d, dilation, (uint32_t)c->axes), (long long)groups);
    return b->api->op(b, "conv", attrs, args, 2, NULL, 0);
}

weft_status conv_end(weft_build *b, const conv_layer *c, weft_val y, int64_t filters)
{
    const char *activation = b->api->attr_s(b, "activation");
    weft_spec bias = { .dtype = c->s.dtype, .rank = 1, .dim = { filters } };

    if (b->api->attr_i(b, "use_bias"))
        y = weft_add(b, y,
                     b->api->variable(b, "bias", &bias, b->api->attr_s(b, "bias_initializer"),
                                      WEFT_TRAINABLE));
    y = weft_spatial_back(b, y, c->axes);
    if (activation) y = b->api->layer(b, activation, "activation", NULL, &y, 1, NULL, 0);
    return weft_out(b, 0, y);
}
