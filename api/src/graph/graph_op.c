/* Adding an op to a graph: attributes checked, inputs counted, results inferred. Elementwise
 * functions become `map` nodes in a normal form: canonical text, weak constants written into it,
 * every input once. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/draft.h"
#include "graph/map.h"
#include "graph/map_table.h"
#include "graph/map_tree.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "registry/registry.h"

void weft__draft_finish(weft__draft *d)
{
    weft__attrs_destroy(&d->attrs);
    weft__free(d->in);
    weft__free(d->outs);
    *d = (weft__draft){ 0 };
}

static weft_status check_inputs(const weft__graph *graph, const weft__op_request *request)
{
    for (uint32_t i = 0; i < request->n_in; i++) {
        weft_val v = request->in[i];
        if (v == WEFT_NONE || weft__graph_value(graph, v)->kind) continue;
        return weft_fail(WEFT_E_ARG,
                         v ? "input %u is no value of this graph" : "input %u failed already",
                         (unsigned)i);
    }
    return WEFT_OK;
}

static weft_status draft_inputs(weft__draft *d, const weft_val *in, uint32_t n)
{
    d->in = weft__alloc_n(n, sizeof *d->in);
    if (!d->in) return WEFT_E_NOMEM;
    if (n) memcpy(d->in, in, n * sizeof *in);
    d->n_in = n;
    return WEFT_OK;
}

weft_status weft__graph_harden(weft__graph *graph, weft_val *value)
{
    static const weft_spec spec = { WEFT_F32, 0, { 0 } };
    const weft__gvalue *v = weft__graph_value(graph, *value);
    if (!v->weak || v->spec.dtype != WEFT_F64) return WEFT_OK;
    float number = (float)*(const double *)v->data;
    return weft__graph_try_constant(graph, &spec, &number, 0, value);
}

/* Outside of maps a weak constant needs a dtype of its own. */
static weft_status harden(weft__draft *d, uint32_t n)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < n && !st; i++)
        st = weft__graph_harden(d->graph, &d->in[i]);
    return st;
}

static weft_status fail_arity(const weft__draft *d, uint32_t least, uint32_t most, uint32_t n)
{
    const char *then = d->op->flags & WEFT_OP_EPILOGUE ? "; more need the attribute `then`" : "";
    if (least == most)
        return weft_fail(WEFT_E_ARG, "takes %u input%s (%s), not %u%s", (unsigned)least,
                         least == 1 ? "" : "s", d->op->inputs, (unsigned)n, n > most ? then : "");
    if (n < least)
        return weft_fail(WEFT_E_ARG, "takes at least %u input%s (%s), not %u", (unsigned)least,
                         least == 1 ? "" : "s", d->op->inputs, (unsigned)n);
    return weft_fail(WEFT_E_ARG, "takes at most %u inputs (%s), not %u%s", (unsigned)most,
                     d->op->inputs, (unsigned)n, then);
}

/* Optional inputs that were left out are absent ones: nodes have all of their op's inputs. */
static weft_status complete_inputs(weft__draft *d, uint32_t most)
{
    if (d->n_in >= most) return WEFT_OK;
    weft_val *in = weft__realloc(d->in, most * sizeof *in);
    if (!in) return WEFT_E_NOMEM;
    for (uint32_t i = d->n_in; i < most; i++)
        in[i] = WEFT_NONE;
    d->in = in;
    d->n_in = most;
    return WEFT_OK;
}

/* Own inputs, extra ones behind them, and that only optional ones are absent. */
static weft_status check_arity(weft__draft *d)
{
    uint32_t least, most;
    weft__arity(d->op->inputs, &least, &most);
    d->n_extra = d->then && d->n_in > most ? d->n_in - most : 0;
    uint32_t own = d->n_in - d->n_extra;
    if (own < least || own > most) return fail_arity(d, least, most, own);
    for (uint32_t i = 0; i < d->n_in; i++) {
        char name[64];
        if (d->in[i] != WEFT_NONE || (i >= least && i < own)) continue;
        weft__port_name(d->op->inputs, i, name);
        return weft_fail(WEFT_E_ARG, "input %s is absent, but it is not optional (%s)", name,
                         d->op->inputs);
    }
    return most == UINT32_MAX ? WEFT_OK : complete_inputs(d, most);
}

/* Adds "(a: result of conv1 float32 (None, 3); b: ...)" to the error that infer recorded. */
static weft_status fail_infer(const weft__draft *d, weft_status st)
{
    weft__text text = { 0 };
    if (st == WEFT_E_NOMEM) return st;
    weft__text_add(&text, "%s (inputs: ", weft_error());
    for (uint32_t i = 0; i < d->n_in - d->n_extra; i++) {
        char name[64];
        weft__port_name(d->op->inputs, i, name);
        weft__text_add(&text, "%s%s = ", i ? "; " : "", name);
        weft__graph_describe(d->graph, d->in[i], &text);
    }
    weft__text_add(&text, ")");
    if (text.s && !text.failed) weft__fail_text(st, text.s);
    weft__text_finish(&text);
    return st;
}

/* Results of an op that has no infer: what its lowering gives, built into a graph that is thrown
 * away. */
static weft_status infer_by_lower(const weft__draft *d, const weft_spec *in, uint32_t n)
{
    weft__graph *graph = NULL;
    weft__build build = { 0 };
    weft_val *value = weft__alloc_n(n, sizeof *value);
    weft_status st = value ? weft__graph_create(d->graph->ctx, &graph) : WEFT_E_NOMEM;
    for (uint32_t i = 0; !st && i < n; i++) {
        value[i] = in[i].dtype ? weft__graph_input(graph, "x", &in[i]) : WEFT_NONE;
        if (!value[i]) st = WEFT_E_NOMEM;
    }
    if (st) goto out;
    weft__build_setup setup = {
        .graph = graph, .attrs = d->attrs, .what = d->op->name, .in = value, .n_in = n
    };
    if ((st = weft__build_init(&build, &setup))) goto out;
    st = weft__build_run(&build, d->op->lower, d->n_out);
    for (uint32_t i = 0; !st && i < d->n_out; i++) {
        char name[64];
        weft__port_name(weft__op_outputs(d->op), i, name);
        if (build.out[i] == WEFT_NONE)
            st = weft_fail(WEFT_E_INTERNAL,
                           "lower() leaves result %s absent; an op without infer() must give all",
                           name);
        d->outs[i] = *weft__graph_spec(graph, build.out[i]);
    }
out:
    weft__build_finish(&build);
    weft__graph_destroy(&graph);
    weft__free(value);
    return st;
}

static weft_status infer(weft__draft *d)
{
    uint32_t n = d->n_in - d->n_extra;
    weft__build build = { 0 };
    weft_status st = WEFT_E_NOMEM;
    d->n_out = weft__op_results(d->op, n);
    if (!d->n_out)
        return weft_fail(WEFT_E_ARG, "has no result: its class declares none for these inputs");
    d->outs = weft__alloc_n(d->n_out, sizeof *d->outs);
    weft_spec *in = weft__alloc_n(n, sizeof *in);
    if (!in || !d->outs) goto out;
    for (uint32_t i = 0; i < n; i++)
        in[i] = *weft__graph_spec(d->graph, d->in[i]);
    if (!d->op->infer && !d->op->lower) {
        st = weft_fail(WEFT_E_UNSUPPORTED,
                       "op %s has neither infer nor lower: its results are not known", d->op->name);
    } else if (!d->op->infer) {
        st = infer_by_lower(d, in, n);
    } else {
        weft__build_setup setup = {
            .graph = d->graph, .attrs = d->attrs, .what = d->op->name, .n_in = n, .infer_in = in
        };
        if (!(st = weft__build_init(&build, &setup))) st = d->op->infer(&build.base, d->outs);
        if (!st) st = build.status;
    }
    if (st == WEFT_E_SHAPE || st == WEFT_E_DTYPE) fail_infer(d, st);
out:
    weft__build_finish(&build);
    weft__free(in);
    return st;
}

/* The result's dtype by `then`, whose extra inputs are broadcast to the result's shape. */
static weft_status infer_then(weft__draft *d)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    weft_spec all;
    weft_status st;
    if (!d->then) return WEFT_OK;
    if (d->n_extra >= WEFT_MAP_MAX_INPUTS)
        return weft_fail(WEFT_E_ARG, "`then` takes at most %d extra inputs, not %u",
                         WEFT_MAP_MAX_INPUTS - 1, (unsigned)d->n_extra);
    in[0] = d->outs[0].dtype;
    for (uint32_t i = 0; i < d->n_extra; i++) {
        const weft_spec *extra = weft__graph_spec(d->graph, d->in[d->n_in - d->n_extra + i]);
        in[1 + i] = extra->dtype;
        all = d->outs[0];
        if ((st = weft__spec_broadcast(&d->outs[0], extra, &all))) return st;
        all.dtype = d->outs[0].dtype;
        if (!weft__spec_equal(&all, &d->outs[0]))
            return weft_fail(WEFT_E_SHAPE,
                             "extra input %c of `then` is larger than the op's result; it is "
                             "broadcast to the result, not the result to it",
                             (int)('b' + i));
    }
    return weft__map_type(d->then, in, NULL, 1 + d->n_extra, &d->outs[0].dtype);
}

/* A sample of more elements than this is a mistake or an attack: no device holds it, and sizes in
 * bytes of many samples would overflow. */
#define MAX_ELEMENTS ((int64_t)1 << 40)

static weft_status check_size(const weft_spec *spec)
{
    weft__shape_text shape;
    int64_t n;
    weft_status st = weft__spec_count(spec, &n);
    if (st || n == WEFT_ANY || (n <= MAX_ELEMENTS && n >= -MAX_ELEMENTS)) return st;
    return weft_fail(
        WEFT_E_SHAPE,
        "the result %s would have more than 2^40 elements a sample; check the sizes in "
        "the layer's attributes",
        weft__shape_show(spec, &shape));
}

static weft_status check_results(const weft__draft *d)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; !st && i < d->n_out; i++) {
        if (d->outs[i].rank < 0 || d->outs[i].rank > WEFT_MAX_RANK ||
            !weft_dtype_size(d->outs[i].dtype))
            return weft_fail(WEFT_E_INTERNAL, "infer gave result %u rank %d and dtype %d",
                             (unsigned)i, (int)d->outs[i].rank, (int)d->outs[i].dtype);
        st = check_size(&d->outs[i]);
    }
    return st;
}

static weft_status commit(weft__draft *d, const char *path)
{
    weft__text text = { 0 };
    weft_status st = WEFT_E_NOMEM;
    weft__node *node = weft__alloc(sizeof *node);
    if (!node) goto out;
    weft__attrs_print(&text, d->attrs, weft__op_attrs(d->graph->ctx, d->op));
    node->op = d->op;
    node->device = -1;
    node->n_in = d->n_in;
    node->n_out = d->n_out;
    node->n_extra = d->n_extra;
    if (!(node->out = weft__alloc_n(d->n_out, sizeof *node->out))) goto out;
    if (!(node->text = weft__text_take(&text))) goto out;
    if (!(node->path = weft__strdup(path ? path : ""))) goto out;
    node->in = d->in;
    node->attrs = d->attrs;
    d->in = NULL;
    d->attrs = NULL;
    st = weft__graph_push(d->graph, &node, d->outs);
out:
    weft__text_finish(&text);
    weft__node_destroy(&node);
    return st;
}

static weft_status draft_attrs(weft__draft *d, const char *attrs)
{
    weft__attrs *given = NULL;
    char what[96];
    snprintf(what, sizeof what, "op %.80s", d->op->name);
    weft_status st = weft__attrs_parse(attrs, &given);
    if (!st) st = weft__attrs_check(given, weft__op_attrs(d->graph->ctx, d->op), what, &d->attrs);
    weft__attrs_destroy(&given);
    if (!st && (d->op->flags & WEFT_OP_EPILOGUE)) d->then = weft__attrs_s(d->attrs, "then");
    return st;
}

/* *constant: the op is a constant, and no node is needed. */
static weft_status build_draft(weft__draft *d, const weft__op_request *request, weft_val *constant)
{
    weft_status st;
    if ((st = check_inputs(d->graph, request))) return st;
    if ((st = draft_inputs(d, request->in, request->n_in))) return st;
    if (d->op == &weft__op_map && (st = weft__draft_map(d, constant))) return st;
    if (*constant) return WEFT_OK;
    if ((st = check_arity(d))) return st;
    if (d->then && (st = weft__draft_then(d))) return st;
    if (d->op != &weft__op_map && (st = harden(d, d->n_in - d->n_extra))) return st;
    if ((st = infer(d)) || (st = infer_then(d)) || (st = check_results(d))) return st;
    return commit(d, request->path);
}

static weft_status add_op(weft__graph *graph, const weft_op_class *op,
                          const weft__op_request *request, weft_val *result)
{
    weft__draft d = { .graph = graph, .op = op };
    weft_val constant = 0;
    weft_status st = draft_attrs(&d, request->attrs);
    size_t where = weft__where_push("op %s", op->name);
    if (!st) st = build_draft(&d, request, &constant);
    weft__where_pop(where);
    if (!st) {
        const weft__node *node = constant ? NULL : graph->node[graph->n_nodes - 1];
        for (uint32_t i = 0; request->out && i < request->n_out; i++)
            request->out[i] = node && i < node->n_out ? node->out[i]
                              : constant && i == 0    ? constant
                                                      : WEFT_NONE;
        *result = node ? node->out[0] : constant;
    }
    weft__draft_finish(&d);
    return st;
}

/* A function of the map table, or a cast, as the attribute text of a map; no_op: the name is
 * neither. */
static weft_status function_attrs(const weft__op_request *request, weft__text *attrs, int *no_op)
{
    const char *name = request->name, *args = request->attrs ? request->attrs : "";
    const weft_map_fn *fn = weft__map_find(name);
    weft_dtype cast = weft__cast_named(name, args);
    uint32_t arity = fn ? (uint32_t)fn->arity : 1;
    *no_op = !fn && !cast;
    if (*no_op) return WEFT_OK;
    if (cast < 0 || (fn && *args))
        return cast < 0
                   ? WEFT_E_ATTR
                   : weft_fail(WEFT_E_ATTR, "%s takes no attributes, not \"%.80s\"", name, args);
    if (request->n_in != arity)
        return weft_fail(WEFT_E_ARG, "%s takes %u input%s, not %u", name, (unsigned)arity,
                         arity == 1 ? "" : "s", (unsigned)request->n_in);
    weft__text_add(attrs, "expr=\"%s(a%s)\"", fn ? fn->name : weft__map_cast_name(cast),
                   arity == 3   ? ",b,c"
                   : arity == 2 ? ",b"
                                : "");
    return attrs->failed ? WEFT_E_NOMEM : WEFT_OK;
}

weft_status weft__graph_try_op(weft__graph *graph, const weft__op_request *request,
                               weft_val *result)
{
    weft__text attrs = { 0 };
    weft__op_request map = *request;
    int no_function;
    weft_status st = function_attrs(request, &attrs, &no_function);
    if (!st && no_function) {
        const weft_op_class *op = weft__find_op(graph->ctx, request->name);
        st = op ? add_op(graph, op, request, result) : weft__fail_no_op(graph->ctx, request->name);
    } else if (!st) {
        map.name = "map";
        map.attrs = attrs.s;
        st = add_op(graph, &weft__op_map, &map, result);
    }
    weft__text_finish(&attrs);
    return st;
}

weft_val weft__graph_op(weft__graph *graph, const weft__op_request *request)
{
    weft_val result = 0;
    return weft__graph_try_op(graph, request, &result) ? 0 : result;
}
