/* What an op should give, and how far f32 may be from it: values in f64, and a bound for every
 * element. Inputs may carry errors of their own, so that an op with a lowering is analysed through
 * it, op by op.
 *
 *   contraction  |A| e(B) + e(A) |B| + e(A) e(B) + (K + 2) eps |A||B|: the op, run on magnitudes
 *   sum, mean    the same with one operand; prod K eps |result|; max, min: the errors' max
 *   softmax      relative (|x - max| + K + 40) eps, |x - max| <= |log y| + log K, e^(2 e(x)) - 1
 *   movement     exact; errors move along; count, random bits and uniforms: exact
 *   map, `then`  check_map.c
 *   scan         its body, step after step (check_scan.c)
 *   others       (K + 32) eps of the op run on magnitudes, K the window or inputs per output: an
 *                estimate
 * eps is 2^-23, twice the unit roundoff: room for second-order terms and other orders of sums. */
#include "plan/check_op.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "registry/registry.h"

static const double EPS = FLT_EPSILON;

typedef struct job {
    weft__devices *cpu;
    const weft__trial *trial;
    const weft__attrs *attrs; /* checked, of the op */
    weft__known *out;
} job;

static double *numbers(const weft_array *array)
{
    return array->data;
}

static int has_errors(const weft__trial *trial)
{
    for (uint32_t i = 0; i < trial->n_in; i++)
        if (trial->in[i].err) return 1;
    return 0;
}

/* ---- runs on something else than the values ----------------------- */

typedef enum { MAGNITUDES, MAGNITUDES_AND_ERRORS, ERRORS } what;

/* Of floats: |x|, |x| + e, or e. Integers stay, they are indices. */
static weft_status substitute(const weft__known *known, what w, weft_array **result)
{
    weft_status st = weft_array_convert(known->value, known->value->spec.dtype, result);
    if (st || known->value->spec.dtype != WEFT_F64) return st;
    for (uint64_t i = 0; i < weft_array_count(*result); i++) {
        double e = known->err ? numbers(known->err)[i] : 0, x = fabs(numbers(*result)[i]);
        numbers(*result)[i] = w == ERRORS ? e : w == MAGNITUDES ? x : x + e;
    }
    return WEFT_OK;
}

static weft_status run_on(const job *j, const char *attrs, what w, weft_array **results)
{
    weft__trial trial = *j->trial;
    weft_status st = WEFT_OK;
    weft_array **in = weft__alloc_n(trial.n_in, sizeof *in);
    if (!in) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < trial.n_in && !st; i++)
        if (trial.in[i].value) st = substitute(&trial.in[i], w, &in[i]);
    trial.attrs = attrs;
    if (!st) st = weft__trial_reference(j->cpu, &trial, (const weft_array *const *)in, results);
    for (uint32_t i = 0; i < trial.n_in; i++)
        weft_array_destroy(&in[i]);
    weft__free(in);
    return st;
}

/* The op's attributes without one of them; weft__free. */
static char *attrs_without(const job *j, const char *name)
{
    weft__attrs *copy = NULL;
    weft__value value;
    weft__text text = { 0 };
    if (weft__attrs_copy(j->attrs, &copy)) return NULL;
    if (weft__attrs_take(copy, name, &value)) weft__value_finish(&value);
    weft__attrs_print(&text, copy, NULL);
    weft__attrs_destroy(&copy);
    if (!text.n && !text.failed) weft__text_add(&text, " ");
    return weft__text_take(&text);
}

/* ---- bounds by kind of op ----------------------------------------- */

static weft_status new_error(const job *j, uint32_t output, weft_array **err)
{
    weft_spec spec = j->out[output].value->spec;
    spec.dtype = WEFT_F64;
    return weft_array_create(&spec, err);
}

static uint64_t inner_length(const job *j)
{
    const weft__known *in = j->trial->in;
    uint64_t out = weft_array_count(j->out[0].value), n = 1;
    int64_t size[WEFT_MAX_RANK];
    uint32_t sizes = weft__attrs_v(j->attrs, "size", size, WEFT_MAX_RANK);
    if (!strcmp(j->trial->op, "matmul"))
        return (uint64_t)in[0].value->spec.dim[in[0].value->spec.rank -
                                               (weft__attrs_i(j->attrs, "transpose_a") ? 2 : 1)];
    if (!strcmp(j->trial->op, "conv_input_grad")) { /* taps x filters of a group */
        const weft_spec *w = &in[1].value->spec;
        for (int32_t i = 0; i + 2 < w->rank; i++)
            n *= (uint64_t)w->dim[i];
        return n * (uint64_t)(w->dim[w->rank - 1] / weft__attrs_i(j->attrs, "groups"));
    }
    if (!strcmp(j->trial->op, "conv") || !strcmp(j->trial->op, "conv_filter_grad")) {
        for (int32_t i = 0; i + 1 < in[1].value->spec.rank; i++) /* rows of w; places of dy */
            n *= (uint64_t)in[1].value->spec.dim[i];
        return n;
    }
    if (!strcmp(j->trial->op, "scatter_add")) return weft_array_count(in[0].value);
    for (uint32_t i = 0; i < sizes && i < WEFT_MAX_RANK; i++)
        n *= (uint64_t)size[i];
    if (!sizes && out) n = (weft_array_count(in[0].value) + out - 1) / out;
    return n;
}

/* (K + more) eps op(|x|), and with errors what op(|x| + e) is larger. For every float result. */
static weft_status by_magnitudes(const job *j, double more)
{
    uint32_t n = j->trial->n_out;
    double factor = ((double)inner_length(j) + more) * EPS;
    weft_array **s = weft__alloc_n(n, sizeof *s), **t = weft__alloc_n(n, sizeof *t);
    weft_status st = WEFT_E_NOMEM;
    if (!s || !t) goto out;
    if ((st = run_on(j, j->trial->attrs, MAGNITUDES, s))) goto out;
    if (has_errors(j->trial) && (st = run_on(j, j->trial->attrs, MAGNITUDES_AND_ERRORS, t)))
        goto out;
    for (uint32_t k = 0; k < n; k++) {
        if (j->out[k].value->spec.dtype != WEFT_F64) continue;
        if ((st = new_error(j, k, &j->out[k].err))) goto out;
        for (uint64_t i = 0; i < weft_array_count(j->out[k].err); i++) {
            double size = fmax(fabs(numbers(s[k])[i]), fabs(numbers(j->out[k].value)[i]));
            double grown = t[k] ? fmax(0, numbers(t[k])[i] - numbers(s[k])[i]) : 0;
            numbers(j->out[k].err)[i] = factor * (size + grown) + grown + FLT_MIN;
        }
    }
out:
    for (uint32_t k = 0; k < n; k++) {
        if (s) weft_array_destroy(&s[k]);
        if (t) weft_array_destroy(&t[k]);
    }
    weft__free(s);
    weft__free(t);
    return st;
}

/* The op run on the errors themselves: what it gives is the error of each of its float results. */
static weft_status run_errors(const job *j, const char *attrs)
{
    uint32_t n = j->trial->n_out;
    weft_array **results = weft__alloc_n(n, sizeof *results);
    weft_status st = results ? run_on(j, attrs, ERRORS, results) : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n && !st; i++)
        if (results[i]->spec.dtype == WEFT_F64) {
            j->out[i].err = results[i];
            results[i] = NULL;
        }
    for (uint32_t i = 0; results && i < n; i++)
        weft_array_destroy(&results[i]);
    weft__free(results);
    return st;
}

/* Nothing is computed: the errors take the way of the values. */
static weft_status by_moving(const job *j)
{
    char *attrs;
    weft_status st;
    if (!has_errors(j->trial)) return WEFT_OK;
    if (!(attrs = attrs_without(j, "value"))) return WEFT_E_NOMEM; /* pad's filling has no error */
    st = run_errors(j, attrs);
    weft__free(attrs);
    return st;
}

static weft_status by_reduce(const job *j)
{
    const char *fn = weft__attrs_s(j->attrs, "fn");
    weft_status st;
    if (!strcmp(fn, "sum") || !strcmp(fn, "mean")) return by_magnitudes(j, 2);
    if (!strcmp(fn, "max") || !strcmp(fn, "min")) {
        char *attrs = NULL, *rest;
        weft__text text = { 0 };
        if (!has_errors(j->trial)) return WEFT_OK;
        if (!(rest = attrs_without(j, "fn"))) return WEFT_E_NOMEM;
        weft__text_add(&text, "fn=max %s", rest);
        weft__free(rest);
        if (!(attrs = weft__text_take(&text))) return WEFT_E_NOMEM;
        st = run_errors(j, attrs);
        weft__free(attrs);
        return st;
    }
    if (strcmp(fn, "prod") && !has_errors(j->trial)) return WEFT_OK;
    if ((st = new_error(j, 0, &j->out[0].err))) return st;
    for (uint64_t i = 0; i < weft_array_count(j->out[0].err); i++) {
        double r = j->out[0].value->spec.dtype == WEFT_F64 ? fabs(numbers(j->out[0].value)[i]) : 0;
        numbers(j->out[0].err)[i] =
            has_errors(j->trial) ? INFINITY : (double)inner_length(j) * EPS * r + FLT_MIN;
    }
    return WEFT_OK;
}

static weft_status by_softmax(const job *j)
{
    const weft_array *x = j->trial->in[0].value, *y = j->out[0].value, *e = j->trial->in[0].err;
    int logs = !strcmp(j->trial->op, "log_softmax");
    int64_t axis = weft__attrs_i(j->attrs, "axis");
    double k, shift = 0;
    weft_status st = new_error(j, 0, &j->out[0].err);
    if (st) return st;
    k = (double)x->spec.dim[axis < 0 ? axis + x->spec.rank : axis];
    for (uint64_t i = 0; e && i < weft_array_count(e); i++)
        shift = fmax(shift, 2 * numbers(e)[i]);
    for (uint64_t i = 0; i < weft_array_count(y); i++) {
        double v = numbers(y)[i], far, bound;
        far = (logs ? fabs(v) : v > 0 ? -log(v) : 0) + log(k);
        bound = logs ? EPS * (far + fabs(v) + k + 40) + shift
                     : fabs(v) * (EPS * (far + k + 40) + expm1(shift));
        numbers(j->out[0].err)[i] = bound + FLT_MIN;
    }
    return WEFT_OK;
}

static weft_status bound(const job *j)
{
    static const char *const moves[] = { "reshape",   "transpose", "slice",  "pad", "concat",
                                         "broadcast", "reverse",   "gather", "copy" };
    static const char *const contractions[] = { "matmul", "conv", "conv_input_grad",
                                                "conv_filter_grad", "scatter_add" };
    const char *op = j->trial->op;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (!strcmp(op, moves[i])) return by_moving(j);
    if (!strcmp(op, "count")) return WEFT_OK; /* sizes, whatever lies there: exact */
    if (!strcmp(op, "random") && strcmp(weft__attrs_s(j->attrs, "dist"), "normal")) return WEFT_OK;
    if (!strcmp(op, "map"))
        return weft__map_error(weft__context_host(j->cpu->ctx), weft__attrs_s(j->attrs, "expr"),
                               j->trial, &j->out[0].spec, &j->out[0].err);
    if (!strcmp(op, "reduce")) return by_reduce(j);
    if (!strcmp(op, "softmax") || !strcmp(op, "log_softmax")) return by_softmax(j);
    for (size_t i = 0; i < sizeof contractions / sizeof *contractions; i++)
        if (!strcmp(op, contractions[i])) return by_magnitudes(j, 2);
    return by_magnitudes(j, 32);
}

/* ---- ops made of ops ---------------------------------------------- */

static weft_status copy_array(const weft_array *array, weft_array **copy)
{
    return array ? weft_array_convert(array, array->spec.dtype, copy) : WEFT_OK;
}

/* A constant of the lowered graph, floats in f64. */
static weft_status know_constant(const weft__gvalue *value, weft__known *known)
{
    weft_array data = { .spec = value->spec, .data = value->data };
    return weft_array_convert(&data, value->spec.dtype == WEFT_F32 ? WEFT_F64 : value->spec.dtype,
                              &known->value);
}

static weft_status analyse_node(weft__devices *cpu, const weft__graph *graph,
                                const weft__node *node, int64_t batch, weft__known *known)
{
    weft__known *in = weft__alloc_n(node->n_in, sizeof *in),
                *out = weft__alloc_n(node->n_out, sizeof *out);
    weft_status st = WEFT_E_NOMEM;
    if (!in || !out) goto out;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != WEFT_NONE) in[i] = known[node->in[i]];
    for (uint32_t i = 0; i < node->n_out; i++)
        out[i].spec = graph->value[node->out[i]].spec;
    weft__trial trial = { node->op->name,
                          node->text,
                          node->path,
                          in,
                          node->n_in,
                          node->n_out,
                          node->n_extra,
                          batch,
                          node->region ? node : NULL };
    st = weft__trial_analyse(cpu, &trial, out);
    for (uint32_t i = 0; i < node->n_out && !st; i++)
        known[node->out[i]] = out[i];
out:
    weft__free(in);
    weft__free(out);
    return st;
}

static weft_status walk(const job *j, const weft__graph *graph, weft__known *known)
{
    weft_status st = WEFT_OK;
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->trial->n_in && !st; i++) {
        weft__known *to;
        if (!j->trial->in[i].value) continue;
        to = &known[graph->input[n++].value];
        to->spec = j->trial->in[i].spec;
        st = copy_array(j->trial->in[i].value, &to->value);
        if (!st) st = copy_array(j->trial->in[i].err, &to->err);
    }
    for (size_t i = 1; i <= graph->n_values && !st; i++)
        if (graph->value[i].kind == WEFT__V_CONST) {
            known[i].spec = graph->value[i].spec;
            st = know_constant(&graph->value[i], &known[i]);
        }
    for (size_t i = 0; i < graph->n_nodes && !st; i++)
        st = analyse_node(j->cpu, graph, graph->node[i], j->trial->batch, known);
    for (size_t i = 0; i < graph->n_outputs && !st; i++) {
        const weft__known *from = &known[graph->output[i].value];
        st = copy_array(from->value, &j->out[i].value);
        if (!st) st = copy_array(from->err, &j->out[i].err);
    }
    return st;
}

/* The trial's graph with its op replaced by what it means. *lowered NULL: it stands for itself. */
static weft_status lower(const job *j, weft__graph **lowered)
{
    weft__graph *graph = NULL;
    weft__rewrite rewrite = { 0 };
    weft_status st = weft__trial_graph(j->cpu->ctx, j->trial, &graph);
    if (st) return st;
    if (graph->n_nodes == 1 && WEFT_HAS(graph->node[0]->op, lower)) {
        if ((st = weft__rewrite_begin(graph, &rewrite))) goto out;
        if ((st = weft__rewrite_lower(&rewrite, 0)))
            weft__rewrite_abort(&rewrite);
        else
            st = weft__rewrite_end(&rewrite, lowered);
        if (st == WEFT_E_UNSUPPORTED)
            st = WEFT_OK; /* some attributes have a lowering, others none: reduce fn=sum */
    }
out:
    weft__graph_destroy(&graph);
    return st;
}

static weft_status analyse_lowered(const job *j, const weft__graph *graph)
{
    weft__known *known = weft__alloc_n(graph->n_values + 1, sizeof *known);
    weft_status st;
    if (!known) return WEFT_E_NOMEM;
    st = walk(j, graph, known);
    for (size_t i = 1; i <= graph->n_values; i++)
        weft__known_finish(&known[i]);
    weft__free(known);
    return st;
}

weft_status weft__graph_analyse(weft__devices *cpu, const weft__graph *graph,
                                const weft__trial *inputs, weft__known *out)
{
    job j = { .cpu = cpu, .trial = inputs, .out = out };
    return analyse_lowered(&j, graph);
}

static weft_status analyse_plain(const job *j)
{
    weft__graph *lowered = NULL;
    weft_array **results;
    weft_status st = lower(j, &lowered);
    if (st) return st;
    if (lowered) {
        st = analyse_lowered(j, lowered);
        weft__graph_destroy(&lowered);
        return st;
    }
    if (!(results = weft__alloc_n(j->trial->n_out, sizeof *results))) return WEFT_E_NOMEM;
    st = weft__trial_reference(j->cpu, j->trial, NULL, results);
    for (uint32_t i = 0; i < j->trial->n_out && !st; i++)
        j->out[i].value = results[i];
    weft__free(results);
    return st ? st : bound(j);
}

/* First the op, then its epilogue as the map that it is. */
static weft_status analyse_then(const job *j, const char *then)
{
    uint32_t n_extra = j->trial->n_extra;
    weft__trial base = *j->trial, map;
    weft__known plain = { 0 }, in[WEFT_MAP_MAX_INPUTS];
    weft__graph *graph = NULL;
    weft__text text = { 0 };
    char *attrs = attrs_without(j, "then");
    weft_status st = WEFT_E_NOMEM;
    base.attrs = attrs;
    base.n_in -= n_extra;
    base.n_out = 1;
    base.n_extra = 0;
    weft__text_add(&text, "expr=\"%s\"", then);
    if (!attrs || text.failed) goto out;
    if ((st = weft__trial_graph(j->cpu->ctx, &base, &graph))) goto out;
    plain.spec = graph->value[graph->output[0].value].spec;
    if ((st = weft__trial_analyse(j->cpu, &base, &plain))) goto out;
    in[0] = plain;
    for (uint32_t i = 0; i < n_extra; i++)
        in[1 + i] = j->trial->in[base.n_in + i];
    map = (weft__trial){
        "map", text.s, j->trial->path, in, 1 + n_extra, 1, 0, j->trial->batch, NULL
    };
    st = weft__trial_analyse(j->cpu, &map, j->out);
out:
    weft__known_finish(&plain);
    weft__graph_destroy(&graph);
    weft__text_finish(&text);
    weft__free(attrs);
    return st;
}

weft_status weft__trial_analyse(weft__devices *cpu, const weft__trial *trial, weft__known *out)
{
    const weft_op_class *op = weft__find_op(cpu->ctx, trial->op);
    job j = { cpu, trial, NULL, out };
    weft__attrs *attrs = NULL, *full = NULL;
    const char *then;
    weft_status st;
    if (!op) return weft__fail_no_op(cpu->ctx, trial->op);
    if (trial->loop) return weft__scan_analyse(cpu, trial, out);
    if ((st = weft__attrs_parse(trial->attrs, &attrs))) goto out;
    if ((st = weft__attrs_check(attrs, weft__op_attrs(cpu->ctx, op), trial->op, &full))) goto out;
    j.attrs = full;
    then = op->flags & WEFT_OP_EPILOGUE ? weft__attrs_s(full, "then") : NULL;
    st = then ? analyse_then(&j, then) : analyse_plain(&j);
out:
    weft__attrs_destroy(&attrs);
    weft__attrs_destroy(&full);
    return st;
}
