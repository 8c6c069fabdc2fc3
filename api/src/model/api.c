/* The table through which formats build and read models: ids in place of handles, everything
 * sticky. */
#include <string.h>
#include "base/alloc.h"
#include "base/attrs.h"
#include "base/fail.h"
#include "model/parts.h"
#include "registry/registry.h"

/* 0 flows through in silence only where something else tells of the failure. */
static int known_failure(const weft_model *model)
{
    if (model->status) return 1;
    for (const weft_model *m = model; m; m = m->parent)
        if (m->hollow || m->status) return 1;
    return 0;
}

static uint32_t bad_id(weft_model *model, const char *what, uint32_t id)
{
    if (id == 0 && known_failure(model)) return 0;
    weft__model_fail(model, weft_fail(WEFT_E_ARG, "model \"%s\" has no %s number %u", model->name,
                                      what, (unsigned)id));
    return 0;
}

static weft_model *api_submodel(weft_model *model, const char *name)
{
    weft_model *sub = NULL;
    if (!weft__model_open(model)) return NULL;
    weft_status st =
        weft__grow(&model->part, model->n_parts, &model->cap_parts, sizeof(weft_model *));
    if (st == WEFT_OK) st = weft_model_create(model->ctx, name, &sub);
    if (st) {
        weft__model_fail(model, st);
        return NULL;
    }
    sub->parent = model;
    sub->loading = model->loading;
    model->part[model->n_parts++] = sub;
    return sub;
}

static weft_tensor_id api_input(weft_model *model, const char *name, const weft_spec *spec)
{
    return weft__model_add_input(model, name, spec);
}

static const weft_layer_class *api_layer_class(weft_model *model, const char *name)
{
    return name ? weft__find_layer_class(model->ctx, name) : NULL;
}

static weft_layer_id api_layer(weft_model *model, const char *layer_class, const char *name,
                               const char *attrs)
{
    return weft__model_add_layer(model, layer_class, name, attrs);
}

static weft_layer_id api_model_layer(weft_model *model, weft_model *sub, const char *name)
{
    if (!sub && known_failure(model)) return 0;
    return weft__model_add_sublayer(model, sub, name);
}

/* "training=false" is understood; another argument is collected, and the call goes on without it.
 */
static weft_status call_attrs(weft_model *model, uint32_t layer, const char *text, int *inference)
{
    weft__attrs *attrs = NULL;
    weft_status st = weft__attrs_parse(text, &attrs);
    for (size_t i = 0; st == WEFT_OK && i < attrs->n; i++) {
        const weft__attr *a = &attrs->attr[i];
        int training = strcmp(a->name, "training") == 0;
        if (a->value.kind == WEFT__NONE) continue;
        if (training && a->value.kind == WEFT__FLAG && !a->value.i) {
            *inference = 1;
            continue;
        }
        const weft__layer *l = weft__layer_at(model, layer);
        weft__text why = { 0 }, value = { 0 };
        weft__value_print(&value, &a->value);
        weft__text_add(&why, "it is called with %s=%s, which is not supported", a->name,
                       value.s ? value.s : "");
        st = why.failed ? WEFT_E_NOMEM
                        : weft__missing_add(model, weft__layer_class_name(l), l->name, why.s);
        weft__text_finish(&why);
        weft__text_finish(&value);
    }
    weft__attrs_destroy(&attrs);
    return st;
}

static weft_tensor_id api_call(weft_model *model, weft_layer_id layer, const weft_tensor_id *in,
                               uint32_t n_in, const char *attrs)
{
    weft__call_request request = { .layer = layer, .in = in, .n_in = n_in };
    if (!weft__model_open(model)) return 0;
    if (!weft__layer_at(model, layer)) return bad_id(model, "layer", layer);
    for (uint32_t i = 0; i < n_in; i++)
        if (in[i] != WEFT_NONE && !weft__tensor_at(model, in[i]))
            return bad_id(model, "tensor", in[i]);
    weft_status st = call_attrs(model, layer, attrs, &request.inference);
    if (st == WEFT_OK) return weft__model_add_call(model, &request);
    weft__model_fail(model, st);
    return 0;
}

static weft_tensor_id api_result(weft_model *model, weft_layer_id layer, uint32_t call,
                                 uint32_t index)
{
    if (!model || model->status) return 0;
    const weft__layer *l = weft__layer_at(model, layer);
    if (!l) return bad_id(model, "layer", layer);
    if (call < l->n_calls && index < l->call[call].n_out) return l->call[call].first + index;
    /* a call that a missing layer in front of it prevented */
    if (call >= l->n_calls && known_failure(model)) return 0;
    weft__model_fail(
        model, weft_fail(WEFT_E_ARG,
                         "layer \"%s\" has %zu call%s; there is no result %u of call %u", l->name,
                         l->n_calls, l->n_calls == 1 ? "" : "s", (unsigned)index, (unsigned)call));
    return 0;
}

static weft_status api_output(weft_model *model, const char *name, weft_tensor_id tensor)
{
    if (!weft__model_open(model)) return model && model->status ? model->status : WEFT_E_ARG;
    if (weft__tensor_at(model, tensor)) return weft__model_add_output(model, name, tensor);
    bad_id(model, "tensor", tensor);
    return model->status;
}

static weft_status api_missing(weft_model *model, const char *layer_class, const char *layer,
                               const char *why)
{
    return weft__missing_add(model, layer_class, layer, why);
}

static weft_status api_fail(weft_model *model, weft_status status, const char *msg)
{
    weft_fail(status ? status : WEFT_E_INTERNAL, "%s", msg ? msg : "it failed");
    return model ? weft__model_fail(model, status ? status : WEFT_E_INTERNAL) : status;
}

/* ---- reading ---- */

static uint32_t api_n_layers(const weft_model *model)
{
    return (uint32_t)model->n_layers;
}

static weft_status no_layer(const weft_model *model, weft_layer_id layer)
{
    return weft_fail(WEFT_E_ARG, "model \"%s\" has no layer number %u", model->name,
                     (unsigned)layer);
}

static weft_status api_layer_info(const weft_model *model, weft_layer_id layer,
                                  const weft_layer_class **cls, const char **name,
                                  const char **attrs, weft_model **submodel, uint32_t *n_calls)
{
    const weft__layer *l = weft__layer_at(model, layer);
    if (!l) return no_layer(model, layer);
    if (cls) *cls = l->body->cls;
    if (name) *name = l->name;
    if (attrs) *attrs = l->body->text ? l->body->text : "";
    if (submodel) *submodel = l->body->sub;
    if (n_calls) *n_calls = (uint32_t)l->n_calls;
    return WEFT_OK;
}

static uint32_t api_n_variables(const weft_model *model, weft_layer_id layer)
{
    const weft__layer *l = weft__layer_at(model, layer);
    return l ? weft__layer_n_variables(l) : 0;
}

static weft_status variable_at(const weft_model *model, weft_layer_id layer, uint32_t i,
                               weft__variable **v, const char **name)
{
    const weft__layer *l = weft__layer_at(model, layer);
    if (!l) return no_layer(model, layer);
    uint32_t n = weft__layer_n_variables(l);
    *v = weft__layer_variable(l, i, name);
    return *v ? WEFT_OK
              : weft_fail(WEFT_E_ARG,
                          "layer \"%s\" (%s) has %u variable%s%s; there is no number %u", l->name,
                          weft__layer_class_name(l), (unsigned)n, n == 1 ? "" : "s",
                          l->n_calls || l->body->built ? "" : " before it is called", (unsigned)i);
}

static weft_status api_variable_spec(const weft_model *model, weft_layer_id layer, uint32_t i,
                                     const char **name, weft_spec *spec, uint32_t *flags)
{
    weft__variable *v = NULL;
    weft_status st = variable_at(model, layer, i, &v, name);
    if (st) return st;
    if (spec) *spec = v->spec;
    if (flags) *flags = v->flags;
    return WEFT_OK;
}

static weft_status check_bytes(const weft_model *model, weft_layer_id layer,
                               const weft__variable *v, size_t bytes)
{
    uint64_t expected = weft__spec_bytes(&v->spec);
    if (bytes == expected) return WEFT_OK;
    const weft__layer *l = weft__layer_at(model, layer);
    weft__shape_text shape;
    return weft_fail(
        WEFT_E_SHAPE,
        "layer \"%s\" (%s): variable \"%s\" has the shape %s %s, %llu bytes; %zu bytes "
        "were given",
        l->name, weft__layer_class_name(l), v->name, weft__shape_show(&v->spec, &shape),
        weft_dtype_name(v->spec.dtype), (unsigned long long)expected, bytes);
}

static weft_status api_variable_get(const weft_model *model, weft_layer_id layer, uint32_t i,
                                    void *data, size_t bytes)
{
    weft__variable *v = NULL;
    weft_status st = variable_at(model, layer, i, &v, NULL);
    if (st == WEFT_OK) st = check_bytes(model, layer, v, bytes);
    if (st || weft__snapshot_read(v, data)) return st;
    return weft__variable_read(v, data);
}

static weft_status api_variable_set(weft_model *model, weft_layer_id layer, uint32_t i,
                                    const void *data, size_t bytes)
{
    weft__variable *v = NULL;
    weft_status st = variable_at(model, layer, i, &v, NULL);
    if (st == WEFT_OK) st = check_bytes(model, layer, v, bytes);
    return st ? st : weft__variable_write(v, data);
}

static const void *api_extension(weft_model *model, const char *id)
{
    (void)model;
    (void)id;
    return NULL;
}

/* ---- the model itself ---- */

static weft_status replace(weft_model *model, char **field, const char *text)
{
    char *copy = weft__strdup(text);
    if (!copy) return weft__model_fail(model, WEFT_E_NOMEM);
    weft__free(*field);
    *field = copy;
    return WEFT_OK;
}

static weft_status api_rename(weft_model *model, const char *name)
{
    if (!weft__model_open(model)) return model && model->status ? model->status : WEFT_E_ARG;
    weft_status st = weft__name_check(name ? name : "", "model");
    return st ? weft__model_fail(model, st) : replace(model, &model->name, name);
}

static weft_status api_set_kind(weft_model *model, const char *kind)
{
    if (!weft__model_open(model)) return model && model->status ? model->status : WEFT_E_ARG;
    if (!kind ||
        (strcmp(kind, WEFT__KIND_FUNCTIONAL) != 0 && strcmp(kind, WEFT__KIND_SEQUENTIAL) != 0))
        return weft__model_fail(
            model, weft_fail(WEFT_E_ARG, "a model is \"Functional\" or \"Sequential\", not \"%s\"",
                             kind ? kind : ""));
    return replace(model, &model->kind, kind);
}

static weft_tensor_id api_constant(weft_model *model, const char *name, const weft_spec *spec,
                                   const void *data)
{
    static const weft_spec none = { 0 };
    return weft__model_add_constant(model, name, spec ? spec : &none, data);
}

static weft__note *find_note(const weft_model *model, const char *key)
{
    for (size_t i = 0; i < model->n_notes; i++)
        if (strcmp(model->note[i].key, key) == 0) return &model->note[i];
    return NULL;
}

static weft_status store_note(weft_model *model, const char *key, const char *text)
{
    weft__note *note = find_note(model, key);
    if (note) return replace(model, &note->text, text);
    weft__note fresh = { weft__strdup(key), weft__strdup(text) };
    if (!fresh.key || !fresh.text ||
        weft__grow(&model->note, model->n_notes, &model->cap_notes, sizeof fresh)) {
        weft__free(fresh.key);
        weft__free(fresh.text);
        return weft__model_fail(model, WEFT_E_NOMEM);
    }
    model->note[model->n_notes++] = fresh;
    return WEFT_OK;
}

/* Formats read WEFT_NOTE_COMPILE without a parser for all that attribute text may be. */
static weft_status store_attrs(weft_model *model, const char *key, const char *text)
{
    weft__attrs *attrs = NULL;
    weft__text canonical = { 0 };
    size_t where = weft__where_push("note \"%s\"", key);
    weft_status st = weft__attrs_parse(text, &attrs);
    weft__where_pop(where);
    if (st) return st;
    weft__attrs_print(&canonical, attrs, NULL);
    weft__attrs_destroy(&attrs);
    st = canonical.failed ? weft__model_fail(model, WEFT_E_NOMEM)
                          : store_note(model, key, canonical.s);
    weft__text_finish(&canonical);
    return st;
}

static weft_status api_set_note(weft_model *model, const char *key, const char *text)
{
    if (!model || !key || !text)
        return weft_fail(WEFT_E_ARG, "a note needs a model, a key and a text");
    return strcmp(key, WEFT_NOTE_COMPILE) ? store_note(model, key, text)
                                          : store_attrs(model, key, text);
}

static const char *api_name(const weft_model *model)
{
    return model->name;
}
static const char *api_kind(const weft_model *model)
{
    return model->kind;
}

static const char *api_note(const weft_model *model, const char *key)
{
    const weft__note *note = find_note(model, key);
    return note ? note->text : NULL;
}

static uint32_t api_n_inputs(const weft_model *model)
{
    return (uint32_t)model->n_inputs;
}
static uint32_t api_n_outputs(const weft_model *model)
{
    return (uint32_t)model->n_outputs;
}

static weft_tensor_id api_input_at(const weft_model *model, uint32_t i)
{
    return i < model->n_inputs ? model->input[i] : 0;
}

static weft_tensor_id api_output_at(const weft_model *model, uint32_t i, const char **name)
{
    if (i >= model->n_outputs) return 0;
    if (name) *name = model->output[i].name;
    return model->output[i].tensor;
}

static weft_status api_tensor_info(const weft_model *model, weft_tensor_id tensor,
                                   weft_tensor_info *info)
{
    const weft__tensor *t = weft__tensor_at(model, tensor);
    if (!t)
        return weft_fail(WEFT_E_ARG, "model \"%s\" has no tensor number %u", model->name,
                         (unsigned)tensor);
    weft_tensor_info full = { .struct_size = info->struct_size,
                              .kind = (uint32_t)t->kind,
                              .name = t->name,
                              .data = t->data,
                              .spec = t->spec,
                              .layer = t->layer,
                              .call = t->call,
                              .index = t->index };
    memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
    return WEFT_OK;
}

static weft_status api_call_info(const weft_model *model, weft_layer_id layer, uint32_t call,
                                 weft_call_info *info)
{
    const weft__layer *l = weft__layer_at(model, layer);
    if (!l) return no_layer(model, layer);
    if (call >= l->n_calls)
        return weft_fail(WEFT_E_ARG, "layer \"%s\" has %zu call%s; there is no number %u", l->name,
                         l->n_calls, l->n_calls == 1 ? "" : "s", (unsigned)call);
    const weft__call *c = &l->call[call];
    weft_call_info full = { .struct_size = info->struct_size,
                            .n_in = c->n_in,
                            .n_out = c->n_out,
                            .first = c->first,
                            .in = c->in,
                            .attrs = c->inference ? "training=false" : "" };
    memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
    return WEFT_OK;
}

static uint32_t api_order(const weft_model *model, weft_layer_id *ids, uint32_t cap)
{
    uint32_t n = 0;
    for (size_t i = 0; i < model->n_places; i++) {
        if (model->place[i].is_input) continue;
        if (n < cap) ids[n] = model->place[i].index;
        n++;
    }
    return n;
}

const weft_model_api weft__model_api = {
    .struct_size = sizeof weft__model_api,
    .submodel = api_submodel,
    .input = api_input,
    .layer_class = api_layer_class,
    .layer = api_layer,
    .model_layer = api_model_layer,
    .call = api_call,
    .result = api_result,
    .output = api_output,
    .missing = api_missing,
    .finish = weft__model_conclude,
    .fail = api_fail,
    .n_layers = api_n_layers,
    .layer_info = api_layer_info,
    .n_variables = api_n_variables,
    .variable_spec = api_variable_spec,
    .variable_get = api_variable_get,
    .variable_set = api_variable_set,
    .extension = api_extension,
    .rename = api_rename,
    .set_kind = api_set_kind,
    .constant = api_constant,
    .set_note = api_set_note,
    .name = api_name,
    .kind = api_kind,
    .note = api_note,
    .n_inputs = api_n_inputs,
    .input_at = api_input_at,
    .n_outputs = api_n_outputs,
    .output_at = api_output_at,
    .tensor_info = api_tensor_info,
    .call_info = api_call_info,
    .order = api_order,
};
