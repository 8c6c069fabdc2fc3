/* One batch: arrays checked, the plan for their sizes found, run; and the sums that steps leave on
 * the device. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "plan/inputs.h"
#include "train/trainer.h"

/* ---- arrays ---- */

/* Do the targets have that shape for a batch? A last axis of 1 may be there or not; *rank: without
 * one that is not wanted. */
static int target_fits(const weft_spec *want, const weft_spec *have, int64_t batch, int32_t *rank)
{
    *rank = have->rank;
    if (*rank == want->rank + 1 && have->dim[*rank - 1] == 1) (*rank)--;
    int fits = *rank == want->rank || (*rank == want->rank - 1 && want->dim[*rank] == 1);
    for (int32_t k = 0; k < *rank && fits; k++)
        fits = want->dim[k] == WEFT_ANY ? have->dim[k] >= 0
                                        : have->dim[k] == weft__dim_at(want->dim[k], batch);
    return fits;
}

/* The loss that is wanted where class numbers and one-hot vectors were taken for each other. */
static const char *other_loss(const weft__output_goal *goal, const weft_spec *have)
{
    int one_hot = have->rank == goal->output.rank && have->rank &&
                  have->dim[have->rank - 1] == goal->output.dim[have->rank - 1];
    if (!weft__loss_classes(&goal->loss)) return "";
    if (weft__loss_sparse(&goal->loss))
        return one_hot ? "; one-hot targets want categorical_crossentropy" : "";
    return one_hot ? "" : "; class numbers want sparse_categorical_crossentropy";
}

static weft_status fail_target(const weft__output_goal *goal, const char *name,
                               const weft_spec *want, const weft_spec *have, int64_t batch)
{
    weft__shape_text a, b;
    int32_t rank;
    if (!weft_dtype_size(have->dtype))
        return weft_fail(WEFT_E_DTYPE, "targets of output \"%s\": the array has no dtype (%d)",
                         name, (int)have->dtype);
    if (have->rank && have->dim[0] >= 0 && target_fits(want, have, have->dim[0], &rank))
        return weft_fail(WEFT_E_SHAPE,
                         "targets of output \"%s\" are %" PRId64 " samples, but the inputs have "
                         "%" PRId64,
                         name, have->dim[0], batch);
    return weft_fail(WEFT_E_SHAPE,
                     "targets of output \"%s\": %s takes shape %s, but the array has shape %s%s",
                     name, weft__loss_name(&goal->loss), weft__shape_show(want, &a),
                     weft__shape_show(have, &b), other_loss(goal, have));
}

/* The array in the shape of the targets. */
static weft_status shape_target(const weft_session *session, uint32_t i, const weft_array *array,
                                int64_t batch, weft_array *shaped)
{
    const weft__output_goal *goal = &session->trainer->goal[i];
    const char *name;
    weft_spec want;
    int32_t rank;
    weft_status st = weft_model_output(session->model, i, &name, NULL);
    if (!st) st = weft__loss_target(&goal->loss, &goal->output, &want);
    if (st) return st;
    if (!array) return weft_fail(WEFT_E_ARG, "targets of output \"%s\" are NULL", name);
    if (!weft_dtype_size(array->spec.dtype) || !target_fits(&want, &array->spec, batch, &rank))
        return fail_target(goal, name, &want, &array->spec, batch);
    if (!array->data && weft_array_count(array))
        return weft_fail(WEFT_E_ARG, "targets of output \"%s\": the array has no data", name);
    *shaped = *array;
    shaped->spec = want;
    shaped->spec.dtype = array->spec.dtype;
    for (int32_t k = 0; k < want.rank; k++)
        shaped->spec.dim[k] = k < rank ? array->spec.dim[k] : 1;
    return WEFT_OK;
}

/* As double, which a float that is no whole number survives, and NaN. */
static weft_status check_class(const char *name, const weft_array *classes, int64_t n)
{
    weft_array *numbers = NULL;
    weft_status st = weft_array_convert(classes, WEFT_F64, &numbers);
    for (uint64_t i = 0; !st && i < weft_array_count(numbers); i++) {
        double c = ((const double *)numbers->data)[i];
        if (c >= 0 && c < (double)n && c == floor(c)) continue;
        st = weft_fail(WEFT_E_ARG,
                       "targets of output \"%s\": class %g of sample %" PRIu64
                       " is none; the output has the classes 0 to %" PRId64 ", whole numbers",
                       name, c, i, n - 1);
    }
    weft_array_destroy(&numbers);
    return st;
}

static weft_status check_target(const weft_session *session, uint32_t i, const weft_array *array,
                                int64_t n)
{
    const weft__output_goal *goal = &session->trainer->goal[i];
    weft_array shaped;
    const char *name;
    weft_status st = shape_target(session, i, array, n, &shaped);
    if (st || !weft__loss_sparse(&goal->loss)) return st;
    if ((st = weft_model_output(session->model, i, &name, NULL))) return st;
    return check_class(name, &shaped, goal->output.dim[goal->output.rank - 1]);
}

static weft_status check_counts(const weft_session *session, const weft_data *data,
                                const char *what)
{
    uint32_t n_y = weft_model_n_outputs(session->model);
    if (!data) return weft_fail(WEFT_E_ARG, "%s: data is NULL", what);
    if (data->n_y == n_y && (data->y || !n_y)) return WEFT_OK;
    return weft_fail(WEFT_E_ARG, "%s: model \"%s\" has %u output%s, and %u array%s of targets %s",
                     what, weft_model_name(session->model), (unsigned)n_y, n_y == 1 ? "" : "s",
                     (unsigned)data->n_y, data->n_y == 1 ? "" : "s",
                     data->n_y == 1 ? "was given" : "were given");
}

weft_status weft__train_check(const weft_session *session, const weft_data *data, const char *what,
                              uint64_t *n)
{
    int64_t batch = 0;
    weft_spec *specs;
    weft__trainer *trainer;
    weft_status st = weft__trainer_of(session, what, &trainer);
    if (st || (st = check_counts(session, data, what))) return st;
    if (!data->x && data->n_x) return weft_fail(WEFT_E_ARG, "%s: data.x is NULL", what);
    if (!(specs = weft__alloc_n(data->n_x, sizeof *specs))) return WEFT_E_NOMEM;
    st = weft__inputs_check(session->model, data->x, data->n_x, specs, &batch);
    for (uint32_t i = 0; i < data->n_y && !st; i++)
        st = check_target(session, i, data->y[i], batch);
    weft__free(specs);
    *n = (uint64_t)batch;
    return st;
}

/* ---- a batch ---- */

typedef struct batch {
    weft_spec *specs;         /* of the inputs, then of the targets, symbolic in the batch */
    const weft_array **array; /* the same order */
    weft_array *target;
    uint32_t n_x, n_y;
    int64_t size;
} batch;

static weft_status prepare(const weft_session *session, const weft_data *data, batch *b)
{
    size_t n = (size_t)data->n_x + data->n_y;
    weft_status st;
    if (!(b->specs = weft__alloc_n(n, sizeof *b->specs))) return WEFT_E_NOMEM;
    if (!(b->array = weft__alloc_n(n, sizeof(weft_array *)))) return WEFT_E_NOMEM;
    if (!(b->target = weft__alloc_n(data->n_y, sizeof *b->target))) return WEFT_E_NOMEM;
    st = weft__inputs_check(session->model, data->x, data->n_x, b->specs, &b->size);
    for (uint32_t i = 0; i < data->n_x && !st; i++)
        b->array[i] = data->x[i];
    for (uint32_t i = 0; i < data->n_y && !st; i++) {
        weft_spec *spec = &b->specs[data->n_x + i];
        const weft__output_goal *goal = &session->trainer->goal[i];
        if ((st = shape_target(session, i, data->y[i], b->size, &b->target[i]))) break;
        st = weft__loss_target(&goal->loss, &goal->output, spec);
        for (int32_t k = 0; k < spec->rank; k++)
            if (spec->dim[k] == WEFT_ANY) spec->dim[k] = b->target[i].spec.dim[k];
        b->array[data->n_x + i] = &b->target[i];
    }
    return st;
}

static weft_status fail_no_optimizer(void)
{
    return weft_fail(WEFT_E_ARG, "the session is compiled without an optimizer: it evaluates, but "
                                 "does not train; compile it with optimizer=sgd or adam");
}

weft_status weft__train_run(weft_session *session, const weft_data *data, int train)
{
    batch b = { .n_x = data->n_x, .n_y = data->n_y };
    weft__plan *plan = NULL;
    weft_status st = prepare(session, data, &b);
    if (!st && train && !session->trainer->has_optimizer) st = fail_no_optimizer();
    if (!st)
        st = weft__session_plan_for(session, train ? WEFT__TRAIN : WEFT__EVALUATE, b.specs,
                                    b.n_x + b.n_y, &plan);
    if (!st)
        st = weft__session_run(
            session, plan,
            &(weft__plan_call){ .model = session->model, .inputs = b.array, .batch = b.size });
    weft__free(b.specs);
    weft__free(b.array);
    weft__free(b.target);
    return st;
}

weft_status weft_session_train_step(weft_session *session, const weft_data *data, weft_logs *logs)
{
    uint64_t n = 0;
    weft_status st = weft__train_check(session, data, "weft_session_train_step", &n);
    if (!st && !n)
        st = weft_fail(WEFT_E_ARG, "weft_session_train_step: a batch of 0 samples; give at least "
                                   "one");
    if (!st && logs) st = weft__train_reset(session);
    if (!st) st = weft__train_run(session, data, 1);
    return !st && logs ? weft__train_logs(session, logs) : st;
}

weft_status weft_session_plan_training(weft_session *session, int64_t size, weft_plan_stage stage,
                                       FILE *file)
{
    weft__trainer *t;
    weft_spec *specs;
    weft_status st = weft__trainer_of(session, "weft_session_plan_training", &t);
    if (st) return st;
    if (!file) return weft_fail(WEFT_E_ARG, "weft_session_plan_training: file is NULL");
    uint32_t n_x = weft_model_n_inputs(session->model);
    if (!(specs = weft__alloc_n((size_t)n_x + t->n_goals, sizeof *specs))) return WEFT_E_NOMEM;
    if (!t->has_optimizer) st = fail_no_optimizer();
    for (uint32_t i = 0; i < n_x && !st; i++)
        st = weft_model_input(session->model, i, NULL, &specs[i]);
    for (uint32_t i = 0; i < t->n_goals && !st; i++)
        st = weft__loss_target(&t->goal[i].loss, &t->goal[i].output, &specs[n_x + i]);
    if (!st)
        st = weft__session_print(session,
                                 &(weft__print_request){ .purpose = WEFT__TRAIN,
                                                         .inputs = specs,
                                                         .n_inputs = n_x + t->n_goals,
                                                         .batch = size,
                                                         .stage = stage },
                                 file);
    weft__free(specs);
    return st;
}

/* ---- sums ---- */

void weft__train_names(const weft_session *session, weft_logs *logs)
{
    *logs = session->trainer->names;
}

static weft_status clear_sums(weft_session *session)
{
    static const float zero[WEFT__MAX_SUMS];
    pthread_mutex_lock(&session->lock);
    weft_status st = weft__devices_set(session->devices, session->trainer->sums, zero);
    pthread_mutex_unlock(&session->lock);
    return st;
}

weft_status weft__train_reset(weft_session *session)
{
    memset(session->trainer->read, 0, sizeof session->trainer->read);
    return clear_sums(session);
}

weft_status weft__train_read_sums(weft_session *session)
{
    float sums[WEFT__MAX_SUMS];
    weft__trainer *t = session->trainer;
    pthread_mutex_lock(&session->lock);
    weft_status st = weft__devices_pull_own(session->devices, t->sums);
    pthread_mutex_unlock(&session->lock);
    if (!st) st = weft__variable_read(t->sums, sums);
    if (st || (st = clear_sums(session))) return st;
    for (uint32_t i = 0; i < t->n_sums; i++)
        t->read[i] += (double)sums[i];
    return WEFT_OK;
}

weft_status weft__train_logs(weft_session *session, weft_logs *logs)
{
    const weft__trainer *t = session->trainer;
    weft_status st = weft__train_read_sums(session);
    if (st) return st;
    *logs = t->names;
    for (uint32_t i = 0; i < logs->n; i++)
        logs->value[i] = t->read[t->count[i]] > 0 ? t->read[i] / t->read[t->count[i]] : 0;
    return WEFT_OK;
}

/* ---- learning rate ---- */

static weft_status rate_of(const weft_session *session, weft__variable **rate)
{
    weft__trainer *t;
    weft_status st = weft__trainer_of(session, "learning rate", &t);
    if (st) return st;
    *rate = t->optimizer.rate;
    return t->has_optimizer ? WEFT_OK
                            : weft_fail(WEFT_E_ARG, "learning rate: the session is compiled "
                                                    "without an optimizer");
}

weft_status weft_session_learning_rate(const weft_session *session, double *rate)
{
    weft__variable *variable;
    float value;
    weft_status st = rate_of(session, &variable);
    if (!st && !rate)
        st = weft_fail(WEFT_E_ARG, "weft_session_learning_rate: nowhere to put the rate; pass a "
                                   "pointer");
    if (!st) st = weft__variable_read(variable, &value);
    if (!st) *rate = (double)value;
    return st;
}

weft_status weft_session_set_learning_rate(weft_session *session, double rate)
{
    weft__variable *variable;
    float value = (float)rate;
    weft_status st = rate_of(session, &variable);
    if (st) return st;
    if (!(rate >= 0) || rate > 1e30)
        return weft_fail(WEFT_E_ARG, "learning rate %g: it must be 0 or more", rate);
    pthread_mutex_lock(&session->lock);
    st = weft__devices_set(session->devices, variable, &value);
    session->devices->own++;
    pthread_mutex_unlock(&session->lock);
    return st;
}
