/* What the gradients of the core's ops are made of. Builder errors are sticky: a value may be 0. */
#ifndef WEFT_GRAPH_OPS_GRAD_H
#define WEFT_GRAPH_OPS_GRAD_H
#include <weft/plugin.h>

/* gradient() of an op whose results are flat: no input has a gradient. */
weft_status weft__grad_none(weft_build *b);
/* Spec of a value; all 0 after a failure. */
weft_spec weft__grad_spec(weft_build *b, weft_val value);
/* expr over n values. */
weft_val weft__grad_map(weft_build *b, const char *expr, const weft_val *in, uint32_t n);
/* Reshaped, or broadcast, to the dimensions; the value itself where it has them. */
weft_val weft__grad_reshape(weft_build *b, weft_val value, const weft_spec *to);
weft_val weft__grad_broadcast(weft_build *b, weft_val value, const weft_spec *to);
/* The transpose of broadcasting from `to`: added up along the axes that were repeated. */
weft_val weft__grad_sum_to(weft_build *b, weft_val value, const weft_spec *to);
/* The box from `begin` (n numbers) on. */
weft_val weft__grad_slice(weft_build *b, weft_val value, const int64_t *begin,
                          const weft_spec *size);
/* Zeros around it: low[i] in front along axis i, high[i] behind. */
weft_val weft__grad_pad(weft_build *b, weft_val value, const int64_t *low, const int64_t *high,
                        int32_t rank);
#endif
