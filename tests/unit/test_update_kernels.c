/* The kernels of adam_update and sgd_update, of the cpu and of OpenCL (for CPUs and for GPUs),
 * against Keras 3's formulas in f64: results beside the inputs, and each on any input. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "opencl_harness.h"

enum { MOST = 4096 + 33 };
static const int64_t sizes[] = { 1, 33, MOST };

/* Runs the step on cpu (b NULL) or OpenCL. */
static void run(opencl_bench *b, test_step *s)
{
    if (b)
        opencl_run(b, s);
    else
        step_run(s);
}

static void scalar(test_step *s, double value)
{
    tensor *t = tensor_make(WEFT_F32, LIE_DENSE, 0, NULL);

    t->v[0] = value;
    tensor_put(t);
    tensor_get(t); /* rounded */
    step_in(s, t);
}

static void flat(test_step *s, int64_t n, int positive)
{
    tensor *t = tensor_make(WEFT_F32, LIE_DENSE, 1, &n);

    for (int64_t i = 0; positive && i < n; i++)
        t->v[i] = fabs(t->v[i]);
    tensor_put(t);
    step_in(s, t);
}

static void compare(const tensor *got, const double *want, double limit, const char *what)
{
    for (uint64_t i = 0; i < got->count; i++)
        expect_near(got->v[i], want[i], limit, what, i);
}

/* Values are at most 1: m is off by three roundings, v by as many of itself. In w the change is off
 * by those of m, and by some of itself: of root, sum, product and quotient. */
static void adam(opencl_bench *b, int64_t n, const uint32_t lies_on[3])
{
    static double want[3][MOST], limit[MOST];
    test_step s;

    random_seed((uint64_t)n + lies_on[0]);
    step_init(&s, "adam_update");
    step_real(&s, "beta_1", 0.9);
    step_real(&s, "beta_2", 0.999);
    step_real(&s, "epsilon", 1e-3);
    for (int k = 0; k < 4; k++)
        flat(&s, n, k == 3);
    scalar(&s, 0.01);
    for (int k = 0; k < 3; k++) {
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, &n));
        s.lies_on[k] = lies_on[k];
    }
    for (int64_t i = 0; i < n; i++) {
        double g = s.in[1]->v[i], m = s.in[2]->v[i], v = s.in[3]->v[i];

        want[1][i] = m + (g - m) * (1 - 0.9);
        want[2][i] = v + (g * g - v) * (1 - 0.999);
        double rate = s.in[4]->v[0] / (sqrt(want[2][i]) + 1e-3);
        want[0][i] = s.in[0]->v[i] - rate * want[1][i];
        limit[i] = 16 * FLT_EPSILON * (1 + rate * (fabs(want[1][i]) + 1));
    }
    run(b, &s);
    compare(s.out[1], want[1], 4 * FLT_EPSILON, "adam, m");
    compare(s.out[2], want[2], 4 * FLT_EPSILON, "adam, v");
    for (int64_t i = 0; i < n; i++)
        expect_near(s.out[0]->v[i], want[0][i], limit[i], "adam, w", (uint64_t)i);
    step_free(&s);
}

static void sgd(opencl_bench *b, int64_t n, const uint32_t lies_on[2], int nesterov)
{
    static double want[2][MOST];
    test_step s;

    random_seed((uint64_t)n + lies_on[0]);
    step_init(&s, "sgd_update");
    step_real(&s, "momentum", 0.75);
    step_int(&s, "nesterov", nesterov);
    flat(&s, n, 0);
    flat(&s, n, 0);
    scalar(&s, 0.25);
    flat(&s, n, 0);
    for (int k = 0; k < 2; k++) {
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, &n));
        s.lies_on[k] = lies_on[k];
    }
    for (int64_t i = 0; i < n; i++) {
        double w = s.in[0]->v[i], g = s.in[1]->v[i], v = 0.75 * s.in[3]->v[i] - 0.25 * g;

        want[1][i] = v;
        want[0][i] = nesterov ? w + 0.75 * v - 0.25 * g : w + v;
    }
    run(b, &s);
    compare(s.out[0], want[0], 4 * FLT_EPSILON, "sgd, w");
    compare(s.out[1], want[1], 4 * FLT_EPSILON, "sgd, v");
    step_free(&s);
}

static void all(opencl_bench *b)
{
    static const uint32_t adam_on[][3] = { { 0, 0, 0 }, { 1, 3, 4 }, { 2, 4, 1 }, { 4, 0, 3 } };
    static const uint32_t sgd_on[][2] = { { 0, 0 }, { 1, 4 }, { 4, 1 }, { 2, 0 } };

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int on = 0; on < 4; on++) {
            adam(b, sizes[k], adam_on[on]);
            sgd(b, sizes[k], sgd_on[on], on % 2);
        }
}

static void test_cpu(void **state)
{
    (void)state;
    all(NULL);
}

static void test_opencl(void **state)
{
    static const char *const variants[] = { "cpu", "gpu" };

    (void)state;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++) {
        opencl_bench b;

        opencl_open(&b, variants[v], "weft");
        all(&b);
        opencl_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cpu), cmocka_unit_test(test_opencl) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
