/* weft/train.h - training a model in a session: loss, optimizer and metrics as in Keras, steps, and
 * whole fits. */
#ifndef WEFT_TRAIN_H
#define WEFT_TRAIN_H
#include <signal.h>
#include <weft/session.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Makes the session ready to train and to evaluate. attrs is attribute text:
 *   optimizer=adam         sgd, adam, none, or with attributes: Adam(learning_rate=0.01 beta_1=0.9
 *                          beta_2=0.999 epsilon=1e-7), SGD(learning_rate=0.01 momentum=0.9
 *                          nesterov=true); the defaults are Keras's. Without one the session
 *                          evaluates, and does not train
 *   loss=mse               mse, mae, binary_crossentropy, categorical_crossentropy,
 *                          sparse_categorical_crossentropy, or the class with attributes:
 *                          BinaryCrossentropy(from_logits=true label_smoothing=0.1). One for all
 *                          outputs, or a list with one for each: loss=(mse,binary_crossentropy)
 *   loss_weights=(1,0.5)   factors of the outputs' losses in the sum; none: 1 each
 *   metrics=accuracy       accuracy (by the shape of the output, as in Keras), binary_accuracy,
 *                          categorical_accuracy, sparse_categorical_accuracy, mse, mae; or a list.
 *                          Each for every output; or a list for each: metrics=((mae,mse),())
 * Without an optimizer it only evaluates, also what has nothing to train. A regularizer that Keras
 * would add to the loss is refused (WEFT_E_UNSUPPORTED), and for training a constraint.
 * What is trainable is what is not frozen now. One session at a time may be compiled for a model,
 * or for models that share layers; WEFT_E_ARG names the model if there is another one. Compiling
 * again starts again: with a new optimizer, the weights as they are. */
WEFT_EXPORT weft_status weft_session_compile(weft_session *session, const char *attrs);

/* Samples and what the model should make of them: arrays in the order of the model's inputs and
 * outputs, all with the same first dimension, the number of samples. Targets have the shape of the
 * output, of any dtype that converts; a last dimension of 1 may be left out. Sparse crossentropy
 * takes class numbers: the output's shape without its last dimension, whole numbers of any dtype
 * (Keras cuts 1.7 to 1; here it is refused). The arrays are the caller's, who may change them after
 * the call. */
typedef struct weft_data {
    const weft_array *const *x, *const *y;
    uint32_t n_x, n_y;
} weft_data;

/* Named numbers: "loss", then, with several outputs, "<output>_loss", then metrics. Means over the
 * samples, without the positions that the output's mask leaves out. No two have one name; a long
 * one is cut, "<beginning>..<number of the output>_loss". */
enum { WEFT_MAX_LOGS = 64 };
typedef struct weft_logs {
    uint32_t n, reserved;
    char name[WEFT_MAX_LOGS][64];
    double value[WEFT_MAX_LOGS];
} weft_logs;

/* One step of the optimizer on one batch. logs (NULL: nothing is read back): of this batch, before
 * the step. The model's weights are new afterwards, for whoever reads them. */
WEFT_EXPORT weft_status weft_session_train_step(weft_session *session, const weft_data *batch,
                                                weft_logs *logs);

/* Loss and metrics of all samples, in batches. batch_size 0: 32; or what the model's inputs fix,
 * whose multiple the samples then are. */
WEFT_EXPORT weft_status weft_session_evaluate(weft_session *session, const weft_data *data,
                                              uint64_t batch_size, weft_logs *logs);

/* After each epoch: logs of the training, and those of the validation behind them, named "val_..".
 * Not WEFT_OK ends the fit with that status; stop = 1 ends it well. It may use the session, also
 * evaluate, save the model or change the learning rate, but not destroy it. */
typedef struct weft_epoch {
    uint32_t number, epochs; /* number: from 1 on */
    const weft_logs *logs;
    double seconds;
    int stop;
} weft_epoch;
typedef weft_status (*weft_epoch_fn)(void *user, weft_epoch *epoch);

typedef struct weft_fit_options {
    uint32_t epochs;         /* 0: 1 */
    uint64_t batch_size;     /* 0: 32, or what the model's inputs fix */
    int keep_order;          /* 1: the samples in their order; 0: shuffled in every epoch */
    uint64_t seed;           /* of the shuffling */
    double validation_split; /* 0 .. 1: this part of the samples, the last ones, only validates */
    const weft_data *validation; /* or other samples; NULL = none */
    FILE *progress; /* Keras's lines: a bar that moves on a terminal, else a line an epoch; NULL */
    weft_epoch_fn on_epoch; /* may be NULL */
    void *user;
    /* Looked at before each batch: not 0 ends the fit well, in the middle of an epoch, with the
     * weights of the last batch; a signal handler may set it. NULL: nothing does. */
    const volatile sig_atomic_t *stop;
} weft_fit_options;
/* Trains on all samples, `epochs` times; the last batch of an epoch may be smaller. options NULL:
 * the defaults. logs (may be NULL): of the last epoch that was complete, or n = 0. */
WEFT_EXPORT weft_status weft_session_fit(weft_session *session, const weft_data *data,
                                         const weft_fit_options *options, weft_logs *logs);

/* As weft_session_plan, of a step of training. */
WEFT_EXPORT weft_status weft_session_plan_training(weft_session *session, int64_t batch,
                                                   weft_plan_stage stage, FILE *file);

/* The optimizer's learning rate: read, or changed for the steps that follow. */
WEFT_EXPORT weft_status weft_session_learning_rate(const weft_session *session, double *rate);
WEFT_EXPORT weft_status weft_session_set_learning_rate(weft_session *session, double rate);
#ifdef __cplusplus
}
#endif
#endif
