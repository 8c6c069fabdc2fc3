/* What compiling a session for training makes, and what the files of this room share. */
#ifndef WEFT_TRAIN_TRAINER_H
#define WEFT_TRAIN_TRAINER_H
#include <weft/train.h>
#include "plan/session.h"
#include "train/parts.h"

typedef struct weft__output_goal { /* what is asked of one output of the model */
    weft__loss loss;
    weft__metric *metric;
    uint32_t n_metrics;
    weft_spec output; /* as the model has it */
    int masked;
    uint32_t count; /* which of the sums its metrics are divided by */
} weft__output_goal;

enum {
    WEFT__MAX_SUMS = 2 * WEFT_MAX_LOGS + 1, /* outputs are fewer than logs */
    WEFT__SUMS_UNREAD = 256,                /* the most batches in a sum of float32 */
};

typedef struct weft__trainer {
    weft__slots *slots;
    int has_optimizer; /* without one it evaluates, and has no pack */
    weft__pack *pack;
    weft__optimizer optimizer;
    weft__output_goal *goal; /* one per output of the model */
    uint32_t n_goals;
    weft_logs names; /* values are 0 */
    /* f32: of each log the sum over samples; then how many there were; then for each output with a
     * mask how many it leaves */
    weft__variable *sums;
    uint32_t n_sums;
    double read[WEFT__MAX_SUMS];   /* what was in the sums when they were read and reset */
    uint32_t count[WEFT_MAX_LOGS]; /* which of the sums a log's is divided by */
} weft__trainer;

/* The graph of a step or of an evaluation: session->make_graph. */
weft_status weft__train_graph(weft_session *session, weft__purpose purpose, const weft_spec *inputs,
                              weft__graph **graph);
/* The session's; WEFT_E_ARG if it is not compiled. call: who asks. */
weft_status weft__trainer_of(const weft_session *session, const char *call,
                             weft__trainer **trainer);

/* The names of the logs, in order; values are 0. */
void weft__train_names(const weft_session *session, weft_logs *logs);
/* Steps add to running sums on the device: forget them, add them to those in double on the host
 * (every WEFT__SUMS_UNREAD batches, or digits are lost), or read the means of both. */
weft_status weft__train_reset(weft_session *session);
weft_status weft__train_read_sums(weft_session *session);
weft_status weft__train_logs(weft_session *session, weft_logs *logs);
/* One batch, which is added to the sums. train: with a step of the optimizer. */
weft_status weft__train_run(weft_session *session, const weft_data *batch, int train);
/* Checks all arrays against the model (shapes of samples, dtypes, equal numbers of samples, class
 * numbers), with an error that names the input or output. what: "fit", for the error. *n: the
 * samples. */
weft_status weft__train_check(const weft_session *session, const weft_data *data, const char *what,
                              uint64_t *n);
#endif
