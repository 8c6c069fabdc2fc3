/* The samples of a fit, cut into batches: in their order, or shuffled anew in every epoch. */
#ifndef WEFT_TRAIN_BATCHES_H
#define WEFT_TRAIN_BATCHES_H
#include <weft/train.h>

/* Filled in before init: data (checked: every array has its samples along the first dimension, and
 * first + n of them), first, n (1 or more), batch_size (1 or more), shuffle. The arrays stay the
 * caller's. */
typedef struct weft__batches {
    const weft_data *data;
    uint64_t first, n; /* samples [first, first + n) */
    uint64_t batch_size;
    int shuffle;
    /* the rest is init's */
    uint64_t at;     /* samples handed out in this epoch */
    uint64_t *order; /* which sample comes when, if they are shuffled */
    void **staging;  /* an array: the rows of a batch, side by side, if they are shuffled */
    weft_array *part;
    const weft_array **list;
    weft_data batch;
} weft__batches;

/* All memory that the batches need. After a failure there is nothing to finish. */
weft_status weft__batches_init(weft__batches *batches);
void weft__batches_finish(weft__batches *batches);
uint64_t weft__batches_count(const weft__batches *batches); /* the last may be smaller */
/* Back to the first batch. The order depends on the seed and the epoch alone. */
void weft__batches_start(weft__batches *batches, uint64_t seed, uint32_t epoch);
/* The next batch, until the next call; NULL after the last one. */
const weft_data *weft__batches_next(weft__batches *batches);

/* How many samples train if the last part of n, split (0 .. 1) of them, only validates: Keras's
 * rule. */
uint64_t weft__batches_split(uint64_t n, double split);

/* samples.c: checks the data of a fit (shapes of samples, dtypes, equal numbers of samples, class
 * numbers; one sample or more; that the arrays can be cut), with an error that names the input or
 * output. what: "fit", for the error. *batch_size: 0 becomes the model's, if its inputs fix one, or
 * 32. *n: the samples. */
weft_status weft__samples_check(const weft_session *session, const weft_data *data,
                                const char *what, uint64_t *batch_size, uint64_t *n);
#endif
