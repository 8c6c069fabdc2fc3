/* What a session is compiled with, and what that becomes in a graph. */
#ifndef WEFT_TRAIN_PARTS_H
#define WEFT_TRAIN_PARTS_H
#include "base/attrs.h"
#include "graph/build.h"
#include "model/slots.h"

/* A name with attributes, from a word, a string or a call: "adam", "Adam(learning_rate=0.01)". */
typedef struct weft__named {
    const char *name;        /* borrowed from the value */
    const weft__attrs *args; /* may be NULL */
} weft__named;

/* ---- losses and metrics: a mean over all samples and elements that are not masked ---- */

/* *weights: f32 in the shape of p without its last axis, 1 where the output's mask says so, else 0;
 * WEFT_NONE if it has none (mask is WEFT_NONE). */
weft_status weft__mask_weights(weft__build *build, weft_val mask, weft_val p, weft_val *weights);
/* values (of p's shape, or without its last axis) times weights; as they are without weights. */
weft_val weft__masked(weft__build *build, weft_val values, weft_val weights);
/* mean over everything, of float values */
weft_val weft__mean_all(weft__build *build, weft_val x);

typedef struct weft__loss_class weft__loss_class;
typedef struct weft__loss {
    const weft__loss_class *cls;
    int from_logits;
    double smoothing, weight; /* weight: in the sum over outputs */
} weft__loss;
weft_status weft__loss_make(const weft__named *named, weft__loss *loss);
/* name, of a loss or a metric, needs classes that the output does not have. */
weft_status weft__fail_classes(const char *name);
const char *weft__loss_name(const weft__loss *loss);
/* Judges classes along the output's last axis. */
int weft__loss_classes(const weft__loss *loss);
/* Takes class numbers: targets without the output's last axis. */
int weft__loss_sparse(const weft__loss *loss);
/* The spec of the targets for that output. */
weft_status weft__loss_target(const weft__loss *loss, const weft_spec *output, weft_spec *target);
/* What a loss and a metric are of. */
typedef struct weft__judged {
    weft_val y, p;    /* targets, the model's output */
    weft_val weights; /* WEFT_NONE: no mask */
} weft__judged;
/* The loss as a scalar; 0 after a failure, or if all is masked. */
weft_val weft__loss_build(weft__build *build, const weft__loss *loss, const weft__judged *of);

typedef struct weft__metric {
    char name[64];
    weft_val (*values)(weft__build *, weft_val y, weft_val p);
} weft__metric;
/* accuracy depends on the output's shape and on whether targets are class numbers, as in Keras. */
weft_status weft__metric_make(const char *name, const weft_spec *output, int sparse,
                              weft__metric *metric);
/* The mean of its values, masked ones as 0: the metric times the mean of the weights. */
weft_val weft__metric_build(weft__build *build, const weft__metric *metric, const weft__judged *of);

/* ---- optimizers ---- */
typedef struct weft__optimizer {
    int adam, nesterov;
    double learning_rate, momentum, beta_1, beta_2, epsilon;
    weft__variable *rate, *iterations, *m, *v; /* of the slots; m: momentum of sgd; may be NULL */
} weft__optimizer;
weft_status weft__optimizer_make(const weft__named *named, weft__optimizer *optimizer);
/* Its variables, for n weights. */
weft_status weft__optimizer_slots(weft__optimizer *optimizer, weft__slots *slots, int64_t n);
/* Assigns the weights and the optimizer's variables their next values. */
weft_status weft__optimizer_build(const weft__optimizer *optimizer, weft__graph *graph,
                                  weft_val weights, weft_val gradient);
#endif
