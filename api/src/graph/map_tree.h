/* Trees of elementwise expressions: what the parser makes, the printer writes and the compiler
 * types. */
#ifndef WEFT_GRAPH_MAP_TREE_H
#define WEFT_GRAPH_MAP_TREE_H
#include <weft/map.h>
#include "base/text.h"

enum {
    WEFT__MAP_DEPTH = 256, /* of a tree; every recursion over trees is bounded by it */
    WEFT__MAP_NODES = 8192,
    WEFT__MAP_INS = 256,     /* instructions of a program */
    WEFT__MAP_REGISTERS = 32 /* values of a program that are alive at once */
};

typedef struct weft__map_node {
    weft_map_kind kind;
    uint32_t arg[3]; /* CALL, CAST: nodes made before. INPUT: arg[0] is its number */
    uint32_t depth;
    double value;          /* CONST: a literal, without a dtype of its own */
    const weft_map_fn *fn; /* CALL */
    weft_dtype dtype;      /* CAST: to */
} weft__map_node;

typedef struct weft__map_tree { /* starts as { 0 } */
    weft__map_node *node;
    size_t n, cap;
    uint32_t root;
    uint32_t n_inputs; /* 1 + the highest input's number */
} weft__map_tree;

/* Adds the expression's nodes to `tree` and makes it the root. The error shows the text and the
 * place. */
weft_status weft__map_parse(const char *expr, weft__map_tree *tree);
void weft__map_tree_finish(weft__map_tree *tree);
/* New nodes; calls of literals alone become literals. */
weft_status weft__map_input(weft__map_tree *tree, uint32_t number, uint32_t *node);
weft_status weft__map_literal(weft__map_tree *tree, double value, uint32_t *node);
weft_status weft__map_call(weft__map_tree *tree, const weft_map_fn *fn, const uint32_t *arg,
                           uint32_t *node);
weft_status weft__map_to(weft__map_tree *tree, weft_dtype dtype, uint32_t arg, uint32_t *node);
/* Canonical text: no spaces, as few parentheses as possible. */
void weft__map_print(weft__text *text, const weft__map_tree *tree, uint32_t node);
/* A literal as canonical text. */
void weft__map_print_literal(weft__text *text, double value);

/* Is the whole expression a literal? Then *value is it. */
int weft__map_is_literal(const char *expr, double *value);
/* Has it neither casts nor comparisons and logic, so that one dtype flows through? */
int weft__map_is_arithmetic(const char *expr);
/* The expression for the f64 mode: f32() becomes f64(), and functions of floats that are given
 * integers compute in f64. in: the inputs' dtypes before. */
weft_status weft__map_to_f64(const char *expr, const weft_dtype *in, uint32_t n_in,
                             weft__text *text);
/* Does it compile, within the limits? Records no error. */
int weft__map_fits(const char *expr, const weft_dtype *in, uint32_t n_in);
#endif
