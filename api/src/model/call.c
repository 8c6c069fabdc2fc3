/* Calls of layers: build() runs in a scratch graph whose inputs have the specs of the call's
 * tensors; what comes out are the specs of its results. A first call makes the variables, later
 * ones must fit them. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/trace.h"

/* Appends what was given to a shape or dtype error: every input, who makes it, and its full shape.
 */
static weft_status name_inputs(const weft_model *model, const weft__call_request *request,
                               weft_status st)
{
    weft__text text = { 0 };
    if ((st != WEFT_E_SHAPE && st != WEFT_E_DTYPE) || request->n_in == 0) return st;
    weft__text_add(&text, "%s; %s", weft_error(),
                   request->n_in == 1 ? "its input is " : "its inputs are ");
    for (uint32_t i = 0; i < request->n_in; i++) {
        if (i) weft__text_put(&text, ", ", 2);
        if (request->in[i] == WEFT_NONE) {
            weft__text_put(&text, "none", 4);
            continue;
        }
        weft__producer_print(&text, model, request->in[i]);
        weft__text_put(&text, " ", 1);
        weft__text_shape(&text, &weft__tensor_at(model, request->in[i])->spec);
        weft__text_add(&text, " %s",
                       weft_dtype_name(weft__tensor_at(model, request->in[i])->spec.dtype));
    }
    if (!text.failed) weft__fail_text(st, text.s);
    weft__text_finish(&text);
    return st;
}

static weft_val scratch_input(weft__lowering *scratch, const weft__tensor *t)
{
    if (t->kind == WEFT__T_CONST) return weft__graph_constant(scratch->graph, &t->spec, t->data, 0);
    weft_val v = weft__graph_input(scratch->graph, t->name ? t->name : "x", &t->spec);
    if (v && t->masked) {
        weft_val mask = weft__graph_input(scratch->graph, "mask", &t->mask);
        if (!mask || weft__mask_set(scratch, scratch->graph, v, mask)) return 0;
    }
    return v;
}

/* A tensor that is given twice is one value, as it will be when the model is lowered. */
static weft_status scratch_inputs(const weft_model *model, weft__lowering *scratch,
                                  const weft__call_request *request, weft_val *in)
{
    for (uint32_t i = 0; i < request->n_in; i++) {
        in[i] = 0;
        for (uint32_t k = 0; k < i && !in[i] && i < 64; k++)
            if (request->in[k] == request->in[i]) in[i] = in[k];
        if (request->in[i] == WEFT_NONE) in[i] = WEFT_NONE;
        if (!in[i]) in[i] = scratch_input(scratch, weft__tensor_at(model, request->in[i]));
        if (!in[i]) return WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

static weft_status check_dims(const weft_model *sub, const weft__call_request *request,
                              const weft_model *model)
{
    if (request->n_in != sub->n_inputs)
        return weft_fail(WEFT_E_ARG, "Layer \"%s\" expects %zu input(s), but it received %u",
                         sub->name, sub->n_inputs, (unsigned)request->n_in);
    for (uint32_t i = 0; i < request->n_in; i++) {
        const weft__tensor *want = weft__tensor_at(sub, sub->input[i]),
                           *have = weft__tensor_at(model, request->in[i]);
        if (!have)
            return weft_fail(WEFT_E_ARG, "input \"%s\" of model \"%s\" is absent", want->name,
                             sub->name);
        int fits = want->spec.dtype == have->spec.dtype && want->spec.rank == have->spec.rank;
        for (int k = 0; fits && k < want->spec.rank; k++)
            fits = want->spec.dim[k] == WEFT_BATCH ||
                   weft__dim_equal(want->spec.dim[k], have->spec.dim[k]);
        if (fits) continue;
        weft__shape_text shape;
        return weft_fail(WEFT_E_SHAPE, "input \"%s\" of model \"%s\" takes %s %s", want->name,
                         sub->name, weft__shape_show(&want->spec, &shape),
                         weft_dtype_name(want->spec.dtype));
    }
    return WEFT_OK;
}

/* Adds the call and its tensors to the model. */
static uint32_t record(weft_model *model, const weft__call_request *request,
                       const weft__lowering *scratch, const weft__results *results)
{
    weft__layer *layer = weft__layer_at(model, request->layer);
    weft__call call = { .n_in = request->n_in,
                        .n_out = results->n,
                        .inference = request->inference };
    call.first = (uint32_t)model->n_tensors + 1;
    call.in = weft__alloc_n(request->n_in, sizeof *call.in);
    if (!call.in || weft__grow(&layer->call, layer->n_calls, &layer->cap_calls, sizeof call) ||
        weft__grow(&model->call, model->n_calls, &model->cap_calls, sizeof *model->call)) {
        weft__free(call.in);
        return 0;
    }
    if (request->n_in) memcpy(call.in, request->in, request->n_in * sizeof *call.in);
    for (uint32_t i = 0; i < results->n; i++) {
        weft__tensor t = { .kind = WEFT__T_RESULT,
                           .spec = *weft__graph_spec(scratch->graph, results->val[i]),
                           .layer = request->layer,
                           .call = (uint32_t)layer->n_calls,
                           .index = i };
        weft_val mask = weft__mask_of(scratch, scratch->graph, results->val[i]);
        t.masked = mask != WEFT_NONE;
        if (t.masked) t.mask = *weft__graph_spec(scratch->graph, mask);
        if (!weft__model_add_tensor(model, &t)) {
            weft__free(call.in);
            return 0;
        }
    }
    model->call[model->n_calls++] = (weft__call_ref){ request->layer, (uint32_t)layer->n_calls };
    layer->call[layer->n_calls++] = call;
    layer->body->built = 1;
    return call.first;
}

static weft_status check_values(const weft__results *results)
{
    for (uint32_t i = 0; i < results->n; i++)
        if (results->val[i] == 0 || results->val[i] == WEFT_NONE)
            return weft_fail(WEFT_E_INTERNAL,
                             "result %u was not made; this is a fault of the plugin", (unsigned)i);
    return results->n
               ? WEFT_OK
               : weft_fail(WEFT_E_INTERNAL, "it has no results; this is a fault of the plugin");
}

static weft_status try_call(weft_model *model, const weft__call_request *request,
                            weft__lowering *scratch, weft__results *results)
{
    weft__layer *layer = weft__layer_at(model, request->layer);
    weft__body *body = layer->body;
    weft_val *in = weft__alloc_n(request->n_in, sizeof *in);
    weft_status st = in ? WEFT_OK : WEFT_E_NOMEM;
    if (st == WEFT_OK)
        st = body->sub ? check_dims(body->sub, request, model)
                       : weft__arity_check(body->cls, layer->name, request->n_in);
    if (st == WEFT_OK && model->size + (body->sub ? body->sub->size : 0) + 1 > WEFT__MAX_CALLS)
        st = weft_fail(WEFT_E_UNSUPPORTED, "the model has more than %u layer calls",
                       WEFT__MAX_CALLS);
    if (st == WEFT_OK) st = weft__graph_create(model->ctx, &scratch->graph);
    if (st == WEFT_OK) st = scratch_inputs(model, scratch, request, in);
    if (st == WEFT_OK) {
        weft__run_request run = { .body = body,
                                  .path = layer->name,
                                  .in = in,
                                  .n_in = request->n_in,
                                  .inference = request->inference };
        st = weft__run_body(scratch, &run, results);
    }
    if (st == WEFT_OK) st = check_values(results);
    weft__free(in);
    return st;
}

uint32_t weft__model_add_call(weft_model *model, const weft__call_request *request)
{
    weft__layer *layer = weft__layer_at(model, request->layer);
    weft__lowering scratch = { .ctx = model->ctx, .store = model->store };
    weft__results results = { 0 };
    uint32_t first = 0;
    size_t where =
        weft__where_push("layer \"%s\" (%s)", layer->name, weft__layer_class_name(layer));
    weft_status st = try_call(model, request, &scratch, &results);
    st = name_inputs(model, request, st);
    if (st == WEFT_OK) {
        first = record(model, request, &scratch, &results);
        if (!first) st = WEFT_E_NOMEM;
    }
    if (st == WEFT_OK) model->size += 1 + (layer->body->sub ? layer->body->sub->size : 0);
    weft__where_pop(where);
    weft__model_fail(model, st);
    weft__graph_destroy(&scratch.graph);
    weft__lowering_finish(&scratch);
    weft__free(results.val);
    return first;
}

static weft_tensor handle(const weft_model *model, uint32_t id)
{
    return id ? (weft_tensor){ id, model->number } : (weft_tensor){ 0, 0 };
}

/* Checks the handles and calls. */
static uint32_t call_tensors(weft_model *model, uint32_t layer, const weft_tensor *inputs,
                             uint32_t n)
{
    if (!inputs && n) {
        weft__model_fail(model, weft_fail(WEFT_E_ARG,
                                          "layer \"%s\" is called on %u input%s, and the "
                                          "array of inputs is NULL",
                                          weft__layer_at(model, layer)->name, (unsigned)n,
                                          n == 1 ? "" : "s"));
        return 0;
    }
    uint32_t *in = weft__alloc_n(n, sizeof *in), id = 0, i = 0;
    char what[560];
    if (!in) {
        weft__model_fail(model, WEFT_E_NOMEM);
        return 0;
    }
    for (; i < n; i++) {
        snprintf(what, sizeof what, "input %u of layer \"%s\"", (unsigned)i,
                 weft__layer_at(model, layer)->name);
        in[i] = weft__tensor_id(model, inputs[i], what);
        if (!in[i]) break;
    }
    if (i == n) {
        weft__call_request request = { .layer = layer, .in = in, .n_in = n };
        id = weft__model_add_call(model, &request);
    }
    weft__free(in);
    return id;
}

weft_tensor weft_layer_call(weft_model *model, weft_layer layer, const weft_tensor *inputs,
                            uint32_t n)
{
    if (!weft__model_open(model)) return (weft_tensor){ 0, 0 };
    uint32_t id = weft__layer_id(model, layer);
    return handle(model, id ? call_tensors(model, id, inputs, n) : 0);
}

weft_tensor weft_apply_n(weft_model *model, const char *layer_class, const char *attrs,
                         const weft_tensor *inputs, uint32_t n)
{
    uint32_t id = weft__model_add_layer(model, layer_class, NULL, attrs);
    return handle(model, id ? call_tensors(model, id, inputs, n) : 0);
}

weft_tensor weft_layer_result(weft_model *model, weft_layer layer, uint32_t call, uint32_t index)
{
    if (!model || model->status) return (weft_tensor){ 0, 0 };
    uint32_t id = weft__layer_id(model, layer);
    if (!id) return (weft_tensor){ 0, 0 };
    const weft__layer *l = weft__layer_at(model, id);
    if (call < l->n_calls && index < l->call[call].n_out)
        return handle(model, l->call[call].first + index);
    weft__model_fail(
        model, weft_fail(WEFT_E_ARG,
                         "layer \"%s\" has %zu call%s%s; there is no result %u of call %u (both "
                         "count from 0)",
                         l->name, l->n_calls, l->n_calls == 1 ? "" : "s",
                         call < l->n_calls ? ", that one with fewer results" : "", (unsigned)index,
                         (unsigned)call));
    return (weft_tensor){ 0, 0 };
}

/* The layer that is this very model already, as calling a model twice in Keras gives one layer with
 * two calls. */
static uint32_t find_sublayer(const weft_model *model, const weft_model *sub, const char *name)
{
    for (size_t i = 0; i < model->n_layers; i++)
        if (model->layer[i].body->sub == sub && (!name || strcmp(name, model->layer[i].name) == 0))
            return (uint32_t)i + 1;
    return 0;
}

weft_tensor weft_model_call(weft_model *model, weft_model *sub, const char *name,
                            const weft_tensor *inputs, uint32_t n, weft_layer *layer)
{
    if (layer) *layer = (weft_layer){ 0, 0 };
    if (!weft__model_open(model)) return (weft_tensor){ 0, 0 };
    uint32_t id = sub ? find_sublayer(model, sub, name) : 0;
    if (!id) id = weft__model_add_sublayer(model, sub, name);
    if (id && layer) *layer = (weft_layer){ id, model->number };
    return handle(model, id ? call_tensors(model, id, inputs, n) : 0);
}
