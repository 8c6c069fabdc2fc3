/* The f64 mode: the same graph with float64 for float32, the reference that results are checked
 * against. Every op is added anew, so that dtypes follow by the same rules; expressions and means
 * of integers, which the rules would make float32, are told to use float64. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/map_tree.h"
#include "graph/node.h"
#include "graph/scan.h"
#include "graph/ops/ops.h"
#include "registry/registry.h"

typedef struct widen {
    const weft__graph *src;
    weft__graph *dst;
    weft_val *map;
} widen;

static int is_narrow(weft_dtype t)
{
    return t == WEFT_F32 || t == WEFT_F16 || t == WEFT_BF16;
}

static weft_spec wide_spec(const weft_spec *spec)
{
    weft_spec wide = *spec;
    if (is_narrow(spec->dtype)) wide.dtype = WEFT_F64;
    return wide;
}

static weft_status wide_constant(widen *w, const weft__gvalue *v, weft_val *made)
{
    weft_spec spec = wide_spec(&v->spec);
    if (v->spec.dtype != WEFT_F32)
        return weft__graph_try_constant(w->dst, &v->spec, v->data, v->weak, made);
    uint64_t n = weft__spec_count_at(&v->spec, 0);
    double *data = weft__alloc_n(n, sizeof *data);
    if (!data) return WEFT_E_NOMEM;
    for (uint64_t i = 0; i < n; i++)
        data[i] = (double)((const float *)v->data)[i];
    weft_status st = weft__graph_try_constant(w->dst, &spec, data, v->weak, made);
    weft__free(data);
    return st;
}

static weft_status wide_value(widen *w, weft_val old, weft_val *made)
{
    const weft__gvalue *v = weft__graph_value(w->src, old);
    weft_spec spec = wide_spec(&v->spec);
    weft_status st = WEFT_OK;
    *made = old == WEFT_NONE ? WEFT_NONE : w->map[old];
    if (*made) return WEFT_OK;
    if (v->kind == WEFT__V_CONST)
        st = wide_constant(w, v, made);
    else if (v->kind != WEFT__V_VARIABLE)
        return weft_fail(WEFT_E_INTERNAL, "f64 mode: value %%%u is read before it is made",
                         (unsigned)old);
    else if (!(*made = weft__graph_variable(w->dst, v->variable, v->name, &spec)))
        st = WEFT_E_NOMEM;
    w->map[old] = *made;
    return st;
}

/* Puts the f64 form of the expression in the attribute's place; in: the dtypes that it was made
 * for. */
static weft_status wide_text(weft__attrs *set, const char *name, const weft_dtype *in, uint32_t n)
{
    weft__text text = { 0 };
    for (size_t i = 0; i < set->n; i++) {
        weft__value *value = &set->attr[i].value;
        if (strcmp(set->attr[i].name, name) != 0 || !value->s) continue;
        weft_status st = weft__map_to_f64(value->s, in, n, &text);
        char *s = st ? NULL : weft__text_take(&text);
        weft__text_finish(&text);
        if (!s) return st ? st : WEFT_E_NOMEM;
        weft__free(value->s);
        value->s = s;
    }
    return WEFT_OK;
}

/* No input tells a random op that it is to give float64. */
static weft_status wide_random(weft__attrs *set)
{
    for (size_t i = 0; i < set->n; i++) {
        weft__value *value = &set->attr[i].value;
        if (strcmp(set->attr[i].name, "dtype") != 0) continue;
        char *s = weft__strdup("float64");
        if (!s) return WEFT_E_NOMEM;
        weft__free(value->s);
        value->s = s;
    }
    return WEFT_OK;
}

/* The dtype of the op's result before its `then`: that of the same op without it. */
static weft_status plain_result(const widen *w, const weft__node *node, weft_dtype *dtype)
{
    weft__graph *scratch = NULL;
    weft__attrs *set = NULL;
    weft__value value = { 0 };
    weft__text attrs = { 0 };
    weft_val v = 0, *in = weft__alloc_n(node->n_in, sizeof *in);
    weft_status st = in ? weft__graph_create(w->src->ctx, &scratch) : WEFT_E_NOMEM;
    uint32_t own = node->n_in - node->n_extra;
    for (uint32_t i = 0; !st && i < own; i++) {
        in[i] = WEFT_NONE;
        if (node->in[i] != WEFT_NONE &&
            !(in[i] = weft__graph_input(scratch, "", weft__graph_spec(w->src, node->in[i]))))
            st = WEFT_E_NOMEM;
    }
    if (!st) st = weft__attrs_copy(node->attrs, &set);
    if (!st && weft__attrs_take(set, "then", &value)) weft__value_finish(&value);
    if (!st) weft__attrs_print(&attrs, set, weft__op_attrs(w->src->ctx, node->op));
    if (!st && attrs.failed) st = WEFT_E_NOMEM;
    weft__op_request request = { .name = node->op->name, .attrs = attrs.s, .in = in, .n_in = own };
    if (!st) st = weft__graph_try_op(scratch, &request, &v);
    if (!st) *dtype = weft__graph_spec(scratch, v)->dtype;
    weft__text_finish(&attrs);
    weft__attrs_destroy(&set);
    weft__graph_destroy(&scratch);
    weft__free(in);
    return st;
}

static weft_status wide_then(widen *w, const weft__node *node, weft__attrs *set)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS] = { 0 };
    weft_status st = plain_result(w, node, &in[0]);
    for (uint32_t i = 0; i < node->n_extra; i++)
        in[1 + i] = weft__graph_spec(w->src, node->in[node->n_in - node->n_extra + i])->dtype;
    return st ? st : wide_text(set, "then", in, 1 + node->n_extra);
}

/* What the node's attributes are in f64, as text. */
static weft_status wide_attrs(widen *w, const weft__node *node, weft__text *attrs)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS] = { 0 };
    weft__attrs *set = NULL;
    weft_status st = weft__attrs_copy(node->attrs, &set);
    for (uint32_t i = 0; node->op == &weft__op_map && i < node->n_in; i++)
        in[i] = weft__graph_spec(w->src, node->in[i])->dtype;
    if (!st && node->op == &weft__op_map) st = wide_text(set, "expr", in, node->n_in);
    if (!st && node->op == &weft__op_random) st = wide_random(set);
    if (!st && (node->op->flags & WEFT_OP_EPILOGUE) && weft__attrs_s(set, "then"))
        st = wide_then(w, node, set);
    if (!st) weft__attrs_print(attrs, set, weft__op_attrs(w->src->ctx, node->op));
    if (!st && attrs->failed) st = WEFT_E_NOMEM;
    weft__attrs_destroy(&set);
    return st;
}

/* A mean of integers would be a float32. */
static weft_status wide_mean(widen *w, const weft__node *node, weft_val *in)
{
    const char *fn = node->op == &weft__op_reduce ? weft__attrs_s(node->attrs, "fn") : NULL;
    weft_dtype t = weft__graph_spec(w->dst, in[0])->dtype;
    if (!fn || strcmp(fn, "mean") != 0 || t == WEFT_F64) return WEFT_OK;
    weft__op_request request = { .name = "f64", .path = node->path, .in = in, .n_in = 1 };
    return weft__graph_try_op(w->dst, &request, in);
}

static weft_status wide_op(widen *w, const weft__node *node, weft_val *in, weft_val *out)
{
    weft__graph *region = NULL;
    weft__text attrs = { 0 };
    weft_val first = 0;
    weft_status st;
    if (node->region) {
        if ((st = weft__pass_f64(node->region, &region))) return st;
        st = weft__graph_rescan(w->dst, node, in, &region, out);
        weft__graph_destroy(&region);
        return st;
    }
    if ((st = wide_attrs(w, node, &attrs)) || (st = wide_mean(w, node, in))) goto out;
    weft__op_request request = { .name = node->op->name,
                                 .attrs = attrs.s,
                                 .path = node->path,
                                 .in = in,
                                 .n_in = node->n_in,
                                 .out = out,
                                 .n_out = node->n_out };
    size_t before = w->dst->n_nodes;
    if ((st = weft__graph_try_op(w->dst, &request, &first))) goto out;
    if (w->dst->n_nodes == before) goto out;
    weft__node *made = w->dst->node[w->dst->n_nodes - 1];
    made->device = node->device;
    if (node->reason && !(made->reason = weft__strdup(node->reason))) st = WEFT_E_NOMEM;
out:
    weft__text_finish(&attrs);
    return st;
}

static weft_status wide_node(widen *w, const weft__node *node)
{
    weft_val *in = weft__alloc_n(node->n_in + 1, sizeof *in),
             *out = weft__alloc_n(node->n_out, sizeof *out);
    weft_status st = in && out ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < node->n_in && !st; i++)
        st = wide_value(w, node->in[i], &in[i]);
    if (!st) st = wide_op(w, node, in, out);
    for (uint32_t i = 0; i < node->n_out && !st; i++)
        w->map[node->out[i]] = out[i];
    weft__free(in);
    weft__free(out);
    return st;
}

static weft_status wide_ends(widen *w)
{
    weft_status st = WEFT_OK;
    weft_val v, to;
    for (size_t i = 0; !st && i < w->src->n_outputs; i++) {
        st = wide_value(w, w->src->output[i].value, &v);
        if (!st) st = weft__graph_output(w->dst, w->src->output[i].name, v);
    }
    for (size_t i = 0; !st && i < w->src->n_assigns; i++) {
        st = wide_value(w, w->src->assign[i].variable, &to);
        if (!st) st = wide_value(w, w->src->assign[i].value, &v);
        if (!st) st = weft__graph_assign(w->dst, to, v);
    }
    return st;
}

weft_status weft__pass_f64(const weft__graph *graph, weft__graph **result)
{
    widen w = { .src = graph };
    weft_status st = weft__graph_create(graph->ctx, &w.dst);
    if (!st && !(w.map = weft__alloc_n(graph->n_values + 1, sizeof *w.map))) st = WEFT_E_NOMEM;
    for (size_t i = 0; !st && i < graph->n_inputs; i++) {
        weft_val old = graph->input[i].value;
        weft_spec spec = wide_spec(&graph->value[old].spec);
        if (!(w.map[old] = weft__graph_input(w.dst, graph->input[i].name, &spec)))
            st = WEFT_E_NOMEM;
    }
    for (size_t i = 0; !st && i < graph->n_nodes; i++)
        st = wide_node(&w, graph->node[i]);
    if (!st) st = wide_ends(&w);
    if (!st) {
        *result = w.dst;
        w.dst = NULL;
    }
    weft__graph_destroy(&w.dst);
    weft__free(w.map);
    return st;
}
