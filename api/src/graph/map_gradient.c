/* The gradient of map: its expression is differentiated symbolically, by the derivative texts of
 * the table, from the root down. One map for each input, over the inputs that it needs, the
 * incoming gradient, and the forward result where the root's derivative is written with it (tanh
 * is not computed again). What becomes too large for one expression is cut at the root: its
 * arguments become values of their own, and each part is differentiated alone. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/map_program.h"
#include "graph/map_table.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

#define ABSENT UINT32_MAX /* no node */
enum {
    DOUT = WEFT_MAP_MAX_INPUTS, /* inputs of derived expressions behind the map's own */
    RESULT,
    INPUTS,
    TEXT_MOST = 1024, /* nodes of a derived expression, written out */
    RESULT_LETTER = 'r' - 'a'
};

/* A map whose inputs' gradients are wanted. */
typedef struct mapping {
    const char *expr;
    const weft_val *in;
    uint32_t n_in, depth; /* depth: of cuts */
    weft_val fwd, dout;
} mapping;

typedef struct derivation {
    weft_build *b;
    weft__map_tree tree;    /* the expression, and behind it what is derived from it */
    weft__map_typing *type; /* of the expression's nodes */
    uint32_t *adjoint;      /* of the expression's nodes: d result / d node times dout; ABSENT */
    uint32_t n, root, result;
    weft_val in[INPUTS];
    uint32_t n_in; /* the map's own */
} derivation;

static weft_status derive(weft_build *b, const mapping *m, weft_val *sum);

/* ---- trees, simplified as they grow */

static int is_literal(const weft__map_tree *t, uint32_t node, double value)
{
    return t->node[node].kind == WEFT_MAP_CONST && t->node[node].value == value;
}

static const weft__map_node *call_of(const weft__map_tree *t, uint32_t node, const char *name)
{
    const weft__map_node *at = &t->node[node];
    return at->kind == WEFT_MAP_CALL && strcmp(at->fn->name, name) == 0 ? at : NULL;
}

#define ARGS(...) ((const uint32_t[3]){ __VA_ARGS__ })
static weft_status call(weft__map_tree *t, const char *name, const uint32_t *args, uint32_t *node)
{
    return weft__map_call(t, weft__map_find(name), args, node);
}

/* x*y, where one of them is often a simple number, 1/z or -z. What a condition has chosen stays
 * chosen: 0 for the branch not taken, even where y is infinite. */
static weft_status times(weft__map_tree *t, uint32_t x, uint32_t y, uint32_t *node)
{
    const weft__map_node *div = call_of(t, y, "div"), *neg = call_of(t, y, "neg"),
                         *chosen = call_of(t, x, "select");
    weft_status st;
    if (is_literal(t, x, 0) || is_literal(t, y, 0)) return weft__map_literal(t, 0, node);
    if (is_literal(t, x, 1) || is_literal(t, y, 1)) {
        *node = is_literal(t, x, 1) ? y : x;
        return WEFT_OK;
    }
    if (chosen && is_literal(t, chosen->arg[2], 0)) {
        const uint32_t condition = chosen->arg[0], zero = chosen->arg[2];
        st = times(t, chosen->arg[1], y, node);
        return st ? st : call(t, "select", ARGS(condition, *node, zero), node);
    }
    if (is_literal(t, y, -1)) return call(t, "neg", ARGS(x), node);
    if (div && is_literal(t, div->arg[0], 1)) return call(t, "div", ARGS(x, div->arg[1]), node);
    if (!neg) return call(t, "mul", ARGS(x, y), node);
    st = times(t, x, neg->arg[0], node);
    return st ? st : call(t, "neg", ARGS(*node), node);
}

static weft_status simple_call(weft__map_tree *t, const weft_map_fn *fn, const uint32_t *arg,
                               uint32_t *node)
{
    if (strcmp(fn->name, "mul") == 0) return times(t, arg[0], arg[1], node);
    if (strcmp(fn->name, "pow") != 0) return weft__map_call(t, fn, arg, node);
    if (is_literal(t, arg[1], 2)) return call(t, "square", ARGS(arg[0]), node);
    if (is_literal(t, arg[1], 0)) return weft__map_literal(t, 1, node);
    if (!is_literal(t, arg[1], 1)) return weft__map_call(t, fn, arg, node);
    *node = arg[0];
    return WEFT_OK;
}

/* A derivative text's tree, with the nodes that its letters stand for. */
static weft_status graft(weft__map_tree *t, const weft__map_tree *text, uint32_t node,
                         const uint32_t *with, uint32_t *copy)
{
    const weft__map_node *at = &text->node[node];
    uint32_t arg[3] = { 0 };
    if (at->kind == WEFT_MAP_INPUT) {
        *copy = with[at->arg[0]];
        return WEFT_OK;
    }
    if (at->kind == WEFT_MAP_CONST) return weft__map_literal(t, at->value, copy);
    const int32_t n = at->kind == WEFT_MAP_CALL ? at->fn->arity : 1;
    for (int32_t i = 0; i < n; i++) {
        weft_status st = graft(t, text, at->arg[i], with, &arg[i]);
        if (st) return st;
    }
    return at->kind == WEFT_MAP_CALL ? simple_call(t, at->fn, arg, copy)
                                     : weft__map_to(t, at->dtype, arg[0], copy);
}

static int is_condition(const weft__map_node *node)
{
    return node->kind == WEFT_MAP_CAST
               ? node->dtype == WEFT_BOOL
               : node->kind == WEFT_MAP_CALL &&
                     (node->fn->flags & (WEFT_MAP_COMPARE | WEFT_MAP_LOGICAL)) != 0;
}

/* ---- from the root down */

static weft_status give(derivation *d, uint32_t to, uint32_t adjoint)
{
    if (d->adjoint[to] == ABSENT) {
        d->adjoint[to] = adjoint;
        return WEFT_OK;
    }
    return call(&d->tree, "add", ARGS(d->adjoint[to], adjoint), &d->adjoint[to]);
}

/* The adjoint of node `from`, of dtype `own`, times the local derivative (ABSENT: 1), for its
 * argument. A derivative that is true or false chooses: infinity times false would be NaN. */
static weft_status pass(derivation *d, uint32_t from, weft_dtype own, uint32_t local, uint32_t to)
{
    uint32_t value = d->adjoint[from], zero;
    weft_status st = WEFT_OK;
    if (local != ABSENT && is_condition(&d->tree.node[local])) {
        st = weft__map_literal(&d->tree, 0, &zero);
        if (!st) st = call(&d->tree, "select", ARGS(local, value, zero), &value);
    } else if (local != ABSENT) {
        st = times(&d->tree, value, local, &value);
    }
    if (st || is_literal(&d->tree, value, 0)) return st;
    if (d->type[to].dtype != own) st = weft__map_to(&d->tree, d->type[to].dtype, value, &value);
    return st ? st : give(d, to, value);
}

static int wants(const derivation *d, uint32_t node)
{
    return weft__is_float(d->type[node].dtype) && !d->type[node].weak;
}

static weft_status visit_call(derivation *d, uint32_t i)
{
    const weft__map_node at = d->tree.node[i];
    const weft_dtype own = weft__map_operands(&at, d->type).dtype;
    weft_status st = WEFT_OK;
    for (int32_t k = 0; !st && k < at.fn->arity; k++) {
        uint32_t with[WEFT_MAP_MAX_INPUTS] = { at.arg[0], at.arg[1], at.arg[2] }, local;
        weft__map_tree text = { 0 };
        if (!at.fn->derivative[k] || !wants(d, at.arg[k])) continue;
        with[RESULT_LETTER] = i == d->root ? d->result : i;
        st = weft__map_parse(at.fn->derivative[k], &text);
        if (!st) st = graft(&d->tree, &text, text.root, with, &local);
        if (!st) st = pass(d, i, own, local, at.arg[k]);
        weft__map_tree_finish(&text);
    }
    return st;
}

static weft_status visit_all(derivation *d)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = d->n; !st && i-- > 0;) {
        const weft__map_node *at = &d->tree.node[i];
        if (d->adjoint[i] == ABSENT) continue;
        if (at->kind == WEFT_MAP_CALL)
            st = visit_call(d, i);
        else if (at->kind == WEFT_MAP_CAST && wants(d, at->arg[0]))
            st = pass(d, i, at->dtype, ABSENT, at->arg[0]);
    }
    return st;
}

/* ---- derived trees back into maps */

/* Nodes of the text that the tree is printed as; counting ends above `most`. used[]: inputs that it
 * reads. */
static uint32_t written_size(const weft__map_tree *t, uint32_t node, uint32_t most, int *used)
{
    const weft__map_node *at = &t->node[node];
    uint32_t size = 1;
    if (at->kind == WEFT_MAP_INPUT) used[at->arg[0]] = 1;
    int32_t n = at->kind == WEFT_MAP_CALL ? at->fn->arity : at->kind == WEFT_MAP_CAST;
    for (int32_t i = 0; i < n && size <= most; i++)
        size += written_size(t, at->arg[i], most, used);
    return size;
}

/* Swaps the numbers of the tree's inputs: to name[number], and back. */
static void rename_inputs(weft__map_tree *t, const uint32_t *name)
{
    for (size_t i = 0; i < t->n; i++) {
        weft__map_node *at = &t->node[i];
        if (at->kind != WEFT_MAP_INPUT) continue;
        if (name) at->arg[1] = at->arg[0];
        at->arg[0] = name ? name[at->arg[0]] : at->arg[1];
    }
}

typedef struct operands {
    weft_val in[INPUTS];
    uint32_t n;
} operands;

/* A map of that text and dtype; the input itself where it computes nothing. 0 = it does not fit. */
static weft_status add_map(weft_build *b, const char *text, const operands *of, weft_dtype dtype,
                           weft_val *value)
{
    weft_dtype types[WEFT_MAP_MAX_INPUTS], got = 0;
    weft__text attrs = { 0 };
    weft_status st;
    for (uint32_t k = 0; k < of->n; k++)
        types[k] = weft__grad_spec(b, of->in[k]).dtype;
    if (!weft__map_fits(text, types, of->n)) return WEFT_OK;
    if ((st = weft__map_type(text, types, NULL, of->n, &got))) return st;
    if (strcmp(text, "a") == 0 && got == dtype) {
        *value = of->in[0];
        return WEFT_OK;
    }
    if (got == dtype)
        weft__text_add(&attrs, "expr=\"%s\"", text);
    else
        weft__text_add(&attrs, "expr=\"%s(%s)\"", weft__map_cast_name(dtype), text);
    st = attrs.failed ? WEFT_E_NOMEM : WEFT_OK;
    if (!st && !(*value = b->api->op(b, "map", attrs.s, of->in, of->n, NULL, 0)))
        st = WEFT_E_ARG; /* the builder keeps what it was */
    weft__text_finish(&attrs);
    return st;
}

/* One map for the tree at `node`, of that dtype and at most so many nodes; *value 0 = it is too
 * large for one. */
static weft_status make_map(derivation *d, uint32_t node, weft_dtype dtype, uint32_t most,
                            weft_val *value)
{
    int used[INPUTS] = { 0 };
    uint32_t name[INPUTS] = { 0 };
    operands of = { .n = 0 };
    weft__text text = { 0 };
    weft_status st = WEFT_OK;
    *value = 0;
    if (written_size(&d->tree, node, most, used) > most) return WEFT_OK;
    for (uint32_t k = 0; k < INPUTS; k++) {
        if (!used[k]) continue;
        name[k] = of.n;
        of.in[of.n++] = d->in[k];
    }
    if (of.n > WEFT_MAP_MAX_INPUTS) return WEFT_OK;
    rename_inputs(&d->tree, name);
    weft__map_print(&text, &d->tree, node);
    rename_inputs(&d->tree, NULL);
    st = text.failed ? WEFT_E_NOMEM : add_map(d->b, text.s, &of, dtype, value);
    weft__text_finish(&text);
    return st;
}

static void add_to(weft_build *b, weft_val value, weft_val *sum)
{
    *sum = *sum == WEFT_NONE ? value : weft_add(b, *sum, value);
}

/* The sum of the adjoints of all places where input k stands; ABSENT = it has none. */
static weft_status adjoint_of(derivation *d, uint32_t k, uint32_t *all)
{
    weft_status st = WEFT_OK;
    *all = ABSENT;
    for (uint32_t i = 0; !st && i < d->n; i++) {
        const weft__map_node *at = &d->tree.node[i];
        if (at->kind != WEFT_MAP_INPUT || at->arg[0] != k || d->adjoint[i] == ABSENT) continue;
        if (*all == ABSENT)
            *all = d->adjoint[i];
        else
            st = call(&d->tree, "add", ARGS(*all, d->adjoint[i]), all);
    }
    return st;
}

/* The gradient of every input; *fits 0: one of them is too large for a map, and none is added. */
static weft_status make_all(derivation *d, weft_val *sum, int *fits)
{
    weft_val made[WEFT_MAP_MAX_INPUTS];
    weft_status st = WEFT_OK;
    for (uint32_t k = 0; !st && *fits && k < d->n_in; k++) {
        const weft_spec spec = weft__grad_spec(d->b, d->in[k]);
        uint32_t all;
        made[k] = WEFT_NONE;
        if ((st = adjoint_of(d, k, &all)) || all == ABSENT) continue;
        st = make_map(d, all, spec.dtype, TEXT_MOST, &made[k]);
        *fits = made[k] != 0;
        if (!st && *fits) made[k] = weft__grad_sum_to(d->b, made[k], &spec);
    }
    for (uint32_t k = 0; !st && *fits && k < d->n_in; k++)
        if (made[k] != WEFT_NONE) add_to(d->b, made[k], &sum[k]);
    return st;
}

/* ---- too large: the root alone, then its arguments */

/* An argument of the root: its expression, and for all but literals its value. */
typedef struct argument {
    weft_val value; /* 0 = a literal */
    weft__text text;
} argument;

static weft_status cut_argument(derivation *d, uint32_t node, argument *a)
{
    weft_status st;
    weft__map_print(&a->text, &d->tree, node);
    if (a->text.failed) return WEFT_E_NOMEM;
    if (d->tree.node[node].kind == WEFT_MAP_CONST) return WEFT_OK;
    /* whatever its size: it is part of an expression that was a map */
    st = make_map(d, node, d->type[node].dtype, WEFT__MAP_NODES, &a->value);
    if (st || a->value) return st;
    return weft_failf(d->b, WEFT_E_UNSUPPORTED, "part of the expression does not fit: %.200s",
                      a->text.s);
}

/* The root's gradient with respect to its arguments, then theirs. */
static weft_status go_on(derivation *d, const mapping *m, const argument *a, const char *expr,
                         weft_val *sum)
{
    weft_val in[3], din[3] = { WEFT_NONE, WEFT_NONE, WEFT_NONE };
    const argument *from[3];
    mapping root = { expr, in, 0, m->depth + 1, m->fwd, m->dout };
    for (int k = 0; k < 3; k++)
        if (a[k].value) {
            from[root.n_in] = &a[k];
            in[root.n_in++] = a[k].value;
        }
    weft_status st = derive(d->b, &root, din);
    for (uint32_t k = 0; !st && k < root.n_in; k++) {
        const mapping part = { from[k]->text.s, m->in, m->n_in, m->depth + 1, in[k], din[k] };
        if (din[k] != WEFT_NONE) st = derive(d->b, &part, sum);
    }
    return st;
}

static weft_status cut(derivation *d, const mapping *m, weft_val *sum)
{
    const weft__map_node root = d->tree.node[d->root];
    const int32_t arity = root.kind == WEFT_MAP_CALL ? root.fn->arity : 1;
    argument a[3] = { { 0 } };
    char letter = 'a';
    weft__text expr = { 0 };
    weft_status st = WEFT_OK;
    weft__text_add(&expr, "%s(",
                   root.kind == WEFT_MAP_CALL ? root.fn->name : weft__map_cast_name(root.dtype));
    for (int32_t k = 0; !st && k < arity; k++) {
        if ((st = cut_argument(d, root.arg[k], &a[k]))) break;
        if (k) weft__text_put(&expr, ",", 1);
        if (a[k].value)
            weft__text_add(&expr, "%c", letter++);
        else
            weft__text_add(&expr, "%s", a[k].text.s);
    }
    weft__text_add(&expr, ")");
    if (!st) st = expr.failed ? WEFT_E_NOMEM : go_on(d, m, a, expr.s, sum);
    for (int32_t k = 0; k < 3; k++)
        weft__text_finish(&a[k].text);
    weft__text_finish(&expr);
    return st;
}

/* ---- all of it */

static weft_status begin(derivation *d, const char *expr)
{
    weft_dtype types[WEFT_MAP_MAX_INPUTS];
    char why[256];
    weft_status st = weft__map_parse(expr, &d->tree);
    if (st) return st;
    for (uint32_t k = 0; k < d->n_in; k++)
        types[k] = weft__grad_spec(d->b, d->in[k]).dtype;
    d->n = (uint32_t)d->tree.n;
    d->root = d->tree.root;
    if ((st = weft__map_type_nodes(&d->tree, &(weft__map_compile){ .in = types, .n_in = d->n_in },
                                   &d->type, why)))
        return st;
    if (!(d->adjoint = weft__alloc_n(d->n, sizeof *d->adjoint))) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < d->n; i++)
        d->adjoint[i] = ABSENT;
    if ((st = weft__map_input(&d->tree, DOUT, &d->adjoint[d->root]))) return st;
    return weft__map_input(&d->tree, RESULT, &d->result);
}

/* Adds the gradients of the map's inputs to sum[] (WEFT_NONE = none yet). */
static weft_status derive(weft_build *b, const mapping *m, weft_val *sum)
{
    derivation d = { .b = b, .n_in = m->n_in };
    int fits = 1;
    if (m->depth > WEFT__MAP_DEPTH)
        return weft_failf(b, WEFT_E_UNSUPPORTED, "the expression is nested too deeply");
    memcpy(d.in, m->in, m->n_in * sizeof *m->in);
    d.in[DOUT] = m->dout;
    d.in[RESULT] = m->fwd;
    weft_status st = begin(&d, m->expr);
    if (!st) st = visit_all(&d);
    if (!st) st = make_all(&d, sum, &fits);
    /* UNSUPPORTED: more nodes than a tree may have */
    if ((!st && !fits) || st == WEFT_E_UNSUPPORTED) st = cut(&d, m, sum);
    weft__free(d.adjoint);
    weft__free(d.type);
    weft__map_tree_finish(&d.tree);
    return st;
}

weft_status weft__map_gradient(weft_build *b)
{
    weft_val in[WEFT_MAP_MAX_INPUTS], sum[WEFT_MAP_MAX_INPUTS];
    mapping m = { .expr = b->api->attr_s(b, "expr"),
                  .in = in,
                  .n_in = b->api->n_in(b),
                  .fwd = b->api->fwd(b, 0),
                  .dout = b->api->dout(b, 0) };
    for (uint32_t k = 0; k < m.n_in; k++) {
        in[k] = b->api->in(b, k);
        sum[k] = WEFT_NONE;
    }
    weft_status st = derive(b, &m, sum);
    for (uint32_t k = 0; !st && k < m.n_in; k++)
        if (sum[k] != WEFT_NONE) st = b->api->out(b, k, sum[k]);
    return st;
}
