/* sum, prod, max, min, argmax, argmin over blocks of doubles or int64s (see fold.h). Runs keep
 * many partial results, so that they vectorise without leave to reorder, and a sum's rounding
 * grows slower. NaN wins max, min, argmax and argmin; of equal ones argmax and argmin keep the
 * first. */
#include "fold.h"
#include <math.h>
#include <string.h>

#define LANES 32

#define ADD(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define LARGER(a, b) ((((b) > (a)) | ((b) != (b))) ? (b) : (a)) /* `|`: || would not vectorise */
#define SMALLER(a, b) ((((b) < (a)) | ((b) != (b))) ? (b) : (a))

#define PLAIN_FOLD(name, T, F, START)                                                         \
    static void name##_line(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at) \
    {                                                                                         \
        T *a = acc;                                                                           \
        const T *b = v;                                                                       \
        (void)where;                                                                          \
        (void)at;                                                                             \
        for (uint64_t i = 0; i < n; i++)                                                      \
            a[i] = F(a[i], b[i]);                                                             \
    }                                                                                         \
    static void name##_join(uint64_t n, void *acc, int64_t *where, const void *v,             \
                            const int64_t *where2)                                            \
    {                                                                                         \
        (void)where2;                                                                         \
        name##_line(n, acc, where, v, 0);                                                     \
    }                                                                                         \
    static void name##_run(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at)  \
    {                                                                                         \
        T *a = acc, lane[LANES];                                                              \
        const T *b = v;                                                                       \
        uint64_t i = 0;                                                                       \
        for (int j = 0; j < LANES; j++)                                                       \
            lane[j] = START;                                                                  \
        for (; i + LANES <= n; i += LANES) {                                                  \
            for (int j = 0; j < LANES; j++)                                                   \
                lane[j] = F(lane[j], b[i + (uint64_t)j]);                                     \
        }                                                                                     \
        for (; i < n; i++)                                                                    \
            lane[i % LANES] = F(lane[i % LANES], b[i]);                                       \
        for (int j = 0; j < LANES; j++)                                                       \
            *a = F(*a, lane[j]);                                                              \
        (void)where;                                                                          \
        (void)at;                                                                             \
    }

/* BEATS(a, b): does b, which comes later, replace a? */
#define ABOVE(a, b) ((b) > (a) || ((b) != (b) && (a) == (a)))
#define BELOW(a, b) ((b) < (a) || ((b) != (b) && (a) == (a)))

#define ARG_FOLD(name, T, BEATS)                                                              \
    static void name##_line(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at) \
    {                                                                                         \
        T *a = acc;                                                                           \
        const T *b = v;                                                                       \
        for (uint64_t i = 0; i < n; i++) {                                                    \
            int beats = BEATS(a[i], b[i]);                                                    \
            a[i] = beats ? b[i] : a[i];                                                       \
            where[i] = beats ? at : where[i];                                                 \
        }                                                                                     \
    }                                                                                         \
    static void name##_join(uint64_t n, void *acc, int64_t *where, const void *acc2,          \
                            const int64_t *where2)                                            \
    {                                                                                         \
        for (uint64_t i = 0; i < n; i++)                                                      \
            name##_line(1, (T *)acc + i, where + i, (const T *)acc2 + i, where2[i]);          \
    }                                                                                         \
    static void name##_run(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at)  \
    {                                                                                         \
        for (uint64_t i = 0; i < n; i++)                                                      \
            name##_line(1, acc, where, (const T *)v + i, at + (int64_t)i);                    \
    }

PLAIN_FOLD(sum_f, double, ADD, -0.0)
PLAIN_FOLD(prod_f, double, TIMES, 1)
PLAIN_FOLD(max_f, double, LARGER, -INFINITY)
PLAIN_FOLD(min_f, double, SMALLER, INFINITY)
PLAIN_FOLD(sum_i, uint64_t, ADD, 0) /* unsigned: integers wrap */
PLAIN_FOLD(prod_i, uint64_t, TIMES, 1)
PLAIN_FOLD(max_i, int64_t, LARGER, INT64_MIN)
PLAIN_FOLD(min_i, int64_t, SMALLER, INT64_MAX)
ARG_FOLD(argmax_f, double, ABOVE)
ARG_FOLD(argmin_f, double, BELOW)
ARG_FOLD(argmax_i, int64_t, ABOVE)
ARG_FOLD(argmin_i, int64_t, BELOW)

#define ROW(fn, name, integers, where, f, i)                            \
    {                                                                   \
        fn, integers, where, f, i, name##_line, name##_run, name##_join \
    }
static const cpu_fold folds[] = {
    ROW("sum", sum_f, 0, 0, 0, 0),
    ROW("sum", sum_i, 1, 0, 0, 0),
    ROW("mean", sum_f, 0, 0, 0, 0),
    ROW("prod", prod_f, 0, 0, 1, 1),
    ROW("prod", prod_i, 1, 0, 1, 1),
    ROW("max", max_f, 0, 0, -INFINITY, 0),
    ROW("max", max_i, 1, 0, 0, INT64_MIN),
    ROW("min", min_f, 0, 0, INFINITY, 0),
    ROW("min", min_i, 1, 0, 0, INT64_MAX),
    ROW("any", max_i, 1, 0, 0, 0),
    ROW("all", min_i, 1, 0, 0, 1),
    ROW("argmax", argmax_f, 0, 1, -INFINITY, 0),
    ROW("argmax", argmax_i, 1, 1, 0, INT64_MIN),
    ROW("argmin", argmin_f, 0, 1, INFINITY, 0),
    ROW("argmin", argmin_i, 1, 1, 0, INT64_MAX),
};

const cpu_fold *cpu_fold_find(const char *fn, int integers)
{
    for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++) {
        if (!strcmp(folds[i].fn, fn) && folds[i].integers == integers) return &folds[i];
    }
    return NULL;
}

void cpu_fold_start(const cpu_fold *fold, uint64_t n, void *acc, int64_t *where)
{
    for (uint64_t i = 0; i < n; i++) {
        if (fold->integers)
            ((int64_t *)acc)[i] = fold->start_i;
        else
            ((double *)acc)[i] = fold->start_f;
        where[i] = 0;
    }
}

/* ---- dtypes ---- */

#define CONVERT(T, S, EXPR)              \
    do {                                 \
        const S *s_ = src;               \
        T *d_ = dst;                     \
        for (uint64_t i = 0; i < n; i++) \
            d_[i] = EXPR;                \
    } while (0)

static void to_doubles(weft_dtype dtype, uint64_t n, const void *src, void *dst)
{
    switch (dtype) {
    case WEFT_F32: CONVERT(double, float, s_[i]); break;
    case WEFT_I32: CONVERT(double, int32_t, s_[i]); break;
    case WEFT_I64: CONVERT(double, int64_t, (double)s_[i]); break;
    default: CONVERT(double, uint8_t, s_[i]); break;
    }
}

static void to_integers(weft_dtype dtype, uint64_t n, const void *src, void *dst)
{
    if (dtype == WEFT_I32)
        CONVERT(int64_t, int32_t, s_[i]);
    else
        CONVERT(int64_t, uint8_t, s_[i]);
}

const void *cpu_widen(weft_dtype dtype, const cpu_fold *fold, uint64_t n, const void *src, void *v)
{
    if (dtype == (fold->integers ? WEFT_I64 : WEFT_F64)) return src;
    if (fold->integers)
        to_integers(dtype, n, src, v);
    else
        to_doubles(dtype, n, src, v);
    return v;
}

const void *cpu_truths(weft_dtype dtype, uint64_t n, const void *src, void *dst)
{
    switch (dtype) {
    case WEFT_F32: CONVERT(int64_t, float, s_[i] != 0); break;
    case WEFT_F64: CONVERT(int64_t, double, s_[i] != 0); break;
    case WEFT_I32: CONVERT(int64_t, int32_t, s_[i] != 0); break;
    case WEFT_I64: CONVERT(int64_t, int64_t, s_[i] != 0); break;
    default: CONVERT(int64_t, uint8_t, s_[i] != 0); break;
    }
    return dst;
}

void cpu_narrow(weft_dtype dtype, const cpu_fold *fold, uint64_t n, const void *src, void *dst)
{
    if (!fold->integers) {
        if (dtype == WEFT_F32)
            CONVERT(float, double, (float)s_[i]);
        else
            CONVERT(double, double, s_[i]);
        return;
    }
    switch (dtype) {
    case WEFT_F32: CONVERT(float, int64_t, (float)s_[i]); break;
    case WEFT_F64: CONVERT(double, int64_t, (double)s_[i]); break;
    case WEFT_I32: CONVERT(int32_t, uint64_t, (int32_t)(uint32_t)s_[i]); break;
    case WEFT_I64: CONVERT(int64_t, int64_t, s_[i]); break;
    case WEFT_BOOL: CONVERT(uint8_t, int64_t, s_[i] != 0); break;
    default: CONVERT(uint8_t, uint64_t, (uint8_t)s_[i]); break;
    }
}
