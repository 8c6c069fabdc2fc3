/* The ops max_pool and avg_pool: shapes, and their meaning in other ops, against which the kernels
 * are checked. y[n, o.., c] = max or mean over k.. of x[n, o stride + k - low, c]; elements in the
 * padding do not count. */
#include <string.h>
#include "pooling.h"

#define MAX_WINDOW 1024 /* elements of a window that lower() writes out as slices */

weft_status pooling_windows(weft_build *b, const weft_spec *s, weft_window *w, int *axes)
{
    int64_t size[4], stride[4], pads[8];
    uint32_t n = b->api->attr_v(b, "size", size, 4), i;
    uint32_t n_strides = b->api->attr_v(b, "strides", stride, 4),
             n_pads = b->api->attr_v(b, "pads", pads, 8);

    if (n < 1 || n > 3 || n_strides != n || n_pads != 2 * n)
        return weft_failf(b, WEFT_E_ATTR,
                          "size, strides and pads hold %u, %u and %u numbers; give n, n and 2n for "
                          "n = 1..3 axes",
                          (unsigned)n, (unsigned)n_strides, (unsigned)n_pads);
    if (s->rank != (int32_t)n + 2)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the input has rank %d; wanted %u: batch, %u spatial axes, channels",
                          (int)s->rank, (unsigned)n + 2, (unsigned)n);
    for (i = 0; i < n; i++) {
        w[i] = (weft_window){ size[i], stride[i], 1, pads[i], pads[n + i] };
        if (s->dim[i + 1] < 0 && s->dim[i + 1] != WEFT_ANY)
            return weft_failf(b, WEFT_E_SHAPE, "spatial axis %u is a multiple of the batch",
                              (unsigned)i);
        if (w[i].low >= size[i] || w[i].high >= size[i])
            return weft_failf(
                b, WEFT_E_ATTR,
                "axis %u is padded by %lld and %lld, and the window has size %lld: it "
                "would see padding only",
                (unsigned)i, (long long)w[i].low, (long long)w[i].high, (long long)size[i]);
    }
    *axes = (int)n;
    return WEFT_OK;
}

static int is_float(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64;
}

weft_status pooling_result(weft_build *b, const weft_spec *x, weft_window *w, int *axes,
                           weft_spec *y)
{
    int i;

    if (pooling_windows(b, x, w, axes)) return WEFT_E_SHAPE;
    *y = *x;
    for (i = 0; i < *axes; i++) {
        y->dim[i + 1] = weft_window_out(&w[i], x->dim[i + 1]);
        if (y->dim[i + 1] < 1 && y->dim[i + 1] != WEFT_ANY)
            return weft_failf(b, WEFT_E_SHAPE,
                              "spatial axis %d has size %lld, and the window has size %lld", i,
                              (long long)x->dim[i + 1], (long long)w[i].size);
    }
    return WEFT_OK;
}

static weft_status infer_pool(weft_build *b, weft_spec *outs)
{
    weft_window w[3];
    weft_spec s;
    int axes;

    if (b->api->spec(b, weft_in(b, 0), &s)) return WEFT_E_SHAPE;
    return pooling_result(b, &s, w, &axes, &outs[0]);
}

/* The mean of whole numbers is none of them; their largest is, where the padding can be smaller. */
static weft_status infer_avg(weft_build *b, weft_spec *outs)
{
    weft_status st = infer_pool(b, outs);

    return st || is_float(outs[0].dtype)
               ? st
               : weft_failf(b, WEFT_E_DTYPE, "the input must be float32 or float64");
}

static const char *lowest(weft_dtype dtype)
{
    return is_float(dtype) ? "-inf" : dtype == WEFT_I32 ? "-2147483648" : "0";
}

static weft_status infer_max(weft_build *b, weft_spec *outs)
{
    weft_status st = infer_pool(b, outs);

    return st || outs[0].dtype != WEFT_I64
               ? st
               : weft_failf(b, WEFT_E_DTYPE, "the input is int64; convert it to int32 or float32");
}

weft_val pooling_slice(weft_build *b, weft_val padded, const weft_spec *out, const weft_window *w,
                       int axes, int64_t element)
{
    int64_t begin[WEFT_MAX_RANK] = { 0 }, step[WEFT_MAX_RANK];
    char t_begin[256], t_size[256], t_step[256];
    int i;

    for (i = 0; i < out->rank; i++)
        step[i] = 1;
    for (i = axes - 1; i >= 0; i--) {
        begin[i + 1] = element % w[i].size;
        element /= w[i].size;
        step[i + 1] = w[i].stride;
    }
    return weft_opf(b, "slice", padded, "begin=%s size=%s step=%s",
                    weft_ints_text(t_begin, sizeof t_begin, begin, (uint32_t)out->rank),
                    weft_ints_text(t_size, sizeof t_size, out->dim, (uint32_t)out->rank),
                    weft_ints_text(t_step, sizeof t_step, step, (uint32_t)out->rank));
}

int64_t pooling_window_size(weft_build *b, const weft_window *w, int axes)
{
    int64_t n = 1;
    int i;

    for (i = 0; i < axes; i++)
        if ((n *= w[i].size) > MAX_WINDOW) {
            weft_failf(b, WEFT_E_UNSUPPORTED,
                       "the window has more than %d elements; no device has a kernel for it "
                       "here, and written out in other ops it would be too long",
                       MAX_WINDOW);
            return 0;
        }
    return n;
}

weft_val pooling_pad(weft_build *b, weft_val x, const weft_spec *s, const weft_window *w, int axes,
                     const char *value)
{
    int64_t low[WEFT_MAX_RANK] = { 0 }, high[WEFT_MAX_RANK] = { 0 };
    char t_low[256], t_high[256];
    int i;

    for (i = 0; i < axes; i++) {
        low[i + 1] = w[i].low;
        high[i + 1] = w[i].high;
    }
    return weft_opf(b, "pad", x, "low=%s high=%s value=%s",
                    weft_ints_text(t_low, sizeof t_low, low, (uint32_t)s->rank),
                    weft_ints_text(t_high, sizeof t_high, high, (uint32_t)s->rank), value);
}

/* Folds all slices with `join`; x is padded with `value`. */
static weft_val fold_windows(weft_build *b, const char *join, const char *value)
{
    weft_val x = weft_in(b, 0), acc = 0;
    int64_t n, k;
    weft_window w[3];
    weft_spec s, out;
    int axes;

    if (b->api->spec(b, x, &s) || pooling_result(b, &s, w, &axes, &out)) return 0;
    if (!(n = pooling_window_size(b, w, axes))) return 0;
    x = pooling_pad(b, x, &s, w, axes, value);
    for (k = 0; k < n; k++) {
        weft_val slice = pooling_slice(b, x, &out, w, axes, k);

        acc = k ? weft_op2(b, join, acc, slice) : slice;
    }
    return acc;
}

static weft_status lower_max(weft_build *b)
{
    weft_spec s;

    if (b->api->spec(b, weft_in(b, 0), &s)) return WEFT_E_SHAPE;
    return weft_out(b, 0, fold_windows(b, "max", lowest(s.dtype)));
}

/* How many elements of the input the window at output position o sees on one axis. */
static int64_t inside(const weft_window *w, int64_t in, int64_t o)
{
    int64_t begin = o * w->stride - w->low, end = begin + w->size;

    return (end > in ? in : end) - (begin < 0 ? 0 : begin);
}

weft_val pooling_mean(weft_build *b, weft_val y, const weft_spec *x, const weft_spec *out,
                      const weft_window *w, int axes)
{
    int i, k;

    for (i = 0; i < axes; i++) {
        weft_spec c = { .dtype = WEFT_F32, .rank = out->rank };
        float counts[4096];
        int64_t o, n = out->dim[i + 1];

        if (n > 4096) {
            weft_failf(b, WEFT_E_UNSUPPORTED,
                       "axis %d of the result has size %lld; written out in other ops "
                       "at most 4096 is possible",
                       i, (long long)n);
            return 0;
        }
        for (o = 0; o < n; o++)
            counts[o] = (float)inside(&w[i], x->dim[i + 1], o);
        for (k = 0; k < out->rank; k++)
            c.dim[k] = k == i + 1 ? n : 1;
        y = weft_op2(b, "div", y, b->api->constant(b, &c, counts));
    }
    return y;
}

static weft_status lower_avg(weft_build *b)
{
    weft_val y = fold_windows(b, "add", "0.0");
    weft_window w[3];
    weft_spec s, out;
    int axes;

    if (b->api->spec(b, weft_in(b, 0), &s) || pooling_result(b, &s, w, &axes, &out))
        return WEFT_E_SHAPE;
    return weft_out(b, 0, pooling_mean(b, y, &s, &out, w, axes));
}

static const weft_attr pool_attrs[] = {
    { "size", WEFT_INTS, 0, NULL, "1..65535", "of the window, one number a spatial axis" },
    { "strides", WEFT_INTS, 0, NULL, "1..65535",
      "how far the window moves, one number a spatial axis" },
    { "pads", WEFT_INTS, 0, NULL, "0..65535", "before each axis, then behind each axis" },
    { 0 }
};
static const char *const cases[] = {
    "size=(2,2) strides=(2,2) pads=(0,0,0,0) : f32 Bx6x6x3",
    "size=(3,2) strides=(2,1) pads=(1,0,1,1) : f32 Bx7x5x4",
    "size=(2) strides=(1) pads=(0,1) : f32 Bx9x2",
    "size=(2,3,2) strides=(2,2,1) pads=(0,1,0,1,1,1) : f32 Bx5x6x4x3", NULL
};
const weft_op_class pooling_max_pool = {
    .struct_size = sizeof pooling_max_pool,
    .name = "max_pool",
    .inputs = "x",
    .outputs = "y",
    .attrs = pool_attrs,
    .infer = infer_max,
    .lower = lower_max,
    .gradient = pooling_max_gradient,
    .kernels = pooling_max_kernels,
    .cases = cases,
    .doc = "the largest element of each window; NaN wins",
};
const weft_op_class pooling_avg_pool = {
    .struct_size = sizeof pooling_avg_pool,
    .name = "avg_pool",
    .inputs = "x",
    .outputs = "y",
    .attrs = pool_attrs,
    .infer = infer_avg,
    .lower = lower_avg,
    .gradient = pooling_avg_gradient,
    .kernels = pooling_avg_kernels,
    .cases = cases,
    .doc = "the mean of each window, padding not counted",
};
