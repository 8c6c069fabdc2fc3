/* Flatten Reshape Permute RepeatVector: the same elements under another shape (Keras,
 * layers/reshaping). */
#include "reshape.h"

/* The product of n dimensions, at most one of them a multiple of the batch; WEFT_ANY if one is. 0 =
 * failed. */
static int product(weft_build *b, const int64_t *dim, int32_t n, int64_t *result)
{
    int64_t p = 1;
    int32_t i;

    for (i = 0; i < n; i++)
        if (dim[i] == WEFT_ANY) {
            *result = WEFT_ANY;
            return 1;
        }
    for (i = 0; i < n; i++) {
        int64_t size = dim[i] < 0 ? -dim[i] : dim[i];

        if (p < 0 && dim[i] < 0) {
            weft_failf(b, WEFT_E_SHAPE, "two axes are multiples of the batch");
            return 0;
        }
        if (size && (p < 0 ? -p : p) > INT64_MAX / 2 / size) {
            weft_failf(b, WEFT_E_SHAPE, "the number of elements overflows");
            return 0;
        }
        p *= dim[i] < 0 ? -size : size;
    }
    *result = p;
    return 1;
}

static const weft_attr format_attrs[] = { WEFT_DATA_FORMAT, { 0 } };

static weft_status build_flatten(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s;
    int64_t shape[2];

    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    if (s.rank < 1) return weft_failf(b, WEFT_E_SHAPE, "the input has no batch axis");
    if (weft_channels_first(b) && s.rank > 2) x = weft_channels_to_last(b, x, s.rank);
    shape[0] = s.dim[0];
    if (!product(b, s.dim + 1, s.rank - 1, &shape[1])) return weft_out(b, 0, 0);
    return weft_out(b, 0, weft_op_ints(b, "reshape", x, "shape", shape, 2));
}
WEFT_UNARY_LAYER(reshape_flatten, "Flatten", format_attrs, build_flatten, "one row a sample");

/* Replaces the one -1 of a target by what the input's size leaves for it. */
static weft_status solve(weft_build *b, int64_t total, int64_t *shape, uint32_t n)
{
    int64_t known = 1;
    uint32_t i, open = n;

    for (i = 0; i < n; i++) {
        if (shape[i] == -1 && open < n)
            return weft_failf(b, WEFT_E_ATTR, "target_shape holds -1 more than once");
        if (shape[i] == -1)
            open = i;
        else if (shape[i] < 0 || (shape[i] && known > INT64_MAX / shape[i]))
            return weft_failf(b, WEFT_E_ATTR, "target_shape holds %lld", (long long)shape[i]);
        else
            known *= shape[i];
    }
    if (total == WEFT_ANY) {
        if (open < n) shape[open] = WEFT_ANY;
        return WEFT_OK;
    }
    if (open < n && known && total % known == 0) {
        shape[open] = total / known;
        return WEFT_OK;
    }
    if (open == n && total == known) return WEFT_OK;
    return weft_failf(b, WEFT_E_SHAPE, "a sample has %lld element%s, and target_shape=%s %s %lld",
                      (long long)total, total == 1 ? "" : "s", b->api->attr_s(b, "target_shape"),
                      open < n ? "needs a multiple of" : "holds", (long long)known);
}

static weft_status build_reshape(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s;
    int64_t shape[WEFT_MAX_RANK + 1], total;
    uint32_t n = b->api->attr_v(b, "target_shape", shape + 1, WEFT_MAX_RANK);

    if (n > WEFT_MAX_RANK - 1)
        return weft_failf(b, WEFT_E_ATTR, "target_shape has %u axes; at most %d", (unsigned)n,
                          WEFT_MAX_RANK - 1);
    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    if (s.rank < 1) return weft_failf(b, WEFT_E_SHAPE, "the input has no batch axis");
    shape[0] = s.dim[0];
    if (!product(b, s.dim + 1, s.rank - 1, &total) || solve(b, total, shape + 1, n))
        return weft_out(b, 0, 0);
    return weft_out(b, 0, weft_op_ints(b, "reshape", x, "shape", shape, (int32_t)n + 1));
}
static const weft_attr reshape_attrs[] = { { "target_shape", WEFT_INTS, 0, NULL, "-1..",
                                             "the shape of a sample; one -1 is worked out" },
                                           { 0 } };
WEFT_UNARY_LAYER(reshape_reshape, "Reshape", reshape_attrs, build_reshape,
                 "the same elements under another shape; the batch stays");

static weft_status build_permute(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s;
    int64_t perm[WEFT_MAX_RANK + 1] = { 0 };
    uint32_t n = b->api->attr_v(b, "dims", perm + 1, WEFT_MAX_RANK), i, seen = 1;

    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    for (i = 1; i <= n && i <= WEFT_MAX_RANK; i++)
        if (perm[i] >= 1 && perm[i] < s.rank) seen |= 1u << perm[i];
    if ((int32_t)n + 1 != s.rank || seen != (1u << s.rank) - 1)
        return weft_failf(b, WEFT_E_ATTR,
                          "dims=%s must be a permutation of 1..%d, the axes of the input without "
                          "the batch",
                          b->api->attr_s(b, "dims"), (int)s.rank - 1);
    return weft_out(b, 0, weft_op_ints(b, "transpose", x, "perm", perm, s.rank));
}
static const weft_attr permute_attrs[] = {
    { "dims", WEFT_INTS, 0, NULL, "1..",
      "which axis of the input comes where; from 1, without the batch" },
    { 0 }
};
WEFT_UNARY_LAYER(reshape_permute, "Permute", permute_attrs, build_permute,
                 "the axes in another order");

static weft_status build_repeat_vector(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s;
    int64_t shape[3];

    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    if (s.rank != 2)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the input has rank %d; RepeatVector wants (batch, features)",
                          (int)s.rank);
    shape[0] = s.dim[0];
    shape[1] = 1;
    shape[2] = s.dim[1];
    x = weft_op_ints(b, "reshape", x, "shape", shape, 3);
    shape[1] = b->api->attr_i(b, "n");
    return weft_out(b, 0, weft_op_ints(b, "broadcast", x, "shape", shape, 3));
}
static const weft_attr repeat_attrs[] = { { "n", WEFT_INT, 0, NULL, "1..", "how often" }, { 0 } };
WEFT_UNARY_LAYER(reshape_repeat_vector, "RepeatVector", repeat_attrs, build_repeat_vector,
                 "(batch, features) to (batch, n, features)");
