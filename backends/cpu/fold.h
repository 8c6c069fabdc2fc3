/* The folds of reduce. They know two types, double and int64: every dtype is exact in one. */
#ifndef WEFT_CPU_FOLD_H
#define WEFT_CPU_FOLD_H
#include <weft/plugin.h>

typedef struct cpu_fold {
    const char *fn;          /* as in the attribute: "sum"; mean folds like sum */
    int32_t integers, where; /* on int64, else double; gives an index */
    double start_f;
    int64_t start_i;
    /* acc[i] = fold(acc[i], v[i]); v is element number `at` along the axis */
    void (*line)(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at);
    /* acc[0] = fold(acc[0], v[0], .., v[n - 1]), numbered from `at` */
    void (*run)(uint64_t n, void *acc, int64_t *where, const void *v, int64_t at);
    /* acc[i] = fold(acc[i], acc2[i]), whose elements come later along the axis */
    void (*join)(uint64_t n, void *acc, int64_t *where, const void *acc2, const int64_t *where2);
} cpu_fold;

/* NULL: unknown. any and all are max and min of truths (0 and 1). */
const cpu_fold *cpu_fold_find(const char *fn, int integers);
void cpu_fold_start(const cpu_fold *fold, uint64_t n, void *acc, int64_t *where);

/* n elements of a dtype as doubles or int64s, or as truths in int64: in v, or src itself. */
const void *cpu_widen(weft_dtype dtype, const cpu_fold *fold, uint64_t n, const void *src, void *v);
const void *cpu_truths(weft_dtype dtype, uint64_t n, const void *src, void *v);
/* And back: dst[i] = (dtype)v[i]; integers wrap. */
void cpu_narrow(weft_dtype dtype, const cpu_fold *fold, uint64_t n, const void *v, void *dst);
#endif
