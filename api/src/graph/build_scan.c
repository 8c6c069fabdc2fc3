/* Loops in the builder: scan() traces its body into a region, a graph of its own. Handles of
 * values carry the tag of their graph, so that a body may read whatever surrounds it: what it reads
 * becomes a capture, one more input of the region and of the scan. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/build.h"
#include "graph/dim.h"
#include "graph/node.h"
#include "graph/scan.h"

enum { TAG_SHIFT = 24, TAGS = 255 }; /* tag 255 would make a handle look like WEFT_NONE */

weft_val weft__build_give(const weft__graph *graph, weft_val value)
{
    return value && value != WEFT_NONE ? value | graph->tag << TAG_SHIFT : value;
}

/* The region's input for a value of the graph around it. */
static weft_status capture(weft__graph *region, weft_val outer, weft_val *result)
{
    const weft__gvalue *v = weft__graph_value(region->parent, outer);
    if (v->kind == WEFT__V_CONST && v->spec.rank == 0)
        return weft__graph_try_constant(region, &v->spec, v->data, v->weak, result);
    for (size_t i = 0; i < region->n_inputs; i++)
        if (region->captured[i] == outer) {
            *result = region->input[i].value;
            return WEFT_OK;
        }
    if (weft__grow(&region->captured, region->n_inputs, &region->cap_captured,
                   sizeof *region->captured))
        return WEFT_E_NOMEM;
    *result = weft__graph_input(region, "capture", &v->spec);
    if (!*result) return WEFT_E_NOMEM;
    region->captured[region->n_inputs - 1] = outer;
    return WEFT_OK;
}

/* A value of `from`, which is `graph` or around it, as a value of `graph`. */
static weft_status bring(weft__graph *graph, const weft__graph *from, weft_val value,
                         weft_val *result)
{
    weft_val outer;
    *result = value;
    if (graph == from) return WEFT_OK;
    weft_status st = bring(graph->parent, from, value, &outer);
    return st ? st : capture(graph, outer, result);
}

weft_status weft__build_take(weft__build *build, weft_val handle, weft_val *value)
{
    const weft__graph *from = build->graph;
    *value = handle;
    if (!handle || handle == WEFT_NONE) return WEFT_OK;
    while (from && from->tag != handle >> TAG_SHIFT)
        from = from->parent;
    *value = handle & ((1u << TAG_SHIFT) - 1);
    if (from && !weft__graph_value(from, *value)->kind)
        return weft_fail(WEFT_E_ARG, "%s: the handle %u is no value that the builder gave",
                         build->what, (unsigned)handle);
    if (from) return bring(build->graph, from, *value, value);
    return weft_fail(WEFT_E_ARG,
                     "%s: a value of a loop's body is used outside of that body; hand it out as "
                     "one of the loop's carries or ys",
                     build->what);
}

/* ---- scan ---- */

typedef struct tracing {
    weft__build *b;
    const weft_scan *scan;
    weft__graph *region, *outer;
    weft_val *in;        /* of the node: carries, xs; captures come from the region */
    weft_val *carry, *x; /* handles for the body */
    weft_val *carry_out, *y;
    int64_t steps;
    int32_t axis;
} tracing;

static weft_status check_scan(const weft__build *b, const weft_scan *s)
{
    size_t least = offsetof(weft_scan, ys) + sizeof s->ys; /* all of the first minor */
    if (s->struct_size < least)
        return weft_fail(WEFT_E_ABI, "%s: weft_scan.struct_size is %u, at least %zu is needed",
                         b->what, (unsigned)s->struct_size, least);
    if (s->flags & ~(uint32_t)WEFT_SCAN_REVERSE)
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "%s: weft_scan.flags is %u; this library knows WEFT_SCAN_REVERSE alone",
                         b->what, (unsigned)s->flags);
    if (s->n_x == 0)
        return weft_fail(WEFT_E_ARG,
                         "%s: a scan needs at least one x, whose axis says how often it loops",
                         b->what);
    if (!s->body || (s->n_carry && (!s->carry0 || !s->carry_end)) || !s->xs || (s->n_y && !s->ys))
        return weft_fail(WEFT_E_ARG, "%s: a pointer of weft_scan is NULL", b->what);
    if ((uint64_t)s->n_carry + s->n_x + s->n_y > 4096)
        return weft_fail(WEFT_E_UNSUPPORTED, "%s: a scan has at most 4096 carries, xs and ys",
                         b->what);
    return WEFT_OK;
}

static weft_status alloc_tracing(tracing *t)
{
    const weft_scan *s = t->scan;
    if (!(t->in = weft__alloc_n((size_t)s->n_carry + s->n_x, sizeof *t->in))) return WEFT_E_NOMEM;
    if (!(t->carry = weft__alloc_n(s->n_carry, sizeof *t->carry))) return WEFT_E_NOMEM;
    if (!(t->x = weft__alloc_n(s->n_x, sizeof *t->x))) return WEFT_E_NOMEM;
    if (!(t->carry_out = weft__alloc_n(s->n_carry, sizeof *t->carry_out))) return WEFT_E_NOMEM;
    if (!(t->y = weft__alloc_n(s->n_y, sizeof *t->y))) return WEFT_E_NOMEM;
    return WEFT_OK;
}

/* One step's part of an x: without the axis of time. */
static weft_status step_spec(tracing *t, uint32_t i, const weft_spec *x, weft_spec *step)
{
    int32_t axis;
    weft__spec_text text;
    weft_status st = weft__axis(t->scan->axis, x->rank, &axis);
    if (st) return st;
    int64_t steps = x->dim[axis];
    if (steps < 0 && steps != WEFT_ANY)
        return weft_fail(WEFT_E_SHAPE,
                         "x %u loops over axis %d of %s, which is a multiple of the "
                         "batch; a loop has a number of steps",
                         (unsigned)i, (int)axis, weft__spec_show(x, &text));
    if (i && (steps != t->steps || axis != t->axis))
        return weft_fail(WEFT_E_SHAPE,
                         "x %u has %lld steps along axis %d, x 0 has %lld along axis %d; all xs "
                         "of a scan loop together",
                         (unsigned)i, (long long)steps, (int)axis, (long long)t->steps,
                         (int)t->axis);
    t->steps = steps;
    t->axis = axis;
    *step = *x;
    step->rank--;
    memmove(&step->dim[axis], &x->dim[axis + 1], (size_t)(x->rank - axis - 1) * sizeof *x->dim);
    step->dim[step->rank] = 0;
    return WEFT_OK;
}

static weft_status take_input(tracing *t, weft_val handle, const char *what, uint32_t i,
                              weft_val *value)
{
    weft_status st = weft__build_take(t->b, handle, value);
    if (st) return st;
    if (*value == WEFT_NONE || !weft__graph_value(t->outer, *value)->kind)
        return weft_fail(WEFT_E_ARG, "%s %u of a scan %s", what, (unsigned)i,
                         *value == WEFT_NONE ? "is absent" : "failed already");
    return weft__graph_harden(t->outer, value);
}

/* A tag that no graph around has, and that no earlier sibling has had lately. */
static void open_region(weft__graph *outer, weft__graph *region)
{
    const weft__graph *around = outer;
    region->parent = outer;
    region->tag = outer->last_tag;
    do {
        region->tag = 1 + region->tag % (TAGS - 1);
        for (around = outer; around && around->tag != region->tag;)
            around = around->parent;
    } while (around);
    outer->last_tag = region->tag;
}

static weft_status begin(tracing *t)
{
    const weft_scan *s = t->scan;
    weft_spec spec;
    weft_status st;
    open_region(t->outer, t->region);
    for (uint32_t i = 0; i < s->n_carry + s->n_x; i++) {
        int x = i >= s->n_carry;
        uint32_t k = x ? i - s->n_carry : i;
        if ((st = take_input(t, x ? s->xs[k] : s->carry0[k], x ? "x" : "carry", k, &t->in[i])))
            return st;
        spec = *weft__graph_spec(t->outer, t->in[i]);
        if (x && (st = step_spec(t, k, weft__graph_spec(t->outer, t->in[i]), &spec))) return st;
        if (weft__grow(&t->region->captured, i, &t->region->cap_captured,
                       sizeof *t->region->captured))
            return WEFT_E_NOMEM;
        t->region->captured[i] = 0;
        weft_val v = weft__graph_input(t->region, x ? "x" : "carry", &spec);
        if (!v) return WEFT_E_NOMEM;
        *(x ? &t->x[k] : &t->carry[k]) = weft__build_give(t->region, v);
    }
    return WEFT_OK;
}

/* What the body gave, as outputs of the region. */
static weft_status end(tracing *t)
{
    const weft_scan *s = t->scan;
    weft__spec_text have, want;
    for (uint32_t i = 0; i < s->n_carry + s->n_y; i++) {
        int y = i >= s->n_carry;
        uint32_t k = y ? i - s->n_carry : i;
        weft_val v;
        weft_status st = weft__build_take(t->b, y ? t->y[k] : t->carry_out[k], &v);
        if (st) return st;
        if (v == WEFT_NONE || !weft__graph_value(t->region, v)->kind)
            return weft_fail(WEFT_E_ARG, "the body of a scan did not set %s %u",
                             y ? "y" : "carry_out", (unsigned)k);
        if ((st = weft__graph_harden(t->region, &v))) return st;
        const weft_spec *spec = weft__graph_spec(t->region, v);
        const weft_spec *carry = weft__graph_spec(t->region, t->region->input[y ? 0 : i].value);
        if (!y && !weft__spec_equal(spec, carry))
            return weft_fail(WEFT_E_SHAPE,
                             "carry %u goes into the body of a scan as %s and comes out as %s; a "
                             "carry keeps its shape and dtype",
                             (unsigned)k, weft__spec_show(carry, &want),
                             weft__spec_show(spec, &have));
        if ((st = weft__graph_output(t->region, y ? "y" : "carry", v))) return st;
    }
    return WEFT_OK;
}

static weft_status add_scan(tracing *t)
{
    const weft_scan *s = t->scan;
    weft__graph *region = t->region;
    uint32_t n_own = s->n_carry + s->n_x, n_in = (uint32_t)region->n_inputs;
    weft_val *in = weft__alloc_n(n_in, sizeof *in),
             *out = weft__alloc_n((size_t)s->n_carry + s->n_y, sizeof *out);
    weft_status st = WEFT_E_NOMEM;
    if (!in || !out) goto done;
    for (uint32_t i = 0; i < n_in; i++)
        in[i] = i < n_own ? t->in[i] : region->captured[i];
    weft__scan_request request = { .n_carry = s->n_carry,
                                   .n_x = s->n_x,
                                   .axis = t->axis,
                                   .reverse = (s->flags & WEFT_SCAN_REVERSE) != 0,
                                   .steps = t->steps,
                                   .path = t->b->path,
                                   .in = in,
                                   .n_in = n_in };
    if ((st = weft__graph_scan(t->outer, &request, &t->region, out))) goto done;
    for (uint32_t i = 0; i < s->n_carry; i++)
        s->carry_end[i] = weft__build_give(t->outer, out[i]);
    for (uint32_t i = 0; i < s->n_y; i++)
        s->ys[i] = weft__build_give(t->outer, out[s->n_carry + i]);
done:
    weft__free(in);
    weft__free(out);
    return st;
}

weft_status weft__build_scan(weft__build *b, const weft_scan *scan)
{
    tracing t = { .b = b, .scan = scan, .outer = b->graph };
    weft_status st = check_scan(b, scan);
    size_t where = weft__where_push("scan");
    for (uint32_t i = 0; !st && i < scan->n_carry; i++)
        scan->carry_end[i] = 0;
    for (uint32_t i = 0; !st && i < scan->n_y; i++)
        scan->ys[i] = 0;
    if (st || (st = alloc_tracing(&t))) goto out;
    if ((st = weft__graph_create(b->graph->ctx, &t.region))) goto out;
    if ((st = begin(&t))) goto out;
    b->graph = t.region;
    scan->body(&b->base, scan->user, t.carry, t.x, t.carry_out, t.y);
    st = b->status;
    if (!st) st = end(&t);
    b->graph = t.outer;
    if (!st) st = add_scan(&t);
out:
    b->graph = t.outer;
    weft__where_pop(where);
    weft__graph_destroy(&t.region);
    weft__free(t.in);
    weft__free(t.carry);
    weft__free(t.x);
    weft__free(t.carry_out);
    weft__free(t.y);
    return st;
}
