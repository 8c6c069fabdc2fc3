/* One op alone: as a graph, in f64 on cpu, in f32 on a device. */
#include "plan/check_op.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/node.h"
#include "graph/scan.h"

void weft__known_finish(weft__known *known)
{
    weft_array_destroy(&known->value);
    weft_array_destroy(&known->err);
}

static weft_status add_op(weft__graph *graph, const weft__trial *trial, const weft_val *in,
                          weft_val *out)
{
    weft__op_request request = { trial->op,   trial->attrs, trial->path, in,
                                 trial->n_in, out,          trial->n_out };
    weft__graph *body = NULL;
    weft_val first;
    weft_status st;
    if (!trial->loop) return weft__graph_try_op(graph, &request, &first);
    st = weft__graph_copy(trial->loop->region, &body);
    if (!st) st = weft__graph_rescan(graph, trial->loop, in, &body, out);
    weft__graph_destroy(&body);
    return st;
}

weft__trial weft__trial_of(const weft__node *node, const weft__known *in, int64_t batch)
{
    return (weft__trial){ .op = node->op->name,
                          .attrs = node->text,
                          .path = node->path,
                          .in = in,
                          .n_in = node->n_in,
                          .n_out = node->n_out,
                          .n_extra = node->n_extra,
                          .batch = batch,
                          .loop = node->region ? node : NULL };
}

weft_status weft__trial_graph(weft_context *ctx, const weft__trial *trial, weft__graph **result)
{
    weft__graph *graph = NULL;
    weft_val *in = weft__alloc_n(trial->n_in, sizeof *in),
             *out = weft__alloc_n(trial->n_out, sizeof *out);
    weft_status st = WEFT_E_NOMEM;
    if (!in || !out || (st = weft__graph_create(ctx, &graph))) goto out;
    for (uint32_t i = 0; i < trial->n_in; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", i);
        in[i] = trial->in[i].value ? weft__graph_input(graph, name, &trial->in[i].spec) : WEFT_NONE;
        if (!in[i]) {
            st = weft__fail_status();
            goto out;
        }
    }
    if ((st = add_op(graph, trial, in, out))) goto out;
    for (uint32_t i = 0; i < trial->n_out; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%u", i);
        if ((st = weft__graph_output(graph, name, out[i]))) goto out;
    }
    *result = graph;
    graph = NULL;
out:
    weft__graph_destroy(&graph);
    weft__free(in);
    weft__free(out);
    return st;
}

/* The present inputs, in order; results: n_out NULLs. */
static weft_status run(weft__plan *plan, const weft__trial *trial, const weft_array *const *in,
                       weft_array **results)
{
    weft_status st;
    uint32_t n = 0;
    const weft_array **present = weft__alloc_n(trial->n_in, sizeof *present);
    if (!present) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < trial->n_in; i++)
        if (trial->in[i].value) present[n++] = in ? in[i] : trial->in[i].value;
    st = weft__plan_run(
        plan, &(weft__plan_call){ .inputs = present, .outputs = results, .batch = trial->batch });
    weft__free(present);
    return st;
}

weft_status weft__trial_reference(weft__devices *cpu, const weft__trial *trial,
                                  const weft_array *const *in, weft_array **results)
{
    weft__plan_options options = { .f64 = 1, .views = 1 };
    weft__graph *graph = NULL;
    weft__plan *plan = NULL;
    weft_status st;
    if (weft__trial_moves(trial)) return weft__trial_move(cpu, trial, in, results);
    if ((st = weft__trial_graph(cpu->ctx, trial, &graph))) goto out;
    if ((st = weft__plan_create(graph, cpu, &options, &plan))) goto out;
    st = run(plan, trial, in, results);
out:
    weft__plan_destroy(&plan);
    weft__graph_destroy(&graph);
    return st;
}

static void name_variant(const weft__plan *plan, const weft__trial *trial, char *variant)
{
    snprintf(variant, 64, "%s", "none");
    for (size_t i = plan->n_steps; i-- > 0;) {
        const weft__step *step = plan->step[i];
        if (step->kind == WEFT__STEP_COPY && variant[0] == 'n')
            snprintf(variant, 64, "%.63s", step->support.variant);
        if (step->kind != WEFT__STEP_OP) continue;
        int same = !strcmp(step->base.op->name, trial->op) || !strcmp(step->base.op->name, "map");
        snprintf(variant, 64, "%.63s",
                 same && plan->graph->n_nodes == 1 ? step->support.variant : "lowered");
        return;
    }
}

weft_status weft__trial_device(weft__devices *device, const weft__trial *trial,
                               weft_array **results, char *variant)
{
    weft__plan_options options = { .strict = 1, .views = 1, .poison = 1 };
    weft__graph *graph = NULL;
    weft__plan *plan = NULL;
    weft_status st;
    if ((st = weft__trial_graph(device->ctx, trial, &graph))) goto out;
    if ((st = weft__plan_create(graph, device, &options, &plan))) goto out;
    name_variant(plan, trial, variant);
    st = run(plan, trial, NULL, results);
out:
    weft__plan_destroy(&plan);
    weft__graph_destroy(&graph);
    return st;
}
