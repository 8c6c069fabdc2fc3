/* The builder: the function table that layers and ops build graphs through. The first failure is
 * kept; after it every call does nothing and gives 0, so that plugins need no checks between
 * calls. */
#include "graph/build.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/node.h"

static weft__build *of(weft_build *build)
{
    return (weft__build *)build;
}

/* Keeps the first failure. */
static weft_status keep(weft__build *b, weft_status status)
{
    if (!b->status) b->status = status;
    return status;
}

/* For what only graphs can take. 1 = go on. */
static int may_build(weft__build *b, const char *call)
{
    if (b->status) return 0;
    if (!b->infer_in) return 1;
    keep(b,
         weft_fail(WEFT_E_UNSUPPORTED,
                   "%s: infer() may read specs and attributes, but not call %s()", b->what, call));
    return 0;
}

/* For what belongs to a whole run: not in the body of a loop, and not in an op's lower() or
 * gradient(). 1 = go on. */
static int may_once(weft__build *b, const char *call, int have, const char *instead)
{
    if (!may_build(b, call)) return 0;
    if (!have)
        keep(b, weft_fail(WEFT_E_UNSUPPORTED, "%s: %s() is for layers", b->what, call));
    else if (b->graph->parent)
        keep(b, weft_fail(WEFT_E_UNSUPPORTED, "%s: %s() in the body of a loop: %s", b->what, call,
                          instead));
    return !b->status;
}

static weft_val api_in(weft_build *build, uint32_t i)
{
    weft__build *b = of(build);
    if (b->status) return 0;
    if (i >= b->n_in) {
        keep(b, weft_fail(WEFT_E_ARG, "%s asks for input %u, but there %s %u", b->what, (unsigned)i,
                          b->n_in == 1 ? "is" : "are", (unsigned)b->n_in));
        return 0;
    }
    if (b->infer_in) return b->infer_in[i].dtype ? i + 1 : WEFT_NONE;
    return weft__build_give(b->home, b->in[i]);
}

static uint32_t api_n_in(weft_build *build)
{
    return of(build)->n_in;
}

static weft_status api_out(weft_build *build, uint32_t i, weft_val value)
{
    weft__build *b = of(build);
    if (!may_build(b, "out")) return b->status;
    if (!value)
        return keep(b, weft_fail(WEFT_E_ARG, "%s: result %u failed already", b->what, (unsigned)i));
    if (i > 4096)
        return keep(b, weft_fail(WEFT_E_ARG, "%s: there is no result %u", b->what, (unsigned)i));
    while (b->n_out <= i) {
        size_t cap = b->cap_out;
        if (weft__grow(&b->out, b->n_out, &cap, sizeof *b->out)) return keep(b, WEFT_E_NOMEM);
        b->cap_out = (uint32_t)cap;
        b->out[b->n_out++] = 0;
    }
    if (b->graph != b->home)
        return keep(b, weft_fail(WEFT_E_ARG, "%s: out() inside the body of a loop", b->what));
    return keep(b, weft__build_take(b, value, &b->out[i]));
}

static void clear(weft_val *outs, uint32_t n)
{
    for (uint32_t i = 0; outs && i < n; i++)
        outs[i] = 0;
}

/* The handles as values of the graph that is built, in new memory. call, name: "op", "add". */
static weft_status take_all(weft__build *b, const char *call, const char *name,
                            const weft_val *args, uint32_t n, weft_val **values)
{
    if (!name) return weft_fail(WEFT_E_ARG, "%s: the name of %s() is NULL", b->what, call);
    if (n && !args)
        return weft_fail(WEFT_E_ARG, "%s: %s %.80s is given %u inputs, and the array is NULL",
                         b->what, call, name, (unsigned)n);
    weft_val *v = weft__alloc_n(n, sizeof *v);
    weft_status st = v ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n && !st; i++)
        st = weft__build_take(b, args[i], &v[i]);
    *values = v;
    return st;
}

static void give_all(const weft__build *b, weft_val *outs, uint32_t n)
{
    for (uint32_t i = 0; outs && i < n; i++)
        outs[i] = weft__build_give(b->graph, outs[i]);
}

static weft_val api_op(weft_build *build, const char *op, const char *attrs, const weft_val *args,
                       uint32_t n, weft_val *outs, uint32_t n_outs)
{
    weft__build *b = of(build);
    weft_val v = 0, *in = NULL;
    clear(outs, n_outs);
    if (!may_build(b, "op")) return 0;
    weft_status st = take_all(b, "op", op, args, n, &in);
    weft__op_request request = { .name = op,
                                 .attrs = attrs,
                                 .path = b->path,
                                 .in = in,
                                 .n_in = n,
                                 .out = outs,
                                 .n_out = n_outs };
    if (!st) st = weft__graph_try_op(b->graph, &request, &v);
    weft__free(in);
    if (keep(b, st)) {
        clear(outs, n_outs);
        return 0;
    }
    give_all(b, outs, n_outs);
    return weft__build_give(b->graph, v);
}

static weft_val api_layer(weft_build *build, const char *layer_class, const char *name,
                          const char *attrs, const weft_val *args, uint32_t n, weft_val *outs,
                          uint32_t n_outs)
{
    weft__build *b = of(build);
    clear(outs, n_outs);
    if (!may_build(b, "layer")) return 0;
    if (!b->hooks || !b->hooks->layer) {
        keep(b, weft_fail(WEFT_E_UNSUPPORTED,
                          "%s: layer() is for layers: an op is lowered to ops alone", b->what));
        return 0;
    }
    weft_val v = 0, *in = NULL;
    if (!keep(b, take_all(b, "layer", layer_class, args, n, &in)))
        v = b->hooks->layer(b, layer_class, name, attrs, in, n, outs, n_outs);
    weft__free(in);
    if (!v) keep(b, WEFT_E_ARG);
    give_all(b, outs, n_outs);
    return b->status ? 0 : weft__build_give(b->graph, v);
}

static weft_val api_variable(weft_build *build, const char *name, const weft_spec *spec,
                             const char *initializer, uint32_t flags)
{
    weft__build *b = of(build);
    if (!may_build(b, "variable")) return 0;
    if (!b->hooks || !b->hooks->variable) {
        keep(b, weft_fail(WEFT_E_UNSUPPORTED,
                          "%s: variable() is for layers: an op has no variables", b->what));
        return 0;
    }
    if (!spec) {
        keep(b, weft_fail(WEFT_E_ARG, "%s: the spec of variable \"%.80s\" is NULL", b->what,
                          name ? name : ""));
        return 0;
    }
    weft_val v = b->hooks->variable(b, name, spec, initializer, flags);
    if (!v) keep(b, WEFT_E_ARG);
    return b->status ? 0 : v;
}

static weft_status api_assign(weft_build *build, weft_val variable, weft_val value)
{
    weft__build *b = of(build);
    if (!may_once(b, "assign", b->hooks != NULL, "carry the value, and assign it behind the loop"))
        return b->status;
    if (keep(b, weft__build_take(b, variable, &variable)) ||
        keep(b, weft__build_take(b, value, &value)) ||
        keep(b, weft__graph_harden(b->graph, &value)))
        return b->status;
    return keep(b, weft__graph_assign(b->graph, variable, value));
}

static int api_training(weft_build *build)
{
    weft__build *b = of(build);
    if (!may_build(b, "training")) return 0;
    if (b->hooks && b->hooks->training) return b->hooks->training(b);
    keep(b, weft_fail(WEFT_E_UNSUPPORTED,
                      "%s: training() is for layers: an op means the same in both modes", b->what));
    return 0;
}

static int api_trainable(weft_build *build)
{
    weft__build *b = of(build);
    if (!may_build(b, "trainable")) return 0;
    if (b->hooks && b->hooks->trainable) return b->hooks->trainable(b);
    keep(b, weft_fail(WEFT_E_UNSUPPORTED, "%s: trainable() is for layers", b->what));
    return 0;
}

static weft_status api_random(weft_build *build, weft_val stream[2])
{
    weft__build *b = of(build);
    stream[0] = stream[1] = 0;
    if (may_once(b, "random", b->hooks && b->hooks->random,
                 "draw the numbers in front of it and let the body use them"))
        keep(b, b->hooks->random(b, stream));
    return b->status;
}

static weft_status api_add_loss(weft_build *build, weft_val value)
{
    weft__build *b = of(build);
    if (!may_once(b, "add_loss", b->hooks && b->hooks->add_loss,
                  "sum it up in a carry, and add that behind the loop"))
        return b->status;
    if (keep(b, weft__build_take(b, value, &value)) ||
        keep(b, weft__graph_harden(b->graph, &value)))
        return b->status;
    const weft_spec *spec = weft__graph_spec(b->graph, value);
    if (spec->rank || !weft__is_float(spec->dtype))
        return keep(b, weft_fail(WEFT_E_SHAPE,
                                 "%s: add_loss() takes a scalar of float32, not a value of rank %d "
                                 "and dtype %s; reduce it first",
                                 b->what, (int)spec->rank, weft_dtype_name(spec->dtype)));
    return keep(b, b->hooks->add_loss(b, value));
}

static weft_val api_mask(weft_build *build, uint32_t i)
{
    weft__build *b = of(build);
    if (!may_build(b, "mask")) return 0;
    if (b->hooks && b->hooks->mask) return weft__build_give(b->home, b->hooks->mask(b, i));
    keep(b, weft_fail(WEFT_E_UNSUPPORTED,
                      "%s: mask() is for layers: hand a mask to an op as an input", b->what));
    return 0;
}

static weft_status api_set_mask(weft_build *build, uint32_t out, weft_val value)
{
    weft__build *b = of(build);
    if (!may_build(b, "set_mask")) return b->status;
    if (b->graph != b->home)
        return keep(b, weft_fail(WEFT_E_ARG, "%s: set_mask() inside the body of a loop", b->what));
    if (keep(b, weft__build_take(b, value, &value))) return b->status;
    if (b->hooks && b->hooks->set_mask) return keep(b, b->hooks->set_mask(b, out, value));
    return keep(b, weft_fail(WEFT_E_UNSUPPORTED, "%s: set_mask() is for layers", b->what));
}

static weft_val api_constant(weft_build *build, const weft_spec *spec, const void *data)
{
    weft__build *b = of(build);
    if (!may_build(b, "constant")) return 0;
    weft_val v = 0;
    if (!spec) {
        keep(b, weft_fail(WEFT_E_ARG, "%s: the spec of a constant is NULL", b->what));
        return 0;
    }
    if (keep(b, weft__graph_try_constant(b->graph, spec, data, 1, &v))) return 0;
    return weft__build_give(b->graph, v);
}

static weft_status api_spec(weft_build *build, weft_val value, weft_spec *result)
{
    weft__build *b = of(build);
    weft_val v = 0;
    if (b->status) return b->status;
    if (b->infer_in && value && value <= b->n_in) {
        *result = b->infer_in[value - 1];
        return WEFT_OK;
    }
    if (!b->infer_in && keep(b, weft__build_take(b, value, &v))) return b->status;
    if (!b->infer_in && weft__graph_value(b->graph, v)->kind) {
        *result = *weft__graph_spec(b->graph, v);
        return WEFT_OK;
    }
    return keep(b, weft_fail(WEFT_E_ARG, "%s: spec() of a value that %s", b->what,
                             value == WEFT_NONE ? "is absent" : "is not there"));
}

static const weft__value *attribute(weft__build *b, const char *name)
{
    const weft__value *value = weft__attrs_get(b->attrs, name);
    if (!value && !b->status)
        keep(b, weft_fail(WEFT_E_INTERNAL,
                          "%s reads the attribute \"%s\", which its schema does not have", b->what,
                          name));
    return value;
}

static int64_t api_attr_i(weft_build *build, const char *name)
{
    return attribute(of(build), name) ? weft__attrs_i(of(build)->attrs, name) : 0;
}

static double api_attr_f(weft_build *build, const char *name)
{
    return attribute(of(build), name) ? weft__attrs_f(of(build)->attrs, name) : 0;
}

/* Text made here lives as long as the builder; the same text is made once. */
static const char *keep_text(weft__build *b, weft__text *text)
{
    char *s = weft__text_take(text);
    for (size_t i = 0; s && i < b->n_kept; i++)
        if (strcmp(b->kept[i], s) == 0) {
            weft__free(s);
            return b->kept[i];
        }
    if (!s || weft__grow(&b->kept, b->n_kept, &b->cap_kept, sizeof *b->kept)) {
        weft__free(s);
        keep(b, WEFT_E_NOMEM);
        return NULL;
    }
    return b->kept[b->n_kept++] = s;
}

static const char *api_attr_s(weft_build *build, const char *name)
{
    weft__build *b = of(build);
    const weft__value *value = attribute(b, name);
    weft__text text = { 0 };
    if (!value || value->kind == WEFT__NONE) return NULL;
    if (value->kind == WEFT__WORD || value->kind == WEFT__STRING) return value->s;
    weft__value_print(&text, value);
    return keep_text(b, &text);
}

static uint32_t api_attr_v(weft_build *build, const char *name, int64_t *values, uint32_t cap)
{
    return attribute(of(build), name) ? weft__attrs_v(of(build)->attrs, name, values, cap) : 0;
}

static uint32_t api_attr_fv(weft_build *build, const char *name, double *values, uint32_t cap)
{
    return attribute(of(build), name) ? weft__attrs_fv(of(build)->attrs, name, values, cap) : 0;
}

static weft_status api_fail(weft_build *build, weft_status status, const char *msg)
{
    weft__build *b = of(build);
    if (b->status) return b->status;
    return keep(b, weft_fail(status ? status : WEFT_E_INTERNAL, "%s", msg));
}

static weft_status api_scan(weft_build *build, const weft_scan *scan)
{
    weft__build *b = of(build);
    return may_build(b, "scan") ? keep(b, weft__build_scan(b, scan)) : b->status;
}

/* One of what only gradient() has: results, or their gradients. */
static weft_val gradient_value(weft__build *b, const char *call, const weft_val *values, uint32_t i)
{
    if (b->status) return 0;
    if (values && i < b->n_fwd) return weft__build_give(b->home, values[i]);
    if (values)
        keep(b,
             weft_fail(WEFT_E_ARG, "%s: gradient() asks for %s(%u), but the op has %u result%s",
                       b->what, call, (unsigned)i, (unsigned)b->n_fwd, b->n_fwd == 1 ? "" : "s"));
    else
        keep(b, weft_fail(WEFT_E_UNSUPPORTED, "%s: %s(%u) is there in gradient() only", b->what,
                          call, (unsigned)i));
    return 0;
}

static weft_val api_fwd(weft_build *build, uint32_t i)
{
    return gradient_value(of(build), "fwd", of(build)->fwd, i);
}

static weft_val api_dout(weft_build *build, uint32_t i)
{
    return gradient_value(of(build), "dout", of(build)->dout, i);
}

static const void *api_extension(weft_build *build, const char *id)
{
    (void)build;
    (void)id;
    return NULL;
}

static const weft_build_api api = {
    .struct_size = sizeof(weft_build_api),
    .in = api_in,
    .n_in = api_n_in,
    .out = api_out,
    .op = api_op,
    .layer = api_layer,
    .variable = api_variable,
    .assign = api_assign,
    .training = api_training,
    .trainable = api_trainable,
    .random = api_random,
    .add_loss = api_add_loss,
    .mask = api_mask,
    .set_mask = api_set_mask,
    .constant = api_constant,
    .spec = api_spec,
    .attr_i = api_attr_i,
    .attr_f = api_attr_f,
    .attr_s = api_attr_s,
    .attr_v = api_attr_v,
    .attr_fv = api_attr_fv,
    .fail = api_fail,
    .scan = api_scan,
    .fwd = api_fwd,
    .dout = api_dout,
    .extension = api_extension,
};

weft_status weft__build_init(weft__build *build, const weft__build_setup *setup)
{
    *build = (weft__build){ .base = { &api },
                            .graph = setup->graph,
                            .home = setup->graph,
                            .attrs = setup->attrs,
                            .path = setup->path,
                            .what = setup->what ? setup->what : "builder",
                            .in = setup->in,
                            .n_in = setup->n_in,
                            .fwd = setup->fwd,
                            .dout = setup->dout,
                            .n_fwd = setup->n_fwd,
                            .infer_in = setup->infer_in,
                            .hooks = setup->hooks,
                            .user = setup->user };
    return WEFT_OK;
}

weft_status weft__build_run(weft__build *build, weft_status (*fn)(weft_build *), uint32_t n_out)
{
    uint64_t before = weft__fail_count();
    weft_status st = fn(&build->base);
    if (st && !build->status && weft__fail_count() == before)
        st = weft_fail(st, "%s: it failed (%s) without a text; plugins say why by fail()",
                       build->what, weft_status_name(st));
    keep(build, st);
    if (build->status) return build->status;
    uint32_t n = n_out ? n_out : build->n_out;
    for (uint32_t i = 0; i < n && !build->dout; i++)
        if (i >= build->n_out || !build->out[i])
            return keep(build, weft_fail(WEFT_E_INTERNAL, "%s: result %u was not set", build->what,
                                         (unsigned)i));
    if (build->n_out > n)
        return keep(build, weft_fail(WEFT_E_INTERNAL, "%s: %s %u was set, but there are %u",
                                     build->what, build->dout ? "the gradient of input" : "result",
                                     (unsigned)build->n_out - 1, (unsigned)n));
    return WEFT_OK;
}

void weft__build_finish(weft__build *build)
{
    for (size_t i = 0; i < build->n_kept; i++)
        weft__free(build->kept[i]);
    weft__free(build->kept);
    weft__free(build->out);
    *build = (weft__build){ 0 };
}

void weft__arity(const char *inputs, uint32_t *least, uint32_t *most)
{
    *least = *most = 0;
    for (const char *at = inputs ? inputs : ""; *at;) {
        size_t n = strcspn(at, ",");
        size_t name = strcspn(at, ",?.");
        if (strspn(at, " ") < n) {
            int any = at[name] == '.';
            if (at[name] != '?') ++*least;
            if (*most != UINT32_MAX) *most = any ? UINT32_MAX : *most + 1;
        }
        at += at[n] ? n + 1 : n;
    }
}

const char *weft__op_outputs(const weft_op_class *op)
{
    return op->outputs ? op->outputs : "y";
}

uint32_t weft__op_results(const weft_op_class *op, uint32_t n_in)
{
    uint32_t least, most;
    weft__arity(weft__op_outputs(op), &least, &most);
    return most == UINT32_MAX ? n_in : most;
}
