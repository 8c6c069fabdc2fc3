/* Is a device right? Every op of a model's plan runs alone on its device, given the reference's
 * values rounded to f32, and every element is held against a bound on what rounding may do
 * there. */
#include <weft/check.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/node.h"
#include "plan/check_input.h"
#include "plan/check_op.h"
#include "plan/inputs.h"

enum { RANDOM_BATCH = 2, ANY_SIZE = 5 }; /* sizes that nobody chose */

/* ---- comparing ---------------------------------------------------- */

typedef struct finding {
    double ratio;
    weft_check_line *line;
} finding;

static double element(const weft_array *array, uint64_t i)
{
    switch (array->spec.dtype) {
    case WEFT_F32: return ((const float *)array->data)[i];
    case WEFT_F64: return ((const double *)array->data)[i];
    case WEFT_I32: return ((const int32_t *)array->data)[i];
    case WEFT_I64: return (double)((const int64_t *)array->data)[i];
    default: return ((const uint8_t *)array->data)[i];
    }
}

static double distance(double got, double want)
{
    if (isnan(got) || isnan(want)) return isnan(got) && isnan(want) ? 0 : INFINITY;
    return got == want || (float)got == (float)want ? 0 : fabs(got - want);
}

/* Bounds are for numbers. A NaN or an infinity that the op must give has to be given, and a NaN in
 * place of a number is wrong however wide the bound is: an open bound means "any number". */
static int is_other_kind(double got, double want)
{
    if (isnan(want)) return !isnan(got);
    if (isnan(got)) return 1;
    return isinf(want) && got != want;
}

/* Keeps the element that is furthest out, measured by its bound. */
static void compare(const weft_array *got, const weft__known *want, finding *worst)
{
    for (uint64_t i = 0; i < weft_array_count(want->value); i++) {
        double g = element(got, i), w = element(want->value, i), error = distance(g, w);
        double bound = want->err ? element(want->err, i) : 0, ratio;
        if (isnan(bound)) bound = INFINITY;
        if (is_other_kind(g, w)) bound = 0, error = INFINITY;
        ratio = error == 0 || isinf(bound) ? 0 : bound == 0 ? INFINITY : error / bound;
        if (worst->line->result && ratio <= worst->ratio) continue;
        worst->ratio = ratio;
        worst->line->result = ratio <= 1 ? WEFT_CHECK_PASSED : WEFT_CHECK_FAILED;
        worst->line->error = isinf(bound) ? 0 : error;
        worst->line->bound = bound;
        worst->line->index = i;
        worst->line->got = g;
        worst->line->want = w;
    }
}

/* ---- one op ------------------------------------------------------- */

static void report(weft__checker *c, const weft_check_line *line)
{
    c->n_failed += line->result == WEFT_CHECK_FAILED;
    if (c->fn) c->fn(c->user, line);
}

/* The status of a failure that says something about the op, not about this machine's memory. */
static int is_finding(weft_status st)
{
    return st != WEFT_E_NOMEM;
}

/* Runs and compares; fills line. want: the analysis. */
static weft_status try_device(weft__devices *device, const weft__trial *trial,
                              const weft__known *want, char *variant, char *why,
                              weft_check_line *line)
{
    finding worst = { 0, line };
    weft_array **got = weft__alloc_n(trial->n_out, sizeof *got);
    weft_status st;
    if (!got) return WEFT_E_NOMEM;
    st = weft__trial_device(device, trial, got, variant);
    if (st && is_finding(st)) {
        line->result = st == WEFT_E_UNSUPPORTED ? WEFT_CHECK_UNVERIFIED : WEFT_CHECK_FAILED;
        snprintf(why, 512, "%s", weft_error());
        st = WEFT_OK;
    } else if (!st) {
        for (uint32_t i = 0; i < trial->n_out; i++)
            compare(got[i], &want[i], &worst);
        if (!line->result) line->result = WEFT_CHECK_PASSED; /* nothing to compare: no elements */
    }
    for (uint32_t i = 0; i < trial->n_out; i++)
        weft_array_destroy(&got[i]);
    weft__free(got);
    return st;
}

/* Checks one op and reports it. want: filled if the reference could be computed, else left
 * without values. */
static weft_status check_trial(weft__checker *c, weft__devices *device, const weft__trial *trial,
                               weft__known *want)
{
    char variant[64] = "", why[512] = "";
    weft_check_line line = { .device = device->device[0].id,
                             .op = trial->op,
                             .attrs = trial->attrs,
                             .path = trial->path,
                             .variant = variant,
                             .why = why };
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < trial->n_in && !why[0]; i++)
        if (!trial->in[i].value && trial->in[i].spec.dtype)
            snprintf(why, sizeof why, "input %u comes from an op whose reference is not known", i);
    if (!why[0] && (st = weft__trial_analyse(c->cpu, trial, want)) && is_finding(st)) {
        snprintf(why, sizeof why, "no reference: %s", weft_error());
        st = WEFT_OK;
        for (uint32_t i = 0; i < trial->n_out; i++)
            weft__known_finish(&want[i]);
    }
    if (st) return st;
    if (why[0])
        line.result = WEFT_CHECK_UNVERIFIED;
    else
        st = try_device(device, trial, want, variant, why, &line);
    if (!st) report(c, &line);
    return st;
}

/* ---- a graph ------------------------------------------------------ */

/* From now on an exact input: rounded to f32, without error. */
static void settle(weft__known *known)
{
    weft_array_destroy(&known->err);
    if (!known->value || known->value->spec.dtype != WEFT_F64 || known->spec.dtype != WEFT_F32)
        return;
    double *number = known->value->data;
    for (uint64_t i = 0; i < weft_array_count(known->value); i++)
        number[i] = (double)(float)number[i];
}

static weft_status check_node(weft__checker *c, const weft__graph *graph, const weft__node *node,
                              weft__known *known)
{
    weft__devices one =
        weft__devices_only(c->devices, node->device < 0 ? 0 : (uint32_t)node->device);
    weft__known *in = weft__alloc_n(node->n_in, sizeof *in),
                *out = weft__alloc_n(node->n_out, sizeof *out);
    weft__trial trial = weft__trial_of(node, in, c->batch);
    weft_status st = WEFT_E_NOMEM;
    if (!in || !out) goto out;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != WEFT_NONE) in[i] = known[node->in[i]];
    for (uint32_t i = 0; i < node->n_out; i++)
        out[i].spec = graph->value[node->out[i]].spec;
    st = check_trial(c, &one, &trial, out);
    for (uint32_t i = 0; i < node->n_out; i++) {
        settle(&out[i]);
        known[node->out[i]] = out[i];
    }
out:
    weft__free(in);
    weft__free(out);
    return st;
}

/* Values that are there before the first op: floats in f64 that are exact in f32. */
static weft_status know_source(const weft__graph *graph, size_t number,
                               const weft_array *const *inputs, weft__known *known)
{
    const weft__gvalue *value = &graph->value[number];
    weft_array data = { .spec = value->spec };
    weft_array *converted = NULL;
    weft_status st;
    if (value->kind == WEFT__V_INPUT) {
        data = *inputs[value->index];
    } else if (value->kind == WEFT__V_VARIABLE) {
        const weft__variable *variable = value->variable;
        data = (weft_array){ .spec = variable->spec, .data = variable->data };
    } else {
        data.data = value->data;
    }
    if ((st = weft_array_convert(&data, value->spec.dtype, &converted))) return st;
    st = weft_array_convert(converted, value->spec.dtype == WEFT_F32 ? WEFT_F64 : value->spec.dtype,
                            &known->value);
    weft_array_destroy(&converted);
    return st;
}

weft_status weft__check_graph(weft__checker *c, const weft__graph *graph,
                              const weft_array *const *inputs)
{
    weft__known *known = weft__alloc_n(graph->n_values + 1, sizeof *known);
    weft_status st = WEFT_OK;
    if (!known) return WEFT_E_NOMEM;
    for (size_t i = 1; i <= graph->n_values && !st; i++) {
        known[i].spec = graph->value[i].spec;
        if (graph->value[i].kind != WEFT__V_RESULT) st = know_source(graph, i, inputs, &known[i]);
    }
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        st = check_node(c, graph, graph->node[i], known);
    for (size_t i = 1; i <= graph->n_values; i++)
        weft__known_finish(&known[i]);
    weft__free(known);
    return st;
}

/* ---- a model ------------------------------------------------------ */

/* Sizes and batch: those of the arrays, or of nobody's choice. */
static weft_status choose_specs(const weft_model *model, const weft_check_options *options,
                                weft_spec *specs, int64_t *batch)
{
    weft_status st;
    if (options && options->inputs)
        return weft__inputs_check(model, options->inputs, options->n_inputs, specs, batch);
    *batch = RANDOM_BATCH;
    for (uint32_t i = 0; i < weft_model_n_inputs(model); i++) {
        if ((st = weft_model_input(model, i, NULL, &specs[i]))) return st;
        for (int32_t k = 0; k < specs[i].rank; k++)
            if (specs[i].dim[k] == WEFT_ANY) specs[i].dim[k] = ANY_SIZE;
    }
    return WEFT_OK;
}

typedef struct subject { /* what is checked: a lowered graph and its inputs */
    const weft_model *model;
    weft__graph *graph;
    weft_array **random;
    const weft_array *const *inputs;
} subject;

static weft_status check_device(weft__checker *c, const subject *s, const char *id)
{
    weft__plan_options options = { .simplify = 1, .fuse = 1, .views = 1 };
    weft__graph *graph = NULL;
    weft_status st;
    if ((st = weft__devices_open(s->graph->ctx, id, 0, &c->devices))) goto out;
    if ((st = weft__plan_graph(s->graph, c->devices, &options, &graph))) goto out;
    weft__model_read_lock(s->model);
    st = weft__check_graph(c, graph, s->inputs);
    weft__model_unlock(s->model);
out:
    weft__graph_destroy(&graph);
    weft__devices_close(&c->devices);
    return st;
}

/* Each device by itself. */
static weft_status check_devices(weft__checker *c, const subject *s, const char *text)
{
    weft__devices *listed = NULL;
    weft_status st = weft__devices_open(s->graph->ctx, text, 1, &listed);
    for (uint32_t i = 0; !st && i < listed->n; i++)
        st = check_device(c, s, listed->device[i].id);
    weft__devices_close(&listed);
    return st;
}

weft_status weft_check_model(weft_model *model, const char *devices,
                             const weft_check_options *options, weft_check_fn fn, void *user,
                             uint32_t *n_failed)
{
    uint32_t n = weft_model_n_inputs(model);
    weft__checker c = { .fn = fn, .user = user };
    subject s = { .model = model };
    weft_status st = WEFT_E_NOMEM;
    if (n_failed) *n_failed = 0;
    if (!model) return weft_fail(WEFT_E_ARG, "weft_check_model: model is NULL");
    weft_spec *specs = weft__alloc_n(n, sizeof *specs);
    if (!specs || !(s.random = weft__alloc_n(n, sizeof *s.random))) goto out;
    if ((st = choose_specs(model, options, specs, &c.batch))) goto out;
    if ((st = weft__model_lower(model, &(weft__lower_request){ .inputs = specs }, &s.graph)))
        goto out;
    if (!options || !options->inputs) {
        if ((st = weft__check_inputs(s.graph, c.batch, options ? options->seed : 0, s.random)))
            goto out;
        s.inputs = (const weft_array *const *)s.random;
    } else {
        s.inputs = options->inputs;
    }
    if ((st = weft__devices_open(s.graph->ctx, "cpu", 1, &c.cpu))) goto out;
    st = check_devices(&c, &s, devices);
out:
    weft__devices_close(&c.cpu);
    weft__graph_destroy(&s.graph);
    for (uint32_t i = 0; s.random && i < n; i++)
        weft_array_destroy(&s.random[i]);
    weft__free(s.random);
    weft__free(specs);
    if (n_failed) *n_failed = c.n_failed;
    return st;
}

/* ---- one op by its text ------------------------------------------- */

/* The graph of the case, as far as to know its results and what its inputs must be. */
static weft_status case_graph(weft_context *ctx, const weft_check_case *op_case,
                              weft__graph **graph)
{
    weft_val result, *in = weft__alloc_n(op_case->n_inputs, sizeof *in);
    weft_status st = WEFT_E_NOMEM;
    if (!in || (st = weft__graph_create(ctx, graph))) goto out;
    for (uint32_t i = 0; i < op_case->n_inputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", i);
        if (!op_case->inputs[i].dtype) {
            in[i] = WEFT_NONE;
            continue;
        }
        if (!(in[i] = weft__graph_input(*graph, name, &op_case->inputs[i]))) {
            st = weft__fail_status();
            goto out;
        }
    }
    weft__op_request request = {
        op_case->op, op_case->attrs, "case", in, op_case->n_inputs, NULL, 0
    };
    st = weft__graph_try_op(*graph, &request, &result);
out:
    weft__free(in);
    return st;
}

/* What the caller gave, before anything is made of it. */
static weft_status check_case(const weft_context *ctx, const weft_check_case *op_case)
{
    if (!ctx || !op_case || !op_case->op || (!op_case->inputs && op_case->n_inputs))
        return weft_fail(WEFT_E_ARG, "weft_check_op: %s is NULL",
                         !ctx           ? "ctx"
                         : !op_case     ? "op_case"
                         : !op_case->op ? "op_case->op"
                                        : "op_case->inputs");
    if (op_case->batch < 0)
        return weft_fail(WEFT_E_ARG, "weft_check_op: batch %" PRId64 "; a batch is 0 or more",
                         op_case->batch);
    for (uint32_t i = 0; op_case->values && i < op_case->n_inputs; i++) {
        const weft_array *array = op_case->values[i];
        weft_spec want = weft__spec_at(&op_case->inputs[i], op_case->batch);
        if (!want.dtype) continue;
        if (!array || (!array->data && weft_array_count(array)))
            return weft_fail(WEFT_E_ARG, "weft_check_op: the array for input %u is NULL", i);
        want.dtype = array->spec.dtype; /* it is converted */
        if (!weft__spec_equal(&want, &array->spec))
            return weft_fail(WEFT_E_SHAPE,
                             "weft_check_op: the array for input %u has not the shape of its spec "
                             "with a batch of %" PRId64,
                             i, op_case->batch);
    }
    return WEFT_OK;
}

weft_status weft_check_op(weft_context *ctx, const char *device, const weft_check_case *op_case,
                          weft_check_fn fn, void *user)
{
    weft_status st = check_case(ctx, op_case);
    if (st) return st;
    weft__checker c = { .fn = fn, .user = user, .batch = op_case->batch };
    weft__graph *graph = NULL;
    weft_array **random = weft__alloc_n(op_case->n_inputs, sizeof *random);
    const weft_array **inputs = weft__alloc_n(op_case->n_inputs, sizeof *inputs);
    uint32_t n = 0;
    st = WEFT_E_NOMEM;
    if (!random || !inputs) goto out;
    if ((st = case_graph(ctx, op_case, &graph))) goto out;
    if (!op_case->values && (st = weft__check_inputs(graph, op_case->batch, op_case->seed, random)))
        goto out;
    for (uint32_t i = 0; i < op_case->n_inputs; i++) /* the graph has the present ones alone */
        if (op_case->inputs[i].dtype) {
            inputs[n] = op_case->values ? op_case->values[i] : random[n];
            n++;
        }
    if ((st = weft__devices_open(ctx, "cpu", 1, &c.cpu))) goto out;
    if ((st = weft__devices_open(ctx, device, 1, &c.devices))) goto out;
    st = weft__check_graph(&c, graph, inputs);
out:
    weft__devices_close(&c.devices);
    weft__devices_close(&c.cpu);
    weft__graph_destroy(&graph);
    for (uint32_t i = 0; random && i < op_case->n_inputs; i++)
        weft_array_destroy(&random[i]);
    weft__free(random);
    weft__free(inputs);
    return st;
}
