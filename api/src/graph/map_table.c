/* The functions of elementwise expressions: one row each, which is all that there is to know about
 * one. The loops are plain, so that the compiler vectorises them; dst may be an operand, element
 * for element. */
#include "graph/map_table.h"
#include <math.h>
#include <string.h>
#include "graph/map.h"

/* Elements do not depend on each other, whether or not dst is an operand. CMake compiles this file
 * with -fno-math-errno and -fno-trapping-math: nobody reads errno or the exceptions' flags, which
 * would keep loops scalar. */
#if defined(__GNUC__) && !defined(__clang__)
#define SIMD _Pragma("GCC ivdep")
#else
#define SIMD
#endif

/* dst[i] = VALUE over x (= a[i]), y and z. Reading b and c is left out where the arity does not
 * have them. */
#define LOOP1(fn, T, VALUE)                                              \
    static void fn(size_t n, T *dst, const T *a, const T *b, const T *c) \
    {                                                                    \
        (void)b;                                                         \
        (void)c;                                                         \
        SIMD for (size_t i = 0; i < n; i++)                              \
        {                                                                \
            T x = a[i];                                                  \
            dst[i] = (T)(VALUE);                                         \
        }                                                                \
    }
#define LOOP2(fn, T, VALUE)                                              \
    static void fn(size_t n, T *dst, const T *a, const T *b, const T *c) \
    {                                                                    \
        (void)c;                                                         \
        SIMD for (size_t i = 0; i < n; i++)                              \
        {                                                                \
            T x = a[i], y = b[i];                                        \
            dst[i] = (T)(VALUE);                                         \
        }                                                                \
    }
#define LOOP3(fn, T, VALUE)                                              \
    static void fn(size_t n, T *dst, const T *a, const T *b, const T *c) \
    {                                                                    \
        SIMD for (size_t i = 0; i < n; i++)                              \
        {                                                                \
            T x = a[i], y = b[i], z = c[i];                              \
            dst[i] = (T)(VALUE);                                         \
        }                                                                \
    }
/* Functions of floats alone: VALUE32 and VALUE64. */
#define FLOATS(loop, fn, VALUE32, VALUE64) \
    loop(fn##_f32, float, VALUE32) loop(fn##_f64, double, VALUE64)
/* The same text for floats, another for integers. */
#define NUMBERS(loop, fn, VALUE, INTEGER) \
    FLOATS(loop, fn, VALUE, VALUE) loop(fn##_i64, int64_t, INTEGER)

/* Integers wrap: computed unsigned, where overflow is defined. */
#define U(v) ((uint64_t)(v))

static int64_t mod_i64(int64_t x, int64_t y)
{
    if (y == 0 || y == -1) return 0;
    int64_t r = x % y;
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static int64_t pow_i64(int64_t x, int64_t y)
{
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    uint64_t r = 1, base = U(x);
    for (; y; y >>= 1, base *= base)
        if (y & 1) r *= base;
    return (int64_t)r;
}

/* numpy.mod: the sign of the divisor, also on zero. */
static double mod_f64(double x, double y)
{
    double r = fmod(x, y);
    if (r == 0) return copysign(0.0, y);
    return (r < 0) != (y < 0) ? r + y : r;
}

static float mod_f32(float x, float y)
{
    float r = fmodf(x, y);
    if (r == 0) return copysignf(0.0f, y);
    return (r < 0) != (y < 0) ? r + y : r;
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp, tanh and sigmoid of f32 without calls and branches, so that loops over them are vectorised.
 * exp(x) = 2^n exp(r), |r| <= ln2/2, where the Taylor series to r^7/7! is exact to 5e-9; 2^n is
 * made in two steps, as it may be subnormal. Within 2 ulp; NaN stays. */
static inline float exp_one(float x)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    x = x < -104 ? -104 : x;
    x = x > 89 ? 89 : x;
    float t = x * 1.44269504f + round;
    uint32_t n = bits_of(t) - bits_of(round) + 256, half = n / 2;
    float k = t - round;
    float r = x - k * 0x1.62ep-1f - k * 0x1.0bfbe8p-15f;
    float s = 1 / 720.f + r * (1 / 5040.f);
    s = 0.5f + r * (1 / 6.f + r * (1 / 24.f + r * (1 / 120.f + r * s)));
    s = 1 + (r + r * r * s);
    return s * float_of((half - 1) << 23) * float_of((n - half - 1) << 23);
}

/* Lambert's continued fraction near 0, where 1 - 2 / (exp(2x) + 1) would cancel. */
static inline float tanh_one(float x)
{
    float a = fabsf(x), s = x * x;
    float near = x * (10395 + s * (1260 + s * 21)) / (10395 + s * (4725 + s * (210 + s)));
    float far = copysignf(1 - 2 / (exp_one(a + a) + 1), x);
    return a < 0.6f ? near : far;
}

/* exp of a negative number alone: it cannot overflow. */
static inline float sigmoid_one(float x)
{
    float e = exp_one(-fabsf(x));
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static double sigmoid_f64(double x)
{
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

/* log(1 + exp(x)). A function of its own, because the derivative of max(x, 0) + log1p(exp(-|x|)) is
 * made of two with a jump at 0, which do not add up to the half that it is there. */
static inline float softplus_one(float x)
{
    return (x < 0 ? 0 : x) + log1pf(exp_one(-fabsf(x)));
}

static double softplus_wide(double x)
{
    return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
}

/* NaN in any operand gives NaN, as in Keras: fmax would drop it. A comparison with NaN is false, so
 * y is there already if it is one. */
#define MAX(x, y) ((x) != (x) ? (x) : (x) > (y) ? (x) : (y))
#define MIN(x, y) ((x) != (x) ? (x) : (x) < (y) ? (x) : (y))

NUMBERS(LOOP1, neg, -x, 0 - U(x))
FLOATS(LOOP1, abs, fabsf(x), fabs(x))
LOOP1(abs_i64, int64_t, x < 0 ? 0 - U(x) : U(x))
NUMBERS(LOOP1, sign, x != x ? x : (x > 0) - (x < 0), (x > 0) - (x < 0))
FLOATS(LOOP1, exp, exp_one(x), exp(x))
FLOATS(LOOP1, log, logf(x), log(x))
FLOATS(LOOP1, log1p, log1pf(x), log1p(x))
FLOATS(LOOP1, expm1, expm1f(x), expm1(x))
FLOATS(LOOP1, sqrt, sqrtf(x), sqrt(x))
FLOATS(LOOP1, rsqrt, 1 / sqrtf(x), 1 / sqrt(x))
FLOATS(LOOP1, sin, sinf(x), sin(x))
FLOATS(LOOP1, cos, cosf(x), cos(x))
FLOATS(LOOP1, tanh, tanh_one(x), tanh(x))
FLOATS(LOOP1, sigm, sigmoid_one(x), sigmoid_f64(x))
FLOATS(LOOP1, softplus, softplus_one(x), softplus_wide(x))
FLOATS(LOOP1, erf, erff(x), erf(x))
FLOATS(LOOP1, floor, floorf(x), floor(x))
FLOATS(LOOP1, ceil, ceilf(x), ceil(x))
FLOATS(LOOP1, round, rintf(x), rint(x))
LOOP1(same_i64, int64_t, x)
FLOATS(LOOP1, recip, 1 / x, 1 / x)
NUMBERS(LOOP1, square, x *x, U(x) * U(x))
NUMBERS(LOOP2, add, x + y, U(x) + U(y))
NUMBERS(LOOP2, sub, x - y, U(x) - U(y))
NUMBERS(LOOP2, mul, x *y, U(x) * U(y))
FLOATS(LOOP2, div, x / y, x / y)
FLOATS(LOOP2, power, powf(x, y), pow(x, y))
LOOP2(power_i64, int64_t, pow_i64(x, y))
NUMBERS(LOOP2, max, MAX(x, y), x > y ? x : y)
NUMBERS(LOOP2, min, MIN(x, y), x < y ? x : y)
FLOATS(LOOP2, modulo, mod_f32(x, y), mod_f64(x, y))
LOOP2(modulo_i64, int64_t, mod_i64(x, y))
NUMBERS(LOOP2, eq, x == y, x == y)
NUMBERS(LOOP2, ne, x != y, x != y)
NUMBERS(LOOP2, lt, x < y, x < y)
NUMBERS(LOOP2, le, x <= y, x <= y)
NUMBERS(LOOP2, gt, x > y, x > y)
NUMBERS(LOOP2, ge, x >= y, x >= y)
NUMBERS(LOOP2, both, (x != 0) & (y != 0), (x != 0) & (y != 0))
NUMBERS(LOOP2, either, (x != 0) | (y != 0), (x != 0) | (y != 0))
NUMBERS(LOOP1, none, x == 0, x == 0)
NUMBERS(LOOP3, select, x != 0 ? y : z, x != 0 ? y : z)

static inline float clip_f32_one(float x, float low, float high)
{
    float a = x > low ? x : low;
    float b = a < high ? a : high;
    float c = low != low ? low : b;
    return x != x ? x : c;
}

static inline double clip_f64_one(double x, double low, double high)
{
    double a = x > low ? x : low;
    double b = a < high ? a : high;
    double c = low != low ? low : b;
    return x != x ? x : c;
}

static inline int64_t clip_i64_one(int64_t x, int64_t low, int64_t high)
{
    int64_t v = x > low ? x : low;
    return v < high ? v : high;
}

FLOATS(LOOP3, clip, clip_f32_one(x, y, z), clip_f64_one(x, y, z))
LOOP3(clip_i64, int64_t, clip_i64_one(x, y, z))

#define FLOAT_FN WEFT_MAP_FLOAT
#define COSTLY (WEFT_MAP_FLOAT | WEFT_MAP_COSTLY)
#define ANY_FN(fn) fn##_f32, fn##_f64, fn##_i64
#define FLOATS_FN(fn) fn##_f32, fn##_f64, NULL

/* name, infix, arity, flags, OpenCL C, evaluators, derivatives. Where a function has a kink, the
 * derivative is the one that Keras's backends give: 0 of relu at 0, 1 of clip at its bounds. What
 * the result tells is read from it, so that a relu needs to keep no input for its gradient. */
static const weft_map_fn table[] = {
    { "neg", "-", 1, 0, "(-$0)", ANY_FN(neg), { "-1" } },
    { "abs", NULL, 1, 0, "weft_abs_$T($0)", ANY_FN(abs), { "sign(a)" } },
    { "sign", NULL, 1, 0, "weft_sign_$T($0)", ANY_FN(sign), { NULL } },
    { "exp", NULL, 1, COSTLY, "exp($0)", FLOATS_FN(exp), { "r" } },
    { "log", NULL, 1, COSTLY, "log($0)", FLOATS_FN(log), { "1/a" } },
    { "log1p", NULL, 1, COSTLY, "log1p($0)", FLOATS_FN(log1p), { "1/(a+1)" } },
    { "expm1", NULL, 1, COSTLY, "expm1($0)", FLOATS_FN(expm1), { "r+1" } },
    { "sqrt", NULL, 1, COSTLY, "sqrt($0)", FLOATS_FN(sqrt), { "0.5/r" } },
    { "rsqrt", NULL, 1, COSTLY, "weft_rsqrt_$T($0)", FLOATS_FN(rsqrt), { "-0.5*r/a" } },
    { "sin", NULL, 1, COSTLY, "sin($0)", FLOATS_FN(sin), { "cos(a)" } },
    { "cos", NULL, 1, COSTLY, "cos($0)", FLOATS_FN(cos), { "-sin(a)" } },
    { "tanh", NULL, 1, COSTLY, "tanh($0)", FLOATS_FN(tanh), { "1-square(r)" } },
    { "sigmoid", NULL, 1, COSTLY, "weft_sigmoid_$T($0)", FLOATS_FN(sigm), { "r*(1-r)" } },
    { "softplus", NULL, 1, COSTLY, "weft_softplus_$T($0)", FLOATS_FN(softplus), { "sigmoid(a)" } },
    { "erf", NULL, 1, COSTLY, "erf($0)", FLOATS_FN(erf), { "1.1283791670955126*exp(-square(a))" } },
    { "floor", NULL, 1, 0, "weft_floor_$T($0)", floor_f32, floor_f64, same_i64, { NULL } },
    { "ceil", NULL, 1, 0, "weft_ceil_$T($0)", ceil_f32, ceil_f64, same_i64, { NULL } },
    { "round", NULL, 1, 0, "weft_round_$T($0)", round_f32, round_f64, same_i64, { NULL } },
    { "recip", NULL, 1, FLOAT_FN, "(($T)1 / $0)", FLOATS_FN(recip), { "-square(r)" } },
    { "square", NULL, 1, 0, "weft_square_$T($0)", ANY_FN(square), { "2*a" } },
    { "add", "+", 2, 0, "($0 + $1)", ANY_FN(add), { "1", "1" } },
    { "sub", "-", 2, 0, "($0 - $1)", ANY_FN(sub), { "1", "-1" } },
    { "mul", "*", 2, 0, "($0 * $1)", ANY_FN(mul), { "b", "a" } },
    { "div", "/", 2, FLOAT_FN, "($0 / $1)", FLOATS_FN(div), { "1/b", "-r/b" } },
    { "pow",
      NULL,
      2,
      WEFT_MAP_COSTLY,
      "weft_pow_$T($0, $1)",
      ANY_FN(power),
      { "b*pow(a,b-1)", "select(a>0,r*log(a),0)" } },
    { "max", NULL, 2, 0, "weft_max_$T($0, $1)", ANY_FN(max), { "r>b", "r<=b" } },
    { "min", NULL, 2, 0, "weft_min_$T($0, $1)", ANY_FN(min), { "r<b", "r>=b" } },
    { "mod", NULL, 2, 0, "weft_mod_$T($0, $1)", ANY_FN(modulo), { "1", "-floor(a/b)" } },
    { "eq", "==", 2, WEFT_MAP_COMPARE, "($0 == $1)", ANY_FN(eq), { NULL } },
    { "ne", "!=", 2, WEFT_MAP_COMPARE, "($0 != $1)", ANY_FN(ne), { NULL } },
    { "lt", "<", 2, WEFT_MAP_COMPARE, "($0 < $1)", ANY_FN(lt), { NULL } },
    { "le", "<=", 2, WEFT_MAP_COMPARE, "($0 <= $1)", ANY_FN(le), { NULL } },
    { "gt", ">", 2, WEFT_MAP_COMPARE, "($0 > $1)", ANY_FN(gt), { NULL } },
    { "ge", ">=", 2, WEFT_MAP_COMPARE, "($0 >= $1)", ANY_FN(ge), { NULL } },
    { "and", NULL, 2, WEFT_MAP_LOGICAL, "($0 && $1)", ANY_FN(both), { NULL } },
    { "or", NULL, 2, WEFT_MAP_LOGICAL, "($0 || $1)", ANY_FN(either), { NULL } },
    { "not", NULL, 1, WEFT_MAP_LOGICAL, "(!$0)", ANY_FN(none), { NULL } },
    { "select",
      NULL,
      3,
      0,
      "($0 != ($T)0 ? $1 : $2)",
      ANY_FN(select),
      { NULL, "bool(a)", "not(a)" } },
    { "clip",
      NULL,
      3,
      0,
      "weft_clip_$T($0, $1, $2)",
      ANY_FN(clip),
      { "and(a>=b,a<=c)", "and(a<b,b<=c)", "or(a>c,b>c)" } },
};
enum { ROWS = sizeof table / sizeof *table };

static const struct {
    const char *name;
    weft_dtype dtype;
} casts[] = {
    { "f32", WEFT_F32 }, { "f64", WEFT_F64 }, { "i32", WEFT_I32 },
    { "i64", WEFT_I64 }, { "u8", WEFT_U8 },   { "bool", WEFT_BOOL },
};
enum { CASTS = sizeof casts / sizeof *casts };

static int same(const char *name, const char *text, size_t n)
{
    return strncmp(name, text, n) == 0 && name[n] == '\0';
}

const weft_map_fn *weft__map_find_n(const char *name, size_t n)
{
    for (size_t i = 0; i < ROWS; i++)
        if (same(table[i].name, name, n)) return &table[i];
    return NULL;
}

const weft_map_fn *weft__map_find(const char *name)
{
    return weft__map_find_n(name, strlen(name));
}

const weft_map_fn *weft__map_infix(const char *text, size_t n, int32_t arity)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].arity == arity && table[i].infix && same(table[i].infix, text, n))
            return &table[i];
    return NULL;
}

weft_dtype weft__map_cast(const char *name, size_t n)
{
    for (size_t i = 0; i < CASTS; i++)
        if (same(casts[i].name, name, n)) return casts[i].dtype;
    return 0;
}

const char *weft__map_cast_name(weft_dtype dtype)
{
    for (size_t i = 0; i < CASTS; i++)
        if (casts[i].dtype == dtype) return casts[i].name;
    return "?";
}

const weft_map_fn *weft__map_row(uint32_t i)
{
    return i < ROWS ? &table[i] : NULL;
}
