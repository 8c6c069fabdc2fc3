/* Compiling a session for training: from attribute text to losses, metrics, an optimizer with its
 * variables, and the model's weights as one flat array. */
#include <math.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "train/trainer.h"

/* what: "optimizer", for the error of a value that is none. */
static weft_status named_of(const weft__value *value, const char *what, weft__named *named)
{
    *named = (weft__named){ value->s, NULL };
    if (value->kind == WEFT__CALL) named->args = value->args;
    if (value->kind == WEFT__WORD || value->kind == WEFT__STRING || value->kind == WEFT__CALL)
        return WEFT_OK;
    return weft_fail(WEFT_E_ATTR, "%s: a name is needed, or Name(attributes)", what);
}

static void trainer_destroy(weft__trainer **trainer)
{
    weft__trainer *t = *trainer;
    if (!t) return;
    for (uint32_t i = 0; i < t->n_goals; i++)
        weft__free(t->goal[i].metric);
    weft__free(t->goal);
    weft__pack_destroy(&t->pack);
    weft__slots_destroy(&t->slots);
    weft__free(t);
    *trainer = NULL;
}

weft_status weft__trainer_of(const weft_session *session, const char *call, weft__trainer **trainer)
{
    if (!session) return weft_fail(WEFT_E_ARG, "%s: session is NULL", call);
    *trainer = session->trainer;
    if (*trainer) return WEFT_OK;
    return weft_fail(WEFT_E_ARG,
                     "%s: the session is not compiled; call weft_session_compile(session, "
                     "\"optimizer=adam loss=mse\") first",
                     call);
}

/* Item i of a list; a value that is no list serves for every i. */
static const weft__value *item(const weft__value *value, size_t i)
{
    return value->kind == WEFT__LIST ? &value->item[i] : value;
}

static size_t items(const weft__value *value)
{
    return value->kind == WEFT__LIST ? value->n_items : 1;
}

static weft_status check_known(const weft__attrs *attrs)
{
    static const char *const known[] = { "optimizer", "loss", "loss_weights", "metrics" };
    for (size_t i = 0; i < attrs->n; i++) {
        size_t k = 0;
        while (k < 4 && strcmp(known[k], attrs->attr[i].name) != 0)
            k++;
        if (k == 4)
            return weft_fail(WEFT_E_ATTR,
                             "compile: there is no attribute \"%.60s\"; there are optimizer, loss, "
                             "loss_weights, metrics",
                             attrs->attr[i].name);
    }
    return WEFT_OK;
}

/* Those of output i of n, a list or one; NULL: it has none. A list of lists has one for each
 * output; what else there is holds for all. */
static weft_status metrics_of(const weft__attrs *attrs, uint32_t i, uint32_t n,
                              const weft__value **metrics)
{
    const weft__value *all = weft__attrs_get(attrs, "metrics");
    size_t lists = 0;
    *metrics = all && all->kind != WEFT__NONE ? all : NULL;
    for (size_t k = 0; *metrics && all->kind == WEFT__LIST && k < items(all); k++)
        lists += item(all, k)->kind == WEFT__LIST;
    if (!lists) return WEFT_OK;
    *metrics = item(all, i);
    if (lists == n && items(all) == n) return WEFT_OK;
    return weft_fail(WEFT_E_ATTR,
                     "metrics has %zu lists and %zu other items, the model %u output%s; give a "
                     "list for each, or names for all",
                     lists, items(all) - lists, (unsigned)n, n == 1 ? "" : "s");
}

static weft_status read_metrics(weft__output_goal *goal, const weft__value *metrics)
{
    size_t n = metrics ? items(metrics) : 0;
    weft_status st = WEFT_OK;
    if (!(goal->metric = weft__alloc_n(n, sizeof *goal->metric))) return WEFT_E_NOMEM;
    for (size_t i = 0; i < n && !st; i++) {
        weft__named named;
        if ((st = named_of(item(metrics, i), "metrics", &named))) break;
        if (named.args && named.args->n) {
            st = weft_fail(WEFT_E_ATTR, "metric \"%.60s\" has no attribute \"%.60s\"; it has none",
                           named.name, named.args->attr[0].name);
            break;
        }
        st = weft__metric_make(named.name, &goal->output, weft__loss_sparse(&goal->loss),
                               &goal->metric[goal->n_metrics++]);
    }
    return st;
}

static weft_status read_weight(const weft__attrs *attrs, uint32_t i, uint32_t n, double *weight)
{
    const weft__value *weights = weft__attrs_get(attrs, "loss_weights");
    if (!weights || weights->kind == WEFT__NONE) return WEFT_OK;
    if (items(weights) != n)
        return weft_fail(WEFT_E_ATTR,
                         "loss_weights has %zu numbers, the model %u output%s; give one for each",
                         items(weights), (unsigned)n, n == 1 ? "" : "s");
    const weft__value *value = item(weights, i);
    if (value->kind != WEFT__INT && value->kind != WEFT__FLOAT)
        return weft_fail(WEFT_E_ATTR, "loss_weights: numbers are needed");
    *weight = value->kind == WEFT__INT ? (double)value->i : value->f;
    if (isfinite(*weight)) return WEFT_OK;
    return weft_fail(WEFT_E_ATTR, "loss_weights: finite numbers are needed, not %s",
                     isnan(*weight) ? "nan" : "inf");
}

static weft_status read_goal(const weft_model *model, const weft__attrs *attrs, weft__trainer *t,
                             uint32_t i)
{
    const weft__value *losses = weft__attrs_get(attrs, "loss"), *metrics;
    weft__output_goal *goal = &t->goal[i];
    const char *name;
    weft__named named;
    weft_spec target;
    weft_status st = weft_model_output(model, i, &name, &goal->output);
    size_t where = weft__where_push("output \"%s\"", name ? name : "?");
    if (!st && item(losses, i)->kind == WEFT__NONE)
        st = weft_fail(WEFT_E_UNSUPPORTED, "an output without a loss is not supported yet; give it "
                                           "one, with 0 among the loss_weights");
    if (!st) st = named_of(item(losses, i), "loss", &named);
    if (!st) st = weft__loss_make(&named, &goal->loss);
    if (!st) st = weft__loss_target(&goal->loss, &goal->output, &target);
    goal->masked = !st && weft__model_masks(model, i);
    if (!st) st = read_weight(attrs, i, t->n_goals, &goal->loss.weight);
    if (!st) st = metrics_of(attrs, i, t->n_goals, &metrics);
    if (!st) st = read_metrics(goal, metrics);
    weft__where_pop(where);
    return st;
}

static weft_status read_goals(const weft_model *model, const weft__attrs *attrs, weft__trainer *t)
{
    const weft__value *losses = weft__attrs_get(attrs, "loss");
    uint32_t n = weft_model_n_outputs(model);
    weft_status st = WEFT_OK;
    if (!losses || losses->kind == WEFT__NONE)
        return weft_fail(WEFT_E_ATTR, "compile: a loss is needed: loss=mse, loss=binary_"
                                      "crossentropy ..");
    if (losses->kind == WEFT__LIST && losses->n_items != n)
        return weft_fail(WEFT_E_ATTR,
                         "compile: %zu losses for %u output%s; give one, or one for each output",
                         losses->n_items, (unsigned)n, n == 1 ? "" : "s");
    if (!(t->goal = weft__alloc_n(n, sizeof *t->goal))) return WEFT_E_NOMEM;
    t->n_goals = n;
    for (uint32_t i = 0; i < n && !st; i++)
        st = read_goal(model, attrs, t, i);
    return st;
}

/* "<output>_<name>", which fits also behind "val_": the long name of an output is cut, and its
 * number i says which one it is. */
static void make_name(char *to, const char *output, uint32_t i, const char *name)
{
    const size_t most = sizeof((weft_logs *)0)->name[0] - strlen("val_") - 1;
    char tail[80];
    size_t keep = strlen(output);
    snprintf(tail, sizeof tail, "_%s", name);
    if (keep + strlen(tail) > most) {
        snprintf(tail, sizeof tail, "..%u_%s", (unsigned)i, name);
        keep = most - strlen(tail);
        while (keep && ((unsigned char)output[keep] & 0xc0) == 0x80)
            keep--; /* no half of a character */
    }
    sprintf(to, "%.*s%s", (int)keep, output, tail);
}

/* output NULL: the name alone. */
static weft_status add_name(weft_logs *logs, const char *output, uint32_t i, const char *name)
{
    if (logs->n >= WEFT_MAX_LOGS)
        return weft_fail(WEFT_E_UNSUPPORTED, "compile: more than %d losses and metrics",
                         WEFT_MAX_LOGS);
    char *to = logs->name[logs->n];
    if (output)
        make_name(to, output, i, name);
    else
        snprintf(to, sizeof logs->name[0], "%s", name);
    for (uint32_t k = 0; k < logs->n; k++)
        if (!strcmp(logs->name[k], to))
            return weft_fail(WEFT_E_ATTR,
                             "compile: \"%s\" would stand twice among the results; give a metric "
                             "once, and each output a name of its own",
                             to);
    logs->n++;
    return WEFT_OK;
}

/* Keras's names: an output's name in front if there are several. */
static weft_status make_names(const weft_model *model, weft__trainer *t)
{
    weft_status st = add_name(&t->names, NULL, 0, "loss");
    int several = t->n_goals > 1;
    for (uint32_t i = 0; i < t->n_goals && several && !st; i++) {
        const char *name = "";
        if (!(st = weft_model_output(model, i, &name, NULL)))
            st = add_name(&t->names, name, i, "loss");
    }
    for (uint32_t i = 0; i < t->n_goals && !st; i++) {
        const char *name = "";
        st = weft_model_output(model, i, &name, NULL);
        for (uint32_t k = 0; k < t->goal[i].n_metrics && !st; k++)
            st = add_name(&t->names, several ? name : NULL, i, t->goal[i].metric[k].name);
    }
    return st;
}

/* Losses are means over samples; metrics over what the output's mask leaves of them. */
static void make_counts(weft__trainer *t)
{
    uint32_t n = 1 + (t->n_goals > 1 ? t->n_goals : 0), samples = t->names.n;
    t->n_sums = samples + 1;
    for (uint32_t k = 0; k < n; k++)
        t->count[k] = samples;
    for (uint32_t i = 0; i < t->n_goals; i++) {
        t->goal[i].count = t->goal[i].masked ? t->n_sums++ : samples;
        for (uint32_t k = 0; k < t->goal[i].n_metrics; k++)
            t->count[n++] = t->goal[i].count;
    }
}

static weft_status make_variables(const weft_model *model, weft__trainer *t)
{
    const weft_spec sums = { WEFT_F32, 1, { t->n_sums } };
    weft_status st;
    if ((st = weft__slots_create(&t->slots))) return st;
    if ((st = weft__slots_add(t->slots, "sums", &sums, "zeros", &t->sums))) return st;
    if (!t->has_optimizer) return WEFT_OK;
    if ((st = weft__pack_create(model, t->slots, &t->pack))) return st;
    return weft__optimizer_slots(&t->optimizer, t->slots, t->pack->flat->spec.dim[0]);
}

static weft_status make(const weft_model *model, const weft__attrs *attrs, weft__trainer *t)
{
    const weft__value *optimizer = weft__attrs_get(attrs, "optimizer");
    weft__named named;
    weft_status st;
    if ((st = check_known(attrs))) return st;
    if (optimizer && optimizer->kind != WEFT__NONE) {
        if ((st = named_of(optimizer, "optimizer", &named))) return st;
        if ((st = weft__optimizer_make(&named, &t->optimizer))) return st;
        t->has_optimizer = 1;
    }
    if ((st = weft__model_check_applied(model, t->has_optimizer))) return st;
    if ((st = read_goals(model, attrs, t)) || (st = make_names(model, t))) return st;
    make_counts(t);
    return make_variables(model, t);
}

static void drop(weft_session *session)
{
    trainer_destroy(&session->trainer);
}

/* Plans and copies of the old trainer's variables go first. */
static void install(weft_session *session, weft__trainer *trainer)
{
    weft__model_keep_frozen(session->model);
    pthread_mutex_lock(&session->lock);
    weft__session_drop_plans(session);
    weft__devices_drop_copies(session->devices);
    trainer_destroy(&session->trainer);
    session->trainer = trainer;
    session->make_graph = weft__train_graph;
    session->drop_trainer = drop;
    session->devices->pack = trainer->pack;
    pthread_mutex_unlock(&session->lock);
}

weft_status weft_session_compile(weft_session *session, const char *text)
{
    weft__attrs *attrs = NULL;
    weft__trainer *trainer = NULL;
    weft_status st;
    if (!session) return weft_fail(WEFT_E_ARG, "weft_session_compile: session is NULL");
    if ((st = weft__attrs_parse(text, &attrs))) return st;
    if (!(trainer = weft__alloc(sizeof *trainer))) {
        st = WEFT_E_NOMEM;
        goto out;
    }
    if ((st = make(session->model, attrs, trainer))) goto out;
    if ((st = weft__session_hold(session))) goto out;
    if ((st = weft__session_pull(session))) goto out;
    install(session, trainer);
    trainer = NULL;
out:
    trainer_destroy(&trainer);
    weft__attrs_destroy(&attrs);
    return st;
}
