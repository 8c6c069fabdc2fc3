/* Assignments of variables. Every reader of a variable must have read it before it is written.
 * Where its value is made by an op that may write over the variable, that op waits for the other
 * readers and writes it where it lies: an optimizer updates weights in place. Else the value is
 * made in storage of its own and copied at the end of the run. */
#include "base/alloc.h"
#include "plan/layout.h"

typedef struct candidate {    /* an assignment, and the op that makes the value */
    weft_val variable, value; /* value: the base, without views */
    const weft__node *node;
} candidate;

static uint32_t assigned_reads(const weft__layout *layout, weft_val base)
{
    const weft__graph *graph = layout->graph;
    uint32_t n = 0;
    for (size_t i = 0; i < graph->n_assigns; i++)
        n += layout->base[graph->assign[i].value] == base;
    return n;
}

/* Does the node read the variable? same: and only as it is, not through a view. */
static int reads(const weft__layout *layout, const weft__node *node, weft_val variable, int *same)
{
    int found = 0;
    *same = 1;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == WEFT_NONE || layout->base[node->in[i]] != variable) continue;
        found = 1;
        if (node->in[i] != variable) *same = 0;
    }
    return found;
}

/* May the op's kernel write that result over an input that it reads? */
static int writes_over(const weft__layout *layout, const weft__node *node, uint32_t result)
{
    const weft__device *device = &layout->plan->devices->device[node->device];
    weft__step *step = NULL;
    if (weft__step_of_node(layout->graph, node, &step)) return 0;
    uint32_t flags = weft__device_asks(device, step) ? step->support.flags : 0;
    weft__step_destroy(&step);
    return (flags & WEFT_KERNEL_INPLACE_EACH) || (result == 0 && (flags & WEFT_KERNEL_INPLACE));
}

/* Nobody but assignments takes what the op makes, so that nothing waits for an op that waits. */
static int ends_here(const weft__layout *layout, const weft__node *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (layout->reads[node->out[i]] != assigned_reads(layout, node->out[i])) return 0;
    return 1;
}

/* Is the variable an output of the graph, or assigned to another one? Both are read at the end. */
static int read_at_end(const weft__layout *layout, weft_val variable)
{
    const weft__graph *graph = layout->graph;
    for (size_t i = 0; i < graph->n_outputs; i++)
        if (layout->base[graph->output[i].value] == variable) return 1;
    return assigned_reads(layout, variable) != 0;
}

/* Two ops that each write what the other reads would wait for each other. */
static int crosses(const weft__layout *layout, const candidate *c)
{
    int same;
    for (size_t i = 0; i < layout->n_writers; i++) {
        const weft__writer *w = &layout->writer[i];
        if (w->node == c->node) continue;
        if (reads(layout, w->node, c->variable, &same) ||
            reads(layout, c->node, w->variable, &same))
            return 1;
    }
    return 0;
}

static int may_write(const weft__layout *layout, const candidate *c)
{
    int same;
    if (!c->node || c->node->region || weft__is_concat(c->node)) return 0;
    if (layout->reads[c->value] != 1 || !ends_here(layout, c->node)) return 0;
    if (read_at_end(layout, c->variable) || crosses(layout, c)) return 0;
    if (!reads(layout, c->node, c->variable, &same)) return 1;
    return same && writes_over(layout, c->node, layout->graph->value[c->value].index);
}

weft_status weft__layout_assign_homes(weft__layout *layout)
{
    const weft__graph *graph = layout->graph;
    for (size_t i = 0; i < graph->n_assigns; i++) {
        candidate c = { graph->assign[i].variable, layout->base[graph->assign[i].value], NULL };
        const weft__gvalue *v = &graph->value[c.value];
        weft__home_request r = { .value = graph->assign[i].value };
        int same;
        weft_status st;
        if (v->kind == WEFT__V_RESULT) c.node = graph->node[v->node];
        if (!may_write(layout, &c)) continue;
        r.over_input = reads(layout, c.node, c.variable, &same);
        r.device = (uint32_t)c.node->device;
        if ((st = weft__locate(layout, c.variable, r.device, &r.at))) return st;
        if (weft__layout_settle(layout, r)) continue;
        layout->writer[layout->n_writers++] = (weft__writer){ c.node, c.variable };
    }
    return WEFT_OK;
}

int weft__layout_may_write(const weft__layout *layout, const weft__node *node,
                           const unsigned char *done)
{
    const weft__graph *graph = layout->graph;
    int same;
    for (size_t i = 0; i < layout->n_writers; i++) {
        if (layout->writer[i].node != node) continue;
        for (size_t k = 0; k < graph->n_nodes; k++)
            if (!done[k] && graph->node[k] != node && weft__is_view(graph->node[k]) == 0 &&
                reads(layout, graph->node[k], layout->writer[i].variable, &same))
                return 0;
    }
    return 1;
}

static int is_assigned_variable(const weft__layout *layout, weft_val value)
{
    const weft__graph *graph = layout->graph;
    for (size_t i = 0; i < graph->n_assigns; i++)
        if (graph->assign[i].variable == value) return 1;
    return 0;
}

/* Where the value lies before the copies begin: not in a variable that they overwrite. */
static weft_status safe_place(weft__layout *layout, const weft__assign *assign, uint32_t device,
                              weft__place_at *src)
{
    weft__place_at temporary;
    const char *name = layout->graph->value[assign->variable].name;
    weft_status st = weft__locate(layout, assign->value, device, src);
    if (st || !is_assigned_variable(layout, layout->base[assign->value])) return st;
    if ((st = weft__layout_slot(layout, assign->value, device, WEFT__SLOT_ARENA, &temporary)))
        return st;
    st = weft__layout_copy(layout, &(weft__copying){ src, &temporary, 1, device, 0, name,
                                                     "before the variables change" });
    *src = temporary;
    return st;
}

weft_status weft__layout_assign(weft__layout *layout)
{
    const weft__graph *graph = layout->graph;
    weft__plan *plan = layout->plan;
    size_t n = graph->n_assigns;
    weft__place_at *src = weft__alloc_n(n, sizeof *src), *dst = weft__alloc_n(n, sizeof *dst);
    weft_status st = WEFT_E_NOMEM;
    if (!src || !dst || !(plan->written = weft__alloc_n(n, sizeof *plan->written))) goto out;
    st = WEFT_OK;
    for (size_t i = 0; i < n && !st; i++)
        st = safe_place(layout, &graph->assign[i],
                        weft__layout_device(layout, graph->assign[i].value), &src[i]);
    for (size_t i = 0; i < n && !st; i++) {
        const weft__assign *assign = &graph->assign[i];
        uint32_t device = weft__layout_device(layout, assign->value);
        if ((st = weft__locate(layout, assign->variable, device, &dst[i]))) break;
        plan->written[i] = dst[i].slot;
        if (src[i].slot == dst[i].slot && weft__view_same(&src[i].view, &dst[i].view)) continue;
        st = weft__layout_copy(layout, &(weft__copying){ &src[i], &dst[i], 1, device, 0,
                                                         graph->value[assign->variable].name,
                                                         "into the variable" });
    }
    plan->n_written = n;
out:
    weft__free(src);
    weft__free(dst);
    return st;
}
