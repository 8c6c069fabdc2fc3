/* The compiled form of an expression, with what the evaluator needs besides the public part. */
#ifndef WEFT_GRAPH_MAP_PROGRAM_H
#define WEFT_GRAPH_MAP_PROGRAM_H
#include "graph/map_tree.h"

enum { WEFT__MAP_IN_PLACE = 255 }; /* no register: an input that is read where it lies */

typedef struct weft__map_program {
    weft_map_program base;         /* first: what backends see */
    uint8_t reg[WEFT__MAP_INS];    /* where each instruction's result is kept */
    uint8_t pinned[WEFT__MAP_INS]; /* a constant whose register is its own: filled once an eval */
    weft_dtype dtype;              /* of the result */
    weft_map_ins ins[WEFT__MAP_INS];
} weft__map_program;

typedef struct weft__map_compile {
    const weft_dtype *in;
    const int *weak; /* NULL = none */
    uint32_t n_in;
    weft_dtype want; /* 0 = leave it */
} weft__map_compile;
/* What a node gives. Weak: made of literals and weak inputs alone, takes its reader's dtype; the
 * dtype then says the kind, F32 or an integer. */
typedef struct weft__map_typing {
    weft_dtype dtype;
    int weak;
} weft__map_typing;
/* bool < u8 < i32 < i64 < f32 < f64: 1 .. 6; 0 for what is not computed with. */
int weft__map_rank(weft_dtype t);
/* bool 0, integers 1, floats 2. */
int weft__map_kind(weft_dtype t);
/* Is it select, whose first operand has a type of its own? */
int weft__map_conditional(const weft_map_fn *fn);
/* The type that the operands of a call are brought to (select: the second and third). */
weft__map_typing weft__map_operands(const weft__map_node *call, const weft__map_typing *type);
/* The typing of every node of the tree, in new memory. */
weft_status weft__map_type_nodes(const weft__map_tree *tree, const weft__map_compile *setup,
                                 weft__map_typing **type, char why[256]);
/* Types the tree and fills `program`, registers included. `why` gets what is wrong; no error is
 * recorded. */
weft_status weft__map_compile_tree(const weft__map_tree *tree, const weft__map_compile *setup,
                                   weft__map_program *program, char why[256]);
void weft__map_eval(const weft_map_program *program, size_t n, const void *const *in, void *dst);
#endif
