/* What the gradients of the core's ops are made of. */
#include "graph/ops/grad.h"
#include <string.h>

enum { LIST = 24 * WEFT_MAX_RANK + 8 }; /* bytes of "(1,-2,..)" */

weft_status weft__grad_none(weft_build *b)
{
    (void)b;
    return WEFT_OK;
}

weft_spec weft__grad_spec(weft_build *b, weft_val value)
{
    weft_spec spec = { 0 };
    if (b->api->spec(b, value, &spec)) spec = (weft_spec){ 0 };
    return spec;
}

weft_val weft__grad_map(weft_build *b, const char *expr, const weft_val *in, uint32_t n)
{
    char attrs[320];
    snprintf(attrs, sizeof attrs, "expr=\"%s\"", expr);
    return b->api->op(b, "map", attrs, in, n, NULL, 0);
}

static int same_dims(const weft_spec *a, const weft_spec *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

static weft_val shaped(weft_build *b, const char *op, weft_val value, const weft_spec *to)
{
    const weft_spec from = weft__grad_spec(b, value);
    if (same_dims(&from, to)) return value;
    return weft_op_ints(b, op, value, "shape", to->dim, to->rank);
}

weft_val weft__grad_reshape(weft_build *b, weft_val value, const weft_spec *to)
{
    return shaped(b, "reshape", value, to);
}

weft_val weft__grad_broadcast(weft_build *b, weft_val value, const weft_spec *to)
{
    return shaped(b, "broadcast", value, to);
}

weft_val weft__grad_sum_to(weft_build *b, weft_val value, const weft_spec *to)
{
    const weft_spec from = weft__grad_spec(b, value);
    const int32_t front = from.rank - to->rank;
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = 0;
    char list[LIST];
    for (int32_t i = 0; i < from.rank; i++)
        if (i < front || (to->dim[i - front] == 1 && from.dim[i] != 1)) axes[n++] = i;
    if (n)
        value = weft_opf(b, "reduce", value, "fn=sum axes=%s",
                         weft_ints_text(list, sizeof list, axes, n));
    return weft__grad_reshape(b, value, to);
}

weft_val weft__grad_slice(weft_build *b, weft_val value, const int64_t *begin,
                          const weft_spec *size)
{
    char from[LIST], dims[LIST];
    const uint32_t rank = (uint32_t)size->rank;
    return weft_opf(b, "slice", value, "begin=%s size=%s",
                    weft_ints_text(from, sizeof from, begin, rank),
                    weft_ints_text(dims, sizeof dims, size->dim, rank));
}

weft_val weft__grad_pad(weft_build *b, weft_val value, const int64_t *low, const int64_t *high,
                        int32_t rank)
{
    char front[LIST], behind[LIST];
    return weft_opf(b, "pad", value, "low=%s high=%s",
                    weft_ints_text(front, sizeof front, low, (uint32_t)rank),
                    weft_ints_text(behind, sizeof behind, high, (uint32_t)rank));
}
