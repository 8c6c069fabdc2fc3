/* How conv reads its image: the rows of a matrix whose product with the filter is the convolution,
 * and the depthwise case, where that matrix would be one column wide and loops over channels are
 * better. */
#include "conv.h"
#include "move.h"
#include <string.h>

cpu_point cpu_conv_point(const cpu_image *conv, int64_t row)
{
    cpu_point p;
    for (int d = CPU_SPATIAL - 1; d >= 0; d--) {
        p.at[d] = row % conv->out[d];
        row /= conv->out[d];
    }
    p.image = row;
    return p;
}

void cpu_conv_next(const cpu_image *conv, cpu_point *p)
{
    for (int d = CPU_SPATIAL - 1; d >= 0; d--) {
        if (++p->at[d] < conv->out[d]) return;
        p->at[d] = 0;
    }
    p->image++;
}

/* Where tap k of dimension d looks from output place `at`; outside 0 .. in - 1: padding. */
static int64_t place(const cpu_image *c, int d, int64_t at, int64_t k)
{
    return at * c->stride[d] - c->low[d] + k * c->dilation[d];
}

static int inside(const cpu_image *c, int d, int64_t i)
{
    return i >= 0 && i < c->in[d];
}

const char *cpu_conv_tap(const cpu_image *c, const cpu_point *p, int64_t tap)
{
    const int64_t k[CPU_SPATIAL] = { tap / c->kernel[2] / c->kernel[1],
                                     tap / c->kernel[2] % c->kernel[1], tap % c->kernel[2] };
    int64_t at = p->image * c->x_image;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        int64_t i = place(c, d, p->at[d], k[d]);
        if (!inside(c, d, i)) return NULL;
        at += i * c->x_step[d];
    }
    return c->x + at * (int64_t)c->size;
}

/* The innermost taps one by one: kernel[2] times in_group elements, starting in row i0, i1 of x. */
static void taps_apart(const cpu_image *c, const char *x, int64_t at, char *dst)
{
    size_t bytes = (size_t)c->in_group * c->size;
    for (int64_t k = 0; k < c->kernel[2]; k++, dst += bytes) {
        int64_t i = place(c, 2, at, k);
        if (inside(c, 2, i)) {
            cpu_move move = { dst, 1, x + i * c->x_step[2] * (int64_t)c->size, c->x_channel,
                              c->in_group };
            cpu_move_run(&move, c->size);
        } else {
            memset(dst, 0, bytes);
        }
    }
}

/* The same where the taps see one contiguous piece of x. */
static void taps_together(const cpu_image *c, const char *x, int64_t at, char *dst)
{
    int64_t first = place(c, 2, at, 0), bytes = c->in_group * (int64_t)c->size;
    int64_t lo = first < 0 ? -first : 0, hi = c->in[2] - first;
    if (hi > c->kernel[2]) hi = c->kernel[2];
    if (lo >= hi) {
        memset(dst, 0, (size_t)(c->kernel[2] * bytes));
        return;
    }
    if (lo > 0) memset(dst, 0, (size_t)(lo * bytes));
    memcpy(dst + lo * bytes, x + (first + lo) * bytes, (size_t)((hi - lo) * bytes));
    if (hi < c->kernel[2]) memset(dst + hi * bytes, 0, (size_t)((c->kernel[2] - hi) * bytes));
}

void cpu_im2col(const cpu_image *c, int64_t group, int64_t first, int64_t rows, void *dst)
{
    int64_t size = (int64_t)c->size, line = c->kernel[2] * c->in_group * size;
    int together = c->x_channel == 1 && c->dilation[2] == 1 && c->x_step[2] == c->in_group;
    cpu_point p = cpu_conv_point(c, first);
    char *to = dst;
    for (int64_t row = 0; row < rows; row++, cpu_conv_next(c, &p)) {
        int64_t image = p.image * c->x_image + group * c->in_group * c->x_channel;
        for (int64_t k = 0; k < c->kernel[0] * c->kernel[1]; k++, to += line) {
            int64_t i = place(c, 0, p.at[0], k / c->kernel[1]);
            int64_t j = place(c, 1, p.at[1], k % c->kernel[1]);
            const char *x;
            if (!inside(c, 0, i) || !inside(c, 1, j)) {
                memset(to, 0, (size_t)line);
                continue;
            }
            x = c->x + (image + i * c->x_step[0] + j * c->x_step[1]) * size;
            if (together)
                taps_together(c, x, p.at[2], to);
            else
                taps_apart(c, x, p.at[2], to);
        }
    }
}

#define DEPTHWISE(T)                                                                            \
    /* y[g * many + j] += x[g * step] * w[g * many + j] */                                      \
    static void add_tap_##T(const cpu_image *c, const void *x_at, const void *w_at, void *y_at) \
    {                                                                                           \
        const T *x = x_at, *w = w_at;                                                           \
        T *y = y_at;                                                                            \
        int64_t many = c->out_group, step = c->x_channel;                                       \
        if (many == 1 && step == 1) {                                                           \
            for (int64_t g = 0; g < c->groups; g++)                                             \
                y[g] += x[g] * w[g];                                                            \
            return;                                                                             \
        }                                                                                       \
        for (int64_t g = 0; g < c->groups; g++) {                                               \
            for (int64_t j = 0; j < many; j++)                                                  \
                y[g * many + j] += x[g * step] * w[g * many + j];                               \
        }                                                                                       \
    }
DEPTHWISE(float)
DEPTHWISE(double)

static void depthwise_point(const cpu_image *c, const cpu_point *p, void *y)
{
    int64_t size = (int64_t)c->size;
    memset(y, 0, (size_t)(c->features * size));
    for (int64_t tap = 0; tap < c->taps; tap++) {
        const char *x = cpu_conv_tap(c, p, tap), *w = c->w + tap * c->w_row * size;
        if (!x) continue;
        if (c->dtype == WEFT_F32)
            add_tap_float(c, x, w, y);
        else
            add_tap_double(c, x, w, y);
    }
}

void cpu_depthwise(const cpu_image *c, int64_t first, int64_t rows, void *dst)
{
    cpu_point p = cpu_conv_point(c, first);
    for (int64_t row = 0; row < rows; row++, cpu_conv_next(c, &p))
        depthwise_point(c, &p, (char *)dst + row * c->features * (int64_t)c->size);
}

void cpu_cut_init(cpu_cut *cut, const cpu_image *c, int64_t most)
{
    int64_t inner = 1; /* k of one step along d */
    cut->pieces = cut->most = 1;
    for (int d = CPU_SPATIAL; d >= 0; d--) {
        int64_t full = d < CPU_SPATIAL ? c->kernel[d] : c->in_group;
        int64_t step = inner < most ? most / (inner > 0 ? inner : 1) : 1;
        cut->full[d] = full;
        cut->step[d] = step < full ? step : full > 0 ? full : 1;
        cut->n[d] = full > 0 ? (full + cut->step[d] - 1) / cut->step[d] : 1;
        cut->pieces *= cut->n[d];
        cut->most *= cut->step[d];
        inner *= full;
    }
}

int64_t cpu_cut_piece(const cpu_cut *cut, const cpu_image *c, int64_t group, int64_t piece,
                      cpu_image *part)
{
    int64_t at[CPU_SPATIAL + 1], size[CPU_SPATIAL + 1], first = 0;
    *part = *c;
    for (int d = CPU_SPATIAL; d >= 0; d--) {
        at[d] = piece % cut->n[d] * cut->step[d];
        piece /= cut->n[d];
        size[d] = cut->full[d] - at[d] < cut->step[d] ? cut->full[d] - at[d] : cut->step[d];
    }
    part->taps = 1;
    for (int d = 0; d < CPU_SPATIAL; d++) {
        first = first * cut->full[d] + at[d];
        part->kernel[d] = size[d];
        part->low[d] -= at[d] * c->dilation[d];
        part->taps *= size[d];
    }
    part->in_group = size[CPU_SPATIAL];
    part->k = part->taps * part->in_group;
    part->groups = 1;
    part->x += (group * c->in_group + at[CPU_SPATIAL]) * c->x_channel * (int64_t)c->size;
    return first * c->in_group + at[CPU_SPATIAL];
}
