/* Layers: made from a class and attribute text, or from a whole model; their bodies are shared by
 * derived models. trainable=false freezes a layer: its variables lose the flag WEFT_TRAINABLE. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "model/parts.h"
#include "registry/registry.h"

const char *weft__layer_class_name(const weft__layer *layer)
{
    return layer->body->cls ? layer->body->cls->name : layer->body->sub->kind;
}

weft_status weft__body_create(weft_model *model, const char *name, weft__body **body)
{
    weft__body *b = weft__alloc(sizeof *b);
    if (!b) return WEFT_E_NOMEM;
    atomic_init(&b->refs, 1);
    b->store = weft__store_ref(model->store);
    b->name = weft__strdup(name);
    if (!b->name) {
        weft__body_destroy(&b);
        return WEFT_E_NOMEM;
    }
    *body = b;
    return WEFT_OK;
}

weft__body *weft__body_ref(weft__body *body)
{
    atomic_fetch_add(&body->refs, 1);
    return body;
}

void weft__body_destroy(weft__body **body)
{
    weft__body *b = *body;
    *body = NULL;
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1) return;
    for (size_t i = 0; i < b->n_variables; i++)
        weft__variable_destroy(&b->variable[i]);
    weft__free(b->variable);
    weft_model_destroy(&b->sub);
    weft__attrs_destroy(&b->attrs);
    weft__store_destroy(&b->store);
    weft__free(b->text);
    weft__free(b->name);
    weft__free(b);
}

void weft__layer_finish(weft__layer *layer)
{
    for (size_t i = 0; i < layer->n_calls; i++)
        weft__free(layer->call[i].in);
    weft__free(layer->call);
    weft__free(layer->name);
    weft__body_destroy(&layer->body);
}

static int in_schema(const weft_layer_class *cls, const char *name)
{
    for (const weft_attr *a = cls->attrs; a && a->name; a++)
        if (strcmp(a->name, name) == 0) return 1;
    return 0;
}

/* Takes name= out: a word or a string. */
static weft_status take_name(weft__attrs *attrs, char **name)
{
    weft__value value;
    if (!weft__attrs_take(attrs, "name", &value)) return WEFT_OK;
    weft_status st = WEFT_OK;
    if (value.kind == WEFT__WORD || value.kind == WEFT__STRING) {
        *name = weft__strdup(value.s);
        if (!*name) st = WEFT_E_NOMEM;
    } else if (value.kind != WEFT__NONE) {
        st = weft_fail(WEFT_E_ATTR, "attribute name must be a word or a \"string\"");
    }
    weft__value_finish(&value);
    return st;
}

/* trainable= belongs to every layer. A class that declares it (one that computes differently when
 * frozen, as batch normalization does) keeps it among its attributes. */
static weft_status take_trainable(const weft_layer_class *cls, weft__attrs *attrs, int *frozen)
{
    const weft__value *declared = weft__attrs_get(attrs, "trainable");
    if (!declared) return WEFT_OK;
    if (declared->kind != WEFT__FLAG)
        return weft_fail(WEFT_E_ATTR, "attribute trainable must be true or false");
    *frozen = !declared->i;
    if (in_schema(cls, "trainable")) return WEFT_OK;
    weft__value value;
    if (weft__attrs_take(attrs, "trainable", &value)) weft__value_finish(&value);
    return WEFT_OK;
}

weft_status weft__layer_attrs_make(const weft_layer_class *cls, const char *text,
                                   weft__layer_attrs *res)
{
    weft__attrs *given = NULL;
    weft__text what = { 0 };
    memset(res, 0, sizeof *res);
    weft_status st = weft__attrs_parse(text, &given);
    if (st == WEFT_OK && !in_schema(cls, "name")) st = take_name(given, &res->name);
    if (st == WEFT_OK) st = take_trainable(cls, given, &res->frozen);
    if (st == WEFT_OK) {
        weft__text_add(&what, "layer class %s", cls->name);
        st = what.failed ? WEFT_E_NOMEM : weft__attrs_check(given, cls->attrs, what.s, &res->attrs);
    }
    weft__attrs_destroy(&given);
    weft__text_finish(&what);
    if (st) weft__layer_attrs_finish(res);
    return st;
}

void weft__layer_attrs_finish(weft__layer_attrs *attrs)
{
    weft__attrs_destroy(&attrs->attrs);
    weft__free(attrs->name);
    attrs->name = NULL;
}

static weft_status print_attrs(weft__body *body)
{
    weft__text text = { 0 };
    weft__attrs_print(&text, body->attrs, NULL);
    if (body->frozen && !in_schema(body->cls, "trainable"))
        weft__text_add(&text, "%strainable=false", text.n ? " " : "");
    if (text.n == 0) weft__text_put(&text, "", 0);
    char *s = text.failed ? NULL : text.s ? weft__text_take(&text) : weft__strdup("");
    weft__text_finish(&text);
    if (!s) return WEFT_E_NOMEM;
    weft__free(body->text);
    body->text = s;
    return WEFT_OK;
}

/* The name in this model: the given one, which must be free, or a default from `base`. */
static weft_status choose_name(weft_model *model, const char *name, const char *base, char **res)
{
    if (name) {
        weft_status st = weft__name_check(name, "layer");
        if (st) return st;
        if (weft__names_find(&model->names, name))
            return weft_fail(
                WEFT_E_ARG,
                "model \"%s\" has two parts named \"%s\"; names of inputs and layers must "
                "be unique: choose another, or leave name= out",
                model->name, name);
    }
    *res = name ? weft__strdup(name) : weft__unique_name(&model->names, &model->counters, base);
    if (!*res) return WEFT_E_NOMEM;
    return weft__names_put(&model->names, *res, 1);
}

/* Adds a layer with that body (taken over, also when it fails). */
static uint32_t add(weft_model *model, char *name, weft__body *body)
{
    if (model->n_layers >= UINT32_MAX - 1 ||
        weft__grow(&model->layer, model->n_layers, &model->cap_layers, sizeof *model->layer)) {
        weft__model_fail(model, WEFT_E_NOMEM);
        weft__free(name);
        weft__body_destroy(&body);
        return 0;
    }
    model->layer[model->n_layers++] = (weft__layer){ .name = name, .body = body };
    return (uint32_t)model->n_layers;
}

static weft_status fill_body(weft_model *model, const weft_layer_class *cls,
                             weft__layer_attrs *attrs, const char *name, weft__body **body)
{
    weft_status st = weft__body_create(model, name, body);
    if (st) return st;
    (*body)->cls = cls;
    (*body)->attrs = attrs->attrs;
    (*body)->frozen = attrs->frozen;
    attrs->attrs = NULL;
    return print_attrs(*body);
}

/* The name that the attributes give, for messages; NULL where there is none, or the text is
 * wrong, which is told later. */
static weft_status peek_name(const char *text, char **name)
{
    weft__attrs *attrs = NULL;
    *name = NULL;
    if (!text || !strstr(text, "name=")) return WEFT_OK;
    weft_status st = weft__attrs_parse(text, &attrs);
    if (!st) st = take_name(attrs, name);
    weft__attrs_destroy(&attrs);
    return st == WEFT_E_NOMEM ? st : WEFT_OK;
}

uint32_t weft__model_add_layer(weft_model *model, const char *cls_name, const char *name,
                               const char *text)
{
    if (!weft__model_open(model)) return 0;
    weft__layer_attrs attrs = { 0 };
    weft__body *body = NULL;
    char *base = NULL, *own = NULL, *given = NULL;
    weft_status st = peek_name(name ? NULL : text, &given);
    const char *shown = name ? name : given;
    size_t where = weft__where_push(shown ? "layer \"%s\" (%s)" : "layer%s (%s)",
                                    shown ? shown : "", cls_name ? cls_name : "?");
    const weft_layer_class *cls = cls_name ? weft__find_layer_class(model->ctx, cls_name) : NULL;
    if (st == WEFT_OK && !cls_name)
        st = weft_fail(WEFT_E_ARG, "the name of its class is NULL; give one, as \"Dense\"");
    else if (st == WEFT_OK && !cls)
        st = weft__fail_no_layer_class(model->ctx, cls_name);
    if (st == WEFT_OK) st = weft__layer_attrs_make(cls, text, &attrs);
    if (st == WEFT_OK && name && attrs.name && strcmp(name, attrs.name) != 0)
        st = weft_fail(WEFT_E_ATTR, "it is named twice: \"%s\" and name=%s", name, attrs.name);
    if (st == WEFT_OK && !(base = weft__snake(cls->name))) st = WEFT_E_NOMEM;
    if (st == WEFT_OK) st = choose_name(model, name ? name : attrs.name, base, &own);
    if (st == WEFT_OK) st = fill_body(model, cls, &attrs, own, &body);
    weft__where_pop(where);
    weft__layer_attrs_finish(&attrs);
    weft__free(base);
    weft__free(given);
    if (st == WEFT_OK) return add(model, own, body);
    weft__model_fail(model, st);
    weft__free(own);
    weft__body_destroy(&body);
    return 0;
}

static weft_status check_sub(const weft_model *model, const weft_model *sub)
{
    if (sub->status)
        return weft__fail_text(sub->status,
                               sub->text ? sub->text : "out of memory while a submodel was built");
    if (!sub->finished)
        return weft_fail(WEFT_E_ARG,
                         "model \"%s\" is not finished: end it with weft_model_finish() before it "
                         "becomes a layer of \"%s\"",
                         sub->name, model->name);
    if (sub->ctx != model->ctx)
        return weft_fail(WEFT_E_ARG,
                         "models \"%s\" and \"%s\" have different contexts; make both with one",
                         sub->name, model->name);
    if (sub->depth + 1 > WEFT__MAX_DEPTH)
        return weft_fail(WEFT_E_UNSUPPORTED, "models are nested deeper than %d", WEFT__MAX_DEPTH);
    return WEFT_OK;
}

uint32_t weft__model_add_sublayer(weft_model *model, weft_model *sub, const char *name)
{
    if (!weft__model_open(model)) return 0;
    weft__body *body = NULL;
    char *own = NULL;
    if (!sub) {
        weft__model_fail(
            model, weft_fail(WEFT_E_ARG, "model \"%s\": there is no model to call", model->name));
        return 0;
    }
    if (sub->hollow && !sub->status) return 0; /* the root knows what is missing */
    weft_status st = check_sub(model, sub);
    if (st == WEFT_OK) st = choose_name(model, name, sub->name, &own);
    if (st == WEFT_OK) st = weft__body_create(model, own, &body);
    if (st == WEFT_OK) {
        body->sub = weft__model_ref(sub);
        body->built = 1;
        if (model->depth < sub->depth + 1) model->depth = sub->depth + 1;
        return add(model, own, body);
    }
    weft__model_fail(model, st);
    weft__free(own);
    return 0;
}

weft_layer weft_layer_create(weft_model *model, const char *layer_class, const char *attrs)
{
    uint32_t id = weft__model_add_layer(model, layer_class, NULL, attrs);
    return id ? (weft_layer){ id, model->number } : (weft_layer){ 0, 0 };
}

/* Freezes or frees a body and everything inside it. */
weft_status weft__body_freeze(weft__body *body, int frozen)
{
    if (body->sub) {
        weft_status st = WEFT_OK;
        for (size_t i = 0; i < body->sub->n_layers && st == WEFT_OK; i++)
            st = weft__body_freeze(body->sub->layer[i].body, frozen);
        return st;
    }
    body->frozen = frozen;
    for (size_t i = 0; i < body->n_variables; i++) {
        weft__variable *v = body->variable[i];
        v->flags = frozen ? v->declared & ~(uint32_t)WEFT_TRAINABLE : v->declared;
    }
    for (size_t i = 0; i < body->attrs->n; i++)
        if (strcmp(body->attrs->attr[i].name, "trainable") == 0)
            body->attrs->attr[i].value.i = !frozen;
    return print_attrs(body);
}

weft__variable *weft__layer_variable(const weft__layer *layer, uint32_t i, const char **name)
{
    const weft__body *body = layer->body;
    weft__variable **list = body->sub ? body->sub->variable : body->variable;
    size_t n = weft__layer_n_variables(layer);
    for (int trainable = 1; trainable >= 0; trainable--)
        for (size_t k = 0; k < n; k++) {
            if (((list[k]->declared & WEFT_TRAINABLE) != 0) != trainable || i-- != 0) continue;
            if (name) *name = body->sub ? body->sub->variable_name[k] : list[k]->name;
            return list[k];
        }
    return NULL;
}

uint32_t weft__layer_n_variables(const weft__layer *layer)
{
    const weft__body *body = layer->body;
    return (uint32_t)(body->sub ? body->sub->n_variables : body->n_variables);
}
