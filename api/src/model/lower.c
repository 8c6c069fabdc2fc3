/* Lowering: walks the calls that outputs need in the order in which Keras runs them, and runs each
 * layer's build() in one graph. Models inside are inlined; a shared layer finds its variables
 * again. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/trace.h"

/* The spec as a call had it when the model was built, and as it is now, where WEFT_ANY may have
 * become a number, and the batch another one. */
static int same_spec(const weft_spec *before, const weft_spec *now, int64_t batch)
{
    int same = before->dtype == now->dtype && before->rank == now->rank;
    for (int32_t i = 0; same && i < now->rank; i++) {
        int64_t dim = before->dim[i];
        if (dim < 0) dim = batch == WEFT_ANY ? WEFT_ANY : weft__dim_at(dim, batch);
        same = weft__dim_equal(dim, now->dim[i]);
    }
    return same;
}

/* build() must give what it gave when the model was built. */
static weft_status check_results(const weft__lowering *lowering, const weft_model *model,
                                 const weft__call *call, int64_t batch,
                                 const weft__results *results)
{
    if (results->n != call->n_out)
        return weft_fail(WEFT_E_INTERNAL,
                         "build() gave %u results where it gave %u before; this is a fault of the "
                         "plugin",
                         (unsigned)results->n, (unsigned)call->n_out);
    for (uint32_t i = 0; i < results->n; i++) {
        const weft_spec *before = &weft__tensor_at(model, call->first + i)->spec;
        const weft_spec *now = weft__graph_spec(lowering->graph, results->val[i]);
        weft__spec_text had, has;
        if (same_spec(before, now, batch)) continue;
        return weft_fail(WEFT_E_INTERNAL,
                         "build() gave result %u as %s, where it gave %s before; this is a fault "
                         "of the plugin",
                         (unsigned)i, weft__spec_show(now, &has), weft__spec_show(before, &had));
    }
    return WEFT_OK;
}

/* What the model's batch is in the graph: another one, or a number, for a model inside. WEFT_ANY:
 * there is none, or inputs have several. */
static int64_t batch_of(const weft__lowering *lowering, const weft__inline_request *request)
{
    int64_t batch = WEFT_ANY;
    for (size_t i = 0; i < request->model->n_inputs; i++) {
        const weft_spec *own = &weft__tensor_at(request->model, request->model->input[i])->spec;
        int64_t given = weft__graph_spec(lowering->graph, request->in[i])->dim[0];
        if (!own->rank || own->dim[0] != WEFT_BATCH) continue;
        if (batch != WEFT_ANY && given != batch) return WEFT_ANY;
        batch = given;
    }
    return batch;
}

/* vals[id]: the graph's value of each tensor of the model. */
static weft_status run_call(weft__lowering *lowering, const weft__inline_request *request,
                            const weft__call_ref *ref, int64_t batch, weft_val *vals)
{
    const weft__layer *layer = weft__layer_at(request->model, ref->layer);
    const weft__call *call = &layer->call[ref->call];
    weft__results results = { 0 };
    weft__text path = { 0 };
    weft_val *in = weft__alloc_n(call->n_in, sizeof *in);
    weft__text_add(&path, "%s%s", request->prefix, layer->name);
    weft_status st = in && !path.failed ? WEFT_OK : WEFT_E_NOMEM;
    if (st == WEFT_OK) {
        for (uint32_t i = 0; i < call->n_in; i++)
            in[i] = call->in[i] == WEFT_NONE ? WEFT_NONE : vals[call->in[i]];
        weft__run_request run = { .body = layer->body,
                                  .call = call,
                                  .path = path.s,
                                  .in = in,
                                  .n_in = call->n_in,
                                  .inference = call->inference,
                                  .depth = request->depth + 1 };
        size_t where =
            weft__where_push("layer \"%s\" (%s)", layer->name, weft__layer_class_name(layer));
        st = weft__run_body(lowering, &run, &results);
        if (st == WEFT_OK) st = check_results(lowering, request->model, call, batch, &results);
        weft__where_pop(where);
    }
    for (uint32_t i = 0; st == WEFT_OK && i < results.n; i++)
        vals[call->first + i] = results.val[i];
    weft__free(results.val);
    weft__free(in);
    weft__text_finish(&path);
    return st;
}

static weft_status run_constants(weft__lowering *lowering, const weft_model *model, weft_val *vals)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const weft__tensor *t = &model->tensor[i];
        if (t->kind != WEFT__T_CONST) continue;
        vals[i + 1] = weft__graph_constant(lowering->graph, &t->spec, t->data, 0);
        if (!vals[i + 1]) return WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

/* Specs that the model runs on: WEFT_ANY may have become a number, the batch anything. */
static weft_status check_inputs(const weft__lowering *lowering, const weft__inline_request *request)
{
    for (size_t i = 0; i < request->model->n_inputs; i++) {
        const weft__tensor *t = weft__tensor_at(request->model, request->model->input[i]);
        const weft_spec *given = weft__graph_spec(lowering->graph, request->in[i]);
        int same = t->spec.dtype == given->dtype && t->spec.rank == given->rank;
        for (int k = 0; same && k < given->rank; k++)
            same = weft__dim_equal(t->spec.dim[k], given->dim[k]) || t->spec.dim[k] == WEFT_BATCH;
        if (same) continue;
        weft__spec_text want, have;
        return weft_fail(WEFT_E_SHAPE, "input \"%s\" takes %s, it was given %s", t->name,
                         weft__spec_show(&t->spec, &want), weft__spec_show(given, &have));
    }
    return WEFT_OK;
}

weft_status weft__run_model(weft__lowering *lowering, const weft__inline_request *request,
                            weft__results *results)
{
    const weft_model *model = request->model;
    weft_val *vals = weft__alloc_n(model->n_tensors + 1, sizeof *vals);
    if (!vals) return WEFT_E_NOMEM;
    for (size_t i = 0; i < model->n_inputs; i++)
        vals[model->input[i]] = request->in[i];
    const int64_t batch = batch_of(lowering, request);
    weft_status st = check_inputs(lowering, request);
    if (st == WEFT_OK) st = run_constants(lowering, model, vals);
    for (size_t i = 0; i < model->n_run && st == WEFT_OK; i++)
        st = run_call(lowering, request, &model->call[model->run[i]], batch, vals);
    if (st == WEFT_OK) {
        results->n = (uint32_t)model->n_outputs;
        results->val = weft__alloc_n(model->n_outputs, sizeof *results->val);
        if (!results->val) st = WEFT_E_NOMEM;
    }
    for (size_t i = 0; i < model->n_outputs && st == WEFT_OK; i++)
        results->val[i] = vals[model->output[i].tensor];
    weft__free(vals);
    return st;
}

static weft_status declare_inputs(const weft_model *model, const weft__lower_request *request,
                                  weft__graph *graph, weft_val *in)
{
    for (size_t i = 0; i < model->n_inputs; i++) {
        const weft__tensor *t = weft__tensor_at(model, model->input[i]);
        const weft_spec *spec = request && request->inputs ? &request->inputs[i] : &t->spec;
        in[i] = weft__graph_input(graph, t->name, spec);
        if (!in[i]) return WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

/* The next run draws other random numbers. */
static weft_status count_step(weft__lowering *lowering)
{
    static const weft_spec scalar = { WEFT_I64, 0, { 0 } };
    weft__variable *step = lowering->store->step;
    weft__graph *graph = lowering->graph;
    int64_t one = 1;
    weft_val in[] = { weft__graph_variable(graph, step, "random_step", &step->spec),
                      weft__graph_constant(graph, &scalar, &one, 0) };
    if (!in[0] || !in[1]) return WEFT_E_NOMEM;
    weft__op_request add = { .name = "add", .path = "random_step", .in = in, .n_in = 2 };
    weft_val next = weft__graph_op(graph, &add);
    return next ? weft__graph_assign(graph, in[0], next) : WEFT_E_NOMEM;
}

weft_status weft__model_lower(const weft_model *model, const weft__lower_request *request,
                              weft__graph **graph)
{
    weft__lowering lowering = { .ctx = model->ctx,
                                .store = model->store,
                                .training = request && request->training,
                                .compiled = request && request->compiled,
                                .added = request ? request->added : NULL };
    weft__results results = { 0 };
    weft_val *in = NULL;
    *graph = NULL;
    if (!model->finished)
        return weft_fail(WEFT_E_ARG,
                         "model \"%s\" is not finished; end it with weft_model_finish()",
                         model->name);
    weft_status st = weft__graph_create(model->ctx, &lowering.graph);
    if (st) return st;
    in = weft__alloc_n(model->n_inputs, sizeof *in);
    st = in ? declare_inputs(model, request, lowering.graph, in) : WEFT_E_NOMEM;
    if (st == WEFT_OK) {
        weft__inline_request inlined = { model, "", in, 0 };
        st = weft__run_model(&lowering, &inlined, &results);
    }
    for (uint32_t i = 0; i < results.n && st == WEFT_OK; i++)
        st = weft__graph_output(lowering.graph, model->output[i].name, results.val[i]);
    for (uint32_t i = 0; i < results.n && request && request->masks; i++)
        request->masks[i] = weft__mask_of(&lowering, lowering.graph, results.val[i]);
    if (st == WEFT_OK && lowering.random) st = count_step(&lowering);
    if (st == WEFT_OK) {
        *graph = lowering.graph;
        lowering.graph = NULL;
    }
    weft__graph_destroy(&lowering.graph);
    weft__lowering_finish(&lowering);
    weft__free(results.val);
    weft__free(in);
    return st;
}
