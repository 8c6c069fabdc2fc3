/* A scan becomes steps in a loop. The body is laid out like a graph of its own, into the same plan:
 * what its inputs stand for lies where it lies, only that the views of xs and ys move on from turn
 * to turn. A carry has two places; a turn reads one and writes the other, so that nothing needs to
 * be copied between turns. */
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/scan.h"
#include "plan/layout.h"

typedef struct looping {
    weft__layout *outer, inner;
    const weft__node *node;
    const weft__graph *region;
    weft__scan_request scan;
    uint32_t device, n_y;
    weft__place_at *read;  /* of the region's inputs: carries, xs, captures */
    weft__place_at *write; /* of the region's outputs: carries, ys; slot 0: nobody wants it */
} looping;

static weft__affine minus(weft__affine a)
{
    return (weft__affine){ -a.fixed, -a.batch };
}

/* The two places of a carry: the first turn reads the first one. */
static weft_status carry_places(looping *l, uint32_t i)
{
    weft__plan *plan = l->outer->plan;
    const weft_spec *spec = &l->outer->graph->value[l->node->in[i]].spec;
    weft__view view;
    if (!weft__view_dense(spec, &view))
        return weft_fail(WEFT_E_SHAPE, "layer \"%s\": carry %u has the batch in two dimensions",
                         l->node->path, (unsigned)i);
    int64_t count = weft__view_count(&view);
    weft__slot slot = { .kind = WEFT__SLOT_ARENA,
                        .device = l->device,
                        .dtype = spec->dtype,
                        .count = 2 * count,
                        .name = l->node->path,
                        .loop = l->outer->loop,
                        .pending = l->outer->reads[l->node->out[i]] };
    weft_status st = weft__slot_add(plan, &slot, &l->read[i].slot);
    l->read[i].view = view;
    l->read[i].view.flip = weft__affine_of(count, 1);
    l->write[i].slot = l->read[i].slot;
    l->write[i].view = view;
    l->write[i].view.offset = weft__affine_of(count, 1);
    l->write[i].view.flip = minus(l->write[i].view.offset);
    return st;
}

/* Carries begin as copies: the values may have other readers, or be constants. */
static weft_status begin_carries(looping *l)
{
    weft__place_at *src = weft__alloc_n(l->scan.n_carry, sizeof *src),
                   *dst = weft__alloc_n(l->scan.n_carry, sizeof *dst);
    weft_status st = src && dst ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < l->scan.n_carry && !st; i++) {
        if ((st = weft__locate(l->outer, l->node->in[i], l->device, &src[i]))) break;
        if ((st = carry_places(l, i))) break;
        dst[i] = l->read[i];
        dst[i].view.flip = (weft__affine){ 0, 0 };
    }
    if (!st)
        st = weft__layout_copy(l->outer, &(weft__copying){ src, dst, l->scan.n_carry, l->device, 0,
                                                           l->node->path, "carries begin" });
    weft__free(src);
    weft__free(dst);
    return st;
}

/* One turn's part of a value along the axis of time. */
static void turn_view(const looping *l, const weft__view *all, weft__view *turn)
{
    int64_t last = l->scan.steps ? l->scan.steps - 1 : 0;
    weft__affine stride = weft__affine_of(all->stride[l->scan.axis], 1);
    weft__view_at(all, l->scan.axis, l->scan.reverse ? last : 0, turn);
    turn->advance = l->scan.reverse ? minus(stride) : stride;
}

static weft_status read_places(looping *l)
{
    weft__place_at at;
    for (uint32_t i = l->scan.n_carry; i < l->node->n_in; i++) {
        weft_status st = weft__locate(l->outer, l->node->in[i], l->device, &at);
        if (st) return st;
        l->read[i] = at;
        if (i < l->scan.n_carry + l->scan.n_x) turn_view(l, &at.view, &l->read[i].view);
    }
    return WEFT_OK;
}

static weft_status write_places(looping *l)
{
    weft__layout *outer = l->outer;
    for (uint32_t i = l->scan.n_carry; i < l->node->n_out; i++) {
        weft_val out = l->node->out[i];
        weft__place_at *at = &outer->at[l->device * outer->n + out];
        weft_status st = WEFT_OK;
        if (!outer->reads[out]) continue;
        *at = outer->home[out].at;
        if (!at->slot) st = weft__layout_slot(outer, out, l->device, 0, at);
        if (st) return st;
        l->write[i].slot = at->slot;
        turn_view(l, &at->view, &l->write[i].view);
    }
    return WEFT_OK;
}

static void pin(looping *l, int by)
{
    weft__slot *slot = l->outer->plan->slot;
    for (uint32_t i = 0; i < l->node->n_in; i++)
        slot[l->read[i].slot].pinned += (uint32_t)by;
    for (uint32_t i = 0; i < l->node->n_out; i++)
        slot[l->write[i].slot].pinned += (uint32_t)by; /* slot 0 is unused */
}

/* The outputs' producers write them where they belong, as far as they can. */
static weft_status inner_homes(looping *l)
{
    for (uint32_t i = 0; i < l->node->n_out; i++) {
        weft__home_request r = { .value = l->region->output[i].value,
                                 .at = l->write[i],
                                 .device = l->device };
        if (l->write[i].slot) weft__layout_settle(&l->inner, r);
    }
    return weft__layout_concat_homes(&l->inner);
}

/* What does not lie there yet is copied at the end of each turn. */
static weft_status inner_outputs(looping *l)
{
    uint32_t n = 0;
    weft__place_at *src = weft__alloc_n(l->node->n_out, sizeof *src),
                   *dst = weft__alloc_n(l->node->n_out, sizeof *dst);
    weft_status st = src && dst ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; i < l->node->n_out && !st; i++) {
        if (!l->write[i].slot) continue;
        st = weft__locate(&l->inner, l->region->output[i].value, l->device, &src[n]);
        dst[n] = l->write[i];
        n += src[n].slot != dst[n].slot || !weft__view_same(&src[n].view, &dst[n].view);
    }
    if (!st)
        st = weft__layout_copy(&l->inner, &(weft__copying){ src, dst, n, l->device, 0,
                                                            l->node->path, "end of the turn" });
    weft__free(src);
    weft__free(dst);
    return st;
}

static weft_status lay_out_body(looping *l)
{
    weft__plan *plan = l->outer->plan;
    weft_status st;
    if (!plan->n_loops) plan->n_loops = 1;
    if (weft__grow(&plan->loop, plan->n_loops, &plan->cap_loops, sizeof *plan->loop))
        return WEFT_E_NOMEM;
    l->inner = (weft__layout){ .plan = plan, .graph = l->region, .loop = (uint32_t)plan->n_loops };
    plan->loop[plan->n_loops++] = (weft__loop){ .times = l->scan.steps, .node = l->node };
    if ((st = weft__layout_begin(&l->inner))) return st;
    for (uint32_t i = 0; i < l->node->n_in; i++)
        l->inner.at[l->device * l->inner.n + l->region->input[i].value] = l->read[i];
    if ((st = inner_homes(l))) return st;
    if ((st = weft__layout_walk(&l->inner))) return st;
    return inner_outputs(l);
}

/* After the last turn the carries lie where that one wrote them. */
static void end_carries(looping *l)
{
    weft__layout *outer = l->outer;
    for (uint32_t i = 0; i < l->scan.n_carry; i++) {
        weft__place_at *at = &outer->at[l->device * outer->n + l->node->out[i]];
        at->slot = l->read[i].slot;
        weft__view_dense(&l->read[i].view.spec, &at->view);
        if (l->scan.steps & 1) at->view.offset = l->write[i].view.offset;
    }
}

weft_status weft__layout_scan(weft__layout *layout, const weft__node *node)
{
    looping l = {
        .outer = layout, .node = node, .region = node->region, .device = (uint32_t)node->device
    };
    weft_status st = WEFT_E_NOMEM;
    weft__scan_of(node, &l.scan);
    if (layout->loop)
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "layer \"%s\": a loop in the body of a loop; no device runs that. Write "
                         "the inner one out, or let it work on all steps of the outer one at once",
                         node->path);
    if (l.scan.steps < 0)
        return weft_fail(WEFT_E_INTERNAL, "layer \"%s\": a loop without a number of steps",
                         node->path);
    if (!(l.read = weft__alloc_n(node->n_in, sizeof *l.read))) goto out;
    if (!(l.write = weft__alloc_n(node->n_out, sizeof *l.write))) goto out;
    if ((st = begin_carries(&l))) goto out;
    if ((st = read_places(&l)) || (st = write_places(&l))) goto out;
    pin(&l, 1);
    st = lay_out_body(&l);
    pin(&l, -1);
    if (st) goto out;
    end_carries(&l);
    weft__layout_read(layout, node);
out:
    weft__layout_finish(&l.inner);
    weft__free(l.read);
    weft__free(l.write);
    return st;
}
