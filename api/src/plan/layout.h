/* What laying out a graph knows while it walks: which value lies where, and where values should
 * be written. */
#ifndef WEFT_PLAN_LAYOUT_H
#define WEFT_PLAN_LAYOUT_H
#include "plan/plan.h"

typedef struct weft__place_at {
    uint32_t slot;
    weft__view view;
} weft__place_at;           /* slot 0 = not there yet */
typedef struct weft__home { /* where the producer of a value writes it */
    weft__place_at at;
    uint32_t concat; /* 1 + number in the plan of the concat it is a part of; 0 = none */
} weft__home;

typedef struct weft__writer { /* an op that writes a variable where it lies */
    const weft__node *node;
    weft_val variable;
} weft__writer;

typedef struct weft__layout {
    weft__plan *plan;
    const weft__graph *graph;
    uint32_t loop;        /* whose body the graph is; 0: it is the plan's */
    size_t n;             /* values, with the unused number 0 */
    weft_val *base;       /* what a view looks into, through all views; other values: themselves */
    uint32_t *reads;      /* of base values: by steps, concats and outputs, through views */
    unsigned char *still; /* depends on variables and constants alone, and not on the batch */
    weft__writer *writer; /* room for one per assignment */
    size_t n_writers;
    weft__home *home;           /* of values that are to be written at a given place */
    weft__place_at *at, *dense; /* [device][value] */
} weft__layout;

/* Arrays, and what is known before the walk. finish() also after a failure. */
weft_status weft__layout_begin(weft__layout *layout);
void weft__layout_finish(weft__layout *layout);
/* Every node becomes a step, a view, or copies. */
weft_status weft__layout_walk(weft__layout *layout);
/* A scan node: its body's steps, in a loop. */
weft_status weft__layout_scan(weft__layout *layout, const weft__node *node);

/* Asks the producer of a value to write it there. NULL: it will; else why not. */
typedef struct weft__home_request {
    weft_val value;
    weft__place_at at;
    uint32_t concat, device; /* concat: as in weft__home */
    int still;
    int over_input; /* the producer reads what lies there: it may write it as it lies alone */
} weft__home_request;
const char *weft__layout_settle(weft__layout *layout, weft__home_request request);
weft_status weft__layout_concat_homes(weft__layout *layout);

/* Ops that may write a variable in place. */
weft_status weft__layout_assign_homes(weft__layout *layout);
/* Has everybody else read what the node writes in place? done: by node of the graph. */
int weft__layout_may_write(const weft__layout *layout, const weft__node *node,
                           const unsigned char *done);
/* Behind the walk and the outputs: the other assignments are copied. */
weft_status weft__layout_assign(weft__layout *layout);

/* Decides the homes: outputs first, then concats, the last one first. Makes their slots. */
weft_status weft__layout_homes(weft__layout *layout);

/* A value on a device: its place there; makes views, uploads and transfers on demand. */
weft_status weft__locate(weft__layout *layout, weft_val value, uint32_t device,
                         weft__place_at *place);
/* The same, dense: one copy at most a value and device. reader: a path, for people. */
weft_status weft__locate_dense(weft__layout *layout, weft_val value, uint32_t device,
                               const char *reader, weft__place_at *place);
/* A new storage for a value; kind 0: by whether it is still. */
weft_status weft__layout_slot(weft__layout *layout, weft_val value, uint32_t device,
                              weft__slot_kind kind, weft__place_at *place);
/* The axes of a transpose, each from 0 on (the attribute may count from the end). perm:
 * WEFT_MAX_RANK numbers, those from the rank on are 0. */
void weft__layout_perm(const weft__layout *layout, const weft__node *node, int64_t *perm);
/* The place of input i of a concat within `whole`. 0 = no strides can express it. */
int weft__layout_part(const weft__layout *layout, const weft__node *concat, uint32_t i,
                      const weft__view *whole, weft__view *part);
/* On which device the value is made; inputs, variables and constants: 0. */
uint32_t weft__layout_device(const weft__layout *layout, weft_val value);
/* The step of an op that is neither view nor concat. */
weft_status weft__layout_op(weft__layout *layout, const weft__node *node);
/* The node has read its inputs: their storages have so many reads less to come. */
void weft__layout_read(weft__layout *layout, const weft__node *node);
/* Adds the step to the plan, which then owns it; also when that fails. */
weft_status weft__layout_emit(weft__layout *layout, weft__step *step);

typedef struct weft__copying { /* src[i] -> dst[i], n of them in one step */
    const weft__place_at *src, *dst;
    uint32_t n, device;
    int prologue;
    const char *path, *note; /* note: for people, or NULL */
} weft__copying;
weft_status weft__layout_copy(weft__layout *layout, const weft__copying *copying);
#endif
