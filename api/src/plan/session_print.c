/* The plans of a session for people: of predictions, and of training. */
#include <inttypes.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "plan/session.h"

static int is_open(const weft_spec *specs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < specs[i].rank; k++)
            if (specs[i].dim[k] == WEFT_ANY) return 1;
    return 0;
}

/* The plan of that purpose that was used last; NULL = none. */
static const weft__session_plan *newest(const weft_session *session, weft__purpose purpose)
{
    const weft__session_plan *found = NULL;
    for (uint32_t i = 0; i < session->n_plans; i++)
        if (session->plan[i].purpose == purpose && (!found || session->plan[i].used > found->used))
            found = &session->plan[i];
    return found;
}

static weft_status print(weft_session *session, const weft__print_request *r, weft__text *text)
{
    const weft_spec *specs = r->inputs;
    weft__graph *graph = NULL, *placed = NULL;
    weft__plan *plan = NULL;
    weft_status st = WEFT_OK;
    if (is_open(specs, r->n_inputs)) {
        const weft__session_plan *entry = newest(session, r->purpose);
        if (!entry && r->stage != WEFT_PLAN_GRAPH)
            return weft_fail(WEFT_E_SHAPE,
                             "model \"%s\" has dimensions that are known only when it runs; run "
                             "it once, then ask for its plan",
                             weft_model_name(session->model));
        if (entry) specs = entry->inputs;
    }
    if (r->stage == WEFT_PLAN_STEPS) {
        st = weft__session_plan_for(session, r->purpose, specs, r->n_inputs, &plan);
        return st ? st : weft__plan_print(plan, r->batch, text);
    }
    st = weft__session_graph(session, r->purpose, specs, &graph);
    if (!st && r->stage == WEFT_PLAN_GRAPH) weft__graph_print(graph, text);
    if (!st && r->stage == WEFT_PLAN_PLACED)
        st = weft__place(graph, session->devices, session->options.strict, &placed);
    if (placed) weft__placed_print(placed, session->devices, text);
    weft__graph_destroy(&graph);
    weft__graph_destroy(&placed);
    return st;
}

weft_status weft__session_print(weft_session *session, const weft__print_request *r, FILE *file)
{
    weft__text text = { 0 };
    weft_status st;
    if (r->batch < 0 || r->stage < WEFT_PLAN_GRAPH || r->stage > WEFT_PLAN_STEPS)
        return weft_fail(WEFT_E_ARG,
                         "plan: batch %" PRId64 ", stage %d; a batch is 0 or more, a stage 1 to 3",
                         r->batch, r->stage);
    st = print(session, r, &text);
    if (!st && text.failed) st = WEFT_E_NOMEM;
    if (!st && text.n && fwrite(text.s, 1, text.n, file) != text.n)
        st = weft_fail(WEFT_E_IO, "the plan cannot be written to its file");
    weft__text_finish(&text);
    return st;
}

weft_status weft_session_plan(weft_session *session, int64_t batch, weft_plan_stage stage,
                              FILE *file)
{
    if (!session || !file)
        return weft_fail(WEFT_E_ARG, "weft_session_plan: %s is NULL", session ? "file" : "session");
    weft__print_request r = { .purpose = WEFT__PREDICT,
                              .n_inputs = weft_model_n_inputs(session->model),
                              .batch = batch,
                              .stage = stage };
    weft_spec *specs = weft__alloc_n(r.n_inputs, sizeof *specs);
    weft_status st = specs ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < r.n_inputs && !st; i++)
        st = weft_model_input(session->model, i, NULL, &specs[i]);
    r.inputs = specs;
    if (!st) st = weft__session_print(session, &r, file);
    weft__free(specs);
    return st;
}
