/* The gradients of pooling against their definition: max_pool's goes to the first element of the
 * window that is the maximum, with ties, NaN, infinities and padding; avg_pool's is the transpose
 * of avg_pool. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "chain.h"
#include "fixture.h"

enum { BATCH = 3, LENGTH = 4096 };

typedef struct window {
    int64_t in[2], out[2], channels, size[2], stride[2], low[2], high[2];
} window;
static const window windows[] = {
    { { 7, 5 }, { 4, 5 }, 4, { 3, 2 }, { 2, 1 }, { 1, 0 }, { 1, 1 } },
    { { 6, 7 }, { 6, 7 }, 2, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 } },
    { { 5, 4 }, { 2, 2 }, 65, { 3, 2 }, { 2, 2 }, { 0, 0 }, { 0, 0 } },
};

static weft_context *ctx;
static devices all;

static int64_t count(const int64_t spatial[2], const window *w)
{
    return BATCH * spatial[0] * spatial[1] * w->channels;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Few numbers, so that there are ties; every fifth one special if special is set. */
static void fill(float *x, int64_t n, int special, uint32_t seed)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, -INFINITY, -INFINITY };

    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(next(&seed) % 5) - 2;
        if (special && next(&seed) % 5 < (uint32_t)special) x[i] = odd[next(&seed) % 5];
    }
}

/* The first element of window (o0, o1) that is its maximum, or NaN. */
static int64_t winner(const window *w, const float *x, int64_t n, const int64_t o[2], int64_t c)
{
    int64_t best = -1;

    for (int64_t i = 0; i < w->size[0]; i++)
        for (int64_t k = 0; k < w->size[1]; k++) {
            int64_t p = o[0] * w->stride[0] - w->low[0] + i,
                    q = o[1] * w->stride[1] - w->low[1] + k;
            int64_t at = ((n * w->in[0] + p) * w->in[1] + q) * w->channels + c;

            if (p < 0 || q < 0 || p >= w->in[0] || q >= w->in[1]) continue;
            if (best < 0 || x[at] > x[best] || (isnan(x[at]) && !isnan(x[best]))) best = at;
        }
    return best;
}

static void want_max(const window *w, const float *x, const float *dy, float *dx)
{
    int64_t at = 0, o[2];

    memset(dx, 0, (size_t)count(w->in, w) * sizeof *dx);
    for (int64_t n = 0; n < BATCH; n++)
        for (o[0] = 0; o[0] < w->out[0]; o[0]++)
            for (o[1] = 0; o[1] < w->out[1]; o[1]++)
                for (int64_t c = 0; c < w->channels; c++, at++)
                    dx[winner(w, x, n, o, c)] += dy[at];
}

/* What a test runs: max_pool, and max_pool_grad of its result; or one op alone. */
typedef enum { MAX_AND_GRAD, AVG, AVG_GRAD } subject;

static weft_model *make(const window *w, subject what)
{
    char x[64], dy[64], inputs[160], attrs[128], steps[2][256];
    chain c = { inputs, { steps[0] }, 0 };

    snprintf(x, sizeof x, "f32 Bx%dx%dx%d", (int)w->in[0], (int)w->in[1], (int)w->channels);
    snprintf(dy, sizeof dy, "f32 Bx%dx%dx%d", (int)w->out[0], (int)w->out[1], (int)w->channels);
    snprintf(attrs, sizeof attrs, "size=(%d,%d) strides=(%d,%d) pads=(%d,%d,%d,%d)",
             (int)w->size[0], (int)w->size[1], (int)w->stride[0], (int)w->stride[1], (int)w->low[0],
             (int)w->low[1], (int)w->high[0], (int)w->high[1]);
    if (what == MAX_AND_GRAD) {
        snprintf(inputs, sizeof inputs, "%s, %s", x, dy);
        snprintf(steps[0], sizeof steps[0], "max_pool;%s;0", attrs);
        snprintf(steps[1], sizeof steps[1], "max_pool_grad;%s;0 2 1", attrs);
        c.steps[1] = steps[1];
    } else if (what == AVG) {
        snprintf(inputs, sizeof inputs, "%s", x);
        snprintf(steps[0], sizeof steps[0], "avg_pool;%s;0", attrs);
    } else {
        snprintf(inputs, sizeof inputs, "%s", dy);
        snprintf(steps[0], sizeof steps[0], "avg_pool_grad;%s spatial=(%d,%d);0", attrs,
                 (int)w->in[0], (int)w->in[1]);
    }
    return chain_model(ctx, &c);
}

/* x or dy NULL: the model does not take it. */
static weft_array *run(const window *w, subject what, const char *device, float *x, float *dy)
{
    weft_array a = { { WEFT_F32, 4, { BATCH, w->in[0], w->in[1], w->channels } }, x },
               b = { { WEFT_F32, 4, { BATCH, w->out[0], w->out[1], w->channels } }, dy };
    const weft_array *in[] = { x ? &a : &b, &b };
    weft_session *s = NULL;
    weft_array *y = NULL;
    weft_model *m = make(w, what);

    assert_non_null(m);
    if (weft_session_create(m, device, NULL, &s) || weft_session_run(s, in, x && dy ? 2 : 1, &y, 1))
        fail_msg("%s: %s", device, weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return y;
}

static void test_max(void **state)
{
    static float x[LENGTH], dy[LENGTH], want[LENGTH];

    (void)state;
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
        for (int special = 0; special < 5; special += 2) {
            const window *w = &windows[k];

            assert_true(count(w->in, w) <= LENGTH && count(w->out, w) <= LENGTH);
            fill(x, count(w->in, w), special, (uint32_t)k);
            fill(dy, count(w->out, w), 0, (uint32_t)k + 9);
            want_max(w, x, dy, want);
            for (size_t d = 0; *all.id[d]; d++) {
                weft_array *dx = run(w, MAX_AND_GRAD, all.id[d], x, dy);

                for (int64_t i = 0; i < count(w->in, w); i++)
                    if (((float *)dx->data)[i] != want[i])
                        fail_msg("%s, window %d, special %d, element %d: got %g, want %g",
                                 all.id[d], (int)k, special, (int)i, ((float *)dx->data)[i],
                                 want[i]);
                weft_array_destroy(&dx);
            }
        }
}

/* sum(avg_pool(x) dy) = sum(x avg_pool_grad(dy)) for every x and dy: random ones tell. */
static void test_avg(void **state)
{
    static float x[LENGTH], dy[LENGTH];

    (void)state;
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
        for (size_t d = 0; *all.id[d]; d++) {
            const window *w = &windows[k];
            double forward = 0, backward = 0, size = 0;
            weft_array *y, *dx;

            fill(x, count(w->in, w), 0, (uint32_t)k);
            fill(dy, count(w->out, w), 0, (uint32_t)k + 9);
            y = run(w, AVG, all.id[d], x, NULL);
            dx = run(w, AVG_GRAD, all.id[d], NULL, dy);
            for (int64_t i = 0; i < count(w->out, w); i++)
                forward += (double)((float *)y->data)[i] * dy[i];
            for (int64_t i = 0; i < count(w->in, w); i++) {
                backward += (double)((float *)dx->data)[i] * x[i];
                size += fabs((double)((float *)dx->data)[i] * x[i]);
            }
            /* each element is a sum of at most 9 quotients, in float */
            assert_true(size > 1 && fabs(forward - backward) <= 24 * FLT_EPSILON * size);
            weft_array_destroy(&y);
            weft_array_destroy(&dx);
        }
}

static int setup(void **state)
{
    (void)state;
    if (!(ctx = chain_context())) return -1;
    devices_list(ctx, &all);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_max), cmocka_unit_test(test_avg) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
