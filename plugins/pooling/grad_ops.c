/* The gradients of pooling as ops of their own, and their meaning in other ops.
 *   max_pool_grad  dx[p] = the sum of dy[o] over the windows o that see p, and in which p is the
 *                  first element, in row-major order, that equals y[o] (or is NaN, where y[o] is)
 *   avg_pool_grad  dx[p] = the sum of dy[o] / (elements that o sees) over the windows that see p
 * Padding is never seen. */
#include "pooling.h"

static weft_status check_like(weft_build *b, uint32_t i, const char *name, const weft_spec *want)
{
    weft_spec s;
    int32_t k;
    int same;

    if (b->api->spec(b, weft_in(b, i), &s)) return WEFT_E_SHAPE;
    same = s.dtype == want->dtype && s.rank == want->rank;
    for (k = 0; same && k < s.rank; k++)
        same = s.dim[k] == want->dim[k] || s.dim[k] == WEFT_ANY || want->dim[k] == WEFT_ANY;
    if (same) return WEFT_OK;
    return weft_failf(b, WEFT_E_SHAPE, "%s has not the shape and dtype of the pooling's result",
                      name);
}

static weft_status check_float(weft_build *b, const weft_spec *s)
{
    if (s->dtype == WEFT_F32 || s->dtype == WEFT_F64) return WEFT_OK;
    return weft_failf(b, WEFT_E_DTYPE, "the inputs must be float32 or float64");
}

static weft_status infer_max(weft_build *b, weft_spec *outs)
{
    weft_window w[3];
    weft_spec out;
    int axes;

    if (b->api->spec(b, weft_in(b, 0), &outs[0]) || check_float(b, &outs[0]) ||
        pooling_result(b, &outs[0], w, &axes, &out) || check_like(b, 1, "y", &out))
        return WEFT_E_SHAPE;
    return check_like(b, 2, "dy", &out);
}

/* The spec of x from that of dy and the attribute `spatial`. */
static weft_status get_x(weft_build *b, weft_spec *x, weft_window *w, int *axes)
{
    int64_t spatial[4];
    uint32_t n = b->api->attr_v(b, "spatial", spatial, 4), i;
    weft_spec out;

    if (b->api->spec(b, weft_in(b, 0), x) || check_float(b, x) || pooling_windows(b, x, w, axes))
        return WEFT_E_SHAPE;
    if (n != (uint32_t)*axes)
        return weft_failf(b, WEFT_E_ATTR, "spatial holds %u numbers for %d axes", (unsigned)n,
                          *axes);
    for (i = 0; i < n; i++)
        x->dim[i + 1] = spatial[i];
    if (pooling_result(b, x, w, axes, &out)) return WEFT_E_SHAPE;
    return check_like(b, 0, "dy", &out);
}

static weft_status infer_avg(weft_build *b, weft_spec *outs)
{
    weft_window w[3];
    int axes;

    return get_x(b, &outs[0], w, &axes);
}

/* ---- lowering: what each element of the windows gets, spread over an array of x's padded shape */

typedef struct spread {
    weft_spec x, out;
    weft_window w[3];
    int axes, reserved;
    int64_t size; /* elements of a window */
} spread;

static weft_val reshape(weft_build *b, weft_val v, const int64_t *dim, int rank)
{
    char text[256];

    return weft_opf(b, "reshape", v, "shape=%s",
                    weft_ints_text(text, sizeof text, dim, (uint32_t)rank));
}

/* stride - 1 zeros behind each element of every spatial axis. */
static weft_val dilate(weft_build *b, const spread *s, weft_val v)
{
    int64_t dim[WEFT_MAX_RANK], low[WEFT_MAX_RANK] = { 0 }, high[WEFT_MAX_RANK] = { 0 };
    char t_low[256], t_high[256];
    int i, rank = 2 + 2 * s->axes, wide = 0;

    for (i = 0; i < s->axes; i++) {
        dim[1 + 2 * i] = s->out.dim[1 + i];
        dim[2 + 2 * i] = 1;
        high[2 + 2 * i] = s->w[i].stride - 1;
        wide |= s->w[i].stride > 1;
    }
    if (!wide) return v;
    dim[0] = s->out.dim[0];
    dim[rank - 1] = s->out.dim[1 + s->axes];
    v = weft_opf(b, "pad", reshape(b, v, dim, rank), "low=%s high=%s",
                 weft_ints_text(t_low, sizeof t_low, low, (uint32_t)rank),
                 weft_ints_text(t_high, sizeof t_high, high, (uint32_t)rank));
    for (i = 0; i < s->axes; i++)
        dim[1 + i] = s->out.dim[1 + i] * s->w[i].stride;
    dim[1 + s->axes] = s->out.dim[1 + s->axes];
    return reshape(b, v, dim, 2 + s->axes);
}

/* v, of the result's shape, to where that element of each window lies. */
static weft_val place(weft_build *b, const spread *s, weft_val v, int64_t element)
{
    int64_t begin[WEFT_MAX_RANK] = { 0 }, size[WEFT_MAX_RANK], low[WEFT_MAX_RANK] = { 0 },
            high[WEFT_MAX_RANK] = { 0 };
    char t_first[256], t_second[256];
    uint32_t rank = (uint32_t)s->x.rank;
    int i;

    size[0] = s->x.dim[0];
    size[rank - 1] = s->x.dim[rank - 1];
    for (i = s->axes - 1; i >= 0; i--) {
        const weft_window *w = &s->w[i];

        size[i + 1] = (s->out.dim[i + 1] - 1) * w->stride + 1;
        low[i + 1] = element % w->size;
        high[i + 1] = s->x.dim[i + 1] + w->low + w->high - low[i + 1] - size[i + 1];
        element /= w->size;
    }
    v = weft_opf(b, "slice", dilate(b, s, v), "begin=%s size=%s",
                 weft_ints_text(t_first, sizeof t_first, begin, rank),
                 weft_ints_text(t_second, sizeof t_second, size, rank));
    return weft_opf(b, "pad", v, "low=%s high=%s",
                    weft_ints_text(t_first, sizeof t_first, low, rank),
                    weft_ints_text(t_second, sizeof t_second, high, rank));
}

/* The padding taken off again. */
static weft_val crop(weft_build *b, const spread *s, weft_val v)
{
    int64_t begin[WEFT_MAX_RANK] = { 0 };
    char t_begin[256], t_size[256];
    int i;

    for (i = 0; i < s->axes; i++)
        begin[i + 1] = s->w[i].low;
    return weft_opf(b, "slice", v, "begin=%s size=%s",
                    weft_ints_text(t_begin, sizeof t_begin, begin, (uint32_t)s->x.rank),
                    weft_ints_text(t_size, sizeof t_size, s->x.dim, (uint32_t)s->x.rank));
}

/* x is padded twice: NaN equals no y, so that padding is never the maximum; 0 is never NaN, so that
 * it is never where a NaN came from. */
static weft_status lower_max(weft_build *b)
{
    weft_val x = weft_in(b, 0), y = weft_in(b, 1), dy = weft_in(b, 2), taken = 0, sum = 0;
    weft_val equal, not_nan;
    spread s;
    int64_t k;

    if (b->api->spec(b, x, &s.x) || pooling_result(b, &s.x, s.w, &s.axes, &s.out) ||
        !(s.size = pooling_window_size(b, s.w, s.axes)))
        return WEFT_E_SHAPE;
    equal = pooling_pad(b, x, &s.x, s.w, s.axes, "nan");
    not_nan = pooling_pad(b, x, &s.x, s.w, s.axes, "0.0");
    for (k = 0; k < s.size; k++) {
        weft_val e = pooling_slice(b, equal, &s.out, s.w, s.axes, k);
        weft_val n = pooling_slice(b, not_nan, &s.out, s.w, s.axes, k);
        weft_val hit = weft_op_(b, "map", "expr=\"or(a==b,c!=c)\"", e, y, n), part;

        if (k) hit = weft_op_(b, "map", "expr=\"and(a,not(b))\"", hit, taken);
        taken = k ? weft_op2(b, "or", taken, hit) : hit;
        part = place(b, &s, weft_op_(b, "map", "expr=\"select(a,b,0)\"", hit, dy), k);
        sum = k ? weft_add(b, sum, part) : part;
    }
    return weft_out(b, 0, crop(b, &s, sum));
}

static weft_status lower_avg(weft_build *b)
{
    weft_val mean, sum = 0;
    spread s;
    int64_t k;

    if (get_x(b, &s.x, s.w, &s.axes) || b->api->spec(b, weft_in(b, 0), &s.out) ||
        !(s.size = pooling_window_size(b, s.w, s.axes)))
        return WEFT_E_SHAPE;
    mean = pooling_mean(b, weft_in(b, 0), &s.x, &s.out, s.w, s.axes);
    for (k = 0; k < s.size; k++) {
        weft_val part = place(b, &s, mean, k);

        sum = k ? weft_add(b, sum, part) : part;
    }
    return weft_out(b, 0, crop(b, &s, sum));
}

/* ---- the gradients of the ops */

/* The three lists of the forward op as attribute text. */
static const char *same_windows(weft_build *b, char *text, size_t size)
{
    snprintf(text, size, "size=%s strides=%s pads=%s", b->api->attr_s(b, "size"),
             b->api->attr_s(b, "strides"), b->api->attr_s(b, "pads"));
    return text;
}

/* Whole numbers have none. */
weft_status pooling_max_gradient(weft_build *b)
{
    weft_val args[3];
    char attrs[512];
    weft_spec x;

    if (b->api->spec(b, weft_in(b, 0), &x)) return WEFT_E_SHAPE;
    if (x.dtype != WEFT_F32 && x.dtype != WEFT_F64) return WEFT_OK;
    args[0] = weft_in(b, 0);
    args[1] = b->api->fwd(b, 0);
    args[2] = b->api->dout(b, 0);
    return weft_out(
        b, 0,
        b->api->op(b, "max_pool_grad", same_windows(b, attrs, sizeof attrs), args, 3, NULL, 0));
}

weft_status pooling_avg_gradient(weft_build *b)
{
    char attrs[512], spatial[96];
    weft_spec x;

    if (b->api->spec(b, weft_in(b, 0), &x)) return WEFT_E_SHAPE;
    return weft_out(
        b, 0,
        weft_opf(b, "avg_pool_grad", b->api->dout(b, 0), "%s spatial=%s",
                 same_windows(b, attrs, sizeof attrs),
                 weft_ints_text(spatial, sizeof spatial, x.dim + 1, (uint32_t)x.rank - 2)));
}

#define WINDOW_ATTRS                                                                        \
    { "size", WEFT_INTS, 0, NULL, "1..65535", "of the window, one number a spatial axis" }, \
        { "strides", WEFT_INTS,  0,                                                         \
          NULL,      "1..65535", "how far the window moves, one number a spatial axis" },   \
    {                                                                                       \
        "pads", WEFT_INTS, 0, NULL, "0..65535", "before each axis, then behind each axis"   \
    }
static const weft_attr max_attrs[] = { WINDOW_ATTRS, { 0 } };
static const weft_attr avg_attrs[] = {
    WINDOW_ATTRS,
    { "spatial", WEFT_INTS, 0, NULL, "0..", "the sizes of x's spatial axes" },
    { 0 },
};
/* of few numbers, so that a y is met often, and by several elements of its window */
static const char *const max_cases[] = {
    "size=(2,2) strides=(2,2) pads=(0,0,0,0) : f32 Bx6x6x3<3, f32 Bx3x3x3<3, f32 Bx3x3x3",
    "size=(3,2) strides=(2,1) pads=(1,0,1,1) : f32 Bx7x5x4<4, f32 Bx4x5x4<4, f32 Bx4x5x4",
    "size=(2) strides=(1) pads=(0,1) : f32 Bx9x2<3, f32 Bx9x2<3, f32 Bx9x2",
    "size=(2,3,2) strides=(2,2,1) pads=(0,1,0,1,1,1) : f32 Bx5x6x4x3<9, f32 Bx3x3x4x3<9, "
    "f32 Bx3x3x4x3",
    "size=(2) strides=(3) pads=(0,0) : f32 Bx9x70<2, f32 Bx3x70<2, f32 Bx3x70",
    NULL,
};
static const char *const avg_cases[] = {
    "size=(2,2) strides=(2,2) pads=(0,0,0,0) spatial=(7,6) : f32 Bx3x3x3",
    "size=(3,2) strides=(2,1) pads=(1,0,1,1) spatial=(7,5) : f32 Bx4x5x4",
    "size=(2) strides=(1) pads=(0,1) spatial=(9) : f32 Bx9x2",
    "size=(2,3,2) strides=(2,2,1) pads=(0,1,0,1,1,1) spatial=(5,6,4) : f32 Bx3x3x4x3",
    "size=(2) strides=(3) pads=(0,0) spatial=(9) : f32 Bx3x70",
    NULL,
};

const weft_op_class pooling_max_pool_grad = {
    .struct_size = sizeof pooling_max_pool_grad,
    .name = "max_pool_grad",
    .inputs = "x, y, dy",
    .outputs = "dx",
    .attrs = max_attrs,
    .infer = infer_max,
    .lower = lower_max,
    .kernels = pooling_max_grad_kernels,
    .cases = max_cases,
    .doc = "the gradient of max_pool: to the first element that is the maximum",
};
const weft_op_class pooling_avg_pool_grad = {
    .struct_size = sizeof pooling_avg_pool_grad,
    .name = "avg_pool_grad",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = avg_attrs,
    .infer = infer_avg,
    .lower = lower_avg,
    .kernels = pooling_avg_grad_kernels,
    .cases = avg_cases,
    .doc = "the gradient of avg_pool",
};
