/* Dimensions: numbers >= 0, c times the batch (-c), or not known before the run (WEFT_ANY).
 * Exactness is what makes a plan valid for every batch size, so what has no exact form is refused
 * with a reason. */
#include "graph/dim.h"
#include <string.h>
#include "base/fail.h"
#include "base/text.h"

const char *weft__dim_show(int64_t dim, weft__dim_text *text)
{
    if (dim == WEFT_ANY) return strcpy(text->s, "?");
    if (dim == WEFT_BATCH) return strcpy(text->s, "batch");
    snprintf(text->s, sizeof text->s, dim < 0 ? "%lld*batch" : "%lld",
             (long long)(dim < 0 ? -dim : dim));
    return text->s;
}

const char *weft__spec_show(const weft_spec *spec, weft__spec_text *text)
{
    weft__shape_text shape;
    snprintf(text->s, sizeof text->s, "%s %s", weft_dtype_name(spec->dtype),
             weft__shape_show(spec, &shape));
    return text->s;
}

static weft_status fail_inexact(int64_t a, char sign, int64_t b)
{
    weft__dim_text x, y;
    return weft_fail(
        WEFT_E_SHAPE,
        "%s %c %s has no exact form: a dimension is a number or a number times the batch; "
        "keep the batch in an axis of its own, or fix the batch size",
        weft__dim_show(a, &x), sign, weft__dim_show(b, &y));
}

static weft_status fail_large(int64_t a, char sign, int64_t b)
{
    weft__dim_text x, y;
    return weft_fail(WEFT_E_SHAPE, "%s %c %s is too large for a dimension; make the shape smaller",
                     weft__dim_show(a, &x), sign, weft__dim_show(b, &y));
}

weft_status weft__dim_add(int64_t a, int64_t b, int64_t *sum)
{
    if (a == WEFT_ANY || b == WEFT_ANY) {
        *sum = WEFT_ANY;
        return WEFT_OK;
    }
    if (a != 0 && b != 0 && (a < 0) != (b < 0)) return fail_inexact(a, '+', b);
    int64_t r;
    if (__builtin_add_overflow(a, b, &r) || r == WEFT_ANY) return fail_large(a, '+', b);
    *sum = r;
    return WEFT_OK;
}

weft_status weft__dim_mul(int64_t a, int64_t b, int64_t *product)
{
    if (a == WEFT_ANY || b == WEFT_ANY) {
        *product = WEFT_ANY;
        return WEFT_OK;
    }
    if (a < 0 && b < 0) return fail_inexact(a, '*', b);
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r) || r == WEFT_ANY) return fail_large(a, '*', b);
    *product = r;
    return WEFT_OK;
}

int weft__dim_equal(int64_t a, int64_t b)
{
    return a == b || a == WEFT_ANY || b == WEFT_ANY;
}

int weft__dim_known(int64_t a)
{
    return a >= 0;
}

int64_t weft__dim_at(int64_t a, int64_t batch)
{
    if (a >= 0 || a == WEFT_ANY) return a;
    int64_t r;
    return __builtin_mul_overflow(-a, batch, &r) ? INT64_MAX : r;
}

weft_status weft__spec_count(const weft_spec *spec, int64_t *count)
{
    int64_t n = 1;
    for (int32_t i = 0; i < spec->rank; i++) {
        weft_status st = weft__dim_mul(n, spec->dim[i], &n);
        if (st) return st;
    }
    *count = n;
    return WEFT_OK;
}

uint64_t weft__spec_count_at(const weft_spec *spec, int64_t batch)
{
    uint64_t n = 1;
    int large = 0;
    for (int32_t i = 0; i < spec->rank; i++) {
        int64_t d = weft__dim_at(spec->dim[i], batch);
        if (d <= 0) return 0;
        large |= __builtin_mul_overflow(n, (uint64_t)d, &n);
    }
    return large ? UINT64_MAX : n;
}

weft_spec weft__spec_at(const weft_spec *spec, int64_t batch)
{
    weft_spec r = *spec;
    for (int32_t i = 0; i < r.rank; i++)
        r.dim[i] = weft__dim_at(r.dim[i], batch);
    return r;
}

int weft__is_float(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64;
}

int weft__spec_equal(const weft_spec *a, const weft_spec *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (!weft__dim_equal(a->dim[i], b->dim[i])) return 0;
    return 1;
}

static weft_status fail_broadcast(const weft_spec *a, const weft_spec *b, int32_t from_end)
{
    weft__shape_text s, t;
    weft__dim_text x, y;
    return weft_fail(
        WEFT_E_SHAPE,
        "shapes %s and %s do not broadcast: axis -%d is %s and %s; counted from the last, sizes "
        "are equal or 1",
        weft__shape_show(a, &s), weft__shape_show(b, &t), (int)from_end,
        weft__dim_show(a->dim[a->rank - from_end], &x),
        weft__dim_show(b->dim[b->rank - from_end], &y));
}

weft_status weft__spec_broadcast(const weft_spec *a, const weft_spec *b, weft_spec *result)
{
    weft_spec r = { result->dtype, a->rank > b->rank ? a->rank : b->rank, { 0 } };
    for (int32_t i = 1; i <= r.rank; i++) {
        int64_t x = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t y = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (!weft__dim_equal(x, y) && x != 1 && y != 1) return fail_broadcast(a, b, i);
        int64_t d = x == 1 ? y : x;
        r.dim[r.rank - i] = d == WEFT_ANY && y != 1 ? y : d;
    }
    *result = r;
    return WEFT_OK;
}

weft_status weft__axis(int64_t axis, int32_t rank, int32_t *normal)
{
    if (rank == 0)
        return weft_fail(WEFT_E_SHAPE, "axis %lld: a tensor of rank 0 has no axes",
                         (long long)axis);
    if (axis < -(int64_t)rank || axis >= rank)
        return weft_fail(WEFT_E_SHAPE, "axis %lld of rank %d: axes are %d .. %d (-1 is the last)",
                         (long long)axis, (int)rank, -(int)rank, (int)rank - 1);
    *normal = (int32_t)(axis < 0 ? axis + rank : axis);
    return WEFT_OK;
}
