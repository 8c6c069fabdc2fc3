/* CPU kernels of lstm and lstm_grad, f32 and f64. Rows of the batch do not meet, so blocks of rows
 * are the tasks: each walks all steps by itself, one product of the cpu backend's BLAS (weft.gemm)
 * and one pass over the cells a step. How rows are cut depends on the batch alone, so that the
 * numbers do not depend on how many threads there are. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <weft/gemm.h>
#include "recurrent.h"

enum {
    FLAGS =
        WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE
};
enum { LEAST_ROWS = 8, MOST_ROWS = 64, BLOCKS = 16 };
enum { WORTH_A_THREAD = 1 << 17 }; /* multiplications */

typedef struct job {
    const weft_kernel_call *call;
    const weft_gemm_api *gemm;
    weft_dtype dtype;
    size_t size;
    int64_t batch, steps, units, rows; /* rows: of a block */
    int backwards;
    char *state[3]; /* of all rows: h or dh, c or dc [units]; sums or dz [4 units] */
    atomic_int status;
} job;

static int64_t rows_of_block(int64_t batch)
{
    int64_t rows = (batch + BLOCKS - 1) / BLOCKS;

    return rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
}

static size_t size_of(weft_dtype dtype)
{
    return dtype == WEFT_F64 ? sizeof(double) : sizeof(float);
}

/* Row b (at step k of three dimensions) of a view; NULL if it is absent. */
static void *at(const weft_view *v, int64_t b, int64_t k, size_t size)
{
    int64_t from = v && v->data ? b * v->stride[0] + (v->rank > 2 ? k * v->stride[1] : 0) : 0;

    return v && v->data ? (char *)v->data + (size_t)from * size : NULL;
}

static int is_live(const weft_view *mask, int64_t b, int64_t t)
{
    return !mask || ((const uint8_t *)mask->data)[b * mask->stride[0] + t * mask->stride[1]];
}

static char *state_row(const job *j, int which, int64_t b)
{
    size_t n = (size_t)(j->units * (which == 2 ? 4 : 1)) * j->size;

    return j->state[which] + (size_t)b * n;
}

static void copy_row(const job *j, void *dst, const void *src)
{
    size_t n = (size_t)j->units * j->size;

    if (dst && src)
        memcpy(dst, src, n);
    else if (dst)
        memset(dst, 0, n);
}

/* The states of rows begin..end from what the op is given, or 0; or back into its results. */
static void load_states(const job *j, const weft_view *h, const weft_view *c, int64_t begin,
                        int64_t end)
{
    for (int64_t b = begin; b < end; b++) {
        copy_row(j, state_row(j, 0, b), at(h, b, 0, j->size));
        copy_row(j, state_row(j, 1, b), at(c, b, 0, j->size));
    }
}
static void store_states(const job *j, const weft_view *h, const weft_view *c, int64_t begin,
                         int64_t end)
{
    for (int64_t b = begin; b < end; b++) {
        copy_row(j, at(h, b, 0, j->size), state_row(j, 0, b));
        copy_row(j, at(c, b, 0, j->size), state_row(j, 1, b));
    }
}

static weft_status start(const weft_kernel_call *call, const weft_view *like, int64_t units, job *j)
{
    size_t row = (size_t)units * size_of(like->dtype);

    memset(j, 0, sizeof *j);
    j->call = call;
    j->gemm = call->host->extension(call->host, WEFT_GEMM_ID);
    j->dtype = like->dtype;
    j->size = size_of(like->dtype);
    j->batch = like->dim[0];
    j->steps = like->dim[1];
    j->units = units;
    j->rows = rows_of_block(j->batch);
    j->backwards = call->attr_i(call, "go_backwards") != 0;
    j->state[0] = call->scratch;
    j->state[1] = j->state[0] + (size_t)j->batch * row;
    j->state[2] = j->state[1] + (size_t)j->batch * row;
    if (j->gemm) return WEFT_OK;
    return call->fail(call, WEFT_E_UNSUPPORTED,
                      "lstm needs " WEFT_GEMM_ID ", which this host does not have");
}

static weft_status run_blocks(job *j, void (*blocks)(void *, uint64_t, uint64_t))
{
    int64_t work = j->rows * j->steps * 4 * j->units * j->units;
    uint64_t grain = work > 0 && work < WORTH_A_THREAD ? (uint64_t)(WORTH_A_THREAD / work) : 1;

    atomic_init(&j->status, WEFT_OK);
    j->call->host->parallel_for(j->call->host, (uint64_t)((j->batch + j->rows - 1) / j->rows),
                                grain, blocks, j);
    return atomic_load(&j->status);
}

static void last_row(const job *j, uint64_t block, int64_t *begin, int64_t *end)
{
    *begin = (int64_t)block * j->rows;
    *end = *begin + j->rows < j->batch ? *begin + j->rows : j->batch;
}

static int64_t time_of(const job *j, int64_t k)
{
    return j->backwards ? j->steps - 1 - k : k;
}

/* ---- lstm ---- */
/* One row of one step: s holds h u, and then the gates; h and c are the states. */
#define DEFINE_CELL(name, real, exp, tanh)                                                \
    static void name(int64_t n, const void *z_row, void *s_row, void *h_row, void *c_row, \
                     int live)                                                            \
    {                                                                                     \
        const real *z = z_row;                                                            \
        real *s = s_row, *h = h_row, *c = c_row;                                          \
        int64_t e;                                                                        \
                                                                                          \
        for (e = 0; e < 2 * n; e++)                                                       \
            s[e] = 1 / (1 + exp(-(z[e] + s[e])));                                         \
        for (e = 2 * n; e < 3 * n; e++)                                                   \
            s[e] = tanh(z[e] + s[e]);                                                     \
        for (e = 3 * n; e < 4 * n; e++)                                                   \
            s[e] = 1 / (1 + exp(-(z[e] + s[e])));                                         \
        for (e = 0; e < n && live; e++) {                                                 \
            c[e] = s[n + e] * c[e] + s[e] * s[2 * n + e];                                 \
            h[e] = s[3 * n + e] * tanh(c[e]);                                             \
        }                                                                                 \
    }
DEFINE_CELL(cell_f32, float, expf, tanhf)
DEFINE_CELL(cell_f64, double, exp, tanh)

static weft_status multiply(const job *j, int64_t begin, int64_t end)
{
    const weft_view *u = j->call->in[LSTM_U];
    weft_product p = { .struct_size = sizeof p, .dtype = j->dtype };

    p.m = end - begin;
    p.n = p.c_row = 4 * j->units;
    p.k = p.a_row = j->units;
    p.a = state_row(j, 0, begin);
    p.a_col = p.b_col = 1;
    p.b = u->data;
    p.b_row = u->stride[0];
    p.c = state_row(j, 2, begin);
    return j->gemm->run(j->call, &p);
}

static void forward_step(const job *j, int64_t k, int64_t begin, int64_t end)
{
    const weft_view *const *in = j->call->in, *const *out = j->call->out;
    int64_t t = time_of(j, k), b;

    for (b = begin; b < end; b++) {
        char *h = state_row(j, 0, b), *c = state_row(j, 1, b), *s = state_row(j, 2, b);
        void *gates = at(out[LSTM_GATES], b, k, j->size), *y = at(out[LSTM_Y], b, k, j->size),
             *cells = at(out[LSTM_CELLS], b, k, j->size);

        (j->dtype == WEFT_F64 ? cell_f64 : cell_f32)(j->units, at(in[LSTM_Z], b, t, j->size), s, h,
                                                     c, is_live(in[LSTM_MASK], b, t));
        if (gates) memcpy(gates, s, (size_t)(4 * j->units) * j->size);
        if (y) copy_row(j, y, h);
        if (cells) copy_row(j, cells, c);
    }
}

static void forward_blocks(void *user, uint64_t first, uint64_t last)
{
    job *j = user;
    const weft_view *const *in = j->call->in, *const *out = j->call->out;

    for (uint64_t block = first; block < last; block++) {
        int64_t begin, end, k;

        last_row(j, block, &begin, &end);
        load_states(j, in[LSTM_H0], in[LSTM_C0], begin, end);
        for (k = 0; k < j->steps; k++) {
            weft_status st = multiply(j, begin, end);

            if (st) atomic_store(&j->status, st);
            if (st) return;
            forward_step(j, k, begin, end);
        }
        store_states(j, out[LSTM_H], out[LSTM_C], begin, end);
    }
}

static weft_status run_forward(const weft_kernel_call *call)
{
    const weft_view *z = call->in[LSTM_Z];
    job j;
    weft_status st = start(call, z, call->in[LSTM_U]->dim[0], &j);

    return st ? st : run_blocks(&j, forward_blocks);
}

static size_t scratch_forward(const weft_kernel_call *call)
{
    const weft_view *z = call->in[LSTM_Z];

    return (size_t)(z->dim[0] * 6 * call->in[LSTM_U]->dim[0]) * size_of(z->dtype);
}

/* ---- lstm_grad ---- */
typedef struct cell_row {
    const void *gates, *cell, *before, *dy; /* before, dy: NULL is 0 */
    void *dh, *dc, *dz;
    int live;
} cell_row;

/* One row of one step. Left in dh: what the product is added to. */
#define DEFINE_GRADIENT(name, real, tanh)                                            \
    static void name(int64_t n, const cell_row *r)                                   \
    {                                                                                \
        const real *g = r->gates, *cell = r->cell, *before = r->before, *dy = r->dy; \
        real *dh = r->dh, *dc = r->dc, *dz = r->dz;                                  \
                                                                                     \
        for (int64_t e = 0; e < n; e++) {                                            \
            real i = g[e], f = g[n + e], a = g[2 * n + e], o = g[3 * n + e];         \
            real tc = tanh(cell[e]), dhe = dy ? dh[e] + dy[e] : dh[e], dce;          \
                                                                                     \
            dh[e] = r->live ? 0 : dhe;                                               \
            if (!r->live) {                                                          \
                dz[e] = dz[n + e] = dz[2 * n + e] = dz[3 * n + e] = 0;               \
                continue;                                                            \
            }                                                                        \
            dce = dc[e] + dhe * o * (1 - tc * tc);                                   \
            dz[e] = dce * a * (i * (1 - i));                                         \
            dz[n + e] = (before ? dce * before[e] : 0) * (f * (1 - f));              \
            dz[2 * n + e] = dce * i * (1 - a * a);                                   \
            dz[3 * n + e] = dhe * tc * (o * (1 - o));                                \
            dc[e] = dce * f;                                                         \
        }                                                                            \
    }
DEFINE_GRADIENT(gradient_f32, float, tanhf)
DEFINE_GRADIENT(gradient_f64, double, tanh)

/* Where dz of row b at time t goes: the result, or what stands for it when nobody reads that. */
static char *dz_row(const job *j, int64_t b, int64_t t)
{
    char *dz = at(j->call->out[GRAD_DZ], b, t, j->size);

    return dz ? dz : state_row(j, 2, b);
}

static weft_status multiply_back(const job *j, int64_t t, int64_t begin, int64_t end)
{
    const weft_view *u = j->call->in[GRAD_U], *dz = j->call->out[GRAD_DZ];
    weft_product p = { .struct_size = sizeof p, .dtype = j->dtype, .accumulate = 1 };

    p.m = end - begin;
    p.n = p.c_row = j->units;
    p.k = 4 * j->units;
    p.a = dz_row(j, begin, t);
    p.a_row = dz->data && p.m > 1 ? dz->stride[0] : p.k;
    p.a_col = p.b_row = 1;
    p.b = u->data;
    p.b_col = u->stride[0];
    p.c = state_row(j, 0, begin);
    return j->gemm->run(j->call, &p);
}

static void backward_step(const job *j, int64_t k, int64_t begin, int64_t end)
{
    const weft_view *const *in = j->call->in;
    int64_t t = time_of(j, k), b;

    for (b = begin; b < end; b++) {
        cell_row r = { .gates = at(in[GRAD_GATES], b, k, j->size),
                       .cell = at(in[GRAD_CELLS], b, k, j->size),
                       .before = k ? at(in[GRAD_CELLS], b, k - 1, j->size)
                                   : at(in[GRAD_C0], b, 0, j->size),
                       .dy = at(in[GRAD_DY], b, k, j->size),
                       .dh = state_row(j, 0, b),
                       .dc = state_row(j, 1, b),
                       .dz = dz_row(j, b, t),
                       .live = is_live(in[GRAD_MASK], b, t) };

        (j->dtype == WEFT_F64 ? gradient_f64 : gradient_f32)(j->units, &r);
    }
}

static void backward_blocks(void *user, uint64_t first, uint64_t last)
{
    job *j = user;
    const weft_view *const *in = j->call->in, *const *out = j->call->out;

    for (uint64_t block = first; block < last; block++) {
        int64_t begin, end, k;

        last_row(j, block, &begin, &end);
        load_states(j, in[GRAD_DH], in[GRAD_DC], begin, end);
        for (k = j->steps - 1; k >= 0; k--) {
            weft_status st;

            backward_step(j, k, begin, end);
            if ((st = multiply_back(j, time_of(j, k), begin, end))) {
                atomic_store(&j->status, st);
                return;
            }
        }
        store_states(j, out[GRAD_DH0], out[GRAD_DC0], begin, end);
    }
}

static weft_status run_backward(const weft_kernel_call *call)
{
    job j;
    weft_status st = start(call, call->in[GRAD_GATES], call->in[GRAD_U]->dim[0], &j);

    return st ? st : run_blocks(&j, backward_blocks);
}

static size_t scratch_backward(const weft_kernel_call *call)
{
    const weft_view *gates = call->in[GRAD_GATES];

    return (size_t)(gates->dim[0] * 6 * call->in[GRAD_U]->dim[0]) * size_of(gates->dtype);
}

const weft_cpu_kernel recurrent_lstm_cpu = { .struct_size = sizeof recurrent_lstm_cpu,
                                             .flags = FLAGS,
                                             .scratch = scratch_forward,
                                             .run = run_forward };
const weft_cpu_kernel recurrent_lstm_grad_cpu = { .struct_size = sizeof recurrent_lstm_grad_cpu,
                                                  .flags = FLAGS,
                                                  .scratch = scratch_backward,
                                                  .run = run_backward };
