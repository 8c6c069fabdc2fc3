/* weft/array.h - numbers with a shape and a dtype, and their files (.npy, .npz). */
#ifndef WEFT_ARRAY_H
#define WEFT_ARRAY_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
/* Dense, row-major, native byte order. spec.dim holds numbers >= 0 only. May also be filled by hand
 * over memory of one's own: { .spec = { WEFT_F32, 2, { n, 10 } }, .data = x }; then do not destroy
 * it. */
typedef struct weft_array {
    weft_spec spec;
    void *data;
} weft_array;

/* Zeroed memory for spec. Fails with WEFT_E_SHAPE (a negative size, a product that overflows) or
 * _NOMEM. */
WEFT_EXPORT weft_status weft_array_create(const weft_spec *spec, weft_array **array);
WEFT_EXPORT void weft_array_destroy(weft_array **array);        /* accepts NULL, sets NULL */
WEFT_EXPORT uint64_t weft_array_count(const weft_array *array); /* elements */
WEFT_EXPORT uint64_t weft_array_bytes(const weft_array *array);
/* A new array with the values converted to dtype (numpy's astype; floats to integers truncate). */
WEFT_EXPORT weft_status weft_array_convert(const weft_array *array, weft_dtype dtype,
                                           weft_array **result);

/* NumPy's .npy (versions 1-3, C or Fortran order, either byte order; dtypes f2 f4 f8 i1 i2 i4 i8 u1
 * u2 u4 u8 (if it fits i64) b1, widened where Weft has no such dtype). The file may be hostile:
 * sizes are checked before they are allocated. Writing makes a temporary file in the folder and
 * renames it. */
WEFT_EXPORT weft_status weft_npy_read(const char *path, weft_array **array);
WEFT_EXPORT weft_status weft_npy_write(const char *path, const weft_array *array);

/* .npz: named arrays in a zip, stored or deflated. */
typedef struct weft_npz {
    uint32_t n;
    char **name; /* without ".npy" */
    weft_array **array;
} weft_npz;
WEFT_EXPORT weft_status weft_npz_read(const char *path, weft_npz **npz);
WEFT_EXPORT weft_status weft_npz_write(const char *path, const weft_npz *npz);
WEFT_EXPORT void weft_npz_destroy(weft_npz **npz);
/* The array of that name, borrowed; NULL if there is none. */
WEFT_EXPORT const weft_array *weft_npz_get(const weft_npz *npz, const char *name);
#ifdef __cplusplus
}
#endif
#endif
