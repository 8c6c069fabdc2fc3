/* Ops that cut and join along axes: slice, pad, concat. */
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

/* ---- slice: y[i..] = x[begin + i*step ..], i < size */

/* Does begin + (size-1)*step stay below n for every batch of 1 or more? Both may be c times the
 * batch. */
static int inside(int64_t n, int64_t begin, int64_t size, int64_t step)
{
    int64_t span;
    if (size == 0) return begin <= (n < 0 ? -n : n);
    if (__builtin_mul_overflow(size < 0 ? -size : size - 1, step, &span)) return 0;
    if (size > 0) return begin <= INT64_MAX - span && begin + span < (n < 0 ? -n : n);
    if (n >= 0) return 0;
    /* begin + c'B*step - step < cB: true for B = 1 and then, as c >= c'*step, for every larger B */
    return -n >= span && begin - step < -n - span;
}

static weft_status infer_slice(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int64_t begin[WEFT_MAX_RANK], size[WEFT_MAX_RANK], step[WEFT_MAX_RANK];
    weft__dim_text s, t;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_list(b, "begin", x.rank, 0, begin)) ||
        (st = weft__op_list(b, "size", x.rank, 0, size)) ||
        (st = weft__op_list(b, "step", x.rank, 1, step)))
        return st;
    outs[0] = x;
    for (int32_t i = 0; i < x.rank; i++) {
        outs[0].dim[i] = size[i];
        if (begin[i] < 0 || step[i] < 1)
            return weft_fail(
                WEFT_E_ATTR,
                "axis %d: begin is %lld and step %lld; begin is 0 or more, step 1 or more", (int)i,
                (long long)begin[i], (long long)step[i]);
        if (x.dim[i] == WEFT_ANY || size[i] == WEFT_ANY ||
            inside(x.dim[i], begin[i], size[i], step[i]))
            continue;
        return weft_fail(
            WEFT_E_SHAPE,
            "axis %d has %s elements; %s from %lld on in steps of %lld are not all inside", (int)i,
            weft__dim_show(x.dim[i], &s), weft__dim_show(size[i], &t), (long long)begin[i],
            (long long)step[i]);
    }
    return WEFT_OK;
}

/* Zeros between the elements along axes with a step: (.., n, ..) becomes (.., n, 1, ..), is padded
 * to (.., n, step, ..), and becomes (.., n*step, ..). As much of `begin` as is below the step goes
 * in front of each element, so that a slice of a whole axis gives the whole axis. */
static weft_val spread(weft_build *b, weft_val v, const int64_t *step, int64_t *begin)
{
    weft_spec from = weft__grad_spec(b, v), split = from, to = from;
    int64_t low[WEFT_MAX_RANK] = { 0 }, high[WEFT_MAX_RANK] = { 0 };
    int32_t rank = 0;
    for (int32_t i = 0; i < from.rank; i++) {
        if (rank + from.rank - i > WEFT_MAX_RANK - (step[i] > 1)) {
            weft_failf(b, WEFT_E_UNSUPPORTED,
                       "the gradient of a slice with steps along several axes of a tensor of rank "
                       "%d is not available; slice one axis after the other, or reshape first",
                       (int)from.rank);
            return 0;
        }
        split.dim[rank++] = from.dim[i];
        if (step[i] == 1) continue;
        low[rank] = begin[i] % step[i];
        high[rank] = step[i] - 1 - low[rank];
        begin[i] -= low[rank];
        split.dim[rank++] = 1;
        if (weft__dim_mul(from.dim[i], step[i], &to.dim[i])) return 0;
    }
    if (rank == from.rank) return v;
    split.rank = rank;
    v = weft__grad_pad(b, weft__grad_reshape(b, v, &split), low, high, rank);
    return weft__grad_reshape(b, v, &to);
}

/* The zeros behind v along an axis of x that a pad cannot make, as the sizes depend on the
 * batch. */
static weft_val extend(weft_build *b, weft_val v, int32_t axis, int64_t begin, const weft_spec *x)
{
    weft_spec rest = weft__grad_spec(b, v);
    weft__dim_text s, t;
    char attrs[32];
    if (begin || (rest.dim[axis] >= 0 && rest.dim[axis] != 0) || rest.dim[axis] < x->dim[axis]) {
        weft_failf(b, WEFT_E_UNSUPPORTED,
                   "the gradient of %s elements from %lld on of axis %d, which has %s, is not "
                   "available: the zeros around them have no exact size; fix the batch size, or "
                   "gather them",
                   weft__dim_show(rest.dim[axis], &s), (long long)begin, (int)axis,
                   weft__dim_show(x->dim[axis], &t));
        return 0;
    }
    rest.dim[axis] = x->dim[axis] - rest.dim[axis];
    const weft_val in[] = { v, weft_zeros(b, &rest) };
    snprintf(attrs, sizeof attrs, "axis=%d", (int)axis);
    return b->api->op(b, "concat", attrs, in, 2, NULL, 0);
}

/* Zeros around dy. */
static weft_status slice_gradient(weft_build *b)
{
    const weft_spec x = weft__grad_spec(b, b->api->in(b, 0));
    int64_t begin[WEFT_MAX_RANK], step[WEFT_MAX_RANK], high[WEFT_MAX_RANK] = { 0 };
    const int64_t none[WEFT_MAX_RANK] = { 0 };
    weft_status st;
    int any = 0;
    if ((st = weft__op_list(b, "begin", x.rank, 0, begin)) ||
        (st = weft__op_list(b, "step", x.rank, 1, step)))
        return st;
    weft_val v = spread(b, b->api->dout(b, 0), step, begin);
    weft_spec now = weft__grad_spec(b, v), cut = now;
    for (int32_t i = 0; i < now.rank; i++) {
        if (x.dim[i] < 0) continue;
        /* zeros behind the last element may reach over the end */
        if (cut.dim[i] > x.dim[i] - begin[i]) cut.dim[i] = x.dim[i] - begin[i];
        any |= cut.dim[i] != now.dim[i];
    }
    if (any) v = weft__grad_slice(b, v, none, &cut);
    any = 0;
    for (int32_t i = 0; i < now.rank; i++) {
        if (x.dim[i] >= 0) {
            high[i] = x.dim[i] - begin[i] - cut.dim[i];
            any |= begin[i] || high[i];
        } else if (begin[i] || cut.dim[i] != x.dim[i]) {
            v = extend(b, v, i, begin[i], &x);
            begin[i] = 0;
        }
    }
    if (any) v = weft__grad_pad(b, v, begin, high, x.rank);
    return b->api->out(b, 0, v);
}

static const weft_attr slice_attrs[] = {
    { "begin", WEFT_INTS, 0, NULL, "0..", "the first element, one number an axis" },
    { "size", WEFT_INTS, 0, NULL, NULL, "the dimensions of the result; -c is c times the batch" },
    { "step", WEFT_INTS, WEFT_NULLABLE, "none", "1..", "one number an axis; none: 1" },
    { 0 },
};
static const char *const slice_cases[] = {
    "begin=(0,2) size=(-1,3) : f32 Bx7",
    "begin=(0,1,0) size=(-1,2,5) step=(1,2,1) : f32 Bx5x5",
    "begin=(0,0) size=(-1,0) : f32 Bx3",
    "begin=(1,0) size=(2,-1) step=(3,1) : i32 7xB",
    "begin=(0,0) size=(-1,4) step=(2,1) : f32 2Bx4",
    NULL,
};

const weft_op_class weft__op_slice = {
    .struct_size = sizeof(weft_op_class),
    .name = "slice",
    .inputs = "x",
    .outputs = "y",
    .attrs = slice_attrs,
    .infer = infer_slice,
    .gradient = slice_gradient,
    .cases = slice_cases,
    .doc = "Every step-th element of a box.",
};

/* ---- pad: x with `value` around it; integers and bool take a value that they hold exactly, floats
 * the nearest one */

/* As numpy and ONNX: there is no -inf of an integer, and nothing is cut off in silence. */
static weft_status check_value(double value, weft_dtype dtype)
{
    static const struct {
        weft_dtype dtype;
        double least, most;
        const char *range;
    } whole[] = {
        { WEFT_I32, INT32_MIN, INT32_MAX, "-2147483648 to 2147483647" },
        { WEFT_I64, -0x1p63, 0x1.fffffffffffffp62,
          "-2^63 to 2^63 - 1024" }, /* a double below 2^63 */
        { WEFT_U8, 0, UINT8_MAX, "0 to 255" },
        { WEFT_BOOL, 0, 1, "0 to 1" },
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        if (whole[i].dtype != dtype) continue;
        if (value >= whole[i].least && value <= whole[i].most && value == (double)(int64_t)value)
            return WEFT_OK;
        return weft_fail(WEFT_E_ATTR,
                         "value %g is no %s; give a whole number from %s, or convert the input to "
                         "float32 first",
                         value, weft_dtype_name(dtype), whole[i].range);
    }
    return WEFT_OK;
}

static weft_status infer_pad(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int64_t low[WEFT_MAX_RANK], high[WEFT_MAX_RANK];
    weft__dim_text s;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_list(b, "low", x.rank, 0, low)) ||
        (st = weft__op_list(b, "high", x.rank, 0, high)) ||
        (st = check_value(b->api->attr_f(b, "value"), x.dtype)))
        return st;
    outs[0] = x;
    for (int32_t i = 0; i < x.rank; i++) {
        if (low[i] < 0 || high[i] < 0)
            return weft_fail(WEFT_E_ATTR,
                             "axis %d: low and high are 0 or more; slice takes elements away",
                             (int)i);
        if ((low[i] || high[i]) && x.dim[i] < 0 && x.dim[i] != WEFT_ANY)
            return weft_fail(
                WEFT_E_SHAPE,
                "axis %d is %s: with padding its size has no exact form; pad another axis, or "
                "fix the batch size",
                (int)i, weft__dim_show(x.dim[i], &s));
        if ((st = weft__dim_add(x.dim[i], low[i], &outs[0].dim[i])) ||
            (st = weft__dim_add(outs[0].dim[i], high[i], &outs[0].dim[i])))
            return st;
    }
    return WEFT_OK;
}

static weft_status pad_gradient(weft_build *b)
{
    const weft_spec x = weft__grad_spec(b, b->api->in(b, 0));
    int64_t low[WEFT_MAX_RANK];
    weft_status st = weft__op_list(b, "low", x.rank, 0, low);
    return st ? st : b->api->out(b, 0, weft__grad_slice(b, b->api->dout(b, 0), low, &x));
}

static const weft_attr pad_attrs[] = {
    { "low", WEFT_INTS, 0, NULL, "0..", "elements in front of each axis" },
    { "high", WEFT_INTS, 0, NULL, "0..", "elements behind each axis" },
    { "value", WEFT_FLOAT, 0, "0", NULL,
      "what they are; of integers and bool a number that these hold exactly" },
    { 0 },
};
static const char *const pad_cases[] = {
    "low=(0,1) high=(0,2) : f32 Bx5",
    "low=(0,1,0,0) high=(0,0,3,0) value=-inf : f32 Bx4x5x3",
    "low=(2,0) high=(1,0) value=7 : i32 3xB",
    "low=(0,2) high=(0,0) : f32 Bx0",
    NULL,
};

const weft_op_class weft__op_pad = {
    .struct_size = sizeof(weft_op_class),
    .name = "pad",
    .inputs = "x",
    .outputs = "y",
    .attrs = pad_attrs,
    .infer = infer_pad,
    .gradient = pad_gradient,
    .cases = pad_cases,
    .doc = "The input with a value around it.",
};

/* ---- concat: inputs behind each other along an axis */

static weft_status join(const weft_spec *x, uint32_t i, int32_t axis, weft_spec *all)
{
    weft__dim_text s, t;
    if (x->dtype != all->dtype)
        return weft_fail(WEFT_E_DTYPE, "input 0 is %s, input %u is %s; convert one of them",
                         weft_dtype_name(all->dtype), (unsigned)i, weft_dtype_name(x->dtype));
    if (x->rank != all->rank)
        return weft_fail(
            WEFT_E_SHAPE,
            "input 0 has rank %d, input %u rank %d; Reshape or Flatten makes them equal",
            (int)all->rank, (unsigned)i, (int)x->rank);
    for (int32_t k = 0; k < x->rank; k++) {
        if (k == axis) continue;
        if (!weft__dim_equal(x->dim[k], all->dim[k]))
            return weft_fail(
                WEFT_E_SHAPE,
                "axis %d differs: %s in input 0, %s in input %u; all axes but axis %d must agree: "
                "ZeroPadding, Cropping, pooling or Reshape change them, or join along axis %d",
                (int)k, weft__dim_show(all->dim[k], &s), weft__dim_show(x->dim[k], &t), (unsigned)i,
                (int)axis, (int)k);
        if (all->dim[k] == WEFT_ANY) all->dim[k] = x->dim[k];
    }
    return weft__dim_add(all->dim[axis], x->dim[axis], &all->dim[axis]);
}

static weft_status infer_concat(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int32_t axis;
    weft_status st;
    if ((st = weft__op_in(b, 0, &outs[0]))) return st;
    if ((st = weft__axis(b->api->attr_i(b, "axis"), outs[0].rank, &axis))) return st;
    for (uint32_t i = 1; i < b->api->n_in(b); i++)
        if ((st = weft__op_in(b, i, &x)) || (st = join(&x, i, axis, &outs[0]))) return st;
    return WEFT_OK;
}

/* `size` elements along an axis, of a multiple of the batch, up to `end`. A slice begins at a
 * number only, so the front is taken off from behind, by turning it round. */
static weft_val slice_of_batches(weft_build *b, weft_val v, int32_t axis, int64_t end,
                                 const weft_spec *size)
{
    const int64_t none[WEFT_MAX_RANK] = { 0 };
    weft_spec front = *size;
    front.dim[axis] = end;
    v = weft__grad_slice(b, v, none, &front);
    if (end == size->dim[axis]) return v;
    v = weft_opf(b, "reverse", v, "axes=(%d)", (int)axis);
    return weft_opf(b, "reverse", weft__grad_slice(b, v, none, size), "axes=(%d)", (int)axis);
}

static weft_status concat_gradient(weft_build *b)
{
    weft_val dy = b->api->dout(b, 0);
    int64_t begin[WEFT_MAX_RANK] = { 0 };
    int32_t axis;
    const int32_t rank = weft__grad_spec(b, dy).rank;
    weft_status st = weft__axis(b->api->attr_i(b, "axis"), rank, &axis);
    for (uint32_t i = 0; !st && i < b->api->n_in(b); i++) {
        const weft_spec x = weft__grad_spec(b, b->api->in(b, i));
        int64_t end;
        if ((st = weft__dim_add(begin[axis], x.dim[axis], &end))) break;
        st = b->api->out(b, i,
                         end < 0 ? slice_of_batches(b, dy, axis, end, &x)
                                 : weft__grad_slice(b, dy, begin, &x));
        begin[axis] = end;
    }
    return st;
}

static const weft_attr concat_attrs[] = {
    { "axis", WEFT_INT, 0, NULL, NULL, "the axis that becomes longer" },
    { 0 },
};
static const char *const concat_cases[] = {
    "axis=1 : f32 Bx3x5, f32 Bx2x5",
    "axis=-1 : f32 Bx7, f32 Bx1, f32 Bx10",
    "axis=0 : f32 Bx4, f32 2Bx4",
    "axis=2 : i32 Bx2x3, i32 Bx2x0, i32 Bx2x5",
    "axis=3 : f32 Bx5x4x3, f32 Bx5x4x8",
    "axis=1 : f32 Bx3",
    NULL,
};

const weft_op_class weft__op_concat = {
    .struct_size = sizeof(weft_op_class),
    .name = "concat",
    .inputs = "x...",
    .outputs = "y",
    .attrs = concat_attrs,
    .infer = infer_concat,
    .gradient = concat_gradient,
    .cases = concat_cases,
    .doc = "The inputs behind each other along an axis.",
};
