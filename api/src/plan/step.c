/* Steps: a weft_step owns its operands, so that backends may keep pointing at it, and answers
 * attribute questions from the node's checked attributes. */
#include "plan/step.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"

static const weft__attrs *attrs_of(const weft_step *step)
{
    return ((const weft__step *)step)->attrs;
}

static int64_t attr_i(const weft_step *step, const char *name)
{
    return weft__attrs_i(attrs_of(step), name);
}

static double attr_f(const weft_step *step, const char *name)
{
    return weft__attrs_f(attrs_of(step), name);
}

static const char *attr_s(const weft_step *step, const char *name)
{
    return weft__attrs_s(attrs_of(step), name);
}

static uint32_t attr_v(const weft_step *step, const char *name, int64_t *values, uint32_t cap)
{
    return weft__attrs_v(attrs_of(step), name, values, cap);
}

static uint32_t attr_fv(const weft_step *step, const char *name, double *values, uint32_t cap)
{
    return weft__attrs_fv(attrs_of(step), name, values, cap);
}

static void describe(weft__step *step, const weft__step_request *request)
{
    const weft__node *node = request->node;
    step->kind = request->kind;
    step->device = request->device;
    step->node = node;
    step->attrs = node ? node->attrs : &step->none;
    step->base = (weft_step){
        .struct_size = sizeof(weft_step),
        .n_in = request->n_in,
        .n_out = request->n_out,
        .n_extra = node ? node->n_extra : 0,
        .op = request->op,
        .attrs = node && node->text ? node->text : "",
        .path = request->path ? request->path : "",
        .in = step->in_out,
        .out = step->in_out + request->n_in,
        .attr_i = attr_i,
        .attr_f = attr_f,
        .attr_s = attr_s,
        .attr_v = attr_v,
        .attr_fv = attr_fv,
    };
}

weft_status weft__step_create(const weft__step_request *request, weft__step **result)
{
    uint32_t n = request->n_in + request->n_out;
    weft_status st = WEFT_E_NOMEM;
    weft__step *step = weft__alloc(sizeof *step);
    if (!step) return st;
    if (!(step->view = weft__alloc_n(n, sizeof *step->view))) goto out;
    if (!(step->slot = weft__alloc_n(n, sizeof *step->slot))) goto out;
    if (!(step->operand = weft__alloc_n(n, sizeof *step->operand))) goto out;
    if (!(step->in_out = weft__alloc_n(n, sizeof *step->in_out))) goto out;
    for (uint32_t i = 0; i < n; i++) {
        step->view[i] = request->view[i];
        step->slot[i] = request->slot ? request->slot[i] : 1;
        weft__view_classify(&step->view[i], &step->operand[i]);
        step->operand[i].absent = !step->slot[i];
        step->in_out[i] = &step->operand[i];
    }
    describe(step, request);
    *result = step;
    step = NULL;
    st = WEFT_OK;
out:
    weft__step_destroy(&step);
    return st;
}

weft_status weft__value_view(const weft__graph *graph, weft_val value, weft__view *view)
{
    const weft__gvalue *v = &graph->value[value];
    const char *what = v->name ? v->name : "constant";
    if (weft__view_dense(&v->spec, view)) return WEFT_OK;
    if (v->kind == WEFT__V_RESULT) what = graph->node[v->node]->path;
    return weft_fail(WEFT_E_SHAPE, "layer \"%s\": a value has the batch in two of its dimensions",
                     what);
}

weft_status weft__step_of_node(const weft__graph *graph, const weft__node *node, weft__step **step)
{
    uint32_t n = node->n_in + node->n_out;
    weft_status st = WEFT_E_NOMEM;
    weft__view *view = weft__alloc_n(n, sizeof *view);
    uint32_t *slot = weft__alloc_n(n, sizeof *slot);
    if (!view || !slot) goto out;
    for (uint32_t i = 0; i < n; i++) {
        weft_val value = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        if (value == WEFT_NONE || !value) continue;
        slot[i] = 1;
        if ((st = weft__value_view(graph, value, &view[i]))) goto out;
    }
    st = weft__step_create(&(weft__step_request){ .kind = WEFT__STEP_OP,
                                                  .op = node->op,
                                                  .node = node,
                                                  .path = node->path,
                                                  .n_in = node->n_in,
                                                  .n_out = node->n_out,
                                                  .view = view,
                                                  .slot = slot },
                           step);
out:
    weft__free(view);
    weft__free(slot);
    return st;
}

void weft__step_destroy(weft__step **step)
{
    if (!*step) return;
    weft__free((*step)->view);
    weft__free((*step)->slot);
    weft__free((*step)->operand);
    weft__free((*step)->in_out);
    weft__free((*step)->note);
    weft__free(*step);
    *step = NULL;
}

int weft__layout_fits(weft_layout layout, uint32_t flags, int output)
{
    uint32_t pitched = output ? WEFT_KERNEL_OUT_PITCHED : WEFT_KERNEL_IN_PITCHED;
    uint32_t strided = output ? WEFT_KERNEL_OUT_STRIDED : WEFT_KERNEL_IN_STRIDED;
    if (layout == WEFT_DENSE) return 1;
    return (flags & strided) || (layout == WEFT_PITCHED && (flags & pitched));
}

int weft__step_fits(const weft__step *step)
{
    for (uint32_t i = 0; i < step->base.n_in + step->base.n_out; i++)
        if (!step->operand[i].absent &&
            !weft__layout_fits(step->operand[i].layout, step->support.flags, i >= step->base.n_in))
            return 0;
    return 1;
}
