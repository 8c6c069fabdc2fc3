/* Taking back what was added to a graph last: all of it, or what turned out not to be needed. */
#include "base/alloc.h"
#include "graph/node.h"

static void finish_value(weft__gvalue *value)
{
    weft__free(value->data);
    weft__free(value->name);
}

void weft__graph_cut(weft__graph *graph, size_t n_nodes, size_t n_values)
{
    while (graph->n_nodes > n_nodes)
        weft__node_destroy(&graph->node[--graph->n_nodes]);
    while (graph->n_values > n_values)
        finish_value(&graph->value[graph->n_values--]);
}

typedef struct trim {
    weft__graph *graph;
    size_t n_nodes, n_values; /* what stays in any case */
    weft_val *map;            /* of the values behind that: 0 = not needed; the new number */
} trim;

static void need(trim *t, weft_val value)
{
    if (value != WEFT_NONE && value > t->n_values) t->map[value - t->n_values] = 1;
}

static weft_val new_number(const trim *t, weft_val value)
{
    return value != WEFT_NONE && value > t->n_values ? t->map[value - t->n_values] : value;
}

static int is_needed(const trim *t, const weft__node *node)
{
    int needed = 0;
    for (uint32_t k = 0; k < node->n_out; k++)
        needed |= t->map[node->out[k] - t->n_values] != 0;
    return needed;
}

static void mark(trim *t)
{
    for (size_t i = t->graph->n_nodes; i-- > t->n_nodes;) {
        const weft__node *node = t->graph->node[i];
        if (!is_needed(t, node)) continue;
        for (uint32_t k = 0; k < node->n_out; k++)
            need(t, node->out[k]);
        for (uint32_t k = 0; k < node->n_in; k++)
            need(t, node->in[k]);
    }
}

static void move_values(trim *t)
{
    weft__graph *g = t->graph;
    size_t left = t->n_values;
    for (size_t i = t->n_values + 1; i <= g->n_values; i++) {
        weft_val *to = &t->map[i - t->n_values];
        int other = g->value[i].kind != WEFT__V_RESULT && g->value[i].kind != WEFT__V_CONST;
        if (!*to && !other) {
            finish_value(&g->value[i]);
            continue;
        }
        *to = (weft_val)++left;
        g->value[left] = g->value[i];
    }
    g->n_values = left;
}

static void renumber(const trim *t, weft__node *node, uint32_t number)
{
    for (uint32_t k = 0; k < node->n_in; k++)
        node->in[k] = new_number(t, node->in[k]);
    for (uint32_t k = 0; k < node->n_out; k++) {
        node->out[k] = new_number(t, node->out[k]);
        t->graph->value[node->out[k]].node = number;
    }
}

weft_status weft__graph_trim(weft__graph *graph, size_t n_nodes, size_t n_values, weft_val *keep,
                             uint32_t n_keep)
{
    trim t = { .graph = graph, .n_nodes = n_nodes, .n_values = n_values };
    size_t left = n_nodes;
    if (!(t.map = weft__alloc_n(graph->n_values - n_values + 1, sizeof *t.map)))
        return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n_keep; i++)
        need(&t, keep[i]);
    mark(&t);
    for (size_t i = n_nodes; i < graph->n_nodes; i++)
        if (is_needed(&t, graph->node[i]))
            graph->node[left++] = graph->node[i];
        else
            weft__node_destroy(&graph->node[i]);
    graph->n_nodes = left;
    move_values(&t);
    for (size_t i = n_nodes; i < left; i++)
        renumber(&t, graph->node[i], (uint32_t)i);
    for (uint32_t i = 0; i < n_keep; i++)
        keep[i] = new_number(&t, keep[i]);
    weft__free(t.map);
    return WEFT_OK;
}
