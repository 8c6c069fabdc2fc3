/* What the mask of an output leaves out of its loss and its metrics, as in Keras
 * (losses/loss.py, apply_mask): positions are weighted by 1 or 0. */
#include "base/fail.h"
#include "train/parts.h"

/* A last axis of 1 may be there or not, as in Keras. */
static int fits(weft_spec mask, weft_spec want)
{
    if (mask.rank == want.rank - 1) mask.dim[mask.rank++] = 1;
    if (want.rank == mask.rank - 1) want.dim[want.rank++] = 1;
    int same = mask.rank == want.rank;
    for (int32_t k = 0; k < mask.rank && same; k++)
        same = mask.dim[k] == want.dim[k];
    return same;
}

weft_status weft__mask_weights(weft__build *build, weft_val mask, weft_val p, weft_val *weights)
{
    weft_build *b = &build->base;
    weft_spec have, want;
    *weights = WEFT_NONE;
    if (mask == WEFT_NONE) return WEFT_OK;
    if (b->api->spec(b, mask, &have) || b->api->spec(b, p, &want)) return build->status;
    if (want.rank) want.rank--;
    if (!fits(have, want)) {
        weft__shape_text a, c;
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "the mask of the output is %s, but its loss has values of %s, the output "
                         "without its last axis: give the output a layer that ends the mask, or "
                         "one whose mask has that shape",
                         weft__shape_show(&have, &a), weft__shape_show(&want, &c));
    }
    mask = weft_op_ints(b, "reshape", weft_op1(b, "bool", mask), "shape", want.dim, want.rank);
    *weights = weft_op1(b, "f32", mask);
    return build->status;
}

weft_val weft__masked(weft__build *build, weft_val values, weft_val weights)
{
    weft_build *b = &build->base;
    weft_spec v, w;
    if (weights == WEFT_NONE) return values;
    if (b->api->spec(b, values, &v) || b->api->spec(b, weights, &w)) return 0;
    if (v.rank > w.rank) values = weft_opf(b, "reduce", values, "fn=mean axes=(-1)");
    return weft_mul(b, values, weights);
}
