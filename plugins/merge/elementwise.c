/* Add Subtract Multiply Average Maximum Minimum: one map over any number of inputs, with Keras's
 * broadcasting: trailing axes align, the batch stays in front (layers/merging/base_merge.py). */
#include <string.h>
#include "merge.h"

/* An input of lower rank gets axes of size 1 behind its batch axis. */
static weft_val raise_rank(weft_build *b, weft_val x, const weft_spec *s, int32_t rank)
{
    int64_t dim[WEFT_MAX_RANK];
    int32_t more = rank - s->rank, i;

    if (more == 0) return x;
    dim[0] = s->dim[0];
    for (i = 0; i < more; i++)
        dim[1 + i] = 1;
    for (i = 1; i < s->rank; i++)
        dim[i + more] = s->dim[i];
    return weft_op_ints(b, "reshape", x, "shape", dim, rank);
}

/* Axis by axis from the last, without the batch: equal, or one of them 1. */
static weft_status check_pair(weft_build *b, uint32_t i, const weft_spec *x, const weft_spec *y)
{
    char first[MERGE_SHAPE_TEXT], other[MERGE_SHAPE_TEXT];
    int32_t k;

    for (k = 1; k < x->rank && k < y->rank; k++) {
        int64_t p = x->dim[x->rank - k], q = y->dim[y->rank - k];

        if (p != q && p != 1 && q != 1 && p != WEFT_ANY && q != WEFT_ANY)
            return weft_failf(
                b, WEFT_E_SHAPE,
                "inputs 0 and %u cannot be merged element by element: %s and %s "
                "differ on axis -%d (%lld and %lld), and neither is 1; bring the branches to one "
                "shape with a Dense or Conv of as many units, pooling, padding=same, or Reshape; "
                "or join them with Concatenate",
                (unsigned)i, merge_shape(first, x), merge_shape(other, y), (int)k, (long long)p,
                (long long)q);
    }
    if (x->dim[0] != y->dim[0] && x->dim[0] != 1 && y->dim[0] != 1)
        return weft_failf(b, WEFT_E_SHAPE, "inputs 0 and %u have different batch sizes: %s and %s",
                          (unsigned)i, merge_shape(first, x), merge_shape(other, y));
    return WEFT_OK;
}

/* The attributes of a map over n inputs: expr="a+b+c", or expr="max(c,max(b,a))". Of equal
 * arguments max and min give the gradient to the last one, as relu needs it; Keras on TensorFlow
 * gives it to the first input (on JAX and torch to all, in parts). */
static void fold_text(char *text, size_t size, const char *join, uint32_t n)
{
    int infix = !join[1];
    size_t at = (size_t)snprintf(text, size, "expr=\"");
    uint32_t i;

    for (i = n - 1; i > 0 && !infix; i--)
        at += (size_t)snprintf(text + at, size - at, "%s(%c,", join, 'a' + (int)i);
    at += (size_t)snprintf(text + at, size - at, "a");
    for (i = 1; i < n; i++)
        at += infix ? (size_t)snprintf(text + at, size - at, "%s%c", join, 'a' + (int)i)
                    : (size_t)snprintf(text + at, size - at, ")");
    snprintf(text + at, size - at, "\"");
}

/* x[0] join x[1] join .., in chunks of inputs that one map takes. join: "+" or a function name. */
static weft_val fold(weft_build *b, const char *join, const weft_val *x, uint32_t n)
{
    weft_val acc = x[0], args[26];
    uint32_t done = 1;

    while (done < n && acc) {
        char text[512];
        uint32_t k;

        args[0] = acc;
        for (k = 1; k < 26 && done < n; k++, done++)
            args[k] = x[done];
        fold_text(text, sizeof text, join, k);
        acc = b->api->op(b, "map", text, args, k, NULL, 0);
    }
    return acc;
}

static weft_status merge(weft_build *b, const char *join, int mean)
{
    uint32_t n = b->api->n_in(b), i;
    weft_val x[MERGE_MAX_INPUTS], y;
    weft_spec first, s;
    int32_t rank = 0;

    if (n < 1 || n > MERGE_MAX_INPUTS)
        return weft_failf(b, WEFT_E_ARG, "%u inputs; give 1 to %d", (unsigned)n, MERGE_MAX_INPUTS);
    if (b->api->spec(b, weft_in(b, 0), &first)) return weft_out(b, 0, 0);
    for (i = 0; i < n; i++) {
        if (b->api->spec(b, weft_in(b, i), &s) || check_pair(b, i, &first, &s))
            return weft_out(b, 0, 0);
        if (s.rank < 1)
            return weft_failf(b, WEFT_E_SHAPE, "input %u has no batch axis", (unsigned)i);
        if (s.rank > rank) rank = s.rank;
    }
    for (i = 0; i < n; i++) {
        if (b->api->spec(b, weft_in(b, i), &s)) return weft_out(b, 0, 0);
        x[i] = raise_rank(b, weft_in(b, i), &s, rank);
    }
    y = fold(b, join, x, n);
    if (mean) y = weft_op2(b, "div", y, weft_scalar(b, (double)n));
    return weft_out(b, 0, y);
}

static weft_status build_add(weft_build *b)
{
    return merge(b, "+", 0);
}
static weft_status build_multiply(weft_build *b)
{
    return merge(b, "*", 0);
}
static weft_status build_average(weft_build *b)
{
    return merge(b, "+", 1);
}
static weft_status build_maximum(weft_build *b)
{
    return merge(b, "max", 0);
}
static weft_status build_minimum(weft_build *b)
{
    return merge(b, "min", 0);
}
static weft_status build_subtract(weft_build *b)
{
    return merge(b, "-", 0);
}

#define CLASS(id, label, takes, text)     \
    const weft_layer_class merge_##id = { \
        .struct_size = sizeof merge_##id, \
        .name = label,                    \
        .version = 1,                     \
        .min_version = 1,                 \
        .inputs = takes,                  \
        .outputs = "y",                   \
        .build = build_##id,              \
        .doc = text,                      \
    }
CLASS(add, "Add", "x...", "the sum of the inputs");
CLASS(subtract, "Subtract", "x, y", "the first input minus the second");
CLASS(multiply, "Multiply", "x...", "the product of the inputs");
CLASS(average, "Average", "x...", "the mean of the inputs");
CLASS(maximum, "Maximum", "x...", "the largest of the inputs, element by element");
CLASS(minimum, "Minimum", "x...", "the smallest of the inputs, element by element");
