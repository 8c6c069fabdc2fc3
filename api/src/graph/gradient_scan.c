/* The gradient of a loop is a loop the other way round. Its step begins from the carries that the
 * forward loop saved and computes the forward step again; then it goes back through that step, from
 * the gradients of the next carries and of the step's ys to those of its carries and xs. Gradients
 * of captures are summed up in carries of their own. */
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/gradient.h"
#include "graph/scan.h"

typedef struct backward {
    weft__build build;
    weft__graph *graph;
    const weft__node *node; /* the forward loop, saving */
    const weft_val *dout;
    weft__scan_request scan;
    uint32_t n_y; /* of the forward loop, without the saved carries */
    /* Of the loop back: carries are gradients of carries, then sums for captures; xs are the
     * forward xs, the saved carries, the gradients of ys; ys are the gradients of xs. */
    weft_val *carry0, *xs, *carry_end, *ys;
    uint32_t n_carry, n_x, n_ys;
    uint32_t *wanted; /* by input of the node: 1 + which carry (or y) is its gradient; 0 = none */
} backward;

static weft_val give(const backward *w, weft_val value)
{
    return weft__build_give(w->graph, value);
}

typedef enum { CARRY, X, CAPTURE } role;

static role role_of(const backward *w, uint32_t input)
{
    if (input < w->scan.n_carry) return CARRY;
    return input < w->scan.n_carry + w->scan.n_x ? X : CAPTURE;
}

/* ---- one step, traced ---- */

typedef struct step {
    backward *w;
    weft__graph *body;     /* of the loop back */
    weft__rewrite inlined; /* the forward step, copied into it */
    weft__gradient_request r;
    const weft_val *carry, *x; /* what the body was handed, and has to set */
    weft_val *carry_out, *y;
    weft_status st;
} step;

static weft_val taken(step *s, weft_val handle)
{
    weft_val v = 0;
    if (!s->st) s->st = weft__build_take(&s->w->build, handle, &v);
    return v;
}

static void inline_step(step *s)
{
    const backward *w = s->w;
    const weft__graph *region = w->node->region;
    for (uint32_t i = 0; i < w->node->n_in && !s->st; i++) {
        role is = role_of(w, i);
        weft_val v = is == CARRY ? s->x[w->scan.n_x + i]
                     : is == X   ? s->x[i - w->scan.n_carry]
                                 : give(w, w->node->in[i]);
        s->inlined.map[region->input[i].value] = taken(s, v);
    }
    for (uint32_t i = 0; i < region->n_nodes && !s->st; i++)
        s->st = weft__rewrite_node(&s->inlined, i);
}

/* What is differentiated: the next carries and the ys, as far as gradients come in. */
static void plant(step *s)
{
    const backward *w = s->w;
    const weft__graph *region = w->node->region;
    const weft_val *dy = s->x + w->scan.n_x + w->scan.n_carry;
    for (uint32_t i = 0; i < w->scan.n_carry + w->n_y && !s->st; i++) {
        int is_carry = i < w->scan.n_carry;
        if (is_carry ? !w->wanted[i] : w->dout[i] == WEFT_NONE) continue;
        s->r.of[s->r.n_of] = weft__rewrite_value(&s->inlined, region->output[i].value);
        s->r.seed[s->r.n_of++] = taken(s, is_carry ? s->carry[w->wanted[i] - 1] : *dy++);
    }
    for (uint32_t i = 0; i < w->node->n_in && !s->st; i++)
        if (w->wanted[i]) s->r.wrt[s->r.n_wrt++] = s->inlined.map[region->input[i].value];
}

/* The gradient of input i goes where the loop back keeps it. */
static void hand_out(step *s, uint32_t i, weft_val grad)
{
    backward *w = s->w;
    uint32_t k = w->wanted[i] - 1;
    role is = role_of(w, i);
    if (grad == WEFT_NONE && is == CAPTURE) {
        s->carry_out[k] = s->carry[k];
        return;
    }
    if (grad == WEFT_NONE) {
        weft_val value = s->inlined.map[w->node->region->input[i].value];
        const weft_spec spec = *weft__graph_spec(s->body, value);
        s->st = weft__gradient_zeros(s->body, w->node->path, &spec, &grad);
    }
    grad = weft__build_give(s->body, grad);
    if (is == X)
        s->y[k] = grad;
    else
        s->carry_out[k] = is == CAPTURE ? weft_add(&w->build.base, s->carry[k], grad) : grad;
}

static void body(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    backward *w = user;
    const weft__graph *region = w->node->region;
    size_t n_of = region->n_outputs, n_in = w->node->n_in;
    step s = { .w = w,
               .body = w->build.graph,
               .inlined = { .src = region, .dst = w->build.graph },
               .r = { .absent = 1 },
               .carry = carry,
               .x = x,
               .carry_out = carry_out,
               .y = y };
    (void)b;
    s.inlined.map = weft__alloc_n(region->n_values + 1, sizeof *s.inlined.map);
    s.r.of = weft__alloc_n(n_of, sizeof *s.r.of);
    s.r.seed = weft__alloc_n(n_of, sizeof *s.r.seed);
    s.r.wrt = weft__alloc_n(n_in, sizeof *s.r.wrt);
    s.r.grads = weft__alloc_n(n_in, sizeof *s.r.grads);
    if (!s.inlined.map || !s.r.of || !s.r.seed || !s.r.wrt || !s.r.grads) s.st = WEFT_E_NOMEM;
    if (!s.st) inline_step(&s);
    if (!s.st) plant(&s);
    if (!s.st) s.st = weft__gradient(s.body, &s.r);
    for (uint32_t i = 0, n = 0; i < n_in && !s.st; i++)
        if (w->wanted[i]) hand_out(&s, i, s.r.grads[n++]);
    if (s.st && !w->build.status) w->build.status = s.st;
    weft__free(s.inlined.map);
    weft__free(s.r.of);
    weft__free(s.r.seed);
    weft__free(s.r.wrt);
    weft__free(s.r.grads);
}

/* ---- the loop ---- */

/* A gradient that begins as what comes in at the loop's end, or as zeros. */
static weft_status add_carry(backward *w, uint32_t input)
{
    weft_val v = role_of(w, input) == CARRY ? w->dout[input] : WEFT_NONE;
    const weft_spec spec = *weft__graph_spec(w->graph, w->node->in[input]);
    weft_status st = WEFT_OK;
    if (v == WEFT_NONE) st = weft__gradient_zeros(w->graph, w->node->path, &spec, &v);
    w->carry0[w->n_carry++] = give(w, v);
    w->wanted[input] = w->n_carry;
    return st;
}

/* Has input i a gradient? A carry has one in the loop back already if the end of it does. */
static int wants(const backward *w, const uint8_t *body, uint32_t i)
{
    const weft__graph *region = w->node->region;
    int ways = body[region->input[i].value];
    if (role_of(w, i) == CARRY) ways |= body[region->output[i].value];
    return ways & WEFT__REACHES;
}

static weft_status choose(backward *w, const uint8_t *ways)
{
    uint8_t *body = NULL;
    weft_status st = weft__gradient_body_ways(w->node, ways, &body);
    for (uint32_t i = 0; !st && i < w->node->n_in; i++) {
        if (!wants(w, body, i)) continue;
        if (role_of(w, i) == X)
            w->wanted[i] = ++w->n_ys;
        else
            st = add_carry(w, i);
    }
    weft__free(body);
    return st;
}

static weft_status lay_out(backward *w, const uint8_t *ways)
{
    const weft__node *node = w->node;
    uint32_t n_carry = w->scan.n_carry;
    weft_status st = choose(w, ways);
    for (uint32_t i = 0; i < w->scan.n_x; i++)
        w->xs[w->n_x++] = give(w, node->in[n_carry + i]);
    for (uint32_t i = 0; i < n_carry; i++)
        w->xs[w->n_x++] = give(w, node->out[n_carry + w->n_y + i]);
    for (uint32_t i = n_carry; i < n_carry + w->n_y; i++)
        if (w->dout[i] != WEFT_NONE) w->xs[w->n_x++] = give(w, w->dout[i]);
    return st;
}

static weft_status collect(backward *w, weft_val *din)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < w->node->n_in && !st; i++) {
        const weft_val *from = role_of(w, i) == X ? w->ys : w->carry_end;
        if (w->wanted[i]) st = weft__build_take(&w->build, from[w->wanted[i] - 1], &din[i]);
    }
    return st;
}

static weft_status run(backward *w, const uint8_t *ways, weft_val *din)
{
    weft__build_setup setup = { .graph = w->graph,
                                .path = w->node->path,
                                .what = "the gradient of a loop" };
    weft_status st = weft__build_init(&w->build, &setup);
    if (!st) st = lay_out(w, ways);
    weft_scan scan = { .struct_size = sizeof scan,
                       .flags = w->scan.reverse ? 0 : WEFT_SCAN_REVERSE,
                       .axis = w->scan.axis,
                       .n_carry = w->n_carry,
                       .n_x = w->n_x,
                       .n_y = w->n_ys,
                       .carry0 = w->carry0,
                       .xs = w->xs,
                       .body = body,
                       .user = w,
                       .carry_end = w->carry_end,
                       .ys = w->ys };
    if (!st) st = weft__build_scan(&w->build, &scan);
    if (!st) st = collect(w, din);
    weft__build_finish(&w->build);
    return st;
}

weft_status weft__gradient_scan(weft__graph *graph, const weft__node *node, const weft_val *dout,
                                const uint8_t *ways, weft_val *din)
{
    backward w = { .graph = graph, .node = node, .dout = dout };
    size_t n = (size_t)node->n_in + node->n_out;
    weft_status st = WEFT_E_NOMEM;
    weft__scan_of(node, &w.scan);
    if (!w.scan.saving)
        return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": the loop does not save its carries",
                         node->path);
    w.n_y = node->n_out - 2 * w.scan.n_carry;
    for (uint32_t i = w.scan.n_carry + w.n_y; i < node->n_out; i++)
        if (dout[i] != WEFT_NONE) /* of a gradient that is differentiated again */
            return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": the saved carries have no gradient",
                             node->path);
    w.carry0 = weft__alloc_n(n, sizeof *w.carry0);
    w.xs = weft__alloc_n(n, sizeof *w.xs);
    w.carry_end = weft__alloc_n(n, sizeof *w.carry_end);
    w.ys = weft__alloc_n(n, sizeof *w.ys);
    w.wanted = weft__alloc_n(n, sizeof *w.wanted);
    if (w.carry0 && w.xs && w.carry_end && w.ys && w.wanted) st = run(&w, ways, din);
    weft__free(w.carry0);
    weft__free(w.xs);
    weft__free(w.carry_end);
    weft__free(w.ys);
    weft__free(w.wanted);
    return st;
}
