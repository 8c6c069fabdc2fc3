/* Which values a gradient goes through. A loop is looked into: what comes out of its body depends
 * on some of what goes in, and carries hand it on from step to step, so that the marks of its body
 * are a fixpoint over the carries. */
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/gradient.h"
#include "graph/node.h"
#include "graph/scan.h"

static weft_status mark_results(const weft__graph *graph, const weft__node *node, uint8_t *ways)
{
    uint8_t *body = NULL;
    int leads = 0;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (node->in[k] != WEFT_NONE) leads |= ways[node->in[k]] & WEFT__LEADS;
    if (!leads) return WEFT_OK;
    weft_status st = node->region ? weft__gradient_body_ways(node, ways, &body) : WEFT_OK;
    for (uint32_t k = 0; !st && k < node->n_out; k++)
        if (weft__is_float(graph->value[node->out[k]].spec.dtype) &&
            (!body || body[node->region->output[k].value] & WEFT__LEADS))
            ways[node->out[k]] |= WEFT__LEADS;
    weft__free(body);
    return st;
}

static weft_status mark_inputs(const weft__node *node, uint8_t *ways)
{
    uint8_t *body = NULL;
    int reaches = 0;
    for (uint32_t k = 0; k < node->n_out; k++)
        reaches |= ways[node->out[k]] & WEFT__REACHES;
    if (!reaches) return WEFT_OK;
    weft_status st = node->region ? weft__gradient_body_ways(node, ways, &body) : WEFT_OK;
    for (uint32_t k = 0; !st && k < node->n_in; k++)
        if (node->in[k] != WEFT_NONE && (ways[node->in[k]] & WEFT__LEADS) &&
            (!body || body[node->region->input[k].value] & WEFT__REACHES))
            ways[node->in[k]] |= WEFT__REACHES;
    weft__free(body);
    return st;
}

static weft_status go_forward(const weft__graph *graph, uint8_t *ways)
{
    weft_status st = WEFT_OK;
    for (size_t i = 0; !st && i < graph->n_nodes; i++)
        st = mark_results(graph, graph->node[i], ways);
    return st;
}

static weft_status go_back(const weft__graph *graph, uint8_t *ways)
{
    weft_status st = WEFT_OK;
    for (size_t i = graph->n_nodes; !st && i-- > 0;)
        st = mark_inputs(graph->node[i], ways);
    return st;
}

/* What a step leaves in a carry is there in the next one: LEADS from out to in, REACHES from in to
 * out. 1 = something has changed. */
static int turn_around(const weft__graph *body, uint32_t n_carry, uint8_t mark, uint8_t *ways)
{
    int changed = 0;
    for (uint32_t i = 0; i < n_carry; i++) {
        uint8_t *in = &ways[body->input[i].value], *out = &ways[body->output[i].value];
        uint8_t *to = mark == WEFT__LEADS ? in : out, *from = mark == WEFT__LEADS ? out : in;
        if (!(*from & mark) || (*to & mark) || !(*out & WEFT__LEADS)) continue;
        *to |= mark;
        changed = 1;
    }
    return changed;
}

weft_status weft__gradient_body_ways(const weft__node *node, const uint8_t *ways, uint8_t **result)
{
    const weft__graph *body = node->region;
    weft__scan_request scan;
    weft_status st;
    uint8_t *w = weft__alloc(body->n_values + 1);
    if (!w) return WEFT_E_NOMEM;
    weft__scan_of(node, &scan);
    for (uint32_t i = 0; i < node->n_in; i++)
        w[body->input[i].value] |= ways[node->in[i]] & WEFT__LEADS;
    do
        st = go_forward(body, w);
    while (!st && turn_around(body, scan.n_carry, WEFT__LEADS, w));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (w[body->output[i].value] & WEFT__LEADS)
            w[body->output[i].value] |= ways[node->out[i]] & WEFT__REACHES;
    do
        st = st ? st : go_back(body, w);
    while (!st && turn_around(body, scan.n_carry, WEFT__REACHES, w));
    if (st)
        weft__free(w);
    else
        *result = w;
    return st;
}

weft_status weft__gradient_ways(const weft__graph *graph, const weft__gradient_request *request,
                                uint8_t **ways)
{
    for (uint32_t i = 0; i < request->n_of + request->n_wrt; i++)
        if (!weft__graph_value(graph,
                               i < request->n_of ? request->of[i] : request->wrt[i - request->n_of])
                 ->kind)
            return weft_fail(WEFT_E_ARG, "gradient: %s %u is no value of the graph",
                             i < request->n_of ? "loss" : "variable",
                             (unsigned)(i < request->n_of ? i : i - request->n_of));
    uint8_t *w = weft__alloc(graph->n_values + 1);
    if (!w) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < request->n_wrt; i++)
        if (weft__is_float(weft__graph_spec(graph, request->wrt[i])->dtype))
            w[request->wrt[i]] |= WEFT__LEADS;
    weft_status st = go_forward(graph, w);
    for (uint32_t i = 0; i < request->n_of; i++)
        if (w[request->of[i]]) w[request->of[i]] |= WEFT__REACHES;
    if (!st) st = go_back(graph, w);
    if (st)
        weft__free(w);
    else
        *ways = w;
    return st;
}
