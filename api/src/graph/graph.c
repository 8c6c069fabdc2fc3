/* Graphs in memory: values, nodes, inputs, outputs. What an op means is checked in graph_op.c. */
#include "graph/graph.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/node.h"

static const weft__gvalue no_value;

weft_status weft__graph_create(weft_context *ctx, weft__graph **graph)
{
    weft__graph *g = weft__alloc(sizeof *g);
    if (!g) return WEFT_E_NOMEM;
    if (weft__grow(&g->value, 0, &g->cap_values, sizeof *g->value)) {
        weft__free(g);
        return WEFT_E_NOMEM;
    }
    g->value[0] = no_value;
    g->ctx = ctx;
    *graph = g;
    return WEFT_OK;
}

void weft__node_destroy(weft__node **node)
{
    weft__node *n = node ? *node : NULL;
    if (!n) return;
    weft__attrs_destroy(&n->attrs);
    weft__graph_destroy(&n->region);
    weft__free(n->text);
    weft__free(n->path);
    weft__free(n->in);
    weft__free(n->out);
    weft__free(n->reason);
    weft__free(n);
    *node = NULL;
}

void weft__gvalue_finish(weft__gvalue *value)
{
    weft__free(value->data);
    weft__free(value->name);
}

static void finish_ports(weft__port *port, size_t n)
{
    for (size_t i = 0; i < n; i++)
        weft__free(port[i].name);
    weft__free(port);
}

void weft__graph_destroy(weft__graph **graph)
{
    weft__graph *g = graph ? *graph : NULL;
    if (!g) return;
    for (size_t i = 1; i <= g->n_values; i++)
        weft__gvalue_finish(&g->value[i]);
    for (size_t i = 0; i < g->n_nodes; i++)
        weft__node_destroy(&g->node[i]);
    finish_ports(g->input, g->n_inputs);
    finish_ports(g->output, g->n_outputs);
    weft__free(g->value);
    weft__free(g->node);
    weft__free(g->assign);
    weft__free(g->captured);
    weft__free(g);
    *graph = NULL;
}

/* Takes value->data and value->name over, also on failure. */
static weft_val add_value(weft__graph *graph, weft__gvalue *value)
{
    if (graph->n_values + 1 >= WEFT__MAX_VALUES) {
        weft_fail(WEFT_E_UNSUPPORTED, "a graph has at most %u values", WEFT__MAX_VALUES - 1u);
    } else if (!weft__grow(&graph->value, graph->n_values + 1, &graph->cap_values,
                           sizeof *graph->value)) {
        graph->value[++graph->n_values] = *value;
        return (weft_val)graph->n_values;
    }
    weft__gvalue_finish(value);
    return 0;
}

static weft_status check_spec(const weft_spec *spec)
{
    if (spec->rank < 0 || spec->rank > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE, "rank %d: a tensor has rank 0 to %d", (int)spec->rank,
                         WEFT_MAX_RANK);
    if (!weft_dtype_size(spec->dtype))
        return weft_fail(WEFT_E_DTYPE,
                         "%d is no dtype; see WEFT_F32 and the others in weft/plugin.h",
                         (int)spec->dtype);
    return WEFT_OK;
}

static weft_status add_port(weft__port **port, size_t *n, size_t *cap, const char *name,
                            weft_val value)
{
    if (weft__grow(port, *n, cap, sizeof **port)) return WEFT_E_NOMEM;
    char *copy = weft__strdup(name ? name : "");
    if (!copy) return WEFT_E_NOMEM;
    (*port)[(*n)++] = (weft__port){ copy, value };
    return WEFT_OK;
}

weft_val weft__graph_input(weft__graph *graph, const char *name, const weft_spec *spec)
{
    weft__gvalue value = { .kind = WEFT__V_INPUT,
                           .spec = *spec,
                           .index = (uint32_t)graph->n_inputs };
    if (check_spec(spec)) return 0;
    if (!(value.name = weft__strdup(name ? name : ""))) return 0;
    weft_val v = add_value(graph, &value);
    if (v && add_port(&graph->input, &graph->n_inputs, &graph->cap_inputs, name, v)) {
        weft__gvalue_finish(&graph->value[graph->n_values--]);
        return 0;
    }
    return v;
}

weft_val weft__graph_variable(weft__graph *graph, void *variable, const char *name,
                              const weft_spec *spec)
{
    for (size_t i = 1; i <= graph->n_values; i++)
        if (graph->value[i].kind == WEFT__V_VARIABLE && graph->value[i].variable == variable)
            return (weft_val)i;
    weft__gvalue value = { .kind = WEFT__V_VARIABLE, .spec = *spec, .variable = variable };
    if (check_spec(spec)) return 0;
    if (!(value.name = weft__strdup(name ? name : ""))) return 0;
    return add_value(graph, &value);
}

weft_status weft__graph_try_constant(weft__graph *graph, const weft_spec *spec, const void *data,
                                     int weak, weft_val *result)
{
    weft__gvalue value = { .kind = WEFT__V_CONST, .spec = *spec, .weak = weak && spec->rank == 0 };
    weft_status st = check_spec(spec);
    if (st) return st;
    size_t size = weft_dtype_size(spec->dtype);
    for (int32_t i = 0; i < spec->rank; i++)
        if (!weft__dim_known(spec->dim[i]))
            return weft_fail(WEFT_E_SHAPE,
                             "axis %d of a constant depends on the batch; broadcast a smaller one",
                             (int)i);
    uint64_t n = weft__spec_count_at(spec, 0);
    if (n > PTRDIFF_MAX / size)
        return weft_fail(WEFT_E_NOMEM, "out of memory: a constant of %llu elements",
                         (unsigned long long)n);
    if (n && !data)
        return weft_fail(WEFT_E_ARG, "the data of a constant of %llu elements are NULL",
                         (unsigned long long)n);
    if (!(value.data = weft__alloc(n * size))) return WEFT_E_NOMEM;
    if (n) memcpy(value.data, data, n * size);
    *result = add_value(graph, &value);
    return *result ? WEFT_OK : WEFT_E_NOMEM;
}

weft_val weft__graph_constant(weft__graph *graph, const weft_spec *spec, const void *data, int weak)
{
    weft_val v = 0;
    return weft__graph_try_constant(graph, spec, data, weak, &v) ? 0 : v;
}

const weft__gvalue *weft__graph_value(const weft__graph *graph, weft_val value)
{
    return value && value <= graph->n_values ? &graph->value[value] : &no_value;
}

const weft_spec *weft__graph_spec(const weft__graph *graph, weft_val value)
{
    return &weft__graph_value(graph, value)->spec;
}

weft__node *weft__graph_producer(const weft__graph *graph, weft_val value)
{
    const weft__gvalue *v = weft__graph_value(graph, value);
    return v->kind == WEFT__V_RESULT ? graph->node[v->node] : NULL;
}

static weft_status check_value(const weft__graph *graph, weft_val value, const char *what)
{
    if (weft__graph_value(graph, value)->kind) return WEFT_OK;
    return weft_fail(WEFT_E_ARG, "%s: %s", what,
                     value == WEFT_NONE ? "the value is absent"
                                        : "there is no such value in this graph");
}

weft_status weft__graph_output(weft__graph *graph, const char *name, weft_val value)
{
    weft_status st = check_value(graph, value, "output");
    return st ? st : add_port(&graph->output, &graph->n_outputs, &graph->cap_outputs, name, value);
}

void weft__graph_drop_outputs(weft__graph *graph)
{
    while (graph->n_outputs)
        weft__free(graph->output[--graph->n_outputs].name);
}

/* What is assigned to the model's variable, or NULL. */
static weft__assign *assignment(const weft__graph *graph, const void *variable)
{
    for (size_t i = 0; i < graph->n_assigns; i++)
        if (graph->value[graph->assign[i].variable].variable == variable) return &graph->assign[i];
    return NULL;
}

weft_val weft__graph_variable_now(weft__graph *graph, weft_val variable, const char *path)
{
    const weft__gvalue *v = &graph->value[variable];
    const weft__assign *assign = assignment(graph, v->variable);
    char attrs[24 * WEFT_MAX_RANK + 16] = "shape=";
    if (!assign) return variable;
    weft_ints_text(attrs + 6, sizeof attrs - 6, v->spec.dim, (uint32_t)v->spec.rank);
    const weft_val value = assign->value;
    weft__op_request reshape = {
        .name = "reshape", .attrs = attrs, .path = path, .in = &value, .n_in = 1
    };
    weft_val now = weft__graph_op(graph, &reshape);
    if (now) graph->value[now].variable = graph->value[variable].variable;
    return now;
}

weft_status weft__graph_assign(weft__graph *graph, weft_val variable, weft_val value)
{
    weft__assign *before;
    weft_status st;
    if ((st = check_value(graph, variable, "assign")) || (st = check_value(graph, value, "assign")))
        return st;
    if (!graph->value[variable].variable)
        return weft_fail(WEFT_E_ARG,
                         "assign: only variables can be assigned to; the first argument must be "
                         "what variable() gave");
    before = assignment(graph, graph->value[variable].variable);
    if (before) variable = before->variable;
    if (!weft__spec_equal(&graph->value[variable].spec, &graph->value[value].spec)) {
        weft__spec_text have, want;
        return weft_fail(WEFT_E_SHAPE, "assign: variable \"%s\" is %s, the value is %s",
                         graph->value[variable].name,
                         weft__spec_show(&graph->value[variable].spec, &want),
                         weft__spec_show(&graph->value[value].spec, &have));
    }
    if (before) {
        before->value = value;
        return WEFT_OK;
    }
    if (weft__grow(&graph->assign, graph->n_assigns, &graph->cap_assigns, sizeof *graph->assign))
        return WEFT_E_NOMEM;
    graph->assign[graph->n_assigns++] = (weft__assign){ variable, value };
    return WEFT_OK;
}

weft_status weft__graph_push(weft__graph *graph, weft__node **node, const weft_spec *outs)
{
    weft__node *n = *node;
    size_t before = graph->n_values;
    if (weft__grow(&graph->node, graph->n_nodes, &graph->cap_nodes, sizeof(weft__node *)))
        return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n->n_out; i++) {
        weft__gvalue value = {
            .kind = WEFT__V_RESULT, .spec = outs[i], .node = (uint32_t)graph->n_nodes, .index = i
        };
        if (!(n->out[i] = add_value(graph, &value))) {
            graph->n_values = before;
            return WEFT_E_NOMEM;
        }
    }
    graph->node[graph->n_nodes++] = n;
    *node = NULL;
    return WEFT_OK;
}

void weft__graph_pop(weft__graph *graph)
{
    const weft__node *last = graph->node[graph->n_nodes - 1];
    weft__graph_cut(graph, graph->n_nodes - 1, graph->n_values - last->n_out);
}

weft_status weft__graph_uses(const weft__graph *graph, uint32_t **uses)
{
    uint32_t *n = weft__alloc_n(graph->n_values + 1, sizeof *n);
    if (!n) return WEFT_E_NOMEM;
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (uint32_t k = 0; k < graph->node[i]->n_in; k++)
            if (graph->node[i]->in[k] != WEFT_NONE) n[graph->node[i]->in[k]]++;
    for (size_t i = 0; i < graph->n_outputs; i++)
        n[graph->output[i].value]++;
    for (size_t i = 0; i < graph->n_assigns; i++)
        n[graph->assign[i].value]++;
    *uses = n;
    return WEFT_OK;
}

weft_status weft__graph_depends(const weft__graph *graph, uint8_t **depends)
{
    uint8_t *d = weft__alloc(graph->n_values + 1);
    if (!d) return WEFT_E_NOMEM;
    for (size_t i = 1; i <= graph->n_values; i++) {
        const weft__gvalue *v = &graph->value[i];
        d[i] = v->kind == WEFT__V_INPUT;
        if (v->kind != WEFT__V_RESULT) continue;
        const weft__node *n = graph->node[v->node];
        d[i] = n->region != NULL;
        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] != WEFT_NONE) d[i] |= d[n->in[k]];
    }
    *depends = d;
    return WEFT_OK;
}

static void mark(const weft__graph *graph, uint8_t *live, weft_val value)
{
    const weft__gvalue *v = weft__graph_value(graph, value);
    if (v->kind == WEFT__V_RESULT) live[v->node] = 1;
}

weft_status weft__graph_live(const weft__graph *graph, uint8_t **live)
{
    uint8_t *l = weft__alloc(graph->n_nodes);
    if (!l) return WEFT_E_NOMEM;
    for (size_t i = 0; i < graph->n_outputs; i++)
        mark(graph, l, graph->output[i].value);
    for (size_t i = 0; i < graph->n_assigns; i++)
        mark(graph, l, graph->assign[i].value);
    for (size_t i = graph->n_nodes; i-- > 0;)
        for (uint32_t k = 0; l[i] && k < graph->node[i]->n_in; k++)
            mark(graph, l, graph->node[i]->in[k]);
    *live = l;
    return WEFT_OK;
}
