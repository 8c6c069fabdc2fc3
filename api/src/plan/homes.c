/* Homes: where the producer of a value should write it, so that nobody has to move it later. An
 * output is asked to be written into the output's own storage, an input of a concat into its
 * part of the concat's result; a concat that has a home passes parts of it on. The request
 * travels back through reshapes and transposes, as a view turned around, to the op that makes
 * the value. */
#include "plan/layout.h"
#include "base/alloc.h"
#include "base/attrs.h"

void weft__layout_perm(const weft__layout *layout, const weft__node *node, int64_t *perm)
{
    int32_t rank = layout->graph->value[node->in[0]].spec.rank;
    for (int32_t i = 0; i < WEFT_MAX_RANK; i++)
        perm[i] = 0;
    weft__attrs_v(node->attrs, "perm", perm, WEFT_MAX_RANK);
    for (int32_t i = 0; i < rank; i++)
        if (perm[i] < 0) perm[i] += rank;
}

/* Could the node write value at that view? */
static int writes_there(const weft__layout *layout, const weft__node *node, weft_val value,
                        const weft__view *view)
{
    weft__step *step = NULL;
    int yes;
    if (weft__view_classify(view, NULL) == WEFT_DENSE) return 1;
    if (weft__step_of_node(layout->graph, node, &step)) return 0;
    for (uint32_t i = 0; i < node->n_out; i++) {
        const weft__home *home = &layout->home[node->out[i]];
        uint32_t at = node->n_in + i;
        if (node->out[i] == value)
            step->view[at] = *view;
        else if (home->at.slot)
            step->view[at] = home->at.view;
        weft__view_classify(&step->view[at], &step->operand[at]);
    }
    yes = weft__device_asks(&layout->plan->devices->device[node->device], step) &&
          weft__step_fits(step);
    weft__step_destroy(&step);
    return yes;
}

/* The view that the source of a view op must have, so that the op's result lies at *view. */
static const char *turn_around(const weft__layout *layout, const weft__node *node, weft__view *view)
{
    const weft_spec *source = &layout->graph->value[node->in[0]].spec;
    int64_t perm[WEFT_MAX_RANK];
    switch (weft__is_view(node)) {
    case WEFT__VIEW_RESHAPE:
        return weft__view_reshape(view, source, view) ? NULL
                                                      : "is a reshape across the joined axis";
    case WEFT__VIEW_TRANSPOSE:
        weft__layout_perm(layout, node, perm);
        weft__view_untranspose(view, perm, view);
        return NULL;
    case WEFT__VIEW_SLICE: return "is a slice of a larger value";
    default: return "is a broadcast";
    }
}

static const char *no_producer(weft__vkind kind)
{
    if (kind == WEFT__V_INPUT) return "is a model input";
    return kind == WEFT__V_VARIABLE ? "is a variable" : "is a constant";
}

static uint32_t carries(const weft__node *scan)
{
    return (uint32_t)weft__attrs_i(scan->attrs, "carries");
}

const char *weft__layout_settle(weft__layout *layout, weft__home_request r)
{
    const weft__node *node;
    const char *why;
    const weft__view asked = r.at.view;
    int views = layout->plan->options.views;
    if (r.concat && !views) return "is copied: views=false";
    for (;; r.value = node->in[0]) {
        const weft__gvalue *value = &layout->graph->value[r.value];
        const weft__home *home = &layout->home[r.value];
        if (home->at.slot) return home->concat ? "feeds another concat" : "is an output as well";
        if (value->kind != WEFT__V_RESULT) return no_producer(value->kind);
        if (layout->still[r.value] != r.still) return "is computed once, ahead of the runs";
        node = layout->graph->node[value->node];
        if (!weft__is_view(node)) break;
        if (!views) return "is copied: views=false";
        if ((why = turn_around(layout, node, &r.at.view))) return why;
    }
    if (r.over_input && !weft__view_same(&r.at.view, &asked))
        return "would be written over an input that lies otherwise";
    if ((uint32_t)node->device != r.device) return "is made on another device";
    if (node->region && layout->graph->value[r.value].index < carries(node))
        return "is the last carry of a loop";
    if (!node->region && !weft__is_concat(node) && !writes_there(layout, node, r.value, &r.at.view))
        return "is made by a kernel that cannot leave gaps";
    layout->home[r.value] = (weft__home){ r.at, r.concat };
    if (!layout->plan->slot[r.at.slot].pinned)
        layout->plan->slot[r.at.slot].pending += layout->reads[r.value];
    return NULL;
}

static weft_status output_home(weft__layout *layout, uint32_t number)
{
    weft_val value = layout->graph->output[number].value;
    weft__home_request r = { .value = value, .device = weft__layout_device(layout, value) };
    weft_status st = weft__layout_slot(layout, value, r.device, WEFT__SLOT_OUTPUT, &r.at);
    if (st) return st;
    layout->plan->output_slot[number] = r.at.slot;
    layout->plan->slot[r.at.slot].index = number;
    layout->plan->slot[r.at.slot].name = layout->graph->output[number].name;
    weft__layout_settle(layout, r);
    return WEFT_OK;
}

int weft__layout_part(const weft__layout *layout, const weft__node *concat, uint32_t i,
                      const weft__view *whole, weft__view *part)
{
    const weft__gvalue *value = layout->graph->value;
    int64_t axis = weft__attrs_i(concat->attrs, "axis");
    weft__affine at = { 0, 0 };
    if (axis < 0) axis += whole->spec.rank;
    for (uint32_t k = 0; k < i; k++)
        at = weft__affine_sum(at, weft__affine_of(value[concat->in[k]].spec.dim[axis], 1));
    return weft__view_part(whole, (int32_t)axis, at, &value[concat->in[i]].spec, part);
}

static weft_status concat_homes(weft__layout *layout, const weft__node *concat)
{
    weft__plan *plan = layout->plan;
    weft__home *home = &layout->home[concat->out[0]];
    weft_status st;
    if (weft__grow(&plan->concat, plan->n_concats, &plan->cap_concats, sizeof *plan->concat))
        return WEFT_E_NOMEM;
    weft__concat *record = &plan->concat[plan->n_concats++];
    *record = (weft__concat){ .node = concat };
    if (!home->at.slot &&
        (st = weft__layout_slot(layout, concat->out[0], (uint32_t)concat->device, 0, &home->at)))
        return st;
    for (uint32_t i = 0; i < concat->n_in; i++) {
        weft__home_request r = { .value = concat->in[i],
                                 .at = { .slot = home->at.slot },
                                 .device = (uint32_t)concat->device,
                                 .concat = (uint32_t)plan->n_concats,
                                 .still = layout->still[concat->out[0]] };
        const char *why = "has no place with strides";
        if (weft__layout_part(layout, concat, i, &home->at.view, &r.at.view))
            why = weft__layout_settle(layout, r);
        if (why) weft__text_add(&record->why, "%sinput %u %s", record->why.n ? "; " : "", i, why);
    }
    return record->why.failed ? WEFT_E_NOMEM : WEFT_OK;
}

weft_status weft__layout_concat_homes(weft__layout *layout)
{
    const weft__graph *graph = layout->graph;
    weft_status st;
    for (size_t i = graph->n_nodes; i-- > 0;)
        if (weft__is_concat(graph->node[i]) && (st = concat_homes(layout, graph->node[i])))
            return st;
    return WEFT_OK;
}

weft_status weft__layout_homes(weft__layout *layout)
{
    weft_status st;
    for (uint32_t i = 0; i < layout->graph->n_outputs; i++)
        if ((st = output_home(layout, i))) return st;
    return weft__layout_concat_homes(layout);
}
