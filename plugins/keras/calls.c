/* Which calls of a model's layers the outputs need, and their numbers in the file: Keras keeps no
 * other call, and counts those that it keeps. */
#include <string.h>
#include "keras.h"

void keras_calls_finish(const keras_file *f, keras_calls *c)
{
    keras_free(f, c->first);
    keras_free(f, c->number);
    memset(c, 0, sizeof *c);
}

static weft_status reserve(const keras_file *f, const weft_model *m, keras_calls *c)
{
    uint32_t id, n = f->api->n_layers(m), calls = 0, total = 0;
    weft_status st;

    if (!(c->first = keras_alloc(f, (size_t)n + 2, sizeof *c->first)))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for %u layers", (unsigned)n);
    for (id = 1; id <= n; id++) {
        c->first[id] = total;
        if ((st = f->api->layer_info(m, id, NULL, NULL, NULL, NULL, &calls))) return st;
        total += calls;
    }
    c->first[n + 1] = total;
    c->n_layers = n;
    if (!(c->number = keras_alloc(f, (size_t)total + 1, sizeof *c->number)))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for %u calls", (unsigned)total);
    return WEFT_OK;
}

/* A call that is met for the first time goes onto the stack. */
typedef struct call_ref {
    weft_layer_id layer;
    uint32_t call;
} call_ref;

static weft_status meet(const keras_file *f, const weft_model *m, keras_calls *c,
                        weft_tensor_id tensor, call_ref *stack, size_t *n)
{
    weft_tensor_info info = { .struct_size = sizeof info };
    weft_status st;

    if (tensor == WEFT_NONE) return WEFT_OK;
    if ((st = f->api->tensor_info(m, tensor, &info))) return st;
    if (info.kind != WEFT_TENSOR_RESULT || c->number[c->first[info.layer] + info.call])
        return WEFT_OK;
    c->number[c->first[info.layer] + info.call] = 1;
    stack[(*n)++] = (call_ref){ info.layer, info.call };
    return WEFT_OK;
}

static weft_status mark(const keras_file *f, const weft_model *m, keras_calls *c, call_ref *stack)
{
    uint32_t i, outputs = f->api->n_outputs(m);
    size_t n = 0;
    weft_status st;

    for (i = 0; i < outputs; i++)
        if ((st = meet(f, m, c, f->api->output_at(m, i, NULL), stack, &n))) return st;
    while (n) {
        weft_call_info info = { .struct_size = sizeof info };
        call_ref at = stack[--n];

        if ((st = f->api->call_info(m, at.layer, at.call, &info))) return st;
        for (i = 0; i < info.n_in; i++)
            if ((st = meet(f, m, c, info.in[i], stack, &n))) return st;
    }
    return WEFT_OK;
}

weft_status keras_calls_find(const keras_file *f, const weft_model *m, keras_calls *c)
{
    weft_status st = reserve(f, m, c);
    call_ref *stack = NULL;
    uint32_t id, k;

    if (st) return st;
    if (!(stack = keras_alloc(f, (size_t)c->first[c->n_layers + 1] + 1, sizeof *stack)))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for the calls of a model");
    st = mark(f, m, c, stack);
    keras_free(f, stack);
    for (id = 1; id <= c->n_layers; id++) {
        uint32_t kept = 0;

        for (k = c->first[id]; k < c->first[id + 1]; k++)
            c->number[k] = c->number[k] ? kept++ : UINT32_MAX;
    }
    return st;
}

/* A model is written as Sequential if it was one and still is: one input, layers in a row. */
int keras_is_chain(const keras_file *f, const weft_model *m)
{
    const weft_model_api *api = f->api;
    weft_tensor_id at = api->output_at(m, 0, NULL);
    uint32_t n = api->order(m, NULL, 0), i;

    if (strcmp(api->kind(m), "Sequential") != 0 || api->n_inputs(m) != 1 || api->n_outputs(m) != 1)
        return 0;
    for (i = 0; i < n; i++) {
        weft_tensor_info t = { .struct_size = sizeof t };
        weft_call_info call = { .struct_size = sizeof call };
        uint32_t calls = 0;

        if (api->tensor_info(m, at, &t) || t.kind != WEFT_TENSOR_RESULT || t.index != 0 ||
            api->layer_info(m, t.layer, NULL, NULL, NULL, NULL, &calls) || calls != 1 ||
            api->call_info(m, t.layer, 0, &call) || call.n_in != 1 || *call.attrs)
            return 0;
        at = call.in[0];
    }
    return at == api->input_at(m, 0);
}

const char *keras_kind(const keras_file *f, const weft_model *m)
{
    return keras_is_chain(f, m) ? "Sequential" : "Functional";
}
