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
/* Of all three ops: what they take, and the epilogue made ready. */
int cpu_conv_supports(const weft_kernel_call *call, char *why, size_t size);
weft_status cpu_conv_prepare(cpu_node *node);
/* How many threads so many tasks can have. */
uint64_t cpu_conv_threads(const weft_kernel_call *call, uint64_t tasks);
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

/* What is gathered at once: for so many output points, what some taps see in some channels of a
 * group. */
typedef struct cpu_piece {
    int64_t group, first, rows, tap, taps, channel, channels;
} cpu_piece;
/* dst[rows][taps * channels]; 0 outside. */
void cpu_im2col(const cpu_image *conv, const cpu_piece *piece, void *dst);
/* One input channel a group: dst[rows][features], without gemm. */
void cpu_depthwise(const cpu_image *conv, int64_t first, int64_t rows, void *dst);

/* ---- conv_cut.c ---- */
/* Points of a task that holds up to `line` numbers for each: about half of a cache of them, and a
 * bounded number of bytes if as few as `least` of a point's are there at a time. */
int64_t cpu_conv_block(const cpu_image *conv, int64_t line, int64_t least);
/* The k = taps * in_group of a group in pieces of about equal length: some whole taps, or some
 * channels of one. */
typedef struct cpu_cut {
    int64_t taps, channels; /* of a piece; the last ones may have less */
    int64_t of_tap, pieces; /* of_tap: pieces that one tap is cut into */
} cpu_cut;
/* No piece has more than `most` numbers, nor bytes without bound for `rows` points. */
cpu_cut cpu_cut_of(const cpu_image *conv, int64_t rows, int64_t most);
/* Sets taps and channels of the piece; returns its first row of k. */
int64_t cpu_cut_piece(const cpu_cut *cut, const cpu_image *conv, int64_t number, cpu_piece *piece);
/* Bytes, so that what is behind them is aligned, too. */
size_t cpu_conv_round(size_t bytes);
#endif
