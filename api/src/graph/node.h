/* How graphs are made inside this room: nodes taken apart, taken back, and copied. */
#ifndef WEFT_GRAPH_NODE_H
#define WEFT_GRAPH_NODE_H
#include "graph/graph.h"

/* weft__graph_op and weft__graph_constant with the status. */
weft_status weft__graph_try_op(weft__graph *graph, const weft__op_request *request,
                               weft_val *result);
weft_status weft__graph_try_constant(weft__graph *graph, const weft_spec *spec, const void *data,
                                     int weak, weft_val *result);
void weft__node_destroy(weft__node **node);
void weft__gvalue_finish(weft__gvalue *value); /* frees what it owns */
/* Adds the node, which becomes the graph's, and a value for each of its n_out results. Undone on
 * failure. */
weft_status weft__graph_push(weft__graph *graph, weft__node **node, const weft_spec *outs);
/* Takes back the node that was added last; nothing may have been added behind it. */
void weft__graph_pop(weft__graph *graph);
/* Takes back all that was added behind the first n_nodes nodes and n_values values. */
void weft__graph_cut(weft__graph *graph, size_t n_nodes, size_t n_values);
/* Takes back what of that nothing in keep (n_keep values, WEFT_NONE allowed) needs; the values that
 * are left are renumbered, those in keep too. On failure nothing has changed. */
weft_status weft__graph_trim(weft__graph *graph, size_t n_nodes, size_t n_values, weft_val *keep,
                             uint32_t n_keep);
/* The node that makes the value; NULL for other values and WEFT_NONE. */
weft__node *weft__graph_producer(const weft__graph *graph, weft_val value);
const weft__gvalue *weft__graph_value(const weft__graph *graph, weft_val value);
/* The value as a literal: a constant of rank 0 of a dtype that is computed with. */
int weft__graph_scalar(const weft__graph *graph, weft_val value, double *number);
/* A weak constant gets a dtype of its own, as outside of maps: f32 for fractions. */
weft_status weft__graph_harden(weft__graph *graph, weft_val *value);
/* "input image float32 (None, 3)", "result of conv1 float32 (None, 10)": for error texts. */
void weft__graph_describe(const weft__graph *graph, weft_val value, weft__text *text);
/* Name of input or result i in a class's list of them (may be NULL): "a" or "x[2]". */
void weft__port_name(const char *list, uint32_t i, char name[64]);
/* Names of the op's results. */
const char *weft__op_outputs(const weft_op_class *op);
/* Results that the op has: names in its `outputs`; a variadic one has n_in. */
uint32_t weft__op_results(const weft_op_class *op, uint32_t n_in);

/* For each value: does it depend on an input (1), or on constants and variables alone (0)? n_values
 * + 1 bytes. */
weft_status weft__graph_depends(const weft__graph *graph, uint8_t **depends);
/* For each node: does anything that leaves the graph need it? n_nodes bytes. */
weft_status weft__graph_live(const weft__graph *graph, uint8_t **live);
/* "f32[None, 10]" */
void weft__print_spec(weft__text *text, const weft_spec *spec);
#endif
