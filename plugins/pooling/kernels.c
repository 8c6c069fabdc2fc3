/* CPU kernels of max_pool and avg_pool, any strides, f32 and f64; and the descriptors of the OpenCL
 * ones (kernels/pool.cl). One output position at a time, all channels in the inner loop. */
#include <math.h>
#include "kernels/pool.cl.h"
#include "pooling.h"

typedef struct pool {
    const weft_view *x, *y;
    int axes, max;
    int64_t size[3], stride[3], low[3];
    int64_t in[3], out[3], x_stride[3], y_stride[3];
    int64_t channels, x_channel, y_channel;
} pool;

void pooling_numbers(const weft_kernel_call *c, int axes, int64_t *size, int64_t *stride,
                     int64_t *low)
{
    int i;

    for (i = 0; i < 3; i++)
        size[i] = stride[i] = 1;
    c->attr_v(c, "size", size, 3);
    c->attr_v(c, "strides", stride, 3);
    c->attr_v(c, "pads", low, 3);
    for (i = axes; i < 3; i++)
        low[i] = 0;
}

static void get_pool(const weft_kernel_call *c, int max, pool *p)
{
    int i;

    *p = (pool){ .x = c->in[0], .y = c->out[0], .axes = c->in[0]->rank - 2, .max = max };
    for (i = 0; i < 3; i++)
        p->in[i] = p->out[i] = 1;
    pooling_numbers(c, p->axes, p->size, p->stride, p->low);
    for (i = 0; i < p->axes; i++) {
        p->in[i] = p->x->dim[i + 1];
        p->out[i] = p->y->dim[i + 1];
        p->x_stride[i] = p->x->stride[i + 1];
        p->y_stride[i] = p->y->stride[i + 1];
    }
    p->channels = p->x->dim[p->axes + 1];
    p->x_channel = p->x->stride[p->axes + 1];
    p->y_channel = p->y->stride[p->axes + 1];
}

/* The window's range on one axis at output position o, cut to the input. */
static void range(const pool *p, int axis, int64_t o, int64_t *begin, int64_t *end)
{
    *begin = o * p->stride[axis] - p->low[axis];
    *end = *begin + p->size[axis];
    if (*begin < 0) *begin = 0;
    if (*end > p->in[axis]) *end = p->in[axis];
}

/* One output position: folds the window's elements into y, channel by channel. */
#define DEFINE_POSITION(name, real)                                                               \
    static void name(const pool *p, const real *x, real *y, const int64_t begin[3],               \
                     const int64_t end[3])                                                        \
    {                                                                                             \
        int64_t count = (end[0] - begin[0]) * (end[1] - begin[1]) * (end[2] - begin[2]), c, i, j, \
                k;                                                                                \
                                                                                                  \
        for (c = 0; c < p->channels; c++)                                                         \
            y[c * p->y_channel] = p->max ? (real)-INFINITY : (real)0;                             \
        for (i = begin[0]; i < end[0]; i++)                                                       \
            for (j = begin[1]; j < end[1]; j++)                                                   \
                for (k = begin[2]; k < end[2]; k++) {                                             \
                    const real *e =                                                               \
                        x + i * p->x_stride[0] + j * p->x_stride[1] + k * p->x_stride[2];         \
                                                                                                  \
                    if (p->max)                                                                   \
                        for (c = 0; c < p->channels; c++) {                                       \
                            real v = e[c * p->x_channel], *r = &y[c * p->y_channel];              \
                                                                                                  \
                            *r = v > *r || v != v ? v : *r;                                       \
                        }                                                                         \
                    else                                                                          \
                        for (c = 0; c < p->channels; c++)                                         \
                            y[c * p->y_channel] += e[c * p->x_channel];                           \
                }                                                                                 \
        if (!p->max)                                                                              \
            for (c = 0; c < p->channels; c++)                                                     \
                y[c * p->y_channel] /= (real)count;                                               \
    }
DEFINE_POSITION(position_f32, float)
DEFINE_POSITION(position_f64, double)

/* Rows (sample, first spatial position) begin..end of the output. */
static void pool_rows(void *user, uint64_t first, uint64_t last)
{
    const pool *p = user;
    int64_t row, begin[3], end[3], o1, o2;

    for (row = (int64_t)first; row < (int64_t)last; row++) {
        int64_t n = row / p->out[0], o0 = row % p->out[0];
        int64_t x_at = n * p->x->stride[0], y_at = n * p->y->stride[0] + o0 * p->y_stride[0];

        range(p, 0, o0, &begin[0], &end[0]);
        for (o1 = 0; o1 < p->out[1]; o1++) {
            range(p, 1, o1, &begin[1], &end[1]);
            for (o2 = 0; o2 < p->out[2]; o2++) {
                int64_t at = y_at + o1 * p->y_stride[1] + o2 * p->y_stride[2];

                range(p, 2, o2, &begin[2], &end[2]);
                if (p->x->dtype == WEFT_F64)
                    position_f64(p, (const double *)p->x->data + x_at, (double *)p->y->data + at,
                                 begin, end);
                else
                    position_f32(p, (const float *)p->x->data + x_at, (float *)p->y->data + at,
                                 begin, end);
            }
        }
    }
}

uint64_t pooling_grain(double row)
{
    return 1 + (uint64_t)(32768 / (row + 1));
}

static weft_status run_pool(const weft_kernel_call *c, int max)
{
    double row;
    pool p;

    get_pool(c, max, &p);
    row = (double)(p.out[1] * p.out[2] * p.channels) * (double)(p.size[0] * p.size[1] * p.size[2]);
    c->host->parallel_for(c->host, (uint64_t)(p.x->dim[0] * p.out[0]), pooling_grain(row),
                          pool_rows, &p);
    return WEFT_OK;
}
static weft_status run_max(const weft_kernel_call *c)
{
    return run_pool(c, 1);
}
static weft_status run_avg(const weft_kernel_call *c)
{
    return run_pool(c, 0);
}

POOLING_KERNELS(pooling_max_kernels, run_max, weft_cl_pool, "max_pool");
POOLING_KERNELS(pooling_avg_kernels, run_avg, weft_cl_pool, "avg_pool");
