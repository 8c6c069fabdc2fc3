/* gemm by OpenBLAS: c = a b, or c += a b, for row-major matrices, transposes by strides. One thread
 * a call; the ops cut their products into tiles (threads.c says why). */
#include "cpu.h"
#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <string.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

static int plain(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride)
{
    return (cols <= 1 || col_stride == 1) && (rows <= 1 || row_stride >= MAX(1, cols));
}

int cpu_gemm_takes(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride)
{
    return plain(rows, cols, row_stride, col_stride) || plain(cols, rows, col_stride, row_stride);
}

typedef struct matrix {
    const void *data;
    enum CBLAS_TRANSPOSE trans;
    blasint ld;
} matrix;

static matrix matrix_of(const void *data, const int64_t size[2], int64_t row, int64_t col)
{
    matrix m = { data, CblasNoTrans, 1 };
    if (plain(size[0], size[1], row, col)) {
        m.ld = (blasint)(size[0] > 1 ? row : MAX(1, size[1]));
    } else {
        m.trans = CblasTrans;
        m.ld = (blasint)(size[1] > 1 ? col : MAX(1, size[0]));
    }
    return m;
}

static void clear_rows(const cpu_gemm *g)
{
    size_t size = cpu_dtype_size(g->dtype);
    for (int64_t i = 0; i < g->m; i++)
        memset((char *)g->c + (size_t)(i * g->ldc) * size, 0, (size_t)g->n * size);
}

/* One row: gemm would pack all of b to read it once. */
static void row_times_matrix(const cpu_gemm *g, const matrix *b)
{
    blasint rows = (blasint)(b->trans == CblasNoTrans ? g->k : g->n);
    blasint cols = (blasint)(b->trans == CblasNoTrans ? g->n : g->k);
    enum CBLAS_TRANSPOSE t = b->trans == CblasNoTrans ? CblasTrans : CblasNoTrans;
    blasint step = (blasint)(g->k > 1 ? g->a_col : 1);
    if (!g->add) clear_rows(g); /* beta 0 with a NaN in c is left to chance by BLAS */
    if (g->dtype == WEFT_F32)
        cblas_sgemv(CblasRowMajor, t, rows, cols, 1, b->data, b->ld, g->a, step, 1, g->c, 1);
    else
        cblas_dgemv(CblasRowMajor, t, rows, cols, 1, b->data, b->ld, g->a, step, 1, g->c, 1);
}

void cpu_gemm_run(const cpu_gemm *g)
{
    matrix a = matrix_of(g->a, (int64_t[]){ g->m, g->k }, g->a_row, g->a_col);
    matrix b = matrix_of(g->b, (int64_t[]){ g->k, g->n }, g->b_row, g->b_col);
    blasint m = (blasint)g->m, n = (blasint)g->n, k = (blasint)g->k, ldc = (blasint)g->ldc;
    float beta = g->add ? 1 : 0;
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k <= 0) {
        if (!g->add) clear_rows(g);
        return;
    }
    assert(g->ldc >= g->n);
    if (g->m == 1 && (g->k == 1 || g->a_col > 0)) {
        row_times_matrix(g, &b);
    } else if (g->dtype == WEFT_F32) {
        cblas_sgemm(CblasRowMajor, a.trans, b.trans, m, n, k, 1, a.data, a.ld, b.data, b.ld, beta,
                    g->c, ldc);
    } else {
        cblas_dgemm(CblasRowMajor, a.trans, b.trans, m, n, k, 1, a.data, a.ld, b.data, b.ld, beta,
                    g->c, ldc);
    }
}

/* ---- for kernels of plugins ---- */

static int too_large(const weft_product *p)
{
    const int64_t size[] = { p->m, p->n, p->k, p->a_row, p->a_col, p->b_row, p->b_col, p->c_row };
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
        if (size[i] > INT_MAX) return 1;
    return 0;
}

static weft_status run_product(const weft_kernel_call *call, const weft_product *p)
{
    cpu_gemm g = { p->dtype, p->m,     p->n,     p->k, p->a,     p->b,         p->a_row,
                   p->a_col, p->b_row, p->b_col, p->c, p->c_row, p->accumulate };
    if (too_large(p))
        return cpu_fail(call, WEFT_E_UNSUPPORTED,
                        "a product of %lld x %lld by %lld, or steps between its rows, are beyond "
                        "what BLAS counts (2^31 - 1)",
                        (long long)p->m, (long long)p->k, (long long)p->n);
    if (!cpu_gemm_takes(p->m, p->k, p->a_row, p->a_col) ||
        !cpu_gemm_takes(p->k, p->n, p->b_row, p->b_col) || (p->m > 1 && p->c_row < p->n) ||
        !cpu_dtype_float(p->dtype))
        return cpu_fail(call, WEFT_E_ARG,
                        "a product of %lld x %lld by %lld with strides a (%lld, %lld), b (%lld, "
                        "%lld), c %lld of %s; weft/gemm.h says which there can be",
                        (long long)p->m, (long long)p->k, (long long)p->n, (long long)p->a_row,
                        (long long)p->a_col, (long long)p->b_row, (long long)p->b_col,
                        (long long)p->c_row, cpu_dtype_name(p->dtype));
    if (p->m == 1) g.ldc = p->n;
    cpu_gemm_run(&g);
    return WEFT_OK;
}

const weft_gemm_api cpu_gemm_api = { .struct_size = sizeof(weft_gemm_api), .run = run_product };
