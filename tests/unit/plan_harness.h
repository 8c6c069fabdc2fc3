/* What the tests of the plan room share: graphs from op text, devices made by hand, and a backend
 * that runs everything on cpu but takes no more than it is told to. */
#ifndef WEFT_TESTS_PLAN_HARNESS_H
#define WEFT_TESTS_PLAN_HARNESS_H
#include "plan/plan.h"

typedef struct fake {    /* what the fake backend allows; reset by plan_devices() */
    uint32_t flags;      /* of WEFT_KERNEL_*, masks what cpu offers */
    const char *refused; /* ops that it does not run, between blanks: " conv gather " */
    int no_wrap;
    uint64_t compiles, runs, generations; /* counted; generations: runs with a new one */
    uint64_t fail_run;                    /* the n-th run from now fails; 0 = none */
    const char *wrong_op; /* the first element of its first result is multiplied by: */
    float wrong_by;
    int silent; /* runs nothing at all */
} fake;
extern fake fake_backend;

extern weft_context *plan_ctx; /* made by plan_setup */
int plan_setup(void **state);
int plan_teardown(void **state);

/* "cpu", "fake", "fake,cpu". */
weft__devices *plan_devices(const char *text);

/* A graph being built; failures end the test. */
typedef struct sketch {
    weft__graph *graph;
    weft_val v[64];
    uint32_t n;
} sketch;
void sketch_begin(sketch *s);
weft_val sketch_input(sketch *s, const char *name, int32_t rank, const int64_t *dim);
weft_val sketch_const(sketch *s, int32_t rank,
                      const int64_t *dim); /* counts up: 0, 1, 2 .. over 8 */
weft_val sketch_op(sketch *s, const char *path, const char *op, const char *attrs, uint32_t n,
                   const weft_val *in);
void sketch_output(sketch *s, weft_val value);
#define SHAPE(...)                                                                     \
    (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[]) \
    {                                                                                  \
        __VA_ARGS__                                                                    \
    }
#define ARGS(...)                                                                          \
    (uint32_t)(sizeof((weft_val[]){ __VA_ARGS__ }) / sizeof(weft_val)), (const weft_val[]) \
    {                                                                                      \
        __VA_ARGS__                                                                        \
    }

weft__plan *plan_make(const sketch *s, weft__devices *devices, const weft__plan_options *options);
/* Runs it on random inputs (seed) of that batch; outputs made. */
void plan_run_random(weft__plan *plan, int64_t batch, uint64_t seed, weft_array **outputs);
/* Runs the graph's plan on devices and, in f64 without views and fusing, on cpu: both must agree.
 */
void plan_agree(const sketch *s, weft__devices *devices, const weft__plan_options *options,
                int64_t batch);
/* Steps of a kind; of an op if op is not NULL. */
uint32_t plan_count(const weft__plan *plan, weft__step_kind kind, const char *op);
#endif
