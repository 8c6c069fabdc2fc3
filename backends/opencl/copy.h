/* Copies between views along given loops, and fills: for the ops that move data. */
#ifndef OCL_COPY_H
#define OCL_COPY_H
#include "step.h"
/* Tensor 0 of nest is dst, tensor 1 src; its numbers are numbers, src's strides may be negative.
 * One launch. */
weft_status ocl_copy_nest(ocl_call *call, const weft_view *dst, const weft_view *src,
                          ocl_nest *nest);
/* The bits of an element that is `value`; 0: there is none. */
int ocl_fill_bits(weft_dtype dtype, double value, int64_t *bits);
#endif
