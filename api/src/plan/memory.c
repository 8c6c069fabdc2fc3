/* Memory of the values that live only during a run. From the steps that touch a slot comes its
 * lifetime; slots that are alive at the same time must not overlap. Largest first, each into the
 * tightest gap (best fit), in a few arenas per device, none larger than the device allocates in
 * one piece. Depends on the batch, so it is done once for each of the last few batch sizes. */
#include "plan/plan.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"

typedef struct item {
    uint32_t slot, device, first, last;
    uint64_t bytes;
} item;
typedef struct spot {
    uint32_t arena;
    uint64_t offset, waste;
    int found;
} spot;
typedef struct planner {
    weft__plan *plan;
    weft__memory *memory;
    item *item;
    size_t n; /* largest first; the first `done` have their place */
    size_t done;
    uint64_t *edge; /* scratch: begin and end of neighbours */
} planner;

/* first, last: the steps for which the slot must hold what it holds in `step`. */
static void touch(weft__plan *plan, uint32_t slot, uint32_t step)
{
    uint32_t first = step, last = step, loop = plan->step[step]->loop;
    if (!slot) return;
    /* what comes from outside of a loop, or goes from one of its turns to the next, lives through
     * all of it */
    for (; loop && plan->slot[slot].loop != loop && first && plan->step[first - 1]->loop == loop;)
        first--;
    for (; loop && plan->slot[slot].loop != loop && last + 1 < plan->n_steps &&
           plan->step[last + 1]->loop == loop;)
        last++;
    if (first < plan->slot[slot].first) plan->slot[slot].first = first;
    if (last > plan->slot[slot].last) plan->slot[slot].last = last;
}

static void lifetimes(weft__plan *plan)
{
    for (size_t i = 1; i < plan->n_slots; i++) {
        plan->slot[i].first = UINT32_MAX;
        plan->slot[i].last = 0;
    }
    for (size_t i = plan->n_prologue; i < plan->n_steps; i++)
        for (uint32_t k = 0; k < plan->step[i]->base.n_in + plan->step[i]->base.n_out; k++)
            touch(plan, plan->step[i]->slot[k], (uint32_t)i);
}

static int larger_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->slot < y->slot ? -1 : 1;
}

static uint64_t round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

/* All sizes of the plan together, with room for alignment, must be a number of bytes: then no sum
 * of some of them can overflow. */
static weft_status check_batch(const weft__plan *plan, int64_t batch)
{
    int64_t total = 0;
    for (size_t i = 1; i < plan->n_slots; i++) {
        const weft__slot *slot = &plan->slot[i];
        int64_t align = (int64_t)weft__device_align(&plan->devices->device[slot->device]);
        int64_t bytes = weft__affine_at(weft__affine_of(slot->count, 1), batch);
        if (__builtin_mul_overflow(bytes, (int64_t)weft_dtype_size(slot->dtype), &bytes) ||
            __builtin_add_overflow(total, bytes, &total) ||
            __builtin_add_overflow(total, 2 * align, &total))
            return weft_fail(WEFT_E_NOMEM,
                             "layer \"%s\": with a batch of %" PRId64
                             " the values have more bytes than any device can address; use a "
                             "smaller batch",
                             slot->name, batch);
    }
    return WEFT_OK;
}

static weft_status collect(planner *p)
{
    weft__plan *plan = p->plan;
    for (uint32_t i = 1; i < plan->n_slots; i++) {
        const weft__slot *slot = &plan->slot[i];
        const weft__device *device = &plan->devices->device[slot->device];
        if (slot->kind != WEFT__SLOT_ARENA || slot->first > slot->last) continue;
        uint64_t count =
            (uint64_t)weft__affine_at(weft__affine_of(slot->count, 1), p->memory->batch);
        uint64_t bytes = count * weft_dtype_size(slot->dtype), limit = device->info.max_alloc;
        if (limit && bytes > limit)
            return weft_fail(WEFT_E_NOMEM,
                             "layer \"%s\": a result of %" PRIu64 " bytes is larger than what %s "
                             "allocates in one piece (%" PRIu64
                             " bytes); use a smaller batch, or another device",
                             slot->name, bytes, device->id, limit);
        bytes = round_up(bytes ? bytes : 1, weft__device_align(device));
        p->item[p->n++] = (item){ i, slot->device, slot->first, slot->last, bytes };
    }
    qsort(p->item, p->n, sizeof *p->item, larger_first);
    return WEFT_OK;
}

static int by_begin(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* The places in that arena that are taken while `want` lives, by offset. */
static size_t neighbours(const planner *p, const item *want, uint32_t arena)
{
    size_t n = 0;
    for (size_t i = 0; i < p->done; i++) {
        const item *other = &p->item[i];
        if (other->device != want->device || p->memory->arena[other->slot] != arena) continue;
        if (other->last < want->first || want->last < other->first) continue;
        p->edge[2 * n] = p->memory->offset[other->slot];
        p->edge[2 * n++ + 1] = p->memory->offset[other->slot] + other->bytes;
    }
    qsort(p->edge, n, 2 * sizeof *p->edge, by_begin);
    return n;
}

/* The tightest gap between neighbours, or the free end of the arena: its growth counts as waste. */
static void look_in(const planner *p, const item *want, uint32_t arena, uint64_t size,
                    uint64_t limit, spot *best)
{
    size_t n = neighbours(p, want, arena);
    uint64_t end = 0;
    for (size_t i = 0; i <= n; i++) {
        uint64_t next = i < n ? p->edge[2 * i] : UINT64_MAX, waste;
        if (next > end && next - end >= want->bytes && end + want->bytes <= limit) {
            waste = i < n ? next - end - want->bytes : 0;
            /* growing the arena is worse than any gap */
            if (end + want->bytes > size) waste = UINT64_MAX / 2 + end + want->bytes - size;
            if (!best->found || waste < best->waste) *best = (spot){ arena, end, waste, 1 };
        }
        if (i < n && p->edge[2 * i + 1] > end) end = p->edge[2 * i + 1];
    }
}

static weft_status place(planner *p, const item *want)
{
    const weft__device *device = &p->plan->devices->device[want->device];
    uint64_t *need = &p->memory->need[want->device * WEFT__MAX_ARENAS];
    uint64_t limit = device->info.max_alloc ? device->info.max_alloc : UINT64_MAX;
    spot best = { 0 };
    if (want->bytes > limit) limit = want->bytes; /* by less than the alignment */
    for (uint32_t arena = 0; arena < WEFT__MAX_ARENAS; arena++) {
        look_in(p, want, arena, need[arena], limit, &best);
        if (!need[arena]) break; /* one empty arena is as good as the next */
    }
    if (!best.found)
        return weft_fail(WEFT_E_NOMEM,
                         "layer \"%s\": batch %" PRId64 " needs more than %d pieces of %" PRIu64
                         " bytes on %s; use a smaller batch",
                         p->plan->slot[want->slot].name, p->memory->batch, WEFT__MAX_ARENAS, limit,
                         device->id);
    p->memory->arena[want->slot] = best.arena;
    p->memory->offset[want->slot] = best.offset;
    if (best.offset + want->bytes > need[best.arena]) need[best.arena] = best.offset + want->bytes;
    return WEFT_OK;
}

static weft_status make(weft__plan *plan, weft__memory *memory)
{
    size_t needs = (size_t)plan->devices->n * WEFT__MAX_ARENAS;
    planner p = { .plan = plan, .memory = memory };
    weft_status st = WEFT_E_NOMEM;
    if (!memory->arena && !(memory->arena = weft__alloc_n(plan->n_slots, sizeof *memory->arena)))
        goto out;
    if (!memory->offset && !(memory->offset = weft__alloc_n(plan->n_slots, sizeof *memory->offset)))
        goto out;
    if (!memory->need && !(memory->need = weft__alloc_n(needs, sizeof *memory->need))) goto out;
    if (!(p.item = weft__alloc_n(plan->n_slots, sizeof *p.item))) goto out;
    if (!(p.edge = weft__alloc_n(plan->n_slots, 2 * sizeof *p.edge))) goto out;
    memset(memory->need, 0, needs * sizeof *memory->need);
    lifetimes(plan);
    if ((st = collect(&p))) goto out;
    for (; p.done < p.n && !st; p.done++)
        st = place(&p, &p.item[p.done]);
out:
    weft__free(p.item);
    weft__free(p.edge);
    return st;
}

weft_status weft__memory_at(weft__plan *plan, int64_t batch, const weft__memory **result)
{
    weft__memory *oldest = &plan->memory[0], *memory = NULL;
    weft_status st;
    for (int i = 0; i < WEFT__MEMORIES; i++) {
        if (plan->memory[i].used && plan->memory[i].batch == batch) memory = &plan->memory[i];
        if (plan->memory[i].used < oldest->used) oldest = &plan->memory[i];
    }
    if (!memory) {
        memory = oldest;
        memory->used = 0;
        memory->batch = batch;
        if ((st = check_batch(plan, batch)) || (st = make(plan, memory))) return st;
    }
    memory->used = ++plan->clock;
    *result = memory;
    return WEFT_OK;
}
