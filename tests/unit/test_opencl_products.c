/* The opencl backend's matmul and conv, kernels for CPUs and for GPUs alike, against sums in f64
 * written here: odd shapes, transposes, groups, every layout, `then`, batches that change. The
 * limit is that of any order of K additions: (K + 2) eps sum |a b|. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "opencl_harness.h"

static const char *const variants[] = { "cpu", "gpu" };

static uint64_t rounds(uint64_t n)
{
    return opencl_simulated() ? n / 3 + 1 : n;
}

/* ---- matmul ---- */

typedef struct product {
    int64_t m, n, k, batch; /* batch 0: plain matrices */
    int trans_a, trans_b, shared_b, then;
} product;

static void make_product(test_step *s, const product *p)
{
    int64_t lead = p->batch ? 1 : 0, bias[1] = { p->n };
    int64_t a[3] = { p->batch, p->trans_a ? p->k : p->m, p->trans_a ? p->m : p->k };
    int64_t b[3] = { p->batch, p->trans_b ? p->n : p->k, p->trans_b ? p->k : p->n };
    int64_t c[3] = { p->batch, p->m, p->n };
    step_init(s, "matmul");
    step_int(s, "transpose_a", p->trans_a);
    step_int(s, "transpose_b", p->trans_b);
    step_in(s, tensor_make(WEFT_F32, random_lie(), (int32_t)(2 + lead), a + 1 - lead));
    if (p->shared_b) lead = 0;
    step_in(s, tensor_make(WEFT_F32, random_lie(), (int32_t)(2 + lead), b + 1 - lead));
    lead = p->batch ? 1 : 0;
    if (p->then) {
        step_in(s, tensor_make(WEFT_F32, random_lie(), 1, bias));
        step_in(s, tensor_make(WEFT_F32, random_lie(), (int32_t)(2 + lead), c + 1 - lead));
        step_then(s, p->then == 1 ? "max(a + b, 0) * c" : "a + b > c", 2);
    }
    step_out(s, tensor_make(p->then == 2 ? WEFT_BOOL : WEFT_F32, random_lie(), (int32_t)(2 + lead),
                            c + 1 - lead));
}

static double matrix_at(const tensor *t, int64_t z, int64_t r, int64_t c, int trans)
{
    int64_t at[3] = { z, trans ? c : r, trans ? r : c };
    return t->v[flat_of(t->rank, t->dim, at + 3 - t->rank)];
}

static void check_product(const test_step *s, const product *p)
{
    const tensor *out = s->out[0];
    for (uint64_t i = 0; i < out->count; i += 1 + out->count / 500) {
        int64_t n = (int64_t)i % p->n, m = (int64_t)i / p->n % p->m, z = (int64_t)i / p->n / p->m;
        double sum = 0, all = 0, limit;
        for (int64_t k = 0; k < p->k; k++) {
            double a = matrix_at(s->in[0], z, m, k, p->trans_a);
            double b = matrix_at(s->in[1], z, k, n, p->trans_b);
            sum += a * b;
            all += fabs(a * b);
        }
        limit = FLT_EPSILON * ((double)(p->k + 4) * all + 4);
        if (p->then) sum += s->in[2]->v[n];
        if (p->then == 1) sum = (sum > 0 ? sum : 0) * s->in[3]->v[i];
        if (p->then == 2) {
            if (fabs(sum - s->in[3]->v[i]) <= limit) continue;
            sum = sum > s->in[3]->v[i];
        }
        expect_near(out->v[i], sum, limit, "matmul", i);
    }
}

static void matmul_rounds(const char *variant, const char *gemm, uint64_t n)
{
    opencl_bench b;
    opencl_open(&b, variant, gemm);
    for (uint64_t round = 0; round < rounds(n); round++) {
        test_step s;
        product p = { 0 };
        int64_t most = round % 5 == 0 && !opencl_simulated() ? 150 : 40;
        random_seed(round);
        p.m = random_int(1, most);
        p.n = random_int(1, most);
        p.k = random_int(round % 11 ? 1 : 0, most);
        p.batch = random_int(0, 2) ? 0 : random_int(1, 4);
        p.shared_b = random_int(0, 1);
        p.trans_a = random_int(0, 2) == 0;
        p.trans_b = random_int(0, 2) == 0;
        p.then = round % 4 < 2 ? 0 : (int)(round % 4) - 1;
        make_product(&s, &p);
        opencl_run(&b, &s);
        check_product(&s, &p);
        step_free(&s);
    }
    opencl_close(&b);
}

static void test_matmul(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++)
        matmul_rounds(variants[v], "weft", 26);
}

static void test_matmul_clblast(void **unused)
{
    (void)unused;
    if (!opencl_backend() || opencl_simulated()) skip();
    for (int v = 0; v < 2; v++)
        matmul_rounds(variants[v], "clblast", 10);
}

/* Tiles of 128 x 128, which only large products get. */
static void test_matmul_large(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++) {
        opencl_bench b;
        product p = { .m = 300, .n = 270, .k = 70, .then = 1 };
        if (opencl_simulated()) p = (product){ .m = 130, .n = 140, .k = 19, .then = 1 };
        test_step s;
        random_seed(7);
        opencl_open(&b, variants[v], "weft");
        make_product(&s, &p);
        opencl_run(&b, &s);
        check_product(&s, &p);
        step_free(&s);
        opencl_close(&b);
    }
}

/* One compiled step, many batches: nothing is compiled again. */
static void make_batch(test_step *s, int64_t size)
{
    int64_t x[2] = { size, 33 }, w[2] = { 33, 37 }, bias[1] = { 37 }, y[2] = { size, 37 };
    step_init(s, "matmul");
    step_in(s, tensor_make(WEFT_F32, LIE_DENSE, 2, x));
    step_in(s, tensor_make(WEFT_F32, LIE_DENSE, 2, w));
    step_in(s, tensor_make(WEFT_F32, LIE_DENSE, 1, bias));
    step_then(s, "a + b * 0", 1);
    step_out(s, tensor_make(WEFT_F32, LIE_DENSE, 2, y));
    s->batch = size;
}

static void batches(const char *variant)
{
    static const int64_t sizes[] = { 1, 48, 13, 0, 5 };
    opencl_bench b;
    test_step first;
    opencl_open(&b, variant, "weft");
    make_batch(&first, 5);
    weft_exe *exe = opencl_compile(&b, &first);
    uint64_t builds = opencl_backend()->builds(b.dev);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        product p = { .m = sizes[i], .n = 37, .k = 33 };
        test_step s;
        make_batch(&s, sizes[i]);
        if (opencl_run_exe(&b, exe, &s, NULL)) fail_msg("%s", b.host.failure);
        check_product(&s, &p);
        step_free(&s);
    }
    assert_int_equal(opencl_backend()->builds(b.dev), builds);
    opencl_backend()->release_exe(b.dev, exe);
    step_free(&first);
    opencl_close(&b);
}

static void test_batches(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++)
        batches(variants[v]);
}

/* ---- conv ---- */

typedef struct convolution {
    int n; /* spatial axes */
    int64_t in[3], out[3], kernel[3], stride[3], pads[6], dilation[3];
    int64_t images, groups, in_group, out_group;
    int then;
} convolution;

static int random_conv(convolution *c, uint64_t round)
{
    c->n = (int)(round % 3) + 1;
    c->images = random_int(1, 2);
    c->groups = random_int(0, 2) ? 1 : random_int(1, 4);
    c->in_group = round % 4 == 0 ? 1 : random_int(1, 5);
    c->out_group = round % 2 ? random_int(1, 7) : random_int(15, 40);
    c->then = round % 3 == 0;
    if (round % 7 == 0) { /* a filter a channel */
        c->groups = random_int(30, 70);
        c->in_group = c->out_group = 1;
    }
    for (int d = 0; d < c->n; d++) {
        int point = round % 5 == 0;
        c->in[d] = random_int(1, c->n == 3 ? 6 : c->n == 1 ? 40 : 17);
        c->kernel[d] = point ? 1 : random_int(1, 4);
        c->stride[d] = point ? 1 : random_int(1, 2);
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

static void make_conv(test_step *s, const convolution *c)
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
    step_in(s, tensor_make(WEFT_F32, random_lie(), c->n + 2, dim));
    memcpy(dim, c->kernel, sizeof c->kernel);
    dim[c->n] = c->in_group;
    dim[c->n + 1] = features[0];
    step_in(s, tensor_make(WEFT_F32, random_int(0, 1) ? LIE_DENSE : random_lie(), c->n + 2, dim));
    if (c->then) {
        step_in(s, tensor_make(WEFT_F32, random_lie(), 1, features));
        step_then(s, "max(a + b, 0)", 1);
    }
    dim[0] = c->images;
    memcpy(dim + 1, c->out, sizeof c->out);
    dim[c->n + 1] = features[0];
    step_out(s, tensor_make(WEFT_F32, random_lie(), c->n + 2, dim));
}

static double conv_at(const test_step *s, const convolution *c, const int64_t *at, double *all)
{
    const tensor *x = s->in[0], *w = s->in[1];
    int64_t filters = c->groups * c->out_group, f = at[c->n + 1], group = f / c->out_group, from[5],
            k[5];
    double sum = 0;
    for (uint64_t i = (uint64_t)f; i < w->count; i += (uint64_t)filters) {
        int inside = 1;
        place_of(w->rank, w->dim, i, k);
        from[0] = at[0];
        from[c->n + 1] = group * c->in_group + k[c->n];
        for (int d = 0; d < c->n; d++) {
            from[1 + d] = at[1 + d] * c->stride[d] - c->pads[d] + k[d] * c->dilation[d];
            inside = inside && from[1 + d] >= 0 && from[1 + d] < c->in[d];
        }
        if (!inside) continue;
        double term = x->v[flat_of(x->rank, x->dim, from)] * w->v[i];
        sum += term;
        *all += fabs(term);
    }
    return sum;
}

static void check_conv(const test_step *s, const convolution *c)
{
    const tensor *out = s->out[0];
    double taps = (double)s->in[1]->count / (double)(c->groups * c->out_group);
    for (uint64_t i = 0; i < out->count; i += 1 + out->count / 400) {
        int64_t at[5];
        double all = 0, want, bias = 0;
        place_of(out->rank, out->dim, i, at);
        want = conv_at(s, c, at, &all);
        if (c->then) {
            bias = s->in[2]->v[at[c->n + 1]];
            want = want + bias > 0 ? want + bias : 0;
        }
        expect_near(out->v[i], want, FLT_EPSILON * ((taps + 2) * all + 2 * fabs(bias)), "conv", i);
    }
}

static void test_conv(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++) {
        opencl_bench b;
        opencl_open(&b, variants[v], "weft");
        for (uint64_t round = 0; round < rounds(34); round++) {
            test_step s;
            convolution c = { 0 };
            random_seed(round);
            if (!random_conv(&c, round)) continue;
            make_conv(&s, &c);
            opencl_run(&b, &s);
            check_conv(&s, &c);
            step_free(&s);
        }
        opencl_close(&b);
    }
}

/* The shapes that networks are made of. */
static void test_conv_usual(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int round = 0; round < 10; round++) {
        int64_t k = round / 2 % 3 == 1 ? 1 : 3, p = k / 2, size = round / 2 == 4 ? 4 : 28;
        convolution c = { .n = 2,
                          .in = { size, size },
                          .out = { size, size },
                          .kernel = { k, k },
                          .stride = { 1, 1 },
                          .pads = { p, p, p, p },
                          .dilation = { 1, 1 },
                          .images = 2,
                          .groups = 1,
                          .in_group = 32,
                          .out_group = round / 2 == 3 ? 160 : 64,
                          .then = 1 };
        opencl_bench b;
        test_step s;
        if (opencl_simulated()) {
            c.in[0] = c.in[1] = c.out[0] = c.out[1] = round / 2 == 4 ? 4 : 13;
            c.in_group = 3;
        }
        if (round / 2 == 2) {
            c.groups = 32;
            c.in_group = c.out_group = 1;
        }
        random_seed((uint64_t)round);
        opencl_open(&b, variants[round % 2], "weft");
        make_conv(&s, &c);
        opencl_run(&b, &s);
        check_conv(&s, &c);
        step_free(&s);
        opencl_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),       cmocka_unit_test(test_matmul_clblast),
        cmocka_unit_test(test_matmul_large), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_conv),         cmocka_unit_test(test_conv_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
