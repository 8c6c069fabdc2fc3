/* The gradient g of L = sum(dy y) in f64 against central differences
 *   D(h) = sum over the results that change of dy (y(x + h) - y(x - h)) / 2h
 * which is off by h^2/6 L''' and higher terms: by less than |D(2h) - D(h)|, about three times that;
 * and by what rounding does to y. The latter is what weft__trial_analyse bounds for f32, times
 * 2^-29, for both points: sum |dy| err(y) / h. The rounding of g itself is smaller by a factor of
 * about h. A point where the bound is not small is at a kink or close to a pole, and counts as
 * rough. */
#include "gradient_case.h"
#include "graph/build.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "graph/dim.h"
#include "graph/node.h"

static const double H = 0x1p-15, SMALL = 1e-4;
enum { SAMPLES = 16 }; /* elements of an input */

static void must(weft_status st, const gradient_case *c)
{
    if (st) fail_msg("%s %s: %s", c->op, c->text, weft_error());
}

static double *numbers(const weft_array *array)
{
    return array->data;
}

/* ---- the graphs --------------------------------------------------- */

static weft_array *to_f64(weft_array *array)
{
    weft_array *wide = NULL;
    assert_non_null(array);
    if (array->spec.dtype != WEFT_F32) return array;
    assert_int_equal(weft_array_convert(array, WEFT_F64, &wide), WEFT_OK);
    weft_array_destroy(&array);
    return wide;
}

static weft_val add_input(gradient_case *c, weft__graph *graph, const weft_spec *spec,
                          int64_t below, uint64_t *seed)
{
    weft_val v = weft__graph_input(graph, "in", spec);
    assert_true(v);
    if (graph == c->backward) c->in[c->n_in++] = to_f64(case_array(spec, c->batch, below, seed));
    return v;
}

/* The op on new inputs. */
static void add_op(gradient_case *c, weft__graph *graph, uint64_t *seed, weft_val *x, weft_val *y)
{
    weft_val first;
    for (uint32_t i = 0; i < c->line.n; i++)
        x[i] = c->line.spec[i].dtype ? add_input(c, graph, &c->line.spec[i], c->line.below[i], seed)
                                     : WEFT_NONE;
    must(weft__graph_try_op(
             graph,
             &(weft__op_request){ c->op, c->line.attrs, "case", x, c->line.n, y, GRADIENT_RESULTS },
             &first),
         c);
    c->n_y = 0;
    while (c->n_y < GRADIENT_RESULTS && y[c->n_y] != WEFT_NONE)
        c->n_y++;
}

static int is_float(weft_dtype t)
{
    return t == WEFT_F32 || t == WEFT_F64;
}

/* Optional results are there for the gradient alone and have none of their own. */
static int is_kept(const weft__graph *graph, uint32_t result)
{
    const weft_op_class *op = graph->n_nodes ? graph->node[0]->op : NULL;
    uint32_t least = 0, most = UINT32_MAX;
    if (op && op->outputs) weft__arity(op->outputs, &least, &most);
    return most != UINT32_MAX && result >= least;
}

static void name_grads(gradient_case *c, const weft__gradient_request *r)
{
    for (uint32_t i = 0; i < r->n_wrt; i++)
        must(weft__graph_output(c->backward, "dx", r->grads[i]), c);
}

/* Differentiates backward, which holds the op so far. */
static void differentiate(gradient_case *c, weft__gradient_request *r)
{
    weft__graph *plain = c->backward;
    c->backward = NULL;
    weft_status st = weft__pass_differentiable(plain, r, &c->backward);
    weft__graph_destroy(&plain);
    must(st, c);
    must(weft__gradient(c->backward, r), c);
    name_grads(c, r);
}

int gradient_begin(gradient_case *c, weft_context *ctx, const char *op, const char *text,
                   int64_t batch)
{
    weft_val x[CASE_INPUTS], y[GRADIENT_RESULTS], of[GRADIENT_RESULTS], seeds[GRADIENT_RESULTS],
        wrt[CASE_INPUTS], grads[CASE_INPUTS];
    weft__gradient_request r = { .of = of, .seed = seeds, .wrt = wrt, .grads = grads };
    uint64_t seed = 11;
    *c = (gradient_case){ .ctx = ctx, .op = op, .text = text, .batch = batch };
    assert_int_equal(case_parse(text, &c->line), 0);
    must(weft__graph_create(ctx, &c->forward), c);
    must(weft__graph_create(ctx, &c->backward), c);
    add_op(c, c->forward, &seed, x, y);
    for (uint32_t i = 0; i < c->n_y; i++)
        must(weft__graph_output(c->forward, "y", y[i]), c);
    add_op(c, c->backward, &seed, x, y);
    c->n_x = c->n_in;
    for (uint32_t i = 0, at = 0; i < c->line.n; i++) {
        if (is_float(c->line.spec[i].dtype)) {
            c->x_of[r.n_wrt] = (int32_t)at;
            wrt[r.n_wrt++] = x[i];
        }
        at += c->line.spec[i].dtype != 0;
    }
    for (uint32_t i = 0; i < c->n_y; i++) {
        const weft_spec spec = *weft__graph_spec(c->backward, y[i]);
        c->dy_of[i] = -1;
        if (!is_float(spec.dtype) || is_kept(c->forward, i)) continue;
        c->dy_of[i] = (int32_t)c->n_in;
        of[r.n_of] = y[i];
        seeds[r.n_of++] = add_input(c, c->backward, &spec, 0, &seed);
    }
    c->n_dx = r.n_wrt;
    if (!r.n_wrt || !r.n_of) return 0;
    differentiate(c, &r);
    return 1;
}

void gradient_finish(gradient_case *c)
{
    weft__graph_destroy(&c->forward);
    weft__graph_destroy(&c->backward);
    for (uint32_t i = 0; i < c->n_in; i++)
        weft_array_destroy(&c->in[i]);
}

/* ---- differences -------------------------------------------------- */

typedef struct runner {
    gradient_case *c;
    weft__devices *cpu;
    weft__plan *forward;
    weft_array *g[CASE_INPUTS]; /* the gradients */
    weft_array *y[GRADIENT_RESULTS], *low[GRADIENT_RESULTS], *high[GRADIENT_RESULTS];
    weft__known known[GRADIENT_RESULTS]; /* bounds of y */
} runner;

static weft__plan *plan_f64(runner *r, const weft__graph *graph)
{
    const weft__plan_options options = { .f64 = 1, .simplify = 1, .fuse = 1, .views = 1 };
    weft__plan *plan = NULL;
    must(weft__plan_create(graph, r->cpu, &options, &plan), r->c);
    return plan;
}

static void run(runner *r, weft__plan *plan, weft_array **outputs)
{
    must(weft__plan_run(plan, &(weft__plan_call){ .inputs = (const weft_array *const *)r->c->in,
                                                  .outputs = outputs,
                                                  .batch = r->c->batch }),
         r->c);
}

/* The bounds of rounding of y. */
static void analyse(runner *r)
{
    const gradient_case *c = r->c;
    const weft__node *node = c->forward->n_nodes ? c->forward->node[0] : NULL;
    weft__known in[CASE_INPUTS] = { { { 0 }, NULL, NULL } };
    if (!node) return; /* a constant */
    for (uint32_t i = 0; i < node->n_in; i++) {
        const weft__gvalue *v = weft__graph_value(c->forward, node->in[i]);
        if (v->kind != WEFT__V_INPUT) continue;
        in[i] = (weft__known){ .spec = v->spec, .value = c->in[v->index] };
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        r->known[i].spec = *weft__graph_spec(c->forward, node->out[i]);
    const weft__trial trial = weft__trial_of(node, in, c->batch);
    must(weft__trial_analyse(r->cpu, &trial, r->known), c);
}

static int same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static int has_nan(const runner *r)
{
    for (uint32_t j = 0; j < r->c->n_y; j++)
        for (uint64_t k = 0; r->c->dy_of[j] >= 0 && k < weft_array_count(r->y[j]); k++)
            if (isnan(numbers(r->y[j])[k])) return 1;
    return 0;
}

/* D(h) at element e of input `in`, and the bound of its rounding. */
static double difference(runner *r, uint32_t in, uint64_t e, double h, double *rounding)
{
    gradient_case *c = r->c;
    double *x = numbers(c->in[in]) + e, at = *x, low = at - h, high = at + h, sum = 0;
    *x = low;
    run(r, r->forward, r->low);
    *x = high;
    run(r, r->forward, r->high);
    *x = at;
    *rounding = 0;
    for (uint32_t j = 0; j < c->n_y; j++) {
        if (c->dy_of[j] < 0) continue;
        const double *dy = numbers(c->in[c->dy_of[j]]);
        for (uint64_t k = 0; k < weft_array_count(r->y[j]); k++) {
            double a = numbers(r->low[j])[k], b = numbers(r->high[j])[k];
            double err = r->known[j].err ? numbers(r->known[j].err)[k] * 0x1p-29 : 0;
            if (same(a, b)) continue;
            sum += dy[k] * (b - a);
            *rounding += fabs(dy[k]) * (err + 0x1p-52 * fabs(a));
        }
    }
    *rounding *= 2 / (high - low);
    return sum / (high - low);
}

static void compare(runner *r, uint32_t dx, uint64_t e, gradient_tally *t)
{
    const uint32_t in = (uint32_t)r->c->x_of[dx];
    double rounding, ignored, g = numbers(r->g[dx])[e];
    double d = difference(r, in, e, H, &rounding), far = difference(r, in, e, 2 * H, &ignored);
    double bound = fabs(far - d) + rounding + 0x1p-48 * fabs(g);
    if (!isfinite(g) ? !isfinite(d) || has_nan(r) : d == 0 && g != 0 && has_nan(r)) {
        t->undefined++; /* it leads to NaN alone */
    } else if (!(bound <= SMALL * (1 + fabs(d)))) {
        t->rough++;
    } else if (!(fabs(g - d) <= bound)) {
        t->wrong++;
        if (!t->quiet)
            printf("WRONG: %s %s: d input %u [%d] is %.12g, the difference %.12g, bound %.3g, x = "
                   "%g\n",
                   r->c->op, r->c->text, (unsigned)in, (int)e, g, d, bound,
                   numbers(r->c->in[in])[e]);
    } else {
        t->compared++;
    }
}

static void sample(runner *r, uint32_t dx, gradient_tally *t)
{
    const uint64_t n = weft_array_count(r->g[dx]);
    uint64_t seed = 5 + dx;
    if (n <= SAMPLES)
        for (uint64_t e = 0; e < n; e++)
            compare(r, dx, e, t);
    for (int i = 0; n > SAMPLES && i < SAMPLES; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        compare(r, dx, (seed >> 33) % n, t);
    }
}

void gradient_differences(gradient_case *c, gradient_tally *tally)
{
    runner r = { .c = c };
    weft__plan *backward;
    must(weft__devices_open(c->ctx, "cpu", 1, &r.cpu), c);
    r.forward = plan_f64(&r, c->forward);
    backward = plan_f64(&r, c->backward);
    run(&r, r.forward, r.y);
    run(&r, backward, r.g);
    analyse(&r);
    for (uint32_t i = 0; i < c->n_dx; i++)
        sample(&r, i, tally);
    weft__plan_destroy(&backward);
    weft__plan_destroy(&r.forward);
    weft__devices_close(&r.cpu);
    for (uint32_t i = 0; i < GRADIENT_RESULTS; i++) {
        weft_array_destroy(&r.y[i]);
        weft_array_destroy(&r.low[i]);
        weft_array_destroy(&r.high[i]);
        weft__known_finish(&r.known[i]);
    }
    for (uint32_t i = 0; i < CASE_INPUTS; i++)
        weft_array_destroy(&r.g[i]);
}

/* ---- devices ------------------------------------------------------ */

static void take(void *user, const weft_check_line *line)
{
    gradient_tally *t = user;
    t->checked += line->result == WEFT_CHECK_PASSED;
    t->unverified += line->result == WEFT_CHECK_UNVERIFIED;
    t->wrong += line->result == WEFT_CHECK_FAILED;
    if (line->result == WEFT_CHECK_PASSED) return;
    printf("%s on %s: %s %s: error %g, bound %g, element %d: got %.9g, want %.9g %s\n",
           line->result == WEFT_CHECK_FAILED ? "WRONG" : "unverified", line->device, line->op,
           line->attrs, line->error, line->bound, (int)line->index, line->got, line->want,
           line->why);
}

void gradient_device(gradient_case *c, const char *device, gradient_tally *tally)
{
    const weft__plan_options options = { .simplify = 1, .fuse = 1, .views = 1 };
    weft__checker checker = { .fn = take, .user = tally, .batch = c->batch };
    weft__graph *graph = NULL;
    const unsigned before = tally->wrong + tally->unverified;
    must(weft__devices_open(c->ctx, "cpu", 1, &checker.cpu), c);
    must(weft__devices_open(c->ctx, device, 0, &checker.devices), c);
    must(weft__plan_graph(c->backward, checker.devices, &options, &graph), c);
    must(weft__check_graph(&checker, graph, (const weft_array *const *)c->in), c);
    if (before != tally->wrong + tally->unverified)
        printf("  in the gradient of %s %s\n", c->op, c->text);
    weft__graph_destroy(&graph);
    weft__devices_close(&checker.devices);
    weft__devices_close(&checker.cpu);
}
