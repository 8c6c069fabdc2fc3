/* What the tests of training share: devices, sessions that train, and the forward part of a
 * training step, whose results a session does not hand out. */
#ifndef WEFT_TESTS_TRAIN_HARNESS_H
#define WEFT_TESTS_TRAIN_HARNESS_H
#include <weft/weft.h>
#include "near.h"
#include "plan/plan.h"

extern weft_context *train_ctx;     /* made by train_setup */
extern const char *train_device[3]; /* "cpu", "opencl:0" if it is there, NULL */
int train_setup(void **state);
int train_teardown(void **state);

/* A model to be built, with that seed; and ended. Failures end the test, here and below. */
weft_model *train_model(const char *name, uint64_t seed);
weft_model *train_finished(weft_model *model);
weft_session *train_compiled(weft_model *model, const char *device, const char *attrs);
/* One input, one output. logs may be NULL. */
void train_step(weft_session *session, const weft_array *x, const weft_array *y, weft_logs *logs);
weft_array *train_predict(weft_session *session, const weft_array *x);
/* Variable `name` of the model, by its path. */
uint32_t train_variable(const weft_model *model, const char *name);
/* Its float32 values. */
void train_read(const weft_model *model, const char *name, float *values);
void train_write(weft_model *model, const char *name, const float *values);
uint64_t train_builds(const weft_session *session);
uint64_t train_prologues(const weft_session *session);
/* An array of float32 over the caller's memory. */
weft_array train_array(float *data, weft_spec spec);
#define F32(...)                                                     \
    (weft_spec)                                                      \
    {                                                                \
        WEFT_F32, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / 8), \
        {                                                            \
            __VA_ARGS__                                              \
        }                                                            \
    }

/* The model's outputs as a step of training computes them. Each run counts as a step. */
typedef struct forward {
    weft_model *model; /* borrowed */
    weft__devices *devices;
    weft__plan *plan;
} forward;
void forward_open(forward *f, weft_model *model, const char *device);
void forward_close(forward *f);
/* outputs: as many as the model has, made. */
void forward_run(forward *f, const weft_array *x, weft_array **outputs);
#endif
