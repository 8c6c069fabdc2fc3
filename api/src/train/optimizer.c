/* Optimizers, with Keras 3's formulas (optimizers/sgd.py, adam.py), over all weights at once. */
#include <math.h>
#include <string.h>
#include "base/fail.h"
#include "graph/map_tree.h"
#include "graph/node.h"
#include "train/parts.h"

static const weft_attr sgd_attrs[] = {
    { "learning_rate", WEFT_FLOAT, 0, "0.01", "0..", "the length of a step" },
    { "momentum", WEFT_FLOAT, 0, "0.0", "0..1", "how much of the last step is kept" },
    { "nesterov", WEFT_FLAG, 0, "false", NULL, "look ahead by the momentum" },
    { 0 },
};
static const weft_attr adam_attrs[] = {
    { "learning_rate", WEFT_FLOAT, 0, "0.001", "0..", "the length of a step" },
    { "beta_1", WEFT_FLOAT, 0, "0.9", "0..1", "of the running mean of gradients" },
    { "beta_2", WEFT_FLOAT, 0, "0.999", "0..1", "of the running mean of their squares" },
    { "epsilon", WEFT_FLOAT, 0, "1e-7", "0..", "added to the root of that" },
    { 0 },
};

static int is(const char *name, const char *lower, const char *upper)
{
    return !strcmp(name, lower) || !strcmp(name, upper);
}

/* "0.." lets inf through, with which nothing is learned. */
static weft_status check_finite(const weft__attrs *attrs, const char *what)
{
    for (size_t i = 0; i < attrs->n; i++)
        if (attrs->attr[i].value.kind == WEFT__FLOAT && !isfinite(attrs->attr[i].value.f))
            return weft_fail(WEFT_E_ATTR, "%s: %s must be finite, not inf", what,
                             attrs->attr[i].name);
    return WEFT_OK;
}

weft_status weft__optimizer_make(const weft__named *named, weft__optimizer *optimizer)
{
    weft__attrs *full = NULL;
    int adam = is(named->name, "adam", "Adam");
    if (!adam && !is(named->name, "sgd", "SGD"))
        return weft_fail(WEFT_E_NOTFOUND,
                         "there is no optimizer \"%.60s\"; there are sgd and adam, or with "
                         "attributes SGD(momentum=0.9), Adam(learning_rate=0.01)",
                         named->name);
    const char *what = adam ? "optimizer Adam" : "optimizer SGD";
    weft_status st = weft__attrs_check(named->args, adam ? adam_attrs : sgd_attrs, what, &full);
    if (st) return st;
    st = check_finite(full, what);
    *optimizer =
        (weft__optimizer){ .adam = adam, .learning_rate = weft__attrs_f(full, "learning_rate") };
    if (adam) {
        optimizer->beta_1 = weft__attrs_f(full, "beta_1");
        optimizer->beta_2 = weft__attrs_f(full, "beta_2");
        optimizer->epsilon = weft__attrs_f(full, "epsilon");
    } else {
        optimizer->momentum = weft__attrs_f(full, "momentum");
        optimizer->nesterov = weft__attrs_i(full, "nesterov") != 0;
    }
    weft__attrs_destroy(&full);
    if (!st && adam && (optimizer->beta_1 == 1 || optimizer->beta_2 == 1))
        return weft_fail(WEFT_E_ATTR, "optimizer Adam: beta_1 and beta_2 must be less than 1");
    return st;
}

weft_status weft__optimizer_slots(weft__optimizer *o, weft__slots *slots, int64_t n)
{
    const weft_spec scalar = { WEFT_F32, 0, { 0 } }, whole = { WEFT_I64, 0, { 0 } },
                    flat = { WEFT_F32, 1, { n } };
    float rate = (float)o->learning_rate;
    weft_status st;
    if ((st = weft__slots_add(slots, "learning_rate", &scalar, "zeros", &o->rate))) return st;
    if ((st = weft__variable_write(o->rate, &rate))) return st;
    if ((st = weft__slots_add(slots, "iterations", &whole, "zeros", &o->iterations))) return st;
    if ((o->adam || o->momentum > 0) &&
        (st = weft__slots_add(slots, "momentum", &flat, "zeros", &o->m)))
        return st;
    return o->adam ? weft__slots_add(slots, "velocity", &flat, "zeros", &o->v) : WEFT_OK;
}

static weft_val variable(weft__graph *graph, weft__variable *v)
{
    return weft__graph_variable(graph, v, v->path, &v->spec);
}

static weft_status op(weft__graph *graph, const char *name, weft__text *attrs, const weft_val *in,
                      uint32_t n_in, weft_val *out, uint32_t n_out)
{
    weft_val first = 0;
    weft__op_request request = { .name = name,
                                 .attrs = attrs->s,
                                 .path = "optimizer",
                                 .in = in,
                                 .n_in = n_in,
                                 .out = out,
                                 .n_out = n_out };
    for (uint32_t i = 0; i < n_in; i++)
        if (!in[i]) return WEFT_E_NOMEM;
    return attrs->failed ? WEFT_E_NOMEM : weft__graph_try_op(graph, &request, &first);
}

static void add_number(weft__text *text, const char *before, double value)
{
    weft__text_add(text, "%s", before);
    weft__map_print_literal(text, value);
}

/* rate sqrt(1 - beta_2^t) / (1 - beta_1^t), t from 1 on */
static weft_status corrected_rate(const weft__optimizer *o, weft__graph *graph, weft_val *rate)
{
    weft_val in[] = { variable(graph, o->iterations), variable(graph, o->rate) };
    weft__text attrs = { 0 };
    add_number(&attrs, "expr=\"b*sqrt(1-pow(", o->beta_2);
    add_number(&attrs, ",f32(a)+1))/(1-pow(", o->beta_1);
    weft__text_add(&attrs, ",f32(a)+1))\"");
    weft_status st = op(graph, "map", &attrs, in, 2, rate, 1);
    weft__text_finish(&attrs);
    return st;
}

static weft_status build_adam(const weft__optimizer *o, weft__graph *graph, weft_val w, weft_val g)
{
    weft_val in[] = { w, g, variable(graph, o->m), variable(graph, o->v), 0 }, out[3];
    weft__text attrs = { 0 };
    weft_status st = corrected_rate(o, graph, &in[4]);
    add_number(&attrs, "beta_1=", o->beta_1);
    add_number(&attrs, " beta_2=", o->beta_2);
    add_number(&attrs, " epsilon=", o->epsilon);
    if (!st) st = op(graph, "adam_update", &attrs, in, 5, out, 3);
    if (!st) st = weft__graph_assign(graph, w, out[0]);
    if (!st) st = weft__graph_assign(graph, in[2], out[1]);
    if (!st) st = weft__graph_assign(graph, in[3], out[2]);
    weft__text_finish(&attrs);
    return st;
}

static weft_status build_sgd(const weft__optimizer *o, weft__graph *graph, weft_val w, weft_val g)
{
    weft_val in[] = { w, g, variable(graph, o->rate), WEFT_NONE }, out[2];
    weft__text attrs = { 0 };
    if (o->m) in[3] = variable(graph, o->m);
    add_number(&attrs, "momentum=", o->momentum);
    weft__text_add(&attrs, " nesterov=%s", o->nesterov ? "true" : "false");
    weft_status st = op(graph, "sgd_update", &attrs, in, o->m ? 4 : 3, out, o->m ? 2 : 1);
    if (!st) st = weft__graph_assign(graph, w, out[0]);
    if (!st && o->m) st = weft__graph_assign(graph, in[3], out[1]);
    weft__text_finish(&attrs);
    return st;
}

weft_status weft__optimizer_build(const weft__optimizer *o, weft__graph *graph, weft_val weights,
                                  weft_val gradient)
{
    static const weft_spec whole = { WEFT_I64, 0, { 0 } };
    const int64_t one = 1;
    weft_val in[] = { variable(graph, o->iterations),
                      weft__graph_constant(graph, &whole, &one, 0) };
    weft_val next = 0;
    weft__text none = { 0 };
    weft_status st = op(graph, "add", &none, in, 2, &next, 1);
    if (!st) st = weft__graph_assign(graph, in[0], next);
    if (st) return st;
    return o->adam ? build_adam(o, graph, weights, gradient)
                   : build_sgd(o, graph, weights, gradient);
}
