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
    uint64_t fixed;   /* rows of a batch, if the model fixes them: then that is one sample here */
    weft_array *part; /* n_inputs, then n_outputs */
    const weft_array **in;
    weft_array **out;
} cutting;

/* Rows of a sample in an array of that symbolic spec; 0: it has no samples to cut. */
static uint64_t rows_of(const cutting *c, const weft_spec *symbolic)
{
    if (c->fixed) return c->fixed;
    return symbolic->rank && symbolic->dim[0] < 0 ? (uint64_t)-symbolic->dim[0] : 0;
}

/* Samples [first, first + n) of whole. */
static void cut(const weft_array *whole, uint64_t rows, uint64_t first, uint64_t n,
                weft_array *part)
{
    *part = *whole;
    if (!rows) return;
    uint64_t row = weft_dtype_size(whole->spec.dtype);
    for (int32_t i = 1; i < whole->spec.rank; i++)
        row *= (uint64_t)whole->spec.dim[i];
    part->spec.dim[0] = (int64_t)(n * rows);
    if (whole->data) part->data = (char *)whole->data + first * rows * row;
}

static weft_status run_part(cutting *c, uint64_t first, uint64_t n)
{
    const weft__graph *graph = c->plan->graph;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        const weft_spec *spec = &graph->value[graph->input[i].value].spec;
        cut(c->inputs[i], rows_of(c, spec), first, n, &c->part[i]);
        c->in[i] = &c->part[i];
    }
    for (uint32_t i = 0; i < c->n_outputs; i++) {
        weft_array *part = &c->part[c->n_inputs + i];
        cut(c->outputs[i], rows_of(c, &graph->value[graph->output[i].value].spec), first, n, part);
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
    uint64_t unit = c->fixed ? c->fixed : 1;
    weft_status st = WEFT_OK;
    for (uint64_t done = 0, n; done < total && !st; done += n) {
        n = total - done < batch_size ? total - done : batch_size;
        st = run_part(c, done, n);
        if (!st && progress) progress(user, (done + n) * unit, total * unit);
    }
    return st;
}

/* Makes the outputs that the caller left open; made[i] says which. */
static weft_status make_outputs(const cutting *c, int64_t total, unsigned char *made)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < c->n_outputs && !st; i++) {
        weft_spec spec = weft__output_spec(c->plan, i, total, c->fixed ? total : 1);
        if (c->outputs[i]) continue;
        st = weft__array_create_raw(&spec, &c->outputs[i]);
        made[i] = !st;
    }
    return st;
}

static weft_status open_cutting(cutting *c)
{
    if (!(c->part = weft__alloc_n((size_t)c->n_inputs + c->n_outputs, sizeof *c->part)))
        return WEFT_E_NOMEM;
    if (!(c->in = weft__alloc_n(c->n_inputs, sizeof *c->in))) return WEFT_E_NOMEM;
    return (c->out = weft__alloc_n(c->n_outputs, sizeof *c->out)) ? WEFT_OK : WEFT_E_NOMEM;
}

static void close_cutting(cutting *c)
{
    weft__free(c->part);
    weft__free(c->in);
    weft__free(c->out);
}

/* Rows of the inputs if they are several of the batches that the model fixes, or are no whole
 * number of them; else 0, and all is as in a run. */
static uint64_t rows_to_cut(const cutting *c, uint64_t fixed)
{
    int64_t rows = -1;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        const weft_array *in = c->inputs[i];
        if (!in || in->spec.rank < 1 || in->spec.rank > WEFT_MAX_RANK) return 0;
        if (i && in->spec.dim[0] != rows) return 0;
        rows = in->spec.dim[0];
    }
    return rows > 0 && (uint64_t)rows != fixed ? (uint64_t)rows : 0;
}

/* The plan, and *total samples. */
static weft_status resolve(cutting *c, int64_t *total)
{
    uint64_t fixed = 0, rows = 0;
    weft_status st;
    if (c->session && c->inputs && (fixed = weft__fixed_batch(c->session->model)))
        rows = rows_to_cut(c, fixed);
    if (!rows) return weft__session_resolve(c->session, c->inputs, c->n_inputs, &c->plan, total);
    if ((st = weft__whole_batches(c->session->model, "predict", rows))) return st;
    c->fixed = fixed;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        cut(c->inputs[i], fixed, 0, 1, &c->part[i]);
        c->in[i] = &c->part[i];
    }
    st = weft__session_resolve(c->session, c->in, c->n_inputs, &c->plan, total);
    *total = (int64_t)(rows / fixed);
    return st;
}

static weft_status predict(cutting *c, uint64_t batch_size, weft_progress_fn progress, void *user)
{
    unsigned char *made;
    int64_t total;
    weft_status st = resolve(c, &total);
    if (st) return st;
    if (!c->outputs && c->n_outputs)
        return weft_fail(WEFT_E_ARG, "weft_session_predict: outputs is NULL, not %u array%s",
                         c->n_outputs, c->n_outputs == 1 ? "" : "s");
    if (c->fixed) batch_size = 1;
    if ((st = weft__outputs_check(c->plan, c->outputs, c->n_outputs, total, c->fixed ? total : 1)))
        return st;
    if (!c->fixed && (uint64_t)total <= batch_size) {
        st = weft_session_run(c->session, c->inputs, c->n_inputs, c->outputs, c->n_outputs);
        if (!st && progress) progress(user, (uint64_t)total, (uint64_t)total);
        return st;
    }
    if (!c->fixed && (st = check_cuts(c->plan, batch_size))) return st;
    if (!(made = weft__alloc(c->n_outputs))) return WEFT_E_NOMEM;
    if (!(st = make_outputs(c, total, made)))
        st = run_parts(c, (uint64_t)total, batch_size, progress, user);
    for (uint32_t i = 0; i < c->n_outputs && st; i++)
        if (made[i]) weft_array_destroy(&c->outputs[i]);
    weft__free(made);
    return st;
}

weft_status weft_session_predict(weft_session *session, const weft_array *const *inputs,
                                 uint32_t n_inputs, weft_array **outputs, uint32_t n_outputs,
                                 uint64_t batch_size, weft_progress_fn progress, void *user)
{
    cutting c = { .session = session,
                  .inputs = inputs,
                  .n_inputs = n_inputs,
                  .outputs = outputs,
                  .n_outputs = n_outputs };
    weft_status st;
    if (!batch_size)
        return weft_fail(WEFT_E_ARG, "predict: a batch size of 0; give 1 or more, 32 is usual");
    if (!(st = open_cutting(&c))) st = predict(&c, batch_size, progress, user);
    close_cutting(&c);
    return st;
}
