/* What every benchmark does with time: read the clock, take the median of its repeats. */
#ifndef WEFT_BENCH_TIMING_H
#define WEFT_BENCH_TIMING_H
#include <stdlib.h>
#include <time.h>

/* Repeats of a measurement, at most. */
#define MAX_REPEATS 1000

/* Seconds of a clock that only goes forward. */
static inline double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The upper median; sorts the times. */
static inline double median(double *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, compare_doubles);
    return times[n / 2];
}

/* The program's argument `text`, or what stands for it: a number of repeats. */
static inline int repeats_of(const char *text, int otherwise)
{
    int n = text ? atoi(text) : otherwise;

    return n < 1 || n > MAX_REPEATS ? otherwise : n;
}
#endif
