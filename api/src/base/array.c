/* Arrays in memory, and conversions between all dtypes. */
#include <weft/array.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "base/text.h"

enum { ALIGN = 64, CHUNK = 512 };

weft_status weft__array_bytes_of(const weft_spec *spec, uint64_t *count, uint64_t *bytes)
{
    uint64_t size = weft_dtype_size(spec->dtype), n = 1;
    int empty = 0;
    if (!size) return weft_fail(WEFT_E_DTYPE, "an array of the unknown dtype %d", (int)spec->dtype);
    if (spec->rank < 0 || spec->rank > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE, "an array of rank %d: 0 to %d are possible", (int)spec->rank,
                         WEFT_MAX_RANK);
    for (int32_t i = 0; i < spec->rank; i++) {
        int64_t d = spec->dim[i];
        if (d < 0)
            return weft_fail(
                WEFT_E_SHAPE,
                "an array with dimension %lld at axis %d: arrays have numbers >= 0 only",
                (long long)d, (int)i);
        if (d == 0) empty = 1;
        /* The product of the others must fit even when one is 0: strides are made from them. */
        if (d > 0 && n > (uint64_t)PTRDIFF_MAX / size / (uint64_t)d)
            return weft_fail(WEFT_E_SHAPE,
                             "an array whose dimensions multiply to more than memory can hold");
        if (d > 0) n *= (uint64_t)d;
    }
    *count = empty ? 0 : n;
    *bytes = *count * size;
    return WEFT_OK;
}

static weft_status create(const weft_spec *spec, int zero, weft_array **array)
{
    uint64_t count, bytes;
    weft_status st = weft__array_bytes_of(spec, &count, &bytes);
    *array = NULL;
    if (st) return st;
    weft_array *a = weft__alloc(sizeof *a);
    if (!a) return WEFT_E_NOMEM;
    a->spec = *spec;
    for (int32_t i = spec->rank; i < WEFT_MAX_RANK; i++)
        a->spec.dim[i] = 0;
    a->data = weft__alloc_aligned((size_t)bytes, ALIGN);
    if (!a->data) {
        weft__free(a);
        return WEFT_E_NOMEM;
    }
    if (zero && bytes) memset(a->data, 0, (size_t)bytes);
    *array = a;
    return WEFT_OK;
}

weft_status weft_array_create(const weft_spec *spec, weft_array **array)
{
    if (!array) return weft_fail(WEFT_E_ARG, "weft_array_create: array is NULL");
    *array = NULL;
    if (!spec) return weft_fail(WEFT_E_ARG, "weft_array_create: spec is NULL");
    return create(spec, 1, array);
}

weft_status weft__array_create_raw(const weft_spec *spec, weft_array **array)
{
    return create(spec, 0, array);
}

void weft_array_destroy(weft_array **array)
{
    if (!array || !*array) return;
    weft__free((*array)->data);
    weft__free(*array);
    *array = NULL;
}

uint64_t weft_array_count(const weft_array *array)
{
    uint64_t n = 1;
    if (!array) return 0;
    for (int32_t i = 0; i < array->spec.rank; i++)
        n *= (uint64_t)array->spec.dim[i];
    return n;
}

uint64_t weft_array_bytes(const weft_array *array)
{
    return array ? weft_array_count(array) * weft_dtype_size(array->spec.dtype) : 0;
}

/* ---- numbers in and out: floats go through double, integers through int64_t ------------------ */

/* IEEE 754 with e exponent and m mantissa bits, read exactly. */
static double widen(uint16_t bits, int e, int m)
{
    int bias = (1 << (e - 1)) - 1, exponent = (bits >> m) & ((1 << e) - 1);
    double fraction = (double)(bits & ((1 << m) - 1));
    double value;
    if (exponent == (1 << e) - 1)
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, 1 - bias - m);
    else
        value = ldexp(fraction + (1 << m), exponent - bias - m);
    return bits >> 15 ? -value : value;
}

/* Rounds to nearest, ties to even, from double at once: by way of float it would round twice. */
static uint16_t narrow(double value, int e, int m)
{
    int bias = (1 << (e - 1)) - 1, exponent, infinite = ((1 << e) - 1) << m;
    unsigned sign = signbit(value) ? 0x8000u : 0;
    double size = fabs(value);
    if (isnan(value)) return (uint16_t)(sign | (unsigned)infinite | 1u << (m - 1));
    if (size == 0) return (uint16_t)sign;
    if (isinf(value)) return (uint16_t)(sign | (unsigned)infinite);
    frexp(size, &exponent); /* size = f * 2^exponent, f in [0.5, 1) */
    if (exponent - 1 > bias) return (uint16_t)(sign | (unsigned)infinite);
    if (exponent < 2 - bias) exponent = 2 - bias;  /* subnormal: the smallest exponent stays */
    double scaled = ldexp(size, m + 1 - exponent); /* now 1 is the last place */
    double whole = floor(scaled), rest = scaled - whole;
    unsigned units = (unsigned)whole;
    if (rest > 0.5 || (rest == 0.5 && units & 1)) units++;
    /* A mantissa that overflows carries into the exponent, up to infinity: that is right. */
    return (uint16_t)(sign | (((unsigned)(exponent + bias - 2) << m) + units));
}

/* Truncates; what does not fit becomes the nearest that does, NaN 0. */
static int64_t saturate(double value, int64_t low, int64_t high)
{
    if (isnan(value)) return 0;
    if (value <= (double)low) return low;
    return value >= (double)high ? high : (int64_t)value;
}

static int is_float(weft_dtype dtype)
{
    return dtype >= WEFT_F32 && dtype <= WEFT_BF16;
}

static void load_floats(weft_dtype dtype, size_t n, const void *src, double *dst)
{
    for (size_t i = 0; i < n; i++)
        switch (dtype) {
        case WEFT_F32: dst[i] = (double)((const float *)src)[i]; break;
        case WEFT_F64: dst[i] = ((const double *)src)[i]; break;
        case WEFT_F16: dst[i] = widen(((const uint16_t *)src)[i], 5, 10); break;
        default: dst[i] = widen(((const uint16_t *)src)[i], 8, 7); break;
        }
}

static void load_integers(weft_dtype dtype, size_t n, const void *src, int64_t *dst)
{
    for (size_t i = 0; i < n; i++)
        switch (dtype) {
        case WEFT_I32: dst[i] = ((const int32_t *)src)[i]; break;
        case WEFT_I64: dst[i] = ((const int64_t *)src)[i]; break;
        default: dst[i] = ((const uint8_t *)src)[i]; break;
        }
}

static void store_floats(weft_dtype dtype, size_t n, const double *src, void *dst)
{
    for (size_t i = 0; i < n; i++)
        switch (dtype) {
        case WEFT_F32: ((float *)dst)[i] = (float)src[i]; break;
        case WEFT_F64: ((double *)dst)[i] = src[i]; break;
        case WEFT_F16: ((uint16_t *)dst)[i] = narrow(src[i], 5, 10); break;
        case WEFT_BF16: ((uint16_t *)dst)[i] = narrow(src[i], 8, 7); break;
        case WEFT_I32: ((int32_t *)dst)[i] = (int32_t)saturate(src[i], INT32_MIN, INT32_MAX); break;
        case WEFT_I64: ((int64_t *)dst)[i] = saturate(src[i], INT64_MIN, INT64_MAX); break;
        case WEFT_U8: ((uint8_t *)dst)[i] = (uint8_t)saturate(src[i], 0, UINT8_MAX); break;
        default: ((uint8_t *)dst)[i] = src[i] != 0; break;
        }
}

/* Integers to integers wrap, as in numpy. */
static void store_integers(weft_dtype dtype, size_t n, const int64_t *src, void *dst)
{
    for (size_t i = 0; i < n; i++)
        switch (dtype) {
        case WEFT_F32: ((float *)dst)[i] = (float)src[i]; break;
        case WEFT_F64: ((double *)dst)[i] = (double)src[i]; break;
        case WEFT_F16: ((uint16_t *)dst)[i] = narrow((double)src[i], 5, 10); break;
        case WEFT_BF16: ((uint16_t *)dst)[i] = narrow((double)src[i], 8, 7); break;
        case WEFT_I32: ((int32_t *)dst)[i] = (int32_t)(uint32_t)src[i]; break;
        case WEFT_I64: ((int64_t *)dst)[i] = src[i]; break;
        case WEFT_U8: ((uint8_t *)dst)[i] = (uint8_t)src[i]; break;
        default: ((uint8_t *)dst)[i] = src[i] != 0; break;
        }
}

void weft__convert(weft_dtype from, const void *src, weft_dtype to, void *dst, size_t n)
{
    size_t in = weft_dtype_size(from), out = weft_dtype_size(to);
    if (from == to) {
        if (n) memmove(dst, src, n * in);
        return;
    }
    for (size_t i = 0; i < n; i += CHUNK) {
        size_t part = n - i < CHUNK ? n - i : CHUNK;
        const char *a = (const char *)src + i * in;
        char *b = (char *)dst + i * out;
        if (is_float(from)) {
            double chunk[CHUNK];
            load_floats(from, part, a, chunk);
            store_floats(to, part, chunk, b);
        } else {
            int64_t chunk[CHUNK];
            load_integers(from, part, a, chunk);
            store_integers(to, part, chunk, b);
        }
    }
}

weft_status weft_array_convert(const weft_array *array, weft_dtype dtype, weft_array **result)
{
    weft_array *a = NULL;
    weft_status st;
    if (!result) return weft_fail(WEFT_E_ARG, "weft_array_convert: result is NULL");
    *result = NULL;
    if (!array) return weft_fail(WEFT_E_ARG, "weft_array_convert: array is NULL");
    if (!weft_dtype_size(array->spec.dtype))
        return weft_fail(WEFT_E_DTYPE, "an array of the unknown dtype %d", (int)array->spec.dtype);
    if (!array->data && weft_array_count(array))
        return weft_fail(WEFT_E_ARG, "weft_array_convert: the array's data is NULL");
    weft_spec spec = array->spec;
    spec.dtype = dtype;
    if ((st = create(&spec, 0, &a))) return st;
    weft__convert(array->spec.dtype, array->data, dtype, a->data, (size_t)weft_array_count(a));
    *result = a;
    return WEFT_OK;
}
