/* Runs the build() of one layer: arity, the hooks that need a model (variables, layers inside
 * layers, training, masks), and the checks of what came out. */
#include "model/trace.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/random.h"
#include "registry/registry.h"

/* The `user` of the hooks: one layer, or a layer inside one, while it is built. */
typedef struct run {
    weft__lowering *lowering;
    weft__body *body; /* owner of the variables */
    const weft_layer_class *cls;
    const char *path, *prefix; /* of graph nodes; of variables within the body: "" or "cell/" */
    int inference, frozen, creating;
    int asked; /* build() asked for a mask */
    unsigned depth;
    weft__names names, counters; /* of the layers inside */
    struct pending {
        uint32_t out;
        weft_val mask;
    } * pending;
    size_t n_pending, cap_pending;
} run;

typedef struct class_request {
    const weft__attrs *attrs;
    weft__graph *graph;
    const weft_val *in;
    uint32_t n_in;
} class_request;
static weft_status run_class(run *r, const class_request *request, weft__results *results);

void weft__lowering_finish(weft__lowering *lowering)
{
    weft__names_finish(&lowering->streams);
    weft__free(lowering->mask);
    lowering->mask = NULL;
    lowering->n_masks = lowering->cap_masks = 0;
}

weft_val weft__mask_of(const weft__lowering *lowering, const weft__graph *graph, weft_val value)
{
    for (size_t i = lowering->n_masks; i > 0; i--) {
        const weft__mask_pair *p = &lowering->mask[i - 1];
        if (p->graph == graph && p->value == value) return p->mask;
    }
    return WEFT_NONE;
}

weft_status weft__mask_set(weft__lowering *lowering, const weft__graph *graph, weft_val value,
                           weft_val mask)
{
    weft_status st = weft__grow(&lowering->mask, lowering->n_masks, &lowering->cap_masks,
                                sizeof *lowering->mask);
    if (st) return st;
    lowering->mask[lowering->n_masks++] = (weft__mask_pair){ graph, value, mask };
    return WEFT_OK;
}

static weft_val sticky(weft__build *b, weft_status st)
{
    if (st && !b->status) b->status = st;
    return 0;
}

/* ---- variables ---- */

static char *join(const char *a, const char *b, const char *c)
{
    weft__text text = { 0 };
    weft__text_add(&text, "%s%s%s", a, b, c);
    char *s = weft__text_take(&text);
    if (!s) weft__text_finish(&text);
    return s;
}

static weft__variable *find_variable(const weft__body *body, const char *name)
{
    for (size_t i = 0; i < body->n_variables; i++)
        if (strcmp(body->variable[i]->name, name) == 0) return body->variable[i];
    return NULL;
}

/* The layer was built before: this call must ask for the same. */
static weft_status check_same(const run *r, const weft__variable *v,
                              const weft__variable_request *asked)
{
    weft__shape_text have, want;
    if (!v)
        return weft_fail(WEFT_E_SHAPE,
                         "this call needs a variable \"%s\" of shape %s, which the first call of "
                         "layer \"%s\" did not make; use a layer of its own here",
                         asked->name, weft__shape_show(asked->spec, &want), r->body->name);
    if (!weft__spec_equal(&v->spec, asked->spec))
        return weft_fail(
            WEFT_E_SHAPE,
            "variable \"%s\" of layer \"%s\" has shape %s %s, but this call needs %s %s: all "
            "inputs of a shared layer must fit the same variables; use a layer of its own here",
            asked->name, r->body->name, weft__shape_show(&v->spec, &have),
            weft_dtype_name(v->spec.dtype), weft__shape_show(asked->spec, &want),
            weft_dtype_name(asked->spec->dtype));
    if (v->declared != asked->flags)
        return weft_fail(WEFT_E_ARG,
                         "variable \"%s\" of layer \"%s\" has flags 0x%x, but this call says 0x%x: "
                         "it must say the same each time",
                         asked->name, r->body->name, (unsigned)v->declared, (unsigned)asked->flags);
    return WEFT_OK;
}

static weft_status create_variable(run *r, const weft__variable_request *given, weft__variable **v)
{
    weft__body *body = r->body;
    weft__variable_request request = *given;
    char *path = join(body->name, "/", given->name);
    weft_status st = path ? WEFT_OK : WEFT_E_NOMEM;
    request.path = path;
    if (st == WEFT_OK)
        st = weft__grow(&body->variable, body->n_variables, &body->cap_variables,
                        sizeof(weft__variable *));
    if (st == WEFT_OK) st = weft__variable_create(body->store, &request, v);
    if (st == WEFT_OK) {
        if (r->frozen) (*v)->flags &= ~(uint32_t)WEFT_TRAINABLE;
        body->variable[body->n_variables++] = *v;
    }
    weft__free(path);
    return st;
}

static weft_val hook_variable(weft__build *b, const char *name, const weft_spec *spec,
                              const char *initializer, uint32_t flags)
{
    run *r = b->user;
    weft__variable *v = NULL;
    weft_val result = 0;
    if (b->status) return 0;
    if (!name || !*name || strchr(name, '/'))
        return sticky(b,
                      weft_fail(WEFT_E_ARG,
                                "a variable's name must not be empty nor hold \"/\"; it is \"%s\"",
                                name ? name : ""));
    char *full = join(r->prefix, name, ""), *shown = join(r->path, "/", name);
    weft__variable_request request = {
        .name = full, .initializer = initializer, .spec = spec, .flags = flags
    };
    weft_status st = full && shown ? WEFT_OK : WEFT_E_NOMEM;
    if (st == WEFT_OK) v = find_variable(r->body, full);
    if (st == WEFT_OK)
        st = v || !r->creating ? check_same(r, v, &request) : create_variable(r, &request, &v);
    if (st == WEFT_OK) {
        weft__graph *root = b->graph; /* in the body of a loop it is captured where it is read */
        while (root->parent)
            root = root->parent;
        result = weft__graph_variable(root, v, shown, &v->spec);
        if (result) result = weft__graph_variable_now(root, result, r->path);
        if (!result) st = WEFT_E_NOMEM;
    }
    weft__free(full);
    weft__free(shown);
    return st ? sticky(b, st) : result;
}

/* ---- layers inside layers ---- */

/* The class and attributes of "Dense", or of canonical text "LeakyReLU(negative_slope=0.1)". */
typedef struct inner {
    const weft_layer_class *cls;
    weft__layer_attrs attrs;
} inner;

static weft_status inner_text(const char *text, const char *more, char **cls, weft__text *attrs)
{
    weft__attrs *outer = NULL;
    weft__text whole = { 0 };
    weft_status st = WEFT_OK;
    if (strchr(text, '(')) {
        weft__text_add(&whole, "layer=%s", text);
        st = whole.failed ? WEFT_E_NOMEM : weft__attrs_parse(whole.s, &outer);
        const weft__value *value = st ? NULL : weft__attrs_get(outer, "layer");
        if (st == WEFT_OK && (!value || value->kind != WEFT__CALL || outer->n != 1))
            st = weft_fail(WEFT_E_ATTR, "\"%s\" names no layer; write Class or Class(attributes)",
                           text);
        if (st == WEFT_OK && !(*cls = weft__strdup(value->s))) st = WEFT_E_NOMEM;
        if (st == WEFT_OK) weft__attrs_print(attrs, value->args, NULL);
    } else {
        *cls = weft__strdup(text);
    }
    if (st == WEFT_OK && more && *more) weft__text_add(attrs, "%s%s", attrs->n ? " " : "", more);
    if (st == WEFT_OK && (!*cls || attrs->failed)) st = WEFT_E_NOMEM;
    weft__attrs_destroy(&outer);
    weft__text_finish(&whole);
    return st;
}

static weft_status find_inner(const run *r, const char *text, const char *more, inner *res)
{
    char *cls = NULL;
    weft__text attrs = { 0 };
    weft_status st = inner_text(text, more, &cls, &attrs);
    if (st == WEFT_OK) {
        res->cls = weft__find_layer_class(r->lowering->ctx, cls);
        st = res->cls ? weft__layer_attrs_make(res->cls, attrs.s, &res->attrs)
                      : weft__fail_no_layer_class(r->lowering->ctx, cls);
    }
    weft__free(cls);
    weft__text_finish(&attrs);
    return st;
}

/* The name that variables of the inner layer begin with. A name that is given may come again: the
 * same layer called again. A default name is new each time. */
static char *inner_name(run *r, const char *name, const inner *in)
{
    char *base = NULL, *res = NULL;
    if (!name) name = in->attrs.name;
    if (name) {
        res = weft__strdup(name);
    } else {
        base = weft__snake(in->cls->name);
        res = base ? weft__unique_name(&r->names, &r->counters, base) : NULL;
    }
    if (res && weft__names_put(&r->names, res, 0)) {
        weft__free(res);
        res = NULL;
    }
    weft__free(base);
    return res;
}

typedef struct inner_call {
    const char *name;
    const weft_val *args;
    uint32_t n;
} inner_call;

static weft_status run_inner(weft__build *b, const inner *in, const inner_call *call,
                             weft__results *results)
{
    run *outer = b->user;
    run r = { .lowering = outer->lowering,
              .body = outer->body,
              .cls = in->cls,
              .inference = outer->inference,
              .frozen = outer->frozen || in->attrs.frozen,
              .creating = outer->creating,
              .depth = outer->depth + 1 };
    char *path = join(outer->path, "/", call->name), *prefix = join(outer->prefix, call->name, "/");
    weft_status st = path && prefix ? WEFT_OK : WEFT_E_NOMEM;
    if (st == WEFT_OK && r.depth > WEFT__MAX_DEPTH)
        st = weft_fail(WEFT_E_UNSUPPORTED,
                       "layers call layers deeper than %d; does one call itself?", WEFT__MAX_DEPTH);
    if (st == WEFT_OK) {
        class_request request = { in->attrs.attrs, b->graph, call->args, call->n };
        r.path = path;
        r.prefix = prefix;
        size_t where = weft__where_push("layer \"%s\" (%s)", call->name, in->cls->name);
        st = weft__arity_check(in->cls, call->name, call->n);
        if (st == WEFT_OK) st = run_class(&r, &request, results);
        weft__where_pop(where);
    }
    weft__free(path);
    weft__free(prefix);
    return st;
}

static weft_val hook_layer(weft__build *b, const char *layer_class, const char *name,
                           const char *attrs, const weft_val *args, uint32_t n, weft_val *outs,
                           uint32_t n_outs)
{
    inner in = { 0 };
    weft__results results = { 0 };
    weft_val first = 0;
    char *own = NULL;
    for (uint32_t i = 0; i < n_outs && outs; i++)
        outs[i] = 0;
    for (uint32_t i = 0; i < n; i++)
        if (args[i] == 0) return 0;
    if (b->status) return 0;
    if (!layer_class) return sticky(b, weft_fail(WEFT_E_ARG, "a layer inside has no class"));
    if (name && (!*name || strchr(name, '/')))
        return sticky(
            b,
            weft_fail(WEFT_E_ARG,
                      "the name of a layer inside must not be empty nor hold \"/\"; it is \"%s\"",
                      name));
    weft_status st = find_inner(b->user, layer_class, attrs, &in);
    if (st == WEFT_OK && !(own = inner_name(b->user, name, &in))) st = WEFT_E_NOMEM;
    if (st == WEFT_OK) {
        inner_call call = { own, args, n };
        st = run_inner(b, &in, &call, &results);
    }
    if (st == WEFT_OK && results.n > 0) {
        first = results.val[0];
        for (uint32_t i = 0; i < n_outs && outs; i++)
            outs[i] = i < results.n ? results.val[i] : WEFT_NONE;
    }
    weft__free(own);
    weft__free(results.val);
    weft__layer_attrs_finish(&in.attrs);
    return st ? sticky(b, st) : first;
}

/* ---- training, masks ---- */

static int hook_training(weft__build *b)
{
    const run *r = b->user;
    return r->lowering->training && !r->inference;
}

static int hook_trainable(weft__build *b)
{
    const run *r = b->user;
    return !r->frozen;
}

static weft_val hook_mask(weft__build *b, uint32_t i)
{
    run *r = b->user;
    r->asked = 1;
    return i < b->n_in && b->in[i] != WEFT_NONE ? weft__mask_of(r->lowering, b->home, b->in[i])
                                                : WEFT_NONE;
}

static weft_status hook_set_mask(weft__build *b, uint32_t out, weft_val mask)
{
    run *r = b->user;
    if (b->status) return b->status;
    if (mask == 0 || mask == WEFT_NONE) return WEFT_OK;
    weft_status st = weft__grow(&r->pending, r->n_pending, &r->cap_pending, sizeof *r->pending);
    if (st == WEFT_OK)
        r->pending[r->n_pending++] = (struct pending){ out, mask };
    else
        sticky(b, st);
    return st;
}

/* ---- random numbers, losses ---- */

/* How many streams the path had before: a shared layer draws other numbers in each call. */
static weft_status next_stream(weft__names *streams, const char *path, uint32_t *number)
{
    uint32_t *n = weft__names_find(streams, path);
    *number = n ? (*n)++ : 0;
    return n ? WEFT_OK : weft__names_put(streams, path, 1);
}

/* The key of the call site: of the layer's own seed if it has one, as in Keras, else of the model's
 * seed and the layer's path. */
static weft_status stream_key(const run *r, const weft__attrs *attrs, int64_t key[2])
{
    const weft__value *seed = attrs ? weft__attrs_get(attrs, "seed") : NULL;
    weft__text name = { 0 };
    uint32_t number;
    weft_status st = next_stream(&r->lowering->streams, r->path, &number);
    if (st) return st;
    key[0] = key[1] = 0;
    if (seed && seed->kind == WEFT__INT) {
        key[0] = seed->i;
        key[1] = number;
        return WEFT_OK;
    }
    weft__text_add(&name, "%s#%u", r->path, (unsigned)number);
    if (name.failed) return WEFT_E_NOMEM;
    key[0] = (int64_t)weft__stream_key(r->lowering->store->seed, name.s);
    weft__text_finish(&name);
    return WEFT_OK;
}

static weft_status hook_random(weft__build *b, weft_val stream[2])
{
    static const weft_spec spec = { WEFT_I64, 1, { 2 } };
    run *r = b->user;
    weft__variable *step = r->lowering->store->step;
    int64_t key[2];
    weft_status st = stream_key(r, b->attrs, key);
    if (st) return st;
    stream[0] = weft__graph_constant(b->graph, &spec, key, 0);
    stream[1] = weft__graph_variable(b->graph, step, "random_step", &step->spec);
    r->lowering->random = 1;
    return stream[0] && stream[1] ? WEFT_OK : WEFT_E_NOMEM;
}

static weft_status hook_add_loss(weft__build *b, weft_val value)
{
    run *r = b->user;
    weft__added *added = r->lowering->added;
    if (!added) return WEFT_OK;
    weft_status st = weft__grow(&added->value, added->n, &added->cap, sizeof *added->value);
    if (!st) added->value[added->n++] = value;
    return st;
}

static const weft__build_hooks hooks = { .layer = hook_layer,
                                         .variable = hook_variable,
                                         .training = hook_training,
                                         .trainable = hook_trainable,
                                         .mask = hook_mask,
                                         .set_mask = hook_set_mask,
                                         .random = hook_random,
                                         .add_loss = hook_add_loss };

/* A layer that neither reads, sets nor passes on its input's mask ends it: worth a word, as in
 * Keras. */
static void warn_lost(const run *r, const weft__build *b)
{
    if (!r->creating || r->asked || r->cls->flags & WEFT_LAYER_PASS_MASK || r->n_pending > 0)
        return;
    for (uint32_t i = 0; i < b->n_in; i++)
        if (b->in[i] != WEFT_NONE && weft__mask_of(r->lowering, b->graph, b->in[i]) != WEFT_NONE) {
            weft__log_write(
                weft__context_logger(r->lowering->ctx), WEFT_LOG_WARN,
                "layer \"%s\" (%s) does not support masking: the mask of its input ends here",
                r->path, r->cls->name);
            return;
        }
}

static weft_status keep_masks(run *r, weft__build *b)
{
    weft_status st = WEFT_OK;
    weft_val mask = WEFT_NONE;
    for (size_t i = 0; i < r->n_pending && st == WEFT_OK; i++) {
        if (r->pending[i].out >= b->n_out)
            st = weft_fail(WEFT_E_ARG, "a mask was set for result %u of %u",
                           (unsigned)r->pending[i].out, (unsigned)b->n_out);
        else
            st = weft__mask_set(r->lowering, b->graph, b->out[r->pending[i].out],
                                r->pending[i].mask);
    }
    warn_lost(r, b);
    if (r->cls->flags & WEFT_LAYER_PASS_MASK && r->n_pending == 0) mask = hook_mask(b, 0);
    for (uint32_t i = 0; i < b->n_out && mask != WEFT_NONE && st == WEFT_OK; i++)
        st = weft__mask_set(r->lowering, b->graph, b->out[i], mask);
    return st;
}

/* ---- one class ---- */

static weft_status check_results(const run *r, const weft__build *b)
{
    uint32_t least = 1, most = 1;
    if (r->cls->outputs) weft__arity(r->cls->outputs, &least, &most);
    if (b->n_out < least || b->n_out > most)
        return weft_fail(
            WEFT_E_INTERNAL,
            "layer class %s promises the results \"%s\", its build() gave %u; this is a "
            "fault of the plugin",
            r->cls->name, r->cls->outputs ? r->cls->outputs : "y", (unsigned)b->n_out);
    return WEFT_OK;
}

static weft_status run_class(run *r, const class_request *request, weft__results *results)
{
    weft__build b = { 0 };
    weft__text what = { 0 };
    weft__text_add(&what, "layer class %s", r->cls->name);
    if (what.failed) return WEFT_E_NOMEM;
    weft__build_setup setup = { .graph = request->graph,
                                .attrs = request->attrs,
                                .path = r->path,
                                .what = what.s,
                                .in = request->in,
                                .n_in = request->n_in,
                                .hooks = &hooks,
                                .user = r };
    weft_status st = weft__build_init(&b, &setup);
    if (st == WEFT_OK) {
        st = weft__build_run(&b, r->cls->build, 0);
        if (st == WEFT_OK) st = check_results(r, &b);
        if (st == WEFT_OK) st = keep_masks(r, &b);
        if (st == WEFT_OK) {
            results->val = weft__alloc_n(b.n_out, sizeof *results->val);
            results->n = b.n_out;
            if (results->val)
                memcpy(results->val, b.out, b.n_out * sizeof *results->val);
            else
                st = WEFT_E_NOMEM;
        }
        weft__build_finish(&b);
    }
    weft__text_finish(&what);
    weft__names_finish(&r->names);
    weft__names_finish(&r->counters);
    weft__free(r->pending);
    return st;
}

/* A layer that has three kinds of inputs reads "x, w, b?"; Keras's words for a wrong number of
 * them. */
weft_status weft__arity_check(const weft_layer_class *cls, const char *name, uint32_t n_in)
{
    uint32_t least = 1, most = 1;
    char range[48];
    if (cls->inputs) weft__arity(cls->inputs, &least, &most);
    if (n_in >= least && n_in <= most) return WEFT_OK;
    if (most == UINT32_MAX)
        snprintf(range, sizeof range, "at least %u input%s", (unsigned)least,
                 least == 1 ? "" : "s");
    else if (most == least)
        snprintf(range, sizeof range, "%u input(s)", (unsigned)least);
    else
        snprintf(range, sizeof range, "%u to %u inputs", (unsigned)least, (unsigned)most);
    return weft_fail(
        WEFT_E_ARG, "Layer \"%s\" expects %s, but it received %u; its inputs are \"%s\"%s", name,
        range, (unsigned)n_in, cls->inputs ? cls->inputs : "x",
        n_in > most && most == 1 ? "; join several with a merging layer such as Concatenate first"
                                 : "");
}

weft_status weft__run_body(weft__lowering *lowering, const weft__run_request *request,
                           weft__results *results)
{
    weft__body *body = request->body;
    if (request->depth > WEFT__MAX_DEPTH)
        return weft_fail(WEFT_E_UNSUPPORTED, "models are nested deeper than %d", WEFT__MAX_DEPTH);
    if (body->sub) {
        char *prefix = join(request->path, "/", "");
        if (!prefix) return WEFT_E_NOMEM;
        int training = lowering->training;
        weft__inline_request inlined = { body->sub, prefix, request->in, request->depth };
        if (request->inference) lowering->training = 0;
        weft_status st = weft__run_model(lowering, &inlined, results);
        lowering->training = training;
        weft__free(prefix);
        return st;
    }
    run r = { .lowering = lowering,
              .body = body,
              .cls = body->cls,
              .path = request->path,
              .prefix = "",
              .inference = request->inference,
              .frozen = lowering->compiled ? body->compiled_frozen : body->frozen,
              .creating = !body->built,
              .depth = request->depth };
    class_request one = { body->attrs, lowering->graph, request->in, request->n_in };
    return run_class(&r, &one, results);
}
