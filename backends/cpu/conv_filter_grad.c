/* conv_filter_grad: the transpose of conv in w, f32 or f64. x[N, in.., C], dy[N, out.., F]:
 * dw[k.., c, g F/G + f] = sum over n, o.. of dy[n, o.., g F/G + f] * x[n, o * stride - low +
 * k * dilation, g C/G + c], which is 0 outside: the gathered rows of conv (im2col.c), turned, times
 * dy. The points of all images are cut into parts, each with a sum of its own, and the sums are
 * added in the order of the parts; how many there are depends on shapes alone, and so do the
 * numbers. Depthwise ones need no gemm. */
#include "conv.h"
#include <limits.h>
#include <string.h>

#define MAX_K 512 /* numbers of a gathered row */
#define TASKS 32  /* enough for all threads */
#define PARTS_BYTES (16u * 1024u * 1024u)
#define SUM_BLOCK 4096

typedef struct plan {
    cpu_image conv, dy; /* dy: as what one tap sees of it */
    cpu_cut cut;
    int depthwise;
    int64_t a_row, dy_row; /* steps from row to row where they are matrices already */
    int64_t block, blocks, parts;
    size_t count; /* of dw */
    size_t sums_bytes, a_bytes, dy_bytes, temp_size;
    char *sums, *temp; /* of parts; one part: dw itself */
    void *dw;
} plan;

static int64_t limit(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value < high ? value : high;
}

static void dy_image(plan *p, const weft_view *dy)
{
    cpu_image *c = &p->dy;
    *c = p->conv;
    c->x = dy->data;
    c->x_image = dy->stride[0];
    c->x_channel = dy->stride[dy->rank - 1];
    c->in_group = c->k = c->out_group;
    c->taps = 1;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        int32_t s = d - (CPU_SPATIAL - (dy->rank - 2));
        c->in[d] = c->out[d];
        c->kernel[d] = c->stride[d] = c->dilation[d] = 1;
        c->low[d] = 0;
        c->x_step[d] = s < 0 ? 0 : dy->stride[1 + s];
    }
}

static void make_parts(plan *p)
{
    const cpu_image *c = &p->conv;
    int64_t others = p->depthwise ? 1 : c->groups * p->cut.pieces;
    size_t dw_bytes = cpu_conv_round(p->count * c->size);
    p->blocks = limit((c->rows + p->block - 1) / p->block, 1, INT64_MAX);
    p->parts = limit((TASKS + others - 1) / others, 1, p->blocks);
    p->parts = limit(p->parts, 1, limit((int64_t)(PARTS_BYTES / (dw_bytes + 1)), 1, TASKS));
    if (p->parts > 1) p->sums_bytes = (size_t)p->parts * dw_bytes;
}

static void make_plan(plan *p, const weft_kernel_call *call)
{
    cpu_image *c = &p->conv;
    const weft_view *x = call->in[0], *dy = call->in[1], *dw = call->out[0];
    int64_t k, longest; /* of a gathered row; of that and a row of dy */
    memset(p, 0, sizeof *p);
    cpu_image_init(c, call, &(cpu_conv_views){ x, dw, dy });
    dy_image(p, dy);
    p->count = (size_t)dw->count;
    p->dw = dw->data;
    p->depthwise = c->in_group == 1 && c->groups > 1;
    p->cut = cpu_cut_of(c, 0, MAX_K);
    k = p->cut.taps * p->cut.channels;
    longest = k > c->out_group ? k : c->out_group;
    p->block = limit(cpu_conv_block(c, longest, longest), 1, INT64_MAX);
    make_parts(p);
    p->a_row = cpu_image_pointwise(c) ? cpu_even_rows(x) : 0;
    p->dy_row = cpu_even_rows(dy);
    if (p->depthwise) return;
    if (!p->a_row) p->a_bytes = cpu_conv_round((size_t)(p->block * k) * c->size);
    if (!p->dy_row) p->dy_bytes = cpu_conv_round((size_t)(p->block * c->out_group) * c->size);
    p->temp_size = p->a_bytes + p->dy_bytes;
}

/* dw of a part. */
static char *sums_of(const plan *p, int64_t part)
{
    return p->parts == 1 ? p->dw : p->sums + (size_t)part * (p->sums_bytes / (size_t)p->parts);
}

/* dw (+)= what one piece sees of its points, turned, times dy there. */
static void multiply(const plan *p, const cpu_piece *piece, char *dw, int add, char *temp)
{
    const cpu_image *c = &p->conv;
    int64_t size = (int64_t)c->size, k = piece->taps * piece->channels;
    int64_t filter = piece->group * c->out_group;
    cpu_gemm g = { .dtype = c->dtype,
                   .m = k,
                   .n = c->out_group,
                   .k = piece->rows,
                   .a = temp,
                   .b = p->dy.x + (piece->first * p->dy_row + filter) * size,
                   .a_row = 1,
                   .a_col = k,
                   .b_row = p->dy_row,
                   .b_col = 1,
                   .c = dw,
                   .ldc = c->features,
                   .add = add };
    if (p->a_row) {
        int64_t channel = piece->group * c->in_group + piece->channel;
        g.a = c->x + (piece->first * p->a_row + channel) * size;
        g.a_col = p->a_row;
    } else if (k > 0) {
        cpu_im2col(c, piece, temp);
    }
    if (!p->dy_row) {
        cpu_piece all = { .group = piece->group,
                          .first = piece->first,
                          .rows = piece->rows,
                          .taps = 1,
                          .channels = c->out_group };
        g.b = temp + p->a_bytes;
        g.b_row = c->out_group;
        cpu_im2col(&p->dy, &all, temp + p->a_bytes);
    }
    cpu_gemm_run(&g);
}

/* Part by part; in each, groups and the pieces of k. */
static void grad_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    const cpu_image *c = &p->conv;
    int64_t others = c->groups * p->cut.pieces, part = (int64_t)task / others;
    int64_t begin = part * p->blocks / p->parts, end = (part + 1) * p->blocks / p->parts;
    cpu_piece piece = { .group = (int64_t)task % others / p->cut.pieces };
    int64_t row = cpu_cut_piece(&p->cut, c, (int64_t)task % p->cut.pieces, &piece);
    int64_t at = row * c->features + piece.group * c->out_group;
    char *dw = sums_of(p, part) + at * (int64_t)c->size;
    for (int64_t block = begin; block < end; block++) {
        piece.first = block * p->block;
        piece.rows = limit(c->rows - piece.first, 0, p->block);
        multiply(p, &piece, dw, block > begin, p->temp + thread * p->temp_size);
    }
}

#define NUMBERS(T)                                                                             \
    /* dw[g * many + j] += x[g * step] * dy[(g * many + j) * dy_step] */                       \
    static void add_tap_##T(const plan *p, const void *x_at, const void *dy_at, void *dw_at)   \
    {                                                                                          \
        const T *x = x_at, *dy = dy_at;                                                        \
        T *dw = dw_at;                                                                         \
        int64_t many = p->conv.out_group, step = p->conv.x_channel, dy_step = p->dy.x_channel; \
        if (many == 1 && step == 1 && dy_step == 1) {                                          \
            for (int64_t g = 0; g < p->conv.groups; g++)                                       \
                dw[g] += x[g] * dy[g];                                                         \
            return;                                                                            \
        }                                                                                      \
        for (int64_t g = 0; g < p->conv.groups; g++)                                           \
            for (int64_t j = g * many; j < (g + 1) * many; j++)                                \
                dw[j] += x[g * step] * dy[j * dy_step];                                        \
    }                                                                                          \
    static void sum_parts_##T(const plan *p, size_t first, size_t n)                           \
    {                                                                                          \
        T *dw = (T *)p->dw + first;                                                            \
        memcpy(dw, (T *)(void *)sums_of(p, 0) + first, n * sizeof(T));                         \
        for (int64_t part = 1; part < p->parts; part++) {                                      \
            const T *sum = (T *)(void *)sums_of(p, part) + first;                              \
            for (size_t i = 0; i < n; i++)                                                     \
                dw[i] += sum[i];                                                               \
        }                                                                                      \
    }
NUMBERS(float)
NUMBERS(double)

static void depthwise_task(void *user, uint64_t part, uint32_t thread)
{
    const plan *p = user;
    const cpu_image *c = &p->conv;
    int64_t size = (int64_t)c->size;
    int64_t row = (int64_t)part * p->blocks / p->parts * p->block;
    int64_t end = limit(((int64_t)part + 1) * p->blocks / p->parts * p->block, 0, c->rows);
    char *dw = sums_of(p, (int64_t)part);
    cpu_point at = cpu_conv_point(c, row);
    (void)thread;
    memset(dw, 0, p->count * c->size);
    for (; row < end; row++, cpu_conv_next(c, &at)) {
        const char *dy = cpu_conv_tap(&p->dy, &at, 0);
        for (int64_t tap = 0; tap < c->taps; tap++) {
            const char *x = cpu_conv_tap(c, &at, tap);
            if (!x) continue;
            if (c->dtype == WEFT_F32)
                add_tap_float(p, x, dy, dw + tap * c->features * size);
            else
                add_tap_double(p, x, dy, dw + tap * c->features * size);
        }
    }
}

static void sum_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    size_t first = (size_t)task * SUM_BLOCK, left = p->count - first;
    (void)thread;
    if (left > SUM_BLOCK) left = SUM_BLOCK;
    if (p->conv.dtype == WEFT_F32)
        sum_parts_float(p, first, left);
    else
        sum_parts_double(p, first, left);
}

static uint64_t n_tasks(const plan *p)
{
    return (uint64_t)(p->parts * (p->depthwise ? 1 : p->conv.groups * p->cut.pieces));
}

static int too_large(const plan *p)
{
    return p->conv.features > INT_MAX || p->a_row > INT_MAX || p->dy_row > INT_MAX;
}

static weft_status run(const weft_kernel_call *call)
{
    plan p;
    uint64_t work;
    if (!call->out[0]->count || !call->out[0]->data) return WEFT_OK;
    make_plan(&p, call);
    if (too_large(&p)) {
        return cpu_fail(call, WEFT_E_UNSUPPORTED,
                        "%lld filters, or the steps between rows, are beyond what BLAS counts "
                        "(2^31 - 1)",
                        (long long)p.conv.features);
    }
    if (!p.conv.rows) { /* a sum of nothing */
        memset(p.dw, 0, p.count * p.conv.size);
        return WEFT_OK;
    }
    p.sums = call->scratch;
    p.temp = p.sums + p.sums_bytes;
    work = call->in[1]->count * (uint64_t)(p.conv.k / 4 + 1);
    cpu_parallel(call, work, n_tasks(&p), p.depthwise ? depthwise_task : grad_task, &p);
    if (p.parts > 1)
        cpu_parallel(call, p.count * (uint64_t)p.parts / 4, (p.count + SUM_BLOCK - 1) / SUM_BLOCK,
                     sum_task, &p);
    return WEFT_OK;
}

static size_t scratch(const weft_kernel_call *call)
{
    plan p;
    make_plan(&p, call);
    return p.sums_bytes + cpu_conv_threads(call, n_tasks(&p)) * p.temp_size;
}

const cpu_kernel cpu_conv_filter_grad = {
    "conv_filter_grad",
    { sizeof(weft_cpu_kernel), WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_F64,
      cpu_conv_supports, scratch, run },
    NULL,
};
