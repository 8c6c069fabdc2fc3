/* The opencl backend's map, reduce, softmax, movement and gather, kernels for CPUs and for GPUs
 * alike, against formulas in f64 written here: odd shapes, every layout, NaN, empty tensors.
 * matmul and conv are in test_opencl_products.c, kernels of plugins in test_opencl_kernels.c. */
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
    return opencl_simulated() ? n / 8 + 1 : n;
}

static void each_variant(void (*test)(opencl_bench *b))
{
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++) {
        opencl_bench b;
        opencl_open(&b, variants[v], "weft");
        test(&b);
        opencl_close(&b);
    }
}

static void random_shape(int32_t rank, int64_t most, int64_t *dim)
{
    for (int32_t d = 0; d < rank; d++)
        dim[d] = random_int(0, 9) == 0 ? 1 : random_int(1, most);
}

/* ---- map ---- */

static void map_broadcast(opencl_bench *b)
{
    for (uint64_t round = 0; round < rounds(24); round++) {
        test_step s;
        int64_t dim[4], other[4], at[4];
        random_seed(round);
        int32_t rank = (int32_t)random_int(0, 4), own = (int32_t)random_int(0, rank);
        random_shape(rank, round % 4 ? 13 : 40, dim);
        for (int32_t d = 0; d < own; d++)
            other[d] = random_int(0, 2) ? dim[rank - own + d] : 1;
        step_init(&s, "map");
        step_text(&s, "expr", "tanh(a) * b + max(a, 0.25)");
        step_in(&s, tensor_make(WEFT_F32, (lie)random_int(0, LIE_REPEATED), rank, dim));
        step_in(&s, tensor_make(WEFT_F32, random_lie(), own, other));
        step_out(&s, tensor_make(WEFT_F32, random_lie(), rank, dim));
        if (rank && own < rank) s.batch = dim[0];
        s.in[0]->v[s.in[0]->count / 2] = NAN;
        tensor_put(s.in[0]);
        tensor_get(s.in[0]); /* a repeated one has it in several places */
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            place_of(rank, dim, i, at);
            double x = s.in[0]->v[i], y = broadcast_at(s.in[1], rank, at);
            expect_near(s.out[0]->v[i], tanh(x) * y + (x > 0.25 || isnan(x) ? x : 0.25),
                        8 * FLT_EPSILON, "map", i);
        }
        step_free(&s);
    }
}

/* Integers, comparisons and casts: exact. */
static void map_types(opencl_bench *b)
{
    static const weft_dtype types[] = { WEFT_I32, WEFT_I64, WEFT_U8, WEFT_BOOL, WEFT_F32 };
    for (int k = 0; k < 5; k++) {
        int64_t dim[2] = { 7, 37 };
        test_step s;
        step_init(&s, "map");
        step_text(&s, "expr", "select(a > b, a, i32(b) * 3)");
        step_in(&s, tensor_make(types[k], random_lie(), 2, dim));
        step_in(&s, tensor_make(types[k], random_lie(), 1, dim + 1));
        step_out(&s, tensor_make(WEFT_I64, random_lie(), 2, dim));
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            double x = s.in[0]->v[i], y = s.in[1]->v[i % 37];
            double want = x > y ? trunc(x) : trunc(y) * 3;
            if (types[k] != WEFT_F32)
                expect_near(s.out[0]->v[i], want, 0, "types", i);
            else
                expect_near(s.out[0]->v[i], want, 1, "types", i); /* x may be cast late */
        }
        step_free(&s);
    }
}

static void map_in_place(opencl_bench *b)
{
    int64_t dim[2] = { 100, 41 };
    double want[4100];
    test_step s;
    step_init(&s, "map");
    step_text(&s, "expr", "a * a - a");
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    s.lies_on[0] = 1;
    for (int i = 0; i < 4100; i++)
        want[i] = s.in[0]->v[i] * s.in[0]->v[i] - s.in[0]->v[i];
    opencl_run(b, &s);
    for (uint64_t i = 0; i < 4100; i++)
        expect_near(s.out[0]->v[i], want[i], 4 * FLT_EPSILON, "in place", i);
    step_free(&s);
}

/* ---- reduce ---- */

static const char *const reduce_fns[] = { "sum", "prod", "max",    "min",   "mean",
                                          "any", "all",  "argmax", "argmin" };

static double reduced(const char *fn, const double *v, uint64_t n)
{
    int arg = !strncmp(fn, "arg", 3), low = !strcmp(fn, "min") || !strcmp(fn, "argmin");
    double r = !strcmp(fn, "prod") || !strcmp(fn, "all") ? 1 : 0;
    uint64_t best = 0;
    if (arg || low || !strcmp(fn, "max")) {
        for (uint64_t i = 1; i < n && !isnan(v[best]); i++)
            if (isnan(v[i]) || (low ? v[i] < v[best] : v[i] > v[best])) best = i;
        return arg ? (double)best : n ? v[best] : low ? INFINITY : -INFINITY;
    }
    for (uint64_t i = 0; i < n; i++) {
        if (!strcmp(fn, "prod")) r *= v[i];
        if (!strcmp(fn, "sum") || !strcmp(fn, "mean")) r += v[i];
        if (!strcmp(fn, "any")) r = r != 0 || v[i] != 0;
        if (!strcmp(fn, "all")) r = r != 0 && v[i] != 0;
    }
    return !strcmp(fn, "mean") ? r / (double)n : r;
}

typedef struct reduction {
    const char *fn;
    int32_t rank, out_rank;
    int64_t dim[4], out_dim[4];
    int reduce[4], keep;
} reduction;

static weft_dtype result_type(const char *fn, weft_dtype x)
{
    if (!strncmp(fn, "arg", 3)) return WEFT_I64;
    if (!strcmp(fn, "any") || !strcmp(fn, "all")) return WEFT_BOOL;
    if (!strcmp(fn, "mean")) return WEFT_F32;
    return (x == WEFT_BOOL || x == WEFT_U8) && (!strcmp(fn, "sum") || !strcmp(fn, "prod"))
               ? WEFT_I32
               : x;
}

static void make_reduce(test_step *s, reduction *r, weft_dtype x)
{
    int64_t axes[4];
    uint32_t n = 0;
    for (int32_t d = 0; d < r->rank; d++) {
        if (r->reduce[d]) axes[n++] = random_int(0, 1) ? d : d - r->rank;
        if (!r->reduce[d] || r->keep) r->out_dim[r->out_rank++] = r->reduce[d] ? 1 : r->dim[d];
    }
    step_init(s, "reduce");
    step_text(s, "fn", r->fn);
    step_int(s, "keepdims", r->keep);
    if ((int32_t)n < r->rank) step_list(s, "axes", n, axes);
    step_in(s, tensor_make(x, random_lie(), r->rank, r->dim));
    step_out(s, tensor_make(result_type(r->fn, x), random_lie(), r->out_rank, r->out_dim));
}

static void check_reduce(const test_step *s, const reduction *r, double *v)
{
    const tensor *x = s->in[0];
    for (uint64_t o = 0; o < s->out[0]->count; o += 1 + s->out[0]->count / 40) {
        uint64_t n = 0;
        double all = 0;
        for (uint64_t i = 0; i < x->count; i++) {
            int64_t at[4], dim[4];
            place_of(x->rank, x->dim, i, at);
            for (int32_t d = 0; d < r->rank; d++) {
                dim[d] = r->reduce[d] ? 1 : r->dim[d];
                if (r->reduce[d]) at[d] = 0;
            }
            if (flat_of(r->rank, dim, at) != o) continue;
            v[n++] = x->v[i];
            all += fabs(x->v[i]);
        }
        double want = reduced(r->fn, v, n), limit = 0;
        if (!strcmp(r->fn, "sum") || !strcmp(r->fn, "mean"))
            limit = FLT_EPSILON * (double)(n + 2) * all;
        if (!strcmp(r->fn, "mean")) limit /= (double)n;
        if (!strcmp(r->fn, "prod")) {
            if (x->dtype != WEFT_F32 && fabs(want) > 1e6) continue; /* it wraps */
            limit = FLT_EPSILON * (double)(n + 2) * fabs(want) + FLT_MIN;
        }
        expect_near(s->out[0]->v[o], want, limit, r->fn, o);
    }
}

static void reduce(opencl_bench *b)
{
    static const weft_dtype types[] = {
        WEFT_F32, WEFT_I32, WEFT_F32, WEFT_I64, WEFT_U8, WEFT_BOOL
    };
    for (uint64_t round = 0; round < rounds(9 * 6); round++) {
        test_step s;
        reduction r = { .fn = reduce_fns[round % 9] };
        random_seed(round);
        weft_dtype x = types[(round + round / 9) % 6];
        r.rank = (int32_t)random_int(1, 4);
        r.keep = (int)random_int(0, 1);
        for (int32_t d = 0; d < r.rank; d++) {
            r.dim[d] = random_int(1, r.rank < 3 ? 150 : 9);
            r.reduce[d] = strncmp(r.fn, "arg", 3) ? (int)random_int(0, 1) : 0;
        }
        r.reduce[random_int(0, r.rank - 1)] = 1;
        make_reduce(&s, &r, x);
        if (x == WEFT_F32 && round % 4 == 0) {
            s.in[0]->v[random_int(0, (int64_t)s.in[0]->count - 1)] = NAN;
            tensor_put(s.in[0]);
        }
        double *v = calloc(s.in[0]->count + 1, sizeof *v);
        opencl_run(b, &s);
        check_reduce(&s, &r, v);
        free(v);
        step_free(&s);
    }
}

/* Few results over much: cut into parts, along rows and along columns. */
static void reduce_parts(opencl_bench *b)
{
    int64_t n = opencl_simulated() ? 3000 : 70001;
    for (int64_t axis = 0; axis < 2; axis++) {
        int64_t dim[2] = { axis ? 3 : n, axis ? n : 3 }, out[1] = { 3 };
        test_step s;
        step_init(&s, "reduce");
        step_text(&s, "fn", "sum");
        step_int(&s, "keepdims", 0);
        step_list(&s, "axes", 1, &axis);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, out));
        step_then(&s, "a * 2 + b", 1);
        step_out(&s, tensor_make(WEFT_F32, LIE_STRIDED, 1, out));
        opencl_run(b, &s);
        for (int64_t o = 0; o < 3; o++) {
            double want = 0, all = 0;
            for (int64_t i = 0; i < n; i++) {
                double x = s.in[0]->v[axis ? o * n + i : i * 3 + o];
                want += x;
                all += fabs(x);
            }
            /* added up in lines of at most 512 and parts of at most a few hundred lines */
            expect_near(s.out[0]->v[o], 2 * want + s.in[1]->v[o], 2 * 1024 * FLT_EPSILON * all,
                        "parts", (uint64_t)o);
        }
        step_free(&s);
    }
}

static void reduce_nothing(opencl_bench *b)
{
    static const double want[] = { 0, 1, -INFINITY, INFINITY, NAN, 0, 1 };
    for (int k = 0; k < 7; k++) {
        int64_t dim[3] = { 3, 0, 2 }, out[2] = { 3, 2 }, axis = 1;
        test_step s;
        step_init(&s, "reduce");
        step_text(&s, "fn", reduce_fns[k]);
        step_int(&s, "keepdims", 0);
        step_list(&s, "axes", 1, &axis);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 3, dim));
        step_out(&s, tensor_make(k > 4 ? WEFT_BOOL : WEFT_F32, LIE_DENSE, 2, out));
        opencl_run(b, &s);
        for (uint64_t i = 0; i < 6; i++)
            expect_near(s.out[0]->v[i], want[k], 0, reduce_fns[k], i);
        step_free(&s);
    }
}

/* ---- softmax ---- */

static void softmax(opencl_bench *b)
{
    for (uint64_t round = 0; round < rounds(20); round++) {
        test_step s;
        int64_t dim[3];
        random_seed(round);
        int32_t rank = (int32_t)random_int(1, 3), axis = (int32_t)random_int(0, rank - 1);
        random_shape(rank, round % 3 ? 11 : 70, dim);
        int logarithm = round % 2 != 0;
        step_init(&s, logarithm ? "log_softmax" : "softmax");
        step_int(&s, "axis", random_int(0, 1) ? axis : axis - rank);
        step_in(&s, tensor_make(WEFT_F32, random_lie(), rank, dim));
        step_out(&s, tensor_make(WEFT_F32, random_lie(), rank, dim));
        for (uint64_t i = 0; i < s.in[0]->count; i++)
            s.in[0]->v[i] = (double)(float)(s.in[0]->v[i] * 90);
        s.in[0]->v[0] = round % 4 == 0 ? NAN : 300;
        tensor_put(s.in[0]);
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.in[0]->count; i++) {
            int64_t at[3], here[3];
            double most = -INFINITY, sum = 0, x = s.in[0]->v[i];
            int nan = 0;
            place_of(rank, dim, i, here);
            for (int pass = 0; pass < 2; pass++)
                for (int64_t m = 0; m < dim[axis]; m++) {
                    memcpy(at, here, sizeof at);
                    at[axis] = m;
                    double v = s.in[0]->v[flat_of(rank, dim, at)];
                    nan |= isnan(v);
                    if (pass)
                        sum += exp(v - most);
                    else if (v > most)
                        most = v;
                }
            double want = logarithm ? x - most - log(sum) : exp(x - most) / sum;
            double limit =
                (logarithm ? 8 + fabs(want) : 1) * (double)(dim[axis] + 40) * FLT_EPSILON;
            expect_near(s.out[0]->v[i], nan ? NAN : want, limit, "softmax", i);
        }
        step_free(&s);
    }
}

/* ---- movement ---- */

static const weft_dtype kinds[] = { WEFT_F32, WEFT_I64, WEFT_U8 };

/* Another order of the axes, as plans read a transposed value: a view. */
static void turn(tensor *t)
{
    for (int32_t d = t->rank - 1; d > 0; d--) {
        int32_t k = (int32_t)random_int(0, d);
        int64_t dim = t->dim[d], stride = t->stride[d];
        t->dim[d] = t->dim[k];
        t->stride[d] = t->stride[k];
        t->dim[k] = dim;
        t->stride[k] = stride;
    }
    t->how = LIE_STRIDED;
    tensor_get(t);
}

/* What plans make of the movement ops: views, and this where a view is not taken. From dense
 * memory in another order of axes (tiles), from anywhere and to anywhere, several at once. */
static void copy(opencl_bench *b)
{
    for (uint64_t round = 0; round < rounds(40); round++) {
        test_step s;
        int64_t dim[5];
        random_seed(round);
        step_init(&s, "copy");
        for (uint64_t k = 0; k <= round % 3; k++) {
            weft_dtype dtype = kinds[(round + k) % 3];
            int32_t rank = (int32_t)random_int(1, 5);
            random_shape(rank, rank < 3 ? 60 : 6, dim);
            lie how = round % 2 ? LIE_DENSE : (lie)random_int(LIE_DENSE, LIE_REPEATED);
            tensor *x = tensor_make(dtype, how, rank, dim);
            if (round % 2) turn(x);
            step_in(&s, x);
            step_out(&s, tensor_make(dtype, round % 4 ? random_lie() : LIE_DENSE, rank, x->dim));
        }
        opencl_run(b, &s);
        for (uint64_t k = 0; k <= round % 3; k++)
            for (uint64_t i = 0; i < s.out[k]->count; i++)
                expect_near(s.out[k]->v[i], s.in[k]->v[i], 0, "copy", i);
        step_free(&s);
    }
}

static void reverse(opencl_bench *b)
{
    for (uint64_t round = 0; round < rounds(10); round++) {
        test_step s;
        int64_t dim[3], axes[3], at[3];
        uint32_t n = 0;
        random_seed(round);
        int32_t rank = (int32_t)random_int(1, 3);
        random_shape(rank, 20, dim);
        for (int32_t d = 0; d < rank; d++)
            if (random_int(0, 1)) axes[n++] = d;
        step_init(&s, "reverse");
        step_list(&s, "axes", n, axes);
        step_in(&s, tensor_make(kinds[round % 3], random_lie(), rank, dim));
        step_out(&s, tensor_make(kinds[round % 3], random_lie(), rank, dim));
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            place_of(rank, dim, i, at);
            for (uint32_t k = 0; k < n; k++)
                at[axes[k]] = dim[axes[k]] - 1 - at[axes[k]];
            expect_near(s.out[0]->v[i], s.in[0]->v[flat_of(rank, dim, at)], 0, "reverse", i);
        }
        step_free(&s);
    }
}

static void pad(opencl_bench *b)
{
    for (uint64_t round = 0; round < rounds(8); round++) {
        test_step s;
        int64_t dim[3], part[3], at[3], low[3], high[3];
        random_seed(round);
        random_shape(3, 9, part);
        for (int d = 0; d < 3; d++) {
            low[d] = random_int(0, 2);
            high[d] = random_int(0, 2);
            dim[d] = part[d] + low[d] + high[d];
        }
        step_init(&s, "pad");
        step_list(&s, "low", 3, low);
        step_list(&s, "high", 3, high);
        step_real(&s, "value", 2);
        step_in(&s, tensor_make(kinds[round % 3], random_lie(), 3, part));
        step_out(&s, tensor_make(kinds[round % 3], random_lie(), 3, dim));
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            int inside = 1;
            place_of(3, dim, i, at);
            for (int d = 0; d < 3; d++) {
                at[d] -= low[d];
                inside = inside && at[d] >= 0 && at[d] < part[d];
            }
            expect_near(s.out[0]->v[i], inside ? s.in[0]->v[flat_of(3, part, at)] : 2, 0, "pad", i);
        }
        step_free(&s);
    }
}

static void count(opencl_bench *b)
{
    int64_t x[3] = { 6, 4, 5 };
    test_step s;
    step_init(&s, "count");
    step_list(&s, "axes", 2, (int64_t[]){ 0, -1 });
    step_in(&s, tensor_make(WEFT_I32, LIE_STRIDED, 3, x));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 0, x));
    opencl_run(b, &s);
    assert_true(s.out[0]->v[0] == 30);
    step_free(&s);
}

/* ---- gather ---- */

static void make_gather(test_step *s, weft_dtype x, weft_dtype index)
{
    int64_t dim[3] = { 3, 7, 5 }, at[2] = { 4, 2 }, out[4] = { 3, 4, 2, 5 };
    step_init(s, "gather");
    step_int(s, "axis", 1);
    step_in(s, tensor_make(x, random_lie(), 3, dim));
    step_in(s, tensor_make(index, random_lie(), 2, at));
    for (uint64_t i = 0; i < 8; i++)
        s->in[1]->v[i] = (double)random_int(0, 6);
    tensor_put(s->in[1]);
    step_out(s, tensor_make(x, random_lie(), 4, out));
}

static void gather(opencl_bench *b)
{
    for (uint64_t round = 0; round < 6; round++) {
        test_step s;
        random_seed(round);
        make_gather(&s, kinds[round % 3], round % 2 ? WEFT_I32 : WEFT_I64);
        opencl_run(b, &s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            int64_t row = (int64_t)s.in[1]->v[i / 5 % 8], o = (int64_t)i / 40;
            expect_near(s.out[0]->v[i], s.in[0]->v[(o * 7 + row) * 5 + (int64_t)i % 5], 0, "gather",
                        i);
        }
        step_free(&s);
    }
}

/* A bad index is an error that names it; the next run is not affected. */
static void gather_outside(opencl_bench *b)
{
    static const double bad[] = { 7, -1, 5e9 };
    for (int k = 0; k < 3; k++) {
        test_step s;
        char value[32];
        make_gather(&s, WEFT_F32, WEFT_I64);
        double keep = s.in[1]->v[3];
        s.in[1]->v[3] = bad[k];
        tensor_put(s.in[1]);
        weft_exe *exe = opencl_compile(b, &s);
        assert_int_equal(opencl_run_exe(b, exe, &s, NULL), WEFT_E_ARG);
        snprintf(value, sizeof value, "index %.0f ", bad[k]);
        assert_non_null(strstr(b->host.failure, value));
        assert_non_null(strstr(b->host.failure, "net/part"));
        assert_non_null(strstr(b->host.failure, "0 .. 6"));
        s.in[1]->v[3] = keep;
        tensor_put(s.in[1]);
        assert_int_equal(opencl_run_exe(b, exe, &s, NULL), WEFT_OK);
        opencl_backend()->release_exe(b->dev, exe);
        step_free(&s);
    }
}

#define EACH(fn)                         \
    static void test_##fn(void **unused) \
    {                                    \
        (void)unused;                    \
        each_variant(fn);                \
    }
EACH(map_broadcast)
EACH(map_types)
EACH(map_in_place)
EACH(reduce)
EACH(reduce_parts)
EACH(reduce_nothing)
EACH(softmax)
EACH(copy)
EACH(reverse)
EACH(pad)
EACH(count)
EACH(gather)
EACH(gather_outside)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_broadcast),  cmocka_unit_test(test_map_types),
        cmocka_unit_test(test_map_in_place),   cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_reduce_parts),   cmocka_unit_test(test_reduce_nothing),
        cmocka_unit_test(test_softmax),        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_reverse),        cmocka_unit_test(test_pad),
        cmocka_unit_test(test_count),          cmocka_unit_test(test_gather),
        cmocka_unit_test(test_gather_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
