/* An op on its way into a graph, and the normal form of elementwise ones. */
#ifndef WEFT_GRAPH_DRAFT_H
#define WEFT_GRAPH_DRAFT_H
#include "graph/node.h"

typedef struct weft__draft {
    weft__graph *graph;
    const weft_op_class *op;
    weft__attrs *attrs; /* checked; owned */
    const char *then;   /* in attrs; NULL = none */
    weft_val *in;       /* owned */
    uint32_t n_in, n_extra, n_out;
    weft_spec *outs; /* owned */
} weft__draft;
void weft__draft_finish(weft__draft *draft);

/* Normal form of a map: weak constants and repeated inputs leave the input list for the expression.
 * *constant: when nothing but constants of rank 0 is left, their value; no node is needed then. */
weft_status weft__draft_map(weft__draft *draft, weft_val *constant);
/* The same for `then` and the extra inputs. */
weft_status weft__draft_then(weft__draft *draft);
/* "f32", "cast_f32", and "cast" with "dtype=float32" or "dtype=f32": the dtype; 0 = the name is no
 * cast; -1 = it is, but the dtype is none: the error is recorded. */
weft_dtype weft__cast_named(const char *name, const char *attrs);
#endif
