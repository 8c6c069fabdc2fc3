/* matmul: out[.., M, N] = a[.., M, K] b[.., K, N], f32 or f64, leading dimensions broadcast,
 * transposes by attributes, `then` on the result; K of 0 gives zeros. Dimensions that b does not
 * have become rows; each product is cut into tiles, one gemm in one thread each. A tile with an
 * epilogue, or one whose output BLAS cannot write, passes through the thread's scratch. Any layout
 * of a and b: BLAS takes it as it is when one of the two last strides is 1, else a copy. */
#include "cpu.h"
#include <limits.h>
#include <string.h>

/* Tiles are as large as this, or smaller, so that small products keep several cores busy. */
#define TILE_ROWS 256
#define TILE_COLS 512
#define LEAST_TILE 64
#define LEAST_WORK (256 * 1024) /* multiplications a tile */
#define ENOUGH_TILES 16

typedef struct matrix {
    const char *data;
    int64_t row, col;              /* strides */
    size_t copy;                   /* bytes of the dense copy; 0 = none is needed */
    int64_t stride[WEFT_MAX_RANK]; /* of the batch dimensions, aligned with out's; then row */
} matrix;

typedef struct plan {
    weft_dtype dtype;
    size_t size;
    cpu_nest nest; /* batch dimensions, M last; operands: out, a, b */
    int64_t m, n, k, out_row;
    matrix a, b;
    int64_t tile_rows, tile_cols;
    uint64_t batches, row_tiles, col_tiles;
    int direct; /* gemm writes the output itself */
    cpu_job job;
    const weft_view *out;
    char *temp;
    size_t tile_bytes, temp_size; /* of a thread: the tile, then the job's */
} plan;

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* The strides of v as [batch.., rows, cols]; dense ones where BLAS cannot take it as it is. */
static matrix matrix_of(const weft_view *v, int transposed, int32_t out_rank)
{
    matrix t = { .data = v->data };
    int64_t dense[WEFT_MAX_RANK];
    const int64_t *stride = v->stride;
    int32_t r = v->rank - 2 + (transposed != 0), c = v->rank - 1 - (transposed != 0);
    int32_t shift = out_rank - v->rank;
    if (!cpu_gemm_takes(v->dim[r], v->dim[c], stride[r], stride[c])) {
        cpu_dense_strides(v->rank, v->dim, dense);
        stride = dense;
        t.copy = round_up((size_t)v->count * cpu_dtype_size(v->dtype));
    }
    t.row = stride[r];
    t.col = stride[c];
    for (int32_t d = 0; d < v->rank - 2; d++)
        t.stride[shift + d] = v->dim[d] == 1 ? 0 : stride[d];
    return t;
}

/* Rows: whatever dimensions b does not vary over and a and out step through evenly. */
static void find_rows(plan *p, const weft_view *out)
{
    int32_t rank = out->rank - 1, last;
    p->a.stride[rank - 1] = p->a.row;
    p->b.stride[rank - 1] = 0;
    cpu_nest_init(&p->nest, rank, out->dim);
    cpu_nest_add(&p->nest, out->stride);
    cpu_nest_add(&p->nest, p->a.stride);
    cpu_nest_add(&p->nest, p->b.stride);
    cpu_nest_collapse(&p->nest);
    last = p->nest.rank - 1;
    p->m = 1;
    p->out_row = p->n;
    if (last >= 0 && p->nest.stride[2][last] == 0 &&
        cpu_gemm_takes(p->nest.dim[last], p->k, p->nest.stride[1][last], p->a.col)) {
        p->m = p->nest.dim[last];
        p->out_row = p->nest.stride[0][last];
        p->a.row = p->nest.stride[1][last];
    }
    p->batches = p->m > 0 ? p->nest.count / (uint64_t)p->m : 0;
}

/* By shape alone: the numbers must not depend on how many threads there are. */
static void cut(plan *p)
{
    p->tile_rows = p->m < TILE_ROWS ? p->m : TILE_ROWS;
    p->tile_cols = p->n < TILE_COLS ? p->n : TILE_COLS;
    for (;;) {
        int64_t *larger = p->tile_cols >= p->tile_rows ? &p->tile_cols : &p->tile_rows;
        p->row_tiles = p->m ? (uint64_t)((p->m + p->tile_rows - 1) / p->tile_rows) : 0;
        p->col_tiles = p->n ? (uint64_t)((p->n + p->tile_cols - 1) / p->tile_cols) : 0;
        if (p->batches * p->row_tiles * p->col_tiles >= ENOUGH_TILES || *larger < 2 * LEAST_TILE ||
            p->tile_rows * p->tile_cols * p->k < 2 * LEAST_WORK)
            return;
        *larger = (*larger + 1) / 2;
    }
}

static void make_plan(plan *p, const weft_kernel_call *call)
{
    const weft_view *a = call->in[0], *b = call->in[1], *out = call->out[0];
    int trans_a = call->attr_i(call, "transpose_a") != 0;
    int32_t last = out->rank - 1;
    int64_t unit;
    memset(p, 0, sizeof *p);
    p->out = out;
    p->dtype = a->dtype;
    p->size = cpu_dtype_size(p->dtype);
    p->n = out->dim[last];
    p->k = a->dim[a->rank - (trans_a ? 2 : 1)];
    p->a = matrix_of(a, trans_a, out->rank);
    p->b = matrix_of(b, call->attr_i(call, "transpose_b") != 0, out->rank);
    find_rows(p, out);
    cut(p);
    unit = p->n <= 1 ? 1 : out->stride[last];
    p->direct = !cpu_node_of(call)->then && unit == 1 && (p->m <= 1 || p->out_row >= p->n);
    if (!p->direct) {
        p->tile_bytes = round_up((size_t)(p->tile_rows * p->tile_cols) * p->size);
        p->temp_size = p->tile_bytes + cpu_job_temp(1 + call->n_extra);
    }
}

/* Stores a finished tile, dense with `cols` a row. */
static void store_tile(const plan *p, const char *tile, uint64_t row, const int64_t box[3],
                       char *temp)
{
    int64_t rows = box[0], col = box[1], cols = box[2];
    if (cols == p->n) {
        cpu_job_range(&p->job, tile, row * (uint64_t)p->n, (uint64_t)(rows * cols), temp);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        cpu_job_range(&p->job, tile + (size_t)(i * cols) * p->size,
                      (row + (uint64_t)i) * (uint64_t)p->n + (uint64_t)col, (uint64_t)cols, temp);
    }
}

static void matmul_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    uint64_t batch = task / (p->row_tiles * p->col_tiles);
    int64_t row = (int64_t)(task / p->col_tiles % p->row_tiles) * p->tile_rows;
    int64_t col = (int64_t)(task % p->col_tiles) * p->tile_cols;
    int64_t rows = p->m - row < p->tile_rows ? p->m - row : p->tile_rows;
    int64_t cols = p->n - col < p->tile_cols ? p->n - col : p->tile_cols, size = (int64_t)p->size;
    uint64_t first = batch * (uint64_t)p->m; /* the product's first row, of all rows */
    char *tile = p->temp + thread * p->temp_size;
    cpu_gemm g = { p->dtype,
                   rows,
                   cols,
                   p->k,
                   p->a.data + (cpu_nest_offset(&p->nest, 1, first) + row * p->a.row) * size,
                   p->b.data + (cpu_nest_offset(&p->nest, 2, first) + col * p->b.col) * size,
                   p->a.row,
                   p->a.col,
                   p->b.row,
                   p->b.col,
                   tile,
                   cols,
                   0 };
    if (p->direct) {
        int64_t at = cpu_nest_offset(&p->nest, 0, first) + row * p->out_row + col;
        g.c = (char *)p->out->data + at * size;
        g.ldc = p->m > 1 ? p->out_row : p->n;
    }
    cpu_gemm_run(&g);
    if (!p->direct)
        store_tile(p, tile, first + (uint64_t)row, (int64_t[]){ rows, col, cols },
                   tile + p->tile_bytes);
}

/* A dense copy of v at `to` where the matrix needs one. */
static char *copy_dense(const weft_kernel_call *call, matrix *t, const weft_view *v, char *to)
{
    weft_view dense = *v;
    int64_t stride[WEFT_MAX_RANK];
    cpu_box box;
    if (!t->copy) return to;
    cpu_dense_strides(v->rank, v->dim, stride);
    dense.stride = stride;
    dense.data = to;
    box = cpu_box_of(&dense, v->data);
    memcpy(box.src_stride, v->stride, (size_t)v->rank * sizeof *stride);
    cpu_box_copy(call, &box);
    t->data = to;
    return to + t->copy;
}

static int too_large(const plan *p)
{
    const int64_t sizes[] = { p->k,     p->a.row, p->a.col,
                              p->b.row, p->b.col, p->direct ? p->out_row : 0 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] > INT_MAX) return 1;
    }
    return 0;
}

static weft_status run(const weft_kernel_call *call)
{
    plan p;
    uint64_t work;
    if (!call->out[0]->count || !call->out[0]->data) return WEFT_OK;
    make_plan(&p, call);
    if (too_large(&p)) {
        return cpu_fail(call, WEFT_E_UNSUPPORTED,
                        "K=%lld, or the steps between rows, are beyond what "
                        "BLAS counts (2^31 - 1)",
                        (long long)p.k);
    }
    p.temp = call->scratch;
    if (p.k == 0) {
        p.a.data = p.b.data = p.out->data; /* never read; a and b may have no memory at all */
    } else {
        p.temp = copy_dense(call, &p.a, call->in[0], p.temp);
        p.temp = copy_dense(call, &p.b, call->in[1], p.temp);
    }
    if (!p.direct) cpu_then_job(&p.job, call, p.dtype);
    work = p.out->count * (uint64_t)(p.k / 4 + 1);
    cpu_parallel(cpu_threads(call, work), p.batches * p.row_tiles * p.col_tiles, matmul_task, &p);
    return WEFT_OK;
}

static size_t scratch(const weft_kernel_call *call)
{
    plan p;
    make_plan(&p, call);
    return p.a.copy + p.b.copy + cpu_node_of(call)->dev->threads * p.temp_size;
}

static int supports(const weft_kernel_call *call, char *why, size_t size)
{
    if (!cpu_same_dtype(call, 2, why, size)) return 0;
    if (call->in[0]->rank < 2 || call->in[1]->rank < 2) {
        return cpu_no(why, size, "inputs of rank %d and %d; matmul wants 2 or more",
                      call->in[0]->rank, call->in[1]->rank);
    }
    return cpu_then_supports(call, call->in[0]->dtype, why, size);
}

static weft_status prepare(cpu_node *node)
{
    return cpu_then_prepare(node, node->call.in[0]->dtype);
}

const cpu_kernel cpu_matmul = {
    "matmul",
    { sizeof(weft_cpu_kernel),
      WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_PITCHED |
          WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64,
      supports, scratch, run },
    prepare,
};
