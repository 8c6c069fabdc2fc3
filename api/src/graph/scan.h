/* Loops in graphs. A scan node has a region, its body, whose input i stands for the node's input
 * i: first the carries, then the xs (one step of them), then the captures. The region's outputs are
 * the next carries, then one step of each y; the node's results the last carries, then the ys. */
#ifndef WEFT_GRAPH_SCAN_H
#define WEFT_GRAPH_SCAN_H
#include "graph/graph.h"

typedef struct weft__scan_request {
    uint32_t n_carry, n_x, n_in; /* n_in: with the captures */
    int32_t axis;                /* of xs and ys, from 0 on */
    int reverse;                 /* from the last step to the first */
    int saving;    /* the last n_carry ys are the carries that each step begins with */
    int64_t steps; /* a number, or WEFT_ANY */
    const char *path;
    const weft_val *in;
} weft__scan_request;
/* Adds the node, which owns the region then (*region is NULL); out (may be NULL): its results. */
weft_status weft__graph_scan(weft__graph *graph, const weft__scan_request *request,
                             weft__graph **region, weft_val *out);
/* What the node was made of. */
void weft__scan_of(const weft__node *node, weft__scan_request *request);
/* A scan node again, with another region and other inputs; placement is copied too. Further outputs
 * of the region are the carries, which are saved then. */
weft_status weft__graph_rescan(weft__graph *graph, const weft__node *node, const weft_val *in,
                               weft__graph **region, weft_val *out);
#endif
