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

static weft_status lower(const weft_session *session, const weft_spec *inputs, weft__graph **graph)
{
    return weft__model_lower(session->model, &(weft__lower_request){ .inputs = inputs }, graph);
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

static weft_status make_plan(weft_session *session, const weft_spec *inputs, weft__plan **result)
{
    uint32_t n = weft_model_n_inputs(session->model);
    weft__graph *graph = NULL;
    weft__plan *plan = NULL;
    weft_spec *key = weft__alloc_n(n, sizeof *key);
    weft_status st = WEFT_E_NOMEM;
    if (!key) return st;
    if (n) memcpy(key, inputs, n * sizeof *key);
    if ((st = lower(session, inputs, &graph))) goto out;
    if ((st = weft__plan_create(graph, session->devices, &session->options, &plan))) goto out;
    weft__session_plan *entry = free_entry(session);
    *entry = (weft__session_plan){ key, plan, ++session->clock };
    key = NULL;
    *result = plan;
out:
    weft__graph_destroy(&graph);
    weft__free(key);
    return st;
}

static weft_status find_plan(weft_session *session, const weft_spec *inputs, weft__plan **plan)
{
    uint32_t n = weft_model_n_inputs(session->model);
    for (uint32_t i = 0; i < session->n_plans; i++) {
        weft__session_plan *entry = &session->plan[i];
        uint32_t same = 0;
        while (same < n && weft__spec_equal(&entry->inputs[same], &inputs[same]))
            same++;
        if (same < n) continue;
        entry->used = ++session->clock;
        *plan = entry->plan;
        return WEFT_OK;
    }
    return make_plan(session, inputs, plan);
}

/* The specs of a model that leaves no dimension open. *known = 0 if it does. */
static weft_status fixed_specs(const weft_session *session, weft_spec **specs, int *known)
{
    uint32_t n = weft_model_n_inputs(session->model);
    weft_status st = WEFT_OK;
    *known = 1;
    if (!(*specs = weft__alloc_n(n, sizeof **specs))) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n && !st; i++) {
        st = weft_model_input(session->model, i, NULL, &(*specs)[i]);
        for (int32_t k = 0; k < (*specs)[i].rank; k++)
            if ((*specs)[i].dim[k] == WEFT_ANY) *known = 0;
    }
    return st;
}

/* The plan of a model without unknown dimensions, else that of the last run. */
static weft_status any_plan(weft_session *session, weft__plan **plan)
{
    weft_spec *specs = NULL;
    int known;
    weft_status st = fixed_specs(session, &specs, &known);
    *plan = session->last;
    if (!st && known) st = find_plan(session, specs, plan);
    weft__free(specs);
    return st;
}

weft_status weft_session_create(weft_model *model, const char *devices, const char *options,
                                weft_session **result)
{
    weft__plan *plan;
    weft_status st = WEFT_E_NOMEM;
    if (!result) return weft_fail(WEFT_E_ARG, "weft_session_create: session is NULL");
    *result = NULL;
    if (!model) return weft_fail(WEFT_E_ARG, "weft_session_create: model is NULL");
    weft_session *session = weft__alloc(sizeof *session);
    if (!session) return st;
    session->model = weft__model_ref(model);
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
    if ((st = any_plan(session, &plan))) goto out;
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
    for (uint32_t i = 0; i < old->n_plans; i++)
        drop_plan(old, &old->plan[i]);
    weft__devices_close(&old->devices);
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
    session->last = plan;
    session->last_batch = batch;
    session->runs++;
    return weft__plan_run(plan, &(weft__plan_call){ session->model, inputs, outputs, batch });
}

static weft_status print_graph(weft_session *session, weft_plan_stage stage, weft__text *text)
{
    weft__graph *graph = NULL, *placed = NULL;
    weft_spec *specs = NULL;
    int known;
    weft_status st;
    if ((st = fixed_specs(session, &specs, &known))) goto out;
    if (!known && session->last)
        for (uint32_t i = 0; i < session->n_plans; i++)
            if (session->plan[i].plan == session->last)
                memcpy(specs, session->plan[i].inputs,
                       weft_model_n_inputs(session->model) * sizeof *specs);
    if ((st = lower(session, specs, &graph))) goto out;
    if (stage == WEFT_PLAN_GRAPH) {
        weft__graph_print(graph, text);
    } else {
        if (!known && !session->last)
            st = weft_fail(
                WEFT_E_SHAPE,
                "model \"%s\" has dimensions that are known only when it runs; run it once, "
                "then ask for its plan",
                weft_model_name(session->model));
        else if (!(st = weft__place(graph, session->devices, session->options.strict, &placed)))
            weft__placed_print(placed, session->devices, text);
    }
out:
    weft__graph_destroy(&graph);
    weft__graph_destroy(&placed);
    weft__free(specs);
    return st;
}

static weft_status print_steps(weft_session *session, int64_t batch, weft__text *text)
{
    weft__plan *plan;
    weft_status st = any_plan(session, &plan);
    if (st) return st;
    if (!plan)
        return weft_fail(
            WEFT_E_SHAPE,
            "model \"%s\" has dimensions that are known only when it runs; run it once, "
            "then ask for its plan",
            weft_model_name(session->model));
    return weft__plan_print(plan, batch, text);
}

weft_status weft_session_plan(weft_session *session, int64_t batch, weft_plan_stage stage,
                              FILE *file)
{
    weft__text text = { 0 };
    weft_status st;
    if (!session || !file)
        return weft_fail(WEFT_E_ARG, "weft_session_plan: %s is NULL", session ? "file" : "session");
    if (batch < 0 || stage < WEFT_PLAN_GRAPH || stage > WEFT_PLAN_STEPS)
        return weft_fail(WEFT_E_ARG,
                         "plan: batch %" PRId64 ", stage %d; a batch is 0 or more, a stage 1 to 3",
                         batch, stage);
    st = stage == WEFT_PLAN_STEPS ? print_steps(session, batch, &text)
                                  : print_graph(session, stage, &text);
    if (!st && text.failed) st = WEFT_E_NOMEM;
    if (!st && text.n && fwrite(text.s, 1, text.n, file) != text.n)
        st = weft_fail(WEFT_E_IO, "the plan cannot be written to its file");
    weft__text_finish(&text);
    return st;
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
