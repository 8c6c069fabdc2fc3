/* One op becomes a step: its inputs where they lie, or dense where its kernel takes no less; its
 * outputs at home, in place over an input that ends here, or in storage of their own. */
#include "plan/layout.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"

typedef struct emitting {
    weft__layout *layout;
    const weft__node *node;
    uint32_t device, n;
    weft__place_at *place; /* inputs, then outputs */
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
        weft_status st = weft__value_view(e->layout->graph, out, &place->view);
        if (st) return st;
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
    st = weft__step_create(&(weft__step_request){ .kind = WEFT__STEP_OP,
                                                  .op = e->node->op,
                                                  .node = e->node,
                                                  .path = e->node->path,
                                                  .n_in = e->node->n_in,
                                                  .n_out = e->node->n_out,
                                                  .device = e->device,
                                                  .view = view,
                                                  .slot = slot },
                           &e->step);
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
        if (!place->slot || weft__layout_fits(weft__view_classify(&place->view, NULL), flags, 0))
            continue;
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
    if (weft__device_asks(&e->layout->plan->devices->device[e->device], step))
        *flags = step->support.flags;
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
    return weft_fail(WEFT_E_INTERNAL,
                     "layer \"%s\": op %s was placed on %s, which then refused it (%s)",
                     e->node->path, e->node->op->name, device->id, e->step->support.why);
}

/* Is input i at its end here, alone in an arena slot, and of the shape of the output? */
static int dies_here(const emitting *e, uint32_t i)
{
    const weft__place_at *place = &e->place[i], *out = &e->place[e->node->n_in];
    const weft__slot *slot = &e->layout->plan->slot[place->slot];
    uint32_t readers = 0;
    if (!place->slot || slot->kind != WEFT__SLOT_ARENA || slot->device != e->device) return 0;
    if (slot->pinned) return 0;
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
        if (e->place[i].slot == NOT_YET &&
            (st = weft__layout_slot(layout, out, e->device, 0, &e->place[i])))
            return st;
        if (!e->place[i].slot) continue;
        e->step->view[i] = e->place[i].view;
        e->step->slot[i] = e->place[i].slot;
        weft__view_classify(&e->step->view[i], &e->step->operand[i]);
        layout->at[e->device * layout->n + out] = e->place[i];
    }
    return WEFT_OK;
}

void weft__layout_read(weft__layout *layout, const weft__node *node)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE) continue;
        weft_val base = layout->base[node->in[i]];
        uint32_t slot = layout->at[weft__layout_device(layout, base) * layout->n + base].slot;
        if (slot && !layout->plan->slot[slot].pinned) layout->plan->slot[slot].pending--;
    }
}

static int gives_nothing(const emitting *e)
{
    for (uint32_t i = e->node->n_in; i < e->n; i++)
        if (e->place[i].slot && weft__view_count(&e->place[i].view)) return 0;
    return 1;
}

weft_status weft__layout_op(weft__layout *layout, const weft__node *node)
{
    emitting e = { .layout = layout,
                   .node = node,
                   .device = (uint32_t)node->device,
                   .n = node->n_in + node->n_out };
    weft_status st = WEFT_E_NOMEM;
    if (!(e.place = weft__alloc_n(e.n, sizeof *e.place))) return st;
    if ((st = locate_inputs(&e)) || (st = shape_outputs(&e))) goto out;
    if ((st = settle_inputs(&e)) || (st = choose_outputs(&e))) goto out;
    e.step->prologue = layout->still[node->out[0]];
    weft__layout_read(layout, node);
    if (!gives_nothing(&e)) {
        st = weft__layout_emit(layout, e.step);
        e.step = NULL;
    }
out:
    weft__step_destroy(&e.step);
    weft__free(e.place);
    return st;
}
