/* What a fit or an evaluation is given: how many samples there are, and how they are cut into
 * batches. A model may fix the batch itself, as stateful recurrent layers want it: then every batch
 * has that size. */
#include <inttypes.h>
#include "base/fail.h"
#include "plan/inputs.h"
#include "train/batches.h"
#include "train/trainer.h"

enum { BATCH_SIZE = 32 }; /* Keras's default */

/* size 0: the model's, or Keras's. */
static weft_status choose_size(const weft_model *m, const char *what, uint64_t fixed,
                               uint64_t *size)
{
    if (*size && fixed && *size != fixed)
        return weft_fail(WEFT_E_ARG,
                         "%s: a batch size of %" PRIu64 ", but the inputs of model \"%s\" fix "
                         "batches of %" PRIu64 " samples; give that size or none",
                         what, *size, weft_model_name(m), fixed);
    if (!*size) *size = fixed ? fixed : BATCH_SIZE;
    return WEFT_OK;
}

static const weft_array *array_at(const weft_data *data, uint32_t k)
{
    return k < data->n_x ? data->x[k] : data->y[k - data->n_x];
}

/* Batches are cut along the first axis: inputs of a fixed size, or with several rows a sample, have
 * none to cut. */
static weft_status check_rows(const weft_data *data, const char *what, uint64_t n)
{
    for (uint32_t i = 0; i < data->n_x + data->n_y; i++) {
        int input = i < data->n_x;
        const weft_spec *spec = &array_at(data, i)->spec;
        if (spec->rank && (uint64_t)spec->dim[0] == n) continue;
        return weft_fail(WEFT_E_SHAPE,
                         "%s: %s %" PRIu32 " cannot be cut into batches: its first dimension is "
                         "%" PRId64 ", and there are %" PRIu64 " samples; train such a model batch "
                         "by batch, with weft_session_train_step",
                         what, input ? "input" : "target", input ? i : i - data->n_x,
                         spec->rank ? spec->dim[0] : 0, n);
    }
    return WEFT_OK;
}

/* Can the arrays be cut at all? Those that cannot are the checks' of a batch. */
static int has_rows(const weft_data *data)
{
    if (!data->n_x || !data->x || (data->n_y && !data->y)) return 0;
    for (uint32_t i = 0; i < data->n_x + data->n_y; i++)
        if (!array_at(data, i) || array_at(data, i)->spec.rank < 1 ||
            array_at(data, i)->spec.rank > WEFT_MAX_RANK || array_at(data, i)->spec.dim[0] < 0)
            return 0;
    return 1;
}

/* The model knows no more samples than its batch has: each is checked by itself. */
static weft_status check_batches(const weft_session *session, const weft_data *data,
                                 const char *what, uint64_t size)
{
    weft__batches batches = { .data = data, .batch_size = size };
    const weft_data *batch;
    weft_status st;
    batches.n = (uint64_t)data->x[0]->spec.dim[0];
    if ((st = weft__batches_init(&batches))) return st;
    weft__batches_start(&batches, 0, 0);
    while (!st && (batch = weft__batches_next(&batches))) {
        uint64_t n;
        size_t depth = weft__where_push("samples from %" PRIu64, batches.at - size);
        st = weft__train_check(session, batch, what, &n);
        weft__where_pop(depth);
    }
    weft__batches_finish(&batches);
    return st;
}

static weft_status check_fixed(const weft_session *session, const weft_data *data, const char *what,
                               uint64_t size, uint64_t *n)
{
    weft_status st;
    if (!has_rows(data)) return weft__train_check(session, data, what, n);
    *n = (uint64_t)data->x[0]->spec.dim[0];
    if ((st = check_rows(data, what, *n))) return st;
    if ((st = weft__whole_batches(session->model, what, *n)) || !*n) return st;
    return check_batches(session, data, what, size);
}

weft_status weft__samples_check(const weft_session *session, const weft_data *data,
                                const char *what, uint64_t *batch_size, uint64_t *n)
{
    weft__trainer *trainer;
    weft_status st = weft__trainer_of(session, what, &trainer);
    if (st) return st;
    uint64_t fixed = weft__fixed_batch(session->model);
    if ((st = choose_size(session->model, what, fixed, batch_size))) return st;
    if (fixed)
        st = check_fixed(session, data, what, fixed, n);
    else if (!(st = weft__train_check(session, data, what, n)))
        st = check_rows(data, what, *n);
    if (st || *n) return st;
    return weft_fail(WEFT_E_ARG, "%s: there are no samples; the arrays have a first dimension of 0",
                     what);
}
