/* gather: rows of x by their numbers.
 *   y[i.., j.., k..] = x[i.., indices[j..], k..]     i.. the axes before `axis`, k.. those behind
 * An index that is negative or not below the axis's size is an error when the model runs, never an
 * out-of-bounds read. */
#include <string.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/ops.h"

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec x, indices, y = { 0 };
    int32_t axis;
    weft_status st;
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_in(b, 1, &indices))) return st;
    if (indices.dtype != WEFT_I32 && indices.dtype != WEFT_I64)
        return weft_fail(WEFT_E_DTYPE, "indices are %s; they must be int32 or int64",
                         weft_dtype_name(indices.dtype));
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

static const weft_attr attrs[] = {
    { "axis", WEFT_INT, 0, "0", NULL, "the axis of x that the indices count along" },
    { 0 },
};
static const char *const cases[] = {
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
    .attrs = attrs,
    .infer = infer,
    .cases = cases,
    .doc = "Rows of x by their numbers, along an axis.",
};
