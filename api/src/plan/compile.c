/* From steps to what runs: runs of steps of one device become one compiled thing of its backend,
 * transfers stand between them. Constants go to their devices here, once. */
#include "plan/plan.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"

static weft_status compile_segment(weft__plan *plan, weft__segment *segment)
{
    weft__device *device = &plan->devices->device[segment->device];
    const weft_step **step = weft__alloc_n(segment->n, sizeof *step);
    weft_status st = WEFT_E_NOMEM;
    if (!step) return st;
    for (uint32_t i = 0; i < segment->n; i++) {
        step[i] = &plan->step[segment->first + i]->base;
        segment->n_binds += step[i]->n_in + step[i]->n_out;
    }
    segment->batch = -1;
    if (!(segment->bind = weft__alloc_n(segment->n_binds, sizeof *segment->bind))) goto out;
    st = segment->transfer ? WEFT_OK
                           : device->backend->compile(device->dev, step, segment->n, &segment->exe);
out:
    weft__free(step);
    return st;
}

/* Do the two steps run in one go? */
static int together(const weft__step *a, const weft__step *b)
{
    return a->device == b->device && a->prologue == b->prologue && a->loop == b->loop &&
           a->kind != WEFT__STEP_TRANSFER && b->kind != WEFT__STEP_TRANSFER;
}

static weft_status compile_steps(weft__plan *plan)
{
    weft_status st = WEFT_OK;
    if (!(plan->segment = weft__alloc_n(plan->n_steps, sizeof *plan->segment))) return WEFT_E_NOMEM;
    for (size_t i = 0, end; i < plan->n_steps && !st; i = end) {
        for (end = i + 1; end < plan->n_steps && together(plan->step[i], plan->step[end]);)
            end++;
        weft__segment *segment = &plan->segment[plan->n_segments++];
        *segment = (weft__segment){ .device = plan->step[i]->device,
                                    .first = (uint32_t)i,
                                    .n = (uint32_t)(end - i),
                                    .loop = plan->step[i]->loop,
                                    .transfer = plan->step[i]->kind == WEFT__STEP_TRANSFER };
        st = compile_segment(plan, segment);
        if (plan->step[i]->prologue) plan->n_prologue_segments = plan->n_segments;
    }
    return st;
}

static uint64_t bytes_of(const weft__slot *slot)
{
    return (uint64_t)slot->count * weft_dtype_size(slot->dtype);
}

/* Slots that keep their buffer: their sizes do not depend on the batch. */
static weft_status make_slot(weft__plan *plan, weft__slot *slot)
{
    weft__device *device = &plan->devices->device[slot->device];
    const weft__gvalue *value = slot->value;
    weft_status st = WEFT_OK;
    if (slot->kind == WEFT__SLOT_VARIABLE) {
        st = weft__device_copy(device, value->variable, slot->dtype, &slot->copy);
        if (!st) slot->bind = (weft_bind){ slot->copy->buffer.buf, 0 };
        return st;
    }
    if (slot->kind != WEFT__SLOT_CONST && slot->kind != WEFT__SLOT_PROLOGUE) return WEFT_OK;
    if ((st = weft__buffer_alloc(device, bytes_of(slot), slot->name, &slot->own))) return st;
    slot->bind = (weft_bind){ slot->own.buf, 0 };
    if (slot->kind == WEFT__SLOT_CONST && bytes_of(slot))
        st = device->backend->write(device->dev, slot->own.buf, 0, value->data, bytes_of(slot));
    return st;
}

weft_status weft__compile(weft__plan *plan)
{
    weft_status st = compile_steps(plan);
    for (size_t i = 1; i < plan->n_slots && !st; i++)
        st = make_slot(plan, &plan->slot[i]);
    return st;
}
