/* Arrays from inside: sizes checked before memory is asked for, conversion of runs of numbers. */
#ifndef WEFT_BASE_ARRAY_H
#define WEFT_BASE_ARRAY_H
#include <weft/array.h>
/* Fails with WEFT_E_SHAPE (a negative dimension, a product that no memory holds) or
 * WEFT_E_DTYPE. */
weft_status weft__array_bytes_of(const weft_spec *spec, uint64_t *count, uint64_t *bytes);
/* As weft_array_create, but the memory is not zeroed. */
weft_status weft__array_create_raw(const weft_spec *spec, weft_array **array);
/* n values, dense. Floats to integers truncate and saturate (NaN: 0), integers to integers wrap,
 * anything to bool is x != 0; f16 and bf16 are rounded to nearest even from the exact value. src
 * and dst do not overlap. */
void weft__convert(weft_dtype from, const void *src, weft_dtype to, void *dst, size_t n);
#endif
