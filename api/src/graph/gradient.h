/* The gradient as a graph transformation: backward ops are appended to the graph that they
 * differentiate. */
#ifndef WEFT_GRAPH_GRADIENT_H
#define WEFT_GRAPH_GRADIENT_H
#include "graph/graph.h"

typedef struct weft__gradient_request {
    /* What is differentiated: float values, usually one, the loss; of several or larger ones, the
     * sum of all elements. */
    weft_val *of;
    weft_val *seed; /* incoming gradients, of the specs of `of`; NULL or WEFT_NONE: all ones */
    weft_val *wrt;  /* with respect to what: variables, inputs, any values */
    uint32_t n_of, n_wrt;
    /* Set by weft__gradient: n_wrt values of the specs of `wrt`. What `of` does not depend on, and
     * what is no float, gets zeros (a broadcast constant), or WEFT_NONE if `absent` is set. */
    weft_val *grads;
    int absent;
} weft__gradient_request;

/* Appends the backward ops, each with the path of the forward op that it belongs to. Only ops on
 * the way from `wrt` to `of` are visited, and nothing stays that no gradient needs. Integers and
 * bool stop the gradient. Every op on the way must have a gradient and no `then`: see the pass. On
 * failure the graph is as it was. */
weft_status weft__gradient(weft__graph *graph, const weft__gradient_request *request);

/* A graph that weft__gradient can differentiate: ops on the way without a gradient are replaced by
 * their lowering until none is left, and `then` becomes a map of its own. `of`, `seed` and `wrt` of
 * the request become the values of the new graph. An op with neither gradient nor lowering is an
 * error that names it. */
weft_status weft__pass_differentiable(const weft__graph *graph, weft__gradient_request *request,
                                      weft__graph **result);

/* ---- parts of it */

enum { WEFT__LEADS = 1, WEFT__REACHES = 2 };
/* By value (n_values + 1 bytes): LEADS, it depends on one of `wrt` by floats alone; REACHES, it
 * does, and one of `of` depends on it. */
weft_status weft__gradient_ways(const weft__graph *graph, const weft__gradient_request *request,
                                uint8_t **ways);
/* The same for the values of a loop's body, of which a step hands some on to the next: LEADS from
 * what goes into the node, REACHES from its results, as ways has them. */
weft_status weft__gradient_body_ways(const weft__node *node, const uint8_t *ways, uint8_t **body);
weft_status weft__fail_no_gradient(const weft__node *node);
/* One value from the gradients that its n >= 1 readers give it. Those that are pads of pieces along
 * one axis which do not overlap become a concat, with zeros in the gaps; the rest is added up. part
 * is used up. */
weft_status weft__gradient_sum(weft__graph *graph, const char *path, weft_val *part, uint32_t n,
                               weft_val *sum);
weft_status weft__gradient_zeros(weft__graph *graph, const char *path, const weft_spec *spec,
                                 weft_val *zeros);
/* The gradient of a node with a region: dout as in gradient(); sets din[i] where ways[node->in[i]]
 * has REACHES, and leaves WEFT_NONE for no gradient. */
weft_status weft__gradient_scan(weft__graph *graph, const weft__node *node, const weft_val *dout,
                                const uint8_t *ways, weft_val *din);
#endif
