/* Placement: every op goes to the first device, in the user's order, that supports it; an op
 * that none supports as it is is replaced by its lowering, until nothing changes. Nothing falls
 * back in silence: the node keeps the reason, and a warning tells it. Movement ops have no
 * device: they are views, made wherever they are read. */
#include "plan/plan.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "registry/registry.h"

enum { MAX_ROUNDS = 64 };

typedef struct rounds {
    weft__devices *devices;
    int strict, number, changed;
} rounds;

weft__view_op weft__is_view(const weft__node *node)
{
    static const char *const names[] = { "", "reshape", "transpose", "slice", "broadcast" };
    for (size_t i = WEFT__VIEW_RESHAPE; i <= WEFT__VIEW_BROADCAST; i++)
        if (!strcmp(node->op->name, names[i])) return (weft__view_op)i;
    return WEFT__VIEW_NONE;
}

int weft__is_concat(const weft__node *node)
{
    return !strcmp(node->op->name, "concat");
}

weft_status weft__place_node(const weft__graph *graph, const weft__node *node,
                             weft__devices *devices, int strict, weft__placing *placing)
{
    weft__step *step = NULL;
    weft__text why = { 0 };
    uint32_t n = strict ? 1 : devices->n;
    weft_status st = weft__step_of_node(graph, node, &step);
    *placing = (weft__placing){ -1, NULL };
    if (st) return st;
    for (uint32_t i = 0; i < n && placing->device < 0; i++) {
        if (weft__device_asks(&devices->device[i], step))
            placing->device = (int32_t)i;
        else
            weft__text_add(&why, "%s%s: %s", why.n ? "; " : "", devices->device[i].id,
                           step->support.why[0] ? step->support.why : "does not support it");
    }
    weft__step_destroy(&step);
    if (!why.n && !why.failed) return WEFT_OK;
    placing->reason = weft__text_take(&why);
    return placing->reason ? WEFT_OK : WEFT_E_NOMEM;
}

weft_status weft__fail_nowhere(const weft__node *node, const weft__placing *placing, int strict)
{
    return weft_fail(
        WEFT_E_UNSUPPORTED,
        "layer \"%s\": no device runs op %s%s%s (%s), and it cannot be made of other "
        "ops; %s",
        node->path, node->op->name, node->text && *node->text ? " " : "",
        node->text ? node->text : "", placing->reason ? placing->reason : "no reason is given",
        strict ? "leave out strict=true to let cpu run it" : "`weft devices` lists the devices");
}

/* The same, behind what lower() said, which is the last failure. */
static weft_status fail_lowering(const weft__node *node, const weft__placing *placing, int strict)
{
    char *why = weft__strdup(weft_error());
    weft_status st = weft__fail_nowhere(node, placing, strict);
    weft__text text = { 0 };
    if (!why) return WEFT_E_NOMEM;
    weft__text_add(&text, "%s (its lowering: %s)", weft_error(), why);
    if (text.s && !text.failed) weft__fail_text(st, text.s);
    weft__text_finish(&text);
    weft__free(why);
    return st;
}

/* A concat stays with what it joins. -1: not placed yet. */
static int32_t concat_device(const weft__graph *graph, const weft__node *concat)
{
    for (uint32_t i = 0; i < concat->n_in; i++) {
        const weft__gvalue *value = &graph->value[concat->in[i]];
        while (value->kind == WEFT__V_RESULT && weft__is_view(graph->node[value->node]))
            value = &graph->value[graph->node[value->node]->in[0]];
        if (value->kind == WEFT__V_RESULT) return graph->node[value->node]->device;
    }
    return 0;
}

/* Copies the node with its placement. */
static weft_status copy_placed(weft__rewrite *rewrite, uint32_t number, weft__placing *placing)
{
    weft_status st = weft__rewrite_node(rewrite, number);
    if (st) return st;
    weft__node *copy = rewrite->dst->node[rewrite->dst->n_nodes - 1];
    copy->device = placing->device;
    if (placing->reason) {
        weft__free(copy->reason);
        copy->reason = placing->reason;
        placing->reason = NULL;
    }
    if (weft__is_concat(copy)) copy->device = concat_device(rewrite->dst, copy);
    return WEFT_OK;
}

static void warn_fallback(const rounds *r, weft_context *ctx, const weft__node *node,
                          const weft__placing *placing)
{
    weft__log_write(weft__context_logger(ctx), WEFT_LOG_WARN, "layer \"%s\": op %s runs on %s (%s)",
                    node->path, node->op->name, r->devices->device[placing->device].id,
                    placing->reason);
}

static weft_status place_op(rounds *r, weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    weft__placing placing;
    weft_status st = weft__place_node(rewrite->src, node, r->devices, r->strict, &placing);
    if (st) goto out;
    if (placing.device > 0) warn_fallback(r, rewrite->src->ctx, node, &placing);
    if (placing.device >= 0) {
        st = copy_placed(rewrite, number, &placing);
    } else if (WEFT_HAS(node->op, lower)) {
        r->changed = 1;
        st = weft__rewrite_lower(rewrite, number);
        /* some attributes have a lowering, others none */
        if (st == WEFT_E_UNSUPPORTED) st = fail_lowering(node, &placing, r->strict);
    } else {
        st = weft__fail_nowhere(node, &placing, r->strict);
    }
out:
    weft__free(placing.reason);
    return st;
}

static void set_device(weft__graph *region, int32_t device)
{
    for (size_t i = 0; i < region->n_nodes; i++) {
        if (region->node[i]->device >= 0) region->node[i]->device = device;
        if (region->node[i]->region) set_device(region->node[i]->region, device);
    }
}

static weft_status give_region(void *user, const weft__graph *region, weft__graph **result)
{
    weft__graph **placed = user;
    (void)region;
    *result = *placed;
    *placed = NULL;
    return WEFT_OK;
}

/* The node with its body as it was placed. */
static weft_status copy_scan(weft__rewrite *rewrite, uint32_t number, weft__placing *placing,
                             weft__graph **region)
{
    rewrite->region = give_region;
    rewrite->user = region;
    weft_status st = copy_placed(rewrite, number, placing);
    rewrite->region = NULL;
    return st;
}

/* A loop runs where all of its body runs: on the first such device. */
static weft_status place_scan(rounds *r, weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    uint32_t n = r->strict ? 1 : r->devices->n;
    weft__placing placing = { -1, NULL };
    weft__text why = { 0 };
    weft__graph *region = NULL;
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < n && placing.device < 0; i++) {
        weft__devices one = { .ctx = r->devices->ctx, .device = &r->devices->device[i], .n = 1 };
        st = weft__place(node->region, &one, 1, &region);
        if (st == WEFT_E_NOMEM) goto out;
        if (!st) placing.device = (int32_t)i;
        if (st) weft__text_add(&why, "%s%s", why.n ? "; " : "", weft_error());
    }
    if (why.failed) st = WEFT_E_NOMEM;
    if (why.n && !why.failed) placing.reason = weft__text_take(&why);
    if (!st && placing.device < 0) st = weft__fail_nowhere(node, &placing, r->strict);
    if (st) goto out;
    set_device(region, placing.device);
    if (placing.device > 0) warn_fallback(r, rewrite->src->ctx, node, &placing);
    st = copy_scan(rewrite, number, &placing, &region);
out:
    weft__text_finish(&why);
    weft__free(placing.reason);
    weft__graph_destroy(&region);
    return st;
}

/* Placement from before the first round is of somebody else's devices. */
static weft_status place_one(rounds *r, weft__rewrite *rewrite, uint32_t number)
{
    const weft__node *node = rewrite->src->node[number];
    weft__placing known = { r->number ? node->device : -1, NULL };
    if (known.device >= 0 || weft__is_view(node) || weft__is_concat(node))
        return copy_placed(rewrite, number, &known);
    if (node->region) return place_scan(r, rewrite, number);
    return place_op(r, rewrite, number);
}

static weft_status place_round(rounds *r, const weft__graph *graph, weft__graph **placed)
{
    weft__rewrite rewrite = { 0 };
    weft_status st = weft__rewrite_begin(graph, &rewrite);
    if (st) return st;
    r->changed = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if ((st = place_one(r, &rewrite, i))) {
            weft__rewrite_abort(&rewrite);
            return st;
        }
    return weft__rewrite_end(&rewrite, placed);
}

weft_status weft__place(const weft__graph *graph, weft__devices *devices, int strict,
                        weft__graph **placed)
{
    rounds r = { devices, strict, 0, 1 };
    weft__graph *now = NULL;
    weft_status st = WEFT_OK;
    for (; r.changed && !st; r.number++) {
        weft__graph *next = NULL;
        if (r.number == MAX_ROUNDS)
            st = weft_fail(WEFT_E_INTERNAL,
                           "an op of this model lowers to itself without end; report its plugin");
        else
            st = place_round(&r, now ? now : graph, &next);
        weft__graph_destroy(&now);
        now = next;
    }
    *placed = now;
    return st;
}
