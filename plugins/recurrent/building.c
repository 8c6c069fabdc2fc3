/* What the family's layers, lowerings and gradients are built of. */
#include "recurrent.h"

weft_val recurrent_shift(weft_build *b, weft_val first, weft_val x)
{
    weft_val parts[2];
    int64_t shape[3];
    weft_spec s;

    if (b->api->spec(b, x, &s)) return 0;
    if (s.dim[1] == 0) return x;
    shape[0] = s.dim[0];
    shape[1] = 1;
    shape[2] = s.dim[2];
    if (first == WEFT_NONE)
        first = weft_zeros(b, &(weft_spec){ s.dtype, 2, { s.dim[0], s.dim[2] } });
    parts[0] = weft_op_ints(b, "reshape", first, "shape", shape, 3);
    if (s.dim[1] == 1) return parts[0];
    parts[1] = weft_slice(b, x, 1, 0, s.dim[1] - 1);
    return b->api->op(b, "concat", "axis=1", parts, 2, NULL, 0);
}

weft_val recurrent_reverse(weft_build *b, weft_val x, int reverse)
{
    return reverse ? weft_opf(b, "reverse", x, "axes=(1)") : x;
}

weft_val recurrent_column(weft_build *b, weft_val mask)
{
    int64_t shape[3];
    weft_spec s;

    if (b->api->spec(b, mask, &s)) return 0;
    shape[0] = s.dim[0];
    shape[1] = s.dim[1];
    shape[2] = 1;
    return weft_op_ints(b, "reshape", mask, "shape", shape, 3);
}
