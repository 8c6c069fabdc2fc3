/* Readers of a model: names, inputs, outputs, tensors, variables and their locks. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/parts.h"

const char *weft_model_name(const weft_model *model)
{
    return model ? model->name : "";
}
uint32_t weft_model_n_inputs(const weft_model *model)
{
    return model ? (uint32_t)model->n_inputs : 0;
}
uint32_t weft_model_n_outputs(const weft_model *model)
{
    return model ? (uint32_t)model->n_outputs : 0;
}

const char *weft_model_note(const weft_model *model, const char *key)
{
    return model && key ? model->api.note(model, key) : NULL;
}

weft_status weft_model_set_note(weft_model *model, const char *key, const char *text)
{
    if (model) return model->api.set_note(model, key, text);
    return weft_fail(WEFT_E_ARG, "weft_model_set_note: model is NULL");
}

static weft_status no_such(const weft_model *model, const char *what, uint32_t i, size_t n)
{
    if (!model) return weft_fail(WEFT_E_ARG, "no model; make one with weft_model_create()");
    return weft_fail(WEFT_E_ARG,
                     "model \"%s\" has %zu %ss; there is no number %u (they count from 0)",
                     model->name, n, what, (unsigned)i);
}

weft_status weft_model_input(const weft_model *model, uint32_t i, const char **name,
                             weft_spec *spec)
{
    if (!model || i >= model->n_inputs)
        return no_such(model, "input", i, model ? model->n_inputs : 0);
    const weft__tensor *t = weft__tensor_at(model, model->input[i]);
    if (name) *name = t->name;
    if (spec) *spec = t->spec;
    return WEFT_OK;
}

weft_status weft_model_output(const weft_model *model, uint32_t i, const char **name,
                              weft_spec *spec)
{
    if (!model || i >= model->n_outputs)
        return no_such(model, "output", i, model ? model->n_outputs : 0);
    if (name) *name = model->output[i].name;
    if (spec) *spec = weft__tensor_at(model, model->output[i].tensor)->spec;
    return WEFT_OK;
}

weft_status weft_tensor_spec(const weft_model *model, weft_tensor tensor, weft_spec *spec)
{
    if (!model) return no_such(model, "tensor", 0, 0);
    if (!spec) return weft_fail(WEFT_E_ARG, "weft_tensor_spec: spec is NULL");
    if (tensor.model != model->number &&
        (tensor.model != model->base || tensor.id > model->base_tensors))
        return weft_fail(WEFT_E_ARG, "the tensor is not of model \"%s\", or making it failed",
                         model->name);
    const weft__tensor *t = weft__tensor_at(model, tensor.id);
    if (!t) return no_such(model, "tensor", tensor.id, model->n_tensors);
    *spec = t->spec;
    return WEFT_OK;
}

uint32_t weft_model_n_variables(const weft_model *model)
{
    return model ? (uint32_t)model->n_variables : 0;
}

weft__variable *weft__model_variable_at(const weft_model *model, uint32_t i)
{
    return i < model->n_variables ? model->variable[i] : NULL;
}

weft_status weft_model_variable(const weft_model *model, uint32_t i, const char **name,
                                weft_spec *spec, uint32_t *flags)
{
    const weft__variable *v = model ? weft__model_variable_at(model, i) : NULL;
    if (!v) return no_such(model, "variable", i, model ? model->n_variables : 0);
    if (name) *name = model->variable_name[i];
    if (spec) *spec = v->spec;
    if (flags) *flags = v->flags;
    return WEFT_OK;
}

/* Has the caller's array the variable's shape and dtype, and memory? */
static weft_status fits(const weft__variable *v, const char *name, const weft_array *array)
{
    weft__spec_text mine, theirs;
    if (!array || !array->data)
        return weft_fail(WEFT_E_ARG, "variable \"%s\": the array has no memory", name);
    if (weft__spec_equal(&v->spec, &array->spec)) return WEFT_OK;
    return weft_fail(WEFT_E_SHAPE, "variable \"%s\" is %s, the array is %s; they must be equal",
                     name, weft__spec_show(&v->spec, &mine),
                     weft__spec_show(&array->spec, &theirs));
}

weft_status weft_model_get_variable(const weft_model *model, uint32_t i, weft_array *array)
{
    weft__variable *v = model ? weft__model_variable_at(model, i) : NULL;
    if (!v) return no_such(model, "variable", i, model ? model->n_variables : 0);
    weft_status st = fits(v, model->variable_name[i], array);
    return st ? st : weft__variable_read(v, array->data);
}

weft_status weft_model_set_variable(weft_model *model, uint32_t i, const weft_array *array)
{
    weft__variable *v = model ? weft__model_variable_at(model, i) : NULL;
    if (!v) return no_such(model, "variable", i, model ? model->n_variables : 0);
    weft_status st = fits(v, model->variable_name[i], array);
    return st ? st : weft__variable_write(v, array->data);
}

weft_status weft_model_reset_state(weft_model *model)
{
    weft_status st = WEFT_OK;
    if (!model || !model->finished)
        return weft_fail(
            WEFT_E_ARG,
            "weft_model_reset_state: the model is not finished; end it with weft_model_finish()");
    for (size_t i = 0; i < model->n_variables && !st; i++)
        if (model->variable[i]->flags & WEFT_TRANSIENT)
            st = weft__variable_reset(model->variable[i]);
    return st;
}

static const weft__layer *find_layer(const weft_model *model, const char *path)
{
    for (size_t i = 0; i < model->n_layers; i++) {
        const weft__layer *layer = &model->layer[i];
        size_t n = strlen(layer->name);
        if (strcmp(layer->name, path) == 0) return layer;
        /* a name may hold "/" itself, so every layer that begins the path is tried */
        if (layer->body->sub && strncmp(layer->name, path, n) == 0 && path[n] == '/') {
            const weft__layer *inner = find_layer(layer->body->sub, path + n + 1);
            if (inner) return inner;
        }
    }
    return NULL;
}

weft_status weft_model_set_trainable(weft_model *model, const char *layer, int trainable)
{
    if (!model || !model->finished)
        return weft_fail(
            WEFT_E_ARG,
            "weft_model_set_trainable: the model is not finished; end it with weft_model_finish()");
    if (layer) {
        const weft__layer *found = find_layer(model, layer);
        if (found) return weft__body_freeze(found->body, !trainable);
        return weft_fail(WEFT_E_NOTFOUND,
                         "model \"%s\" has no layer \"%s\"; its summary lists them", model->name,
                         layer);
    }
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < model->n_layers && st == WEFT_OK; i++)
        st = weft__body_freeze(model->layer[i].body, !trainable);
    return st;
}

void weft__model_keep_frozen(const weft_model *model)
{
    for (size_t i = 0; i < model->n_layers; i++) {
        weft__body *body = model->layer[i].body;
        body->compiled_frozen = body->frozen;
        if (body->sub) weft__model_keep_frozen(body->sub);
    }
}

weft_status weft_model_set_seed(weft_model *model, uint64_t seed)
{
    if (!model) return weft_fail(WEFT_E_ARG, "no model; make one with weft_model_create()");
    if (model->n_calls)
        return weft_fail(
            WEFT_E_ARG,
            "model \"%s\" has layers already: set the seed before the first one is called",
            model->name);
    model->store->seed = seed;
    return WEFT_OK;
}

/* stores are sorted by address, so that two models with some in common never wait for each other in
 * a ring */
void weft__model_read_lock(const weft_model *model)
{
    for (size_t i = 0; i < model->n_stores; i++)
        pthread_rwlock_rdlock(&model->stores[i]->lock);
}

void weft__model_write_lock(const weft_model *model)
{
    for (size_t i = 0; i < model->n_stores; i++)
        pthread_rwlock_wrlock(&model->stores[i]->lock);
}

void weft__model_unlock(const weft_model *model)
{
    for (size_t i = model->n_stores; i > 0; i--)
        pthread_rwlock_unlock(&model->stores[i - 1]->lock);
}

uint64_t weft__model_generation(const weft_model *model)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model->n_stores; i++)
        sum += atomic_load(&model->stores[i]->generation);
    return sum;
}

int weft__model_masks(const weft_model *model, uint32_t i)
{
    return weft__tensor_at(model, model->output[i].tensor)->masked;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static weft_status fail_unapplied(const weft__layer *layer, const weft__attr *attr)
{
    int added = ends_with(attr->name, "_regularizer");
    int always = strcmp(attr->name, "activity_regularizer") == 0;
    weft__text value = { 0 };
    weft__value_print(&value, &attr->value);
    weft_status st = weft_fail(
        WEFT_E_UNSUPPORTED, "layer \"%s\" (%s) has %s=%s, %s; set it to none in Keras%s",
        layer->name, weft__layer_class_name(layer), attr->name, value.s ? value.s : "?",
        added
            ? "which Keras adds to the loss, and Weft does not yet: loss and training would differ"
            : "which training does not apply yet: the model would learn something else",
        always ? ", or use an ActivityRegularization layer" : ", or freeze the layer");
    weft__text_finish(&value);
    return st;
}

/* Keras adds what regularizes results for frozen layers, too. */
static int is_applied(const weft__layer *layer, const char *name, int training)
{
    if (strcmp(name, "activity_regularizer") == 0) return 0;
    if (layer->body->frozen) return 1;
    return !ends_with(name, "_regularizer") && !(training && ends_with(name, "_constraint"));
}

static weft_status check_applied(const weft__layer *layer, int training)
{
    const weft__attrs *attrs = layer->body->attrs;
    if (layer->body->sub) return weft__model_check_applied(layer->body->sub, training);
    for (size_t i = 0; attrs && i < attrs->n; i++) {
        const weft__attr *attr = &attrs->attr[i];
        if (attr->value.kind == WEFT__NONE || is_applied(layer, attr->name, training)) continue;
        return fail_unapplied(layer, attr);
    }
    return WEFT_OK;
}

weft_status weft__model_check_applied(const weft_model *model, int training)
{
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < model->n_layers && !st; i++)
        st = check_applied(&model->layer[i], training);
    return st;
}
