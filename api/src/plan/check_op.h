/* Checks, from inside: one op run alone, what it should give, and how far rounding may lead it
 * astray. */
#ifndef WEFT_PLAN_CHECK_OP_H
#define WEFT_PLAN_CHECK_OP_H
#include <weft/check.h>
#include <weft/map.h>
#include "plan/plan.h"

/* A value as a check knows it. floats: numbers in f64. */
typedef struct weft__known {
    weft_spec spec;    /* symbolic; dtype as the graph has it (f32) */
    weft_array *value; /* NULL: absent, or not known */
    weft_array *err;   /* f64, same dims: |true - computed in f32| at most; NULL: exact */
} weft__known;
void weft__known_finish(weft__known *known);

typedef struct weft__trial { /* one op to be run alone */
    const char *op, *attrs, *path;
    const weft__known *in;
    uint32_t n_in, n_out, n_extra;
    int64_t batch;
    const weft__node *loop; /* of op scan: the node, whose body no text holds; else NULL */
} weft__trial;
/* The graph of that one op: its present inputs as inputs, all its results as outputs. */
weft_status weft__trial_graph(weft_context *ctx, const weft__trial *trial, weft__graph **graph);
/* Runs it in f64 on cpu (cpu: that device alone), on arrays in place of the inputs' values
 * (NULL: those). results: n_out arrays, made. */
weft_status weft__trial_reference(weft__devices *cpu, const weft__trial *trial,
                                  const weft_array *const *in, weft_array **results);
/* Is it one of the ops that a plan makes of views, by code that checks are to find wrong? */
int weft__trial_moves(const weft__trial *trial);
/* weft__trial_reference of such an op, without the plan: by cpu's own kernel for it. */
weft_status weft__trial_move(weft__devices *cpu, const weft__trial *trial,
                             const weft_array *const *in, weft_array **results);
/* Runs it on that one device, outputs poisoned. variant: 64 bytes. */
weft_status weft__trial_device(weft__devices *device, const weft__trial *trial,
                               weft_array **results, char *variant);

/* What the op gives in f64, and the error bounds of f32: fills n_out values and errors. Ops that
 * have a lowering are taken to mean what that gives. */
weft_status weft__trial_analyse(weft__devices *cpu, const weft__trial *trial, weft__known *out);
/* The same for a whole graph; of `inputs` what in, n_in and batch say: absent ones are none of the
 * graph's inputs. */
weft_status weft__graph_analyse(weft__devices *cpu, const weft__graph *graph,
                                const weft__trial *inputs, weft__known *out);
/* The same for a loop; out[i].spec is that of its result. */
weft_status weft__scan_analyse(weft__devices *cpu, const weft__trial *trial, weft__known *out);
/* The same for the op map: err of result. in[i] may be smaller than the result (broadcasting). */
weft_status weft__map_error(const weft_host *host, const char *expr, const weft__trial *trial,
                            const weft_spec *result, weft_array **err);

typedef struct weft__checker {
    weft__devices *cpu, *devices; /* the reference; what nodes are placed on */
    weft_check_fn fn;
    void *user;
    uint32_t n_failed;
    int64_t batch;
} weft__checker;
/* Checks every node of a placed graph (not placed: on the first device), given inputs, and
 * reports. */
weft_status weft__check_graph(weft__checker *c, const weft__graph *graph,
                              const weft_array *const *inputs);
#endif
