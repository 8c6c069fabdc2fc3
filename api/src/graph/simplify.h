/* What the rules of the simplify pass work on. */
#ifndef WEFT_GRAPH_SIMPLIFY_H
#define WEFT_GRAPH_SIMPLIFY_H
#include "graph/node.h"

typedef struct weft__simplify {
    weft__rewrite rw;
    const weft__node *node; /* of the old graph */
    const weft_spec *out;   /* of its first result */
    weft_val *in;           /* its inputs in the new graph */
    weft_val
        result; /* set by a rule: the new graph's value for the first result; 0 = keep the node */
    int changed;
} weft__simplify;
/* Adds an op in the node's place; its first result becomes `result`. */
weft_status weft__simplify_op(weft__simplify *s, const char *op, const char *attrs,
                              const weft_val *in, uint32_t n);
/* The rule of maps. */
weft_status weft__simplify_map(weft__simplify *s);
/* Equal for certain: no dimension is unknown. */
int weft__same_dims(const weft_spec *a, const weft_spec *b);
#endif
