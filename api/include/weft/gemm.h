/* weft/gemm.h - matrix products for CPU kernels of plugins, by the BLAS of the cpu backend:
 * host->extension(host, WEFT_GEMM_ID) gives a const weft_gemm_api *. OpenCL kernels have
 * weft_cl.gemm. Struct rules: R1..R9 of plugin.h. */
#ifndef WEFT_GEMM_H
#define WEFT_GEMM_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_GEMM_ID "weft.gemm/1"

/* c = a b, or c += a b: c is m x n, a is m x k, b is k x n, all of dtype WEFT_F32 or WEFT_F64. Row
 * i, column j of a lies at i * a_row + j * a_col elements, of b likewise; of a and b each, one of
 * the two strides is 1 and the other at least the length of the lines it steps over. Rows of c are
 * dense, c_row >= n elements apart. Any of m, n and k may be 0. c overlaps neither a nor b. */
typedef struct weft_product {
    uint32_t struct_size;
    weft_dtype dtype;
    int64_t m, n, k;
    const void *a, *b;
    int64_t a_row, a_col, b_row, b_col;
    void *c;
    int64_t c_row;
    int32_t accumulate, reserved; /* accumulate: c += a b */
} weft_product;

/* Threads: [kernel], of one call several at once, as from parallel_for. run() starts no threads:
 * who wants several cuts the product by its shape alone, so that the numbers do not depend on how
 * many there are. Errors: WEFT_E_ARG for strides as above that do not hold, WEFT_E_UNSUPPORTED for
 * sizes of 2^31 and more; recorded with the call's path. */
typedef struct weft_gemm_api {
    uint32_t struct_size, reserved;
    weft_status (*run)(const weft_kernel_call *, const weft_product *);
} weft_gemm_api;

#ifdef __cplusplus
}
#endif
#endif
