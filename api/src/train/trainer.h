/* What compiling a session for training makes, and what the files of this room share. */
#ifndef WEFT_TRAIN_TRAINER_H
#define WEFT_TRAIN_TRAINER_H
#include <weft/train.h>
#include "plan/session.h"

/* The names of the logs, in order; values are 0. */
void weft__train_names(const weft_session *session, weft_logs *logs);
/* Steps add to running sums on the device: forget them, or read their means. */
weft_status weft__train_reset(weft_session *session);
weft_status weft__train_logs(weft_session *session, weft_logs *logs);
/* One batch, which is added to the sums. train: with a step of the optimizer. */
weft_status weft__train_run(weft_session *session, const weft_data *batch, int train);
/* Checks all arrays against the model (shapes of samples, dtypes, equal numbers of samples), with
 * an error that names the input or output. *n: the samples. */
weft_status weft__train_check(const weft_session *session, const weft_data *data, const char *what,
                              uint64_t *n);
#endif
