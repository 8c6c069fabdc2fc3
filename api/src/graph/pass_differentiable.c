/* What a graph becomes before its gradient is made: every op between what is trained and the loss
 * has a gradient. Others are replaced by their lowering, round by round. */
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/gradient.h"

enum { MAX_ROUNDS = 64 };

static int has_then(const weft__node *node)
{
    return (node->op->flags & WEFT_OP_EPILOGUE) && weft__attrs_s(node->attrs, "then");
}

/* Does the gradient go through this op? */
static int on_the_way(const weft__node *node, const uint8_t *ways)
{
    int in = 0, out = 0;
    for (uint32_t k = 0; k < node->n_in; k++)
        in |= node->in[k] != WEFT_NONE && (ways[node->in[k]] & WEFT__REACHES);
    for (uint32_t k = 0; k < node->n_out; k++)
        out |= ways[node->out[k]] & WEFT__REACHES;
    return in && out;
}

/* The body of a loop with respect to what leads to it, and the carries as outputs: the gradient's
 * loop begins each of its steps from them. */
static weft_status make_body(const weft__node *node, const uint8_t *ways, weft__graph **result)
{
    const weft__graph *body = node->region;
    const uint32_t n_carry = (uint32_t)weft__attrs_i(node->attrs, "carries");
    weft__gradient_request r = { .of = weft__alloc_n(body->n_outputs, sizeof *r.of),
                                 .wrt = weft__alloc_n(body->n_inputs, sizeof *r.wrt) };
    uint8_t *inner = NULL;
    weft_status st = r.of && r.wrt ? WEFT_OK : WEFT_E_NOMEM;
    if (!st) st = weft__gradient_body_ways(node, ways, &inner);
    for (size_t i = 0; !st && i < body->n_outputs; i++)
        if (inner[body->output[i].value] & WEFT__REACHES) r.of[r.n_of++] = body->output[i].value;
    for (size_t i = 0; !st && i < body->n_inputs; i++)
        if (inner[body->input[i].value] & WEFT__LEADS) r.wrt[r.n_wrt++] = body->input[i].value;
    if (!st) st = weft__pass_differentiable(body, &r, result);
    for (uint32_t i = 0; !st && i < n_carry; i++)
        st = weft__graph_output(*result, "saved", (*result)->input[i].value);
    weft__free(r.of);
    weft__free(r.wrt);
    weft__free(inner);
    return st;
}

static weft_status make_scan(weft__rewrite *rewrite, uint32_t number, const uint8_t *ways)
{
    weft__graph *body = NULL;
    weft_status st = make_body(rewrite->src->node[number], ways, &body);
    if (!st) st = weft__rewrite_scan(rewrite, number, &body);
    weft__graph_destroy(&body);
    return st;
}

static weft_status make_node(weft__rewrite *rewrite, uint32_t number, const uint8_t *ways,
                             int *changed)
{
    const weft__node *node = rewrite->src->node[number];
    int way = on_the_way(node, ways), then = has_then(node);
    if (way && node->region && !weft__attrs_i(node->attrs, "saving")) {
        *changed = 1;
        return make_scan(rewrite, number, ways);
    }
    if (!way || node->region || (!then && WEFT_HAS(node->op, gradient)))
        return weft__rewrite_node(rewrite, number);
    *changed = 1;
    if (then) return weft__rewrite_split(rewrite, number);
    if (!WEFT_HAS(node->op, lower)) return weft__fail_no_gradient(node);
    return weft__rewrite_lower(rewrite, number);
}

static weft_status move_values(weft__rewrite *rewrite, weft_val *values, uint32_t n)
{
    for (uint32_t i = 0; values && i < n; i++)
        if (!(values[i] = weft__rewrite_value(rewrite, values[i]))) return weft__fail_status();
    return WEFT_OK;
}

static weft_status run_round(const weft__graph *graph, weft__gradient_request *r, int *changed,
                             weft__graph **result)
{
    weft__rewrite rewrite = { 0 };
    uint8_t *ways = NULL;
    weft_status st = weft__gradient_ways(graph, r, &ways);
    if (!st) st = weft__rewrite_begin(graph, &rewrite);
    *changed = 0;
    for (uint32_t i = 0; !st && i < graph->n_nodes; i++)
        st = make_node(&rewrite, i, ways, changed);
    if (!st) st = move_values(&rewrite, r->of, r->n_of);
    if (!st) st = move_values(&rewrite, r->seed, r->n_of);
    if (!st) st = move_values(&rewrite, r->wrt, r->n_wrt);
    if (!st)
        st = weft__rewrite_end(&rewrite, result);
    else
        weft__rewrite_abort(&rewrite);
    weft__free(ways);
    return st;
}

weft_status weft__pass_differentiable(const weft__graph *graph, weft__gradient_request *request,
                                      weft__graph **result)
{
    weft__graph *now = NULL;
    weft_status st = WEFT_OK;
    int changed = 1;
    for (int round = 0; changed && !st; round++) {
        weft__graph *next = NULL;
        if (round == MAX_ROUNDS)
            st = weft_fail(WEFT_E_INTERNAL,
                           "an op of this model lowers to itself without end; report its plugin");
        else
            st = run_round(now ? now : graph, request, &changed, &next);
        weft__graph_destroy(&now);
        now = next;
    }
    *result = now;
    return st;
}
