/* A session from inside: for predict, which is session.c's other half. */
#ifndef WEFT_PLAN_SESSION_H
#define WEFT_PLAN_SESSION_H
#include <pthread.h>
#include <weft/session.h>
#include "plan/plan.h"

typedef struct weft__session_plan {
    weft_spec *inputs;
    weft__plan *plan;
    uint64_t used;
} weft__session_plan;
enum { WEFT__SESSION_PLANS = 64 }; /* the least recently used one goes first */
struct weft_session {
    weft_model *model; /* a reference of its own */
    weft__devices *devices;
    weft__plan_options options;
    /* Held while a plan runs, and by whoever pulls assigned variables home from another thread. */
    pthread_mutex_t lock;
    int holds; /* its runs assign variables: it is the model's holder */
    weft__session_plan plan[WEFT__SESSION_PLANS];
    uint32_t n_plans;
    weft__plan *last; /* of the last run */
    int64_t last_batch;
    uint64_t runs, clock, prologue_runs; /* prologue_runs: of plans that are gone */
};
/* Runs a plan of the session. */
weft_status weft__session_run(weft_session *session, weft__plan *plan, const weft__plan_call *call);
/* Becomes the holder of the model's variables: before a plan that assigns some may run. */
weft_status weft__session_hold(weft_session *session);
/* Checks the arrays; the plan for their unknown dimensions, made if need be. */
weft_status weft__session_resolve(weft_session *session, const weft_array *const *inputs,
                                  uint32_t n_inputs, weft__plan **plan, int64_t *batch);
#endif
