/* The trainable variables of a model as one flat array. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/parts.h"
#include "model/slots.h"

static int64_t count_of(const weft__variable *variable)
{
    return (int64_t)weft__spec_count_at(&variable->spec, 1);
}

static weft_status take_part(weft__pack *pack, weft__variable *v, int64_t *end)
{
    if (v->spec.dtype != WEFT_F32)
        return weft_fail(WEFT_E_DTYPE,
                         "variable \"%s\" is %s; only float32 is trained: freeze its layer",
                         v->path, weft_dtype_name(v->spec.dtype));
    pack->part[pack->n] = v;
    pack->offset[pack->n] = *end;
    pack->seen[pack->n++] = UINT64_MAX;
    *end += count_of(v);
    return WEFT_OK;
}

static weft_status take_parts(weft__pack *pack, int64_t *end)
{
    const weft_model *model = pack->model;
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < model->n_variables && !st; i++)
        if (model->variable[i]->flags & WEFT_TRAINABLE)
            st = take_part(pack, model->variable[i], end);
    if (!st && !*end)
        st = weft_fail(WEFT_E_ARG,
                       "model \"%s\" has nothing to train: it has no variables, or all its layers "
                       "are frozen (trainable=false)",
                       model->name);
    return st;
}

weft_status weft__pack_create(const weft_model *model, weft__slots *slots, weft__pack **result)
{
    size_t n = model->n_variables;
    weft_spec spec = { WEFT_F32, 1, { 0 } };
    weft_status st = WEFT_E_NOMEM;
    weft__pack *pack = weft__alloc(sizeof *pack);
    if (!pack) return st;
    pack->model = model;
    if (!(pack->part = weft__alloc_n(n, sizeof(weft__variable *)))) goto out;
    if (!(pack->offset = weft__alloc_n(n, sizeof *pack->offset))) goto out;
    if (!(pack->seen = weft__alloc_n(n, sizeof *pack->seen))) goto out;
    if ((st = take_parts(pack, &spec.dim[0]))) goto out;
    if ((st = weft__slots_add(slots, "weights", &spec, "zeros", &pack->flat))) goto out;
    *result = pack;
    pack = NULL;
out:
    weft__pack_destroy(&pack);
    return st;
}

void weft__pack_destroy(weft__pack **pack)
{
    weft__pack *p = *pack;
    if (!p) return;
    weft__free(p->part);
    weft__free(p->offset);
    weft__free(p->seen);
    weft__free(p);
    *pack = NULL;
}

int weft__pack_stale(const weft__pack *pack)
{
    int stale = 0;
    for (size_t i = 0; i < pack->n; i++)
        stale |= pack->part[i]->generation != pack->seen[i];
    return stale;
}

void weft__pack_gather(weft__pack *pack)
{
    int changed = 0;
    for (size_t i = 0; i < pack->n; i++) {
        const weft__variable *v = pack->part[i];
        if (v->generation == pack->seen[i]) continue;
        memcpy((float *)pack->flat->data + pack->offset[i], v->data,
               (size_t)weft__spec_bytes(&v->spec));
        pack->seen[i] = v->generation;
        changed = 1;
    }
    if (changed) pack->flat->generation++;
}

void weft__pack_scatter(weft__pack *pack)
{
    for (size_t i = 0; i < pack->n; i++)
        weft__variable_land(pack->part[i], (const float *)pack->flat->data + pack->offset[i],
                            &pack->seen[i]);
}

/* ---- in graphs ---- */

/* slice, then reshape: views both. */
static weft_status view(weft__rewrite *rw, weft_val flat, const weft__pack *pack, size_t i,
                        weft_val *result)
{
    const weft__variable *v = pack->part[i];
    char attrs[24 * WEFT_MAX_RANK + 32];
    weft__op_request request = { .name = "slice", .attrs = attrs, .path = v->path, .n_in = 1 };
    snprintf(attrs, sizeof attrs, "begin=(%lld) size=(%lld)", (long long)pack->offset[i],
             (long long)count_of(v));
    request.in = &flat;
    weft_val part = weft__graph_op(rw->dst, &request);
    if (!part) return WEFT_E_NOMEM;
    request.name = "reshape";
    request.in = &part;
    snprintf(attrs, sizeof attrs, "shape=");
    weft_ints_text(attrs + 6, sizeof attrs - 6, v->spec.dim, (uint32_t)v->spec.rank);
    *result = weft__graph_op(rw->dst, &request);
    return *result ? WEFT_OK : WEFT_E_NOMEM;
}

static weft_status replace(weft__rewrite *rw, const weft__pack *pack, weft_val old)
{
    const weft__gvalue *value = &rw->src->value[old];
    for (size_t i = 0; i < pack->n; i++) {
        if (pack->part[i] != value->variable) continue;
        weft_val flat = weft__graph_variable(rw->dst, pack->flat, "weights", &pack->flat->spec);
        return flat ? view(rw, flat, pack, i, &rw->map[old]) : WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

static weft_status check_assigns(const weft__pack *pack, const weft__graph *graph)
{
    for (size_t i = 0; i < graph->n_assigns; i++)
        for (size_t k = 0; k < pack->n; k++)
            if (graph->value[graph->assign[i].variable].variable == pack->part[k])
                return weft_fail(WEFT_E_UNSUPPORTED,
                                 "variable \"%s\" is trained by the optimizer and assigned by its "
                                 "layer as well; its plugin must make it without WEFT_TRAINABLE",
                                 pack->part[k]->path);
    return WEFT_OK;
}

weft_status weft__pack_apply(const weft__pack *pack, const weft__graph *graph, weft_val *values,
                             size_t n, weft__graph **result)
{
    weft__rewrite rw = { 0 };
    weft_status st = check_assigns(pack, graph);
    if (!st) st = weft__rewrite_begin(graph, &rw);
    for (size_t i = 1; i <= graph->n_values && !st; i++)
        if (graph->value[i].kind == WEFT__V_VARIABLE) st = replace(&rw, pack, (weft_val)i);
    for (uint32_t i = 0; i < graph->n_nodes && !st; i++)
        st = weft__rewrite_node(&rw, i);
    for (size_t i = 0; i < n && !st; i++)
        if (!(values[i] = weft__rewrite_value(&rw, values[i]))) st = WEFT_E_NOMEM;
    if (!st) return weft__rewrite_end(&rw, result);
    weft__rewrite_abort(&rw);
    return st;
}
