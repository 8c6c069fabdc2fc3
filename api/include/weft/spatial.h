/* weft/spatial.h - what layers over one, two or three spatial axes share, for plugins: the rank of
 * their input, Keras's data_format, and one class for each number of axes. No ABI: compiled in. */
#ifndef WEFT_SPATIAL_H
#define WEFT_SPATIAL_H
#include <string.h>
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The row of a layer's attributes that weft_channels_first reads. */
#define WEFT_DATA_FORMAT                                                                   \
    {                                                                                      \
        "data_format", WEFT_STRING, WEFT_NULLABLE, "none", "channels_last|channels_first", \
            "where the channels are"                                                       \
    }

/* Are the channels axis 1 of the input, and not its last one? */
static inline int weft_channels_first(weft_build *b)
{
    const char *format = b->api->attr_s(b, "data_format");
    return format && !strcmp(format, "channels_first");
}

/* x, of that rank, with axis 1, the channels, moved behind the others. */
static inline weft_val weft_channels_to_last(weft_build *b, weft_val x, int32_t rank)
{
    int64_t perm[WEFT_MAX_RANK] = { 0 };
    int32_t i;
    for (i = 1; i < rank; i++)
        perm[i] = i + 1 < rank ? i + 1 : 1;
    return weft_op_ints(b, "transpose", x, "perm", perm, rank);
}

/* The way back: the last axis becomes axis 1. */
static inline weft_val weft_channels_to_first(weft_build *b, weft_val x, int32_t rank)
{
    int64_t perm[WEFT_MAX_RANK] = { 0 };
    int32_t i;
    for (i = 1; i < rank; i++)
        perm[i] = i == 1 ? rank - 1 : i - 1;
    return weft_op_ints(b, "transpose", x, "perm", perm, rank);
}

/* The spec of input 0, which must have a batch axis, `axes` spatial ones and the channels, these
 * two in the order that data_format says. */
static inline weft_status weft_spatial_spec(weft_build *b, int axes, weft_spec *s)
{
    weft_status st = b->api->spec(b, weft_in(b, 0), s);
    if (st || s->rank == axes + 2) return st;
    return weft_failf(b, WEFT_E_SHAPE,
                      "the input has rank %d; wanted %d: batch, %d spatial axes, channels",
                      (int)s->rank, axes + 2, axes);
}

/* Input 0 with the channels last, and its spec then. */
static inline weft_status weft_spatial_in(weft_build *b, int axes, weft_val *x, weft_spec *s)
{
    weft_status st = weft_spatial_spec(b, axes, s);
    *x = weft_in(b, 0);
    if (st || !weft_channels_first(b)) return st;
    *x = weft_channels_to_last(b, *x, s->rank);
    return b->api->spec(b, *x, s);
}

/* Result 0 from a value with the channels last: y where data_format wants them. */
static inline weft_val weft_spatial_back(weft_build *b, weft_val y, int axes)
{
    return weft_channels_first(b) ? weft_channels_to_first(b, y, axes + 2) : y;
}

/* Defines the class `id`, named `label`, one input and one result, whose build() is `call`, an
 * expression over b: build_pool(b, "max_pool", 2). */
#define WEFT_SPATIAL_LAYER(id, label, call, attributes, text) \
    static weft_status id##_build(weft_build *b)              \
    {                                                         \
        return call;                                          \
    }                                                         \
    WEFT_UNARY_LAYER(id, label, attributes, id##_build, text)

#ifdef __cplusplus
}
#endif
#endif
