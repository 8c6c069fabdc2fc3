/* The cpu backend's matmul and conv against sums in f64 written here: random shapes, transposes,
 * groups, every layout that they say they take, `then`, nothing to add up, NaN. The limit is that
 * of any order of K additions: (K + 2) eps sum |a b|. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <weft/gemm.h>
#include "cpu_harness.h"

static double eps_of(weft_dtype t)
{
    return t == WEFT_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
}

/* ---- matmul ---- */

typedef struct product {
    int64_t m, n, k, batch[2];
    int n_batch, trans_a, trans_b, then;
    int32_t rank_a, rank_b; /* of leading dimensions */
    weft_dtype t;
} product;

static tensor *factor(const product *p, int32_t leading, int64_t rows, int64_t cols, lie how)
{
    int64_t dim[4];
    int32_t rank = 0;
    for (int32_t d = p->n_batch - leading; d < p->n_batch; d++)
        dim[rank++] = random_int(0, 3) ? p->batch[d] : 1;
    dim[rank++] = rows;
    dim[rank++] = cols;
    return tensor_make(p->t, how, rank, dim);
}

static void make_product(test_step *s, product *p, lie a, lie b)
{
    int64_t dim[4], row[1] = { p->n };
    int32_t rank = 0;
    step_init(s, "matmul");
    step_int(s, "transpose_a", p->trans_a);
    step_int(s, "transpose_b", p->trans_b);
    step_in(s, factor(p, p->rank_a, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k, a));
    step_in(s, factor(p, p->rank_b, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n, b));
    for (int d = 0; d < p->n_batch; d++) {
        const tensor *x = s->in[0], *y = s->in[1];
        int32_t at_a = d - p->n_batch + p->rank_a, at_b = d - p->n_batch + p->rank_b;
        int64_t da = at_a >= 0 ? x->dim[at_a] : 1, db = at_b >= 0 ? y->dim[at_b] : 1;
        dim[rank++] = da == 1 ? db : da;
    }
    dim[rank++] = p->m;
    dim[rank++] = p->n;
    if (p->then) {
        step_in(s, tensor_make(p->t, random_lie(), 1, row));
        step_then(s, p->then == 1 ? "max(a + b, 0)" : "a > b", 1);
    }
    step_out(s, tensor_make(p->then == 2 ? WEFT_BOOL : p->t, random_pitched(), rank, dim));
}

static double factor_at(const tensor *t, int32_t rank, const int64_t *lead, const int64_t at[2],
                        int trans)
{
    int64_t place[4];
    memcpy(place, lead, (size_t)(rank - 2) * sizeof *place);
    place[rank - 2] = at[trans != 0];
    place[rank - 1] = at[trans == 0];
    return broadcast_at(t, rank, place);
}

static void check_product(const test_step *s, const product *p, uint64_t every)
{
    const tensor *out = s->out[0];
    for (uint64_t i = 0; i < out->count; i += every) {
        int64_t at[4];
        double sum = 0, all = 0, limit, bias = 0;
        place_of(out->rank, out->dim, i, at);
        for (int64_t k = 0; k < p->k; k++) {
            int64_t m = at[out->rank - 2], n = at[out->rank - 1];
            double a = factor_at(s->in[0], out->rank, at, (int64_t[]){ m, k }, p->trans_a);
            double b = factor_at(s->in[1], out->rank, at, (int64_t[]){ k, n }, p->trans_b);
            sum += a * b;
            all += fabs(a * b);
        }
        if (p->then) bias = s->in[2]->v[at[out->rank - 1]];
        limit = eps_of(p->t) * ((double)(p->k + 2) * all + 2 * fabs(bias));
        if (p->then == 1) sum = sum + bias > 0 || isnan(sum) ? sum + bias : 0;
        if (p->then == 2) {
            if (fabs(sum - bias) <= limit) continue;
            sum = sum > bias;
        }
        expect_near(out->v[i], sum, limit, "matmul", i);
    }
}

static void test_matmul(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 400; round++) {
        test_step s;
        product p = { 0 };
        random_seed(round);
        p.m = random_int(1, round % 5 ? 20 : 3);
        p.n = random_int(1, round % 7 ? 20 : 2);
        p.k = random_int(round % 11 ? 1 : 0, 30);
        p.n_batch = (int)random_int(0, 2);
        p.batch[0] = random_int(1, 4);
        p.batch[1] = random_int(1, 4);
        p.rank_a = (int32_t)random_int(0, p.n_batch);
        p.rank_b = p.rank_a == p.n_batch ? (int32_t)random_int(0, p.n_batch) : p.n_batch;
        p.trans_a = (int)random_int(0, 1);
        p.trans_b = (int)random_int(0, 1);
        p.then = (int)(round % 3);
        p.t = round % 2 ? WEFT_F64 : WEFT_F32;
        make_product(&s, &p, (lie)random_int(0, LIE_REPEATED), (lie)random_int(0, LIE_REPEATED));
        if (p.n_batch == 0) s.batch = p.trans_a || p.m < 2 || s.in[1]->dim[0] % p.m == 0 ? 0 : p.m;
        step_run(&s);
        check_product(&s, &p, 1);
        step_free(&s);
    }
}

/* Several tiles and threads, with and without an epilogue, into a pitched output. */
static void test_matmul_tiles(void **unused)
{
    (void)unused;
    for (int round = 0; round < 6; round++) {
        test_step s;
        product p = { .m = 301, .n = round < 3 ? 1101 : 37, .k = 65, .t = WEFT_F32 };
        p.then = round % 3;
        p.trans_b = round % 2;
        make_product(&s, &p, LIE_DENSE, LIE_PITCHED);
        step_run(&s);
        check_product(&s, &p, 7);
        step_free(&s);
    }
}

static void test_matmul_nan(void **unused)
{
    (void)unused;
    for (int64_t m = 1; m < 4; m++) {
        test_step s;
        product p = { .m = m, .n = 5, .k = 9, .t = WEFT_F32, .then = 1 };
        make_product(&s, &p, LIE_DENSE, LIE_DENSE);
        s.in[0]->v[4] = 0;
        s.in[1]->v[4 * 5 + 2] = NAN;      /* 0 * NaN counts */
        s.in[1]->v[4 * 5 + 3] = INFINITY; /* 0 * inf, too */
        tensor_put(s.in[0]);
        tensor_put(s.in[1]);
        step_run(&s);
        assert_true(isnan(s.out[0]->v[2]) && isnan(s.out[0]->v[3]) && !isnan(s.out[0]->v[1]));
        step_free(&s);
    }
}

/* ---- conv ---- */

typedef struct convolution {
    int n; /* spatial dimensions */
    int64_t in[3], out[3], kernel[3], stride[3], pads[6], dilation[3];
    int64_t images, groups, in_group, out_group;
    weft_dtype t;
    int then;
} convolution;

static int random_conv(convolution *c, uint64_t round)
{
    c->n = (int)random_int(1, 3);
    c->images = random_int(1, 3);
    c->groups = random_int(0, 2) ? 1 : random_int(1, 4);
    c->in_group = round % 4 == 0 ? 1 : random_int(1, 5);
    c->out_group = random_int(1, 5);
    c->t = round % 2 ? WEFT_F64 : WEFT_F32;
    c->then = (int)(round % 3);
    for (int d = 0; d < c->n; d++) {
        int point = round % 5 == 0;
        c->in[d] = random_int(1, c->n == 3 ? 6 : 11);
        c->kernel[d] = point ? 1 : random_int(1, 4);
        c->stride[d] = point ? 1 : random_int(1, 3);
        c->dilation[d] = random_int(0, 2) ? 1 : random_int(1, 3);
        c->pads[d] = point ? 0 : random_int(0, 3);
        c->pads[c->n + d] = point ? 0 : random_int(0, 3);
        c->out[d] =
            c->in[d] + c->pads[d] + c->pads[c->n + d] - c->dilation[d] * (c->kernel[d] - 1) - 1;
        if (c->out[d] < 0) return 0;
        c->out[d] = c->out[d] / c->stride[d] + 1;
    }
    return 1;
}

static void make_conv(test_step *s, const convolution *c, lie x, lie w)
{
    int64_t dim[5], features[1] = { c->groups * c->out_group };
    step_init(s, "conv");
    step_list(s, "strides", (uint32_t)c->n, c->stride);
    step_list(s, "pads", 2 * (uint32_t)c->n, c->pads);
    step_list(s, "dilations", (uint32_t)c->n, c->dilation);
    step_int(s, "groups", c->groups);
    dim[0] = c->images;
    memcpy(dim + 1, c->in, sizeof c->in);
    dim[c->n + 1] = c->groups * c->in_group;
    step_in(s, tensor_make(c->t, x, c->n + 2, dim));
    memcpy(dim, c->kernel, sizeof c->kernel);
    dim[c->n] = c->in_group;
    dim[c->n + 1] = features[0];
    step_in(s, tensor_make(c->t, w, c->n + 2, dim));
    if (c->then) {
        step_in(s, tensor_make(c->t, random_lie(), 1, features));
        step_then(s, c->then == 1 ? "max(a + b, 0)" : "f64(a + b)", 1);
    }
    dim[0] = c->images;
    memcpy(dim + 1, c->out, sizeof c->out);
    dim[c->n + 1] = features[0];
    step_out(s, tensor_make(c->then == 2 ? WEFT_F64 : c->t, random_pitched(), c->n + 2, dim));
}

/* One output by its definition; all: the sum of magnitudes. */
static double conv_at(const test_step *s, const convolution *c, const int64_t *at, double *all)
{
    const tensor *x = s->in[0], *w = s->in[1];
    int64_t f = at[c->n + 1], group = f / c->out_group, from[5], k[5];
    double sum = 0;
    *all = 0;
    for (uint64_t i = 0; i < w->count; i++) {
        int seen = 1;
        double term;
        place_of(w->rank, w->dim, i, k);
        if (k[c->n + 1] != f) continue;
        from[0] = at[0];
        from[c->n + 1] = group * c->in_group + k[c->n];
        for (int d = 0; d < c->n; d++) {
            from[1 + d] = at[1 + d] * c->stride[d] - c->pads[d] + k[d] * c->dilation[d];
            seen = seen && from[1 + d] >= 0 && from[1 + d] < c->in[d];
        }
        if (!seen) continue;
        term = x->v[flat_of(x->rank, x->dim, from)] * w->v[i];
        sum += term;
        *all += fabs(term);
    }
    return sum;
}

static void check_conv(const test_step *s, const convolution *c, uint64_t every)
{
    const tensor *out = s->out[0];
    double taps = (double)s->in[1]->count / (double)(c->groups * c->out_group);
    for (uint64_t i = 0; i < out->count; i += every) {
        int64_t at[5];
        double all, want, bias = 0;
        place_of(out->rank, out->dim, i, at);
        want = conv_at(s, c, at, &all);
        if (c->then) bias = s->in[2]->v[at[c->n + 1]];
        want += bias;
        if (c->then == 1 && want < 0) want = 0;
        expect_near(out->v[i], want, eps_of(c->t) * ((taps + 2) * all + 2 * fabs(bias)), "conv", i);
    }
}

static void test_conv(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 400; round++) {
        test_step s;
        convolution c = { 0 };
        random_seed(round);
        if (!random_conv(&c, round)) continue;
        make_conv(&s, &c, (lie)random_int(0, LIE_REPEATED), (lie)random_int(0, LIE_REPEATED));
        step_run(&s);
        check_conv(&s, &c, 1 + s.out[0]->count / 200);
        step_free(&s);
    }
}

/* Several blocks and threads: the usual 3x3, a pointwise one, a depthwise one. */
static void test_conv_blocks(void **unused)
{
    (void)unused;
    for (int round = 0; round < 6; round++) {
        test_step s;
        int64_t k = round % 3 == 1 ? 1 : 3, p = k / 2;
        convolution c = { .n = 2,
                          .in = { 33, 31 },
                          .out = { 33, 31 },
                          .kernel = { k, k },
                          .stride = { 1, 1 },
                          .pads = { p, p, p, p },
                          .dilation = { 1, 1 },
                          .images = 2,
                          .groups = 1,
                          .in_group = 32,
                          .out_group = 24,
                          .t = WEFT_F32,
                          .then = round / 3 };
        if (round % 3 == 2) {
            c.groups = 32;
            c.in_group = c.out_group = 1;
        }
        make_conv(&s, &c, LIE_DENSE, LIE_DENSE);
        step_run(&s);
        check_conv(&s, &c, 31);
        step_free(&s);
    }
}

/* Windows far larger than a cache: of one line, of many short ones, of one pixel with very many
 * channels, in groups, with an epilogue. The scratch is a few blocks, not rows times windows. */
static void test_conv_large(void **unused)
{
    static const convolution large[] = {
        { .n = 1, .in = { 1000100 }, .kernel = { 1000037 } },
        { .n = 1, .in = { 500100 }, .kernel = { 250019 }, .dilation = { 2 }, .groups = 3 },
        { .n = 3, .in = { 500, 50, 7 }, .kernel = { 491, 47, 5 }, .in_group = 5, .then = 1 },
        { .n = 2, .in = { 80, 1 }, .kernel = { 1, 1 }, .stride = { 2, 1 }, .in_group = 300007 },
        { .n = 1, .in = { 40 }, .kernel = { 5 }, .out_group = 100003, .then = 2 },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        test_step s;
        convolution c = large[i];
        random_seed(i);
        c.images = 1;
        c.t = i % 2 ? WEFT_F64 : WEFT_F32;
        if (!c.groups) c.groups = 1;
        if (!c.in_group) c.in_group = 1;
        if (!c.out_group) c.out_group = c.groups > 1 ? 1 : 2;
        if (c.groups > 1) c.in_group = 2; /* not depthwise */
        for (int d = 0; d < c.n; d++) {
            c.stride[d] += !c.stride[d];
            c.dilation[d] += !c.dilation[d];
            c.out[d] = (c.in[d] - (c.kernel[d] - 1) * c.dilation[d] - 1) / c.stride[d] + 1;
        }
        make_conv(&s, &c, LIE_DENSE, LIE_DENSE);
        step_run(&s);
        check_conv(&s, &c, 1 + s.out[0]->count / 3);
        if (s.most > 3 * (20u << 20)) /* threads; the step is told to have three */
            fail_msg("window %d: %zu bytes of scratch", (int)i, s.most);
        step_free(&s);
    }
}

/* No images, no input channels: nothing, and zeros with the epilogue on them. */
static void test_empty(void **unused)
{
    (void)unused;
    for (int round = 0; round < 4; round++) {
        test_step s;
        convolution c = { .n = 1,
                          .in = { 7 },
                          .out = { 5 },
                          .kernel = { 3 },
                          .stride = { 1 },
                          .dilation = { 1 },
                          .images = round % 2 ? 0 : 2,
                          .groups = 1,
                          .in_group = round / 2 ? 0 : 3,
                          .out_group = 4,
                          .t = WEFT_F32,
                          .then = 1 };
        product p = {
            .m = round % 2 ? 0 : 2, .n = 3, .k = round / 2 ? 0 : 4, .t = WEFT_F32, .then = 1
        };
        make_conv(&s, &c, LIE_DENSE, LIE_DENSE);
        step_run(&s);
        check_conv(&s, &c, 1);
        step_free(&s);
        make_product(&s, &p, LIE_DENSE, LIE_DENSE);
        step_run(&s);
        check_product(&s, &p, 1);
        step_free(&s);
    }
}

/* ---- the service for kernels of plugins ---- */

static const weft_gemm_api *gemm_service(void)
{
    for (const weft_ext *e = cpu_backend()->services; e->id; e++)
        if (!strcmp(e->id, WEFT_GEMM_ID)) return e->data;
    return NULL;
}

/* c = a b and then c += a b. `bad`: with strides that BLAS cannot take. */
static weft_status run_twice(const weft_kernel_call *call)
{
    const weft_view *a = call->in[0], *b = call->in[1], *c = call->out[0];
    int64_t turned = call->attr_i(call, "turned");
    weft_product p = { .struct_size = sizeof p, .dtype = a->dtype };
    weft_status st;
    p.m = c->dim[0];
    p.n = c->dim[1];
    p.k = a->dim[1];
    p.a = a->data;
    p.a_row = a->stride[0];
    p.a_col = call->attr_i(call, "bad") ? 2 : a->stride[1];
    p.b = b->data;
    p.b_row = b->stride[turned ? 1 : 0];
    p.b_col = b->stride[turned ? 0 : 1];
    p.c = c->data;
    p.c_row = c->stride[0];
    if ((st = gemm_service()->run(call, &p))) return st;
    p.accumulate = 1;
    return gemm_service()->run(call, &p);
}

static void make_twice(test_step *s, const int64_t mnk[3], weft_dtype t, int turned, int bad)
{
    static const weft_cpu_kernel kernel = { sizeof kernel,
                                            WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED |
                                                WEFT_KERNEL_F64,
                                            NULL, NULL, run_twice };
    static const weft_ext kernels[] = { { WEFT_KERNEL_CPU, &kernel }, { NULL, NULL } };
    int64_t a[2] = { mnk[0], mnk[2] }, c[2] = { mnk[0], mnk[1] };
    int64_t b[2] = { mnk[turned ? 1 : 2], mnk[turned ? 2 : 1] };
    step_init(s, "org.example.twice");
    s->op.kernels = kernels;
    step_int(s, "turned", turned);
    step_int(s, "bad", bad);
    step_in(s, tensor_make(t, random_pitched(), 2, a));
    step_in(s, tensor_make(t, random_pitched(), 2, b));
    step_out(s, tensor_make(t, random_pitched(), 2, c));
}

static void test_service(void **unused)
{
    static const int64_t sizes[][3] = { { 1, 5, 7 },  { 1, 1, 1 },  { 3, 9, 1 },
                                        { 8, 5, 33 }, { 17, 1, 4 }, { 30, 41, 64 } };
    (void)unused;
    for (uint64_t round = 0; round < 24; round++) {
        const int64_t *mnk = sizes[round % 6];
        weft_dtype t = round % 5 ? WEFT_F32 : WEFT_F64;
        int turned = round >= 12;
        test_step s;
        make_twice(&s, mnk, t, turned, 0);
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            int64_t row = (int64_t)i / mnk[1], col = (int64_t)i % mnk[1];
            double sum = 0, all = 0;
            for (int64_t k = 0; k < mnk[2]; k++) {
                double b = s.in[1]->v[turned ? col * mnk[2] + k : k * mnk[1] + col];
                sum += 2 * s.in[0]->v[row * mnk[2] + k] * b;
                all += 2 * fabs(s.in[0]->v[row * mnk[2] + k] * b);
            }
            expect_near(s.out[0]->v[i], sum, (2 * (double)mnk[2] + 2) * eps_of(t) * all,
                        "c = 2 a b", i);
        }
        step_free(&s);
    }
}

static void test_service_refuses(void **unused)
{
    char text[512];
    test_step s;
    (void)unused;
    make_twice(&s, (const int64_t[]){ 3, 4, 5 }, WEFT_F32, 0, 1);
    assert_int_equal(step_run_status(&s, text, sizeof text), WEFT_E_ARG);
    assert_non_null(strstr(text, "3 x 5 by 4"));
    step_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),          cmocka_unit_test(test_matmul_tiles),
        cmocka_unit_test(test_matmul_nan),      cmocka_unit_test(test_conv),
        cmocka_unit_test(test_conv_blocks),     cmocka_unit_test(test_conv_large),
        cmocka_unit_test(test_empty),           cmocka_unit_test(test_service),
        cmocka_unit_test(test_service_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
