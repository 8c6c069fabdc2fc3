/* Max, Average, GlobalMax and GlobalAverage pooling over 1, 2 or 3 spatial axes (Keras,
 * layers/pooling). */
#include <string.h>
#include "pooling.h"

/* The input with the channels last; *moved tells whether they were first. Its spec, checked, into
 * s. */
static weft_status get_input(weft_build *b, int axes, weft_val *x, weft_spec *s, int *moved)
{
    const char *format = b->api->attr_s(b, "data_format");
    int64_t perm[WEFT_MAX_RANK] = { 0 };
    char list[256];
    weft_status st;
    int i;

    *x = weft_in(b, 0);
    *moved = format && !strcmp(format, "channels_first");
    if ((st = b->api->spec(b, *x, s))) return st;
    if (s->rank != axes + 2)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the input has rank %d; wanted %d: batch, %d spatial axes, channels",
                          (int)s->rank, axes + 2, axes);
    if (!*moved) return WEFT_OK;
    for (i = 1; i < s->rank; i++)
        perm[i] = i + 1 < s->rank ? i + 1 : 1;
    *x = weft_opf(b, "transpose", *x, "perm=%s",
                  weft_ints_text(list, sizeof list, perm, (uint32_t)s->rank));
    return b->api->spec(b, *x, s);
}

static weft_val channels_to_front(weft_build *b, weft_val y, int32_t rank)
{
    int64_t perm[WEFT_MAX_RANK] = { 0 };
    char list[256];
    int i;

    for (i = 1; i < rank; i++)
        perm[i] = i == 1 ? rank - 1 : i - 1;
    return weft_opf(b, "transpose", y, "perm=%s",
                    weft_ints_text(list, sizeof list, perm, (uint32_t)rank));
}

static weft_status build_pool(weft_build *b, const char *op, int axes)
{
    int64_t size[3], stride[3], pads[6];
    uint32_t n = b->api->attr_v(b, "pool_size", size, 3),
             n_strides = b->api->attr_v(b, "strides", stride, 3);
    char t_size[96], t_stride[96], t_pads[160];
    weft_val x;
    weft_spec s;
    int moved, i;

    if (get_input(b, axes, &x, &s, &moved)) return weft_out(b, 0, 0);
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
    return weft_out(b, 0, moved ? channels_to_front(b, x, s.rank) : x);
}

static weft_status build_global(weft_build *b, const char *fn, int axes)
{
    static const char *const lists[] = { "(1)", "(1,2)", "(1,2,3)" };
    int keepdims = b->api->attr_i(b, "keepdims") != 0, moved;
    weft_val x;
    weft_spec s;

    if (get_input(b, axes, &x, &s, &moved)) return weft_out(b, 0, 0);
    x = weft_opf(b, "reduce", x, "fn=%s axes=%s keepdims=%s", fn, lists[axes - 1],
                 keepdims ? "true" : "false");
    return weft_out(b, 0, moved && keepdims ? channels_to_front(b, x, s.rank) : x);
}

#define DATA_FORMAT                                                                        \
    {                                                                                      \
        "data_format", WEFT_STRING, WEFT_NULLABLE, "none", "channels_last|channels_first", \
            "where the channels are"                                                       \
    }
static const weft_attr pool_attrs[] = {
    { "pool_size", WEFT_INTS, 0, "(2)", "1..65535", "of the window: one number, or one an axis" },
    { "strides", WEFT_INTS, WEFT_NULLABLE, "none", "1..65535",
      "how far the window moves; none = pool_size" },
    { "padding", WEFT_STRING, 0, "valid", "valid|same", "around the input" },
    DATA_FORMAT,
    { 0 }
};
static const weft_attr global_attrs[] = { DATA_FORMAT,
                                          { "keepdims", WEFT_FLAG, 0, "false", NULL,
                                            "keep the spatial axes with size 1" },
                                          { 0 } };

#define LAYER(id, label, family, what, axes, attributes, text) \
    static weft_status build_##id(weft_build *b)               \
    {                                                          \
        return family(b, what, axes);                          \
    }                                                          \
    const weft_layer_class pooling_##id = {                    \
        .struct_size = sizeof pooling_##id,                    \
        .name = label,                                         \
        .version = 1,                                          \
        .min_version = 1,                                      \
        .inputs = "x",                                         \
        .outputs = "y",                                        \
        .attrs = attributes,                                   \
        .build = build_##id,                                   \
        .doc = text,                                           \
    }
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
