/* conv_input_grad: the transpose of conv in x, f32 or f64, `then` on the result. dy[N, out.., F],
 * w[kernel.., C / G, F]: dx[n, i.., g C/G + c] = sum over taps k.. and f of w[k.., c, g F/G + f] *
 * dy[n, (i + low - k * dilation) / stride, g F/G + f] where that is a whole number inside.
 *
 * Points of dx whose places leave the same rest by the strides, a phase, see the same taps, and see
 * dy with stride 1: each phase is a convolution of dy with some taps of w, turned around. So
 * nothing is added up across tasks: the points of a phase are rows of a matrix product, cut into
 * blocks as in conv.c. */
#include "conv.h"
#include <limits.h>
#include <string.h>

#define MAX_K 1024 /* numbers of a gathered row */

typedef struct plan {
    cpu_image conv;                /* the convolution whose transpose this is; x is dx */
    const weft_view *dy, *w, *out; /* out: dx */
    int64_t classes[CPU_SPATIAL];  /* taps k and k + classes serve the same phases */
    int64_t phases, blocks, block; /* blocks of the largest phase; rows of one */
    int64_t channels;              /* of dx */
    int depthwise, direct;
    int64_t a_row, out_row; /* steps from row to row: dy is the matrix; gemm writes dx itself */
    int64_t b_row, b_col;   /* of w as [k, channels of a group] */
    size_t packed, a_bytes, c_bytes, temp_size;
    const char *dy_data, *b; /* phase after phase, groups [k, channels] in them; or w itself */
    cpu_job job;
    char *temp;
} plan;

/* Points first + stride * q of dx, and the taps tap + classes * j that they see. */
typedef struct phase {
    cpu_image image; /* over dy; its points are q */
    int64_t first[CPU_SPATIAL], tap[CPU_SPATIAL];
} phase;

static int64_t divisor(int64_t a, int64_t b)
{
    return b ? divisor(b, a % b) : a;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Not more than there are taps. */
static int64_t used_classes(const plan *p, int d)
{
    return least(p->classes[d], p->conv.kernel[d]);
}

/* How many taps of dimension d are tap, tap + classes .. */
static int64_t taps_of(const plan *p, int d, int64_t tap)
{
    int64_t kernel = p->conv.kernel[d];
    return tap < kernel ? (kernel - tap - 1) / p->classes[d] + 1 : 0;
}

/* Taps of dimension d in classes before `tap`'s. */
static int64_t taps_before(const plan *p, int d, int64_t tap)
{
    int64_t n = p->classes[d], kernel = p->conv.kernel[d];
    return tap * (kernel / n) + least(tap, kernel % n);
}

/* The numbers of b before those of a phase: phases lie there by their taps, row-major. */
static int64_t packed_before(const plan *p, const phase *ph)
{
    const cpu_image *c = &p->conv;
    int64_t before = 0, outer = 1;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        int64_t inner = taps_before(p, d, ph->tap[d]);
        for (int e = d + 1; e < CPU_SPATIAL; e++)
            inner *= c->kernel[e];
        before += outer * inner;
        outer *= taps_of(p, d, ph->tap[d]);
    }
    return before * c->in_group * c->features;
}

static void dimension(const plan *p, phase *ph, int d, int64_t first)
{
    const cpu_image *c = &p->conv;
    cpu_image *m = &ph->image;
    int64_t at = first + c->low[d], tap = 0, n, whole;
    while (tap < used_classes(p, d) && (at - tap * c->dilation[d]) % c->stride[d] != 0)
        tap++;
    n = tap < used_classes(p, d) ? taps_of(p, d, tap) : 0;
    whole = n ? (at - tap * c->dilation[d]) / c->stride[d] : 0;
    ph->first[d] = first;
    ph->tap[d] = tap;
    m->in[d] = c->out[d];
    m->out[d] = first < c->in[d] ? (c->in[d] - first - 1) / c->stride[d] + 1 : 0;
    m->kernel[d] = n;
    m->stride[d] = 1;
    m->dilation[d] = c->dilation[d] / (c->stride[d] / p->classes[d]);
    m->low[d] = (n - 1) * m->dilation[d] - whole;
    m->taps *= n;
    m->rows *= m->out[d];
}

static void phase_init(const plan *p, int64_t number, phase *ph)
{
    const cpu_image *c = &p->conv;
    int32_t n = p->dy->rank - 2;
    cpu_image *m = &ph->image;
    *m = (cpu_image){ .dtype = c->dtype, .size = c->size, .x = p->dy_data };
    m->x_image = p->dy->stride[0];
    m->x_channel = p->dy->stride[n + 1];
    m->groups = c->groups;
    m->in_group = c->out_group;
    m->out_group = c->in_group;
    m->features = p->channels;
    m->taps = 1;
    m->rows = p->dy->dim[0];
    for (int d = CPU_SPATIAL - 1; d >= 0; d--) {
        int32_t s = d - (CPU_SPATIAL - n);
        int64_t steps = least(c->stride[d], c->in[d]);
        m->x_step[d] = s < 0 ? 0 : p->dy->stride[1 + s];
        dimension(p, ph, d, number % steps);
        number /= steps;
    }
    m->k = m->taps * m->in_group;
}

/* Where the numbers of w are read: in place, or out of scratch memory. */
static void place_filter(plan *p)
{
    const cpu_image *c = &p->conv;
    const weft_view *w = p->w;
    int64_t row = w->stride[w->rank - 1], col = w->stride[w->rank - 2];
    if (c->taps == 1 && !p->depthwise && cpu_gemm_takes(c->out_group, c->in_group, row, col)) {
        p->b_row = row;
        p->b_col = col;
        p->b = w->count ? w->data : p->out->data;
        return;
    }
    p->b_row = c->in_group;
    p->b_col = 1;
    p->b = p->out->data; /* of nothing */
    p->packed = cpu_conv_round((size_t)w->count * c->size);
}

static void make_plan(plan *p, const weft_kernel_call *call)
{
    cpu_image *c = &p->conv;
    phase largest;
    int steps = 0;
    int64_t k, longest; /* of a gathered row; of that and a row of dx */
    memset(p, 0, sizeof *p);
    p->dy = call->in[0];
    p->w = call->in[1];
    p->out = call->out[0];
    p->dy_data = p->dy->count ? p->dy->data : p->out->data; /* of nothing: never read */
    cpu_image_init(c, call, &(cpu_conv_views){ p->out, p->w, p->dy });
    c->dtype = p->dy->dtype; /* what `then` makes of dx may be another */
    c->size = cpu_dtype_size(c->dtype);
    p->channels = c->groups * c->in_group;
    p->phases = 1;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        p->classes[d] = c->stride[d] / divisor(c->stride[d], c->dilation[d]);
        p->phases *= least(c->stride[d], c->in[d]);
        steps |= c->stride[d] > 1;
    }
    p->depthwise = c->in_group == 1 && c->groups > 1;
    place_filter(p);
    phase_init(p, 0, &largest); /* no other has more points, and no class has more taps than 0 */
    k = c->out_group;
    for (int d = 0; d < CPU_SPATIAL; d++)
        k *= taps_of(p, d, 0);
    k = least(k, MAX_K);
    longest = k > p->channels ? k : p->channels;
    p->block = cpu_conv_block(&largest.image, longest, longest);
    p->blocks = p->block ? (largest.image.rows + p->block - 1) / p->block : 0;
    p->a_row = cpu_image_pointwise(c) && !p->depthwise ? cpu_even_rows(p->dy) : 0;
    p->out_row = cpu_even_rows(p->out);
    p->direct = !cpu_node_of(call)->then && !steps && p->out_row != 0 &&
                (!p->depthwise || p->out_row == p->channels);
    if (!p->a_row && !p->depthwise) p->a_bytes = cpu_conv_round((size_t)(p->block * k) * c->size);
    if (!p->direct) {
        p->c_bytes = cpu_conv_round((size_t)(p->block * p->channels) * c->size);
        p->temp_size = cpu_job_temp(1 + call->n_extra);
    }
    p->temp_size += p->a_bytes + p->c_bytes;
}

/* One block of one group; c_at: the block's first result, of group 0. */
static void multiply(const plan *p, const phase *ph, cpu_piece *piece, char *c_at, char *a_temp)
{
    const cpu_image *m = &ph->image;
    int64_t size = (int64_t)m->size, own = m->k * m->out_group * piece->group;
    const char *b = p->packed ? p->b + (packed_before(p, ph) + own) * size
                              : p->b + piece->group * m->in_group * p->b_row * size;
    cpu_cut cut = cpu_cut_of(m, p->block, MAX_K);
    for (int64_t i = 0; i < cut.pieces; i++) {
        int64_t row = cpu_cut_piece(&cut, m, i, piece), k = piece->taps * piece->channels;
        cpu_gemm g = { m->dtype,
                       piece->rows,
                       m->out_group,
                       k,
                       a_temp,
                       b + row * p->b_row * size,
                       k,
                       1,
                       p->b_row,
                       p->b_col,
                       c_at + piece->group * m->out_group * size,
                       p->direct ? p->out_row : p->channels,
                       i > 0 };
        if (p->a_row) {
            int64_t channel = piece->group * m->in_group + piece->channel;
            g.a = m->x + (piece->first * p->a_row + channel) * size;
            g.a_row = p->a_row;
        } else if (k > 0) {
            cpu_im2col(m, piece, a_temp);
        }
        cpu_gemm_run(&g);
    }
}

#define DEPTHWISE(T)                                                                              \
    /* dx[g] += sum over j of dy[(g * many + j) * step] * w[g * many + j] */                      \
    static void add_tap_##T(const cpu_image *m, const void *dy_at, const void *w_at, void *dx_at) \
    {                                                                                             \
        const T *dy = dy_at, *w = w_at;                                                           \
        T *dx = dx_at;                                                                            \
        int64_t many = m->in_group, step = m->x_channel;                                          \
        if (many == 1 && step == 1) {                                                             \
            for (int64_t g = 0; g < m->groups; g++)                                               \
                dx[g] += dy[g] * w[g];                                                            \
            return;                                                                               \
        }                                                                                         \
        for (int64_t g = 0; g < m->groups; g++)                                                   \
            for (int64_t j = g * many; j < (g + 1) * many; j++)                                   \
                dx[g] += dy[j * step] * w[j];                                                     \
    }
DEPTHWISE(float)
DEPTHWISE(double)

static void depthwise(const plan *p, const phase *ph, const int64_t range[2], char *dx)
{
    const cpu_image *m = &ph->image;
    int64_t size = (int64_t)m->size;
    cpu_point at = cpu_conv_point(m, range[0]);
    const char *w = p->b + packed_before(p, ph) * size;
    for (int64_t row = 0; row < range[1]; row++, cpu_conv_next(m, &at), dx += m->features * size) {
        memset(dx, 0, (size_t)(m->features * size));
        for (int64_t tap = 0; tap < m->taps; tap++) {
            const char *dy = cpu_conv_tap(m, &at, tap);
            if (!dy) continue;
            if (m->dtype == WEFT_F32)
                add_tap_float(m, dy, w + tap * p->conv.features * size, dx);
            else
                add_tap_double(m, dy, w + tap * p->conv.features * size, dx);
        }
    }
}

/* Of row-major dx, the row that point `at` of a phase is. */
static uint64_t row_of(const plan *p, const phase *ph, const cpu_point *at)
{
    int64_t row = at->image;
    for (int d = 0; d < CPU_SPATIAL; d++)
        row = row * p->conv.in[d] + ph->first[d] + at->at[d] * p->conv.stride[d];
    return (uint64_t)row;
}

static void store(const plan *p, const phase *ph, const int64_t range[2], const char *c, void *temp)
{
    uint64_t n = (uint64_t)p->channels;
    cpu_point at = cpu_conv_point(&ph->image, range[0]);
    if (p->phases == 1) {
        cpu_job_range(&p->job, c, (uint64_t)range[0] * n, (uint64_t)range[1] * n, temp);
        return;
    }
    for (int64_t row = 0; row < range[1]; row++, cpu_conv_next(&ph->image, &at))
        cpu_job_range(&p->job, c + (size_t)row * n * p->conv.size, row_of(p, ph, &at) * n, n, temp);
}

static void grad_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    int64_t range[2] = { (int64_t)task % p->blocks * p->block, 0 };
    char *temp = p->temp + thread * p->temp_size, *c_at = temp + p->a_bytes;
    phase ph;
    phase_init(p, (int64_t)task / p->blocks, &ph);
    range[1] = least(ph.image.rows - range[0], p->block);
    if (range[1] <= 0) return;
    if (p->direct) c_at = (char *)p->out->data + range[0] * p->out_row * (int64_t)p->conv.size;
    if (p->depthwise) {
        depthwise(p, &ph, range, c_at);
    } else {
        cpu_piece piece = { .first = range[0], .rows = range[1] };
        for (; piece.group < p->conv.groups; piece.group++)
            multiply(p, &ph, &piece, c_at, temp);
    }
    if (!p->direct) store(p, &ph, range, c_at, c_at + p->c_bytes);
}

/* The taps of one phase: [groups][taps, last first][filters][channels] of a group; depthwise
 * [taps, last first][filters]. */
static void pack_phase(const weft_kernel_call *call, const plan *p, const phase *ph, char *to)
{
    const cpu_image *c = &p->conv;
    const weft_view *w = p->w;
    int32_t n = w->rank - 2;
    int64_t filter = w->stride[n + 1];
    cpu_box box = { .src = w->data, .size = c->size, .rank = CPU_SPATIAL + 3 };
    int first = p->depthwise ? 0 : 1; /* the first dimension of taps; groups are before or behind */
    int64_t last = 0;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        int32_t s = d - (CPU_SPATIAL - n);
        int64_t step = s < 0 ? 0 : w->stride[s], taps = taps_of(p, d, ph->tap[d]);
        if (!taps) return;
        box.dim[first + d] = taps;
        box.src_stride[first + d] = -step * p->classes[d];
        last += step * (ph->tap[d] + (taps - 1) * p->classes[d]);
    }
    int group = p->depthwise ? CPU_SPATIAL : 0;
    box.dim[group] = c->groups;
    box.src_stride[group] = c->out_group * filter;
    box.dim[CPU_SPATIAL + 1] = c->out_group;
    box.src_stride[CPU_SPATIAL + 1] = filter;
    box.dim[CPU_SPATIAL + 2] = c->in_group;
    box.src_stride[CPU_SPATIAL + 2] = w->stride[n];
    cpu_dense_strides(box.rank, box.dim, box.dst_stride);
    box.src = (const char *)w->data + last * (int64_t)c->size;
    box.dst = to + packed_before(p, ph) * (int64_t)c->size;
    cpu_box_copy(call, &box);
}

static void pack(const weft_kernel_call *call, plan *p, char *to)
{
    phase ph;
    p->b = to;
    for (ph.tap[0] = 0; ph.tap[0] < used_classes(p, 0); ph.tap[0]++)
        for (ph.tap[1] = 0; ph.tap[1] < used_classes(p, 1); ph.tap[1]++)
            for (ph.tap[2] = 0; ph.tap[2] < used_classes(p, 2); ph.tap[2]++)
                pack_phase(call, p, &ph, to);
}

static uint64_t n_tasks(const plan *p)
{
    return (uint64_t)(p->phases * p->blocks);
}

static int too_large(const plan *p)
{
    return p->channels > INT_MAX || p->conv.features > INT_MAX || p->b_row > INT_MAX ||
           p->b_col > INT_MAX || p->a_row > INT_MAX || p->out_row > INT_MAX;
}

static weft_status run(const weft_kernel_call *call)
{
    plan p;
    if (!call->out[0]->count || !call->out[0]->data) return WEFT_OK;
    make_plan(&p, call);
    if (too_large(&p)) {
        return cpu_fail(call, WEFT_E_UNSUPPORTED,
                        "%lld channels and %lld filters, or the steps between rows, are beyond "
                        "what BLAS counts (2^31 - 1)",
                        (long long)p.channels, (long long)p.conv.features);
    }
    p.temp = call->scratch;
    if (p.packed) {
        pack(call, &p, p.temp);
        p.temp += p.packed;
    }
    if (!p.direct) cpu_then_job(&p.job, call, p.conv.dtype);
    cpu_parallel(call, call->in[0]->count * (uint64_t)(p.conv.k / 4 + 1), n_tasks(&p), grad_task,
                 &p);
    return WEFT_OK;
}

static size_t scratch(const weft_kernel_call *call)
{
    plan p;
    make_plan(&p, call);
    return p.packed + cpu_conv_threads(call, n_tasks(&p)) * p.temp_size;
}

const cpu_kernel cpu_conv_input_grad = {
    "conv_input_grad",
    { sizeof(weft_cpu_kernel),
      WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_PITCHED |
          WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64,
      cpu_conv_supports, scratch, run },
    cpu_conv_prepare,
};
