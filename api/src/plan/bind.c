/* Slots to buffers, for one run: arenas as the memory plan says; inputs and outputs over the
 * caller's memory where the device can use it, else through buffers of the plan's own. */
#include "plan/plan.h"
#include <string.h>
#include "base/alloc.h"

static weft_status reserve_arenas(weft__plan *plan, const weft__memory *memory)
{
    weft_status st;
    for (uint32_t d = 0; d < plan->devices->n; d++) {
        weft__device *device = &plan->devices->device[d];
        for (int i = 0; i < WEFT__MAX_ARENAS; i++) {
            uint64_t need = memory->need[d * WEFT__MAX_ARENAS + i];
            if (need &&
                (st = weft__buffer_reserve(device, need, "all values of a run", &device->arena[i])))
                return st;
        }
    }
    return WEFT_OK;
}

static void unwrap(weft__device *device, weft__slot *slot)
{
    if (!slot->wrapped) return;
    device->backend->release(device->dev, slot->wrapped);
    device->epoch++;
    slot->wrapped = NULL;
}

/* The slot over that memory, if the device can. 1 = done. */
static int wrap(weft__device *device, weft__slot *slot, void *memory, uint64_t bytes)
{
    uint64_t align = device->info.align ? device->info.align : 1;
    if (slot->wrapped && slot->memory == memory && slot->wrapped_bytes == bytes) return 1;
    unwrap(device, slot);
    if (!device->backend->wrap || !bytes || (uintptr_t)memory % align) return 0;
    if (device->backend->wrap(device->dev, memory, bytes, &slot->wrapped)) slot->wrapped = NULL;
    if (!slot->wrapped) return 0;
    device->epoch++;
    slot->memory = memory;
    slot->wrapped_bytes = bytes;
    slot->bind = (weft_bind){ slot->wrapped, 0 };
    return 1;
}

static uint64_t bytes_at(const weft__slot *slot, int64_t batch)
{
    return (uint64_t)weft__affine_at(weft__affine_of(slot->count, 1), batch) *
           weft_dtype_size(slot->dtype);
}

static weft_status bind_input(weft__plan *plan, weft__slot *slot, const weft__plan_call *call)
{
    weft__device *device = &plan->devices->device[slot->device];
    const weft_array *array = call->inputs[slot->index];
    uint64_t bytes = bytes_at(slot, call->batch);
    weft_array *converted = NULL;
    weft_status st;
    if (array->spec.dtype == slot->dtype && wrap(device, slot, array->data, bytes)) return WEFT_OK;
    unwrap(device, slot);
    if ((st = weft__buffer_reserve(device, bytes, slot->name, &slot->own))) return st;
    slot->bind = (weft_bind){ slot->own.buf, 0 };
    if (!bytes) return WEFT_OK;
    if (array->spec.dtype != slot->dtype) {
        if ((st = weft_array_convert(array, slot->dtype, &converted))) return st;
        array = converted;
    }
    st = device->backend->write(device->dev, slot->own.buf, 0, array->data, bytes);
    weft_array_destroy(&converted);
    return st;
}

/* Does the memory share bytes with an input? Then writing it early would change that input. */
static int over_input(const weft__plan *plan, const weft__plan_call *call, const void *memory,
                      uint64_t bytes)
{
    uintptr_t begin = (uintptr_t)memory;
    for (size_t i = 0; i < plan->graph->n_inputs; i++) {
        uintptr_t other = (uintptr_t)call->inputs[i]->data;
        if (begin < other + weft_array_bytes(call->inputs[i]) && other < begin + bytes) return 1;
    }
    return 0;
}

static weft_status bind_output(weft__plan *plan, weft__slot *slot, const weft__plan_call *call)
{
    weft__device *device = &plan->devices->device[slot->device];
    void *memory = call->outputs[slot->index]->data;
    uint64_t bytes = bytes_at(slot, call->batch);
    weft_status st;
    if (!over_input(plan, call, memory, bytes) && wrap(device, slot, memory, bytes)) return WEFT_OK;
    unwrap(device, slot);
    if ((st = weft__buffer_reserve(device, bytes, slot->name, &slot->own))) return st;
    slot->bind = (weft_bind){ slot->own.buf, 0 };
    return WEFT_OK;
}

/* NaN, or -1, everywhere: what a kernel forgets to write is then seen. */
static weft_status poison(weft__plan *plan, const weft__slot *slot, const weft__plan_call *call)
{
    const weft__device *device = &plan->devices->device[slot->device];
    weft_array *array = call->outputs[slot->index];
    uint64_t bytes = weft_array_bytes(array);
    if (!bytes) return WEFT_OK;
    memset(array->data, 0xff, bytes);
    return slot->wrapped
               ? WEFT_OK
               : device->backend->write(device->dev, slot->bind.buf, 0, array->data, bytes);
}

weft_status weft__bind(weft__plan *plan, const weft__plan_call *call)
{
    const weft__memory *memory;
    weft_status st = weft__memory_at(plan, call->batch, &memory);
    if (st || (st = reserve_arenas(plan, memory))) return st;
    for (size_t i = 1; i < plan->n_slots && !st; i++) {
        weft__slot *slot = &plan->slot[i];
        if (slot->kind == WEFT__SLOT_INPUT) st = bind_input(plan, slot, call);
        if (slot->kind == WEFT__SLOT_OUTPUT) st = bind_output(plan, slot, call);
        if (!st && slot->kind == WEFT__SLOT_OUTPUT && plan->options.poison)
            st = poison(plan, slot, call);
        if (slot->kind == WEFT__SLOT_ARENA)
            slot->bind =
                (weft_bind){ plan->devices->device[slot->device].arena[memory->arena[i]].buf,
                             memory->offset[i] };
    }
    return st;
}
