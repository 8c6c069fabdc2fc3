/* A plan: a graph placed on devices, fused, laid out in memory and compiled, for every batch
 * size. */
#ifndef WEFT_PLAN_H
#define WEFT_PLAN_H
#include <weft/status.h>
#include "plan/opened.h"

typedef enum {
    WEFT__SLOT_INPUT = 1, /* a buffer of the caller's, or a copy of it */
    WEFT__SLOT_OUTPUT,
    WEFT__SLOT_VARIABLE,
    WEFT__SLOT_CONST,
    WEFT__SLOT_PROLOGUE, /* computed from variables and constants; kept */
    WEFT__SLOT_ARENA     /* alive from step `first` to step `last` */
} weft__slot_kind;
typedef struct weft__slot { /* a storage */
    weft__slot_kind kind;
    uint32_t device, index;    /* INPUT, OUTPUT: which port */
    const weft__gvalue *value; /* VARIABLE, CONST: borrowed from the graph */
    weft_dtype dtype;
    int64_t count;        /* elements, symbolic */
    const char *name;     /* borrowed from the graph: path of the layer, or the input's name */
    uint32_t pending;     /* while laying out: reads still to come */
    uint32_t pinned;      /* while laying out: loops that read or write it in every step */
    uint32_t loop;        /* the loop whose body made it; what others touch lives all along */
    uint32_t first, last; /* ARENA: steps that touch it; first > last: none */
    weft__buffer own;     /* INPUT, OUTPUT, CONST, PROLOGUE: when not wrapped */
    weft_buf *wrapped;
    void *memory;
    uint64_t wrapped_bytes; /* INPUT, OUTPUT: the caller's memory */
    weft__copy *copy;       /* VARIABLE */
    weft_bind bind;         /* of the next run */
} weft__slot;

typedef struct weft__concat { /* for people: what a concat costs */
    const weft__node *node;
    weft__affine bytes; /* moved */
    weft__text why;
} weft__concat;

typedef struct weft__loop { /* a scan: its steps run `times` times, with moving offsets */
    int64_t times;
    const weft__node *node;
} weft__loop;

typedef struct weft__segment { /* steps that run on one device in a row, or one transfer */
    uint32_t device, first, n;
    uint32_t loop, reserved; /* 0 = it runs once */
    int transfer;
    weft_exe *exe;
    weft_bind *bind;
    uint32_t n_binds;
    uint64_t generation, epoch;
    int64_t batch; /* of the last run; -1 = none */
} weft__segment;

typedef struct weft__memory { /* where arena slots lie for one batch size */
    int64_t batch;
    uint64_t used; /* the clock of the last use; 0 = empty */
    uint32_t *arena;
    uint64_t *offset; /* by slot */
    uint64_t *need;   /* [device][WEFT__MAX_ARENAS]: bytes */
} weft__memory;
enum { WEFT__MEMORIES = 4 };

typedef struct weft__plan_options {
    int strict, f64, simplify, fuse, views;
    int poison; /* fill outputs with NaN before every run */
} weft__plan_options;

typedef struct weft__plan {
    weft__devices *devices; /* borrowed */
    weft__plan_options options;
    weft__graph *graph; /* placed and fused */
    weft__slot *slot;
    size_t n_slots, cap_slots; /* slot[0] is unused */
    weft__step **step;
    size_t n_steps, cap_steps; /* in order: prologue, then body */
    size_t n_prologue;         /* steps */
    weft__concat *concat;
    size_t n_concats, cap_concats;
    weft__loop *loop; /* loop[0] is unused */
    size_t n_loops, cap_loops;
    weft__segment *segment;
    size_t n_segments, n_prologue_segments;
    uint32_t *output_slot; /* of each output */
    uint32_t *written;     /* slots of the variables that a run assigns */
    size_t n_written;
    weft__memory memory[WEFT__MEMORIES];
    uint64_t clock;
    uint64_t variables_seen; /* the model's generation that the prologue has seen; 0 = none */
    int prologue_done;
    uint64_t prologue_runs;
    void *staging;
    uint64_t staging_bytes; /* for transfers */
} weft__plan;

/* The whole way from a lowered graph (no WEFT_ANY left) to a plan. */
weft_status weft__plan_create(const weft__graph *graph, weft__devices *devices,
                              const weft__plan_options *options, weft__plan **plan);
void weft__plan_destroy(weft__plan **plan);

/* One run. Arrays are checked already: inputs in the graph's order, of its shapes for that
 * batch, of any dtype that converts; outputs[i] is NULL (created) or of the right spec. */
typedef struct weft__plan_call {
    const weft_model *model; /* of the variables; NULL = there are none */
    const weft_array *const *inputs;
    weft_array **outputs;
    int64_t batch;
    uint64_t generation; /* the model's, read before its holder's values came home */
} weft__plan_call;
weft_status weft__plan_run(weft__plan *plan, const weft__plan_call *call);
uint64_t weft__plan_concat_bytes(const weft__plan *plan, int64_t batch);

/* The stages, each in its file. */
/* place, simplify, fuse: the graph that a plan runs. */
weft_status weft__plan_graph(const weft__graph *source, weft__devices *devices,
                             const weft__plan_options *options, weft__graph **graph);
weft_status weft__place(const weft__graph *graph, weft__devices *devices, int strict,
                        weft__graph **placed);
typedef struct weft__placing {
    int32_t device;
    char *reason;
} weft__placing;
/* Chooses among the devices for one node: its number, or -1; reason (owned): what the ones
 * before it said. */
weft_status weft__place_node(const weft__graph *graph, const weft__node *node,
                             weft__devices *devices, int strict, weft__placing *placing);
weft_status weft__fail_nowhere(const weft__node *node, const weft__placing *placing, int strict);
weft_status weft__lay_out(weft__plan *plan); /* graph -> slots and steps */
weft_status weft__memory_at(weft__plan *plan, int64_t batch, const weft__memory **memory);
weft_status weft__compile(weft__plan *plan); /* steps -> segments; uploads constants */
weft_status weft__bind(weft__plan *plan,
                       const weft__plan_call *call); /* slots -> buffers of this run */

/* Movement ops that are views: no step runs them. */
typedef enum {
    WEFT__VIEW_NONE,
    WEFT__VIEW_RESHAPE,
    WEFT__VIEW_TRANSPOSE,
    WEFT__VIEW_SLICE,
    WEFT__VIEW_BROADCAST
} weft__view_op;
weft__view_op weft__is_view(const weft__node *node);
int weft__is_concat(const weft__node *node);
const char *weft__slot_kind_name(weft__slot_kind kind);
weft_status weft__slot_add(weft__plan *plan, const weft__slot *slot, uint32_t *number);

/* For people. */
weft_status weft__plan_print(weft__plan *plan, int64_t batch, weft__text *text);
void weft__placed_print(const weft__graph *graph, const weft__devices *devices, weft__text *text);
#endif
