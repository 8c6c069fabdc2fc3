/* Running build() of layers into a graph: what layer calls (in a scratch graph) and lowering share.
 */
#ifndef WEFT_MODEL_TRACE_H
#define WEFT_MODEL_TRACE_H
#include "model/parts.h"

typedef struct weft__mask_pair {
    const weft__graph *graph;
    weft_val value, mask;
} weft__mask_pair;

/* One pass over a model, or over one layer. A mask belongs to a value of a graph. */
typedef struct weft__lowering {
    weft_context *ctx;
    weft__graph *graph;
    weft__store *store; /* of the whole model: seed and step of random numbers */
    int training;
    int compiled;        /* layers are frozen as they were when a session was compiled */
    int random;          /* a layer has drawn random numbers */
    weft__names streams; /* of random numbers: how many a layer's path has, over all its calls */
    weft__added *added;  /* takes what layers add to the loss; NULL: nobody wants it */
    weft__mask_pair *mask;
    size_t n_masks, cap_masks;
} weft__lowering;
void weft__lowering_finish(weft__lowering *lowering); /* leaves the graph to its owner */
weft_val weft__mask_of(const weft__lowering *lowering, const weft__graph *graph,
                       weft_val value); /* or WEFT_NONE */
weft_status weft__mask_set(weft__lowering *lowering, const weft__graph *graph, weft_val value,
                           weft_val mask);

typedef struct weft__results {
    weft_val *val;
    uint32_t n;
} weft__results; /* val: weft__free it */

/* Runs a layer's build(), or inlines its model. path: of the graph's nodes. Variables are made when
 * the body is not built yet, else found. */
typedef struct weft__run_request {
    weft__body *body;
    const weft__call *call; /* that is lowered; NULL while it is made */
    const char *path;       /* "encoder/dense" */
    const weft_val *in;
    uint32_t n_in;
    int inference; /* this call is not training whatever the pass is */
    unsigned depth;
} weft__run_request;
weft_status weft__run_body(weft__lowering *lowering, const weft__run_request *request,
                           weft__results *results);
/* Inlines a finished model. prefix: "" or "encoder/". */
typedef struct weft__inline_request {
    const weft_model *model;
    const char *prefix;
    const weft_val *in;
    unsigned depth;
} weft__inline_request;
weft_status weft__run_model(weft__lowering *lowering, const weft__inline_request *request,
                            weft__results *results);
#endif
