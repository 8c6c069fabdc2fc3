/* Layout: every value gets a place in a storage, every op that is no view becomes a step. Views
 * cost nothing and concats no more than what their producers could not write in place (homes.c);
 * what a kernel cannot read where it lies is made dense, once (locate.c). */
#include "plan/layout.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"

/* ---- what is known before the walk -------------------------------- */

static int symbolic(const weft_spec *spec)
{
    for (int32_t i = 0; i < spec->rank; i++)
        if (spec->dim[i] < 0) return 1;
    return 0;
}

static void survey_node(weft__layout *layout, const weft__node *node)
{
    unsigned char still = !node->region; /* a loop runs in the body */
    int view = weft__is_view(node) != WEFT__VIEW_NONE;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        still &= layout->still[node->in[i]];
        if (!view) layout->reads[layout->base[node->in[i]]]++;
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        still &= !symbolic(&layout->graph->value[node->out[i]].spec);
    for (uint32_t i = 0; i < node->n_out; i++) {
        layout->base[node->out[i]] = view ? layout->base[node->in[0]] : node->out[i];
        layout->still[node->out[i]] = still;
    }
}

static void survey(weft__layout *layout)
{
    const weft__graph *graph = layout->graph;
    for (size_t i = 1; i <= graph->n_values; i++) {
        layout->base[i] = (weft_val)i;
        layout->still[i] = !layout->loop && (graph->value[i].kind == WEFT__V_VARIABLE ||
                                             graph->value[i].kind == WEFT__V_CONST);
    }
    for (size_t i = 0; i < graph->n_assigns; i++)
        layout->still[graph->assign[i].variable] = 0; /* another one in every run */
    for (size_t i = 0; i < graph->n_nodes; i++)
        survey_node(layout, graph->node[i]);
    for (size_t i = 0; i < graph->n_outputs; i++)
        layout->reads[layout->base[graph->output[i].value]]++;
    for (size_t i = 0; i < graph->n_assigns; i++)
        layout->reads[layout->base[graph->assign[i].value]]++;
}

/* ---- concat and outputs ------------------------------------------- */

static weft__concat *record_of(weft__plan *plan, const weft__node *node)
{
    for (size_t i = 0; i < plan->n_concats; i++)
        if (plan->concat[i].node == node) return &plan->concat[i];
    return NULL;
}

/* Finds the inputs that do not lie in their parts yet. */
static weft_status parts_missing(weft__layout *layout, const weft__node *node, weft__place_at *src,
                                 weft__place_at *dst, uint32_t *n)
{
    weft__place_at *whole = &layout->home[node->out[0]].at;
    weft__concat *record = record_of(layout->plan, node);
    for (uint32_t i = 0; i < node->n_in; i++) {
        weft_status st = weft__locate(layout, node->in[i], (uint32_t)node->device, &src[*n]);
        if (st) return st;
        dst[*n].slot = whole->slot;
        if (!weft__layout_part(layout, node, i, &whole->view, &dst[*n].view))
            return weft_fail(WEFT_E_SHAPE,
                             "layer \"%s\": input %u of op concat has no place in the result",
                             node->path, i);
        if (src[*n].slot == whole->slot && weft__view_same(&src[*n].view, &dst[*n].view)) continue;
        record->bytes = weft__affine_sum(
            record->bytes, weft__affine_of(weft__view_count(&dst[*n].view),
                                           (int64_t)weft_dtype_size(dst[*n].view.spec.dtype)));
        ++*n;
    }
    return WEFT_OK;
}

static weft_status emit_concat(weft__layout *layout, const weft__node *node)
{
    uint32_t n = 0;
    weft_status st = WEFT_E_NOMEM;
    weft__place_at *src = weft__alloc_n(node->n_in, sizeof *src),
                   *dst = weft__alloc_n(node->n_in, sizeof *dst);
    if (!src || !dst) goto out;
    if ((st = parts_missing(layout, node, src, dst, &n))) goto out;
    st = weft__layout_copy(layout,
                           &(weft__copying){ src, dst, n, (uint32_t)node->device,
                                             layout->still[node->out[0]], node->path, "concat" });
    weft__layout_read(layout, node);
    layout->at[(uint32_t)node->device * layout->n + node->out[0]] = layout->home[node->out[0]].at;
out:
    weft__free(src);
    weft__free(dst);
    return st;
}

static weft_status emit_output(weft__layout *layout, uint32_t number)
{
    const weft__port *output = &layout->graph->output[number];
    weft__place_at src, dst = { .slot = layout->plan->output_slot[number] };
    uint32_t device = layout->plan->slot[dst.slot].device;
    weft_status st = weft__locate(layout, output->value, device, &src);
    if (st) return st;
    weft__view_dense(&layout->graph->value[output->value].spec, &dst.view);
    if (src.slot == dst.slot && weft__view_same(&src.view, &dst.view)) return WEFT_OK;
    return weft__layout_copy(
        layout, &(weft__copying){ &src, &dst, 1, device, 0, output->name, "to the output" });
}

/* ---- the walk ----------------------------------------------------- */

static int ready(const weft__layout *layout, const weft__node *node, const unsigned char *done)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        const weft__gvalue *value = &layout->graph->value[node->in[i]];
        if (value->kind == WEFT__V_RESULT && !done[value->node]) return 0;
    }
    return weft__layout_may_write(layout, node, done);
}

static weft_status emit_node(weft__layout *layout, const weft__node *node)
{
    if (weft__is_view(node)) return WEFT_OK;
    if (weft__is_concat(node)) return emit_concat(layout, node);
    return node->region ? weft__layout_scan(layout, node) : weft__layout_op(layout, node);
}

/* Emits what is ready on the device: *n nodes. *next: where the first other node that is ready
 * runs, or -1. */
static weft_status walk_device(weft__layout *layout, int32_t device, unsigned char *done, size_t *n,
                               int32_t *next)
{
    const weft__graph *graph = layout->graph;
    *next = -1;
    *n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        weft_status st;
        if (done[i] || !ready(layout, node, done)) continue;
        if (!weft__is_view(node) && node->device != device) {
            if (*next < 0) *next = node->device;
            continue;
        }
        if ((st = emit_node(layout, node))) return st;
        done[i] = 1;
        ++*n;
    }
    return WEFT_OK;
}

/* Runs of one device are kept long: every change of device is a wait. */
weft_status weft__layout_walk(weft__layout *layout)
{
    size_t n, left = layout->graph->n_nodes;
    int32_t device = 0, next;
    weft_status st = WEFT_OK;
    unsigned char *done = weft__alloc(left);
    if (!done) return WEFT_E_NOMEM;
    while (left && !st) {
        st = walk_device(layout, device, done, &n, &next);
        left -= n;
        if (st || n) continue;
        if (next < 0) st = weft_fail(WEFT_E_INTERNAL, "%zu ops wait for each other", left);
        device = next;
    }
    weft__free(done);
    return st;
}

/* The prologue's steps to the front; both parts keep their order. */
static weft_status prologue_first(weft__plan *plan)
{
    size_t n = 0;
    weft__step **sorted = weft__alloc_n(plan->n_steps, sizeof *sorted);
    if (!sorted) return WEFT_E_NOMEM;
    for (int prologue = 1; prologue >= 0; prologue--) {
        for (size_t i = 0; i < plan->n_steps; i++)
            if (plan->step[i]->prologue == prologue) sorted[n++] = plan->step[i];
        if (prologue) plan->n_prologue = n;
    }
    weft__free(plan->step);
    plan->step = sorted;
    plan->cap_steps = plan->n_steps;
    return WEFT_OK;
}

weft_status weft__layout_begin(weft__layout *layout)
{
    size_t n = layout->graph->n_values + 1, places = n * layout->plan->devices->n;
    layout->n = n;
    if (!(layout->base = weft__alloc_n(n, sizeof *layout->base))) return WEFT_E_NOMEM;
    if (!(layout->reads = weft__alloc_n(n, sizeof *layout->reads))) return WEFT_E_NOMEM;
    if (!(layout->still = weft__alloc(n))) return WEFT_E_NOMEM;
    if (!(layout->writer = weft__alloc_n(layout->graph->n_assigns, sizeof *layout->writer)))
        return WEFT_E_NOMEM;
    if (!(layout->home = weft__alloc_n(n, sizeof *layout->home))) return WEFT_E_NOMEM;
    if (!(layout->at = weft__alloc_n(places, sizeof *layout->at))) return WEFT_E_NOMEM;
    if (!(layout->dense = weft__alloc_n(places, sizeof *layout->dense))) return WEFT_E_NOMEM;
    survey(layout);
    return WEFT_OK;
}

void weft__layout_finish(weft__layout *layout)
{
    weft__free(layout->base);
    weft__free(layout->reads);
    weft__free(layout->still);
    weft__free(layout->writer);
    weft__free(layout->home);
    weft__free(layout->at);
    weft__free(layout->dense);
}

weft_status weft__lay_out(weft__plan *plan)
{
    weft__layout layout = { .plan = plan, .graph = plan->graph };
    size_t n = plan->graph->n_outputs;
    weft_status st = WEFT_E_NOMEM;
    if (!(plan->output_slot = weft__alloc_n(n, sizeof *plan->output_slot))) return st;
    if ((st = weft__layout_begin(&layout))) goto out;
    if ((st = weft__layout_assign_homes(&layout))) goto out;
    if ((st = weft__layout_homes(&layout))) goto out;
    if ((st = weft__layout_walk(&layout))) goto out;
    for (uint32_t i = 0; i < n; i++)
        if ((st = emit_output(&layout, i))) goto out;
    if ((st = weft__layout_assign(&layout))) goto out;
    st = prologue_first(plan);
out:
    weft__layout_finish(&layout);
    return st;
}
