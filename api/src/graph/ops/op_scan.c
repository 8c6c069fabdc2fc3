/* scan: a loop along one axis with a body. The builder makes it (graph/build_scan.c); only its
 * attributes are those of an op.
 *   carry(0) = carry0; carry(t+1), y(t) = body(carry(t), x(t), captures); results: carry(T), y */
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "graph/scan.h"
#include "registry/registry.h"
#include <string.h>

static weft_status infer(weft_build *b, weft_spec *outs)
{
    (void)outs;
    return b->api->fail(b, WEFT_E_UNSUPPORTED,
                        "op scan has a body: make it with the builder's scan(), not with op()");
}

static const weft_attr attrs[] = {
    { "carries", WEFT_INT, 0, NULL, "0..", "how many of the inputs are carries" },
    { "xs", WEFT_INT, 0, NULL, "1..", "how many inputs behind them are cut into steps" },
    { "axis", WEFT_INT, 0, NULL, "0..", "of xs and ys: the one that is looped over" },
    { "steps", WEFT_INT, WEFT_NULLABLE, NULL, "0..", "how many; none: not known yet" },
    { "reverse", WEFT_FLAG, 0, "false", NULL, "from the last step to the first" },
    { "saving", WEFT_FLAG, 0, "false", NULL,
      "the last ys are the carries that each step begins with" },
    { 0 },
};

const weft_op_class weft__op_scan = {
    .struct_size = sizeof(weft_op_class),
    .name = "scan",
    .inputs = "x...",
    .outputs = "y...",
    .attrs = attrs,
    .infer = infer,
    .doc = "A loop along one axis with a body of ops.",
};

/* With the axis of time in its place again. */
static weft_status y_spec(const weft_spec *step, const weft__scan_request *r, weft_spec *y)
{
    if (step->rank >= WEFT_MAX_RANK || r->axis > step->rank)
        return weft_fail(WEFT_E_SHAPE,
                         "a y of rank %d in each step cannot get axis %d, that of the loop",
                         (int)step->rank, (int)r->axis);
    *y = *step;
    y->rank++;
    memmove(&y->dim[r->axis + 1], &step->dim[r->axis],
            (size_t)(step->rank - r->axis) * sizeof *y->dim);
    y->dim[r->axis] = r->steps;
    return WEFT_OK;
}

static weft_status result_specs(const weft__graph *region, const weft__scan_request *r,
                                weft_spec *outs)
{
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < region->n_outputs && !st; i++) {
        const weft_spec *spec = weft__graph_spec(region, region->output[i].value);
        if (i < r->n_carry)
            outs[i] = *spec;
        else
            st = y_spec(spec, r, &outs[i]);
    }
    return st;
}

static weft_status set_attrs(const weft__graph *graph, const weft__scan_request *r,
                             weft__node *node)
{
    weft__attrs *given = NULL;
    weft__text text = { 0 }, full = { 0 };
    weft_status st = WEFT_E_NOMEM;
    const weft_attr *schema = weft__op_attrs(graph->ctx, &weft__op_scan);
    weft__text_add(&text,
                   "carries=%u xs=%u axis=%d reverse=%s saving=%s steps=", (unsigned)r->n_carry,
                   (unsigned)r->n_x, (int)r->axis, r->reverse ? "true" : "false",
                   r->saving ? "true" : "false");
    if (r->steps == WEFT_ANY)
        weft__text_add(&text, "none");
    else
        weft__text_add(&text, "%lld", (long long)r->steps);
    if (text.failed) goto out;
    if ((st = weft__attrs_parse(text.s, &given))) goto out;
    if ((st = weft__attrs_check(given, schema, "op scan", &node->attrs))) goto out;
    weft__attrs_print(&full, node->attrs, schema);
    node->text = weft__text_take(&full);
    if (!node->text) st = WEFT_E_NOMEM;
out:
    weft__attrs_destroy(&given);
    weft__text_finish(&text);
    weft__text_finish(&full);
    return st;
}

weft_status weft__graph_scan(weft__graph *graph, const weft__scan_request *r, weft__graph **region,
                             weft_val *out)
{
    uint32_t n_out = (uint32_t)(*region)->n_outputs;
    weft_spec *outs = weft__alloc_n(n_out, sizeof *outs);
    weft__node *node = weft__alloc(sizeof *node);
    weft_status st = WEFT_E_NOMEM;
    if (!node || !outs) goto out;
    node->op = &weft__op_scan;
    node->device = -1;
    node->n_in = r->n_in;
    node->n_out = n_out;
    if (!(node->in = weft__alloc_n(r->n_in, sizeof *node->in))) goto out;
    if (!(node->out = weft__alloc_n(n_out, sizeof *node->out))) goto out;
    if (!(node->path = weft__strdup(r->path ? r->path : ""))) goto out;
    if (r->n_in) memcpy(node->in, r->in, r->n_in * sizeof *r->in);
    if ((st = set_attrs(graph, r, node))) goto out;
    if ((st = result_specs(*region, r, outs))) goto out;
    if ((st = weft__graph_push(graph, &node, outs))) goto out;
    node = graph->node[graph->n_nodes - 1];
    node->region = *region;
    node->region->parent = NULL;
    *region = NULL;
    if (out) memcpy(out, node->out, n_out * sizeof *out);
    node = NULL;
out:
    weft__node_destroy(&node);
    weft__free(outs);
    return st;
}

void weft__scan_of(const weft__node *node, weft__scan_request *request)
{
    const weft__value *steps = weft__attrs_get(node->attrs, "steps");
    *request = (weft__scan_request){ .n_carry = (uint32_t)weft__attrs_i(node->attrs, "carries"),
                                     .n_x = (uint32_t)weft__attrs_i(node->attrs, "xs"),
                                     .n_in = node->n_in,
                                     .axis = (int32_t)weft__attrs_i(node->attrs, "axis"),
                                     .reverse = weft__attrs_i(node->attrs, "reverse") != 0,
                                     .saving = weft__attrs_i(node->attrs, "saving") != 0,
                                     .steps = weft__attrs_i(node->attrs, "steps"),
                                     .path = node->path,
                                     .in = node->in };
    if (steps && steps->kind == WEFT__NONE) request->steps = WEFT_ANY;
}

weft_status weft__graph_rescan(weft__graph *graph, const weft__node *node, const weft_val *in,
                               weft__graph **region, weft_val *out)
{
    weft__scan_request request;
    weft__scan_of(node, &request);
    request.in = in;
    request.saving |= (*region)->n_outputs > node->n_out;
    weft_status st = weft__graph_scan(graph, &request, region, out);
    if (st) return st;
    weft__node *made = graph->node[graph->n_nodes - 1];
    made->device = node->device;
    if (node->reason && !(made->reason = weft__strdup(node->reason))) st = WEFT_E_NOMEM;
    return st;
}
