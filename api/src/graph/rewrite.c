/* Rewriting: a new graph from an old one, node by node. Sources (inputs, variables, constants) are
 * copied when they are first read, so that what nothing reads any more is left behind. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/map_tree.h"
#include "graph/node.h"
#include "graph/scan.h"

weft_status weft__rewrite_begin(const weft__graph *src, weft__rewrite *rewrite)
{
    *rewrite = (weft__rewrite){ .src = src };
    weft_status st = weft__graph_create(src->ctx, &rewrite->dst);
    if (st) return st;
    rewrite->map = weft__alloc_n(src->n_values + 1, sizeof *rewrite->map);
    if (!rewrite->map) st = WEFT_E_NOMEM;
    for (size_t i = 0; !st && i < src->n_inputs; i++) {
        weft_val old = src->input[i].value;
        rewrite->map[old] =
            weft__graph_input(rewrite->dst, src->input[i].name, &src->value[old].spec);
        if (!rewrite->map[old]) st = WEFT_E_NOMEM;
    }
    if (st) weft__rewrite_abort(rewrite);
    return st;
}

weft_val weft__rewrite_value(weft__rewrite *rewrite, weft_val old)
{
    const weft__gvalue *v = weft__graph_value(rewrite->src, old);
    if (old == WEFT_NONE) return WEFT_NONE;
    if (v->kind && rewrite->map[old]) return rewrite->map[old];
    switch (v->kind) {
    case WEFT__V_VARIABLE:
        rewrite->map[old] = weft__graph_variable(rewrite->dst, v->variable, v->name, &v->spec);
        break;
    case WEFT__V_CONST:
        rewrite->map[old] = weft__graph_constant(rewrite->dst, &v->spec, v->data, v->weak);
        break;
    default:
        weft_fail(WEFT_E_INTERNAL, "rewriting a graph: value %%%u is read before it is made",
                  (unsigned)old);
        return 0;
    }
    return rewrite->map[old];
}

/* The node's inputs in the new graph, in new memory. */
static weft_status map_inputs(weft__rewrite *rewrite, const weft__node *node, weft_val **in)
{
    weft_val *v = weft__alloc_n(node->n_in, sizeof *v);
    if (!v) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (!(v[i] = weft__rewrite_value(rewrite, node->in[i]))) {
            weft__free(v);
            return WEFT_E_NOMEM;
        }
    *in = v;
    return WEFT_OK;
}

static weft_status copy_texts(const weft__node *node, weft__node *copy)
{
    if (!(copy->text = weft__strdup(node->text))) return WEFT_E_NOMEM;
    if (!(copy->path = weft__strdup(node->path))) return WEFT_E_NOMEM;
    if (node->reason && !(copy->reason = weft__strdup(node->reason))) return WEFT_E_NOMEM;
    return weft__attrs_copy(node->attrs, &copy->attrs);
}

weft_status weft__graph_copy(const weft__graph *graph, weft__graph **copy)
{
    weft__rewrite rw = { 0 };
    weft_status st = weft__rewrite_begin(graph, &rw);
    for (uint32_t i = 0; !st && i < graph->n_nodes; i++)
        st = weft__rewrite_node(&rw, i);
    if (!st) return weft__rewrite_end(&rw, copy);
    weft__rewrite_abort(&rw);
    return st;
}

static weft_status copy_region(void *user, const weft__graph *region, weft__graph **copy)
{
    (void)user;
    return weft__graph_copy(region, copy);
}

weft_status weft__rewrite_scan(weft__rewrite *rewrite, uint32_t number, weft__graph **region)
{
    const weft__node *node = rewrite->src->node[number];
    weft_val *in = NULL, *out = weft__alloc_n((*region)->n_outputs, sizeof *out);
    weft_status st = out ? map_inputs(rewrite, node, &in) : WEFT_E_NOMEM;
    if (!st) st = weft__graph_rescan(rewrite->dst, node, in, region, out);
    for (uint32_t i = 0; !st && i < node->n_out; i++)
        rewrite->map[node->out[i]] = out[i];
    weft__free(in);
    weft__free(out);
    return st;
}

static weft_status rewrite_region(weft__rewrite *rewrite, uint32_t number)
{
    const weft__graph *old = rewrite->src->node[number]->region;
    weft__graph *region = NULL;
    weft_status st = (rewrite->region ? rewrite->region : copy_region)(rewrite->user, old, &region);
    if (!st) st = weft__rewrite_scan(rewrite, number, &region);
    weft__graph_destroy(&region);
    return st;
}

weft_status weft__rewrite_node(weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    weft_status st = WEFT_E_NOMEM;
    weft_spec *outs = NULL;
    weft__node *copy = NULL;
    if (node->region) return rewrite_region(rewrite, number);
    if (!(copy = weft__alloc(sizeof *copy))) goto out;
    copy->op = node->op;
    copy->n_in = node->n_in;
    copy->n_out = node->n_out;
    copy->n_extra = node->n_extra;
    copy->device = node->device;
    copy->lowered_for = node->lowered_for;
    if ((st = copy_texts(node, copy)) || (st = map_inputs(rewrite, node, &copy->in))) goto out;
    st = WEFT_E_NOMEM;
    if (!(copy->out = weft__alloc_n(copy->n_out, sizeof *copy->out))) goto out;
    if (!(outs = weft__alloc_n(copy->n_out, sizeof *outs))) goto out;
    for (uint32_t i = 0; i < copy->n_out; i++)
        outs[i] = rewrite->src->value[node->out[i]].spec;
    if ((st = weft__graph_push(rewrite->dst, &copy, outs))) goto out;
    const weft__node *made = rewrite->dst->node[rewrite->dst->n_nodes - 1];
    for (uint32_t i = 0; i < made->n_out; i++)
        rewrite->map[node->out[i]] = made->out[i];
out:
    weft__node_destroy(&copy);
    weft__free(outs);
    return st;
}

/* `then` of a lowered op: a map over its first result. */
static weft_status lower_then(weft__rewrite *rewrite, const weft__node *node, const weft_val *extra,
                              weft_val *result)
{
    const char *then =
        node->op->flags & WEFT_OP_EPILOGUE ? weft__attrs_s(node->attrs, "then") : NULL;
    weft_val in[WEFT_MAP_MAX_INPUTS] = { *result };
    weft__text attrs = { 0 };
    if (!then) return WEFT_OK;
    for (uint32_t i = 0; i < node->n_extra; i++)
        in[1 + i] = extra[i];
    weft__text_add(&attrs, "expr=\"%s\"", then);
    weft__op_request request = {
        .name = "map", .attrs = attrs.s, .path = node->path, .in = in, .n_in = 1 + node->n_extra
    };
    weft_status st =
        attrs.failed ? WEFT_E_NOMEM : weft__graph_try_op(rewrite->dst, &request, result);
    weft__text_finish(&attrs);
    return st;
}

/* Who reads the value: a layer's path, or the name of an output or variable. NULL: nobody. */
static const char *reader_of(const weft__graph *graph, weft_val value)
{
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (uint32_t k = 0; k < graph->node[i]->n_in; k++)
            if (graph->node[i]->in[k] == value) return graph->node[i]->path;
    for (size_t i = 0; i < graph->n_outputs; i++)
        if (graph->output[i].value == value) return graph->output[i].name;
    for (size_t i = 0; i < graph->n_assigns; i++)
        if (graph->assign[i].value == value) return graph->value[graph->assign[i].variable].name;
    return NULL;
}

/* A lowering may leave out results that are optional and that nobody reads. */
static weft_status check_absent(const weft__graph *graph, const weft__node *node,
                                const weft_val *out)
{
    const char *outputs = weft__op_outputs(node->op), *reader;
    uint32_t least, most;
    weft__arity(outputs, &least, &most);
    for (uint32_t i = 0; i < node->n_out; i++) {
        char name[64];
        if (out[i] != WEFT_NONE) continue;
        weft__port_name(outputs, i, name);
        if (i < least)
            return weft_fail(WEFT_E_INTERNAL,
                             "op %s: lower() leaves result %s absent, which is not optional (%s)",
                             node->op->name, name, outputs);
        if ((reader = reader_of(graph, node->out[i])) != NULL)
            return weft_fail(WEFT_E_UNSUPPORTED,
                             "op %s: lower() leaves result %s absent, but \"%s\" reads it; a "
                             "device must have a kernel for the op",
                             node->op->name, name, reader);
    }
    return WEFT_OK;
}

static weft_status take_results(weft__rewrite *rewrite, const weft__node *node, const weft_val *out)
{
    for (uint32_t i = 0; i < node->n_out; i++) {
        const weft_spec *want = &rewrite->src->value[node->out[i]].spec;
        if (out[i] != WEFT_NONE &&
            !weft__spec_equal(want, weft__graph_spec(rewrite->dst, out[i]))) {
            weft__text text = { 0 };
            weft__print_spec(&text, weft__graph_spec(rewrite->dst, out[i]));
            weft__text_add(&text, ", infer() ");
            weft__print_spec(&text, want);
            weft_status st =
                weft_fail(WEFT_E_INTERNAL, "op %s: lower() gives result %u as %s", node->op->name,
                          (unsigned)i, text.s && !text.failed ? text.s : "another type");
            weft__text_finish(&text);
            return st;
        }
        rewrite->map[node->out[i]] = out[i];
    }
    return WEFT_OK;
}

weft_status weft__rewrite_lower(weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    weft__build build = { 0 };
    weft_val *in = NULL;
    if (!node->op->lower)
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "op %s has no lowering to other ops; a device must have a kernel for it",
                         node->op->name);
    weft_status st = map_inputs(rewrite, node, &in);
    if (st) return st;
    uint32_t own = node->n_in - node->n_extra;
    weft__build_setup setup = { .graph = rewrite->dst,
                                .attrs = node->attrs,
                                .path = node->path,
                                .what = node->op->name,
                                .in = in,
                                .n_in = own };
    size_t where = weft__where_push("%s", *node->path ? node->path : "graph");
    st = weft__build_init(&build, &setup);
    if (!st) st = weft__build_run(&build, node->op->lower, node->n_out);
    if (!st) st = check_absent(rewrite->src, node, build.out);
    if (!st) st = lower_then(rewrite, node, in + own, &build.out[0]);
    if (!st) st = take_results(rewrite, node, build.out);
    weft__where_pop(where);
    weft__build_finish(&build);
    weft__free(in);
    return st;
}

weft_status weft__rewrite_split(weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    weft__value then = { 0 };
    weft__attrs *attrs = NULL;
    weft__text text = { 0 };
    weft_val *in = NULL, *out = NULL, first;
    const uint32_t own = node->n_in - node->n_extra;
    weft_status st = weft__attrs_copy(node->attrs, &attrs);
    if (st) goto out;
    if (weft__attrs_take(attrs, "then", &then)) weft__value_finish(&then);
    weft__attrs_print(&text, attrs, NULL);
    if ((st = text.failed ? WEFT_E_NOMEM : map_inputs(rewrite, node, &in))) goto out;
    st = WEFT_E_NOMEM;
    if (!(out = weft__alloc_n(node->n_out, sizeof *out))) goto out;
    weft__op_request request = { .name = node->op->name,
                                 .attrs = text.s,
                                 .path = node->path,
                                 .in = in,
                                 .n_in = own,
                                 .out = out,
                                 .n_out = node->n_out };
    if ((st = weft__graph_try_op(rewrite->dst, &request, &first))) goto out;
    if ((st = lower_then(rewrite, node, in + own, &out[0]))) goto out;
    st = take_results(rewrite, node, out);
out:
    weft__text_finish(&text);
    weft__attrs_destroy(&attrs);
    weft__free(in);
    weft__free(out);
    return st;
}

weft_status weft__rewrite_end(weft__rewrite *rewrite, weft__graph **graph)
{
    const weft__graph *src = rewrite->src;
    weft_status st = WEFT_OK;
    for (size_t i = 0; !st && i < src->n_outputs; i++) {
        weft_val v = weft__rewrite_value(rewrite, src->output[i].value);
        st = v ? weft__graph_output(rewrite->dst, src->output[i].name, v) : WEFT_E_NOMEM;
    }
    for (size_t i = 0; !st && i < src->n_assigns; i++) {
        weft_val to = weft__rewrite_value(rewrite, src->assign[i].variable);
        weft_val v = weft__rewrite_value(rewrite, src->assign[i].value);
        st = to && v ? weft__graph_assign(rewrite->dst, to, v) : WEFT_E_NOMEM;
    }
    if (!st) {
        *graph = rewrite->dst;
        rewrite->dst = NULL;
    }
    weft__rewrite_abort(rewrite);
    return st;
}

void weft__rewrite_abort(weft__rewrite *rewrite)
{
    weft__graph_destroy(&rewrite->dst);
    weft__free(rewrite->map);
    *rewrite = (weft__rewrite){ 0 };
}
