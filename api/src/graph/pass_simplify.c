/* Simplification: constants folded, movements that do nothing left out, equal ops shared, dead ones
 * dropped. Each round rewrites the graph with one rule per op; rounds go on until nothing
 * changes. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "graph/simplify.h"

enum { ROUNDS = 64 };

static const weft_spec *spec_of(const weft__simplify *s, weft_val v)
{
    return weft__graph_spec(s->rw.dst, v);
}

int weft__same_dims(const weft_spec *a, const weft_spec *b)
{
    if (a->rank != b->rank) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i] || a->dim[i] == WEFT_ANY) return 0;
    return 1;
}

weft_status weft__simplify_op(weft__simplify *s, const char *op, const char *attrs,
                              const weft_val *in, uint32_t n)
{
    weft__op_request request = {
        .name = op, .attrs = attrs, .path = s->node->path, .in = in, .n_in = n
    };
    size_t before = s->rw.dst->n_nodes;
    weft_status st = weft__graph_try_op(s->rw.dst, &request, &s->result);
    if (st || s->rw.dst->n_nodes == before) return st;
    weft__node *made = s->rw.dst->node[before];
    made->device = s->node->device;
    if (s->node->reason && !(made->reason = weft__strdup(s->node->reason))) return WEFT_E_NOMEM;
    return WEFT_OK;
}

/* The node of that op, on the same device, that makes the node's first input. */
static const weft__node *inner(const weft__simplify *s, const weft_op_class *op)
{
    const weft__node *from = weft__graph_producer(s->rw.dst, s->in[0]);
    return from && from->op == op && from->device == s->node->device ? from : NULL;
}

static int is_small_constant(const weft__simplify *s, weft_val v)
{
    int64_t n;
    return weft__graph_value(s->rw.dst, v)->kind == WEFT__V_CONST &&
           weft__spec_count(s->out, &n) == WEFT_OK && n >= 0 && n <= 4096;
}

static weft_status reshape(weft__simplify *s)
{
    weft_val x = s->in[0];
    const weft__node *from = inner(s, &weft__op_reshape);
    if (weft__same_dims(spec_of(s, x), s->out))
        s->result = x;
    else if (from)
        return weft__simplify_op(s, "reshape", s->node->text, from->in, 1);
    else if (is_small_constant(s, x))
        return weft__graph_try_constant(s->rw.dst, s->out, weft__graph_value(s->rw.dst, x)->data, 0,
                                        &s->result);
    return WEFT_OK;
}

static weft_status transpose(weft__simplify *s)
{
    int64_t perm[WEFT_MAX_RANK], first[WEFT_MAX_RANK];
    int identity = 1;
    int32_t rank = s->out->rank;
    const weft__node *from = inner(s, &weft__op_transpose);
    weft__attrs_v(s->node->attrs, "perm", perm, WEFT_MAX_RANK);
    for (int32_t i = 0; i < rank; i++)
        identity &= perm[i] == i || perm[i] + rank == i;
    if (identity) {
        s->result = s->in[0];
        return WEFT_OK;
    }
    if (!from) return WEFT_OK;
    weft__attrs_v(from->attrs, "perm", first, WEFT_MAX_RANK);
    weft__text attrs = { 0 };
    weft__text_add(&attrs, "perm=(");
    for (int32_t i = 0; i < rank; i++) {
        int64_t axis = first[perm[i] < 0 ? perm[i] + rank : perm[i]];
        weft__text_add(&attrs, i ? ",%d" : "%d", (int)(axis < 0 ? axis + rank : axis));
    }
    weft__text_add(&attrs, ")");
    weft_status st =
        attrs.failed ? WEFT_E_NOMEM : weft__simplify_op(s, "transpose", attrs.s, from->in, 1);
    weft__text_finish(&attrs);
    return st;
}

static weft_status concat(weft__simplify *s)
{
    if (s->node->n_in == 1) s->result = s->in[0];
    return WEFT_OK;
}

static weft_status broadcast(weft__simplify *s)
{
    if (weft__same_dims(spec_of(s, s->in[0]), s->out)) s->result = s->in[0];
    return WEFT_OK;
}

static weft_status slice(weft__simplify *s)
{
    int64_t begin[WEFT_MAX_RANK];
    /* all of it: then every begin is 0, and a step other than 1 can only be along a size of 0 or
     * 1 */
    uint32_t n = weft__attrs_v(s->node->attrs, "begin", begin, WEFT_MAX_RANK);
    int whole = weft__same_dims(spec_of(s, s->in[0]), s->out);
    for (uint32_t i = 0; i < n; i++)
        whole &= begin[i] == 0;
    if (whole) s->result = s->in[0];
    return WEFT_OK;
}

static weft_status pad(weft__simplify *s)
{
    if (weft__same_dims(spec_of(s, s->in[0]), s->out)) s->result = s->in[0];
    return WEFT_OK;
}

static weft_status count(weft__simplify *s)
{
    const weft_spec *x = spec_of(s, s->in[0]);
    int64_t axes[WEFT_MAX_RANK];
    int all = !weft__attrs_get(s->node->attrs, "axes") ||
              weft__attrs_get(s->node->attrs, "axes")->kind == WEFT__NONE;
    uint32_t n =
        all ? (uint32_t)x->rank : weft__attrs_v(s->node->attrs, "axes", axes, WEFT_MAX_RANK);
    double product = 1;
    for (uint32_t i = 0; i < n; i++) {
        int64_t axis = all ? (int64_t)i : axes[i] < 0 ? axes[i] + x->rank : axes[i];
        if (!weft__dim_known(x->dim[axis])) return WEFT_OK;
        product *= (double)x->dim[axis];
    }
    float single = (float)product;
    return weft__graph_try_constant(s->rw.dst, s->out,
                                    s->out->dtype == WEFT_F64 ? (void *)&product : (void *)&single,
                                    0, &s->result);
}

typedef struct rule {
    const weft_op_class *op;
    weft_status (*apply)(weft__simplify *);
} rule;
static const rule rules[] = {
    { &weft__op_map, weft__simplify_map },
    { &weft__op_reshape, reshape },
    { &weft__op_transpose, transpose },
    { &weft__op_concat, concat },
    { &weft__op_broadcast, broadcast },
    { &weft__op_slice, slice },
    { &weft__op_pad, pad },
    { &weft__op_count, count },
};

static const weft__node *find_equal(const weft__graph *graph, const weft__node *node,
                                    const weft_val *in)
{
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const weft__node *o = graph->node[i];
        if (o->op == node->op && o->n_in == node->n_in && o->n_extra == node->n_extra &&
            o->device == node->device && memcmp(o->in, in, node->n_in * sizeof *in) == 0 &&
            strcmp(o->text, node->text) == 0)
            return o;
    }
    return NULL;
}

/* A constant with the same bytes is used again. */
static weft_val shared_constant(weft__simplify *s, weft_val old)
{
    const weft__gvalue *v = weft__graph_value(s->rw.src, old);
    size_t bytes = weft__spec_count_at(&v->spec, 0) * weft_dtype_size(v->spec.dtype);
    for (size_t i = 1; bytes <= 256 && i <= s->rw.dst->n_values; i++) {
        const weft__gvalue *o = &s->rw.dst->value[i];
        if (o->kind == WEFT__V_CONST && o->weak == v->weak && o->spec.dtype == v->spec.dtype &&
            weft__same_dims(&o->spec, &v->spec) && memcmp(o->data, v->data, bytes) == 0)
            return (weft_val)i;
    }
    return 0;
}

static weft_status take_inputs(weft__simplify *s)
{
    s->in = weft__alloc_n(s->node->n_in, sizeof *s->in);
    if (!s->in) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < s->node->n_in; i++) {
        weft_val old = s->node->in[i];
        if (old != WEFT_NONE && !s->rw.map[old] && s->rw.src->value[old].kind == WEFT__V_CONST)
            s->rw.map[old] = shared_constant(s, old);
        if (!(s->in[i] = weft__rewrite_value(&s->rw, old))) return WEFT_E_NOMEM;
    }
    return WEFT_OK;
}

static weft_status simplify_node(weft__simplify *s, uint32_t number)
{
    const weft__node *node = s->node = s->rw.src->node[number];
    const weft__node *equal = NULL;
    weft_status st = take_inputs(s);
    s->out = weft__graph_spec(s->rw.src, node->out[0]);
    s->result = 0;
    for (size_t i = 0; !st && i < sizeof rules / sizeof *rules; i++)
        if (rules[i].op == node->op && !node->n_extra) st = rules[i].apply(s);
    if (!st && s->result) {
        s->rw.map[node->out[0]] = s->result;
        s->changed = 1;
    } else if (!st && !node->region && (equal = find_equal(s->rw.dst, node, s->in)) != NULL) {
        for (uint32_t i = 0; i < node->n_out; i++)
            s->rw.map[node->out[i]] = equal->out[i];
        s->changed = 1;
    } else if (!st) {
        st = weft__rewrite_node(&s->rw, number);
    }
    weft__free(s->in);
    s->in = NULL;
    return st;
}

/* Regions are simplified to the end in the first round; later ones find nothing to change there. */
static weft_status simplify_region(void *user, const weft__graph *region, weft__graph **result)
{
    (void)user;
    return weft__pass_simplify(region, result);
}

static weft_status run_round(const weft__graph *graph, weft__graph **result, int *changed)
{
    weft__simplify s = { 0 };
    uint8_t *live = NULL;
    weft_status st = weft__graph_live(graph, &live);
    if (!st) st = weft__rewrite_begin(graph, &s.rw);
    s.rw.region = simplify_region;
    for (uint32_t i = 0; !st && i < graph->n_nodes; i++)
        if (live[i])
            st = simplify_node(&s, i);
        else
            s.changed = 1;
    if (!st)
        st = weft__rewrite_end(&s.rw, result);
    else
        weft__rewrite_abort(&s.rw);
    *changed = s.changed;
    weft__free(live);
    return st;
}

weft_status weft__pass_simplify(const weft__graph *graph, weft__graph **result)
{
    weft__graph *now = NULL;
    int changed = 1;
    for (int round = 0; changed && round < ROUNDS; round++) {
        weft__graph *next = NULL;
        weft_status st = run_round(now ? now : graph, &next, &changed);
        weft__graph_destroy(&now);
        if (st) return st;
        now = next;
    }
    *result = now;
    return WEFT_OK;
}
