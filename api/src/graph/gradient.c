/* Reverse-mode differentiation over the graph: nodes are visited from the last to the first, and
 * each turns the gradients of its results into gradients of its inputs, by its op's gradient(). */
#include "graph/gradient.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/node.h"

typedef struct part { /* what one reader gives to the gradient of a value */
    weft_val value;
    uint32_t next; /* 0 = the last */
} part;

typedef struct backward {
    weft__graph *graph;
    const weft__gradient_request *request;
    uint8_t *ways;
    uint32_t *head; /* by value of the forward graph: its first part; 0 = none */
    part *parts;    /* parts[0] is unused */
    size_t n_parts, cap_parts;
} backward;

weft_status weft__fail_no_gradient(const weft__node *node)
{
    return weft_fail(
        WEFT_E_UNSUPPORTED,
        "layer \"%s\": op %s%s%s has neither a gradient nor a lowering to ops that have one, so "
        "nothing in front of it can be trained; set trainable=false for the layers in front of it, "
        "or give the op class a gradient() or a lower()",
        node->path, node->op->name, node->text && *node->text ? " " : "",
        node->text ? node->text : "");
}

static weft_status fail_spec(const weft__graph *graph, const char *what, weft_val got,
                             weft_val want)
{
    weft__text text = { 0 };
    weft__print_spec(&text, weft__graph_spec(graph, got));
    weft__text_add(&text, ", its value ");
    weft__print_spec(&text, weft__graph_spec(graph, want));
    weft_status st = weft_fail(WEFT_E_SHAPE, "the gradient of %s is %s", what,
                               text.s && !text.failed ? text.s : "of another type");
    weft__text_finish(&text);
    return st;
}

static weft_status add_part(backward *w, weft_val to, weft_val value)
{
    if (weft__grow(&w->parts, w->n_parts, &w->cap_parts, sizeof *w->parts)) return WEFT_E_NOMEM;
    w->parts[w->n_parts] = (part){ value, w->head[to] };
    w->head[to] = (uint32_t)w->n_parts++;
    return WEFT_OK;
}

/* The gradient of a value, once all its readers have given their parts; WEFT_NONE = there are
 * none. */
static weft_status total(backward *w, weft_val value, weft_val *sum)
{
    uint32_t n = 0;
    weft_val *list;
    const weft__node *from = weft__graph_producer(w->graph, value);
    *sum = WEFT_NONE;
    for (uint32_t i = w->head[value]; i; i = w->parts[i].next)
        n++;
    if (!n) return WEFT_OK;
    if (!(list = weft__alloc_n(n, sizeof *list))) return WEFT_E_NOMEM;
    n = 0;
    for (uint32_t i = w->head[value]; i; i = w->parts[i].next)
        list[n++] = w->parts[i].value;
    const weft__gvalue *v = weft__graph_value(w->graph, value);
    if (!from) from = weft__graph_producer(w->graph, list[0]);
    const char *path = v->kind == WEFT__V_VARIABLE ? v->name : from ? from->path : "";
    weft_status st = weft__gradient_sum(w->graph, path, list, n, sum);
    weft__free(list);
    if (st) return st;
    w->parts[w->head[value]] = (part){ *sum, 0 };
    return WEFT_OK;
}

static weft_status run_gradient(backward *w, const weft__node *node, const weft_val *dout,
                                weft_val *din)
{
    weft__build build = { 0 };
    weft__build_setup setup = { .graph = w->graph,
                                .attrs = node->attrs,
                                .path = node->path,
                                .what = node->op->name,
                                .in = node->in,
                                .n_in = node->n_in,
                                .fwd = node->out,
                                .dout = dout,
                                .n_fwd = node->n_out };
    if (node->n_extra || !WEFT_HAS(node->op, gradient)) return weft__fail_no_gradient(node);
    weft_status st = weft__build_init(&build, &setup);
    if (!st) st = weft__build_run(&build, node->op->gradient, node->n_in);
    for (uint32_t i = 0; !st && i < build.n_out; i++)
        if (build.out[i]) din[i] = build.out[i];
    weft__build_finish(&build);
    return st;
}

static weft_status give_parts(backward *w, const weft__node *node, weft_val *din)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        weft_val in = node->in[i];
        char name[64], what[192];
        weft_status st;
        if (in == WEFT_NONE || din[i] == WEFT_NONE || !(w->ways[in] & WEFT__LEADS)) continue;
        if (weft__graph_spec(w->graph, in)->dtype != WEFT_F64 &&
            (st = weft__graph_harden(w->graph, &din[i])))
            return st;
        if (!weft__spec_equal(weft__graph_spec(w->graph, din[i]), weft__graph_spec(w->graph, in))) {
            weft__port_name(node->op->inputs, i, name);
            snprintf(what, sizeof what, "input %s of op %.80s", name, node->op->name);
            return fail_spec(w->graph, what, din[i], in);
        }
        if ((st = add_part(w, in, din[i]))) return st;
    }
    return WEFT_OK;
}

static weft_status visit(backward *w, const weft__node *node)
{
    int incoming = 0, leads = 0;
    weft_val *dout = weft__alloc_n(node->n_out, sizeof *dout),
             *din = weft__alloc_n(node->n_in, sizeof *din);
    weft_status st = dout && din ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; !st && i < node->n_in; i++) {
        din[i] = WEFT_NONE;
        leads |= node->in[i] != WEFT_NONE && (w->ways[node->in[i]] & WEFT__LEADS);
    }
    for (uint32_t i = 0; !st && leads && i < node->n_out; i++) {
        st = total(w, node->out[i], &dout[i]);
        incoming |= dout[i] != WEFT_NONE;
    }
    if (!st && incoming) {
        size_t where =
            weft__where_push("gradient of %s", *node->path ? node->path : node->op->name);
        st = node->region ? weft__gradient_scan(w->graph, node, dout, w->ways, din)
                          : run_gradient(w, node, dout, din);
        if (!st) st = give_parts(w, node, din);
        weft__where_pop(where);
    }
    weft__free(dout);
    weft__free(din);
    return st;
}

/* One number repeated to the spec. */
static weft_status filled(weft__graph *graph, const char *path, const weft_spec *spec, int one,
                          weft_val *value)
{
    const weft_spec scalar = { spec->dtype, 0, { 0 } };
    const float f32 = (float)one;
    const double f64 = one;
    const int64_t zero = 0;
    const void *data = spec->dtype == WEFT_F32   ? (const void *)&f32
                       : spec->dtype == WEFT_F64 ? (const void *)&f64
                                                 : (const void *)&zero;
    char dims[24 * WEFT_MAX_RANK + 8], attrs[sizeof dims + 8];
    weft_status st = weft__graph_try_constant(graph, &scalar, data, 0, value);
    if (st || !spec->rank) return st;
    snprintf(attrs, sizeof attrs, "shape=%s",
             weft_ints_text(dims, sizeof dims, spec->dim, (uint32_t)spec->rank));
    const weft_val number = *value;
    return weft__graph_try_op(
        graph,
        &(weft__op_request){
            .name = "broadcast", .attrs = attrs, .path = path, .in = &number, .n_in = 1 },
        value);
}

weft_status weft__gradient_zeros(weft__graph *graph, const char *path, const weft_spec *spec,
                                 weft_val *zeros)
{
    return filled(graph, path, spec, 0, zeros);
}

static weft_status plant(backward *w, uint32_t i)
{
    const weft__gradient_request *r = w->request;
    weft_val of = r->of[i], seed = r->seed ? r->seed[i] : WEFT_NONE;
    const weft_spec spec = *weft__graph_spec(w->graph, of);
    const weft__node *from = weft__graph_producer(w->graph, of);
    weft_status st = WEFT_OK;
    if (!weft__is_float(spec.dtype))
        return weft_fail(WEFT_E_DTYPE,
                         "a gradient of %s values does not exist; the loss must be float32",
                         weft_dtype_name(spec.dtype));
    if (seed == WEFT_NONE)
        st = filled(w->graph, from ? from->path : "", &spec, 1, &seed);
    else if (!weft__spec_equal(weft__graph_spec(w->graph, seed), &spec))
        st = fail_spec(w->graph, "the result", seed, of);
    return st ? st : add_part(w, of, seed);
}

static weft_status collect(backward *w)
{
    const weft__gradient_request *r = w->request;
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; !st && i < r->n_wrt; i++) {
        const weft__node *from = weft__graph_producer(w->graph, r->wrt[i]);
        const weft_spec spec = *weft__graph_spec(w->graph, r->wrt[i]);
        st = total(w, r->wrt[i], &r->grads[i]);
        if (!st && r->grads[i] == WEFT_NONE && !r->absent)
            st = weft__gradient_zeros(w->graph, from ? from->path : "", &spec, &r->grads[i]);
    }
    return st;
}

weft_status weft__gradient(weft__graph *graph, const weft__gradient_request *request)
{
    backward w = { .graph = graph, .request = request, .n_parts = 1 };
    const size_t n_nodes = graph->n_nodes, n_values = graph->n_values;
    weft_status st = weft__gradient_ways(graph, request, &w.ways);
    if (!st && !(w.head = weft__alloc_n(n_values + 1, sizeof *w.head))) st = WEFT_E_NOMEM;
    /* parts[0] stays unused */
    if (!st && weft__grow(&w.parts, 0, &w.cap_parts, sizeof *w.parts)) st = WEFT_E_NOMEM;
    for (uint32_t i = 0; !st && i < request->n_of; i++)
        st = plant(&w, i);
    for (size_t i = n_nodes; !st && i-- > 0;)
        st = visit(&w, graph->node[i]);
    if (!st) st = collect(&w);
    if (!st) st = weft__graph_trim(graph, n_nodes, n_values, request->grads, request->n_wrt);
    if (st) weft__graph_cut(graph, n_nodes, n_values);
    weft__free(w.ways);
    weft__free(w.head);
    weft__free(w.parts);
    return st;
}
