/* Symbolic views: what reshape, slice, transpose and broadcast do to strides, and what the
 * result is for a kernel: dense, pitched or strided. The batch stays a letter, so that one
 * layout serves every batch size. */
#include "plan/view.h"
#include <string.h>
#include "graph/dim.h"

typedef struct group {
    int64_t dim, stride;
} group;

/* a * b of symbolic sizes; 0 if it has no form. */
static int times(int64_t a, int64_t b, int64_t *product)
{
    if (a < 0 && b < 0) return 0;
    return !__builtin_mul_overflow(a, b, product);
}

int64_t weft__affine_at(weft__affine a, int64_t batch)
{
    int64_t r;
    if (__builtin_mul_overflow(a.batch, batch, &r) || __builtin_add_overflow(a.fixed, r, &r))
        return INT64_MAX;
    return r;
}

weft__affine weft__affine_of(int64_t dim, int64_t factor)
{
    weft__affine result = { 0, 0 };
    if (dim < 0)
        result.batch = -dim * factor;
    else
        result.fixed = dim * factor;
    return result;
}

weft__affine weft__affine_sum(weft__affine a, weft__affine b)
{
    return (weft__affine){ a.fixed + b.fixed, a.batch + b.batch };
}

int64_t weft__view_begin(const weft__view *view, int64_t batch, int64_t step)
{
    int64_t begin = weft__affine_at(view->offset, batch);
    if (step) begin += step * weft__affine_at(view->advance, batch);
    if (step & 1) begin += weft__affine_at(view->flip, batch);
    return begin;
}

int weft__view_dense(const weft_spec *spec, weft__view *view)
{
    int64_t stride = 1;
    memset(view, 0, sizeof *view);
    view->spec = *spec;
    for (int32_t i = spec->rank - 1; i >= 0; i--) {
        view->stride[i] = stride;
        if (!times(stride, spec->dim[i], &stride)) return 0;
        if (!stride) stride = 1; /* nothing lies there: any stride will do */
    }
    return 1;
}

int64_t weft__view_count(const weft__view *view)
{
    int64_t count = 1;
    for (int32_t i = 0; i < view->spec.rank; i++)
        if (!view->spec.dim[i]) return 0;
    for (int32_t i = 0; i < view->spec.rank; i++)
        if (!times(count, view->spec.dim[i], &count)) return 0;
    return count;
}

/* Adjacent axes that lie like one are made one. */
static int merge(const weft__view *view, group *groups)
{
    int n = 0;
    for (int32_t i = 0; i < view->spec.rank; i++) {
        int64_t dim = view->spec.dim[i], stride = view->stride[i], span, joined;
        if (dim == 1) continue;
        if (n && times(stride, dim, &span) && span == groups[n - 1].stride &&
            times(groups[n - 1].dim, dim, &joined)) {
            groups[n - 1] = (group){ joined, stride };
        } else {
            groups[n++] = (group){ dim, stride };
        }
    }
    return n;
}

weft_layout weft__view_classify(const weft__view *view, weft_operand *operand)
{
    group g[WEFT_MAX_RANK];
    int64_t count = weft__view_count(view);
    int n = count ? merge(view, g) : 0;
    weft_operand result = { .struct_size = sizeof result,
                            .dtype = view->spec.dtype,
                            .rank = view->spec.rank,
                            .layout = WEFT_STRIDED,
                            .dim = view->spec.dim,
                            .stride = view->stride };
    if (n == 0 || (n == 1 && g[0].stride == 1)) {
        result.layout = WEFT_DENSE;
        result.outer = 1;
        result.inner = result.pitch = count;
    } else if (g[0].stride && (n == 1 || (n == 2 && g[1].stride == 1))) {
        result.layout = WEFT_PITCHED;
        result.outer = g[0].dim;
        result.inner = n == 1 ? 1 : g[1].dim;
        result.pitch = g[0].stride;
    }
    if (operand) *operand = result;
    return result.layout;
}

static int same_affine(weft__affine a, weft__affine b)
{
    return a.fixed == b.fixed && a.batch == b.batch;
}

int weft__view_same(const weft__view *a, const weft__view *b)
{
    if (!weft__spec_equal(&a->spec, &b->spec)) return 0;
    if (!same_affine(a->offset, b->offset) || !same_affine(a->advance, b->advance) ||
        !same_affine(a->flip, b->flip))
        return 0;
    for (int32_t i = 0; i < a->spec.rank; i++)
        if (a->spec.dim[i] != 1 && a->stride[i] != b->stride[i]) return 0;
    return 1;
}

/* The axes of `to` from *axis on that together are one group, with their strides. */
static int split(group g, const weft_spec *to, int32_t *axis, weft__view *dst)
{
    int64_t product = 1, stride = g.stride;
    int32_t begin = *axis;
    while (*axis < to->rank && product != g.dim)
        if (!times(product, to->dim[(*axis)++], &product)) return 0;
    if (product != g.dim) return 0;
    for (int32_t i = *axis - 1; i >= begin; i--) {
        dst->stride[i] = stride;
        if (!times(stride, to->dim[i], &stride)) return 0;
    }
    return 1;
}

int weft__view_reshape(const weft__view *src, const weft_spec *to, weft__view *dst)
{
    group g[WEFT_MAX_RANK];
    weft__view result;
    int32_t axis = 0;
    if (!weft__view_dense(to, &result)) return 0;
    result.spec.dtype = src->spec.dtype;
    result.offset = src->offset;
    result.advance = src->advance;
    result.flip = src->flip;
    if (weft__view_classify(src, NULL) != WEFT_DENSE) {
        int n = merge(src, g);
        for (int i = 0; i < n; i++)
            if (!split(g[i], to, &axis, &result)) return 0;
        for (; axis < to->rank; axis++)
            if (to->dim[axis] != 1) return 0;
    }
    *dst = result;
    return 1;
}

void weft__view_transpose(const weft__view *src, const int64_t *perm, weft__view *dst)
{
    weft__view result = *src;
    for (int32_t i = 0; i < src->spec.rank; i++) {
        result.spec.dim[i] = src->spec.dim[perm[i]];
        result.stride[i] = src->stride[perm[i]];
    }
    *dst = result;
}

void weft__view_untranspose(const weft__view *src, const int64_t *perm, weft__view *dst)
{
    weft__view result = *src;
    for (int32_t i = 0; i < src->spec.rank; i++) {
        result.spec.dim[perm[i]] = src->spec.dim[i];
        result.stride[perm[i]] = src->stride[i];
    }
    *dst = result;
}

int weft__view_slice(const weft__view *src, const int64_t *begin, const int64_t *step,
                     const weft_spec *to, weft__view *dst)
{
    weft__view result = *src;
    result.spec = *to;
    for (int32_t i = 0; i < to->rank; i++) {
        result.offset = weft__affine_sum(result.offset, weft__affine_of(src->stride[i], begin[i]));
        if (!times(src->stride[i], step[i], &result.stride[i])) return 0;
    }
    *dst = result;
    return 1;
}

void weft__view_broadcast(const weft__view *src, const weft_spec *to, weft__view *dst)
{
    weft__view result = *src;
    int32_t more = to->rank - src->spec.rank;
    result.spec = *to;
    for (int32_t i = 0; i < to->rank; i++) {
        int kept = i >= more && src->spec.dim[i - more] == to->dim[i];
        result.stride[i] = kept ? src->stride[i - more] : 0;
    }
    *dst = result;
}

void weft__view_at(const weft__view *src, int32_t axis, int64_t at, weft__view *dst)
{
    weft__view result = *src;
    int32_t behind = src->spec.rank - axis - 1;
    result.spec.rank--;
    memmove(&result.spec.dim[axis], &src->spec.dim[axis + 1], (size_t)behind * sizeof(int64_t));
    memmove(&result.stride[axis], &src->stride[axis + 1], (size_t)behind * sizeof(int64_t));
    result.spec.dim[result.spec.rank] = result.stride[result.spec.rank] = 0;
    result.offset = weft__affine_sum(src->offset, weft__affine_of(src->stride[axis], at));
    *dst = result;
}

int weft__view_part(const weft__view *src, int32_t axis, weft__affine at, const weft_spec *to,
                    weft__view *dst)
{
    int64_t stride = src->stride[axis];
    weft__affine jump = { at.fixed * stride, at.batch * stride };
    if (stride < 0) {
        if (at.batch) return 0;
        jump = (weft__affine){ 0, at.fixed * -stride };
    }
    weft__view result = *src;
    result.spec = *to;
    result.offset = weft__affine_sum(src->offset, jump);
    *dst = result;
    return 1;
}
