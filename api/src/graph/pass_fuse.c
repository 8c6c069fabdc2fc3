/* Fusing: a map takes the maps that only it reads into its expression, then goes into the `then` of
 * an op that only it reads. Nodes are built tentatively in the new graph and the caller is asked
 * whether the device can run them; a no leaves things as they were. What was fused away is dead and
 * dropped at the end. */
#include <string.h>
#include "base/alloc.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/map_tree.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "graph/simplify.h"
#include "registry/registry.h"

enum { TEXT_MOST = 4096 };

typedef struct fuse {
    weft__rewrite rw;
    const weft__fuse_ask *ask;
    uint32_t *uses;   /* readers of the old graph's values */
    uint8_t *depends; /* old values that depend on inputs */
} fuse;

/* A map on its way: what it computes from which values of the new graph, and of the old one (0 =
 * none). */
typedef struct chain {
    weft__text expr, path;
    weft_val in[WEFT_MAP_MAX_INPUTS], old[WEFT_MAP_MAX_INPUTS];
    uint32_t n;
    const weft__node *node; /* the map of the old graph */
    weft_val result;        /* of the old graph */
} chain;

/* "conv1" and "activation" make "conv1, activation". */
static void join_paths(weft__text *text, const char *a, const char *b)
{
    size_t n = strlen(b);
    weft__text_add(text, "%s", a);
    for (const char *at = a; n && at; at = strstr(at, ", ")) {
        if (at != a) at += 2;
        if (strncmp(at, b, n) == 0 && (at[n] == '\0' || at[n] == ',')) return;
    }
    if (n) weft__text_add(text, *a ? ", %s" : "%s", b);
}

static void chain_finish(chain *c)
{
    weft__text_finish(&c->expr);
    weft__text_finish(&c->path);
}

static weft_status chain_begin(fuse *f, const weft__node *node, chain *c)
{
    *c = (chain){ .node = node, .n = node->n_in, .result = node->out[0] };
    weft__text_add(&c->expr, "%s", weft__attrs_s(node->attrs, "expr"));
    weft__text_add(&c->path, "%s", node->path);
    for (uint32_t i = 0; i < node->n_in; i++) {
        c->old[i] = node->in[i];
        if (!(c->in[i] = weft__rewrite_value(&f->rw, node->in[i]))) return WEFT_E_NOMEM;
    }
    return c->expr.failed || c->path.failed ? WEFT_E_NOMEM : WEFT_OK;
}

/* Input i is made for this map alone, on the same device, and both belong to the same part of the
 * plan: what depends on variables alone is computed once, ahead, and stays apart from what each run
 * computes. */
static const weft__node *producer(const fuse *f, const chain *c, uint32_t i)
{
    weft_val old = c->old[i];
    const weft__node *from = old ? weft__graph_producer(f->rw.dst, c->in[i]) : NULL;
    if (!from || f->uses[old] != 1 || from->device != c->node->device || from->region) return NULL;
    return f->depends[old] == f->depends[c->result] ? from : NULL;
}

/* Is it worth computing the map `from` again for each element it is broadcast to? */
static int cheap_enough(const fuse *f, const chain *c, const weft__node *from)
{
    const weft_spec *all = weft__graph_spec(f->rw.src, c->result);
    const weft_spec *x = weft__graph_spec(f->rw.dst, from->out[0]);
    return weft__same_dims(all, x) ||
           (from->n_in <= 2 && !weft__map_costly(weft__attrs_s(from->attrs, "expr")));
}

/* Puts value v at the end of the inputs, or finds it there; its place. WEFT_MAP_MAX_INPUTS = no
 * room. */
static uint32_t place(chain *c, weft_val v, weft_val old)
{
    uint32_t k = 0;
    while (k < c->n && c->in[k] != v)
        k++;
    if (k < c->n) {
        c->old[k] = c->old[k] == old ? old : 0; /* read more than once */
        return k;
    }
    if (k < WEFT_MAP_MAX_INPUTS) {
        c->in[k] = v;
        c->old[k] = old;
        c->n++;
    }
    return k;
}

/* What does not fit within the limits of expressions is not fused; that is no failure. */
static weft_status unless_too_large(weft_status st)
{
    return st == WEFT_E_NOMEM ? st : WEFT_OK;
}

/* `more`: c with input i replaced by the map that makes it. 0 = does not fit. */
static weft_status substitute(const chain *c, uint32_t i, const weft__node *from, chain *more,
                              int *fits)
{
    char letter[WEFT_MAP_MAX_INPUTS][2], inner_letter[WEFT_MAP_MAX_INPUTS][2];
    const char *with[WEFT_MAP_MAX_INPUTS], *inner[WEFT_MAP_MAX_INPUTS];
    const char *expr = weft__attrs_s(from->attrs, "expr");
    weft__text part = { 0 };
    double literal;
    weft_status st = WEFT_OK;
    *more = (chain){ .node = c->node, .result = c->result };
    *fits = !weft__map_is_literal(expr, &literal);
    for (uint32_t k = 0; *fits && k < c->n; k++) {
        if (k == i) continue;
        uint32_t at = place(more, c->in[k], c->old[k]);
        snprintf(letter[k], 2, "%c", (int)('a' + at));
        with[k] = letter[k];
    }
    for (uint32_t k = 0; *fits && k < from->n_in; k++) {
        uint32_t at = place(more, from->in[k], 0);
        *fits = at < WEFT_MAP_MAX_INPUTS;
        snprintf(inner_letter[k], 2, "%c", (int)('a' + at));
        inner[k] = inner_letter[k];
    }
    if (!*fits) return WEFT_OK;
    st = weft__map_substitute(expr, inner, from->n_in, &part);
    with[i] = part.s;
    if (!st) st = weft__map_substitute(c->expr.s, with, c->n, &more->expr);
    join_paths(&more->path, from->path, c->path.s);
    if (!st && more->path.failed) st = WEFT_E_NOMEM;
    *fits = !st && more->expr.n < TEXT_MOST;
    weft__text_finish(&part);
    return unless_too_large(st);
}

/* Adds the node that the request describes, as part of the device's plan; *yes: the caller wants
 * it. Else it is taken back. */
static weft_status attempt(fuse *f, const weft__op_request *request, const weft__node *like,
                           int *yes)
{
    weft_val v = 0;
    size_t before = f->rw.dst->n_nodes;
    *yes = 0;
    weft_status st = weft__graph_try_op(f->rw.dst, request, &v);
    if (st || f->rw.dst->n_nodes == before) return unless_too_large(st);
    weft__node *node = f->rw.dst->node[before];
    node->device = like->device;
    if (like->reason && !(node->reason = weft__strdup(like->reason))) st = WEFT_E_NOMEM;
    *yes = !st && (!f->ask || !f->ask->may || f->ask->may(f->ask->user, f->rw.dst, node) == 1);
    if (!*yes) weft__graph_pop(f->rw.dst);
    return st;
}

static weft_status add_chain(fuse *f, const chain *c, int *yes)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    weft__text attrs = { 0 };
    for (uint32_t i = 0; i < c->n; i++)
        in[i] = weft__graph_spec(f->rw.dst, c->in[i])->dtype;
    *yes = 0;
    if (!weft__map_fits(c->expr.s, in, c->n)) return WEFT_OK;
    weft__text_add(&attrs, "expr=\"%s\"", c->expr.s);
    weft__op_request request = {
        .name = "map", .attrs = attrs.s, .path = c->path.s, .in = c->in, .n_in = c->n
    };
    weft_status st = attrs.failed ? WEFT_E_NOMEM : attempt(f, &request, c->node, yes);
    weft__text_finish(&attrs);
    return st;
}

/* Takes one producing map into c; *done: nothing more to take. */
static weft_status take_map(fuse *f, chain *c, uint32_t i, int *taken)
{
    const weft__node *from = producer(f, c, i);
    chain more = { 0 };
    int fits = 0, yes = 0;
    *taken = 0;
    if (!from || from->op != &weft__op_map || !cheap_enough(f, c, from)) return WEFT_OK;
    weft_status st = substitute(c, i, from, &more, &fits);
    if (!st && fits) st = add_chain(f, &more, &yes);
    if (!st && yes) {
        weft__graph_pop(f->rw.dst);
        chain before = *c;
        *c = more;
        more = before;
        *taken = 1;
    }
    chain_finish(&more);
    return st;
}

typedef struct epilogue {   /* a map as the `then` of an op */
    const weft__node *from; /* the op, in the new graph */
    uint32_t i;             /* the map's input that is its result */
    weft__text attrs;       /* of the op, with `then` extended */
    weft_val *in;           /* its inputs, with room for the map's */
} epilogue;

static weft_status then_attrs(const fuse *f, const chain *c, epilogue *e)
{
    const weft__node *from = e->from;
    const char *before = weft__attrs_s(from->attrs, "then"), *with[WEFT_MAP_MAX_INPUTS];
    char letter[WEFT_MAP_MAX_INPUTS][2];
    weft__attrs *set = NULL;
    weft__value value = { 0 };
    weft__text then = { 0 };
    uint32_t n = from->n_extra;
    memcpy(e->in, from->in, from->n_in * sizeof *e->in);
    for (uint32_t k = 0; k < c->n; k++) {
        if (k == e->i) {
            with[k] = before ? before : "a";
            continue;
        }
        e->in[from->n_in + n - from->n_extra] = c->in[k];
        snprintf(letter[k], 2, "%c", (int)('b' + n++));
        with[k] = letter[k];
    }
    weft_status st = weft__attrs_copy(from->attrs, &set);
    if (!st) st = weft__map_substitute(c->expr.s, with, c->n, &then);
    if (!st && weft__attrs_take(set, "then", &value)) weft__value_finish(&value);
    if (!st) {
        weft__attrs_print(&e->attrs, set, weft__op_attrs(f->rw.dst->ctx, from->op));
        weft__text_add(&e->attrs, " then=\"%s\"", then.s);
        if (e->attrs.failed) st = WEFT_E_NOMEM;
    }
    weft__text_finish(&then);
    weft__attrs_destroy(&set);
    return st;
}

/* Would the expression of c over a result of that dtype, in place of the map, compute the same? Not
 * if it is a literal, which has no dtype of its own. */
static int then_fits(const fuse *f, const chain *c, const weft__node *from)
{
    const weft_spec *all = weft__graph_spec(f->rw.src, c->result);
    double literal;
    const char *before = weft__attrs_s(from->attrs, "then");
    uint32_t least, most;
    weft__arity(from->op->inputs, &least, &most);
    if (most == UINT32_MAX) return 0;
    return weft__same_dims(all, weft__graph_spec(f->rw.dst, from->out[0])) && from->n_out == 1 &&
           from->n_extra + c->n <= WEFT_MAP_MAX_INPUTS && c->expr.n < TEXT_MOST / 2 &&
           (!before || (strlen(before) < TEXT_MOST / 2 && !weft__map_is_literal(before, &literal)));
}

/* The map c goes into the op that makes its input i. *taken: the node is in the new graph. */
static weft_status take_then(fuse *f, const chain *c, uint32_t i, int *taken)
{
    const weft__node *from = producer(f, c, i);
    epilogue e = { .from = from, .i = i };
    weft__text path = { 0 };
    *taken = 0;
    if (!from || !(from->op->flags & WEFT_OP_EPILOGUE) || !then_fits(f, c, from)) return WEFT_OK;
    if (!(e.in = weft__alloc_n(from->n_in + c->n, sizeof *e.in))) return WEFT_E_NOMEM;
    weft_status st = then_attrs(f, c, &e);
    join_paths(&path, from->path, c->path.s);
    if (!st && path.failed) st = WEFT_E_NOMEM;
    weft__op_request request = { .name = from->op->name,
                                 .attrs = e.attrs.s,
                                 .path = path.s,
                                 .in = e.in,
                                 .n_in = from->n_in + c->n - 1 };
    if (!st && e.attrs.n < TEXT_MOST) st = attempt(f, &request, from, taken);
    weft__text_finish(&e.attrs);
    weft__text_finish(&path);
    weft__free(e.in);
    return unless_too_large(st);
}

static weft_status fuse_map(fuse *f, uint32_t number)
{
    const weft__node *node = f->rw.src->node[number];
    chain c;
    int taken = 0, changed = 0, yes = 0;
    weft_status st = chain_begin(f, node, &c);
    for (uint32_t i = 0; !st && i < c.n;) {
        st = take_map(f, &c, i, &taken);
        changed |= taken;
        i = taken ? 0 : i + 1;
    }
    taken = 0;
    for (uint32_t i = 0; !st && !taken && i < c.n; i++)
        st = take_then(f, &c, i, &taken);
    if (!st && !taken && changed) st = add_chain(f, &c, &yes);
    if (!st && (taken || yes))
        f->rw.map[node->out[0]] = f->rw.dst->node[f->rw.dst->n_nodes - 1]->out[0];
    else if (!st)
        st = weft__rewrite_node(&f->rw, number);
    chain_finish(&c);
    return st;
}

/* The graph without its dead nodes. */
static weft_status drop_dead(const weft__graph *graph, weft__graph **result)
{
    weft__rewrite rw = { 0 };
    uint8_t *live = NULL;
    weft_status st = weft__graph_live(graph, &live);
    if (!st) st = weft__rewrite_begin(graph, &rw);
    for (uint32_t i = 0; !st && i < graph->n_nodes; i++)
        if (live[i]) st = weft__rewrite_node(&rw, i);
    if (!st)
        st = weft__rewrite_end(&rw, result);
    else
        weft__rewrite_abort(&rw);
    weft__free(live);
    return st;
}

static weft_status fuse_region(void *user, const weft__graph *region, weft__graph **result)
{
    return weft__pass_fuse(region, user, result);
}

weft_status weft__pass_fuse(const weft__graph *graph, const weft__fuse_ask *ask,
                            weft__graph **result)
{
    fuse f = { .ask = ask };
    weft__graph *fused = NULL;
    weft_status st = weft__graph_uses(graph, &f.uses);
    if (!st) st = weft__graph_depends(graph, &f.depends);
    if (!st) st = weft__rewrite_begin(graph, &f.rw);
    f.rw.region = fuse_region;
    f.rw.user = (void *)(uintptr_t)ask;
    for (uint32_t i = 0; !st && i < graph->n_nodes; i++)
        st = graph->node[i]->op == &weft__op_map ? fuse_map(&f, i) : weft__rewrite_node(&f.rw, i);
    if (!st) st = weft__rewrite_end(&f.rw, &fused);
    if (!st) st = drop_dead(fused, result);
    weft__rewrite_abort(&f.rw);
    weft__graph_destroy(&fused);
    weft__free(f.uses);
    weft__free(f.depends);
    return st;
}
