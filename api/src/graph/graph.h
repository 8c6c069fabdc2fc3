/* The graph of ops that a model lowers to: values, nodes in topological order, regions (bodies of
 * scans), inputs, outputs and assignments. Every pass makes a new graph from an old one. */
#ifndef WEFT_GRAPH_H
#define WEFT_GRAPH_H
#include <weft/context.h>
#include "base/attrs.h"

typedef struct weft__graph weft__graph;
#define WEFT__MAX_VALUES (1u << 24) /* of a graph: handles have a tag above the number */
typedef enum { WEFT__V_INPUT = 1, WEFT__V_VARIABLE, WEFT__V_CONST, WEFT__V_RESULT } weft__vkind;

typedef struct weft__gvalue { /* number 1..n_values of its graph; 0 is "failed already" */
    weft__vkind kind;
    weft_spec spec;
    /* RESULT: producer (0..) and which result. INPUT: which input */
    uint32_t node, index;
    /* VARIABLE: the model's weft__variable. RESULT: the one that it stands for, or NULL; see
     * weft__graph_variable_now. */
    void *variable;
    void *data; /* CONST: dense data, owned by the graph */
    char *name; /* INPUT, VARIABLE: for people */
    int weak;   /* CONST of rank 0 made by a layer: takes the other operand's dtype */
} weft__gvalue;

typedef struct weft__node {
    const weft_op_class *op;
    weft__attrs *attrs;            /* checked, complete */
    char *text;                    /* canonical attribute text */
    char *path;                    /* "encoder/dense_1": the layer that it came from */
    uint32_t n_in, n_out, n_extra; /* the last n_extra inputs belong to `then` */
    weft_val *in;                  /* all of the op's own (WEFT_NONE = absent), then extras */
    weft_val *out;                 /* values of this node */
    weft__graph *region;           /* body of a scan, or NULL; owned. Its input i is in[i] */
    int32_t device;                /* placement: index into the plan's devices, -1 = not placed */
    uint32_t lowered_for;          /* while placing: 1 + the device that takes all of the lowering
                                      that it is part of; 0 = not decided */
    char *reason;                  /* placement: why there, or why lowered */
} weft__node;

typedef struct weft__port {
    char *name;
    weft_val value;
} weft__port;
typedef struct weft__assign {
    weft_val variable, value;
} weft__assign;
struct weft__graph {
    weft_context *ctx; /* borrowed */
    /* While a region is traced: the graph around it, the tag of its handles, the last tag that a
     * region inside it got, and by input what it captures (0 for carries and xs). */
    weft__graph *parent;
    uint32_t tag, last_tag;
    weft_val *captured;
    size_t cap_captured;
    weft__gvalue *value;
    size_t n_values, cap_values; /* value[1 .. n_values]; value[0] is unused */
    weft__node **node;
    size_t n_nodes, cap_nodes;
    weft__port *input, *output;
    size_t n_inputs, cap_inputs, n_outputs, cap_outputs;
    weft__assign *assign;
    size_t n_assigns, cap_assigns;
};

weft_status weft__graph_create(weft_context *ctx, weft__graph **graph);
void weft__graph_destroy(weft__graph **graph);
/* Values; 0 on failure, error recorded. A variable given twice gives the same value. */
weft_val weft__graph_input(weft__graph *graph, const char *name, const weft_spec *spec);
weft_val weft__graph_variable(weft__graph *graph, void *variable, const char *name,
                              const weft_spec *spec);
weft_val weft__graph_constant(weft__graph *graph, const weft_spec *spec, const void *data,
                              int weak);
/* Adds an op: checks attributes and inputs, infers the results. */
typedef struct weft__op_request {
    /* name: an op, a function of the map table ("add", "tanh"), or a cast ("f32", or "cast" with
     * dtype=float32) */
    const char *name, *attrs, *path;
    const weft_val *in;
    uint32_t n_in;
    weft_val *out; /* results wanted; the rest still exists; may be NULL, 0 */
    uint32_t n_out;
} weft__op_request;
/* The first result, or 0. */
weft_val weft__graph_op(weft__graph *graph, const weft__op_request *request);
weft_status weft__graph_output(weft__graph *graph, const char *name, weft_val value);
void weft__graph_drop_outputs(weft__graph *graph);
/* The variable at this point of the graph: itself, or, once something is assigned to it, a value of
 * its own that is the same as what was: two variables may be assigned one value, and each must be
 * told from the other. 0 on failure. */
weft_val weft__graph_variable_now(weft__graph *graph, weft_val variable, const char *path);
/* variable: a variable, or what weft__graph_variable_now gave for it at some point. `value`
 * replaces what was assigned to it before. */
weft_status weft__graph_assign(weft__graph *graph, weft_val variable, weft_val value);
const weft_spec *weft__graph_spec(const weft__graph *graph, weft_val value);
/* Readers of each value, by nodes, outputs and assignments: n_values + 1 counts, by value
 * (weft__free). */
weft_status weft__graph_uses(const weft__graph *graph, uint32_t **uses);
/* One line a node: "%7 = matmul(%3, %5) transpose_b=true -> f32[None, 10]   # dense_1".
 * Regions indented. */
void weft__graph_print(const weft__graph *graph, weft__text *text);

/* Rewriting: copies inputs, variables, constants, nodes on demand. map[old value] = new value, 0 =
 * not yet. */
typedef struct weft__rewrite {
    const weft__graph *src;
    weft__graph *dst;
    weft_val *map;
    /* what becomes of the regions of copied nodes; NULL: they are copied. Set behind begin(). */
    weft_status (*region)(void *user, const weft__graph *region, weft__graph **result);
    void *user;
} weft__rewrite;
weft_status weft__graph_copy(const weft__graph *graph, weft__graph **copy);
/* Declares all inputs, in order. */
weft_status weft__rewrite_begin(const weft__graph *src, weft__rewrite *rewrite);
/* Of an input, variable, constant or copied node; WEFT_NONE stays. */
weft_val weft__rewrite_value(weft__rewrite *rewrite, weft_val old);
/* Copies it as it is, with placement. */
weft_status weft__rewrite_node(weft__rewrite *rewrite, uint32_t node);
/* Copies a scan node with another body, which becomes the new graph's; further outputs of it are
 * the saved carries (scan.h). */
weft_status weft__rewrite_scan(weft__rewrite *rewrite, uint32_t node, weft__graph **region);
/* Replaces the node by its op's lower(), built into dst. WEFT_E_UNSUPPORTED if it has none. */
weft_status weft__rewrite_lower(weft__rewrite *rewrite, uint32_t node);
/* Replaces the node by itself without `then`, and a map that does what `then` did. */
weft_status weft__rewrite_split(weft__rewrite *rewrite, uint32_t node);
/* Outputs, assignments; frees the rewrite, also when it fails. */
weft_status weft__rewrite_end(weft__rewrite *rewrite, weft__graph **graph);
void weft__rewrite_abort(weft__rewrite *rewrite);

/* Passes: each gives a new graph; the old one stays the caller's. */
/* Folds constants, shares equal ops, drops dead ones and movements that do nothing. */
weft_status weft__pass_simplify(const weft__graph *graph, weft__graph **result);
/* May this fused op run where the node it grows from was placed? 1 = yes. */
typedef struct weft__fuse_ask {
    void *user;
    int (*may)(void *user, const weft__graph *graph, const weft__node *fused);
} weft__fuse_ask;
/* Maps into maps, maps into `then`, within one device; ask NULL = always yes. */
weft_status weft__pass_fuse(const weft__graph *graph, const weft__fuse_ask *ask,
                            weft__graph **result);
/* The same graph with float := f64 (specs of inputs, variables and constants; casts in maps). */
weft_status weft__pass_f64(const weft__graph *graph, weft__graph **result);
#endif
