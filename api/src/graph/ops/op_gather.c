/* gather: rows of x by their numbers; scatter_add, its transpose: rows added to where their numbers
 * say. i.. are the axes before `axis`, k.. those behind it.
 *   gather       y[i.., j.., k..] = x[i.., indices[j..], k..]
 *   scatter_add  y = 0; y[i.., indices[j..], k..] += updates[i.., j.., k..], in the order of j..
 * An index that is negative or not below the axis's size is an error when the model runs, never an
 * out-of-bounds access. */
#include <string.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/ops.h"

static weft_status get_indices(weft_build *b, uint32_t i, weft_spec *indices)
{
    weft_status st = weft__op_in(b, i, indices);
    if (st || indices->dtype == WEFT_I32 || indices->dtype == WEFT_I64) return st;
    return weft_fail(WEFT_E_DTYPE, "indices are %s; they must be int32 or int64",
                     weft_dtype_name(indices->dtype));
}

static weft_status infer_gather(weft_build *b, weft_spec *outs)
{
    weft_spec x, indices, y = { 0 };
    int32_t axis;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = get_indices(b, 1, &indices))) return st;
    if ((st = weft__axis(b->api->attr_i(b, "axis"), x.rank, &axis))) return st;
    y.dtype = x.dtype;
    y.rank = x.rank - 1 + indices.rank;
    if (y.rank > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE, "the result would have rank %d; a tensor has at most %d",
                         (int)y.rank, WEFT_MAX_RANK);
    for (int32_t i = 0, k = 0; i < x.rank; i++)
        if (i != axis) {
            y.dim[k++] = x.dim[i];
        } else {
            memcpy(y.dim + k, indices.dim, (size_t)indices.rank * sizeof *y.dim);
            k += indices.rank;
        }
    outs[0] = y;
    return WEFT_OK;
}

static weft_status gradient_gather(weft_build *b)
{
    char attrs[96];
    int32_t axis;
    weft_spec x;
    weft_status st = weft__op_in(b, 0, &x);
    if (st || !weft__is_float(x.dtype)) return st;
    if ((st = weft__axis(b->api->attr_i(b, "axis"), x.rank, &axis))) return st;
    snprintf(attrs, sizeof attrs, "axis=%d size=%lld", (int)axis, (long long)x.dim[axis]);
    weft_val args[] = { b->api->in(b, 1), b->api->dout(b, 0) };
    return b->api->out(b, 0, b->api->op(b, "scatter_add", attrs, args, 2, NULL, 0));
}

static weft_status infer_scatter_add(weft_build *b, weft_spec *outs)
{
    weft_spec indices, updates, y = { 0 };
    int32_t axis;
    weft_status st;
    if ((st = get_indices(b, 0, &indices)) || (st = weft__op_in_float(b, 1, &updates))) return st;
    y.dtype = updates.dtype;
    y.rank = updates.rank - indices.rank + 1;
    if (y.rank < 1 || y.rank > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE,
                         "indices of rank %d and updates of rank %d: the result "
                         "would have rank %d; it must be 1..%d",
                         (int)indices.rank, (int)updates.rank, (int)y.rank, WEFT_MAX_RANK);
    if ((st = weft__axis(b->api->attr_i(b, "axis"), y.rank, &axis))) return st;
    for (int32_t i = 0; i < y.rank; i++)
        y.dim[i] = i == axis ? b->api->attr_i(b, "size")
                             : updates.dim[i < axis ? i : i - 1 + indices.rank];
    for (int32_t i = 0; i < indices.rank; i++)
        if (updates.dim[axis + i] != indices.dim[i]) {
            weft__spec_text u, j;
            return weft_fail(WEFT_E_SHAPE,
                             "updates are %s and indices %s: axes %d.. of updates must be those of "
                             "indices",
                             weft__spec_show(&updates, &u), weft__spec_show(&indices, &j),
                             (int)axis);
        }
    outs[0] = y;
    return WEFT_OK;
}

static weft_status gradient_scatter_add(weft_build *b)
{
    char attrs[64];
    weft_val args[] = { b->api->dout(b, 0), b->api->in(b, 0) };
    snprintf(attrs, sizeof attrs, "axis=%lld", (long long)b->api->attr_i(b, "axis"));
    return b->api->out(b, 1, b->api->op(b, "gather", attrs, args, 2, NULL, 0));
}

static const weft_attr gather_attrs[] = {
    { "axis", WEFT_INT, 0, "0", NULL, "the axis of x that the indices count along" },
    { 0 },
};
static const char *const gather_cases[] = {
    ": f32 11x5, i32 Bx7<11",
    ": f32 3, i64 B<3",
    "axis=1 : f32 Bx9x4, i32 3x2<9",
    "axis=-1 : f32 Bx2x6, i64 5<6",
    ": i32 8x3, i32 Bx2<8",
    ": f32 4x3, i32 Bx0<4",
    NULL,
};

const weft_op_class weft__op_gather = {
    .struct_size = sizeof(weft_op_class),
    .name = "gather",
    .inputs = "x, indices",
    .outputs = "y",
    .attrs = gather_attrs,
    .infer = infer_gather,
    .gradient = gradient_gather,
    .cases = gather_cases,
    .doc = "Rows of x by their numbers, along an axis.",
};

static const weft_attr scatter_add_attrs[] = {
    { "axis", WEFT_INT, 0, "0", NULL, "the axis of y that the indices count along" },
    { "size", WEFT_INT, 0, NULL, NULL, "of that axis; -c is c times the batch" },
    { 0 },
};
static const char *const scatter_add_cases[] = {
    "size=11 : i32 Bx7<11, f32 Bx7x5",
    "size=3 : i64 B<3, f32 B",
    "axis=1 size=9 : i32 3x2<9, f32 Bx3x2x4",
    "axis=-1 size=6 : i64 5<6, f32 Bx2x5",
    "size=300 : i32 Bx70<300, f32 Bx70x19",
    "size=2 : i32 Bx300<2, f32 Bx300",
    "size=-2 : i32 Bx3<1, f32 Bx3x2",
    "size=4 : i32 Bx0<4, f32 Bx0x3",
    "size=4 : i32 <4, f32 3",
    NULL,
};

const weft_op_class weft__op_scatter_add = {
    .struct_size = sizeof(weft_op_class),
    .name = "scatter_add",
    .inputs = "indices, updates",
    .outputs = "y",
    .attrs = scatter_add_attrs,
    .infer = infer_scatter_add,
    .gradient = gradient_scatter_add,
    .cases = scatter_add_cases,
    .doc = "Zeros, with rows added to where their numbers say: the transpose of gather.",
};
