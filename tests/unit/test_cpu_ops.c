/* The cpu backend's ops against formulas in f64 written here: random odd shapes, every layout,
 * NaN, empty tensors. matmul and conv are in test_cpu_products.c. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cpu_harness.h"

enum { ROUNDS = 150 };

static void random_shape(int32_t rank, int64_t most, int64_t *dim)
{
    for (int32_t d = 0; d < rank; d++)
        dim[d] = random_int(0, 9) == 0 ? 1 : random_int(1, most);
}

/* A shape that broadcasts to dim: fewer dimensions, some of them 1. */
static int32_t random_smaller(int32_t rank, const int64_t *dim, int64_t *res)
{
    int32_t own = (int32_t)random_int(0, rank);
    for (int32_t d = 0; d < own; d++)
        res[d] = random_int(0, 2) == 0 ? 1 : dim[rank - own + d];
    return own;
}

/* ---- map ---- */

static void test_map_broadcast(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        test_step s;
        int64_t dim[4], other[4], at[4];
        weft_dtype t = round % 2 ? WEFT_F64 : WEFT_F32;
        int32_t rank = (int32_t)random_int(0, 4), rank_b;
        random_seed(round);
        random_shape(rank, 13, dim);
        step_init(&s, "map");
        step_text(&s, "expr", "tanh(a) * b + c * a");
        step_in(&s, tensor_make(t, (lie)random_int(0, LIE_REPEATED), rank, dim));
        rank_b = random_smaller(rank, dim, other);
        step_in(&s, tensor_make(t, random_lie(), rank_b, other));
        rank_b = random_smaller(rank, dim, other);
        step_in(&s, tensor_make(t, random_lie(), rank_b, other));
        step_out(&s, tensor_make(t, random_lie(), rank, dim));
        s.batch = round % 3 == 0 && rank ? dim[0] : 0;
        if (rank)
            s.batch = round % 3 == 0 && s.in[1]->rank < rank && s.in[2]->rank < rank ? dim[0] : 0;
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            double a, b, c;
            place_of(rank, dim, i, at);
            a = broadcast_at(s.in[0], rank, at);
            b = broadcast_at(s.in[1], rank, at);
            c = broadcast_at(s.in[2], rank, at);
            expect_near(s.out[0]->v[i], tanh(a) * b + c * a,
                        8 * (t == WEFT_F32 ? (double)FLT_EPSILON : DBL_EPSILON), "map", i);
        }
        step_free(&s);
    }
}

/* Several blocks and threads; a comparison gives bool; in place. */
static void test_map_large(void **unused)
{
    (void)unused;
    int64_t dim[2] = { 331, 257 }, row[1] = { 257 };
    test_step s;
    step_init(&s, "map");
    step_text(&s, "expr", "a < b");
    step_in(&s, tensor_make(WEFT_F32, LIE_PITCHED, 2, dim));
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, row));
    step_out(&s, tensor_make(WEFT_BOOL, LIE_STRIDED, 2, dim));
    s.in[0]->v[5] = NAN;
    tensor_put(s.in[0]);
    step_run(&s);
    for (uint64_t i = 0; i < s.out[0]->count; i++)
        assert_true(s.out[0]->v[i] == (double)(s.in[0]->v[i] < s.in[1]->v[i % 257]));
    step_free(&s);
}

static void test_map_in_place(void **unused)
{
    (void)unused;
    int64_t dim[2] = { 100, 41 };
    test_step s;
    double *want = calloc(4100, sizeof *want);
    step_init(&s, "map");
    step_text(&s, "expr", "a * a - a");
    step_in(&s, tensor_make(WEFT_F64, LIE_DENSE, 2, dim));
    step_out(&s, tensor_make(WEFT_F64, LIE_DENSE, 2, dim));
    s.lies_on[0] = 1;
    for (uint64_t i = 0; i < 4100; i++)
        want[i] = s.in[0]->v[i] * s.in[0]->v[i] - s.in[0]->v[i];
    step_run(&s);
    for (uint64_t i = 0; i < 4100; i++)
        expect_near(s.out[0]->v[i], want[i], 4 * DBL_EPSILON, "in place", i);
    free(want);
    step_free(&s);
}

/* ---- reduce ---- */

static const char *const reduce_fns[] = { "sum", "prod", "max",    "min",   "mean",
                                          "any", "all",  "argmax", "argmin" };

/* One output: the reduced elements in order, in v. */
static double reduced(const char *fn, const double *v, uint64_t n)
{
    double r = !strcmp(fn, "prod") || !strcmp(fn, "all") ? 1 : 0;
    uint64_t best = 0;
    int arg = !strncmp(fn, "arg", 3), low = !strcmp(fn, "min") || !strcmp(fn, "argmin");
    if (arg || low || !strcmp(fn, "max")) {
        for (uint64_t i = 1; i < n; i++) {
            if (isnan(v[best])) break;
            if (isnan(v[i]) || (low ? v[i] < v[best] : v[i] > v[best])) best = i;
        }
        if (!n) return low ? INFINITY : -INFINITY;
        return arg ? (double)best : v[best];
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
    weft_dtype x, out;
    int32_t rank, out_rank;
    int64_t dim[4], out_dim[4];
    int reduce[4], keep;
} reduction;

static void random_reduction(reduction *r, uint64_t round)
{
    static const weft_dtype types[] = {
        WEFT_F32, WEFT_F64, WEFT_I32, WEFT_I64, WEFT_U8, WEFT_BOOL
    };
    memset(r, 0, sizeof *r);
    r->fn = reduce_fns[round % 9];
    r->x = types[round / 9 % 6];
    r->out = r->x;
    if ((r->x == WEFT_BOOL || r->x == WEFT_U8) && (!strcmp(r->fn, "sum") || !strcmp(r->fn, "prod")))
        r->out = WEFT_I32;
    if (!strcmp(r->fn, "mean") && r->x != WEFT_F64) r->out = WEFT_F32;
    if (!strcmp(r->fn, "any") || !strcmp(r->fn, "all")) r->out = WEFT_BOOL;
    if (!strncmp(r->fn, "arg", 3)) r->out = WEFT_I64;
    r->rank = (int32_t)random_int(1, 4);
    r->keep = (int)random_int(0, 1);
    for (int32_t d = 0; d < r->rank; d++) {
        r->dim[d] = random_int(1, random_int(0, 5) ? 9 : 150);
        r->reduce[d] = (int)random_int(0, 1);
    }
    if (!strncmp(r->fn, "arg", 3)) {
        memset(r->reduce, 0, sizeof r->reduce);
        r->reduce[random_int(0, r->rank - 1)] = 1;
    }
    if (strncmp(r->fn, "arg", 3)) {
        int none = !r->reduce[0] && !r->reduce[1] && !r->reduce[2] && !r->reduce[3];
        for (int32_t d = 0; d < r->rank && (none || random_int(0, 5) == 0); d++)
            r->reduce[d] = 1;
    }
}

static void make_reduce(test_step *s, reduction *r)
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
    step_in(s, tensor_make(r->x, random_lie(), r->rank, r->dim));
}

/* The reduced elements of output number o, in order. */
static uint64_t collect(const reduction *r, const tensor *x, uint64_t o, double *v)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < x->count; i++) {
        int64_t at[4], to[4], dim[4];
        place_of(x->rank, x->dim, i, at);
        for (int32_t d = 0; d < r->rank; d++) {
            to[d] = r->reduce[d] ? 0 : at[d];
            dim[d] = r->reduce[d] ? 1 : r->dim[d];
        }
        if (flat_of(r->rank, dim, to) == o) v[n++] = x->v[i];
    }
    return n;
}

static double reduce_limit(const reduction *r, const double *v, uint64_t n, double want)
{
    double sum = 0, eps = r->out == WEFT_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    if (!strcmp(r->fn, "prod"))
        return eps * (double)(n + 2) * fabs(want) + (r->out == WEFT_F32 ? (double)FLT_MIN : 0);
    if (strcmp(r->fn, "sum") && strcmp(r->fn, "mean")) return 0;
    for (uint64_t i = 0; i < n; i++)
        sum += fabs(v[i]);
    return eps * (double)(n + 2) * (!strcmp(r->fn, "mean") ? sum / (double)n : sum);
}

static double wrapped(weft_dtype t, double v)
{
    if (t == WEFT_U8) return (double)(uint8_t)(uint64_t)(int64_t)fmod(v, 0x1p63);
    if (t == WEFT_I32) return (double)(int32_t)(uint32_t)(uint64_t)(int64_t)fmod(v, 0x1p63);
    return v;
}

static void test_reduce(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 9 * 6 * 8; round++) {
        test_step s;
        reduction r;
        double *v;
        random_seed(round);
        random_reduction(&r, round);
        if (r.dim[0] * r.dim[1] * r.dim[2] * r.dim[3] > 3000) r.dim[0] = 2;
        make_reduce(&s, &r);
        v = calloc(s.in[0]->count + 1, sizeof *v);
        if (!strcmp(r.fn, "prod") && (r.x == WEFT_I64 || r.x == WEFT_U8 || r.x == WEFT_I32)) {
            for (uint64_t i = 0; i < s.in[0]->count; i++)
                s.in[0]->v[i] = (double)random_int(0, 3) == 0 ? 3 : 1; /* exact in a double */
            tensor_put(s.in[0]);
        }
        if (random_int(0, 2) == 0 && (r.x == WEFT_F32 || r.x == WEFT_F64)) {
            s.in[0]->v[random_int(0, (int64_t)s.in[0]->count - 1)] = NAN;
            tensor_put(s.in[0]);
        }
        step_out(&s, tensor_make(r.out, random_lie(), r.out_rank, r.out_dim));
        step_run(&s);
        for (uint64_t o = 0; o < s.out[0]->count; o += 1 + s.out[0]->count / 60) {
            uint64_t n = collect(&r, s.in[0], o, v);
            double want = reduced(r.fn, v, n);
            if (isfinite(want) && fabs(want) > 1e15) continue; /* no longer exact as a double */
            if (isfinite(want)) want = wrapped(r.out == r.x ? r.x : WEFT_F64, want);
            expect_near(s.out[0]->v[o], want, reduce_limit(&r, v, n, want), r.fn, o);
        }
        free(v);
        step_free(&s);
    }
}

/* Chunked reductions: few outputs over much, along rows and along columns; `then` on the result. */
static void test_reduce_large(void **unused)
{
    (void)unused;
    for (int64_t axis = 0; axis < 2; axis++) {
        int64_t dim[2] = { axis ? 5 : 40000, axis ? 40000 : 5 }, out[1] = { 5 };
        test_step s;
        step_init(&s, "reduce");
        step_text(&s, "fn", "sum");
        step_list(&s, "axes", 1, &axis);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, out));
        step_then(&s, "a * 2 + b", 1);
        step_out(&s, tensor_make(WEFT_F64, LIE_STRIDED, 1, out));
        step_run(&s);
        for (uint64_t o = 0; o < 5; o++) {
            double want = 0, all = 0;
            for (uint64_t i = 0; i < 40000; i++) {
                double x = s.in[0]->v[axis ? o * 40000 + i : i * 5 + o];
                want += x;
                all += fabs(x);
            }
            expect_near(s.out[0]->v[o], 2 * want + s.in[1]->v[o], 2 * 40002 * 1.2e-7 * all, "sum",
                        o);
            /* accumulated in double, so in truth one rounding */
            expect_near(s.out[0]->v[o], 2 * want + s.in[1]->v[o], 1.2e-7 * 500, "sum", o);
        }
        step_free(&s);
    }
}

static void test_arg_large(void **unused)
{
    (void)unused;
    for (int64_t axis = 0; axis < 2; axis++) {
        int64_t dim[2] = { axis ? 2 : 90000, axis ? 90000 : 2 }, out[1] = { 2 };
        uint64_t at = axis ? 70000 : 140000, nan_at = axis ? 90000 + 80000 : 160001;
        test_step s;
        step_init(&s, "reduce");
        step_text(&s, "fn", "argmax");
        step_list(&s, "axes", 1, &axis);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_out(&s, tensor_make(WEFT_I64, LIE_DENSE, 1, out));
        s.in[0]->v[at] = s.in[0]->v[at + (axis ? 9 : 18)] = 7; /* the first of equals */
        s.in[0]->v[nan_at] = NAN;
        tensor_put(s.in[0]);
        step_run(&s);
        assert_true(s.out[0]->v[0] == 70000);
        assert_true(s.out[0]->v[1] == 80000);
        step_free(&s);
    }
}

static void test_reduce_empty(void **unused)
{
    (void)unused;
    static const double want[] = { 0, 1, -INFINITY, INFINITY, NAN, 0, 1 };
    for (int f = 0; f < 9; f++) {
        int64_t dim[2] = { 0, 3 }, out[1] = { 3 }, axis = 0;
        char text[512];
        test_step s;
        step_init(&s, "reduce");
        step_text(&s, "fn", reduce_fns[f]);
        step_list(&s, "axes", 1, &axis);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_out(&s, tensor_make(f >= 7   ? WEFT_I64
                                 : f >= 5 ? WEFT_BOOL
                                          : WEFT_F32,
                                 LIE_DENSE, 1, out));
        if (f >= 7) {
            assert_int_equal(step_run_status(&s, text, sizeof text), WEFT_E_SHAPE);
            assert_non_null(strstr(text, "net/part: arg"));
        } else {
            step_run(&s);
            for (uint64_t i = 0; i < 3; i++)
                expect_near(s.out[0]->v[i], want[f], 0, reduce_fns[f], i);
        }
        step_free(&s);
    }
}

/* ---- movement ---- */

typedef struct move {
    const char *op;
    int64_t a[4], b[4]; /* begin/low/perm/flags, step/high */
} move;

/* Where output place `to` comes from; 0 = nowhere (padding). */
static int source_of(const move *m, const tensor *x, const int64_t *to, int64_t *from)
{
    for (int32_t d = 0; d < x->rank; d++) {
        from[d] = to[d];
        if (!strcmp(m->op, "slice")) from[d] = m->a[d] + to[d] * m->b[d];
        if (!strcmp(m->op, "reverse") && m->a[d]) from[d] = x->dim[d] - 1 - to[d];
        if (!strcmp(m->op, "pad")) from[d] = to[d] - m->a[d];
        if (!strcmp(m->op, "pad") && (from[d] < 0 || from[d] >= x->dim[d])) return 0;
    }
    if (!strcmp(m->op, "transpose")) {
        for (int32_t d = 0; d < x->rank; d++)
            from[m->a[d]] = to[d];
    }
    return 1;
}

static void make_move(test_step *s, move *m, int32_t rank, int64_t *dim)
{
    int64_t list[4];
    uint32_t n = 0;
    for (int32_t d = 0; d < rank; d++) {
        m->a[d] = m->b[d] = 0;
        if (!strcmp(m->op, "slice")) {
            m->a[d] = random_int(0, dim[d] - 1);
            m->b[d] = random_int(1, 3);
            dim[d] = random_int(0, (dim[d] - m->a[d] - 1) / m->b[d] + 1);
        } else if (!strcmp(m->op, "reverse")) {
            m->a[d] = random_int(0, 1);
            if (m->a[d]) list[n++] = d;
        } else if (!strcmp(m->op, "pad")) {
            m->a[d] = random_int(0, 3);
            m->b[d] = random_int(0, 3);
            dim[d] += m->a[d] + m->b[d];
        }
    }
    if (!strcmp(m->op, "slice")) {
        step_list(s, "begin", (uint32_t)rank, m->a);
        step_list(s, "step", (uint32_t)rank, m->b);
    } else if (!strcmp(m->op, "pad")) {
        step_list(s, "low", (uint32_t)rank, m->a);
        step_list(s, "high", (uint32_t)rank, m->b);
        step_real(s, "value", 1);
    } else if (!strcmp(m->op, "reverse")) {
        step_list(s, "axes", n, list);
    }
}

static void make_perm(test_step *s, move *m, int32_t rank, int64_t *dim)
{
    int64_t old[4];
    memcpy(old, dim, sizeof old);
    for (int32_t d = 0; d < rank; d++)
        m->a[d] = d;
    for (int32_t d = rank - 1; d > 0; d--) {
        int64_t o = random_int(0, d), keep = m->a[d];
        m->a[d] = m->a[o];
        m->a[o] = keep;
    }
    for (int32_t d = 0; d < rank; d++)
        dim[d] = old[m->a[d]];
    step_list(s, "perm", (uint32_t)rank, m->a);
}

static void test_moves(void **unused)
{
    static const char *const ops[] = { "slice", "reverse", "pad", "transpose", "copy" };
    static const weft_dtype types[] = {
        WEFT_F32, WEFT_F64, WEFT_I32, WEFT_I64, WEFT_U8, WEFT_BOOL
    };
    (void)unused;
    for (uint64_t round = 0; round < 5 * ROUNDS; round++) {
        test_step s;
        move m = { ops[round % 5], { 0 }, { 0 } };
        int64_t dim[4] = { 1, 1, 1, 1 }, to[4], from[4];
        int32_t rank = (int32_t)random_int(1, 4);
        weft_dtype t = types[round / 5 % 6];
        random_seed(round);
        random_shape(rank, rank == 2 ? 90 : 11, dim);
        step_init(&s, m.op);
        step_in(&s, tensor_make(t, (lie)random_int(0, LIE_REPEATED), rank, dim));
        if (round % 5 == 3)
            make_perm(&s, &m, rank, dim);
        else
            make_move(&s, &m, rank, dim);
        step_out(&s, tensor_make(t, random_lie(), rank, dim));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            double want = 1;
            place_of(rank, dim, i, to);
            if (source_of(&m, s.in[0], to, from))
                want = s.in[0]->v[flat_of(rank, s.in[0]->dim, from)];
            expect_near(s.out[0]->v[i], want, 0, m.op, i);
        }
        step_free(&s);
    }
}

static void test_reshape(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int64_t a = random_int(0, 7), b = random_int(1, 40), c = random_int(1, 40);
        int64_t from[3] = { a, b, c }, to[2] = { b * a, c }, flat[1] = { a * b * c };
        test_step s;
        random_seed(round);
        step_init(&s, "reshape");
        step_in(&s, tensor_make(WEFT_F32, random_lie(), 3, from));
        step_out(&s, round % 2 ? tensor_make(WEFT_F32, random_lie(), 2, to)
                               : tensor_make(WEFT_F32, random_lie(), 1, flat));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++)
            expect_near(s.out[0]->v[i], s.in[0]->v[i], 0, "reshape", i);
        step_free(&s);
    }
}

static void test_broadcast(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        test_step s;
        int64_t dim[4], own[4], at[4];
        int32_t rank = (int32_t)random_int(1, 4), own_rank;
        random_seed(round);
        random_shape(rank, 12, dim);
        own_rank = random_smaller(rank, dim, own);
        step_init(&s, "broadcast");
        step_in(&s, tensor_make(WEFT_I64, random_lie(), own_rank, own));
        step_out(&s, tensor_make(WEFT_I64, random_lie(), rank, dim));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            place_of(rank, dim, i, at);
            expect_near(s.out[0]->v[i], broadcast_at(s.in[0], rank, at), 0, "broadcast", i);
        }
        step_free(&s);
    }
}

static void test_concat(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        test_step s;
        int64_t dim[3] = { random_int(1, 20), random_int(1, 20), random_int(1, 20) }, whole = 0,
                at[3];
        int64_t axis = random_int(0, 2);
        random_seed(round);
        step_init(&s, "concat");
        step_int(&s, "axis", round % 2 ? axis : axis - 3);
        for (int i = 0; i < 3; i++) {
            whole += dim[axis] = random_int(i == 1 ? 0 : 1, 9);
            step_in(&s, tensor_make(WEFT_F32, random_lie(), 3, dim));
        }
        dim[axis] = whole;
        step_out(&s, tensor_make(WEFT_F32, random_lie(), 3, dim));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            uint32_t k = 0;
            place_of(3, dim, i, at);
            for (; at[axis] >= s.in[k]->dim[axis]; k++)
                at[axis] -= s.in[k]->dim[axis];
            expect_near(s.out[0]->v[i], s.in[k]->v[flat_of(3, s.in[k]->dim, at)], 0, "concat", i);
        }
        step_free(&s);
    }
}

/* ---- gather, softmax, count ---- */

static void test_gather(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        test_step s;
        int64_t dim[3] = { random_int(1, 9), random_int(1, 9), random_int(1, 30) }, at[5], from[3];
        int64_t index[2] = { random_int(0, 5), random_int(1, 7) }, out[5];
        int32_t axis = (int32_t)random_int(0, 2), n = (int32_t)random_int(0, 2), rank = 0;
        random_seed(round);
        step_init(&s, "gather");
        step_int(&s, "axis", axis);
        step_in(&s, tensor_make(WEFT_F32, random_lie(), 3, dim));
        step_in(&s, tensor_make(round % 2 ? WEFT_I32 : WEFT_I64, random_lie(), n, index));
        for (uint64_t i = 0; i < s.in[1]->count; i++)
            s.in[1]->v[i] = (double)random_int(0, dim[axis] - 1);
        tensor_put(s.in[1]);
        for (int32_t d = 0; d < axis; d++)
            out[rank++] = dim[d];
        for (int32_t d = 0; d < n; d++)
            out[rank++] = index[d];
        for (int32_t d = axis + 1; d < 3; d++)
            out[rank++] = dim[d];
        step_out(&s, tensor_make(WEFT_F32, random_lie(), rank, out));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            place_of(rank, out, i, at);
            for (int32_t d = 0; d < 3; d++)
                from[d] = d < axis ? at[d] : at[d + n - 1 < 0 ? 0 : d + n - 1];
            from[axis] = (int64_t)s.in[1]->v[flat_of(n, index, at + axis)];
            expect_near(s.out[0]->v[i], s.in[0]->v[flat_of(3, dim, from)], 0, "gather", i);
        }
        step_free(&s);
    }
}

static void test_gather_range(void **unused)
{
    static const double bad[] = { 7, -1, 1e9 };
    (void)unused;
    for (int k = 0; k < 3; k++) {
        int64_t dim[2] = { 7, 3 }, n[1] = { 5 }, out[2] = { 5, 3 };
        char text[512], number[32];
        test_step s;
        step_init(&s, "gather");
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_in(&s, tensor_make(WEFT_I32, LIE_DENSE, 1, n));
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, out));
        for (int i = 0; i < 5; i++)
            s.in[1]->v[i] = i;
        s.in[1]->v[3] = bad[k];
        tensor_put(s.in[1]);
        assert_int_equal(step_run_status(&s, text, sizeof text), WEFT_E_ARG);
        snprintf(number, sizeof number, "index %.0f ", bad[k]);
        assert_non_null(strstr(text, "net/part"));
        assert_non_null(strstr(text, number));
        assert_non_null(strstr(text, "0..6"));
        step_free(&s);
    }
}

static void test_softmax(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        test_step s;
        int logs = (int)(round % 2), wide = (int)(round / 2 % 2);
        int64_t dim[3] = { random_int(1, 9), random_int(1, 40), random_int(1, 20) }, at[3];
        int64_t axis = random_int(0, 2);
        double eps = wide ? DBL_EPSILON : (double)FLT_EPSILON;
        random_seed(round);
        step_init(&s, logs ? "log_softmax" : "softmax");
        step_int(&s, "axis", axis - (round % 3 ? 3 : 0));
        step_in(&s, tensor_make(wide ? WEFT_F64 : WEFT_F32, random_lie(), 3, dim));
        for (uint64_t i = 0; i < s.in[0]->count; i++)
            s.in[0]->v[i] = (double)(float)(s.in[0]->v[i] * (round % 5 ? 10 : 1000));
        if (round % 7 == 0) s.in[0]->v[0] = NAN;
        if (round % 7 == 1) s.in[0]->v[0] = -INFINITY;
        tensor_put(s.in[0]);
        step_out(&s, tensor_make(s.in[0]->dtype, random_lie(), 3, dim));
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++) {
            double sum = 0, most = -INFINITY, x = s.in[0]->v[i], want;
            place_of(3, dim, i, at);
            for (at[axis] = 0; at[axis] < dim[axis]; at[axis]++)
                most = fmax(most, s.in[0]->v[flat_of(3, dim, at)]);
            for (at[axis] = 0; at[axis] < dim[axis]; at[axis]++)
                sum += exp(s.in[0]->v[flat_of(3, dim, at)] - most);
            want = logs ? x - most - log(sum) : exp(x - most) / sum;
            /* x - m is rounded, at up to 2000, before exp; the rest is a few roundings */
            expect_near(s.out[0]->v[i], want,
                        logs ? eps * (2 + fabs(x - most)) * 4
                             : eps * want * (8 + fabs(x - most)) +
                                   (wide ? DBL_MIN : (double)FLT_MIN),
                        s.op.name, i);
        }
        step_free(&s);
    }
}

static void test_count(void **unused)
{
    int64_t dim[3] = { 6, 5, 7 }, axes[2] = { 0, -1 };
    (void)unused;
    for (int all = 0; all < 2; all++) {
        test_step s;
        step_init(&s, "count");
        if (!all) step_list(&s, "axes", 2, axes);
        step_in(&s, tensor_make(WEFT_BOOL, LIE_STRIDED, 3, dim));
        step_out(&s, tensor_make(all ? WEFT_F64 : WEFT_F32, LIE_DENSE, 0, NULL));
        s.batch = 3;
        step_run(&s);
        assert_true(s.out[0]->v[0] == (all ? 210 : 42));
        step_free(&s);
    }
}

/* A batch of nothing runs through every op. */
static void test_empty(void **unused)
{
    static const char *const ops[] = { "map",     "softmax", "transpose", "slice",
                                       "pad",     "concat",  "broadcast", "reverse",
                                       "reshape", "gather",  "copy" };
    (void)unused;
    for (size_t k = 0; k < sizeof ops / sizeof ops[0]; k++) {
        int64_t dim[2] = { 0, 4 }, same[2] = { 0, 1 }, zero[2] = { 0, 0 }, one[2] = { 1, 1 };
        test_step s;
        step_init(&s, ops[k]);
        step_text(&s, "expr", "-a");
        step_list(&s, "perm", 2, same);
        step_list(&s, "begin", 2, zero);
        step_list(&s, "step", 2, one);
        step_list(&s, "axes", 1, one);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        if (!strcmp(ops[k], "gather")) {
            step_in(&s, tensor_make(WEFT_I64, LIE_DENSE, 1, dim));
        }
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_run(&s);
        step_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_broadcast), cmocka_unit_test(test_map_large),
        cmocka_unit_test(test_map_in_place),  cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_reduce_large),  cmocka_unit_test(test_arg_large),
        cmocka_unit_test(test_reduce_empty),  cmocka_unit_test(test_moves),
        cmocka_unit_test(test_reshape),       cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_concat),        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_gather_range),  cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_count),         cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
