/* One run of a plan: bind, prologue if a variable changed, body, outputs. Nothing waits in
 * between but transfers between devices; errors of kernels that come late are asked for at the
 * end. */
#include "plan/plan.h"
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "graph/dim.h"

typedef struct moment { /* of a run: the batch, and the turn of the loop */
    int64_t batch, turn;
} moment;

static uint64_t offset_of(const weft__plan *plan, const weft__step *step, uint32_t i, moment now)
{
    uint64_t elements = (uint64_t)weft__view_begin(&step->view[i], now.batch, now.turn);
    return plan->slot[step->slot[i]].bind.offset +
           elements * weft_dtype_size(step->view[i].spec.dtype);
}

/* Writes the segment's binds; another generation if anything is not as in its last run. */
static void fill_binds(weft__plan *plan, weft__segment *segment, moment when)
{
    uint64_t epoch = plan->devices->device[segment->device].epoch;
    int changed = segment->batch != when.batch || segment->epoch != epoch;
    weft_bind *bind = segment->bind;
    for (uint32_t s = 0; s < segment->n; s++) {
        const weft__step *step = plan->step[segment->first + s];
        for (uint32_t i = 0; i < step->base.n_in + step->base.n_out; i++, bind++) {
            weft_bind now = { 0 };
            if (step->slot[i])
                now = (weft_bind){ plan->slot[step->slot[i]].bind.buf,
                                   offset_of(plan, step, i, when) };
            changed |= now.buf != bind->buf || now.offset != bind->offset;
            *bind = now;
        }
    }
    segment->generation += changed != 0;
    segment->batch = when.batch;
    segment->epoch = epoch;
}

static weft_status run_transfer(weft__plan *plan, const weft__segment *segment, int64_t batch)
{
    const weft__step *step = plan->step[segment->first];
    const weft__device *from = &plan->devices->device[plan->slot[step->slot[0]].device];
    const weft__device *to = &plan->devices->device[segment->device];
    weft_spec spec = weft__spec_at(&step->view[0].spec, batch);
    uint64_t bytes = weft__spec_count_at(&spec, batch) * weft_dtype_size(spec.dtype);
    weft_status st;
    if (plan->staging_bytes < bytes) {
        weft__free(plan->staging);
        plan->staging_bytes = 0;
        if (!(plan->staging = weft__alloc_aligned(bytes, 64))) return WEFT_E_NOMEM;
        plan->staging_bytes = bytes;
    }
    st = from->backend->read(from->dev, segment->bind[0].buf, segment->bind[0].offset,
                             plan->staging, bytes);
    if (st) return st;
    return to->backend->write(to->dev, segment->bind[1].buf, segment->bind[1].offset, plan->staging,
                              bytes);
}

static weft_status run_segment(weft__plan *plan, weft__segment *segment, moment now)
{
    const weft__device *device = &plan->devices->device[segment->device];
    fill_binds(plan, segment, now);
    if (segment->transfer) return run_transfer(plan, segment, now.batch);
    weft_run run = { .struct_size = sizeof run,
                     .n_binds = segment->n_binds,
                     .batch = now.batch,
                     .binds = segment->bind,
                     .generation = segment->generation };
    return device->backend->run(device->dev, segment->exe, &run);
}

static weft_status run_segments(weft__plan *plan, size_t begin, size_t end, int64_t batch)
{
    weft_status st = WEFT_OK;
    for (size_t i = begin; i < end && !st; i++) {
        weft__segment *segment = &plan->segment[i];
        int64_t turns = segment->loop ? plan->loop[segment->loop].times : 1;
        for (int64_t turn = 0; turn < turns && !st; turn++)
            st = run_segment(plan, segment, (moment){ batch, turn });
    }
    return st;
}

static weft_status upload(weft__plan *plan)
{
    weft_status st = WEFT_OK;
    for (size_t i = 1; i < plan->n_slots && !st; i++)
        if (plan->slot[i].kind == WEFT__SLOT_VARIABLE)
            st = weft__device_upload(&plan->devices->device[plan->slot[i].device],
                                     plan->slot[i].copy);
    return st;
}

/* Must values come home before others are uploaded? A variable that another device of the session
 * has assigned comes through the model; and the pack is to join what its device has with what
 * somebody else has set. */
static int must_pull(const weft__plan *plan)
{
    const weft__pack *pack = plan->devices->pack;
    if (!weft__devices_newer(plan->devices)) return 0;
    if (pack && weft__pack_stale(pack)) return 1;
    for (size_t i = 1; i < plan->n_slots; i++)
        if (plan->slot[i].kind == WEFT__SLOT_VARIABLE && !plan->slot[i].copy->generation) return 1;
    return 0;
}

/* The devices get the variables of one moment: what is decided under the lock is done under it, so
 * that nobody sets a variable in between. */
static weft_status fetch(weft__plan *plan, const weft_model *model)
{
    weft_status st = WEFT_OK;
    weft__model_read_lock(model);
    if (must_pull(plan)) {
        weft__model_unlock(model);
        if ((st = weft__devices_pull(plan->devices, model))) return st;
        weft__model_read_lock(model); /* now nothing on the devices is newer */
    }
    if (plan->devices->pack) weft__pack_gather(plan->devices->pack);
    st = upload(plan);
    weft__model_unlock(model);
    return st;
}

/* The devices have new values. The plan's prologue does not depend on them, and its copies are
 * those values, unless another device has a copy, too. */
static void note_written(weft__plan *plan, const weft__plan_call *call)
{
    int others = 0;
    if (!plan->n_written) return;
    for (size_t i = 0; i < plan->n_written; i++)
        others |= weft__devices_wrote(plan->devices, plan->slot[plan->written[i]].copy);
    if (!call->model) return;
    uint64_t grown = weft__model_wrote(call->model);
    if (!others) plan->variables_seen += grown;
}

static weft_status run_prologue(weft__plan *plan, const weft__plan_call *call)
{
    uint64_t generation = call->model ? call->generation + plan->devices->own : 0;
    weft_status st = WEFT_OK;
    if (plan->prologue_done && generation == plan->variables_seen) return WEFT_OK;
    if (call->model) st = fetch(plan, call->model);
    plan->prologue_done = 0;
    if (st || (st = run_segments(plan, 0, plan->n_prologue_segments, call->batch))) return st;
    plan->prologue_runs += plan->n_prologue_segments > 0;
    plan->prologue_done = 1;
    plan->variables_seen = generation;
    return WEFT_OK;
}

static weft_status read_outputs(weft__plan *plan, const weft__plan_call *call)
{
    for (size_t i = 0; i < plan->graph->n_outputs; i++) {
        const weft__slot *slot = &plan->slot[plan->output_slot[i]];
        const weft__device *device = &plan->devices->device[slot->device];
        weft_array *array = call->outputs[i];
        uint64_t bytes = weft_array_bytes(array);
        weft_status st;
        if (slot->wrapped || !bytes) continue;
        if ((st = device->backend->read(device->dev, slot->bind.buf, 0, array->data, bytes)))
            return st;
    }
    return WEFT_OK;
}

/* Waits for all devices. The first failure counts: the text of st's stays, if it is one already. */
static weft_status finish(const weft__plan *plan, weft_status st)
{
    char *text = st ? weft__strdup(weft_error()) : NULL;
    for (uint32_t i = 0; i < plan->devices->n; i++) {
        const weft__device *device = &plan->devices->device[i];
        weft_status late = device->backend->finish(device->dev);
        if (!st) st = late;
    }
    if (text) weft__fail_text(st, text);
    weft__free(text);
    return st;
}

static weft_status run_bound(weft__plan *plan, const weft__plan_call *call)
{
    weft_status st;
    if ((st = weft__bind(plan, call))) return st;
    if ((st = run_prologue(plan, call))) return st;
    st = run_segments(plan, plan->n_prologue_segments, plan->n_segments, call->batch);
    note_written(plan, call);
    return st ? st : read_outputs(plan, call);
}

/* Batch 0 runs nothing: every output must be empty, too. */
static weft_status run_empty(const weft__plan *plan, const weft__plan_call *call)
{
    for (size_t i = 0; i < plan->graph->n_outputs; i++)
        if (weft_array_count(call->outputs[i]))
            return weft_fail(
                WEFT_E_SHAPE,
                "output \"%s\" does not depend on the batch, so a batch of 0 samples does "
                "not make it empty; give at least one sample",
                plan->graph->output[i].name);
    return WEFT_OK;
}

weft_status weft__plan_run(weft__plan *plan, const weft__plan_call *call)
{
    const weft__graph *graph = plan->graph;
    size_t n = graph->n_outputs;
    weft_status st = WEFT_OK;
    unsigned char *created = weft__alloc(n);
    if (!created) return WEFT_E_NOMEM;
    for (size_t i = 0; i < n && !st; i++) {
        weft_spec spec = weft__spec_at(&graph->value[graph->output[i].value].spec, call->batch);
        if (call->outputs[i]) continue;
        st = weft__array_create_raw(&spec, &call->outputs[i]);
        created[i] = !st;
    }
    if (!st && !call->batch)
        st = run_empty(plan, call);
    else if (!st)
        st = finish(plan, run_bound(plan, call));
    for (size_t i = 0; i < n && st; i++)
        if (created[i]) weft_array_destroy(&call->outputs[i]);
    weft__free(created);
    return st;
}

uint64_t weft__plan_concat_bytes(const weft__plan *plan, int64_t batch)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan->n_concats; i++)
        bytes += (uint64_t)weft__affine_at(plan->concat[i].bytes, batch);
    return bytes;
}
