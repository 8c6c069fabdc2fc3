/* Plans for people: where each op runs and why, what each operand's layout is, what concats
 * cost, memory. */
#include "plan/plan.h"
#include <inttypes.h>
#include "base/text.h"

static void add_devices(const weft__devices *devices, weft__text *text)
{
    weft__text_add(text, "devices\n");
    for (uint32_t i = 0; i < devices->n; i++)
        weft__text_add(text, "  %s  %s\n", devices->device[i].id, devices->device[i].info.name);
}

static void add_spec(const weft_spec *spec, weft__text *text)
{
    weft__text_add(text, "%s", weft_dtype_name(spec->dtype));
    weft__text_shape(text, spec);
}

void weft__placed_print(const weft__graph *graph, const weft__devices *devices, weft__text *text)
{
    add_devices(devices, text);
    weft__text_add(text, "ops\n");
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        const char *where = node->device < 0 ? "view" : devices->device[node->device].id;
        weft__text_add(text, "  %-10s %s", where, node->op->name);
        if (node->text && *node->text) weft__text_add(text, " %s", node->text);
        weft__text_add(text, " -> ");
        add_spec(&graph->value[node->out[0]].spec, text);
        weft__text_add(text, "  # %s", node->path);
        if (node->device > 0 && node->reason) weft__text_add(text, " (%s)", node->reason);
        weft__text_add(text, "\n");
    }
}

static void add_affine(weft__affine a, weft__text *text)
{
    if (a.batch) weft__text_add(text, "%" PRId64 "*B", a.batch);
    if (a.fixed || !a.batch) weft__text_add(text, "%s%" PRId64, a.batch ? "+" : "", a.fixed);
}

/* "arena3 float32(None, 10) pitched+64" */
static void add_operand(const weft__plan *plan, const weft__step *step, uint32_t i,
                        weft__text *text)
{
    static const char *const layouts[] = { "", "", " pitched", " strided" };
    const weft__view *view = &step->view[i];
    if (!step->slot[i]) {
        weft__text_add(text, "-");
        return;
    }
    weft__text_add(text, "%s%u ", weft__slot_kind_name(plan->slot[step->slot[i]].kind),
                   step->slot[i]);
    add_spec(&view->spec, text);
    weft__text_add(text, "%s", layouts[step->operand[i].layout]);
    if (view->offset.fixed || view->offset.batch) {
        weft__text_add(text, "+");
        add_affine(view->offset, text);
    }
    if (view->advance.fixed || view->advance.batch) {
        weft__text_add(text, "+turn*(");
        add_affine(view->advance, text);
        weft__text_add(text, ")");
    }
    if (view->flip.fixed || view->flip.batch) weft__text_add(text, " in turns");
}

static void add_step(const weft__plan *plan, size_t number, weft__text *text)
{
    const weft__step *step = plan->step[number];
    uint32_t before = number ? plan->step[number - 1]->loop : 0;
    if (step->loop && step->loop != before)
        weft__text_add(text, "  loop %u, %" PRId64 " turns  # %s\n", (unsigned)step->loop,
                       plan->loop[step->loop].times, plan->loop[step->loop].node->path);
    const char *op = step->kind == WEFT__STEP_TRANSFER ? "transfer" : step->base.op->name;
    weft__text_add(text, "  %3zu%s  %s  %s", number, step->loop ? " |" : "",
                   plan->devices->device[step->device].id, op);
    if (step->support.variant[0]) weft__text_add(text, " [%s]", step->support.variant);
    if (*step->base.attrs) weft__text_add(text, " %s", step->base.attrs);
    weft__text_add(text, "  # %s\n         ", step->base.path);
    for (uint32_t i = 0; i < step->base.n_in + step->base.n_out; i++) {
        if (i) weft__text_add(text, i == step->base.n_in ? " -> " : ", ");
        add_operand(plan, step, i, text);
    }
    if (step->in_place) weft__text_add(text, "  in place");
    if (step->note) weft__text_add(text, "  (%s)", step->note);
    if (step->node && step->node->device > 0 && step->node->reason)
        weft__text_add(text, "  (%s)", step->node->reason);
    weft__text_add(text, "\n");
}

static void add_steps(const weft__plan *plan, const char *title, size_t begin, size_t end,
                      weft__text *text)
{
    weft__text_add(text, "%s\n", title);
    for (size_t i = begin; i < end; i++)
        add_step(plan, i, text);
}

static const char *name_of(const weft__graph *graph, weft_val value)
{
    const weft__gvalue *v = &graph->value[value];
    if (v->kind == WEFT__V_RESULT) return graph->node[v->node]->path;
    return v->name ? v->name : "constant";
}

static void add_views(const weft__plan *plan, weft__text *text)
{
    const weft__graph *graph = plan->graph;
    int n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        if (weft__is_view(node) == WEFT__VIEW_NONE) continue;
        if (!n++) weft__text_add(text, "views\n");
        weft__text_add(text, "  %s: view of %s, %s ", node->path, name_of(graph, node->in[0]),
                       node->op->name);
        add_spec(&graph->value[node->in[0]].spec, text);
        weft__text_add(text, " -> ");
        add_spec(&graph->value[node->out[0]].spec, text);
        weft__text_add(text, "\n");
    }
}

static void add_concats(const weft__plan *plan, int64_t batch, weft__text *text)
{
    for (size_t i = 0; i < plan->n_concats; i++) {
        const weft__concat *concat = &plan->concat[i];
        int64_t bytes = weft__affine_at(concat->bytes, batch);
        weft__text_add(text, "concat %s: %" PRId64 " bytes moved", concat->node->path, bytes);
        if (bytes && concat->why.n) weft__text_add(text, ", %s", concat->why.s);
        weft__text_add(text, "\n");
    }
}

static uint64_t slots_bytes(const weft__plan *plan, uint32_t device, weft__slot_kind kind,
                            int64_t batch)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i < plan->n_slots; i++) {
        const weft__slot *slot = &plan->slot[i];
        if (slot->device != device || slot->kind != kind) continue;
        bytes += (uint64_t)weft__affine_at(weft__affine_of(slot->count, 1), batch) *
                 weft_dtype_size(slot->dtype);
    }
    return bytes;
}

static void add_memory(const weft__plan *plan, const weft__memory *memory, weft__text *text)
{
    weft__text_add(text, "memory for batch %" PRId64 "\n", memory->batch);
    for (uint32_t d = 0; d < plan->devices->n; d++) {
        uint64_t arena = 0, unshared = slots_bytes(plan, d, WEFT__SLOT_ARENA, memory->batch);
        int pieces = 0;
        for (int i = 0; i < WEFT__MAX_ARENAS; i++) {
            arena += memory->need[d * WEFT__MAX_ARENAS + i];
            pieces += memory->need[d * WEFT__MAX_ARENAS + i] != 0;
        }
        weft__text_add(
            text, "  %s  values %" PRIu64 " bytes in %d piece%s (%" PRIu64 " without reuse)",
            plan->devices->device[d].id, arena, pieces, pieces == 1 ? "" : "s", unshared);
        for (int kind = WEFT__SLOT_INPUT; kind < WEFT__SLOT_ARENA; kind++)
            weft__text_add(text, ", %s %" PRIu64, weft__slot_kind_name((weft__slot_kind)kind),
                           slots_bytes(plan, d, (weft__slot_kind)kind, memory->batch));
        weft__text_add(text, "\n");
    }
}

weft_status weft__plan_print(weft__plan *plan, int64_t batch, weft__text *text)
{
    const weft__memory *memory;
    weft_status st = weft__memory_at(plan, batch, &memory);
    if (st) return st;
    add_devices(plan->devices, text);
    add_steps(plan, "prologue, when a variable has changed", 0, plan->n_prologue, text);
    add_steps(plan, "body", plan->n_prologue, plan->n_steps, text);
    add_views(plan, text);
    add_concats(plan, batch, text);
    add_memory(plan, memory, text);
    return WEFT_OK;
}
