/* Sessions: a model on devices. Plans are kept by what the unknown dimensions turned out to be;
 * the batch is no part of that, it stays symbolic. */
#include "plan/session.h"
#include <inttypes.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "plan/inputs.h"

static const weft_attr schema[] = {
    { "strict", WEFT_FLAG, 0, "false", NULL, "an op that the first device cannot run is an error" },
    { "dtype", WEFT_STRING, 0, "float32", "float32|float64",
      "float64: the reference mode, on cpu" },
    { "fuse", WEFT_FLAG, 0, "true", NULL,
      "join elementwise ops with each other and with what they follow" },
    { "views", WEFT_FLAG, 0, "true", NULL,
      "movement ops and concats cost nothing where strides allow" },
    { 0 },
};

static weft_status read_options(const char *text, weft__plan_options *options)
{
    weft__attrs *attrs = NULL, *full = NULL;
    weft_status st;
    if ((st = weft__attrs_parse(text, &attrs))) goto out;
    if ((st = weft__attrs_check(attrs, schema, "session options", &full))) goto out;
    *options = (weft__plan_options){ .strict = weft__attrs_i(full, "strict") != 0,
                                     .f64 = !strcmp(weft__attrs_s(full, "dtype"), "float64"),
                                     .simplify = 1,
                                     .fuse = weft__attrs_i(full, "fuse") != 0,
                                     .views = weft__attrs_i(full, "views") != 0 };
out:
    weft__attrs_destroy(&attrs);
    weft__attrs_destroy(&full);
    return st;
}

weft_status weft__session_graph(weft_session *session, weft__purpose purpose,
                                const weft_spec *inputs, weft__graph **graph)
{
    weft__graph *plain = NULL;
    const weft__lower_request request = { .inputs = inputs };
    if (purpose != WEFT__PREDICT) return session->make_graph(session, purpose, inputs, graph);
    if (!session->devices->pack) return weft__model_lower(session->model, &request, graph);
    weft_status st = weft__model_lower(session->model, &request, &plain);
    if (!st) st = weft__pack_apply(session->devices->pack, plain, NULL, 0, graph);
    weft__graph_destroy(&plain);
    return st;
}

static void drop_plan(weft_session *session, weft__session_plan *entry)
{
    if (session->last == entry->plan) session->last = NULL;
    if (entry->plan) session->prologue_runs += entry->plan->prologue_runs;
    weft__plan_destroy(&entry->plan);
    weft__free(entry->inputs);
    *entry = (weft__session_plan){ 0 };
}

/* A free entry; when all are taken, that of the plan not used for the longest time. */
static weft__session_plan *free_entry(weft_session *session)
{
    weft__session_plan *oldest = &session->plan[0];
    if (session->n_plans < WEFT__SESSION_PLANS) return &session->plan[session->n_plans++];
    for (uint32_t i = 1; i < session->n_plans; i++)
        if (session->plan[i].used < oldest->used) oldest = &session->plan[i];
    drop_plan(session, oldest);
    return oldest;
}

static weft_status make_plan(weft_session *session, const weft__session_plan *wanted,
                             weft__plan **result)
{
    weft__graph *graph = NULL;
    weft__session_plan made = *wanted;
    weft_status st = WEFT_E_NOMEM;
    if (!(made.inputs = weft__alloc_n(wanted->n_inputs, sizeof *made.inputs))) return st;
    if (wanted->n_inputs)
        memcpy(made.inputs, wanted->inputs, wanted->n_inputs * sizeof *made.inputs);
    if ((st = weft__session_graph(session, wanted->purpose, wanted->inputs, &graph))) goto out;
    if (graph->n_assigns && (st = weft__session_hold(session))) goto out;
    pthread_mutex_lock(&session->lock);
    st = weft__plan_create(graph, session->devices, &session->options, &made.plan);
    if (!st) {
        made.used = ++session->clock;
        *free_entry(session) = made;
        made.inputs = NULL;
        *result = made.plan;
    }
    pthread_mutex_unlock(&session->lock);
out:
    weft__graph_destroy(&graph);
    weft__free(made.inputs);
    return st;
}

static int same_plan(const weft__session_plan *a, const weft__session_plan *b)
{
    if (a->purpose != b->purpose || a->n_inputs != b->n_inputs) return 0;
    for (uint32_t i = 0; i < a->n_inputs; i++)
        if (!weft__spec_equal(&a->inputs[i], &b->inputs[i])) return 0;
    return 1;
}

weft_status weft__session_plan_for(weft_session *session, weft__purpose purpose,
                                   const weft_spec *inputs, uint32_t n_inputs, weft__plan **plan)
{
    /* only read, and copied by make_plan */
    const weft__session_plan wanted = { .purpose = purpose,
                                        .inputs = (weft_spec *)(uintptr_t)inputs,
                                        .n_inputs = n_inputs };
    for (uint32_t i = 0; i < session->n_plans; i++) {
        weft__session_plan *entry = &session->plan[i];
        if (!same_plan(entry, &wanted)) continue;
        entry->used = ++session->clock;
        *plan = entry->plan;
        return WEFT_OK;
    }
    return make_plan(session, &wanted, plan);
}

static weft_status find_plan(weft_session *session, const weft_spec *inputs, weft__plan **plan)
{
    return weft__session_plan_for(session, WEFT__PREDICT, inputs,
                                  weft_model_n_inputs(session->model), plan);
}

void weft__session_drop_plans(weft_session *session)
{
    for (uint32_t i = 0; i < session->n_plans; i++)
        drop_plan(session, &session->plan[i]);
    session->n_plans = 0;
}

/* Makes the plan of a model that leaves no dimension open, so that its errors come early. */
static weft_status plan_ahead(weft_session *session)
{
    uint32_t n = weft_model_n_inputs(session->model);
    weft__plan *plan;
    int known = 1;
    weft_spec *specs = weft__alloc_n(n, sizeof *specs);
    weft_status st = specs ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n && !st; i++) {
        st = weft_model_input(session->model, i, NULL, &specs[i]);
        for (int32_t k = 0; k < specs[i].rank; k++)
            if (specs[i].dim[k] == WEFT_ANY) known = 0;
    }
    if (!st && known) st = find_plan(session, specs, &plan);
    weft__free(specs);
    return st;
}

weft_status weft__session_pull(weft_session *session)
{
    pthread_mutex_lock(&session->lock);
    weft_status st = weft__devices_pull(session->devices, session->model);
    pthread_mutex_unlock(&session->lock);
    return st;
}

static weft_status pull(void *user)
{
    return weft__session_pull(user);
}

weft_status weft__session_hold(weft_session *session)
{
    if (session->holds) return WEFT_OK;
    weft_status st = weft__model_claim(session->model, &(weft__holder){ pull, session });
    session->holds = !st;
    return st;
}

weft_status weft__session_run(weft_session *session, weft__plan *plan, const weft__plan_call *call)
{
    weft__plan_call now = *call;
    /* in this order: a step that ends in between is noticed in the next run */
    now.generation = weft__model_generation(session->model);
    weft_status st = weft__model_pull(session->model, session);
    if (st) return st;
    pthread_mutex_lock(&session->lock);
    session->last = plan;
    session->last_batch = call->batch;
    session->runs++;
    st = weft__plan_run(plan, &now);
    pthread_mutex_unlock(&session->lock);
    return st;
}

weft_status weft_session_create(weft_model *model, const char *devices, const char *options,
                                weft_session **result)
{
    weft_status st = WEFT_E_NOMEM;
    if (!result) return weft_fail(WEFT_E_ARG, "weft_session_create: session is NULL");
    *result = NULL;
    if (!model) return weft_fail(WEFT_E_ARG, "weft_session_create: model is NULL");
    weft_session *session = weft__alloc(sizeof *session);
    if (!session) return st;
    session->model = weft__model_ref(model);
    pthread_mutex_init(&session->lock, NULL); /* a plain mutex cannot fail */
    if ((st = read_options(options, &session->options))) goto out;
    if (session->options.f64 && devices && *devices && strcmp(devices, "cpu") &&
        strcmp(devices, "cpu:0") && strcmp(devices, "best")) {
        st = weft_fail(
            WEFT_E_ARG,
            "dtype=float64 is the reference mode and runs on cpu alone, not on \"%s\"; give "
            "devices \"cpu\"",
            devices);
        goto out;
    }
    if ((st = weft__devices_open(weft__model_context(model), session->options.f64 ? "cpu" : devices,
                                 session->options.strict, &session->devices)))
        goto out;
    if ((st = plan_ahead(session))) goto out;
    *result = session;
    session = NULL;
out:
    weft_session_destroy(&session);
    return st;
}

void weft_session_destroy(weft_session **session)
{
    weft_session *old = session ? *session : NULL;
    if (!old) return;
    if (old->holds) {
        /* a value that cannot be read any more stays what it was; there is nobody to tell */
        weft__session_pull(old);
        weft__model_release(old->model, old);
    }
    weft__session_drop_plans(old);
    pthread_mutex_destroy(&old->lock);
    weft__devices_close(&old->devices);
    if (old->drop_trainer) old->drop_trainer(old); /* devices have copies of its variables */
    weft_model_destroy(&old->model);
    weft__free(old);
    *session = NULL;
}

weft_status weft__session_resolve(weft_session *session, const weft_array *const *inputs,
                                  uint32_t n_inputs, weft__plan **plan, int64_t *batch)
{
    weft_status st = WEFT_E_NOMEM;
    if (!session) return weft_fail(WEFT_E_ARG, "a run: session is NULL");
    if (!inputs && n_inputs)
        return weft_fail(WEFT_E_ARG, "a run: inputs is NULL, not %u array%s", n_inputs,
                         n_inputs == 1 ? "" : "s");
    weft_spec *specs = weft__alloc_n(n_inputs, sizeof *specs);
    if (!specs) return st;
    if ((st = weft__inputs_check(session->model, inputs, n_inputs, specs, batch))) goto out;
    st = find_plan(session, specs, plan);
out:
    weft__free(specs);
    return st;
}

weft_status weft_session_run(weft_session *session, const weft_array *const *inputs,
                             uint32_t n_inputs, weft_array **outputs, uint32_t n_outputs)
{
    weft__plan *plan;
    int64_t batch;
    weft_status st = weft__session_resolve(session, inputs, n_inputs, &plan, &batch);
    if (!st && !outputs && n_outputs)
        st = weft_fail(WEFT_E_ARG, "weft_session_run: outputs is NULL, not %u array%s", n_outputs,
                       n_outputs == 1 ? "" : "s");
    if (st || (st = weft__outputs_check(plan, outputs, n_outputs, batch))) return st;
    return weft__session_run(
        session, plan,
        &(weft__plan_call){
            .model = session->model, .inputs = inputs, .outputs = outputs, .batch = batch });
}

weft_status weft_session_get_stats(const weft_session *session, weft_session_stats *stats)
{
    if (!session || !stats)
        return weft_fail(WEFT_E_ARG, "weft_session_get_stats: %s is NULL",
                         session ? "stats" : "session");
    if (stats->struct_size < 8)
        return weft_fail(WEFT_E_ARG, "weft_session_stats.struct_size is not set");
    weft_session_stats all = { .struct_size = stats->struct_size,
                               .n_plans = session->n_plans,
                               .runs = session->runs,
                               .prologue_runs = session->prologue_runs,
                               .device = session->devices->device[0].id };
    for (uint32_t i = 0; i < session->n_plans; i++)
        all.prologue_runs += session->plan[i].plan->prologue_runs;
    for (uint32_t i = 0; i < session->devices->n; i++) {
        const weft__device *device = &session->devices->device[i];
        all.memory_bytes += device->bytes;
        if (WEFT_HAS(device->backend, builds)) all.builds += device->backend->builds(device->dev);
    }
    if (session->last)
        all.concat_bytes_moved = weft__plan_concat_bytes(session->last, session->last_batch);
    memcpy(stats, &all, stats->struct_size < sizeof all ? stats->struct_size : sizeof all);
    return WEFT_OK;
}
