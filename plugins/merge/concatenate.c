/* Concatenate, which refuses at build time what Keras finds only at run time, and RepeatBatch,
 * which gives a tensor of batch 1 the batch of another one. */
#include <string.h>
#include "merge.h"

/* What would make the two shapes fit, for the end of the error text. */
static const char *remedy(const weft_spec *x, const weft_spec *y, int32_t axis, int32_t differs)
{
    if (differs == 0)
        return "only the batch differs: RepeatBatch repeats the input of fixed batch for every "
               "sample";
    if (x->rank != y->rank)
        return "the ranks differ: Flatten, GlobalAveragePooling or Reshape lowers one, "
               "RepeatVector raises one";
    if (x->rank > 2 && differs < x->rank - 1)
        return "bring the branches to one size with pooling, strides, padding=same or ZeroPadding";
    return axis == x->rank - 1 ? "Reshape or Permute one of them"
                               : "try axis=-1, or a Dense of equal units";
}

static weft_status check_pair(weft_build *b, uint32_t i, const weft_spec *x, const weft_spec *y,
                              int32_t axis)
{
    char first[MERGE_SHAPE_TEXT], other[MERGE_SHAPE_TEXT];
    int32_t k;

    merge_shape(first, x);
    merge_shape(other, y);
    if (x->rank != y->rank)
        return weft_failf(b, WEFT_E_SHAPE, "inputs 0 and %u have rank %d and %d: %s and %s; %s",
                          (unsigned)i, (int)x->rank, (int)y->rank, first, other,
                          remedy(x, y, axis, -1));
    for (k = 0; k < x->rank; k++)
        if (k != axis && x->dim[k] != y->dim[k] && x->dim[k] != WEFT_ANY && y->dim[k] != WEFT_ANY)
            return weft_failf(b, WEFT_E_SHAPE,
                              "inputs 0 and %u differ on axis %d: %s and %s; only axis %d, along "
                              "which they are joined, may differ; %s",
                              (unsigned)i, (int)k, first, other, (int)axis, remedy(x, y, axis, k));
    return WEFT_OK;
}

/* Brings all inputs to the widest of their dtypes, as elementwise layers do: bool, uint8, int32,
 * int64, float32, float64, where float32 does not hold every whole number. */
static weft_status promote(weft_build *b, weft_val *x, uint32_t n)
{
    static const struct {
        weft_dtype dtype;
        const char *cast;
    } order[] = { { WEFT_BOOL, "bool(a)" }, { WEFT_U8, "u8(a)" },   { WEFT_I32, "i32(a)" },
                  { WEFT_I64, "i64(a)" },   { WEFT_F32, "f32(a)" }, { WEFT_F64, "f64(a)" } };
    size_t widest = 0, k;
    weft_spec s;
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (b->api->spec(b, x[i], &s)) return WEFT_E_DTYPE;
        for (k = widest; k < sizeof order / sizeof *order; k++)
            if (order[k].dtype == s.dtype) widest = k;
    }
    for (i = 0; i < n; i++)
        if (!b->api->spec(b, x[i], &s) && s.dtype != order[widest].dtype)
            x[i] = weft_opf(b, "map", x[i], "expr=\"%s\"", order[widest].cast);
    return WEFT_OK;
}

static weft_status build_concatenate(weft_build *b)
{
    uint32_t n = b->api->n_in(b), i;
    int64_t axis = b->api->attr_i(b, "axis");
    weft_val x[MERGE_MAX_INPUTS];
    weft_spec first, s;
    char attrs[32];

    if (n > MERGE_MAX_INPUTS)
        return weft_failf(b, WEFT_E_ARG, "%u inputs; at most %d", (unsigned)n, MERGE_MAX_INPUTS);
    if (b->api->spec(b, weft_in(b, 0), &first)) return weft_out(b, 0, 0);
    if (axis < -first.rank || axis >= first.rank)
        return weft_failf(b, WEFT_E_ATTR,
                          "axis is %lld, but the inputs have rank %d: axes are %d..%d",
                          (long long)axis, (int)first.rank, (int)-first.rank, (int)first.rank - 1);
    if (axis < 0) axis += first.rank;
    for (i = 0; i < n; i++) {
        x[i] = weft_in(b, i);
        if (b->api->spec(b, x[i], &s) || check_pair(b, i, &first, &s, (int32_t)axis))
            return weft_out(b, 0, 0);
    }
    snprintf(attrs, sizeof attrs, "axis=%d", (int)axis);
    return weft_out(b, 0, promote(b, x, n) ? 0 : b->api->op(b, "concat", attrs, x, n, NULL, 0));
}
static const weft_attr concatenate_attrs[] = {
    { "axis", WEFT_INT, 0, "-1", NULL, "along which the inputs are joined; 0 is the batch" }, { 0 }
};
const weft_layer_class merge_concatenate = {
    .struct_size = sizeof merge_concatenate,
    .name = "Concatenate",
    .version = 1,
    .min_version = 1,
    .inputs = "x...",
    .outputs = "y",
    .attrs = concatenate_attrs,
    .build = build_concatenate,
    .doc = "the inputs behind each other along one axis",
};

static weft_status build_repeat_batch(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s, like;
    char shape[MERGE_SHAPE_TEXT];

    if (b->api->spec(b, x, &s) || b->api->spec(b, weft_in(b, 1), &like)) return weft_out(b, 0, 0);
    if (s.rank < 1 || like.rank < 1 || s.dim[0] != 1)
        return weft_failf(b, WEFT_E_SHAPE, "the first input is %s; its batch must be 1",
                          merge_shape(shape, &s));
    s.dim[0] = like.dim[0];
    return weft_out(b, 0, weft_op_ints(b, "broadcast", x, "shape", s.dim, s.rank));
}
const weft_layer_class merge_repeat_batch = {
    .struct_size = sizeof merge_repeat_batch,
    .name = "RepeatBatch",
    .version = 1,
    .min_version = 1,
    .inputs = "x, like",
    .outputs = "y",
    .build = build_repeat_batch,
    .doc = "x, of batch 1, repeated to the batch of `like`",
};
