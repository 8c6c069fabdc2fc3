/* The graph of a training step: the model in training, its weights as one flat array, the losses,
 * the sums of the logs, the gradient, the optimizer. That of an evaluation is the same without the
 * last two. */
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/gradient.h"
#include "train/trainer.h"

typedef struct making {
    const weft_session *session;
    const weft__trainer *trainer;
    const weft_spec *targets; /* specs, behind those of the model's inputs */
    weft__graph *graph;
    weft_val *kept; /* the outputs' masks, or WEFT_NONE; then what layers add to the loss */
    size_t n_kept;
    weft_val *share; /* of each output with a mask: the mean of its weights */
    weft_val loss;
    weft_val log[WEFT_MAX_LOGS];
    uint32_t n_logs;
} making;

static void advance(weft__graph **graph, weft__graph *next)
{
    weft__graph_destroy(graph);
    *graph = next;
}

static weft_val scaled(weft__build *b, weft_val x, double factor)
{
    return factor == 1 ? x : weft_mul(&b->base, x, weft_scalar(&b->base, factor));
}

/* A dimension that the model does not know (WEFT_ANY) must be the output's in the targets, too: it
 * would broadcast. */
static weft_status check_targets(const making *m, uint32_t i)
{
    const weft_spec *have = &m->targets[i];
    weft__shape_text a, b;
    weft_spec want;
    weft_status st = weft__loss_target(
        &m->trainer->goal[i].loss, weft__graph_spec(m->graph, m->graph->output[i].value), &want);
    if (st || weft__spec_equal(have, &want)) return st;
    return weft_fail(WEFT_E_SHAPE, "the targets have the shape %s, the output needs %s",
                     weft__shape_show(have, &a), weft__shape_show(&want, &b));
}

/* Loss and metrics of one output. *loss: its part of the whole. */
static weft_status build_goal(making *m, uint32_t i, weft_val *loss)
{
    const weft__output_goal *goal = &m->trainer->goal[i];
    const weft__port *output = &m->graph->output[i];
    weft__build b = { 0 };
    char what[96];
    snprintf(what, sizeof what, "loss of output %.60s", output->name);
    weft__build_setup setup = { .graph = m->graph, .path = what, .what = what };
    weft__judged of = { weft__graph_input(m->graph, output->name, &m->targets[i]), output->value,
                        WEFT_NONE };
    weft_status st = of.y ? weft__build_init(&b, &setup) : WEFT_E_NOMEM;
    size_t where = weft__where_push("output \"%s\"", output->name);
    if (!st && goal->masked != (m->kept[i] != WEFT_NONE))
        st = weft_fail(WEFT_E_INTERNAL, "the output has a mask at times; this is a fault of the "
                                        "plugin: build() sets one always, or never");
    if (st || (st = check_targets(m, i)) ||
        (st = weft__mask_weights(&b, m->kept[i], of.p, &of.weights)))
        goto out;
    if (goal->masked) m->share[i] = weft__mean_all(&b, of.weights);
    weft_val plain = weft__loss_build(&b, &goal->loss, &of);
    *loss = scaled(&b, plain, goal->loss.weight);
    if (m->trainer->n_goals > 1) m->log[1 + i] = plain;
    for (uint32_t k = 0; k < goal->n_metrics && !b.status; k++)
        if (!(m->log[m->n_logs++] = weft__metric_build(&b, &goal->metric[k], &of)))
            st = WEFT_E_NOMEM;
    if (b.status) st = b.status;
    if (!st && !*loss) st = WEFT_E_NOMEM;
out:
    weft__where_pop(where);
    weft__build_finish(&b);
    return st;
}

/* The sum over outputs and of what layers add. */
static weft_status build_losses(making *m)
{
    weft_val whole = 0;
    weft_status st = WEFT_OK;
    /* the whole, the losses of several outputs, metrics: in the order of the trainer's names */
    m->n_logs = 1 + (m->trainer->n_goals > 1 ? m->trainer->n_goals : 0);
    for (uint32_t i = 0; i < m->n_kept && !st; i++) {
        weft_val part = m->kept[i];
        if (i < m->trainer->n_goals) st = build_goal(m, i, &part);
        weft_val both[] = { whole, part };
        if (!st && whole)
            part = weft__graph_op(
                m->graph,
                &(weft__op_request){ .name = "add", .path = "loss", .in = both, .n_in = 2 });
        if (!st && !part) st = WEFT_E_NOMEM;
        whole = part;
    }
    m->loss = m->log[0] = whole;
    return st;
}

/* The number of samples, as a scalar: of the first input that has a batch. */
static weft_status build_samples(const making *m, weft_val *samples)
{
    weft_val x = m->graph->input[0].value;
    for (size_t i = m->graph->n_inputs; i-- > 0;) {
        const weft_spec *spec = weft__graph_spec(m->graph, m->graph->input[i].value);
        if (spec->rank && spec->dim[0] == WEFT_BATCH) x = m->graph->input[i].value;
    }
    *samples = weft__graph_op(
        m->graph,
        &(weft__op_request){
            .name = "count", .attrs = "axes=(0)", .path = "samples", .in = &x, .n_in = 1 });
    return *samples ? WEFT_OK : WEFT_E_NOMEM;
}

static weft_val times(weft_build *b, weft_val mean, weft_val samples)
{
    return weft_opf(b, "reshape", weft_mul(b, mean, samples), "shape=(1)");
}

/* sums = sums + (each log times the samples .., the samples, what each mask leaves of them ..) */
static weft_status build_sums(const making *m)
{
    weft__variable *sums = m->trainer->sums;
    weft__build build = { 0 };
    weft_build *b = &build.base;
    weft_val samples = 0, part[WEFT__MAX_SUMS];
    weft__build_setup setup = { .graph = m->graph, .path = "logs", .what = "logs" };
    weft_status st = build_samples(m, &samples);
    if (!st) st = weft__build_init(&build, &setup);
    if (st) return st;
    for (uint32_t i = 0; i < m->n_logs; i++)
        part[i] = times(b, m->log[i], samples);
    part[m->n_logs] = weft_opf(b, "reshape", samples, "shape=(1)");
    for (uint32_t i = 0; i < m->trainer->n_goals; i++)
        if (m->trainer->goal[i].masked)
            part[m->trainer->goal[i].count] = times(b, m->share[i], samples);
    weft_val all = b->api->op(b, "concat", "axis=0", part, m->trainer->n_sums, NULL, 0);
    weft_val before = weft__graph_variable(m->graph, sums, sums->path, &sums->spec);
    weft_val after = before ? weft_add(b, before, all) : 0;
    st = build.status;
    if (!st) st = after ? weft__graph_assign(m->graph, before, after) : WEFT_E_NOMEM;
    weft__build_finish(&build);
    return st;
}

/* Backward ops and the update of all weights. */
static weft_status build_training(making *m)
{
    weft__variable *flat = m->trainer->pack->flat;
    weft_val wrt = weft__graph_variable(m->graph, flat, flat->path, &flat->spec), gradient = 0;
    weft__gradient_request r = {
        .of = &m->loss, .wrt = &wrt, .n_of = 1, .n_wrt = 1, .grads = &gradient
    };
    weft__graph *ready = NULL;
    weft_status st = wrt ? weft__pass_differentiable(m->graph, &r, &ready) : WEFT_E_NOMEM;
    if (st) return st;
    advance(&m->graph, ready);
    if ((st = weft__gradient(m->graph, &r))) return st;
    return weft__optimizer_build(&m->trainer->optimizer, m->graph, wrt, gradient);
}

/* The graph of the model, and the values of it that the loss needs. */
static weft_status lower_model(making *m, const weft_spec *inputs, int training)
{
    size_t n = m->trainer->n_goals;
    weft__added added = { 0 };
    weft_val *masks = weft__alloc_n(n, sizeof *masks);
    weft__lower_request request = {
        .inputs = inputs, .training = training, .compiled = 1, .added = &added, .masks = masks
    };
    weft_status st = WEFT_E_NOMEM;
    if (!masks || (st = weft__model_lower(m->session->model, &request, &m->graph))) goto out;
    st = WEFT_E_NOMEM;
    m->n_kept = n + added.n;
    if (!(m->kept = weft__alloc_n(m->n_kept, sizeof *m->kept))) goto out;
    if (!(m->share = weft__alloc_n(n, sizeof *m->share))) goto out;
    for (size_t i = 0; i < m->n_kept; i++)
        m->kept[i] = i < n ? masks[i] : added.value[i - n];
    st = WEFT_OK;
out:
    weft__free(added.value);
    weft__free(masks);
    return st;
}

static weft_status lower(making *m, const weft_spec *inputs, int training)
{
    const weft__pack *pack = m->trainer->pack;
    weft__graph *packed = NULL;
    weft_status st = lower_model(m, inputs, training);
    if (st || !pack) return st;
    if ((st = weft__pack_apply(pack, m->graph, m->kept, m->n_kept, &packed))) return st;
    advance(&m->graph, packed);
    return WEFT_OK;
}

weft_status weft__train_graph(weft_session *session, weft__purpose purpose, const weft_spec *inputs,
                              weft__graph **graph)
{
    making m = { .session = session,
                 .trainer = session->trainer,
                 .targets = inputs + weft_model_n_inputs(session->model) };
    weft_status st = lower(&m, inputs, purpose == WEFT__TRAIN);
    if (!st) st = build_losses(&m);
    if (!st) st = build_sums(&m);
    if (!st) weft__graph_drop_outputs(m.graph);
    if (!st && purpose == WEFT__TRAIN) st = build_training(&m);
    if (!st) {
        *graph = m.graph;
        m.graph = NULL;
    }
    weft__graph_destroy(&m.graph);
    weft__free(m.kept);
    weft__free(m.share);
    return st;
}
