/* Max, Average, GlobalMax and GlobalAverage pooling over 1, 2 or 3 spatial axes (Keras,
 * layers/pooling). */
#include "pooling.h"

static weft_status build_pool(weft_build *b, const char *op, int axes)
{
    int64_t size[3], stride[3], pads[6];
    uint32_t n = b->api->attr_v(b, "pool_size", size, 3),
             n_strides = b->api->attr_v(b, "strides", stride, 3);
    char t_size[96], t_stride[96], t_pads[160];
    weft_val x;
    weft_spec s;
    int i;

    if (weft_spatial_in(b, axes, &x, &s)) return weft_out(b, 0, 0);
    if (!strcmp(op, "avg_pool")) x = weft_float(b, x, &s);
    if ((n != 1 && n != (uint32_t)axes) || (n_strides > 1 && n_strides != (uint32_t)axes))
        return weft_failf(b, WEFT_E_ATTR,
                          "pool_size and strides hold %u and %u numbers; give one or %d",
                          (unsigned)n, (unsigned)n_strides, axes);
    for (i = 0; i < axes; i++) {
        weft_window w = { .dilation = 1 };

        w.size = size[i] = size[n == 1 ? 0 : i];
        w.stride = stride[i] = n_strides == 0 ? w.size : stride[n_strides == 1 ? 0 : i];
        weft_window_pad(&w, b->api->attr_s(b, "padding"), s.dim[i + 1]);
        pads[i] = w.low;
        pads[axes + i] = w.high;
    }
    x = weft_opf(b, op, x, "size=%s strides=%s pads=%s",
                 weft_ints_text(t_size, sizeof t_size, size, (uint32_t)axes),
                 weft_ints_text(t_stride, sizeof t_stride, stride, (uint32_t)axes),
                 weft_ints_text(t_pads, sizeof t_pads, pads, 2 * (uint32_t)axes));
    return weft_out(b, 0, weft_spatial_back(b, x, axes));
}

static weft_status build_global(weft_build *b, const char *fn, int axes)
{
    static const char *const lists[] = { "(1)", "(1,2)", "(1,2,3)" };
    int keepdims = b->api->attr_i(b, "keepdims") != 0;
    weft_val x;
    weft_spec s;

    if (weft_spatial_in(b, axes, &x, &s)) return weft_out(b, 0, 0);
    x = weft_opf(b, "reduce", x, "fn=%s axes=%s keepdims=%s", fn, lists[axes - 1],
                 keepdims ? "true" : "false");
    return weft_out(b, 0, keepdims ? weft_spatial_back(b, x, axes) : x);
}

static const weft_attr pool_attrs[] = {
    { "pool_size", WEFT_INTS, 0, "(2)", "1..65535", "of the window: one number, or one an axis" },
    { "strides", WEFT_INTS, WEFT_NULLABLE, "none", "1..65535",
      "how far the window moves; none = pool_size" },
    { "padding", WEFT_STRING, 0, "valid", "valid|same", "around the input" },
    WEFT_DATA_FORMAT,
    { 0 }
};
static const weft_attr global_attrs[] = { WEFT_DATA_FORMAT,
                                          { "keepdims", WEFT_FLAG, 0, "false", NULL,
                                            "keep the spatial axes with size 1" },
                                          { 0 } };

#define LAYER(id, label, family, what, axes, attributes, text) \
    WEFT_SPATIAL_LAYER(pooling_##id, label, family(b, what, axes), attributes, text)
LAYER(max_1d, "MaxPooling1D", build_pool, "max_pool", 1, pool_attrs,
      "largest element of each window");
LAYER(max_2d, "MaxPooling2D", build_pool, "max_pool", 2, pool_attrs,
      "largest element of each window");
LAYER(max_3d, "MaxPooling3D", build_pool, "max_pool", 3, pool_attrs,
      "largest element of each window");
LAYER(average_1d, "AveragePooling1D", build_pool, "avg_pool", 1, pool_attrs, "mean of each window");
LAYER(average_2d, "AveragePooling2D", build_pool, "avg_pool", 2, pool_attrs, "mean of each window");
LAYER(average_3d, "AveragePooling3D", build_pool, "avg_pool", 3, pool_attrs, "mean of each window");
LAYER(global_max_1d, "GlobalMaxPooling1D", build_global, "max", 1, global_attrs, "largest step");
LAYER(global_max_2d, "GlobalMaxPooling2D", build_global, "max", 2, global_attrs,
      "largest element of the picture");
LAYER(global_max_3d, "GlobalMaxPooling3D", build_global, "max", 3, global_attrs,
      "largest element of the volume");
LAYER(global_average_1d, "GlobalAveragePooling1D", build_global, "mean", 1, global_attrs,
      "mean over the steps");
LAYER(global_average_2d, "GlobalAveragePooling2D", build_global, "mean", 2, global_attrs,
      "mean over the picture");
LAYER(global_average_3d, "GlobalAveragePooling3D", build_global, "mean", 3, global_attrs,
      "mean over the volume");
