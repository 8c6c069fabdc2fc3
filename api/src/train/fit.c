/* Whole fits and evaluations: epochs of batches, the validation between them, Keras's lines. What a
 * batch does is step.c's. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "base/fail.h"
#include "plan/inputs.h"
#include "train/batches.h"
#include "train/progress.h"
#include "train/trainer.h"

typedef struct fit {
    weft_session *session;
    weft_fit_options options; /* defaults filled in */
    weft__batches train, validation;
    int validates;
    weft__progress progress;
    weft_logs logs; /* of the last complete epoch: training, then validation */
} fit;

typedef struct pass { /* once over all batches */
    weft_session *session;
    weft__batches *batches;
    int train;
    weft__progress *progress;          /* NULL: nothing is drawn */
    const volatile sig_atomic_t *stop; /* NULL: goes on to the end */
} pass;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int stopped(const volatile sig_atomic_t *stop)
{
    return stop && *stop;
}

/* logs: the means of all batches, or of those before it was stopped. */
static weft_status run_pass(const pass *p, weft_logs *logs)
{
    const weft_data *batch;
    weft_status st = weft__train_reset(p->session);
    for (uint64_t n = 1; !st && !stopped(p->stop) && (batch = weft__batches_next(p->batches));
         n++) {
        if ((st = weft__train_run(p->session, batch, p->train))) break;
        if (n % WEFT__SUMS_UNREAD == 0 && (st = weft__train_read_sums(p->session))) break;
        if (!p->progress || !weft__progress_step(p->progress, seconds())) continue;
        if (!(st = weft__train_logs(p->session, logs)))
            weft__progress_draw(p->progress, logs, seconds());
    }
    return st ? st : weft__train_logs(p->session, logs);
}

weft_status weft_session_evaluate(weft_session *session, const weft_data *data, uint64_t batch_size,
                                  weft_logs *logs)
{
    weft__batches batches = { .data = data, .batch_size = batch_size };
    weft_status st;
    if (!session || !data || !logs)
        return weft_fail(WEFT_E_ARG,
                         "weft_session_evaluate needs a session, data, and somewhere to put the "
                         "logs");
    st = weft__samples_check(session, data, "evaluate", &batches.batch_size, &batches.n);
    if (st) return st;
    if ((st = weft__batches_init(&batches))) return st;
    weft__batches_start(&batches, 0, 0);
    st = run_pass(&(pass){ .session = session, .batches = &batches }, logs);
    weft__batches_finish(&batches);
    return st;
}

static weft_status check_options(const weft_fit_options *o)
{
    if (!(o->validation_split >= 0 && o->validation_split < 1))
        return weft_fail(WEFT_E_ARG,
                         "fit: validation_split is %g; give the part of the samples that only "
                         "validates, from 0 to below 1",
                         o->validation_split);
    if (o->validation && o->validation_split > 0)
        return weft_fail(WEFT_E_ARG,
                         "fit: a validation_split of %g, and samples for the validation; give one "
                         "of the two",
                         o->validation_split);
    return WEFT_OK;
}

/* Logs of the validation stand behind those of the training. */
static weft_status check_logs(const fit *f)
{
    weft_logs names;
    weft__train_names(f->session, &names);
    if (!f->validates || names.n <= WEFT_MAX_LOGS / 2) return WEFT_OK;
    return weft_fail(WEFT_E_ARG,
                     "fit: %" PRIu32 " losses and metrics, and as many of the validation, are more "
                     "than %d; leave metrics out, or validate by weft_session_evaluate",
                     names.n, WEFT_MAX_LOGS);
}

/* Which samples train, and which validate. */
static weft_status choose_samples(fit *f, const weft_data *data)
{
    const weft_fit_options *o = &f->options;
    weft__batches *t = &f->train, *v = &f->validation;
    t->batch_size = o->batch_size;
    weft_status st = weft__samples_check(f->session, data, "fit", &t->batch_size, &t->n);
    if (st) return st;
    t->data = v->data = data;
    v->batch_size = t->batch_size;
    t->shuffle = !o->keep_order;
    f->validates = o->validation || o->validation_split > 0;
    if (o->validation) {
        v->data = o->validation;
        return weft__samples_check(f->session, o->validation, "fit: validation", &v->batch_size,
                                   &v->n);
    }
    if (!f->validates) return WEFT_OK;
    v->first = weft__batches_split(t->n, o->validation_split);
    v->n = t->n - v->first;
    if (v->first && v->n) {
        t->n = v->first;
        return weft__whole_batches(f->session->model, "fit: what the validation_split leaves",
                                   t->n);
    }
    return weft_fail(WEFT_E_ARG,
                     "fit: a validation_split of %g leaves none of %" PRIu64
                     " samples to %s; give more samples or another split",
                     o->validation_split, t->n, v->n ? "train with" : "validate with");
}

static void add_validation(weft_logs *logs, const weft_logs *validation)
{
    for (uint32_t i = 0; i < validation->n && logs->n < WEFT_MAX_LOGS; i++, logs->n++) {
        /* compile leaves room for the four characters */
        snprintf(logs->name[logs->n], sizeof *logs->name, "val_%.59s", validation->name[i]);
        logs->value[logs->n] = validation->value[i];
    }
}

/* What the caller's function says of an epoch: a failure has a text in any case. */
static weft_status call_back(const fit *f, uint32_t number, double duration, int *stop)
{
    const weft_fit_options *o = &f->options;
    weft_epoch epoch = { number, o->epochs, &f->logs, duration, 0 };
    if (!o->on_epoch) return WEFT_OK;
    uint64_t before = weft__fail_count();
    weft_status st = o->on_epoch(o->user, &epoch);
    *stop = epoch.stop;
    if (!st || weft__fail_count() != before) return st;
    return weft_fail(st, "fit: on_epoch ended it after epoch %" PRIu32 ": %s", number,
                     weft_status_name(st));
}

static weft_status run_epoch(fit *f, uint32_t number, int *stop)
{
    const weft_fit_options *o = &f->options;
    double start = seconds();
    weft_logs logs, validation;
    weft_status st;
    weft__progress_epoch(&f->progress, number, start);
    if (number == 1) weft__progress_wait(&f->progress, "compiling ..");
    weft__batches_start(&f->train, o->seed, number);
    st = run_pass(&(pass){ f->session, &f->train, 1, &f->progress, o->stop }, &logs);
    if (st) return st;
    if (f->validates && !stopped(o->stop)) {
        weft__progress_draw(&f->progress, &logs, seconds());
        weft__batches_start(&f->validation, 0, 0);
        st = run_pass(&(pass){ f->session, &f->validation, 0, NULL, o->stop }, &validation);
        if (st) return st;
        add_validation(&logs, &validation);
    }
    if ((*stop = stopped(o->stop))) return WEFT_OK;
    f->logs = logs;
    double end = seconds();
    weft__progress_end(&f->progress, &f->logs, end);
    return call_back(f, number, end - start, stop);
}

static weft_status run_epochs(fit *f)
{
    weft_status st = WEFT_OK;
    int stop = 0;
    weft__progress_init(&f->progress, f->options.progress, f->options.epochs,
                        weft__batches_count(&f->train));
    for (uint32_t i = 0; i < f->options.epochs && !st && !stop && !stopped(f->options.stop); i++)
        st = run_epoch(f, i + 1, &stop);
    weft__progress_finish(&f->progress);
    return st;
}

weft_status weft_session_fit(weft_session *session, const weft_data *data,
                             const weft_fit_options *options, weft_logs *logs)
{
    fit f = { .session = session };
    weft_status st;
    if (!session || !data)
        return weft_fail(WEFT_E_ARG, "weft_session_fit needs a session and data");
    if (options) f.options = *options;
    if (!f.options.epochs) f.options.epochs = 1;
    if ((st = check_options(&f.options)) || (st = choose_samples(&f, data))) return st;
    if ((st = check_logs(&f)) || (st = weft__batches_init(&f.train))) return st;
    if (f.validates && (st = weft__batches_init(&f.validation))) goto out;
    if (!(st = run_epochs(&f)) && logs) *logs = f.logs;
out:
    weft__batches_finish(&f.train);
    weft__batches_finish(&f.validation);
    return st;
}
