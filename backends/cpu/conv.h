/* What conv.c (planning, tiles) and im2col.c (reading the image) share. */
#ifndef WEFT_CPU_CONV_H
#define WEFT_CPU_CONV_H
#include "cpu.h"

#define CPU_SPATIAL 3 /* fewer dimensions are padded in front with ones */

typedef struct cpu_image {
    weft_dtype dtype;
    size_t size;
    const char *x, *w;
    int64_t x_image, x_step[CPU_SPATIAL], x_channel; /* strides of x */
    int64_t in[CPU_SPATIAL], out[CPU_SPATIAL], kernel[CPU_SPATIAL];
    int64_t stride[CPU_SPATIAL], low[CPU_SPATIAL], dilation[CPU_SPATIAL];
    int64_t groups, in_group, out_group; /* channels of a group */
    int64_t features, rows, taps, k; /* rows: output points of all images; k = taps * in_group */
    int64_t w_row;                   /* from row to row of w as [k, features] */
} cpu_image;

/* Output point `row`: image, then its place. */
typedef struct cpu_point {
    int64_t image, at[CPU_SPATIAL];
} cpu_point;
cpu_point cpu_conv_point(const cpu_image *conv, int64_t row);
void cpu_conv_next(const cpu_image *conv, cpu_point *point);

/* What is gathered at once: so many taps of a group, for so many output points. */
typedef struct cpu_piece {
    int64_t group, first, rows, tap, taps;
} cpu_piece;
/* dst[rows][taps * in_group]: what these taps see from these output points; 0 outside. */
void cpu_im2col(const cpu_image *conv, const cpu_piece *piece, void *dst);
/* One input channel a group: dst[rows][features], without gemm. */
void cpu_depthwise(const cpu_image *conv, int64_t first, int64_t rows, void *dst);
#endif
