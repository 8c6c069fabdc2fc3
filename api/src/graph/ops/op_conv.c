/* conv: cross-correlation over 1 to 3 spatial axes; outside of x is 0.
 *   y[n,o..,f] = sum over k.., c of x[n, o*stride + k*dilation - low.., g*C/groups + c] w[k..,c,f]
 * with g = f / (F/groups), out = floor((in + low + high - (dilation*(k-1)+1)) / stride) + 1.
 * x [N, spatial.., C], w [spatial.., C/groups, F], y [N, out.., F]. */
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/op_conv.h"
#include "graph/ops/ops.h"

enum { AXES = 3 };
typedef struct window {
    int64_t stride, dilation, low, high, size;
} window;

static weft_status out_size(int64_t in, const window *w, int32_t axis, int64_t *out)
{
    weft__dim_text s;
    int64_t span, padded;
    if (w->stride < 1 || w->dilation < 1 || w->low < 0 || w->high < 0)
        return weft_fail(WEFT_E_ATTR,
                         "spatial axis %d: strides and dilations are 1 or more, pads 0 or more",
                         (int)axis);
    if (w->size < 0)
        return weft_fail(WEFT_E_SHAPE,
                         "spatial axis %d of w is %s; the size of a filter is a number", (int)axis,
                         weft__dim_show(w->size, &s));
    if (w->size == 0) return weft_fail(WEFT_E_SHAPE, "spatial axis %d of w has size 0", (int)axis);
    if (in == WEFT_ANY) {
        *out = WEFT_ANY;
        return WEFT_OK;
    }
    if (__builtin_mul_overflow(w->dilation, w->size - 1, &span) ||
        __builtin_add_overflow(span, 1, &span) || __builtin_add_overflow(w->low, w->high, &padded))
        return weft_fail(WEFT_E_SHAPE, "spatial axis %d: the window is too large", (int)axis);
    if (in < 0) {
        *out = in;
        if (w->stride == 1 && padded == span - 1) return WEFT_OK;
        return weft_fail(
            WEFT_E_SHAPE,
            "spatial axis %d is %s: only stride 1 with pads that keep the size is exact there",
            (int)axis, weft__dim_show(in, &s));
    }
    if (__builtin_add_overflow(in, padded, &padded) || padded <= span - 1 - w->stride)
        return weft_fail(
            WEFT_E_SHAPE,
            "spatial axis %d: a window of %lld elements does not fit in %lld with pads %lld "
            "and %lld; use a smaller filter or dilation, or pad more",
            (int)axis, (long long)span, (long long)in, (long long)w->low, (long long)w->high);
    *out = padded < span ? 0 : (padded - span) / w->stride + 1;
    return WEFT_OK;
}

static weft_status check_channels(weft_build *b, const weft_spec *x, const weft_spec *w)
{
    int64_t groups = b->api->attr_i(b, "groups"), c = x->dim[x->rank - 1];
    int64_t own = w->dim[w->rank - 2], filters = w->dim[w->rank - 1];
    if (own < 0 || filters < 0)
        return weft_fail(WEFT_E_SHAPE, "the last two axes of w are numbers");
    if (c < 0 && c != WEFT_ANY)
        return weft_fail(WEFT_E_SHAPE,
                         "the channels of x depend on the batch; the data is [N, spatial.., C]");
    if (c >= 0 && c % groups)
        return weft_fail(WEFT_E_SHAPE, "%lld channels do not divide into %lld groups", (long long)c,
                         (long long)groups);
    if (filters % groups)
        return weft_fail(WEFT_E_SHAPE, "%lld filters do not divide into %lld groups",
                         (long long)filters, (long long)groups);
    if (c >= 0 && c / groups != own)
        return weft_fail(
            WEFT_E_SHAPE,
            "x has %lld channels in %lld group%s, w is for %lld a group: the last axis of x and "
            "the one before the last of w must agree",
            (long long)c, (long long)groups, groups == 1 ? "" : "s", (long long)own);
    return WEFT_OK;
}

weft_status weft__conv_result(weft_build *b, const weft_spec *x, const weft_spec *w, weft_spec *y)
{
    int64_t strides[AXES], dilations[AXES], pads[2 * AXES];
    int32_t n = x->rank - 2;
    weft_status st;
    if (n < 1 || n > AXES)
        return weft_fail(WEFT_E_SHAPE,
                         "x has rank %d; [N, spatial.., C] with 1 to 3 spatial axes is needed",
                         (int)x->rank);
    if (w->rank != x->rank)
        return weft_fail(WEFT_E_SHAPE, "w has rank %d and x %d; w is [spatial.., C/groups, F]",
                         (int)w->rank, (int)x->rank);
    if (w->dtype != x->dtype)
        return weft_fail(WEFT_E_DTYPE, "x is %s and w is %s; convert one of them",
                         weft_dtype_name(x->dtype), weft_dtype_name(w->dtype));
    if ((st = weft__op_list(b, "strides", n, 1, strides)) ||
        (st = weft__op_list(b, "dilations", n, 1, dilations)) ||
        (st = weft__op_list(b, "pads", 2 * n, 0, pads)) || (st = check_channels(b, x, w)))
        return st;
    *y = *x;
    y->dim[x->rank - 1] = w->dim[w->rank - 1];
    for (int32_t i = 0; i < n; i++) {
        window size = { strides[i], dilations[i], pads[i], pads[n + i], w->dim[i] };
        if ((st = out_size(x->dim[1 + i], &size, i, &y->dim[1 + i]))) return st;
    }
    return WEFT_OK;
}

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec x, w;
    weft_status st;
    if ((st = weft__op_in_float(b, 0, &x)) || (st = weft__op_in_float(b, 1, &w))) return st;
    return weft__conv_result(b, &x, &w, &outs[0]);
}

static const weft_attr attrs[] = {
    { "strides", WEFT_INTS, WEFT_NULLABLE, "none", "1..", "one a spatial axis; none: 1" },
    { "pads", WEFT_INTS, WEFT_NULLABLE, "none", "0..",
      "zeros in front of each spatial axis, then behind each; none: 0" },
    { "dilations", WEFT_INTS, WEFT_NULLABLE, "none", "1..", "one a spatial axis; none: 1" },
    { "groups", WEFT_INT, 0, "1", "1..",
      "channels and filters are split into so many independent groups" },
    { 0 },
};
static const char *const cases[] = {
    ": f32 Bx9x7x3, f32 3x3x3x8",
    "pads=(1,1,1,1) : f32 Bx8x8x16, f32 3x3x16x32",
    "strides=(2,2) pads=(0,0,1,1) : f32 Bx9x10x4, f32 3x3x4x5",
    "strides=(2,1) pads=(1,0,2,1) : f32 Bx7x6x3, f32 4x2x3x7",
    "dilations=(2,3) : f32 Bx11x13x2, f32 3x3x2x3",
    "groups=3 pads=(1,1,1,1) : f32 Bx5x5x6, f32 3x3x2x9",
    "groups=8 : f32 Bx6x6x8, f32 3x3x1x8",
    "groups=4 : f32 Bx5x5x4, f32 3x3x1x8",
    ": f32 Bx6x6x5, f32 1x1x5x11",
    "strides=(2,2) : f32 Bx7x7x3, f32 1x1x3x4",
    "pads=(2,0) dilations=(2) : f32 Bx15x3, f32 2x3x4",
    "strides=(3) : f32 Bx17x4, f32 5x4x6",
    "pads=(1,0,1,0,1,1) : f32 Bx4x5x6x2, f32 2x3x2x2x3",
    "groups=2 strides=(1,2,1) : f32 Bx4x5x4x4, f32 2x2x2x2x6",
    "pads=(1,1,1,1) then=\"max(a+b,0)\" : f32 Bx6x6x3, f32 3x3x3x8, f32 8",
    "then=\"a+b\" : f32 Bx5x5x4, f32 1x1x4x8, f32 Bx5x5x8",
    NULL,
};

const weft_op_class weft__op_conv = {
    .struct_size = sizeof(weft_op_class),
    .flags = WEFT_OP_EPILOGUE,
    .name = "conv",
    .inputs = "x, w",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .gradient = weft__conv_gradient,
    .cases = cases,
    .doc = "Cross-correlation, channels last; strides, pads, dilations, groups.",
};
