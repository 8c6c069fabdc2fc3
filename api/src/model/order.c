/* Which calls the outputs need, and the order of Keras's model.layers, on which the names in its
 * weight files depend: by depth from the outputs, then by the first visit of a depth-first walk
 * (map_graph in Keras's ops/function.py). The walk keeps its own stack: a hostile file may chain a
 * million layers. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "model/parts.h"

/* Nodes are the model's inputs, then its calls; operations are its inputs, then its layers. */
typedef struct walk {
    const weft_model *model;
    size_t n_nodes, n_ops;
    uint32_t *node_of;   /* tensor id -> node, UINT32_MAX for a constant */
    unsigned char *seen; /* node: visited */
    uint32_t *post;
    size_t n_post; /* nodes, each after its inputs */
    uint32_t *stack, *next;
    size_t n_stack; /* nodes being visited, the next input of each */
    int64_t *visit;
    int64_t n_visits;               /* operation: order of the first visit, -1 = none */
    int64_t *node_depth, *op_depth; /* -1 = not in the graph */
    uint32_t *found;                /* nodes in the order in which their depths were first asked */
    size_t n_found;
} walk;

static size_t op_of(const walk *w, uint32_t node)
{
    size_t n_inputs = w->model->n_inputs;
    return node < n_inputs ? node : n_inputs + w->model->call[node - n_inputs].layer - 1;
}

static const weft__call *call_of(const walk *w, uint32_t node)
{
    const weft_model *m = w->model;
    if (node < m->n_inputs) return NULL;
    const weft__call_ref *ref = &m->call[node - m->n_inputs];
    return &m->layer[ref->layer - 1].call[ref->call];
}

static uint32_t input_node(const walk *w, const weft__call *call, uint32_t i)
{
    return call->in[i] == WEFT_NONE ? UINT32_MAX : w->node_of[call->in[i]];
}

static void walk_finish(walk *w)
{
    void *arrays[] = { w->node_of, w->seen,       w->post,     w->stack, w->next,
                       w->visit,   w->node_depth, w->op_depth, w->found };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        weft__free(arrays[i]);
}

static weft_status walk_init(walk *w, const weft_model *model)
{
    memset(w, 0, sizeof *w);
    w->model = model;
    w->n_nodes = model->n_inputs + model->n_calls;
    w->n_ops = model->n_inputs + model->n_layers;
    w->node_of = weft__alloc_n(model->n_tensors + 1, sizeof *w->node_of);
    w->seen = weft__alloc(w->n_nodes);
    w->post = weft__alloc_n(w->n_nodes, sizeof *w->post);
    w->stack = weft__alloc_n(w->n_nodes, sizeof *w->stack);
    w->next = weft__alloc_n(w->n_nodes, sizeof *w->next);
    w->visit = weft__alloc_n(w->n_ops, sizeof *w->visit);
    w->node_depth = weft__alloc_n(w->n_nodes, sizeof *w->node_depth);
    w->op_depth = weft__alloc_n(w->n_ops, sizeof *w->op_depth);
    w->found = weft__alloc_n(w->n_nodes, sizeof *w->found);
    if (!w->found || !w->node_of || !w->seen || !w->post || !w->stack || !w->next || !w->visit ||
        !w->node_depth || !w->op_depth)
        return WEFT_E_NOMEM;
    for (size_t i = 0; i <= model->n_tensors; i++)
        w->node_of[i] = UINT32_MAX;
    for (size_t i = 0; i < model->n_inputs; i++)
        w->node_of[model->input[i]] = (uint32_t)i;
    for (size_t i = 0; i < model->n_calls; i++) {
        const weft__call *call = call_of(w, (uint32_t)(model->n_inputs + i));
        for (uint32_t k = 0; k < call->n_out; k++)
            w->node_of[call->first + k] = (uint32_t)(model->n_inputs + i);
    }
    for (size_t i = 0; i < w->n_ops; i++)
        w->visit[i] = w->op_depth[i] = -1;
    for (size_t i = 0; i < w->n_nodes; i++)
        w->node_depth[i] = -1;
    return WEFT_OK;
}

static void enter(walk *w, uint32_t node)
{
    if (node == UINT32_MAX || w->seen[node]) return;
    size_t op = op_of(w, node);
    w->seen[node] = 1;
    if (w->visit[op] < 0) w->visit[op] = w->n_visits++;
    w->stack[w->n_stack] = node;
    w->next[w->n_stack++] = 0;
}

static void visit_all(walk *w)
{
    for (size_t i = 0; i < w->model->n_outputs; i++) {
        enter(w, w->node_of[w->model->output[i].tensor]);
        while (w->n_stack > 0) {
            uint32_t node = w->stack[w->n_stack - 1], *next = &w->next[w->n_stack - 1];
            const weft__call *call = call_of(w, node);
            if (call && *next < call->n_in) {
                enter(w, input_node(w, call, (*next)++));
            } else {
                w->post[w->n_post++] = node;
                w->n_stack--;
            }
        }
    }
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Keras's dictionary of depths keeps this order, and runs the nodes of one depth in it. */
static void find(walk *w, uint32_t node, int64_t depth)
{
    if (w->node_depth[node] < 0) w->found[w->n_found++] = node;
    w->node_depth[node] = larger(w->node_depth[node], depth);
}

static void set_depths(walk *w)
{
    for (size_t i = w->n_post; i > 0; i--) {
        uint32_t node = w->post[i - 1];
        size_t op = op_of(w, node);
        int64_t depth = larger(larger(w->node_depth[node], 0), w->op_depth[op]);
        const weft__call *call = call_of(w, node);
        find(w, node, depth);
        w->op_depth[op] = depth;
        for (uint32_t k = 0; call && k < call->n_in; k++) {
            uint32_t in = input_node(w, call, k);
            if (in != UINT32_MAX) find(w, in, depth + 1);
        }
    }
    /* inputs that no output needs stay in the model, at the end */
    for (size_t i = 0; i < w->model->n_inputs; i++)
        if (w->op_depth[i] < 0) w->op_depth[i] = w->node_depth[i] = 0;
}

typedef struct ranked {
    int64_t depth, visit;
    size_t op; /* or call */
} ranked;

static int compare(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->depth != y->depth) return x->depth > y->depth ? -1 : 1;
    if (x->visit != y->visit) return x->visit < y->visit ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

static weft_status sort_places(const walk *w, weft_model *model)
{
    ranked *list = weft__alloc_n(w->n_ops, sizeof *list);
    weft__place *place = weft__alloc_n(w->n_ops, sizeof *place);
    size_t n = 0;
    if (!list || !place) {
        weft__free(list);
        weft__free(place);
        return WEFT_E_NOMEM;
    }
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->op_depth[i] >= 0) list[n++] = (ranked){ w->op_depth[i], w->visit[i], i };
    if (n) qsort(list, n, sizeof *list, compare);
    for (size_t i = 0; i < n; i++) {
        int is_input = list[i].op < model->n_inputs;
        place[i] =
            (weft__place){ is_input,
                           (uint32_t)(is_input ? list[i].op : list[i].op - model->n_inputs + 1) };
    }
    weft__free(list);
    weft__free(model->place);
    model->place = place;
    model->n_places = n;
    return WEFT_OK;
}

/* The calls as Keras runs them: the deepest first, those of one depth as they were found. It
 * matters where a shared layer assigns a variable: its second call reads what the first one
 * assigned. */
static weft_status sort_calls(const walk *w, weft_model *model)
{
    ranked *list = weft__alloc_n(w->n_found, sizeof *list);
    uint32_t *run = weft__alloc_n(w->n_found, sizeof *run);
    size_t n = 0;
    if (!list || !run) {
        weft__free(list);
        weft__free(run);
        return WEFT_E_NOMEM;
    }
    for (size_t i = 0; i < w->n_found; i++)
        if (w->found[i] >= model->n_inputs)
            list[n++] =
                (ranked){ w->node_depth[w->found[i]], (int64_t)i, w->found[i] - model->n_inputs };
    if (n) qsort(list, n, sizeof *list, compare);
    for (size_t i = 0; i < n; i++)
        run[i] = (uint32_t)list[i].op;
    weft__free(list);
    weft__free(model->run);
    model->run = run;
    model->n_run = n;
    return WEFT_OK;
}

/* Keras prints no "Connected to" for a plain chain: one node at each depth, with one input, no
 * shared layer. */
static weft_status find_chain(const walk *w, weft_model *model)
{
    unsigned char *taken = weft__alloc(w->n_nodes + 1), *called = weft__alloc(w->n_ops + 1);
    int chain = taken && called;
    weft_status st = chain ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t node = 0; chain && node < w->n_nodes; node++) {
        int64_t depth = w->node_depth[node];
        const weft__call *call = call_of(w, node);
        uint32_t tensors = 0;
        if (depth < 0) continue;
        for (uint32_t k = 0; call && k < call->n_in; k++)
            tensors += input_node(w, call, k) != UINT32_MAX;
        /* a chain of n nodes is not deeper than n */
        if ((size_t)depth > w->n_nodes || taken[depth]++ || tensors > 1 || called[op_of(w, node)]++)
            chain = 0;
    }
    weft__free(taken);
    weft__free(called);
    model->sequential = chain || strcmp(model->kind, WEFT__KIND_SEQUENTIAL) == 0;
    return st;
}

weft_status weft__order_make(weft_model *model)
{
    walk w;
    weft_status st = walk_init(&w, model);
    if (st == WEFT_OK) {
        visit_all(&w);
        set_depths(&w);
        st = sort_places(&w, model);
    }
    if (st == WEFT_OK) st = sort_calls(&w, model);
    if (st == WEFT_OK) st = find_chain(&w, model);
    if (st == WEFT_OK) {
        weft__free(model->used);
        model->used = weft__alloc(model->n_calls + 1);
        if (!model->used) st = WEFT_E_NOMEM;
        for (size_t i = 0; st == WEFT_OK && i < model->n_calls; i++)
            model->used[i] = w.seen[model->n_inputs + i];
    }
    walk_finish(&w);
    return st;
}
