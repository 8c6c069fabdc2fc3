/* Ops that move elements and compute nothing: reshape, transpose, broadcast, reverse, copy; and
 * count, which tells how many there are. Plans turn most of them into views. */
#include <string.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

/* The count of a shape in full: number * batch^power. Exact where a dimension has no such form. */
typedef struct count {
    int64_t number;
    int power, unknown, overflow;
} count;

static count count_of(const weft_spec *spec)
{
    count c = { 1, 0, 0, 0 };
    for (int32_t i = 0; i < spec->rank; i++) {
        int64_t d = spec->dim[i];
        if (d == WEFT_ANY) {
            c.unknown = 1;
            continue;
        }
        c.power += d < 0;
        c.overflow |= __builtin_mul_overflow(c.number, d < 0 ? -d : d, &c.number);
    }
    return c;
}

/* ---- reshape: the same elements, in row-major order, under another shape */

static weft_status fail_count(const weft_spec *x, const weft_spec *y, count a, count b)
{
    static const char *const batch[] = { "", " times the batch", " times the batch squared" };
    weft__spec_text s, t;
    return weft_fail(WEFT_E_SHAPE,
                     "%s has %lld%s elements, %s has %lld%s; a reshape keeps their number",
                     weft__spec_show(x, &s), (long long)a.number, batch[a.power < 2 ? a.power : 2],
                     weft__spec_show(y, &t), (long long)b.number, batch[b.power < 2 ? b.power : 2]);
}

static weft_status infer_reshape(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_dims(b, "shape", &outs[0]))) return st;
    outs[0].dtype = x.dtype;
    count from = count_of(&x), to = count_of(&outs[0]);
    if (from.overflow || to.overflow)
        return weft_fail(WEFT_E_SHAPE, "the shape has more elements than 64 bits can count");
    if (from.unknown || to.unknown) return WEFT_OK;
    int same = from.number == to.number && (from.number == 0 || from.power == to.power);
    return same ? WEFT_OK : fail_count(&x, &outs[0], from, to);
}

static weft_status reshape_gradient(weft_build *b)
{
    const weft_spec x = weft__grad_spec(b, b->api->in(b, 0));
    return b->api->out(b, 0, weft__grad_reshape(b, b->api->dout(b, 0), &x));
}

static const weft_attr shape_attrs[] = {
    { "shape", WEFT_INTS, 0, NULL, NULL, "the dimensions; -c is c times the batch" },
    { 0 },
};
static const char *const reshape_cases[] = {
    "shape=(-1,15) : f32 Bx3x5", "shape=(-3,5) : f32 Bx3x5", "shape=(-1,1,3,5) : i32 Bx15",
    "shape=() : f32 1x1",        "shape=(-1,0,2) : f32 Bx0", NULL,
};

const weft_op_class weft__op_reshape = {
    .struct_size = sizeof(weft_op_class),
    .name = "reshape",
    .inputs = "x",
    .outputs = "y",
    .attrs = shape_attrs,
    .infer = infer_reshape,
    .gradient = reshape_gradient,
    .cases = reshape_cases,
    .doc = "The same elements in row-major order under another shape.",
};

/* ---- transpose: y[i_perm[0], i_perm[1], ..] = x[i_0, i_1, ..] */

static weft_status infer_transpose(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int64_t perm[WEFT_MAX_RANK];
    int seen[WEFT_MAX_RANK] = { 0 };
    weft_status st = weft__op_in(b, 0, &x);
    if (st) return st;
    uint32_t n = b->api->attr_v(b, "perm", perm, WEFT_MAX_RANK);
    if (n != (uint32_t)x.rank)
        return weft_fail(WEFT_E_ATTR,
                         "perm has %u number%s, the input rank %d: every axis is named once",
                         (unsigned)n, n == 1 ? "" : "s", (int)x.rank);
    outs[0] = x;
    for (int32_t i = 0; i < x.rank; i++) {
        int32_t axis;
        if ((st = weft__axis(perm[i], x.rank, &axis))) return st;
        if (seen[axis]) return weft_fail(WEFT_E_ATTR, "perm names axis %d twice", (int)axis);
        seen[axis] = 1;
        outs[0].dim[i] = x.dim[axis];
    }
    return WEFT_OK;
}

/* Back by the inverse permutation. */
static weft_status transpose_gradient(weft_build *b)
{
    int64_t perm[WEFT_MAX_RANK], back[WEFT_MAX_RANK] = { 0 };
    char list[24 * WEFT_MAX_RANK + 8];
    uint32_t n = b->api->attr_v(b, "perm", perm, WEFT_MAX_RANK);
    for (uint32_t i = 0; i < n; i++)
        back[perm[i] < 0 ? perm[i] + n : perm[i]] = i;
    return b->api->out(b, 0,
                       weft_opf(b, "transpose", b->api->dout(b, 0), "perm=%s",
                                weft_ints_text(list, sizeof list, back, n)));
}

static const weft_attr perm_attrs[] = {
    { "perm", WEFT_INTS, 0, NULL, NULL, "axis i of the result is axis perm[i] of the input" },
    { 0 },
};
static const char *const transpose_cases[] = {
    "perm=(1,0) : f32 Bx7",
    "perm=(0,2,1) : f32 Bx5x33",
    "perm=(0,3,1,2) : f32 Bx5x6x3",
    "perm=(2,1,0) : i64 3xBx2",
    "perm=(3,2,1,0) : u8 2x3x4xB",
    "perm=(1,0) : f32 65x129",
    NULL,
};

const weft_op_class weft__op_transpose = {
    .struct_size = sizeof(weft_op_class),
    .name = "transpose",
    .inputs = "x",
    .outputs = "y",
    .attrs = perm_attrs,
    .infer = infer_transpose,
    .gradient = transpose_gradient,
    .cases = transpose_cases,
    .doc = "The axes in another order.",
};

/* ---- broadcast: axes of size 1, and axes in front, repeated */

static weft_status infer_broadcast(weft_build *b, weft_spec *outs)
{
    weft_spec x, all;
    weft__spec_text s, t;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_dims(b, "shape", &outs[0]))) return st;
    outs[0].dtype = x.dtype;
    all = outs[0];
    if ((st = weft__spec_broadcast(&x, &outs[0], &all))) return st;
    all.dtype = x.dtype;
    if (weft__spec_equal(&all, &outs[0])) return WEFT_OK;
    return weft_fail(
        WEFT_E_SHAPE,
        "%s does not broadcast to %s: only axes of size 1 are repeated, and axes added in front",
        weft__spec_show(&x, &s), weft__spec_show(&outs[0], &t));
}

static weft_status broadcast_gradient(weft_build *b)
{
    const weft_spec x = weft__grad_spec(b, b->api->in(b, 0));
    return b->api->out(b, 0, weft__grad_sum_to(b, b->api->dout(b, 0), &x));
}

static const char *const broadcast_cases[] = {
    "shape=(-1,3,5) : f32 5",      "shape=(-1,3,5) : f32 Bx1x5", "shape=(-1,4) : i32 1x1",
    "shape=(-2,2,3) : f32 2Bx1x1", "shape=(2,-1) : f32 ",        NULL,
};

const weft_op_class weft__op_broadcast = {
    .struct_size = sizeof(weft_op_class),
    .name = "broadcast",
    .inputs = "x",
    .outputs = "y",
    .attrs = shape_attrs,
    .infer = infer_broadcast,
    .gradient = broadcast_gradient,
    .cases = broadcast_cases,
    .doc = "Repeats axes of size 1, and adds axes in front, up to a shape.",
};

/* ---- reverse: y[.., i, ..] = x[.., n - 1 - i, ..] along each of the axes */

static weft_status infer_reverse(weft_build *b, weft_spec *outs)
{
    int axes[WEFT_MAX_RANK];
    weft_status st = weft__op_in(b, 0, &outs[0]);
    return st ? st : weft__op_axes(b, "axes", outs[0].rank, axes);
}

static weft_status reverse_gradient(weft_build *b)
{
    return b->api->out(
        b, 0, weft_opf(b, "reverse", b->api->dout(b, 0), "axes=%s", b->api->attr_s(b, "axes")));
}

static const weft_attr reverse_attrs[] = {
    { "axes", WEFT_INTS, 0, NULL, NULL, "the axes to turn round" },
    { 0 },
};
static const char *const reverse_cases[] = {
    "axes=(1) : f32 Bx7",
    "axes=(-1,0) : f32 Bx3x5",
    "axes=(1,2) : i32 Bx4x3x2",
    NULL,
};

const weft_op_class weft__op_reverse = {
    .struct_size = sizeof(weft_op_class),
    .name = "reverse",
    .inputs = "x",
    .outputs = "y",
    .attrs = reverse_attrs,
    .infer = infer_reverse,
    .gradient = reverse_gradient,
    .cases = reverse_cases,
    .doc = "The elements along some axes in the opposite order.",
};

/* ---- copy: what plans add where views did not do: any number of tensors, each to a place of its
 * own */

static weft_status infer_copy(weft_build *b, weft_spec *outs)
{
    for (uint32_t i = 0; i < b->api->n_in(b); i++) {
        weft_status st = weft__op_in(b, i, &outs[i]);
        if (st) return st;
    }
    return WEFT_OK;
}

static weft_status copy_gradient(weft_build *b)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; !st && i < b->api->n_in(b); i++)
        st = b->api->out(b, i, b->api->dout(b, i));
    return st;
}

static const weft_attr no_attrs[] = { { 0 } };
static const char *const copy_cases[] = { ": f32 Bx3x5", ": f32 Bx3, i64 7, u8 2xBx3", NULL };

const weft_op_class weft__op_copy = {
    .struct_size = sizeof(weft_op_class),
    .name = "copy",
    .inputs = "x...",
    .outputs = "y...",
    .attrs = no_attrs,
    .infer = infer_copy,
    .gradient = copy_gradient,
    .cases = copy_cases,
    .doc = "Each input, as it is, to a place of its own.",
};

/* ---- count: the number of elements along axes, known when the model runs */

static weft_status infer_count(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int axes[WEFT_MAX_RANK];
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_axes(b, "axes", x.rank, axes))) return st;
    outs[0] = (weft_spec){ x.dtype == WEFT_F64 ? WEFT_F64 : WEFT_F32, 0, { 0 } };
    return WEFT_OK;
}

static const weft_attr count_attrs[] = {
    { "axes", WEFT_INTS, WEFT_NULLABLE, "none", NULL, "along which axes; none: all" },
    { 0 },
};
static const char *const count_cases[] = { ": f32 Bx3x5", "axes=(0) : f32 Bx3",
                                           "axes=(-1,0) : i32 Bx3x4", NULL };

const weft_op_class weft__op_count = {
    .struct_size = sizeof(weft_op_class),
    .name = "count",
    .inputs = "x",
    .outputs = "y",
    .attrs = count_attrs,
    .infer = infer_count,
    .gradient = weft__grad_none,
    .cases = count_cases,
    .doc = "The number of elements along axes, as a float.",
};
