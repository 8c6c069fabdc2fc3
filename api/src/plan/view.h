/* Where a value lies within its storage, symbolic in the batch B: strides and sizes of -c mean c
 * * B, an offset is fixed + batch * B. Movement ops are functions from views to views. */
#ifndef WEFT_PLAN_VIEW_H
#define WEFT_PLAN_VIEW_H
#include <weft/backend.h>

typedef struct weft__affine {
    int64_t fixed, batch;
} weft__affine; /* fixed + batch * B */
typedef struct weft__view {
    weft_spec spec;
    int64_t stride[WEFT_MAX_RANK]; /* in elements; 0 repeats */
    weft__affine offset;           /* of the first element, in elements */
    /* In step t of a loop the offset is offset + t * advance, and flip more if t is odd. */
    weft__affine advance, flip;
} weft__view;

/* INT64_MAX if it is larger than that. Batches for which a plan's sizes in bytes are too large for
 * int64_t are refused by weft__memory_at. */
int64_t weft__affine_at(weft__affine a, int64_t batch);
weft__affine weft__affine_of(int64_t dim, int64_t times); /* dim * times, dim a symbolic size */
weft__affine weft__affine_sum(weft__affine a, weft__affine b);
/* Where the view begins in that step of its loop (0 outside of loops), in elements. */
int64_t weft__view_begin(const weft__view *view, int64_t batch, int64_t step);

/* Row-major without gaps, at offset 0. 0 if it has no symbolic form (B * B). */
int weft__view_dense(const weft_spec *spec, weft__view *view);
/* The symbolic number of elements; specs of a plan have one. */
int64_t weft__view_count(const weft__view *view);
/* What it is (WEFT_DENSE ..), into the operand with dims, strides, outer, inner and pitch, which
 * then borrows from the view. operand may be NULL. */
weft_layout weft__view_classify(const weft__view *view, weft_operand *operand);
/* The same elements at the same places (strides of axes of size 1 do not matter). */
int weft__view_same(const weft__view *a, const weft__view *b);

/* 1 = done, 0 = no strides can express it. */
int weft__view_reshape(const weft__view *src, const weft_spec *to, weft__view *dst);
void weft__view_transpose(const weft__view *src, const int64_t *perm, weft__view *dst);
/* The view whose transpose by perm is src: transposing back. */
void weft__view_untranspose(const weft__view *src, const int64_t *perm, weft__view *dst);
int weft__view_slice(const weft__view *src, const int64_t *begin, const int64_t *step,
                     const weft_spec *to, weft__view *dst);
void weft__view_broadcast(const weft__view *src, const weft_spec *to, weft__view *dst);
/* Position `at` of axis of src, without that axis. */
void weft__view_at(const weft__view *src, int32_t axis, int64_t at, weft__view *dst);
/* The part of src at position `at` of axis, of shape `to`: an input of a concat. */
int weft__view_part(const weft__view *src, int32_t axis, weft__affine at, const weft_spec *to,
                    weft__view *dst);
#endif
