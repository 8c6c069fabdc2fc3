/* Layout: every value gets a place in a storage, every op that is no view becomes a step. Views cost nothing
 * and concats no more than what their producers could not write in place (homes.c); what a kernel cannot read
 * where it lies is made dense, once (locate.c). */
#include "plan/layout.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"

/* ---- what is known before the walk ---------------------------------------------------------- */

static int symbolic(const weft_spec *spec)
{
    for (int32_t i = 0; i < spec->rank; i++)
        if (spec->dim[i] < 0) return 1;
    return 0;
}

static void survey_node(weft__layout *layout, const weft__node *node)
{
    unsigned char still = 1;
    int view = weft__is_view(node) != WEFT__VIEW_NONE;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        still &= layout->still[node->in[i]];
        if (!view) layout->reads[layout->base[node->in[i]]]++;
    }
    for (uint32_t i = 0; i < node->n_out; i++) still &= !symbolic(&layout->graph->value[node->out[i]].spec);
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
        layout->still[i] = graph->value[i].kind == WEFT__V_VARIABLE || graph->value[i].kind == WEFT__V_CONST;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) survey_node(layout, graph->node[i]);
    for (size_t i = 0; i < graph->n_outputs; i++) layout->reads[layout->base[graph->output[i].value]]++;
}

/* ---- one op ----------------------------------------------------------------------------------- */

typedef struct emitting {
    weft__layout *layout;
    const weft__node *node;
    uint32_t device, n;
    weft__place_at *place;           /* inputs, then outputs */
    weft__step *step;
} emitting;

static const uint32_t NOT_YET = UINT32_MAX; /* an output whose slot is chosen once the kernel is */

static weft_status locate_inputs(emitting *e)
{
    for (uint32_t i = 0; i < e->node->n_in; i++) {
        weft_status st;
        if (e->node->in[i] == WEFT_NONE) continue;
        if ((st = weft__locate(e->layout, e->node->in[i], e->device, &e->place[i]))) return st;
    }
    return WEFT_OK;
}

static weft_status shape_outputs(emitting *e)
{
    for (uint32_t i = 0; i < e->node->n_out; i++) {
        weft_val out = e->node->out[i];
        weft__place_at *place = &e->place[e->node->n_in + i];
        if (!weft__view_dense(&e->layout->graph->value[out].spec, &place->view))
            return weft_fail(WEFT_E_SHAPE, "layer \"%s\": op %s gives a value that has the batch in two of its "
                             "dimensions", e->node->path, e->node->op->name);
        if (!e->layout->reads[out]) continue;
        place->slot = NOT_YET;
        if (e->layout->home[out].at.slot) *place = e->layout->home[out].at;
    }
    return WEFT_OK;
}

/* Makes the step as the operands lie now. *yes: the device runs it so. */
static weft_status try(emitting *e, int *yes)
{
    weft_status st = WEFT_E_NOMEM;
    weft__view *view = weft__alloc_n(e->n, sizeof *view);
    uint32_t *slot = weft__alloc_n(e->n, sizeof *slot);
    if (!view || !slot) goto out;
    for (uint32_t i = 0; i < e->n; i++) {
        view[i] = e->place[i].view;
        slot[i] = e->place[i].slot;
    }
    weft__step_destroy(&e->step);
    st = weft__step_create(&(weft__step_request){ .kind = WEFT__STEP_OP, .op = e->node->op, .node = e->node,
                                                  .path = e->node->path, .n_in = e->node->n_in,
                                                  .n_out = e->node->n_out, .device = e->device, .view = view,
                                                  .slot = slot }, &e->step);
    if (!st) *yes = weft__device_asks(&e->layout->plan->devices->device[e->device], e->step);
out:
    weft__free(view);
    weft__free(slot);
    return st;
}

/* Makes dense the inputs that flags do not take as they lie. */
static weft_status make_dense(emitting *e, uint32_t flags)
{
    for (uint32_t i = 0; i < e->node->n_in; i++) {
        weft__place_at *place = &e->place[i];
        weft_status st;
        if (!place->slot || weft__layout_fits(weft__view_classify(&place->view, NULL), flags, 0)) continue;
        st = weft__locate_dense(e->layout, e->node->in[i], e->device, e->node->path, place);
        if (st) return st;
    }
    return WEFT_OK;
}

/* What the kernel takes that runs when every input is dense. */
static weft_status flags_when_dense(const emitting *e, uint32_t *flags)
{
    weft__step *step = NULL;
    weft_status st = weft__step_of_node(e->layout->graph, e->node, &step);
    if (st) return st;
    *flags = 0;
    if (weft__device_asks(&e->layout->plan->devices->device[e->device], step)) *flags = step->support.flags;
    weft__step_destroy(&step);
    return WEFT_OK;
}

/* First as everything lies, then with what the kernel refuses made dense, then all dense. */
static weft_status settle_inputs(emitting *e)
{
    const weft__device *device = &e->layout->plan->devices->device[e->device];
    uint32_t flags;
    weft_status st;
    for (int attempt = 0; attempt < 3; attempt++) {
        int yes = 0;
        if ((st = try(e, &yes))) return st;
        if (yes && weft__step_fits(e->step)) return WEFT_OK;
        if ((st = flags_when_dense(e, &flags))) return st;
        if ((st = make_dense(e, attempt ? 0 : flags))) return st;
    }
    return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": op %s was placed on %s, which then refused it (%s)",
                     e->node->path, e->node->op->name, device->id, e->step->support.why);
}

/* Is input i at its end here, alone in an arena slot, and of the shape of the output? */
static int dies_here(const emitting *e, uint32_t i)
{
    const weft__place_at *place = &e->place[i], *out = &e->place[e->node->n_in];
    const weft__slot *slot = &e->layout->plan->slot[place->slot];
    uint32_t readers = 0;
    if (!place->slot || slot->kind != WEFT__SLOT_ARENA || slot->device != e->device) return 0;
    if (!weft__spec_equal(&place->view.spec, &out->view.spec)) return 0;
    if (weft__view_classify(&place->view, NULL) != WEFT_DENSE) return 0;
    for (uint32_t k = 0; k < e->node->n_in; k++) {
        if (e->place[k].slot != place->slot) continue;
        if (!weft__view_same(&e->place[k].view, &place->view)) return 0;
        readers++;
    }
    return slot->pending == readers;
}

static weft_status choose_outputs(emitting *e)
{
    weft__layout *layout = e->layout;
    uint32_t first = e->node->n_in;
    for (uint32_t i = 0; i < first && e->place[first].slot == NOT_YET; i++) {
        if (!(e->step->support.flags & WEFT_KERNEL_INPLACE) || !dies_here(e, i)) continue;
        e->place[first] = e->place[i];
        e->step->in_place = 1;
        layout->plan->slot[e->place[i].slot].pending += layout->reads[e->node->out[0]];
    }
    for (uint32_t i = first; i < e->n; i++) {
        weft_val out = e->node->out[i - first];
        weft_status st;
        if (e->place[i].slot == NOT_YET && (st = weft__layout_slot(layout, out, e->device, 0, &e->place[i])))
            return st;
        if (!e->place[i].slot) continue;
        e->step->view[i] = e->place[i].view;
        e->step->slot[i] = e->place[i].slot;
        weft__view_classify(&e->step->view[i], &e->step->operand[i]);
        layout->at[e->device * layout->n + out] = e->place[i];
    }
    return WEFT_OK;
}

static void forget_reads(weft__layout *layout, const weft__node *node)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        weft_val base = layout->base[node->in[i]];
        uint32_t slot = layout->at[weft__layout_device(layout, base) * layout->n + base].slot;
        if (slot) layout->plan->slot[slot].pending--;
    }
}

static int gives_nothing(const emitting *e)
{
    for (uint32_t i = e->node->n_in; i < e->n; i++)
        if (e->place[i].slot && weft__view_count(&e->place[i].view)) return 0;
    return 1;
}

static weft_status emit_op(weft__layout *layout, const weft__node *node)
{
    emitting e = { .layout = layout, .node = node, .device = (uint32_t)node->device, .n = node->n_in + node->n_out };
    weft_status st = WEFT_E_NOMEM;
    if (!(e.place = weft__alloc_n(e.n, sizeof *e.place))) return st;
    if ((st = locate_inputs(&e)) || (st = shape_outputs(&e))) goto out;
    if ((st = settle_inputs(&e)) || (st = choose_outputs(&e))) goto out;
    e.step->prologue = layout->still[node->out[0]];
    forget_reads(layout, node);
    if (!gives_nothing(&e)) {
        st = weft__layout_emit(layout, e.step);
        e.step = NULL;
    }
out:
    weft__step_destroy(&e.step);
    weft__free(e.place);
    return st;
}

/* ---- concat and outputs ----------------------------------------------------------------------- */

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
            return weft_fail(WEFT_E_SHAPE, "layer \"%s\": input %u of op concat has no place in the result",
                             node->path, i);
        if (src[*n].slot == whole->slot && weft__view_same(&src[*n].view, &dst[*n].view)) continue;
        record->bytes = weft__affine_sum(record->bytes,
                                         weft__affine_of(weft__view_count(&dst[*n].view),
                                                         (int64_t)weft_dtype_size(dst[*n].view.spec.dtype)));
        ++*n;
    }
    return WEFT_OK;
}

static weft_status emit_concat(weft__layout *layout, const weft__node *node)
{
    uint32_t n = 0;
    weft_status st = WEFT_E_NOMEM;
    weft__place_at *src = weft__alloc_n(node->n_in, sizeof *src), *dst = weft__alloc_n(node->n_in, sizeof *dst);
    if (!src || !dst) goto out;
    if ((st = parts_missing(layout, node, src, dst, &n))) goto out;
    st = weft__layout_copy(layout, &(weft__copying){ src, dst, n, (uint32_t)node->device,
                                                     layout->still[node->out[0]], node->path, "concat" });
    forget_reads(layout, node);
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
    return weft__layout_copy(layout, &(weft__copying){ &src, &dst, 1, device, 0, output->name, "to the output" });
}

/* ---- the walk --------------------------------------------------------------------------------- */

static int ready(const weft__layout *layout, const weft__node *node, const unsigned char *done)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        const weft__gvalue *value = &layout->graph->value[node->in[i]];
        if (value->kind == WEFT__V_RESULT && !done[value->node]) return 0;
    }
    return 1;
}

/* Emits what is ready on the device; *next: the first node left, as a device number, or -1. */
static weft_status walk_device(weft__layout *layout, int32_t device, unsigned char *done, int32_t *next)
{
    const weft__graph *graph = layout->graph;
    *next = -1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        int view = weft__is_view(node) != WEFT__VIEW_NONE, concat = weft__is_concat(node);
        weft_status st = WEFT_OK;
        if (done[i]) continue;
        if (!ready(layout, node, done) || !(view || node->device == device)) {
            if (*next < 0 && !view) *next = node->device;
            continue;
        }
        if (!view) st = concat ? emit_concat(layout, node) : emit_op(layout, node);
        if (st) return st;
        done[i] = 1;
    }
    return WEFT_OK;
}

/* Runs of one device are kept long: every change of device is a wait. */
static weft_status walk(weft__layout *layout)
{
    const weft__graph *graph = layout->graph;
    int32_t device = 0;
    weft_status st = WEFT_OK;
    unsigned char *done = weft__alloc(graph->n_nodes);
    if (!done) return WEFT_E_NOMEM;
    while (device >= 0 && !st) st = walk_device(layout, device, done, &device);
    for (uint32_t i = 0; i < graph->n_outputs && !st; i++) st = emit_output(layout, i);
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

weft_status weft__lay_out(weft__plan *plan)
{
    size_t n = plan->graph->n_values + 1, places = n * plan->devices->n;
    weft__layout layout = { .plan = plan, .graph = plan->graph, .n = n };
    weft_status st = WEFT_E_NOMEM;
    if (!(layout.base = weft__alloc_n(n, sizeof *layout.base))) goto out;
    if (!(layout.reads = weft__alloc_n(n, sizeof *layout.reads))) goto out;
    if (!(layout.still = weft__alloc(n))) goto out;
    if (!(layout.home = weft__alloc_n(n, sizeof *layout.home))) goto out;
    if (!(layout.at = weft__alloc_n(places, sizeof *layout.at))) goto out;
    if (!(layout.dense = weft__alloc_n(places, sizeof *layout.dense))) goto out;
    if (!(plan->output_slot = weft__alloc_n(plan->graph->n_outputs, sizeof *plan->output_slot))) goto out;
    survey(&layout);
    if ((st = weft__layout_homes(&layout))) goto out;
    if ((st = walk(&layout))) goto out;
    st = prologue_first(plan);
out:
    weft__free(layout.base);
    weft__free(layout.reads);
    weft__free(layout.still);
    weft__free(layout.home);
    weft__free(layout.at);
    weft__free(layout.dense);
    return st;
}
