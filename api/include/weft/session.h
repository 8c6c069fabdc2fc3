/* weft/session.h - runs a model on devices: a cache of plans and device copies of the model's
 * variables. */
#ifndef WEFT_SESSION_H
#define WEFT_SESSION_H
#include <weft/model.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_session weft_session;

/* devices: "opencl:0", "cpu", several in order of preference "opencl:1,opencl:0", or "best" (a GPU,
 * else cpu); cpu is appended unless strict.
 *
 * options: attribute text or NULL:
 *   strict=true     an op that the first device cannot run is an error, not a fallback
 *   dtype=float64   the reference mode: the model lowered with float64 for float32; cpu only
 *   fuse=false      no fusing, for looking closer
 *   views=false     every movement copies
 *
 * Threads: one thread at a time a session; many sessions a model. While one of them trains, a run
 * of another uses the weights of one step, none older than the last that was finished when it was
 * called. The model may be destroyed before. */
WEFT_EXPORT weft_status weft_session_create(weft_model *model, const char *devices,
                                            const char *options, weft_session **session);
WEFT_EXPORT void weft_session_destroy(weft_session **session);

/* Runs one batch. inputs in the model's order, shapes as the model's with one batch size for all,
 * dtypes equal or convertible without loss of kind; outputs[i] is either NULL, then an array is
 * created that the caller destroys, or an array of the right spec. Batch 0 gives empty outputs. On
 * failure nothing is created. */
WEFT_EXPORT weft_status weft_session_run(weft_session *session, const weft_array *const *inputs,
                                         uint32_t n_inputs, weft_array **outputs,
                                         uint32_t n_outputs);
/* Any number of samples in batches of batch_size (the last may be smaller). progress may be NULL.
 */
typedef void (*weft_progress_fn)(void *user, uint64_t done, uint64_t total);
WEFT_EXPORT weft_status weft_session_predict(weft_session *session, const weft_array *const *inputs,
                                             uint32_t n_inputs, weft_array **outputs,
                                             uint32_t n_outputs, uint64_t batch_size,
                                             weft_progress_fn progress, void *user);

/* Stages for people: WEFT_PLAN_GRAPH the graph as lowered; _PLACED with devices and reasons; _STEPS
 * the plan: prologue and body, what fused, views, `concat <name>: <n> bytes moved`, memory for that
 * batch size. */
typedef int32_t weft_plan_stage;
enum { WEFT_PLAN_GRAPH = 1, WEFT_PLAN_PLACED, WEFT_PLAN_STEPS };
WEFT_EXPORT weft_status weft_session_plan(weft_session *session, int64_t batch,
                                          weft_plan_stage stage, FILE *file);

typedef struct weft_session_stats {
    uint32_t struct_size, n_plans; /* plans in the cache: one a combination of unknown dimensions */
    uint64_t builds;               /* device programs compiled by this session */
    uint64_t prologue_runs, runs;
    uint64_t concat_bytes_moved; /* by the plan of the last run */
    uint64_t memory_bytes;       /* device memory held now */
    const char *device;          /* the first in order, "opencl:0"; as long as the session */
} weft_session_stats;
WEFT_EXPORT weft_status weft_session_get_stats(const weft_session *session,
                                               weft_session_stats *stats);
#ifdef __cplusplus
}
#endif
#endif
