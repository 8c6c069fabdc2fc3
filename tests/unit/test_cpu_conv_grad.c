/* The cpu backend's conv_input_grad and conv_filter_grad: against sums in f64 by their definition,
 * with random shapes, strides, pads, dilations, groups and layouts; and in f64 against conv by what
 * makes them its transposes, <conv(x, w), dy> = <x, conv_input_grad(dy, w)> =
 * <w, conv_filter_grad(x, dy)>. The limit is that of any order of K additions: (K + 2) eps sum
 * |a b|. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cpu_harness.h"

typedef enum { CONV, INPUT, FILTER } kind; /* makes y, x, w */
static const char *const ops[] = { "conv", "conv_input_grad", "conv_filter_grad" };

typedef struct problem {
    int n; /* spatial dimensions */
    int64_t in[3], out[3], kernel[3], stride[3], pads[6], dilation[3];
    int64_t images, groups, in_group, out_group;
    weft_dtype t;
    int then;
} problem;

static int finish_problem(problem *p)
{
    for (int d = 0; d < p->n; d++) {
        int64_t span = p->dilation[d] * (p->kernel[d] - 1) + 1;
        p->out[d] = p->in[d] + p->pads[d] + p->pads[p->n + d] - span;
        if (p->out[d] < 0) return 0;
        p->out[d] = p->out[d] / p->stride[d] + 1;
    }
    return 1;
}

static int random_problem(problem *p, uint64_t round)
{
    p->n = (int)random_int(1, 3);
    p->images = random_int(1, 3);
    p->groups = random_int(0, 2) ? 1 : random_int(2, 4);
    p->in_group = round % 4 == 0 ? 1 : random_int(1, 5);
    p->out_group = random_int(1, 5);
    p->t = round % 2 ? WEFT_F64 : WEFT_F32;
    p->then = (int)(round % 3);
    for (int d = 0; d < p->n; d++) {
        int point = round % 5 == 0;
        p->in[d] = random_int(1, p->n == 3 ? 6 : 11);
        p->kernel[d] = point ? 1 : random_int(1, 4);
        p->stride[d] = point && round % 10 ? 1 : random_int(1, 5);
        p->dilation[d] = random_int(0, 1) ? 1 : random_int(1, 4);
        p->pads[d] = point ? 0 : random_int(0, 3);
        p->pads[p->n + d] = point ? 0 : random_int(0, 3);
    }
    return finish_problem(p);
}

/* The shapes of y, x and w. */
static int32_t shape_of(const problem *p, kind of, int64_t dim[5])
{
    const int64_t *spatial = of == CONV ? p->out : of == INPUT ? p->in : p->kernel;
    int64_t features = p->groups * p->out_group, *at = dim;
    if (of != FILTER) *at++ = p->images;
    memcpy(at, spatial, (size_t)p->n * sizeof *spatial);
    at += p->n;
    if (of == FILTER) *at++ = p->in_group;
    *at++ = of == INPUT ? p->groups * p->in_group : features;
    return p->n + 2;
}

static tensor *operand(const problem *p, kind of, lie how)
{
    int64_t dim[5];
    int32_t rank = shape_of(p, of, dim);
    return tensor_make(p->t, how, rank, dim);
}

static lie any_lie(int dense)
{
    return dense ? LIE_DENSE : (lie)random_int(0, LIE_REPEATED);
}

static void make_step(test_step *s, const problem *p, kind makes, int dense)
{
    static const kind from[3][2] = { { INPUT, FILTER }, { CONV, FILTER }, { INPUT, CONV } };
    step_init(s, ops[makes]);
    step_list(s, "strides", (uint32_t)p->n, p->stride);
    step_list(s, "pads", 2 * (uint32_t)p->n, p->pads);
    step_list(s, "dilations", (uint32_t)p->n, p->dilation);
    step_int(s, "groups", p->groups);
    if (makes == INPUT) step_list(s, "size", (uint32_t)p->n, p->in);
    if (makes == FILTER) step_list(s, "size", (uint32_t)p->n, p->kernel);
    for (int i = 0; i < 2; i++)
        step_in(s, operand(p, from[makes][i], any_lie(dense)));
    if (p->then && makes == INPUT) {
        int64_t channels[1] = { p->groups * p->in_group };
        step_in(s, tensor_make(p->t, random_lie(), 1, channels));
        step_then(s, p->then == 1 ? "max(a + b, 0)" : "f64(a + b)", 1);
    }
    step_out(s, operand(p, makes, dense || makes == FILTER ? LIE_DENSE : random_pitched()));
    if (p->then == 2 && makes == INPUT) {
        int64_t dim[5];
        int32_t rank = shape_of(p, makes, dim);
        tensor_free(s->out[0]);
        s->out[0] = tensor_make(WEFT_F64, random_pitched(), rank, dim);
    }
}

/* sums[i], all[i] += the products, and their magnitudes, that make element i of what s makes: all
 * triples (y, x, w) that meet. */
static void add_products(const test_step *s, const problem *p, kind makes, double *sums,
                         double *all, uint64_t *terms)
{
    const tensor *y = makes == INPUT ? s->in[0] : makes == FILTER ? s->in[1] : s->out[0];
    const tensor *x = makes == INPUT ? s->out[0] : s->in[0];
    const tensor *w = makes == FILTER ? s->out[0] : s->in[1];
    for (uint64_t i = 0; i < y->count; i++) {
        int64_t at[5], k[5], from[5], f;
        place_of(y->rank, y->dim, i, at);
        f = at[p->n + 1];
        for (uint64_t j = (uint64_t)f; j < w->count; j += (uint64_t)(p->groups * p->out_group)) {
            int seen = 1;
            uint64_t to, other;
            double term;
            place_of(w->rank, w->dim, j, k);
            from[0] = at[0];
            from[p->n + 1] = f / p->out_group * p->in_group + k[p->n];
            for (int d = 0; d < p->n; d++) {
                from[1 + d] = at[1 + d] * p->stride[d] - p->pads[d] + k[d] * p->dilation[d];
                seen = seen && from[1 + d] >= 0 && from[1 + d] < p->in[d];
            }
            if (!seen) continue;
            other = flat_of(x->rank, x->dim, from);
            to = makes == INPUT ? other : j;
            term = y->v[i] * (makes == INPUT ? w->v[j] : x->v[other]);
            sums[to] += term;
            all[to] += fabs(term);
            terms[to]++;
        }
    }
}

static void run_and_check(const problem *p, kind makes, int dense)
{
    test_step s;
    uint64_t n;
    make_step(&s, p, makes, dense);
    step_run(&s);
    n = s.out[0]->count;
    double *sums = calloc(n + 1, sizeof *sums), *all = calloc(n + 1, sizeof *all);
    uint64_t *terms = calloc(n + 1, sizeof *terms);
    double eps = p->t == WEFT_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    assert_true(sums && all && terms);
    add_products(&s, p, makes, sums, all, terms);
    for (uint64_t i = 0; i < n; i++) {
        double bias = 0, want = sums[i];
        if (p->then && makes == INPUT) {
            bias = s.in[2]->v[i % (uint64_t)(p->groups * p->in_group)];
            want = p->then == 1 ? fmax(want + bias, 0) : want + bias;
        }
        expect_near(s.out[0]->v[i], want, eps * ((double)(terms[i] + 2) * all[i] + 2 * fabs(bias)),
                    ops[makes], i);
    }
    free(sums);
    free(all);
    free(terms);
    step_free(&s);
}

static void test_definition(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 300; round++) {
        problem p = { 0 };
        random_seed(round);
        if (!random_problem(&p, round)) continue;
        run_and_check(&p, INPUT, 0);
        run_and_check(&p, FILTER, 0);
    }
}

/* Several blocks, parts, and pieces of k. */
static void test_blocks(void **unused)
{
    static const struct {
        int64_t size, kernel, stride, groups, in_group, out_group, images;
    } shapes[] = {
        { 33, 3, 1, 1, 7, 5, 2 },   { 27, 3, 2, 1, 5, 7, 2 },   { 33, 1, 1, 1, 9, 11, 2 },
        { 19, 1, 2, 1, 9, 11, 2 },  { 5, 3, 1, 1, 60, 120, 1 }, { 4, 2, 1, 1, 140, 300, 1 },
        { 3, 1, 1, 1, 1100, 7, 2 }, { 3, 1, 1, 1, 7, 1100, 2 }, { 31, 3, 1, 12, 1, 1, 3 },
        { 23, 3, 2, 6, 1, 2, 2 },   { 24, 20, 1, 1, 3, 4, 1 },  { 26, 3, 1, 4, 3, 2, 2 },
        { 4, 2, 1, 2, 1300, 3, 1 }, { 4, 2, 1, 2, 3, 2100, 1 },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int then = 0; then < 2; then++) {
            int64_t pad = shapes[i].kernel / 2, k = shapes[i].kernel, size = shapes[i].size;
            problem p = { .n = 2,
                          .in = { size, size - 1 },
                          .kernel = { k, k },
                          .stride = { shapes[i].stride, shapes[i].stride },
                          .pads = { pad, pad, pad, pad },
                          .dilation = { 1, 1 },
                          .images = shapes[i].images,
                          .groups = shapes[i].groups,
                          .in_group = shapes[i].in_group,
                          .out_group = shapes[i].out_group,
                          .t = WEFT_F32,
                          .then = then };
            random_seed(i);
            assert_true(finish_problem(&p));
            run_and_check(&p, INPUT, !then);
            run_and_check(&p, FILTER, !then);
        }
}

static void take(tensor *to, const tensor *from)
{
    assert_int_equal(to->count, from->count);
    memcpy(to->v, from->v, from->count * sizeof *to->v);
    tensor_put(to);
}

/* The sum of products, and its limit. */
static double inner(const tensor *a, const tensor *b, double *all)
{
    double sum = 0;
    assert_int_equal(a->count, b->count);
    for (uint64_t i = 0; i < a->count; i++) {
        sum += a->v[i] * b->v[i];
        *all += fabs(a->v[i] * b->v[i]);
    }
    return sum;
}

static void test_adjoint(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 200; round++) {
        test_step y, x, w;
        problem p = { 0 };
        double want, all = 0, limit;
        random_seed(round);
        if (!random_problem(&p, round)) continue;
        p.t = WEFT_F64;
        p.then = 0;
        make_step(&y, &p, CONV, 1);
        make_step(&x, &p, INPUT, 1);
        make_step(&w, &p, FILTER, 1);
        take(x.in[1], y.in[1]);
        take(w.in[0], y.in[0]);
        take(w.in[1], x.in[0]);
        step_run(&y);
        step_run(&x);
        step_run(&w);
        want = inner(y.out[0], x.in[0], &all);
        /* numbers of [-1, 1]: K products each, and the products of the sums */
        limit = DBL_EPSILON * (double)(y.in[1]->count + y.out[0]->count + y.in[0]->count) *
                (all + (double)y.out[0]->count);
        expect_near(inner(x.out[0], y.in[0], &all), want, limit, "<dx, x>", round);
        expect_near(inner(w.out[0], y.in[1], &all), want, limit, "<dw, w>", round);
        step_free(&y);
        step_free(&x);
        step_free(&w);
    }
}

/* No images, no channels, no filters: nothing, or zeros with the epilogue on them. */
static void test_empty(void **unused)
{
    (void)unused;
    for (int round = 0; round < 8; round++) {
        problem p = { .n = 1,
                      .in = { 7 },
                      .kernel = { round / 4 ? 1 : 3 },
                      .stride = { 1 },
                      .dilation = { 1 },
                      .images = round % 4 == 0 ? 0 : 2,
                      .groups = 1,
                      .in_group = round % 4 == 1 ? 0 : 3,
                      .out_group = round % 4 == 2 ? 0 : 4,
                      .t = WEFT_F32,
                      .then = round % 2 };
        assert_true(finish_problem(&p));
        run_and_check(&p, INPUT, 1);
        run_and_check(&p, FILTER, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_adjoint),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
