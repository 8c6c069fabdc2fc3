/* Any number of samples in batches: slices of the caller's arrays go in, slices of the results
 * come out; no sample is copied on the way. */
#include "plan/session.h"
#include <inttypes.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "plan/inputs.h"

typedef struct cutting {
    weft_session *session;
    weft__plan *plan;
    const weft_array *const *inputs;
    uint32_t n_inputs;
    weft_array **outputs;
    uint32_t n_outputs;
    weft_array *part; /* n_inputs, then n_outputs */
    const weft_array **in;
    weft_array **out;
} cutting;

/* Samples [first, first + n) of whole, whose symbolic spec says how many rows a sample is. */
static void cut(const weft_array *whole, const weft_spec *symbolic, uint64_t first, uint64_t n,
                weft_array *part)
{
    *part = *whole;
    if (!symbolic->rank || symbolic->dim[0] >= 0) return;
    uint64_t rows = (uint64_t)-symbolic->dim[0], row = weft_dtype_size(whole->spec.dtype);
    for (int32_t i = 1; i < whole->spec.rank; i++)
        row *= (uint64_t)whole->spec.dim[i];
    part->spec.dim[0] = (int64_t)(n * rows);
    if (whole->data) part->data = (char *)whole->data + first * rows * row;
}

static weft_status run_part(cutting *c, uint64_t first, uint64_t n)
{
    const weft__graph *graph = c->plan->graph;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        cut(c->inputs[i], &graph->value[graph->input[i].value].spec, first, n, &c->part[i]);
        c->in[i] = &c->part[i];
    }
    for (uint32_t i = 0; i < c->n_outputs; i++) {
        weft_array *part = &c->part[c->n_inputs + i];
        cut(c->outputs[i], &graph->value[graph->output[i].value].spec, first, n, part);
        c->out[i] = part;
    }
    return weft_session_run(c->session, c->in, c->n_inputs, c->out, c->n_outputs);
}

/* Can all samples not go in one batch, every input and output must be cut along its first axis. */
static weft_status check_cuts(const weft__plan *plan, uint64_t batch_size)
{
    const weft__graph *graph = plan->graph;
    for (size_t i = 0; i < graph->n_inputs + graph->n_outputs; i++) {
        int input = i < graph->n_inputs;
        const weft__port *port = input ? &graph->input[i] : &graph->output[i - graph->n_inputs];
        const weft_spec *spec = &graph->value[port->value].spec;
        int inner = 0;
        for (int32_t k = 1; k < spec->rank; k++)
            inner |= spec->dim[k] < 0;
        if (!inner && (input || (spec->rank && spec->dim[0] < 0))) continue;
        return weft_fail(WEFT_E_SHAPE,
                         "%s \"%s\" cannot be cut into batches of %" PRIu64
                         ": its first dimension is not "
                         "the batch; run all samples as one batch",
                         input ? "input" : "output", port->name, batch_size);
    }
    return WEFT_OK;
}

static weft_status run_parts(cutting *c, uint64_t total, uint64_t batch_size,
                             weft_progress_fn progress, void *user)
{
    weft_status st = WEFT_OK;
    for (uint64_t done = 0, n; done < total && !st; done += n) {
        n = total - done < batch_size ? total - done : batch_size;
        st = run_part(c, done, n);
        if (!st && progress) progress(user, done + n, total);
    }
    return st;
}

/* Makes the outputs that the caller left open; made[i] says which. */
static weft_status make_outputs(const weft__plan *plan, weft_array **outputs, int64_t total,
                                unsigned char *made)
{
    const weft__graph *graph = plan->graph;
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < graph->n_outputs && !st; i++) {
        weft_spec spec = weft__spec_at(&graph->value[graph->output[i].value].spec, total);
        if (outputs[i]) continue;
        st = weft__array_create_raw(&spec, &outputs[i]);
        made[i] = !st;
    }
    return st;
}

weft_status weft_session_predict(weft_session *session, const weft_array *const *inputs,
                                 uint32_t n_inputs, weft_array **outputs, uint32_t n_outputs,
                                 uint64_t batch_size, weft_progress_fn progress, void *user)
{
    cutting c = { session, NULL, inputs, n_inputs, outputs, n_outputs, NULL, NULL, NULL };
    unsigned char *made = NULL;
    int64_t total;
    weft_status st;
    if (!batch_size)
        return weft_fail(WEFT_E_ARG, "predict: a batch size of 0; give 1 or more, 32 is usual");
    if ((st = weft__session_resolve(session, inputs, n_inputs, &c.plan, &total))) return st;
    if (!outputs && n_outputs)
        return weft_fail(WEFT_E_ARG, "weft_session_predict: outputs is NULL, not %u array%s",
                         n_outputs, n_outputs == 1 ? "" : "s");
    if ((st = weft__outputs_check(c.plan, outputs, n_outputs, total))) return st;
    if ((uint64_t)total <= batch_size) {
        st = weft_session_run(session, inputs, n_inputs, outputs, n_outputs);
        if (!st && progress) progress(user, (uint64_t)total, (uint64_t)total);
        return st;
    }
    if ((st = check_cuts(c.plan, batch_size))) return st;
    st = WEFT_E_NOMEM;
    if (!(made = weft__alloc(n_outputs))) goto out;
    if (!(c.part = weft__alloc_n((size_t)n_inputs + n_outputs, sizeof *c.part))) goto out;
    if (!(c.in = weft__alloc_n(n_inputs, sizeof *c.in))) goto out;
    if (!(c.out = weft__alloc_n(n_outputs, sizeof *c.out))) goto out;
    if (!(st = make_outputs(c.plan, outputs, total, made)))
        st = run_parts(&c, (uint64_t)total, batch_size, progress, user);
    for (uint32_t i = 0; i < n_outputs && st; i++)
        if (made[i]) weft_array_destroy(&outputs[i]);
out:
    weft__free(made);
    weft__free(c.part);
    weft__free(c.in);
    weft__free(c.out);
    return st;
}
