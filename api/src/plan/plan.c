/* From a graph to a plan: the stages in a row, and the plan's life. */
#include "plan/plan.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/node.h"
#include "plan/step.h"

/* May the fused op run where the op it grows from was placed? */
static int may_fuse(void *user, const weft__graph *graph, const weft__node *fused)
{
    weft__devices *devices = user;
    weft__step *step = NULL;
    int yes;
    if (fused->device < 0 || (uint32_t)fused->device >= devices->n) return 0;
    if (weft__step_of_node(graph, fused, &step)) return 0;
    yes = weft__device_asks(&devices->device[fused->device], step);
    weft__step_destroy(&step);
    return yes;
}

/* Replaces *graph by what the pass made of it. */
static void advance(weft__graph **graph, weft__graph *next)
{
    weft__graph_destroy(graph);
    *graph = next;
}

/* Passes may leave new ops without a device. only: the one device that may be taken (that of a
 * loop, for its body), or -1. */
static weft_status place_rest(weft__graph *graph, weft__devices *devices, int strict, int32_t only)
{
    weft__devices one = weft__devices_only(devices, only < 0 ? 0 : (uint32_t)only);
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < graph->n_nodes && !st; i++) {
        weft__node *node = graph->node[i];
        weft__placing placing = { 0, NULL };
        if (node->region) st = place_rest(node->region, devices, 1, node->device);
        if (node->device >= 0 || weft__is_view(node) != WEFT__VIEW_NONE) continue;
        if (!weft__is_concat(node))
            st = weft__place_node(graph, node, only < 0 ? devices : &one, strict, &placing);
        if (!st && placing.device < 0) st = weft__fail_nowhere(node, &placing, strict);
        node->device = only < 0 ? placing.device : only;
        weft__free(node->reason);
        node->reason = placing.reason;
    }
    return st;
}

static int has_unknown(const weft_spec *spec)
{
    for (int32_t i = 0; i < spec->rank; i++)
        if (spec->dim[i] == WEFT_ANY) return 1;
    return 0;
}

/* All sizes are known when a graph is planned. One that is not comes from an infer() that gives
 * WEFT_ANY for inputs of known sizes. */
static weft_status check_sizes(const weft__graph *graph)
{
    weft_status st;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        if (node->region && (st = check_sizes(node->region))) return st;
        for (uint32_t k = 0; k < node->n_out; k++) {
            const weft_spec *spec = &graph->value[node->out[k]].spec;
            weft__spec_text text;
            char name[64];
            if (!has_unknown(spec)) continue;
            weft__port_name(weft__op_outputs(node->op), k, name);
            return weft_fail(WEFT_E_INTERNAL,
                             "layer \"%s\": op %s gives result %s as %s, though the sizes of its "
                             "inputs are known; this is a fault of its infer()",
                             node->path, node->op->name, name, weft__spec_show(spec, &text));
        }
    }
    return WEFT_OK;
}

weft_status weft__plan_graph(const weft__graph *source, weft__devices *devices,
                             const weft__plan_options *options, weft__graph **result)
{
    weft__fuse_ask ask = { devices, may_fuse };
    weft__graph *graph = NULL, *next = NULL;
    weft_status st = check_sizes(source);
    if (st) return st;
    if (options->f64 && (st = weft__pass_f64(source, &graph))) return st;
    if ((st = weft__place(graph ? graph : source, devices, options->strict, &next))) goto out;
    advance(&graph, next);
    if (options->simplify) {
        if ((st = weft__pass_simplify(graph, &next))) goto out;
        advance(&graph, next);
    }
    if (options->fuse) {
        if ((st = weft__pass_fuse(graph, &ask, &next))) goto out;
        advance(&graph, next);
    }
    if ((st = place_rest(graph, devices, options->strict, -1))) goto out;
    if ((st = check_sizes(graph))) goto out; /* of what ops were lowered to */
    *result = graph;
    graph = NULL;
out:
    weft__graph_destroy(&graph);
    return st;
}

weft_status weft__plan_create(const weft__graph *graph, weft__devices *devices,
                              const weft__plan_options *options, weft__plan **result)
{
    weft_status st = WEFT_E_NOMEM;
    weft__plan *plan = weft__alloc(sizeof *plan);
    if (!plan) return st;
    plan->devices = devices;
    plan->options = *options;
    if ((st = weft__plan_graph(graph, devices, options, &plan->graph))) goto out;
    if ((st = weft__lay_out(plan))) goto out;
    if ((st = weft__compile(plan))) goto out;
    *result = plan;
    plan = NULL;
out:
    weft__plan_destroy(&plan);
    return st;
}

static void finish_slot(weft__plan *plan, weft__slot *slot)
{
    weft__device *device = &plan->devices->device[slot->device];
    if (slot->wrapped) device->backend->release(device->dev, slot->wrapped);
    weft__buffer_release(device, &slot->own);
}

static void finish_memory(weft__memory *memory)
{
    weft__free(memory->arena);
    weft__free(memory->offset);
    weft__free(memory->need);
}

void weft__plan_destroy(weft__plan **plan)
{
    weft__plan *old = *plan;
    if (!old) return;
    for (size_t i = 0; i < old->n_segments; i++) {
        weft__device *device = &old->devices->device[old->segment[i].device];
        if (old->segment[i].exe) device->backend->release_exe(device->dev, old->segment[i].exe);
        weft__free(old->segment[i].bind);
    }
    for (size_t i = 1; i < old->n_slots; i++)
        finish_slot(old, &old->slot[i]);
    for (size_t i = 0; i < old->n_steps; i++)
        weft__step_destroy(&old->step[i]);
    for (size_t i = 0; i < old->n_concats; i++)
        weft__text_finish(&old->concat[i].why);
    for (size_t i = 0; i < WEFT__MEMORIES; i++)
        finish_memory(&old->memory[i]);
    weft__free(old->segment);
    weft__free(old->slot);
    weft__free(old->step);
    weft__free(old->concat);
    weft__free(old->loop);
    weft__free(old->output_slot);
    weft__free(old->written);
    weft__free(old->staging);
    weft__graph_destroy(&old->graph);
    weft__free(old);
    *plan = NULL;
}

weft_status weft__slot_add(weft__plan *plan, const weft__slot *slot, uint32_t *number)
{
    if (weft__grow(&plan->slot, plan->n_slots, &plan->cap_slots, sizeof *plan->slot))
        return WEFT_E_NOMEM;
    if (!plan->n_slots) plan->slot[plan->n_slots++] = (weft__slot){ 0 };
    /* growing for slot 0 leaves room for the first one */
    plan->slot[plan->n_slots] = *slot;
    *number = (uint32_t)plan->n_slots++;
    return WEFT_OK;
}

const char *weft__slot_kind_name(weft__slot_kind kind)
{
    static const char *const names[] = { "",         "input",    "output", "variable",
                                         "constant", "prologue", "arena" };
    return names[kind];
}
