/* A model's life: references, the sticky failure, tensors, inputs, constants, outputs and their
 * readers. Models know each other by number, so that a tensor of another model can be named in the
 * error. */
#include "model/model.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/parts.h"
#include "registry/registry.h"

static pthread_mutex_t models_lock = PTHREAD_MUTEX_INITIALIZER;
static weft_model *models; /* all that are alive */
static uint32_t last_number;

static void enlist(weft_model *model)
{
    pthread_mutex_lock(&models_lock);
    if (++last_number == 0) last_number = 1;
    model->number = last_number;
    model->next = models;
    models = model;
    pthread_mutex_unlock(&models_lock);
}

static void delist(weft_model *model)
{
    pthread_mutex_lock(&models_lock);
    for (weft_model **p = &models; *p; p = &(*p)->next)
        if (*p == model) {
            *p = model->next;
            break;
        }
    pthread_mutex_unlock(&models_lock);
}

/* Copies the name of model `number`, "" if it is gone. */
static void name_of(uint32_t number, char *name, size_t size)
{
    name[0] = 0;
    pthread_mutex_lock(&models_lock);
    for (const weft_model *m = models; m; m = m->next)
        if (m->number == number) {
            size_t n = strlen(m->name) < size ? strlen(m->name) : size - 1;
            memcpy(name, m->name, n);
            name[n] = 0;
        }
    pthread_mutex_unlock(&models_lock);
}

weft_status weft_model_create(weft_context *ctx, const char *name, weft_model **model)
{
    if (!model)
        return weft_fail(WEFT_E_ARG, "weft_model_create: nowhere to put the model; pass a pointer");
    *model = NULL;
    if (!ctx)
        return weft_fail(WEFT_E_ARG,
                         "weft_model_create: no context; make one with weft_context_create()");
    if (!name) name = "functional";
    weft_status st = weft__name_check(name, "model");
    if (st) return st;
    weft_model *m = weft__alloc(sizeof *m);
    if (!m) return WEFT_E_NOMEM;
    atomic_init(&m->refs, 1);
    m->name = weft__strdup(name);
    m->kind = weft__strdup(WEFT__KIND_FUNCTIONAL);
    st = m->name && m->kind ? weft__store_create(&m->store) : WEFT_E_NOMEM;
    if (st) {
        weft__free(m->name);
        weft__free(m->kind);
        weft__free(m);
        return st;
    }
    m->ctx = weft__context_ref(ctx);
    m->api = weft__model_api;
    m->api.host = weft__context_host(ctx);
    m->depth = 1;
    enlist(m);
    *model = m;
    return WEFT_OK;
}

static void finish_lists(weft_model *m)
{
    for (size_t i = 0; i < m->n_layers; i++)
        weft__layer_finish(&m->layer[i]);
    for (size_t i = 0; i < m->n_tensors; i++) {
        weft__free(m->tensor[i].name);
        weft__free(m->tensor[i].data);
    }
    for (size_t i = 0; i < m->n_outputs; i++)
        weft__free(m->output[i].name);
    for (size_t i = 0; i < m->n_notes; i++) {
        weft__free(m->note[i].key);
        weft__free(m->note[i].text);
    }
    for (size_t i = 0; i < m->n_variables; i++)
        weft__free(m->variable_name[i]);
    for (size_t i = 0; i < m->n_stores; i++)
        weft__store_destroy(&m->stores[i]);
    for (size_t i = 0; i < m->n_parts; i++) {
        m->part[i]->parent = NULL;
        weft_model_destroy(&m->part[i]);
    }
    void *arrays[] = { m->layer, m->tensor,   m->output,       m->note, m->stores,
                       m->part,  m->call,     m->input,        m->used, m->run,
                       m->place, m->variable, m->variable_name };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        weft__free(arrays[i]);
}

void weft_model_destroy(weft_model **model)
{
    if (!model || !*model) return;
    weft_model *m = *model;
    *model = NULL;
    if (atomic_fetch_sub(&m->refs, 1) != 1) return;
    delist(m);
    finish_lists(m);
    weft__names_finish(&m->names);
    weft__names_finish(&m->counters);
    weft__names_finish(&m->outputs);
    weft__names_finish(&m->output_counters);
    weft__text_finish(&m->missing);
    weft__store_destroy(&m->store);
    weft_context_destroy(&m->ctx);
    weft__free(m->name);
    weft__free(m->kind);
    weft__free(m->text);
    weft__free(m);
}

weft_model *weft__model_ref(weft_model *model)
{
    atomic_fetch_add(&model->refs, 1);
    return model;
}

weft_context *weft__model_context(const weft_model *model)
{
    return model->ctx;
}

weft_status weft__model_fail(weft_model *model, weft_status status)
{
    if (status == WEFT_OK || model->status || model->finished) return status;
    model->status = status;
    model->text = weft__strdup(weft_error()); /* without memory finish() says so */
    return status;
}

int weft__model_open(weft_model *model)
{
    if (!model) {
        weft_fail(WEFT_E_ARG, "no model; make one with weft_model_create()");
        return 0;
    }
    if (model->status) return 0;
    if (!model->finished) return 1;
    weft_fail(WEFT_E_ARG,
              "model \"%s\" is finished: nothing can be added; make a new one over its layers with "
              "weft_model_derive(), or call it from another model with weft_model_call()",
              model->name);
    return 0;
}

weft_model *weft__model_root(weft_model *model)
{
    while (model->parent)
        model = model->parent;
    return model;
}

weft__tensor *weft__tensor_at(const weft_model *model, uint32_t id)
{
    return id >= 1 && id <= model->n_tensors ? &model->tensor[id - 1] : NULL;
}

weft__layer *weft__layer_at(const weft_model *model, uint32_t id)
{
    return id >= 1 && id <= model->n_layers ? &model->layer[id - 1] : NULL;
}

/* Is a handle's number this model's, or that of the model it derives from? */
static int ours(const weft_model *model, uint32_t number, uint32_t id, uint32_t n_base)
{
    return number == model->number || (number && number == model->base && id <= n_base);
}

static weft_status foreign(const weft_model *model, const char *what, uint32_t number)
{
    char other[520];
    name_of(number, other, sizeof other);
    return weft_fail(WEFT_E_ARG,
                     "%s belongs to model \"%s\", not to \"%s\"; call that model as a layer with "
                     "weft_model_call(), or build both parts in one model",
                     what, other, model->name);
}

uint32_t weft__tensor_id(weft_model *model, weft_tensor tensor, const char *what)
{
    if (model->status) return 0;
    if (tensor.id == 0 && tensor.model == 0) {
        /* a failure that this model does not know of: of another model, or a handle never set */
        weft__model_fail(model,
                         weft_fail(WEFT_E_ARG,
                                   "%s is no tensor: it was never set, or making it failed in "
                                   "another model",
                                   what));
        return 0;
    }
    if (!ours(model, tensor.model, tensor.id, model->base_tensors)) {
        weft__model_fail(model, foreign(model, what, tensor.model));
        return 0;
    }
    if (weft__tensor_at(model, tensor.id)) return tensor.id;
    weft__model_fail(
        model, weft_fail(WEFT_E_ARG, "%s has the unknown number %u", what, (unsigned)tensor.id));
    return 0;
}

uint32_t weft__layer_id(weft_model *model, weft_layer layer)
{
    if (model->status) return 0;
    if (layer.id == 0 && layer.model == 0) {
        weft__model_fail(
            model,
            weft_fail(WEFT_E_ARG, "the layer was never made; make it with weft_layer_create()"));
        return 0;
    }
    if (!ours(model, layer.model, layer.id, model->base_layers)) {
        weft__model_fail(model, foreign(model, "the layer", layer.model));
        return 0;
    }
    if (weft__layer_at(model, layer.id)) return layer.id;
    weft__model_fail(model, weft_fail(WEFT_E_ARG, "layer %u is unknown", (unsigned)layer.id));
    return 0;
}

uint32_t weft__model_add_tensor(weft_model *model, weft__tensor *t)
{
    if (model->n_tensors >= UINT32_MAX - 1 ||
        weft__grow(&model->tensor, model->n_tensors, &model->cap_tensors, sizeof *model->tensor)) {
        weft__model_fail(model, WEFT_E_NOMEM);
        weft__free(t->name);
        weft__free(t->data);
        return 0;
    }
    model->tensor[model->n_tensors++] = *t;
    return (uint32_t)model->n_tensors;
}

weft_status weft__spec_check(const weft_spec *spec, const char *what)
{
    if (spec->rank < 0 || spec->rank > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE, "%s: rank %d; 0 to %d are possible", what, (int)spec->rank,
                         WEFT_MAX_RANK);
    if (weft_dtype_size(spec->dtype) == 0)
        return weft_fail(WEFT_E_DTYPE, "%s: unknown dtype %d; use WEFT_F32", what,
                         (int)spec->dtype);
    return WEFT_OK;
}

/* Takes a copy of `name` as in use, or makes a default one of `base`. NULL = failed, recorded. */
static char *claim(weft_model *model, const char *name, const char *base)
{
    char *res = NULL;
    weft_status st = WEFT_OK;
    if (name && (st = weft__name_check(name, base)) == WEFT_OK &&
        weft__names_find(&model->names, name))
        st =
            weft_fail(WEFT_E_ARG,
                      "model \"%s\" has two parts named \"%s\"; names of inputs and layers must be "
                      "unique: choose another, or leave it out",
                      model->name, name);
    if (st == WEFT_OK) {
        res = name ? weft__strdup(name) : weft__unique_name(&model->names, &model->counters, base);
        if (!res) st = WEFT_E_NOMEM;
    }
    if (st == WEFT_OK && (st = weft__names_put(&model->names, res, 0))) {
        weft__free(res);
        res = NULL;
    }
    weft__model_fail(model, st);
    return res;
}

uint32_t weft__model_add_input(weft_model *model, const char *name, const weft_spec *spec)
{
    if (!weft__model_open(model)) return 0;
    if (!spec) {
        weft__model_fail(model,
                         weft_fail(WEFT_E_ARG, "input \"%s\" has no shape", name ? name : ""));
        return 0;
    }
    size_t where = weft__where_push("input \"%s\"", name ? name : "");
    weft_status st = weft__spec_check(spec, "its shape");
    for (int i = 0; st == WEFT_OK && i < spec->rank; i++) {
        int64_t d = spec->dim[i];
        if (d < 0 && d != WEFT_ANY && !(d == WEFT_BATCH && i == 0))
            st = weft_fail(
                WEFT_E_SHAPE,
                "dimension %d is %lld; give a number >= 0, WEFT_ANY, or WEFT_BATCH in front", i,
                (long long)d);
    }
    weft__model_fail(model, st);
    weft__tensor t = { .kind = WEFT__T_INPUT, .spec = *spec };
    if (st == WEFT_OK) t.name = claim(model, name, "input_layer");
    weft__where_pop(where);
    if (!t.name) return 0;
    if (weft__grow(&model->input, model->n_inputs, &model->cap_inputs, sizeof *model->input)) {
        weft__model_fail(model, WEFT_E_NOMEM);
        weft__free(t.name);
        return 0;
    }
    uint32_t id = weft__model_add_tensor(model, &t);
    if (id) model->input[model->n_inputs++] = id;
    return id;
}

uint32_t weft__model_add_constant(weft_model *model, const char *name, const weft_spec *spec,
                                  const void *data)
{
    if (!weft__model_open(model)) return 0;
    size_t where = weft__where_push("constant \"%s\"", name ? name : "");
    weft_status st = weft__spec_check(spec, "its shape");
    uint64_t bytes = st ? 0 : weft__spec_bytes(spec);
    if (st == WEFT_OK && bytes > SIZE_MAX / 2)
        st = weft_fail(WEFT_E_SHAPE, "its dimensions are no numbers, or too large");
    if (st == WEFT_OK && bytes && !data) st = weft_fail(WEFT_E_ARG, "it has no data");
    weft__model_fail(model, st);
    weft__tensor t = { .kind = WEFT__T_CONST, .spec = *spec };
    if (st == WEFT_OK) t.name = claim(model, name, "constant");
    weft__where_pop(where);
    if (!t.name) return 0;
    t.data = weft__alloc((size_t)bytes);
    if (!t.data) {
        weft__model_fail(model, WEFT_E_NOMEM);
        weft__free(t.name);
        return 0;
    }
    if (bytes) memcpy(t.data, data, (size_t)bytes);
    return weft__model_add_tensor(model, &t);
}

weft_status weft__model_add_output(weft_model *model, const char *name, uint32_t tensor)
{
    const weft__tensor *t = weft__tensor_at(model, tensor);
    /* Keras names an output by its producer; a second one of the same name gets "_1" */
    const char *producer = t->name ? t->name : weft__layer_at(model, t->layer)->name;
    weft__output output = { .tensor = tensor };
    weft_status st = name ? weft__name_check(name, "output") : WEFT_OK;
    if (st == WEFT_OK && name && weft__names_find(&model->outputs, name))
        st = weft_fail(WEFT_E_ARG, "model \"%s\" has two outputs named \"%s\"; choose another name",
                       model->name, name);
    if (st == WEFT_OK)
        st = weft__grow(&model->output, model->n_outputs, &model->cap_outputs, sizeof output);
    if (st == WEFT_OK) {
        output.name = name ? weft__strdup(name)
                           : weft__unique_name(&model->outputs, &model->output_counters, producer);
        st = output.name ? weft__names_put(&model->outputs, output.name, 0) : WEFT_E_NOMEM;
    }
    if (st == WEFT_OK)
        model->output[model->n_outputs++] = output;
    else
        weft__free(output.name);
    return weft__model_fail(model, st);
}

weft_tensor weft_input(weft_model *model, const char *name, weft_dtype dtype, weft_shape shape)
{
    weft_spec spec = { .dtype = dtype, .rank = shape.rank + 1, .dim = { WEFT_BATCH } };
    if (shape.rank < 0 || shape.rank >= WEFT_MAX_RANK) {
        if (weft__model_open(model))
            weft__model_fail(model,
                             weft_fail(WEFT_E_SHAPE,
                                       "input \"%s\": a sample has rank %d; 0 to %d are possible",
                                       name ? name : "", (int)shape.rank, WEFT_MAX_RANK - 1));
        return (weft_tensor){ 0, 0 };
    }
    memcpy(spec.dim + 1, shape.dim, (size_t)shape.rank * sizeof shape.dim[0]);
    return weft_input_spec(model, name, &spec);
}

static weft_tensor handle(const weft_model *model, uint32_t id)
{
    return id ? (weft_tensor){ id, model->number } : (weft_tensor){ 0, 0 };
}

weft_tensor weft_input_spec(weft_model *model, const char *name, const weft_spec *spec)
{
    return handle(model, weft__model_add_input(model, name, spec));
}

weft_tensor weft_constant(weft_model *model, const char *name, const weft_array *array)
{
    static const weft_spec none = { 0 };
    return handle(model, weft__model_add_constant(model, name, array ? &array->spec : &none,
                                                  array ? array->data : NULL));
}

weft_status weft_output(weft_model *model, weft_tensor tensor)
{
    return weft_output_named(model, NULL, tensor);
}

weft_status weft_output_named(weft_model *model, const char *name, weft_tensor tensor)
{
    if (!weft__model_open(model)) return model && model->status ? model->status : WEFT_E_ARG;
    uint32_t id = weft__tensor_id(model, tensor, "the output");
    return id ? weft__model_add_output(model, name, id) : model->status;
}

void weft__producer_print(weft__text *text, const weft_model *model, uint32_t tensor)
{
    const weft__tensor *t = weft__tensor_at(model, tensor);
    if (t->kind == WEFT__T_RESULT) {
        const weft__layer *layer = weft__layer_at(model, t->layer);
        weft__text_add(text, "\"%s\" (%s)", layer->name, weft__layer_class_name(layer));
        if (t->index) weft__text_add(text, " result %u", (unsigned)t->index);
    } else {
        weft__text_add(text, "\"%s\" (%s)", t->name,
                       t->kind == WEFT__T_INPUT ? "input" : "constant");
    }
}
