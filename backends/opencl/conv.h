/* The numbers of a convolution as kernels see it, for conv and its gradients. */
#ifndef OCL_CONV_H
#define OCL_CONV_H
#include "step.h"

enum { OCL_SPATIAL = 3 }; /* fewer axes: the first ones are 1 */

/* The operands of y = conv(x, w), whichever of them an op makes. */
typedef struct ocl_conv_operands {
    const weft_operand *x, *w, *y;
} ocl_conv_operands;

typedef struct ocl_conv {
    int64_t n, x[OCL_SPATIAL], y[OCL_SPATIAL], k[OCL_SPATIAL];
    int64_t stride[OCL_SPATIAL], dilation[OCL_SPATIAL], low[OCL_SPATIAL];
    int64_t channels, filters, groups;                            /* of a group; how many groups */
    int64_t x_stride[OCL_SPATIAL + 2], y_stride[OCL_SPATIAL + 2]; /* n, spatial, channel */
} ocl_conv;

ocl_conv ocl_conv_of(const weft_step *step, const ocl_conv_operands *operands);
/* Spatial sizes and strides are numbers, free of the batch. */
int ocl_conv_all_numbers(const ocl_conv *conv);
/* XD .., OD .., KD .., SD .., DD .., PD .., the strides of memory, N CG FG GROUPS; macros. */
void ocl_conv_numbers(ocl_source *src, const ocl_conv *conv);
void ocl_conv_number(ocl_source *src, const char *name, int64_t symbol);
#endif
