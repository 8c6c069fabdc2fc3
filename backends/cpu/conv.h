/* What conv.c and its gradients (planning, tiles) and im2col.c (reading the image) share. */
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

/* The operands of y = conv(x, w), whichever of them an op makes. */
typedef struct cpu_conv_views {
    const weft_view *x, *w, *y;
} cpu_conv_views;
/* By the views and the attributes strides, pads, dilations and groups; w_row is left to the
 * caller. */
void cpu_image_init(cpu_image *conv, const weft_kernel_call *call, const cpu_conv_views *views);
/* One tap, and every point sees the element in its own place. */
int cpu_image_pointwise(const cpu_image *conv);
/* The step between rows when all but the last dimension of v are evenly spaced rows; 0 when not. */
int64_t cpu_even_rows(const weft_view *v);

/* Output point `row`: image, then its place. */
typedef struct cpu_point {
    int64_t image, at[CPU_SPATIAL];
} cpu_point;
cpu_point cpu_conv_point(const cpu_image *conv, int64_t row);
void cpu_conv_next(const cpu_image *conv, cpu_point *point);

/* What tap `tap` sees there of image x, in channel 0; NULL: outside. */
const char *cpu_conv_tap(const cpu_image *conv, const cpu_point *point, int64_t tap);

/* dst[rows][k]: what the taps of `group` see from output points first .. first + rows - 1; 0
 * outside. */
void cpu_im2col(const cpu_image *conv, int64_t group, int64_t first, int64_t rows, void *dst);
/* One input channel a group: dst[rows][features], without gemm. */
void cpu_depthwise(const cpu_image *conv, int64_t first, int64_t rows, void *dst);

/* The k = taps * in_group of a group cut into pieces, none longer than `most`: a piece is a box of
 * taps and channels whose rows of w are neighbours. */
typedef struct cpu_cut {
    int64_t full[CPU_SPATIAL + 1], step[CPU_SPATIAL + 1]; /* taps, then channels */
    int64_t n[CPU_SPATIAL + 1], pieces, most;             /* most: the k of the longest */
} cpu_cut;
void cpu_cut_init(cpu_cut *cut, const cpu_image *conv, int64_t most);
/* Piece `piece` of `group` as an image of its own with one group; returns its first row of k. */
int64_t cpu_cut_piece(const cpu_cut *cut, const cpu_image *conv, int64_t group, int64_t piece,
                      cpu_image *part);
#endif
