/* The end of building: the first failure or all missing layers are told, the order of layers and
 * variables is fixed, variables get their values. And models made from finished ones. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "model/parts.h"
#include "registry/registry.h"

/* What to do next, unless the format's own words say so already. */
static const char *const ways_out[] = {
    [0] = "",
    [1] = "\nA plugin that provides the class can be written (plugins/example) and put on "
          "WEFT_PLUGIN_PATH; `weft plugins` lists what there is.",
    [2] = "\nA Lambda holds Python code, which is never run. In Keras, replace it by layers "
          "(Rescaling, Multiply, Reshape ...) and save again; or write a layer plugin and "
          "register the class in Keras under its name.",
};

weft_status weft__missing_add(weft_model *model, const char *cls, const char *layer,
                              const char *why)
{
    if (!model)
        return weft_fail(WEFT_E_ARG,
                         "there is no model that a layer is missing from: making it failed");
    weft_model *root = weft__model_root(model);
    int advice = why && strstr(why, "ways out") ? 0 : cls && strcmp(cls, "Lambda") == 0 ? 2 : 1;
    weft__text_add(&root->missing, "\n  layer \"%s\" (%s)", layer ? layer : "?", cls ? cls : "?");
    if (model != root) weft__text_add(&root->missing, " in model \"%s\"", model->name);
    weft__text_add(&root->missing, ": %s", why ? why : "no plugin provides this class");
    if (advice == 1 && cls) weft__tell_refused_like(root->ctx, cls, &root->missing);
    root->n_missing++;
    if (advice > root->missing_advice) root->missing_advice = advice;
    for (weft_model *m = model; m; m = m->parent)
        m->hollow = 1;
    return root->missing.failed ? weft__model_fail(root, WEFT_E_NOMEM) : WEFT_OK;
}

static weft_status tell_missing(const weft_model *model)
{
    weft__text refused = { 0 };
    weft__tell_refused(model->ctx, "\n", &refused);
    weft_status st = WEFT_E_NOMEM;
    if (!refused.failed)
        st = weft_fail(WEFT_E_UNSUPPORTED, "model \"%s\" has %u unsupported part%s:%s%s%s",
                       model->name, (unsigned)model->n_missing, model->n_missing == 1 ? "" : "s",
                       model->missing.s, ways_out[model->missing_advice],
                       refused.s ? refused.s : "");
    weft__text_finish(&refused);
    return st;
}

typedef struct numbered {
    weft__variable *variable;
    size_t i;
} numbered;

static int by_address(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    if (x->variable != y->variable) return (uintptr_t)x->variable < (uintptr_t)y->variable ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

typedef struct listing {
    weft__variable **variable;
    char **name;
    size_t n;
} listing;

/* Drops what comes again (a shared layer inside two models), keeping the order. */
static weft_status drop_doubles(listing *list)
{
    numbered *sorted = weft__alloc_n(list->n, sizeof *sorted);
    size_t kept = 0;
    if (!sorted) return WEFT_E_NOMEM;
    for (size_t i = 0; i < list->n; i++)
        sorted[i] = (numbered){ list->variable[i], i };
    if (list->n) qsort(sorted, list->n, sizeof *sorted, by_address);
    for (size_t i = 1; i < list->n; i++)
        if (sorted[i].variable == sorted[i - 1].variable) list->variable[sorted[i].i] = NULL;
    for (size_t i = 0; i < list->n; i++) {
        if (list->variable[i]) {
            list->variable[kept] = list->variable[i];
            list->name[kept++] = list->name[i];
        } else {
            weft__free(list->name[i]);
        }
    }
    list->n = kept;
    weft__free(sorted);
    return WEFT_OK;
}

static weft_status add_variable(listing *list, weft__variable *v, const char *layer,
                                const char *name)
{
    weft__text text = { 0 };
    weft__text_add(&text, "%s/%s", layer, name);
    if (text.failed) {
        weft__text_finish(&text);
        return WEFT_E_NOMEM;
    }
    list->variable[list->n] = v;
    list->name[list->n++] = weft__text_take(&text);
    return WEFT_OK;
}

/* A model as a layer gives its variables in its own order, layer by layer. */
static weft_status add_variables(listing *list, const weft__layer *layer)
{
    const weft__body *body = layer->body;
    const weft_model *sub = body->sub;
    weft_status st = WEFT_OK;
    for (size_t v = 0; sub && v < sub->n_variables && st == WEFT_OK; v++)
        st = add_variable(list, sub->variable[v], layer->name, sub->variable_name[v]);
    for (int trainable = 1; !sub && trainable >= 0; trainable--)
        for (size_t v = 0; v < body->n_variables && st == WEFT_OK; v++)
            if (((body->variable[v]->declared & WEFT_TRAINABLE) != 0) == trainable)
                st = add_variable(list, body->variable[v], layer->name, body->variable[v]->name);
    return st;
}

static weft_status collect_variables(weft_model *model)
{
    listing list = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < model->n_places; i++)
        if (!model->place[i].is_input)
            n += weft__layer_n_variables(weft__layer_at(model, model->place[i].index));
    list.variable = weft__alloc_n(n + 1, sizeof(weft__variable *));
    list.name = weft__alloc_n(n + 1, sizeof(char *));
    weft_status st = list.variable && list.name ? WEFT_OK : WEFT_E_NOMEM;
    for (size_t i = 0; i < model->n_places && st == WEFT_OK; i++)
        if (!model->place[i].is_input)
            st = add_variables(&list, weft__layer_at(model, model->place[i].index));
    if (st == WEFT_OK) st = drop_doubles(&list);
    if (st) {
        for (size_t i = 0; i < list.n; i++)
            weft__free(list.name[i]);
        weft__free(list.variable);
        weft__free(list.name);
        return st;
    }
    model->variable = list.variable;
    model->variable_name = list.name;
    model->n_variables = list.n;
    return WEFT_OK;
}

static int store_order(const void *a, const void *b)
{
    weft__store *const *x = a, *const *y = b;
    return (uintptr_t)*x < (uintptr_t)*y ? -1 : (uintptr_t)*x > (uintptr_t)*y;
}

static weft_status collect_stores(weft_model *model)
{
    size_t n = 0, kept = 0;
    weft__store **list = weft__alloc_n(model->n_variables + 1, sizeof(weft__store *));
    if (!list) return WEFT_E_NOMEM;
    list[n++] = model->store;
    for (size_t i = 0; i < model->n_variables; i++)
        if (list[n - 1] != model->variable[i]->store) list[n++] = model->variable[i]->store;
    qsort(list, n, sizeof *list, store_order);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || list[i] != list[i - 1]) list[kept++] = weft__store_ref(list[i]);
    model->stores = list;
    model->n_stores = kept;
    return WEFT_OK;
}

weft_status weft__model_ready(weft_model *model)
{
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < model->n_variables && st == WEFT_OK; i++) {
        size_t where = weft__where_push("variable \"%s\"", model->variable[i]->path);
        st = weft__variable_ready(model->variable[i]);
        weft__where_pop(where);
    }
    return st;
}

static weft_status check_whole(const weft_model *model)
{
    if (model->status)
        return weft__fail_text(
            model->status, model->text ? model->text : "out of memory while the model was built");
    if (model->n_outputs == 0)
        return weft_fail(WEFT_E_ARG, "model \"%s\" has no outputs; name them with weft_output()",
                         model->name);
    if (model->n_inputs == 0)
        return weft_fail(WEFT_E_ARG, "model \"%s\" has no inputs; make them with weft_input()",
                         model->name);
    return WEFT_OK;
}

/* Without values for the variables. A part of a model that is being loaded and lacks layers ends
 * well: its root tells of all of them at once. */
weft_status weft__model_conclude(weft_model *model)
{
    if (!model) return weft_fail(WEFT_E_ARG, "there is no model to finish: making it failed");
    if (model->finished) return WEFT_OK;
    if (model->n_missing) weft__model_fail(model, tell_missing(model));
    if (model->hollow && model->parent && model->status == WEFT_OK) return WEFT_OK;
    weft_status st = check_whole(model);
    if (st == WEFT_OK) st = weft__order_make(model);
    if (st == WEFT_OK) st = collect_variables(model);
    if (st == WEFT_OK) st = collect_stores(model);
    if (st) return weft__model_fail(model, st);
    model->finished = 1;
    return WEFT_OK;
}

weft_status weft_model_finish(weft_model *model)
{
    if (!model) return weft_fail(WEFT_E_ARG, "no model; make one with weft_model_create()");
    int before = model->finished;
    weft_status st = weft__model_conclude(model);
    if (st || before || model->loading) return st;
    st = weft__model_ready(model);
    if (st) {
        model->finished = 0;
        weft__model_fail(model, st);
    }
    return st;
}

weft_tensor weft_model_layer_output(const weft_model *model, int32_t index)
{
    weft_tensor none = { 0, 0 };
    if (!model || !model->finished) {
        weft_fail(
            WEFT_E_ARG,
            "weft_model_layer_output: the model is not finished; end it with weft_model_finish()");
        return none;
    }
    /* Keras's Sequential does not count its input as a layer */
    int skip = strcmp(model->kind, WEFT__KIND_SEQUENTIAL) == 0;
    int64_t n = 0, wanted = index;
    for (size_t i = 0; i < model->n_places; i++)
        n += !(skip && model->place[i].is_input);
    if (wanted < 0) wanted += n;
    if (wanted < 0 || wanted >= n) {
        weft_fail(WEFT_E_ARG, "model \"%s\" has %lld layer%s; there is no number %d", model->name,
                  (long long)n, n == 1 ? "" : "s", (int)index);
        return none;
    }
    for (size_t i = 0; i < model->n_places; i++) {
        const weft__place *p = &model->place[i];
        if ((skip && p->is_input) || wanted-- != 0) continue;
        if (p->is_input) return (weft_tensor){ model->input[p->index], model->number };
        return (weft_tensor){ weft__layer_at(model, p->index)->call[0].first, model->number };
    }
    return none;
}

static weft_status copy_tensors(const weft_model *src, weft_model *dst)
{
    for (size_t i = 0; i < src->n_tensors; i++) {
        weft__tensor t = src->tensor[i];
        t.name = src->tensor[i].name ? weft__strdup(src->tensor[i].name) : NULL;
        t.data = NULL;
        if (src->tensor[i].name && !t.name) return WEFT_E_NOMEM;
        if (src->tensor[i].data) {
            size_t bytes = (size_t)weft__spec_bytes(&t.spec);
            t.data = weft__alloc(bytes);
            if (t.data && bytes) memcpy(t.data, src->tensor[i].data, bytes);
        }
        if (src->tensor[i].data && !t.data) {
            weft__free(t.name);
            return WEFT_E_NOMEM;
        }
        if (!weft__model_add_tensor(dst, &t)) return WEFT_E_NOMEM;
        if (t.name && weft__names_put(&dst->names, t.name, 0)) return WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

static weft_status copy_layer(const weft__layer *src, weft_model *dst)
{
    weft_status st = weft__grow(&dst->layer, dst->n_layers, &dst->cap_layers, sizeof *dst->layer);
    if (st) return st;
    weft__layer *layer = &dst->layer[dst->n_layers];
    *layer = (weft__layer){ .name = weft__strdup(src->name) };
    if (!layer->name) return WEFT_E_NOMEM;
    layer->body = weft__body_ref(src->body);
    dst->n_layers++;
    layer->call = weft__alloc_n(src->n_calls, sizeof *layer->call);
    if (!layer->call) return WEFT_E_NOMEM;
    layer->cap_calls = src->n_calls;
    for (size_t i = 0; i < src->n_calls; i++) {
        uint32_t *in = weft__alloc_n(src->call[i].n_in, sizeof *in);
        if (!in) return WEFT_E_NOMEM;
        if (src->call[i].n_in) memcpy(in, src->call[i].in, src->call[i].n_in * sizeof *in);
        layer->call[i] = src->call[i];
        layer->call[i].in = in;
        layer->n_calls++;
    }
    return weft__names_put(&dst->names, src->name, 1);
}

static weft_status copy_model(const weft_model *src, weft_model *dst)
{
    weft_status st = copy_tensors(src, dst);
    for (size_t i = 0; i < src->n_layers && st == WEFT_OK; i++)
        st = copy_layer(&src->layer[i], dst);
    if (st) return st;
    dst->input = weft__alloc_n(src->n_inputs, sizeof *dst->input);
    dst->call = weft__alloc_n(src->n_calls + 1, sizeof *dst->call);
    if (!dst->input || !dst->call) return WEFT_E_NOMEM;
    memcpy(dst->input, src->input, src->n_inputs * sizeof *dst->input);
    if (src->n_calls) memcpy(dst->call, src->call, src->n_calls * sizeof *dst->call);
    dst->n_inputs = dst->cap_inputs = src->n_inputs;
    dst->n_calls = src->n_calls;
    dst->cap_calls = src->n_calls + 1;
    dst->size = src->size;
    dst->depth = src->depth;
    dst->base = src->number;
    dst->base_tensors = (uint32_t)src->n_tensors;
    dst->base_layers = (uint32_t)src->n_layers;
    dst->store->seed = src->store->seed;
    return WEFT_OK;
}

weft_status weft_model_derive(weft_model *model, const char *name, weft_model **derived)
{
    weft_model *m = NULL;
    if (!derived)
        return weft_fail(WEFT_E_ARG, "weft_model_derive: nowhere to put the model; pass a pointer");
    *derived = NULL;
    if (!model || !model->finished)
        return weft_fail(
            WEFT_E_ARG,
            "weft_model_derive: the model is not finished; end it with weft_model_finish()");
    weft_status st = weft_model_create(model->ctx, name ? name : model->name, &m);
    if (st == WEFT_OK) st = copy_model(model, m);
    if (st) {
        weft_model_destroy(&m);
        return st;
    }
    *derived = m;
    return WEFT_OK;
}
