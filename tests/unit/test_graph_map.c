/* Elementwise expressions: parsing and canonical text, typing, and the evaluator against libm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/map.h"
#include "graph/map_table.h"
#include "graph/map_tree.h"

#define N(a) (sizeof(a) / sizeof *(a))

static weft_status print_canonical(const char *expr, weft__text *text)
{
    weft__map_tree tree = { 0 };
    weft_status st = weft__map_parse(expr, &tree);
    if (!st) weft__map_print(text, &tree, tree.root);
    weft__map_tree_finish(&tree);
    return st;
}

static void check_canonical(const char *expr, const char *want)
{
    weft__text text = { 0 };
    assert_int_equal(print_canonical(expr, &text), WEFT_OK);
    assert_string_equal(text.s, want);
    weft__text_finish(&text);
}

static void canonical(void **state)
{
    static const char *const pair[][2] = {
        { " a + b ", "a+b" },
        { "add(a, b)", "a+b" },
        { "(a+b)+c", "a+b+c" },
        { "a+(b+c)", "a+(b+c)" },
        { "a-(b-c)", "a-(b-c)" },
        { "(a*b)/c*d", "a*b/c*d" },
        { "a*(b/c)", "a*(b/c)" },
        { "(a+b)*c", "(a+b)*c" },
        { "-a*b", "-a*b" },
        { "-(a*b)", "-(a*b)" },
        { "a- -b", "a-(-b)" },
        { "a+-1", "a+(-1)" },
        { "--a", "--a" },
        { "neg(2)*a", "-2*a" },
        { "max(add(a,b),0)", "max(a+b,0)" },
        { "a<b+1", "a<b+1" },
        { "(a<b)+1", "(a<b)+1" },
        { "a*(1/4)", "a*0.25" },
        { "lt(a,b)==c", "a<b==c" },
        { "a<(b<c)", "a<(b<c)" },
        { "f32( i32(a) )", "f32(i32(a))" },
        { "a*1e-5+0.1", "a*1e-05+0.1" },
        { "2.0+a", "2+a" },
        { "-inf", "-inf" },
        { "max(a,-inf)", "max(a,-inf)" },
        { "a*nan", "a*nan" },
        { "a*-0", "a*(-0)" },
        { "select(not(a),b,c)", "select(not(a),b,c)" },
        { "1e300*1e300*a", "inf*a" },
        { "z", "z" },
        { "a!=b", "a!=b" },
        { "ge(a,b)", "a>=b" },
    };
    (void)state;
    for (size_t i = 0; i < N(pair); i++) {
        check_canonical(pair[i][0], pair[i][1]);
        check_canonical(pair[i][1], pair[i][1]);
    }
}

static void refused(void **state)
{
    static const char *const pair[][2] = {
        { "", "the expression ends where an operand is expected" },
        { "a+", "column 3: the expression ends" },
        { "a b", "column 3: expected an operator or the end" },
        { "foo(a)", "there is no function \"foo\"; there are neg abs" },
        { "max(a)", "max takes 2 arguments, not 1" },
        { "f32(a,b)", "f32 takes 1 argument, not 2" },
        { "max(a,b", "expected ',' or ')' here" },
        { "(a", "expected ')' here" },
        { "A", "inputs are named a to z" },
        { "tanh", "inputs are named a to z" },
        { "2x", "this is no number" },
        { "1..2", "this is no number" },
        { "a$b", "expected an operator" },
        { "max(a,b,c,d)", "no function has more than 3 arguments" },
        { ",", "expected a number" },
    };
    weft__text text = { 0 };
    (void)state;
    for (size_t i = 0; i < N(pair); i++) {
        assert_int_equal(print_canonical(pair[i][0], &text), WEFT_E_ATTR);
        if (!strstr(weft_error(), pair[i][1])) fail_msg("%s gives: %s", pair[i][0], weft_error());
    }
    weft__text_finish(&text);
}

/* Hostile sizes end in an error, not in a stack overflow. */
static void limits(void **state)
{
    static const char *const repeated[] = { "(", "-", "tanh(", "a+", "a<", "1+", "max(a," };
    static char expr[200001];
    weft__text text = { 0 };
    (void)state;
    for (size_t i = 0; i < N(repeated); i++) {
        size_t n = strlen(repeated[i]);
        expr[0] = '\0';
        for (size_t at = 0; at + n < sizeof expr - 1; at += n)
            memcpy(expr + at, repeated[i], n + 1);
        assert_int_not_equal(print_canonical(expr, &text), WEFT_OK);
    }
    weft__text_finish(&text);
    /* 300 different operations */
    weft_dtype in = WEFT_F32, out;
    expr[0] = '\0';
    for (int i = 0; i < 200; i++)
        sprintf(expr + strlen(expr), "max(a*%d,", i + 2);
    strcat(expr, "0");
    for (int i = 0; i < 200; i++)
        strcat(expr, ")");
    assert_int_equal(weft__map_type(expr, &in, NULL, 1, &out), WEFT_E_UNSUPPORTED);
    assert_non_null(strstr(weft_error(), "more than 256 operations"));
}

static uint32_t seed = 1;
static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* A random expression with random parentheses and spaces. */
static void random_expr(char *to, int depth)
{
    static const char *const infix[] = { "+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=" };
    static const char *const literal[] = { "1", "0.5", "3e-7", "-2", "1e9" };
    uint32_t what = depth == 0 ? draw(2) : draw(8);
    to += strlen(to);
    if (what == 0) {
        sprintf(to, "%c", (int)('a' + draw(4)));
    } else if (what == 1) {
        sprintf(to, "%s", literal[draw(N(literal))]);
    } else if (what == 2) {
        strcat(to, "-");
        random_expr(to, depth - 1);
    } else if (what == 3) {
        strcat(to, "( ");
        random_expr(to, depth - 1);
        strcat(to, ")");
    } else if (what < 6) {
        random_expr(to, depth - 1);
        sprintf(to + strlen(to), " %s", infix[draw(N(infix))]);
        random_expr(to, depth - 1);
    } else {
        const weft_map_fn *fn;
        do
            fn = weft__map_row(draw(40));
        while (!fn);
        sprintf(to, "%s(", fn->name);
        for (int i = 0; i < fn->arity; i++) {
            if (i) strcat(to, ", ");
            random_expr(to, depth - 1);
        }
        strcat(to, ")");
    }
}

static double eval64(const char *expr, const double *in, uint32_t n_in)
{
    static const weft_dtype type[4] = { WEFT_F64, WEFT_F64, WEFT_F64, WEFT_F64 };
    const void *at[4];
    double result = 0;
    weft_map_program *p = NULL;
    for (uint32_t i = 0; i < n_in; i++)
        at[i] = &in[i];
    assert_int_equal(weft__map_api.parse(NULL, expr, type, n_in, WEFT_F64, &p), WEFT_OK);
    weft__map_api.eval(p, 1, at, &result);
    weft__map_api.release(&p);
    assert_null(p);
    return result;
}

static int same_number(double x, double y)
{
    return x == y || (x != x && y != y);
}

/* Canonical text is a fixed point, and means the same as the text it was made of. */
static void round_trips(void **state)
{
    static const double in[4] = { 0.7, -1.3, 2.5, 0.0 };
    static char expr[1 << 20];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        weft__text once = { 0 }, twice = { 0 };
        expr[0] = '\0';
        random_expr(expr, 4);
        assert_int_equal(print_canonical(expr, &once), WEFT_OK);
        assert_int_equal(print_canonical(once.s, &twice), WEFT_OK);
        assert_string_equal(once.s, twice.s);
        assert_null(strchr(once.s, ' '));
        /* too many values at once is a refusal of both */
        static const weft_dtype type[4] = { WEFT_F64, WEFT_F64, WEFT_F64, WEFT_F64 };
        if (weft__map_fits(expr, type, 4))
            assert_true(same_number(eval64(expr, in, 4), eval64(once.s, in, 4)));
        weft__text_finish(&once);
        weft__text_finish(&twice);
    }
}

static void check_substitute(const char *expr, const char *x, const char *y, const char *want)
{
    const char *const with[] = { x, y };
    weft__text text = { 0 };
    assert_int_equal(weft__map_substitute(expr, with, 2, &text), WEFT_OK);
    assert_string_equal(text.s, want);
    weft__text_finish(&text);
}

static void substitution(void **state)
{
    weft__text text = { 0 };
    const char *const one[] = { "a" };
    (void)state;
    check_substitute("a*b", "a+b", "c", "(a+b)*c");
    check_substitute("max(a,0)", "a+b", "c", "max(a+b,0)");
    check_substitute("b-a", "a", "b", "b-a");
    check_substitute("b-a", "b", "a", "a-b");
    check_substitute("a+b", "2", "3", "5");
    check_substitute("a*a", "a+b", "c", "(a+b)*(a+b)");
    assert_int_equal(weft__map_substitute("a+b", one, 1, &text), WEFT_E_ATTR);
    assert_non_null(strstr(weft_error(), "reads input b, but there is 1"));
    weft__text_finish(&text);
    assert_true(weft__map_costly("1+tanh(a)"));
    assert_false(weft__map_costly("max(a*b,0)"));
}

static void check_type(const char *expr, weft_dtype a, weft_dtype b, weft_dtype want)
{
    const weft_dtype in[] = { a, b };
    weft_dtype got = 0;
    if (weft__map_type(expr, in, NULL, 2, &got)) fail_msg("%s: %s", expr, weft_error());
    if (got != want)
        fail_msg("%s of %s and %s gives %s, not %s", expr, weft_dtype_name(a), weft_dtype_name(b),
                 weft_dtype_name(got), weft_dtype_name(want));
}

static void typing(void **state)
{
    enum { B = WEFT_BOOL, U = WEFT_U8, I = WEFT_I32, L = WEFT_I64, F = WEFT_F32, D = WEFT_F64 };
    static const weft_dtype order[] = { B, U, I, L, F, D };
    (void)state;
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < 6; k++)
            check_type("a+b", order[i], order[k], order[i > k ? i : k]);
    check_type("a*2", I, I, I);
    check_type("a*0.5", I, I, F);
    check_type("a*0.5", L, I, F);
    check_type("a*0.5", D, I, D);
    check_type("a+1", B, B, I);
    check_type("a+1", U, U, U);
    check_type("a/b", I, I, F);
    check_type("a/b", D, I, D);
    check_type("exp(a)", I, I, F);
    check_type("exp(a)", D, I, D);
    check_type("a<b", I, D, B);
    check_type("and(a,b)", F, I, B);
    check_type("select(a,b,0)", B, I, I);
    check_type("select(a,b,0.5)", B, I, F);
    check_type("select(a>0,1,2)", F, I, I);
    check_type("i32(a)", D, I, I);
    check_type("i32(a)*0.5", D, I, F);
    check_type("1", I, I, F);
    check_type("a", U, U, U);
    check_type("floor(a)", I, I, I);
    check_type("max(a,0)", L, L, L);
    /* weak inputs */
    weft_dtype in[] = { WEFT_I32, WEFT_F64 }, got;
    int weak[] = { 0, 1 };
    assert_int_equal(weft__map_type("a+b", in, weak, 2, &got), WEFT_OK);
    assert_int_equal(got, WEFT_F32);
    in[0] = WEFT_F32;
    assert_int_equal(weft__map_type("a+b", in, weak, 2, &got), WEFT_OK);
    assert_int_equal(got, WEFT_F32);
    in[0] = WEFT_F16;
    assert_int_equal(weft__map_type("a+b", in, weak, 2, &got), WEFT_E_DTYPE);
    assert_non_null(strstr(weft_error(), "input a is float16, which is for storage only"));
    in[0] = WEFT_F32;
    assert_int_equal(weft__map_type("a+c", in, weak, 2, &got), WEFT_E_ATTR);
    assert_non_null(strstr(weft_error(), "it reads input c, but there are 2"));
}

/* Weak parts are computed in the dtype of their readers: 0.1 is not rounded to f32 on the way to
 * f64. */
static void weak_precision(void **state)
{
    double x = -3;
    (void)state;
    assert_true(eval64("a*select(a>0,1,0.1)", &x, 1) == -3 * 0.1);
    assert_true(eval64("f64(0.1)*a", &x, 1) == 0.1 * -3);
    assert_true(eval64("0.1", &x, 1) == 0.1);
}

typedef struct truth {
    const char *expr;
    double (*fn)(double);
    double low, high, ulps;
} truth;

static double sigmoid(double x)
{
    return (double)(1.0L / (1.0L + expl(-(long double)x)));
}
static double rsqrt(double x)
{
    return 1 / sqrt(x);
}
static double square(double x)
{
    return x * x;
}
static double recip(double x)
{
    return 1 / x;
}
static double sign(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}

static double softplus(double x)
{
    return x > 40 ? x : log1p(exp(x));
}

static const truth truths[] = {
    { "exp(a)", exp, -20, 20, 2 },
    { "log(a)", log, 1e-3, 50, 2 },
    { "log1p(a)", log1p, -0.9, 9, 2 },
    { "expm1(a)", expm1, -5, 5, 2 },
    { "sqrt(a)", sqrt, 0, 1e6, 1 },
    { "rsqrt(a)", rsqrt, 1e-6, 1e6, 2 },
    { "sin(a)", sin, -9, 9, 2 },
    { "cos(a)", cos, -9, 9, 2 },
    { "tanh(a)", tanh, -9, 9, 2 },
    { "sigmoid(a)", sigmoid, -90, 90, 4 },
    { "erf(a)", erf, -4, 4, 2 },
    { "floor(a)", floor, -9, 9, 0 },
    { "ceil(a)", ceil, -9, 9, 0 },
    { "round(a)", rint, -9, 9, 0 },
    { "recip(a)", recip, 0.1, 9, 1 },
    { "square(a)", square, -9, 9, 1 },
    { "softplus(a)", softplus, -90, 90, 4 },
    { "abs(a)", fabs, -9, 9, 0 },
    { "sign(a)", sign, -2, 2, 0 },
};

/* Every function of one variable against libm, over the lengths that leave rests. */
static void against_libm(void **state)
{
    static const size_t lengths[] = { 1, 3, 255, 256, 257, 1000, 1024 };
    static double x[1024], y[1024];
    static float xf[1024], yf[1024];
    const weft_dtype f64 = WEFT_F64, f32 = WEFT_F32;
    (void)state;
    for (size_t t = 0; t < N(truths); t++)
        for (size_t l = 0; l < N(lengths); l++) {
            weft_map_program *p = NULL, *q = NULL;
            const void *in = x, *inf = xf;
            for (size_t i = 0; i < lengths[l]; i++) {
                x[i] = truths[t].low +
                       (truths[t].high - truths[t].low) * (double)i / (double)lengths[l];
                xf[i] = (float)x[i];
            }
            assert_int_equal(weft__map_api.parse(NULL, truths[t].expr, &f64, 1, 0, &p), WEFT_OK);
            assert_int_equal(weft__map_api.parse(NULL, truths[t].expr, &f32, 1, 0, &q), WEFT_OK);
            weft__map_api.eval(p, lengths[l], &in, y);
            weft__map_api.eval(q, lengths[l], &inf, yf);
            for (size_t i = 0; i < lengths[l]; i++) {
                double want = truths[t].fn(x[i]), wantf = truths[t].fn((double)xf[i]);
                if (fabs(y[i] - want) > truths[t].ulps * fabs(want) * 0x1p-52)
                    fail_msg("%s at %.17g: %.17g, not %.17g", truths[t].expr, x[i], y[i], want);
                if (fabs((double)yf[i] - wantf) >
                    (truths[t].ulps + 2) * fabs(wantf) * 0x1p-23 + 0x1p-149)
                    fail_msg("%s at %.9g: %.9g, not %.9g", truths[t].expr, (double)xf[i],
                             (double)yf[i], wantf);
            }
            weft__map_api.release(&p);
            weft__map_api.release(&q);
        }
}

static double at2(const char *expr, double a, double b)
{
    const double in[] = { a, b };
    return eval64(expr, in, 2);
}

static void special_values(void **state)
{
    const double inf = (double)INFINITY, nan = (double)NAN;
    (void)state;
    assert_true(isnan(at2("max(a,b)", nan, 1)) && isnan(at2("max(a,b)", 1, nan)));
    assert_true(isnan(at2("min(a,b)", nan, 1)) && isnan(at2("min(a,b)", 1, nan)));
    assert_true(isnan(at2("max(a,0)", nan, 0)));
    assert_true(isnan(at2("clip(a,b,2)", nan, 0)) && isnan(at2("clip(a,b,2)", 1, nan)));
    assert_true(at2("clip(a,b,2)", 5, 0) == 2 && at2("clip(a,b,2)", -5, 0) == 0);
    assert_true(at2("round(a)", 0.5, 0) == 0 && at2("round(a)", 1.5, 0) == 2 &&
                at2("round(a)", -2.5, 0) == -2);
    assert_true(at2("pow(a,b)", 0, 0) == 1 && at2("pow(a,b)", nan, 0) == 1);
    assert_true(at2("mod(a,b)", -7, 3) == 2 && at2("mod(a,b)", 7, -3) == -2 &&
                at2("mod(a,b)", -1, inf) == inf);
    assert_true(at2("mod(a,b)", -6, 3) == 0 && !signbit(at2("mod(a,b)", -6, 3)));
    assert_true(isnan(at2("mod(a,b)", 1, 0)));
    assert_true(at2("sigmoid(a)", -1e4, 0) == 0 && at2("sigmoid(a)", 1e4, 0) == 1 &&
                isnan(at2("sigmoid(a)", nan, 0)));
    assert_true(isnan(at2("sign(a)", nan, 0)));
    assert_true(at2("select(a,b,3)", 1e-300, 2) == 2 && at2("select(a,b,3)", nan, 2) == 2 &&
                at2("select(a,b,3)", 0, 2) == 3);
    assert_true(at2("not(a)", 0, 0) == 1 && at2("and(a,b)", 2, -1) == 1 &&
                at2("or(a,b)", 0, 0) == 0);
    assert_true(at2("a<b", nan, 1) == 0 && at2("a!=b", nan, nan) == 1);
    assert_true(at2("i32(a)", 3e9, 0) == INT32_MAX && at2("i32(a)", -1e300, 0) == INT32_MIN &&
                at2("i32(a)", nan, 0) == 0);
    assert_true(at2("u8(a)", -3.9, 0) == 0 && at2("u8(a)", 300, 0) == 255 &&
                at2("i32(a)", -3.9, 0) == -3);
    assert_true(at2("f64(u8(i32(a)))", 257, 0) == 1);
    assert_true(at2("f64(f32(a))", 0.1, 0) == (double)0.1f);
}

static float at32(const char *expr, float a)
{
    const weft_dtype f32 = WEFT_F32;
    const void *in = &a;
    float result = 0;
    weft_map_program *p = NULL;
    assert_int_equal(weft__map_api.parse(NULL, expr, &f32, 1, 0, &p), WEFT_OK);
    weft__map_api.eval(p, 1, &in, &result);
    weft__map_api.release(&p);
    return result;
}

/* The ends of the range of what is computed without libm. */
static void ends_of_range(void **state)
{
    (void)state;
    assert_true(at32("exp(a)", 0) == 1 && at32("exp(a)", 89) == INFINITY &&
                at32("exp(a)", INFINITY) == INFINITY);
    assert_true(at32("exp(a)", -INFINITY) == 0 && at32("exp(a)", -120) == 0 &&
                isnan(at32("exp(a)", NAN)));
    assert_true(at32("tanh(a)", INFINITY) == 1 && at32("tanh(a)", -INFINITY) == -1 &&
                isnan(at32("tanh(a)", NAN)));
    assert_true(at32("tanh(a)", 40) == 1 && at32("tanh(a)", 0) == 0 &&
                signbit(at32("tanh(a)", -0.0f)));
    assert_true(at32("tanh(a)", 1e-30f) == 1e-30f);
    assert_true(at32("sigmoid(a)", -INFINITY) == 0 && at32("sigmoid(a)", INFINITY) == 1);
    assert_true(isnan(at32("sigmoid(a)", NAN)) && at32("sigmoid(a)", 0) == 0.5f);
    for (int i = 0; i < 200000; i++) {
        float x = -104 + (float)i * 0.00096f, got = at32("exp(a)", x);
        double want = exp((double)x);
        if (want > (double)FLT_MAX) break;
        if (fabs((double)got - want) > 2 * (want < 0x1p-126 ? 0x1p-149 : want * 0x1p-23))
            fail_msg("exp(%.9g) gives %.9g, not %.9g", (double)x, (double)got, want);
    }
}

static void integers(void **state)
{
    static const int32_t a[] = { INT32_MAX, INT32_MIN, -7, 7, 5, -1 }, b[] = { 1, -1, 3, -3, 0, 2 };
    static const struct {
        const char *expr;
        int32_t want[6];
    } cases[] = {
        { "a+b", { INT32_MIN, INT32_MAX, -4, 4, 5, 1 } },
        { "a*b", { INT32_MAX, INT32_MIN, -21, -21, 0, -2 } },
        { "mod(a,b)", { 0, 0, 2, -2, 0, 1 } },
        { "abs(a)", { INT32_MAX, INT32_MIN, 7, 7, 5, 1 } },
        { "max(a,b)", { INT32_MAX, -1, 3, 7, 5, 2 } },
        { "pow(a,b)", { INT32_MAX, 0, -343, 0, 1, 1 } },
        { "clip(a,b,4)", { 4, -1, 3, 4, 4, 2 } },
        { "-a", { -INT32_MAX, INT32_MIN, 7, -7, -5, 1 } },
        { "select(a>b,1,0)*2", { 2, 0, 0, 2, 2, 0 } },
        { "square(a)-square(a)+sign(a)", { 1, -1, -1, 1, 1, -1 } },
    };
    const weft_dtype in[] = { WEFT_I32, WEFT_I32 };
    const void *const at[] = { a, b };
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        int32_t got[6];
        weft_map_program *p = NULL;
        assert_int_equal(weft__map_api.parse(NULL, cases[i].expr, in, 2, 0, &p), WEFT_OK);
        weft__map_api.eval(p, 6, at, got);
        for (size_t k = 0; k < 6; k++)
            if (got[k] != cases[i].want[k])
                fail_msg("%s of %d and %d: %d, not %d", cases[i].expr, (int)a[k], (int)b[k],
                         (int)got[k], (int)cases[i].want[k]);
        weft__map_api.release(&p);
    }
}

static void small_types(void **state)
{
    static const uint8_t u[] = { 0, 1, 250, 255 }, t[] = { 1, 0, 1, 0 };
    const weft_dtype in[] = { WEFT_U8, WEFT_BOOL };
    const void *const at[] = { u, t };
    uint8_t got[4];
    weft_map_program *p = NULL;
    (void)state;
    assert_int_equal(weft__map_api.parse(NULL, "a+10", in, 2, 0, &p), WEFT_OK);
    weft__map_api.eval(p, 4, at, got);
    assert_memory_equal(got, ((uint8_t[]){ 10, 11, 4, 9 }), 4);
    weft__map_api.release(&p);
    assert_int_equal(weft__map_api.parse(NULL, "not(b)", in, 2, 0, &p), WEFT_OK);
    weft__map_api.eval(p, 4, at, got);
    assert_memory_equal(got, ((uint8_t[]){ 0, 1, 0, 1 }), 4);
    weft__map_api.release(&p);
    assert_int_equal(weft__map_api.parse(NULL, "b+b", in, 2, 0, &p), WEFT_OK);
    weft__map_api.eval(p, 4, at, got);
    assert_memory_equal(got, t, 4);
    weft__map_api.release(&p);
    assert_int_equal(weft__map_api.parse(NULL, "a", in, 2, WEFT_BOOL, &p), WEFT_OK);
    weft__map_api.eval(p, 4, at, got);
    assert_memory_equal(got, ((uint8_t[]){ 0, 1, 1, 1 }), 4);
    weft__map_api.release(&p);
}

/* The derivatives of the table against differences. */
static void derivatives(void **state)
{
    static const double point[3] = { 0.7, 1.9, 2.6 };
    const double h = 1e-6;
    const weft_map_fn *fn;
    (void)state;
    for (uint32_t row = 0; (fn = weft__map_row(row)) != NULL; row++)
        for (int k = 0; k < fn->arity; k++) {
            char expr[64];
            double x[18] = { point[0], point[1], point[2] }, low, high, r;
            if (!fn->derivative[k]) continue;
            sprintf(expr, "%s(%s)", fn->name,
                    fn->arity == 1   ? "a"
                    : fn->arity == 2 ? "a,b"
                                     : "a,b,c");
            r = eval64(expr, x, 3);
            x[k] = point[k] + h;
            high = eval64(expr, x, 3);
            x[k] = point[k] - h;
            low = eval64(expr, x, 3);
            x[k] = point[k];
            /* r is the result: given as the fourth input */
            char text[128];
            strcpy(text, fn->derivative[k]);
            for (char *c = text; *c; c++)
                if (*c == 'r' && (c == text || !(c[-1] >= 'a' && c[-1] <= 'z')) &&
                    !(c[1] >= 'a' && c[1] <= 'z'))
                    *c = 'd';
            double in[4] = { point[0], point[1], point[2], r };
            double got = eval64(text, in, 4), want = (high - low) / (2 * h);
            if (fabs(got - want) > 1e-5 * (1 + fabs(want)))
                fail_msg("d %s / d %c: %s gives %g, the difference is %g", expr, 'a' + k, text, got,
                         want);
        }
}

static void shared_parts(void **state)
{
    const weft_dtype f32 = WEFT_F32;
    weft_map_program *p = NULL;
    (void)state;
    assert_int_equal(weft__map_api.parse(NULL, "tanh(a)*tanh(a)+tanh(a)", &f32, 1, 0, &p), WEFT_OK);
    assert_int_equal(p->n_ins, 4);
    weft__map_api.release(&p);
    assert_int_equal(weft__map_api.parse(NULL, "f32(a)", &f32, 1, WEFT_F32, &p), WEFT_OK);
    assert_int_equal(p->n_ins, 1);
    weft__map_api.release(&p);
}

/* The result may lie on an input of its dtype. */
static void in_place(void **state)
{
    static float x[1000], y[1000];
    const weft_dtype in[] = { WEFT_F32, WEFT_F32 };
    const void *const at[] = { x, y };
    weft_map_program *p = NULL;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        x[i] = (float)i;
        y[i] = (float)(3 * i);
    }
    assert_int_equal(weft__map_api.parse(NULL, "max(a+b,0)*a-b", in, 2, 0, &p), WEFT_OK);
    weft__map_api.eval(p, 1000, at, x);
    for (int i = 0; i < 1000; i++)
        assert_true(x[i] == (float)(4 * i) * (float)i - (float)(3 * i));
    weft__map_api.release(&p);
}

static weft_map_program *common;
static void *evaluate_often(void *user)
{
    static const size_t n = 700;
    float x[700], y[700];
    const void *in = x;
    size_t *wrong = user;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i + (float)(uintptr_t)*wrong;
    *wrong = 0;
    for (int k = 0; k < 200; k++) {
        weft__map_api.eval(common, n, &in, y);
        for (size_t i = 0; i < n; i++)
            *wrong += y[i] != (x[i] * 2 + 1 > 700 ? x[i] : -x[i] * 0.5f);
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t thread[4];
    size_t wrong[4] = { 0, 100, 200, 300 };
    const weft_dtype f32 = WEFT_F32;
    (void)state;
    assert_int_equal(weft__map_api.parse(NULL, "select(a*2+1>700,a,-a*0.5)", &f32, 1, 0, &common),
                     WEFT_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, evaluate_often, &wrong[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    weft__map_api.release(&common);
}

static void check_f64(const char *expr, weft_dtype a, weft_dtype b, const char *want)
{
    const weft_dtype in[] = { a, b };
    weft__text text = { 0 };
    assert_int_equal(weft__map_to_f64(expr, in, 2, &text), WEFT_OK);
    assert_string_equal(text.s, want);
    weft__text_finish(&text);
}

static void to_f64(void **state)
{
    (void)state;
    check_f64("a+b", WEFT_F32, WEFT_F32, "a+b");
    check_f64("f32(a)*b", WEFT_I32, WEFT_F32, "f64(a)*b");
    check_f64("a/b", WEFT_I32, WEFT_I32, "a/f64(b)");
    check_f64("a*0.5", WEFT_I32, WEFT_I32, "f64(a)*0.5");
    check_f64("exp(a)+b", WEFT_I64, WEFT_F32, "exp(f64(a))+b");
    check_f64("select(a,b,0.5)", WEFT_BOOL, WEFT_I32, "select(a,f64(b),0.5)");
    check_f64("a*2", WEFT_I32, WEFT_I32, "a*2");
    check_f64("f64(a)", WEFT_I32, WEFT_I32, "f64(a)");
}

/* The n-th allocation fails: an error, and nothing is lost. */
static void allocation_failures(void **state)
{
    const weft_dtype in[] = { WEFT_F32, WEFT_I32 };
    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        size_t live = weft__alloc_live();
        weft_map_program *p = NULL;
        weft__text text = { 0 };
        weft__alloc_fail_at(n);
        const char *with[] = { "tanh(a)*b", "c+1" };
        weft_status st = weft__map_api.parse(NULL, "max(a+b,0)*tanh(a)", in, 2, 0, &p);
        if (!st) st = weft__map_substitute("a*b+a", with, 2, &text);
        if (!st) st = weft__map_to_f64("a/b", in, 2, &text);
        weft__alloc_fail_at(0);
        weft__map_api.release(&p);
        weft__text_finish(&text);
        assert_int_equal(weft__alloc_live(), live);
        if (!st) {
            assert_true(n > 5);
            return;
        }
        assert_int_equal(st, WEFT_E_NOMEM);
    }
    fail_msg("more than 100 allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical),      cmocka_unit_test(refused),
        cmocka_unit_test(limits),         cmocka_unit_test(round_trips),
        cmocka_unit_test(substitution),   cmocka_unit_test(typing),
        cmocka_unit_test(weak_precision), cmocka_unit_test(against_libm),
        cmocka_unit_test(special_values), cmocka_unit_test(integers),
        cmocka_unit_test(ends_of_range),  cmocka_unit_test(small_types),
        cmocka_unit_test(derivatives),    cmocka_unit_test(shared_parts),
        cmocka_unit_test(in_place),       cmocka_unit_test(threads),
        cmocka_unit_test(to_f64),         cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
