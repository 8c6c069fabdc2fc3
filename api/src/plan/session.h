/* A session from inside: for predict, which is session.c's other half. */
#ifndef WEFT_PLAN_SESSION_H
#define WEFT_PLAN_SESSION_H
#include <pthread.h>
#include <weft/session.h>
#include "plan/plan.h"

/* What a plan is for. The room that trains makes the graphs of the last two, whose inputs are the
 * model's and then the targets. */
typedef enum { WEFT__PREDICT, WEFT__TRAIN, WEFT__EVALUATE } weft__purpose;
typedef struct weft__session_plan {
    weft__purpose purpose;
    weft_spec *inputs;
    uint32_t n_inputs;
    weft__plan *plan;
    uint64_t used;
} weft__session_plan;
enum { WEFT__SESSION_PLANS = 64 }; /* the least recently used one goes first */
struct weft_session {
    weft_model *model; /* a reference of its own */
    weft__devices *devices;
    weft__plan_options options;
    /* Held while a plan is made, runs or goes, which uses the devices and their copies, and by
     * whoever pulls assigned variables home from another thread. */
    pthread_mutex_t lock;
    int holds; /* its runs assign variables: it is the model's holder */
    /* Set when the session is compiled for training. */
    struct weft__trainer *trainer;
    weft_status (*make_graph)(weft_session *, weft__purpose, const weft_spec *inputs,
                              weft__graph **);
    void (*drop_trainer)(weft_session *);
    weft__session_plan plan[WEFT__SESSION_PLANS];
    uint32_t n_plans;
    weft__plan *last; /* of the last run */
    int64_t last_batch;
    uint64_t runs, clock, prologue_runs; /* prologue_runs: of plans that are gone */
};
/* The plan for that purpose and those specs, made if need be. */
weft_status weft__session_plan_for(weft_session *session, weft__purpose purpose,
                                   const weft_spec *inputs, uint32_t n_inputs, weft__plan **plan);
/* The graph of such a plan. */
weft_status weft__session_graph(weft_session *session, weft__purpose purpose,
                                const weft_spec *inputs, weft__graph **graph);
/* A plan for people. inputs: as the model has them; what is open there is as in the last run. */
typedef struct weft__print_request {
    weft__purpose purpose;
    const weft_spec *inputs;
    uint32_t n_inputs;
    int64_t batch;
    weft_plan_stage stage;
} weft__print_request;
weft_status weft__session_print(weft_session *session, const weft__print_request *request,
                                FILE *file);
/* Assigned variables come home. */
weft_status weft__session_pull(weft_session *session);
/* Forgets all plans. */
void weft__session_drop_plans(weft_session *session);
/* Runs a plan of the session. */
weft_status weft__session_run(weft_session *session, weft__plan *plan, const weft__plan_call *call);
/* Becomes the holder of the model's variables: before a plan that assigns some may run. */
weft_status weft__session_hold(weft_session *session);
/* Checks the arrays; the plan for their unknown dimensions, made if need be. */
weft_status weft__session_resolve(weft_session *session, const weft_array *const *inputs,
                                  uint32_t n_inputs, weft__plan **plan, int64_t *batch);
#endif
