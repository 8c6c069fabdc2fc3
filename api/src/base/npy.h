/* The .npy format over any source of bytes: a file, or a member of a zip. */
#ifndef WEFT_BASE_NPY_H
#define WEFT_BASE_NPY_H
#include <weft/array.h>
#include "base/text.h"

typedef struct weft__source {
    /* How many bytes were read, fewer than n only at the end or on an error; -1 = error. */
    int64_t (*read)(void *user, void *dst, size_t n);
    void *user;
    uint64_t size;    /* that the source holds */
    const char *name; /* for errors: "x.npy", "w.npz: member a.npy" */
    int exact;        /* bytes behind the array are an error */
} weft__source;
weft_status weft__npy_read(const weft__source *source, weft_array **array);
/* The header of a file that holds such an array in native order, C order; bf16 is written as f4. */
void weft__npy_header(weft__text *text, const weft_spec *spec);
#endif
