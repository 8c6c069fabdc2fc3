/* Where values lie: views of what is there already, and on demand the copies that a view cannot
 * avoid: uploads of inputs, dense copies for kernels that read nothing else, transfers between
 * devices. */
#include "plan/layout.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "registry/registry.h"

uint32_t weft__layout_device(const weft__layout *layout, weft_val value)
{
    const weft__gvalue *base = &layout->graph->value[layout->base[value]];
    return base->kind == WEFT__V_RESULT ? (uint32_t)layout->graph->node[base->node]->device : 0;
}

weft_status weft__layout_slot(weft__layout *layout, weft_val value, uint32_t device,
                              weft__slot_kind kind, weft__place_at *place)
{
    const weft__gvalue *v = &layout->graph->value[value];
    weft__slot slot = { .kind = kind,
                        .device = device,
                        .dtype = v->spec.dtype,
                        .value = v,
                        .loop = layout->loop,
                        .name = v->name ? v->name : "constant",
                        .pending = layout->reads[value] };
    weft_status st;
    if (v->kind == WEFT__V_RESULT) slot.name = layout->graph->node[v->node]->path;
    if (!kind) slot.kind = layout->still[value] ? WEFT__SLOT_PROLOGUE : WEFT__SLOT_ARENA;
    if ((st = weft__value_view(layout->graph, value, &place->view))) return st;
    slot.count = weft__view_count(&place->view);
    return weft__slot_add(layout->plan, &slot, &place->slot);
}

weft_status weft__layout_emit(weft__layout *layout, weft__step *step)
{
    weft__plan *plan = layout->plan;
    if (weft__grow(&plan->step, plan->n_steps, &plan->cap_steps, sizeof *plan->step)) {
        weft__step_destroy(&step);
        return WEFT_E_NOMEM;
    }
    step->loop = layout->loop;
    plan->step[plan->n_steps++] = step;
    return WEFT_OK;
}

/* Inputs, then outputs, without the pairs that hold nothing. */
static uint32_t pair_up(const weft__copying *copying, weft__view *view, uint32_t *slot)
{
    uint32_t n = 0, k = 0;
    for (uint32_t i = 0; i < copying->n; i++)
        n += weft__view_count(&copying->src[i].view) != 0;
    for (uint32_t i = 0; i < copying->n; i++) {
        if (!weft__view_count(&copying->src[i].view)) continue;
        view[k] = copying->src[i].view;
        slot[k] = copying->src[i].slot;
        view[n + k] = copying->dst[i].view;
        slot[n + k++] = copying->dst[i].slot;
    }
    return n;
}

/* Asks the device to copy; the step belongs to the plan if it can. */
static weft_status emit_copy(weft__layout *layout, const weft__copying *copying, weft__step *step)
{
    const weft__device *device = &layout->plan->devices->device[copying->device];
    step->prologue = copying->prologue;
    if (copying->note && !(step->note = weft__strdup(copying->note))) {
        weft__step_destroy(&step);
        return WEFT_E_NOMEM;
    }
    if (weft__device_asks(device, step) && weft__step_fits(step))
        return weft__layout_emit(layout, step);
    weft_status st =
        weft_fail(WEFT_E_UNSUPPORTED, "layer \"%s\": %s cannot copy a value of %s (%s)",
                  copying->path, device->id, weft_dtype_name(step->view[0].spec.dtype),
                  step->support.why[0] ? step->support.why : "its copy kernel takes no strides");
    weft__step_destroy(&step);
    return st;
}

weft_status weft__layout_copy(weft__layout *layout, const weft__copying *copying)
{
    weft_context *ctx = layout->plan->devices->ctx;
    weft__step_request request = { .kind = WEFT__STEP_COPY,
                                   .op = weft__find_op(ctx, "copy"),
                                   .path = copying->path,
                                   .device = copying->device };
    weft__step *step = NULL;
    weft_status st = WEFT_E_NOMEM;
    weft__view *view = weft__alloc_n((size_t)copying->n * 2, sizeof *view);
    uint32_t *slot = weft__alloc_n((size_t)copying->n * 2, sizeof *slot);
    if (!view || !slot) goto out;
    request.n_in = request.n_out = pair_up(copying, view, slot);
    request.view = view;
    request.slot = slot;
    if (!request.op)
        st = weft_fail(WEFT_E_INTERNAL, "op copy is not registered");
    else if (!request.n_in)
        st = WEFT_OK;
    else if (!(st = weft__step_create(&request, &step)))
        st = emit_copy(layout, copying, step);
out:
    weft__free(view);
    weft__free(slot);
    return st;
}

static weft_status locate_source(weft__layout *layout, weft_val value, uint32_t device,
                                 weft__place_at *place)
{
    const weft__gvalue *v = &layout->graph->value[value];
    weft__slot_kind kind = v->kind == WEFT__V_INPUT      ? WEFT__SLOT_INPUT
                           : v->kind == WEFT__V_VARIABLE ? WEFT__SLOT_VARIABLE
                                                         : WEFT__SLOT_CONST;
    weft_status st;
    if ((st = weft__layout_slot(layout, value, device, kind, place))) return st;
    if (v->kind == WEFT__V_INPUT) layout->plan->slot[place->slot].index = v->index;
    return WEFT_OK;
}

/* The view op's effect on src. 1 = done. */
static int look(const weft__layout *layout, const weft__node *node, const weft__view *src,
                weft__view *dst)
{
    const weft_spec *to = &layout->graph->value[node->out[0]].spec;
    int64_t a[WEFT_MAX_RANK], step[WEFT_MAX_RANK];
    switch (weft__is_view(node)) {
    case WEFT__VIEW_RESHAPE: return weft__view_reshape(src, to, dst);
    case WEFT__VIEW_TRANSPOSE:
        weft__layout_perm(layout, node, a);
        weft__view_transpose(src, a, dst);
        return 1;
    case WEFT__VIEW_SLICE:
        for (int i = 0; i < WEFT_MAX_RANK; i++)
            step[i] = 1;
        weft__attrs_v(node->attrs, "begin", a, WEFT_MAX_RANK);
        weft__attrs_v(node->attrs, "step", step, WEFT_MAX_RANK);
        return weft__view_slice(src, a, step, to, dst);
    default: weft__view_broadcast(src, to, dst); return 1;
    }
}

static weft_status locate_view(weft__layout *layout, weft_val value, uint32_t device,
                               weft__place_at *place)
{
    const weft__node *node = layout->graph->node[layout->graph->value[value].node];
    weft__place_at src, dst;
    weft_status st = weft__locate(layout, node->in[0], device, &src);
    if (st) return st;
    if (!look(layout, node, &src.view, &dst.view)) {
        if ((st = weft__locate_dense(layout, node->in[0], device, node->path, &src))) return st;
        if (!look(layout, node, &src.view, &dst.view))
            return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": op %s %s has no view of a dense value",
                             node->path, node->op->name, node->text);
    }
    dst.slot = src.slot;
    *place = dst;
    if (layout->plan->options.views) return WEFT_OK;
    src = dst;
    if ((st = weft__layout_slot(layout, value, device, 0, &dst))) return st;
    *place = dst;
    return weft__layout_copy(layout, &(weft__copying){ &src, &dst, 1, device, layout->still[value],
                                                       node->path, "views=false" });
}

static weft_status transfer(weft__layout *layout, weft_val value, uint32_t device,
                            weft__place_at *place)
{
    const weft__node *node = layout->graph->node[layout->graph->value[value].node];
    weft__place_at src, dst;
    weft__step *step = NULL;
    weft_status st;
    if (node->device < 0 || (uint32_t)node->device == device)
        return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": op %s is read before it is made",
                         node->path, node->op->name);
    if ((st = weft__locate_dense(layout, value, (uint32_t)node->device, "a transfer", &src)))
        return st;
    if ((st = weft__layout_slot(layout, value, device, 0, &dst))) return st;
    *place = dst;
    if (!weft__view_count(&dst.view)) return WEFT_OK;
    weft__view view[2] = { src.view, dst.view };
    uint32_t slot[2] = { src.slot, dst.slot };
    st = weft__step_create(&(weft__step_request){ .kind = WEFT__STEP_TRANSFER,
                                                  .path = node->path,
                                                  .n_in = 1,
                                                  .n_out = 1,
                                                  .device = device,
                                                  .view = view,
                                                  .slot = slot },
                           &step);
    if (st) return st;
    step->prologue = layout->still[value];
    return weft__layout_emit(layout, step);
}

weft_status weft__locate(weft__layout *layout, weft_val value, uint32_t device,
                         weft__place_at *place)
{
    const weft__gvalue *v = &layout->graph->value[value];
    weft__place_at *known = &layout->at[device * layout->n + value];
    weft_status st = WEFT_OK;
    if (!known->slot) {
        if (v->kind != WEFT__V_RESULT)
            st = locate_source(layout, value, device, place);
        else if (weft__is_view(layout->graph->node[v->node]))
            st = locate_view(layout, value, device, place);
        else
            st = transfer(layout, value, device, place);
        if (st) return st;
        *known = *place;
    }
    *place = *known;
    return WEFT_OK;
}

/* The dense copy of a part of a concat is that concat's cost. */
static void charge(weft__layout *layout, weft_val value, const char *reader)
{
    uint32_t number = layout->home[layout->base[value]].concat;
    if (!number) return;
    weft__concat *concat = &layout->plan->concat[number - 1];
    const weft_spec *spec = &layout->graph->value[value].spec;
    weft__view view;
    weft__view_dense(spec, &view);
    concat->bytes =
        weft__affine_sum(concat->bytes, weft__affine_of(weft__view_count(&view),
                                                        (int64_t)weft_dtype_size(spec->dtype)));
    weft__text_add(&concat->why, "%s%s reads an input and takes it dense only",
                   concat->why.n ? "; " : "", reader);
}

weft_status weft__locate_dense(weft__layout *layout, weft_val value, uint32_t device,
                               const char *reader, weft__place_at *place)
{
    weft__place_at *known = &layout->dense[device * layout->n + value], src;
    weft_status st = weft__locate(layout, value, device, &src);
    if (st) return st;
    if (weft__view_classify(&src.view, NULL) == WEFT_DENSE) {
        *place = src;
        return WEFT_OK;
    }
    if (!known->slot) {
        if ((st = weft__layout_slot(layout, value, device, 0, place))) return st;
        st = weft__layout_copy(layout,
                               &(weft__copying){ &src, place, 1, device, layout->still[value],
                                                 reader, "made dense for its reader" });
        if (st) return st;
        charge(layout, value, reader);
        *known = *place;
    }
    *place = *known;
    return WEFT_OK;
}
