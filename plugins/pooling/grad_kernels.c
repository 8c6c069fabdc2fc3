/* CPU kernels of max_pool_grad and avg_pool_grad, f32 and f64, any strides; and the descriptors of
 * the OpenCL ones (kernels/pool_grad.cl). Each element of dx gathers from the windows that see it,
 * so that no two threads write to one place; a block of channels at a time. */
#include "kernels/pool_grad.cl.h"
#include "pooling.h"

enum { BLOCK = 64 }; /* channels that are worked on together */

/* Where a tensor lies: data, and strides of the sample, three spatial axes, and the channel. */
typedef struct lie {
    const void *data;
    int64_t sample, axis[3], channel;
} lie;

typedef struct grad {
    lie x, y, dy, dx;
    int64_t size[3], stride[3], low[3];
    int64_t in[3], out[3], samples, channels; /* in: of x, out: of y */
    int f64, reserved;
} grad;

static lie lie_of(const weft_view *v)
{
    lie l = { .data = v->data, .sample = v->stride[0], .channel = v->stride[v->rank - 1] };
    int32_t i;

    for (i = 0; i < v->rank - 2; i++)
        l.axis[i] = v->stride[i + 1];
    return l;
}

static void get_grad(const weft_kernel_call *c, const weft_view *dy, grad *g)
{
    const weft_view *dx = c->out[0];
    int32_t i, axes = dx->rank - 2;

    *g = (grad){ .dy = lie_of(dy),
                 .dx = lie_of(dx),
                 .samples = dx->dim[0],
                 .channels = dx->dim[dx->rank - 1],
                 .f64 = dx->dtype == WEFT_F64 };
    for (i = 0; i < 3; i++)
        g->in[i] = g->out[i] = 1;
    pooling_numbers(c, axes, g->size, g->stride, g->low);
    for (i = 0; i < axes; i++) {
        g->in[i] = dx->dim[i + 1];
        g->out[i] = dy->dim[i + 1];
    }
}

/* Begin and end on each axis. */
typedef struct box {
    int64_t begin[3], end[3];
} box;

/* The windows that see p. */
static box seeing(const grad *g, const int64_t p[3])
{
    box b;
    int i;

    for (i = 0; i < 3; i++) {
        int64_t first = p[i] + g->low[i] - g->size[i] + 1;

        b.begin[i] = first > 0 ? (first + g->stride[i] - 1) / g->stride[i] : 0;
        b.end[i] = (p[i] + g->low[i]) / g->stride[i] + 1;
        if (b.end[i] > g->out[i]) b.end[i] = g->out[i];
    }
    return b;
}

/* What window o sees of x. */
static box seen(const grad *g, const int64_t o[3])
{
    box b;
    int i;

    for (i = 0; i < 3; i++) {
        b.begin[i] = o[i] * g->stride[i] - g->low[i];
        b.end[i] = b.begin[i] + g->size[i];
        if (b.begin[i] < 0) b.begin[i] = 0;
        if (b.end[i] > g->in[i]) b.end[i] = g->in[i];
    }
    return b;
}

static int64_t at(const lie *l, int64_t n, const int64_t p[3])
{
    return n * l->sample + p[0] * l->axis[0] + p[1] * l->axis[1] + p[2] * l->axis[2];
}

/* Channels first .. first + n - 1 at one place of a sample. */
typedef struct spot {
    int64_t sample, first, n;
    int64_t p[3];
} spot;

/* add_max: adds window o's dy to acc where p is the first to equal y. add_avg: dy / count. */
#define DEFINE_GRAD(real)                                                                         \
    static void add_max_##real(const grad *g, const spot *s, const int64_t o[3], real *acc)       \
    {                                                                                             \
        const lie *x = &g->x;                                                                     \
        const real *y =                                                                           \
            (const real *)g->y.data + at(&g->y, s->sample, o) + s->first * g->y.channel;          \
        const real *dy =                                                                          \
            (const real *)g->dy.data + at(&g->dy, s->sample, o) + s->first * g->dy.channel;       \
        const real *base = (const real *)x->data + s->sample * x->sample + s->first * x->channel; \
        const real *own = (const real *)x->data + at(x, s->sample, s->p) + s->first * x->channel; \
        unsigned char take[BLOCK];                                                                \
        box w = seen(g, o);                                                                       \
        int64_t c, i, j, k;                                                                       \
                                                                                                  \
        for (c = 0; c < s->n; c++) {                                                              \
            real v = own[c * x->channel];                                                         \
                                                                                                  \
            take[c] = v == y[c * g->y.channel] || v != v;                                         \
        }                                                                                         \
        for (i = w.begin[0]; i <= s->p[0]; i++)                                                   \
            for (j = w.begin[1]; j < (i < s->p[0] ? w.end[1] : s->p[1] + 1); j++) {               \
                int64_t end = i < s->p[0] || j < s->p[1] ? w.end[2] : s->p[2];                    \
                                                                                                  \
                for (k = w.begin[2]; k < end; k++) {                                              \
                    const real *e = base + i * x->axis[0] + j * x->axis[1] + k * x->axis[2];      \
                                                                                                  \
                    for (c = 0; c < s->n; c++) {                                                  \
                        real v = e[c * x->channel];                                               \
                                                                                                  \
                        take[c] &= !(v == y[c * g->y.channel] || v != v);                         \
                    }                                                                             \
                }                                                                                 \
            }                                                                                     \
        for (c = 0; c < s->n; c++)                                                                \
            acc[c] += take[c] ? dy[c * g->dy.channel] : 0;                                        \
    }                                                                                             \
    static void add_avg_##real(const grad *g, const spot *s, const int64_t o[3], real *acc)       \
    {                                                                                             \
        const real *dy =                                                                          \
            (const real *)g->dy.data + at(&g->dy, s->sample, o) + s->first * g->dy.channel;       \
        box w = seen(g, o);                                                                       \
        real count =                                                                              \
            (real)((w.end[0] - w.begin[0]) * (w.end[1] - w.begin[1]) * (w.end[2] - w.begin[2]));  \
        int64_t c;                                                                                \
                                                                                                  \
        for (c = 0; c < s->n; c++)                                                                \
            acc[c] += dy[c * g->dy.channel] / count;                                              \
    }                                                                                             \
    static void spot_##real(const grad *g, const spot *s)                                         \
    {                                                                                             \
        real *dx = (real *)g->dx.data + at(&g->dx, s->sample, s->p) + s->first * g->dx.channel;   \
        real acc[BLOCK] = { 0 };                                                                  \
        box b = seeing(g, s->p);                                                                  \
        int64_t o[3], c;                                                                          \
                                                                                                  \
        for (o[0] = b.begin[0]; o[0] < b.end[0]; o[0]++)                                          \
            for (o[1] = b.begin[1]; o[1] < b.end[1]; o[1]++)                                      \
                for (o[2] = b.begin[2]; o[2] < b.end[2]; o[2]++)                                  \
                    (g->x.data ? add_max_##real : add_avg_##real)(g, s, o, acc);                  \
        for (c = 0; c < s->n; c++)                                                                \
            dx[c * g->dx.channel] = acc[c];                                                       \
    }
DEFINE_GRAD(float)
DEFINE_GRAD(double)

/* Rows (sample, first spatial position) begin .. end of dx. */
static void grad_rows(void *user, uint64_t begin, uint64_t end)
{
    const grad *g = user;
    spot s;
    uint64_t row;

    for (row = begin; row < end; row++) {
        s.sample = (int64_t)row / g->in[0];
        s.p[0] = (int64_t)row % g->in[0];
        for (s.p[1] = 0; s.p[1] < g->in[1]; s.p[1]++)
            for (s.p[2] = 0; s.p[2] < g->in[2]; s.p[2]++)
                for (s.first = 0; s.first < g->channels; s.first += BLOCK) {
                    s.n = g->channels - s.first < BLOCK ? g->channels - s.first : BLOCK;
                    (g->f64 ? spot_double : spot_float)(g, &s);
                }
    }
}

/* Windows that see an element; of the maximum each is looked through up to there. */
static double work(const grad *g)
{
    double windows = 1, looks = 1;
    int i;

    for (i = 0; i < 3; i++) {
        windows *= (double)((g->size[i] + g->stride[i] - 1) / g->stride[i]);
        looks *= (double)g->size[i];
    }
    return windows * (g->x.data ? looks : 1);
}

static weft_status run(const weft_kernel_call *c, grad *g)
{
    double row = (double)(g->in[1] * g->in[2] * g->channels) * work(g);

    if (!c->out[0]->data) return WEFT_OK;
    c->host->parallel_for(c->host, (uint64_t)(g->samples * g->in[0]), pooling_grain(row), grad_rows,
                          g);
    return WEFT_OK;
}
static weft_status run_max(const weft_kernel_call *c)
{
    grad g;

    get_grad(c, c->in[2], &g);
    g.x = lie_of(c->in[0]);
    g.y = lie_of(c->in[1]);
    return run(c, &g);
}
static weft_status run_avg(const weft_kernel_call *c)
{
    grad g;

    get_grad(c, c->in[0], &g);
    return run(c, &g);
}

POOLING_KERNELS(pooling_max_grad_kernels, run_max, weft_cl_pool_grad, "max_pool_grad");
POOLING_KERNELS(pooling_avg_grad_kernels, run_avg, weft_cl_pool_grad, "avg_pool_grad");
