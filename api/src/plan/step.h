/* One step of a plan: the weft_step that a backend sees, with everything that it points to. */
#ifndef WEFT_PLAN_STEP_H
#define WEFT_PLAN_STEP_H
#include "graph/graph.h"
#include "plan/view.h"

typedef enum { WEFT__STEP_OP = 1, WEFT__STEP_COPY, WEFT__STEP_TRANSFER } weft__step_kind;
typedef struct weft__step {
    weft_step base; /* first: what backends see */
    weft__step_kind kind;
    uint32_t device, reserved;
    int prologue, in_place;
    uint32_t loop;            /* of the plan; 0 = none */
    const weft__attrs *attrs; /* of the node; the empty set for copies */
    const weft__node *node;   /* OP: borrowed from the plan's graph */
    weft_support support;     /* the backend's answer */
    weft__view *view;         /* inputs, then outputs */
    uint32_t *slot;           /* of each view; 0 = absent */
    weft_operand *operand;
    const weft_operand **in_out;
    weft__attrs none;
    char *note; /* for people: why it is there; may be NULL */
} weft__step;

typedef struct weft__step_request {
    weft__step_kind kind;
    const weft_op_class *op; /* NULL for a transfer */
    const weft__node *node;  /* NULL for copies and transfers */
    const char *path;        /* borrowed as long as the step lives */
    uint32_t n_in, n_out, device;
    const weft__view *view; /* inputs, then outputs; copied */
    const uint32_t *slot;   /* of each view; 0 = absent. NULL: all are there */
} weft__step_request;
weft_status weft__step_create(const weft__step_request *request, weft__step **step);
/* A step for a node of graph as placement asks for it: every operand dense, outputs that have no
 * value absent. */
weft_status weft__step_of_node(const weft__graph *graph, const weft__node *node, weft__step **step);
/* The value's dense view; an error that names its layer if it has none. */
weft_status weft__value_view(const weft__graph *graph, weft_val value, weft__view *view);
void weft__step_destroy(weft__step **step);
/* Does a kernel with these flags take every operand of the step where it lies? */
int weft__step_fits(const weft__step *step);
int weft__layout_fits(weft_layout layout, uint32_t flags, int output);
#endif
