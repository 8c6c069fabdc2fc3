/* ZeroPadding, Cropping and UpSampling (nearest) over 1, 2 or 3 spatial axes (Keras,
 * layers/reshaping). */
#include <string.h>
#include "reshape.h"

/* Amounts before and behind each spatial axis, from an attribute given as n, (a,b,..) or
 * ((a,b),(c,d),..). A pair for one axis is (before, behind); one number an axis counts on both
 * sides. */
static weft_status get_borders(weft_build *b, const char *name, int axes, int64_t *low,
                               int64_t *high)
{
    int64_t v[6];
    uint32_t n = b->api->attr_v(b, name, v, 6);
    int i;

    for (i = 0; i < axes; i++) {
        if (n == 1)
            low[i] = high[i] = v[0];
        else if (n == (uint32_t)axes * 2)
            low[i] = v[2 * i], high[i] = v[2 * i + 1];
        else if (n == (uint32_t)axes)
            low[i] = high[i] = v[i];
        else
            return weft_failf(b, WEFT_E_ATTR, "%s=%s; give one number, %d, or %d", name,
                              b->api->attr_s(b, name), axes, 2 * axes);
    }
    return WEFT_OK;
}

/* The input's spec; *first is the first of its spatial axes. */
static weft_status get_input(weft_build *b, int axes, weft_spec *s, int *first)
{
    *first = weft_channels_first(b) ? 2 : 1;
    return weft_spatial_spec(b, axes, s);
}

static weft_status zero_padding(weft_build *b, int axes)
{
    int64_t low[WEFT_MAX_RANK] = { 0 }, high[WEFT_MAX_RANK] = { 0 };
    char before[256], behind[256];
    weft_spec s;
    int first;

    if (get_input(b, axes, &s, &first) ||
        get_borders(b, "padding", axes, low + first, high + first))
        return weft_out(b, 0, 0);
    return weft_out(b, 0,
                    weft_opf(b, "pad", weft_in(b, 0), "low=%s high=%s",
                             weft_ints_text(before, sizeof before, low, (uint32_t)s.rank),
                             weft_ints_text(behind, sizeof behind, high, (uint32_t)s.rank)));
}

static weft_status cropping(weft_build *b, int axes)
{
    int64_t low[WEFT_MAX_RANK] = { 0 }, high[WEFT_MAX_RANK] = { 0 };
    char begin[256], size[256];
    weft_spec s;
    int first, i;

    if (get_input(b, axes, &s, &first) ||
        get_borders(b, "cropping", axes, low + first, high + first))
        return weft_out(b, 0, 0);
    for (i = first; i < first + axes; i++) {
        if (s.dim[i] == WEFT_ANY) continue;
        if (s.dim[i] < 0 || low[i] + high[i] >= s.dim[i])
            return weft_failf(b, WEFT_E_SHAPE,
                              "axis %d has size %lld, and cropping takes %lld + %lld of it", i,
                              (long long)s.dim[i], (long long)low[i], (long long)high[i]);
        s.dim[i] -= low[i] + high[i];
    }
    return weft_out(b, 0,
                    weft_opf(b, "slice", weft_in(b, 0), "begin=%s size=%s",
                             weft_ints_text(begin, sizeof begin, low, (uint32_t)s.rank),
                             weft_ints_text(size, sizeof size, s.dim, (uint32_t)s.rank)));
}

/* Every element n times along axis: an axis of 1 behind it, broadcast to n, joined with it. */
static weft_val repeat(weft_build *b, weft_val x, weft_spec *s, int axis, int64_t n)
{
    int64_t shape[WEFT_MAX_RANK];
    int i;

    if (n == 1) return x;
    for (i = 0; i < s->rank; i++)
        shape[i + (i > axis)] = s->dim[i];
    shape[axis + 1] = 1;
    x = weft_op_ints(b, "reshape", x, "shape", shape, s->rank + 1);
    shape[axis + 1] = n;
    x = weft_op_ints(b, "broadcast", x, "shape", shape, s->rank + 1);
    if (s->dim[axis] != WEFT_ANY) s->dim[axis] *= n;
    return weft_op_ints(b, "reshape", x, "shape", s->dim, s->rank);
}

static weft_status up_sampling(weft_build *b, int axes)
{
    const char *how = b->api->attr_s(b, "interpolation");
    weft_val x = weft_in(b, 0);
    int64_t size[3];
    uint32_t n = b->api->attr_v(b, "size", size, 3);
    weft_spec s;
    int first, i;

    if (how && strcmp(how, "nearest"))
        return weft_failf(b, WEFT_E_UNSUPPORTED,
                          "interpolation=%s is not available; only nearest is", how);
    if (get_input(b, axes, &s, &first)) return weft_out(b, 0, 0);
    if (n != 1 && n != (uint32_t)axes)
        return weft_failf(b, WEFT_E_ATTR, "size holds %u number%s; give one or %d", (unsigned)n,
                          n == 1 ? "" : "s", axes);
    if (s.rank + 1 > WEFT_MAX_RANK) return weft_failf(b, WEFT_E_SHAPE, "the rank is too high");
    for (i = 0; i < axes; i++)
        x = repeat(b, x, &s, first + i, size[n == 1 ? 0 : i]);
    return weft_out(b, 0, x);
}

static const weft_attr padding_attrs[] = { { "padding", WEFT_INTS, 0, "(1)", "0..2147483647",
                                             "n, (a,b) an axis, or ((before,behind),..)" },
                                           WEFT_DATA_FORMAT,
                                           { 0 } };
static const weft_attr cropping_attrs[] = { { "cropping", WEFT_INTS, 0, "(1)", "0..2147483647",
                                              "n, (a,b) an axis, or ((before,behind),..)" },
                                            WEFT_DATA_FORMAT,
                                            { 0 } };
static const weft_attr cropping_2d_attrs[] = { { "cropping", WEFT_INTS, 0, "(0)", "0..2147483647",
                                                 "n, (a,b) an axis, or ((before,behind),..)" },
                                               WEFT_DATA_FORMAT,
                                               { 0 } };
static const weft_attr size_attrs[] = {
    { "size", WEFT_INTS, 0, "(2)", "1..65535", "how often each element is repeated" },
    WEFT_DATA_FORMAT,
    { "interpolation", WEFT_STRING, 0, "nearest", NULL, "how values between elements are found" },
    { 0 }
};

/* Each family over one, two and three spatial axes. */
#define LAYER(id, label, axes, family, attributes, text) \
    WEFT_SPATIAL_LAYER(reshape_##id, label, family(b, axes), attributes, text)
LAYER(zero_padding_1d, "ZeroPadding1D", 1, zero_padding, padding_attrs, "zeros around the steps");
LAYER(zero_padding_2d, "ZeroPadding2D", 2, zero_padding, padding_attrs,
      "zeros around rows and columns");
LAYER(zero_padding_3d, "ZeroPadding3D", 3, zero_padding, padding_attrs, "zeros around three axes");
LAYER(cropping_1d, "Cropping1D", 1, cropping, cropping_attrs, "steps cut off at both ends");
LAYER(cropping_2d, "Cropping2D", 2, cropping, cropping_2d_attrs,
      "rows and columns cut off at the borders");
LAYER(cropping_3d, "Cropping3D", 3, cropping, cropping_attrs, "three axes cut off at the borders");
LAYER(up_sampling_1d, "UpSampling1D", 1, up_sampling, size_attrs, "every step repeated");
LAYER(up_sampling_2d, "UpSampling2D", 2, up_sampling, size_attrs, "every row and column repeated");
LAYER(up_sampling_3d, "UpSampling3D", 3, up_sampling, size_attrs, "three axes repeated");
