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

/* Taps begin .. end - 1 of an innermost line of the window, and where they look. */
typedef struct taps {
    int64_t begin, end, at; /* at: the output place */
    const char *x;          /* the line's row of the image; NULL: all of it is outside */
} taps;

/* One by one, `channels` elements each. */
static void taps_apart(const cpu_image *c, const taps *t, int64_t channels, char *dst)
{
    size_t bytes = (size_t)channels * c->size;
    for (int64_t k = t->begin; k < t->end; k++, dst += bytes) {
        int64_t i = place(c, 2, t->at, k);
        if (inside(c, 2, i)) {
            cpu_move move = { dst, 1, t->x + i * c->x_step[2] * (int64_t)c->size, c->x_channel,
                              channels };
            cpu_move_run(&move, c->size);
        } else {
            memset(dst, 0, bytes);
        }
    }
}

/* The same for all channels of a group, where the taps see one contiguous piece of the row. */
static void taps_together(const cpu_image *c, const taps *t, char *dst)
{
    int64_t first = place(c, 2, t->at, t->begin), bytes = c->in_group * (int64_t)c->size;
    int64_t n = t->end - t->begin, lo = first < 0 ? -first : 0, hi = c->in[2] - first;
    if (hi > n) hi = n;
    if (lo >= hi) {
        memset(dst, 0, (size_t)(n * bytes));
        return;
    }
    if (lo > 0) memset(dst, 0, (size_t)(lo * bytes));
    memcpy(dst + lo * bytes, t->x + (first + lo) * bytes, (size_t)((hi - lo) * bytes));
    if (hi < n) memset(dst + hi * bytes, 0, (size_t)((n - hi) * bytes));
}

/* The row of the image that line `line` of the window sees; NULL: none. */
static const char *row_of(const cpu_image *c, const cpu_point *p, const cpu_piece *piece,
                          int64_t line)
{
    int64_t i = place(c, 0, p->at[0], line / c->kernel[1]);
    int64_t j = place(c, 1, p->at[1], line % c->kernel[1]);
    int64_t channel = piece->group * c->in_group + piece->channel;
    int64_t at = p->image * c->x_image + channel * c->x_channel;
    if (!inside(c, 0, i) || !inside(c, 1, j)) return NULL;
    return c->x + (at + i * c->x_step[0] + j * c->x_step[1]) * (int64_t)c->size;
}

void cpu_im2col(const cpu_image *c, const cpu_piece *piece, void *dst)
{
    int64_t width = c->kernel[2], bytes = piece->channels * (int64_t)c->size;
    int together = c->x_channel == 1 && c->dilation[2] == 1 && c->x_step[2] == piece->channels;
    cpu_point p = cpu_conv_point(c, piece->first);
    char *to = dst;
    for (int64_t row = 0; row < piece->rows; row++, cpu_conv_next(c, &p)) {
        int64_t tap = piece->tap, end = tap + piece->taps;
        while (tap < end) {
            int64_t begin = tap % width, n = width - begin < end - tap ? width - begin : end - tap;
            taps t = { begin, begin + n, p.at[2], row_of(c, &p, piece, tap / width) };
            if (!t.x)
                memset(to, 0, (size_t)(n * bytes));
            else if (together)
                taps_together(c, &t, to);
            else
                taps_apart(c, &t, piece->channels, to);
            to += n * bytes;
            tap += n;
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
