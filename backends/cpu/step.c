/* From a step to a kernel: the table of core ops, the kernels that plugins brought, and the answer
 * to supports(), with a reason. The node made here is also what exe.c runs. */
#include "cpu.h"
#include <string.h>

static const cpu_kernel *const core[] = {
    &cpu_map,
    &cpu_reduce,
    &cpu_matmul,
    &cpu_conv,
    &cpu_reshape,
    &cpu_transpose,
    &cpu_slice,
    &cpu_pad,
    &cpu_concat,
    &cpu_broadcast,
    &cpu_reverse,
    &cpu_copy,
    &cpu_gather,
    &cpu_softmax,
    &cpu_log_softmax,
    &cpu_count,
    &cpu_scatter_add,
    &cpu_random,
    &cpu_adam_update,
    &cpu_sgd_update,
    &cpu_conv_input_grad,
    &cpu_conv_filter_grad,
};

static int64_t node_attr_i(const weft_kernel_call *call, const char *name)
{
    const weft_step *step = cpu_node_of(call)->step;
    return step->attr_i(step, name);
}

static double node_attr_f(const weft_kernel_call *call, const char *name)
{
    const weft_step *step = cpu_node_of(call)->step;
    return step->attr_f(step, name);
}

static const char *node_attr_s(const weft_kernel_call *call, const char *name)
{
    const weft_step *step = cpu_node_of(call)->step;
    return step->attr_s(step, name);
}

static uint32_t node_attr_v(const weft_kernel_call *call, const char *name, int64_t *values,
                            uint32_t cap)
{
    const weft_step *step = cpu_node_of(call)->step;
    return step->attr_v(step, name, values, cap);
}

static uint32_t node_attr_fv(const weft_kernel_call *call, const char *name, double *values,
                             uint32_t cap)
{
    const weft_step *step = cpu_node_of(call)->step;
    return step->attr_fv(step, name, values, cap);
}

static int64_t node_device(const weft_kernel_call *call, const char *fact)
{
    if (!strcmp(fact, "is_cpu")) return 1;
    if (!strcmp(fact, "compute_units")) return cpu_node_of(call)->dev->threads;
    return 0;
}

static int64_t node_param(const weft_kernel_call *call, const char *name)
{
    (void)call;
    (void)name;
    return 0; /* kernels of this kind have no tunable parameters */
}

static weft_status node_fail(const weft_kernel_call *call, weft_status status, const char *text)
{
    return call->host->fail(call->host, status, text);
}

static const void *node_extension(const weft_kernel_call *call, const char *id)
{
    (void)call;
    (void)id;
    return NULL; /* there is none yet */
}

static void fill_call(cpu_node *node)
{
    const weft_step *step = node->step;
    node->call = (weft_kernel_call){ .struct_size = sizeof(weft_kernel_call),
                                     .n_in = step->n_in,
                                     .n_out = step->n_out,
                                     .n_extra = step->n_extra,
                                     .host = node->dev->host,
                                     .in = node->pointers,
                                     .out = node->pointers + step->n_in,
                                     .path = step->path,
                                     .attr_i = node_attr_i,
                                     .attr_f = node_attr_f,
                                     .attr_s = node_attr_s,
                                     .attr_v = node_attr_v,
                                     .attr_fv = node_attr_fv,
                                     .device = node_device,
                                     .param = node_param,
                                     .fail = node_fail,
                                     .extension = node_extension };
}

static const weft_operand *operand(const cpu_node *node, uint32_t i)
{
    const weft_step *step = node->step;
    return i < step->n_in ? step->in[i] : step->out[i - step->n_in];
}

static void fill_views(cpu_node *node)
{
    for (uint32_t i = 0; i < node->step->n_in + node->step->n_out; i++) {
        const weft_operand *op = operand(node, i);
        int64_t *dims = node->dims + (size_t)i * 2 * WEFT_MAX_RANK;
        node->views[i] = (weft_view){ .struct_size = sizeof(weft_view),
                                      .dtype = op->dtype,
                                      .rank = op->rank,
                                      .layout = op->layout,
                                      .dim = dims,
                                      .stride = dims + WEFT_MAX_RANK };
        node->pointers[i] = i < node->step->n_in && op->absent ? NULL : &node->views[i];
    }
}

weft_status cpu_node_create(weft_dev *dev, const weft_step *step, cpu_node **res)
{
    size_t n = (size_t)step->n_in + step->n_out;
    size_t dims = n * 2 * WEFT_MAX_RANK * sizeof(int64_t);
    size_t bytes = sizeof(cpu_node) + dims + n * (sizeof(weft_view) + sizeof(weft_view *));
    cpu_node *node = dev->host->alloc(dev->host, bytes, 64);
    *res = NULL;
    if (!node) return WEFT_E_NOMEM;
    memset(node, 0, bytes);
    node->dev = dev;
    node->step = step;
    node->dims = (int64_t *)(void *)(node + 1);
    node->views = (weft_view *)(void *)((char *)(node + 1) + dims);
    node->pointers = (const weft_view **)(void *)(node->views + n);
    if (step->op->flags & WEFT_OP_EPILOGUE) {
        node->then = step->attr_s(step, "then");
        if (node->then && !node->then[0]) node->then = NULL;
    }
    fill_call(node);
    fill_views(node);
    cpu_node_symbolic(node);
    *res = node;
    return WEFT_OK;
}

void cpu_node_destroy(cpu_node **node)
{
    if (!*node) return;
    if ((*node)->program) (*node)->dev->map->release(&(*node)->program);
    (*node)->dev->host->release((*node)->dev->host, *node);
    *node = NULL;
}

void cpu_node_symbolic(cpu_node *node)
{
    for (uint32_t i = 0; i < node->step->n_in + node->step->n_out; i++) {
        const weft_operand *op = operand(node, i);
        int64_t *dims = node->dims + (size_t)i * 2 * WEFT_MAX_RANK;
        for (int32_t d = 0; d < op->rank; d++) {
            dims[d] = op->dim[d];
            dims[WEFT_MAX_RANK + d] = op->stride[d];
        }
    }
}

static int64_t at_batch(int64_t value, int64_t batch)
{
    return value < 0 ? -value * batch : value;
}

void cpu_node_place(cpu_node *node, int64_t batch)
{
    node->call.batch = batch;
    for (uint32_t i = 0; i < node->step->n_in + node->step->n_out; i++) {
        const weft_operand *op = operand(node, i);
        weft_view *view = &node->views[i];
        int64_t *dims = node->dims + (size_t)i * 2 * WEFT_MAX_RANK;
        view->count = 1;
        for (int32_t d = 0; d < op->rank; d++) {
            dims[d] = at_batch(op->dim[d], batch);
            dims[WEFT_MAX_RANK + d] = at_batch(op->stride[d], batch);
            view->count *= (uint64_t)dims[d];
        }
        view->outer = (uint64_t)at_batch(op->outer, batch);
        view->inner = (uint64_t)at_batch(op->inner, batch);
        view->pitch = (uint64_t)at_batch(op->pitch, batch);
    }
}

void cpu_node_bind(cpu_node *node, const weft_bind *binds)
{
    for (uint32_t i = 0; i < node->step->n_in + node->step->n_out; i++) {
        int there = binds[i].buf && !operand(node, i)->absent;
        node->views[i].data = there ? binds[i].buf->data + binds[i].offset : NULL;
    }
}

/* ---- choosing ---- */

static int dtype_fits(uint32_t flags, const weft_view *view)
{
    return flags & WEFT_KERNEL_ANY_DTYPE || view->dtype == WEFT_F32 ||
           (flags & WEFT_KERNEL_F64 && view->dtype == WEFT_F64);
}

/* Layouts beyond dense that flags name for one side. */
static int layout_fits(uint32_t pitched, uint32_t strided, const weft_view *view)
{
    return view->layout == WEFT_DENSE || strided || (view->layout == WEFT_PITCHED && pitched);
}

static int views_fit(const cpu_node *node, uint32_t flags, char *why, size_t size)
{
    static const char *const layout[] = { "?", "dense", "pitched", "strided" };
    const weft_kernel_call *call = &node->call;
    for (uint32_t i = 0; i < call->n_in + call->n_out; i++) {
        int in = i < call->n_in;
        uint32_t number = in ? i : i - call->n_in;
        const weft_view *view = in ? call->in[number] : call->out[number];
        int thens = node->then && (in ? i >= call->n_in - call->n_extra : number == 0);
        uint32_t pitched = flags & (in ? WEFT_KERNEL_IN_PITCHED : WEFT_KERNEL_OUT_PITCHED);
        uint32_t strided = flags & (in ? WEFT_KERNEL_IN_STRIDED : WEFT_KERNEL_OUT_STRIDED);
        if (!view) continue;
        if (!thens && !dtype_fits(flags, view)) {
            return cpu_no(why, size, "%s %u is %s; the kernel takes %s", in ? "input" : "output",
                          number, cpu_dtype_name(view->dtype),
                          flags & WEFT_KERNEL_F64 ? "f32 and f64" : "f32 alone");
        }
        if (!layout_fits(pitched, strided, view)) {
            return cpu_no(why, size, "%s %u is %s; the kernel %s dense%s ones",
                          in ? "input" : "output", number, layout[view->layout & 3],
                          in ? "takes" : "writes", pitched ? " and pitched" : "");
        }
    }
    if (node->then && !(flags & WEFT_KERNEL_EPILOGUE))
        return cpu_no(why, size, "`then` is set and the kernel applies none");
    return 1;
}

static int kernel_fits(const cpu_node *node, const weft_cpu_kernel *kernel, char *why, size_t size)
{
    if (!WEFT_HAS(kernel, run))
        return cpu_no(why, size, "the kernel's descriptor has no run function");
    if (!views_fit(node, kernel->flags, why, size)) return 0;
    return !kernel->supports || kernel->supports(&node->call, why, size);
}

static void accept(cpu_node *node, const weft_cpu_kernel *kernel, weft_support *support)
{
    node->kernel = kernel;
    support->flags = kernel->flags;
    support->why[0] = '\0';
}

static void choose_plugins(cpu_node *node, weft_support *support)
{
    const weft_ext *ext = node->step->op->kernels;
    uint32_t n = 0;
    for (; ext && ext->id; ext++) {
        if (strcmp(ext->id, WEFT_KERNEL_CPU)) continue;
        if (kernel_fits(node, ext->data, support->why, sizeof support->why)) {
            accept(node, ext->data, support);
            snprintf(support->variant, sizeof support->variant, "%.48s#%u", node->step->op->name,
                     n);
            return;
        }
        n++;
    }
    if (!n)
        cpu_no(support->why, sizeof support->why,
               "no kernel for %s: %.80s is not a core op and its "
               "plugin brought none",
               WEFT_KERNEL_CPU, node->step->op->name);
}

const cpu_kernel *cpu_choose(cpu_node *node, weft_support *support)
{
    node->kernel = NULL;
    support->flags = 0;
    support->variant[0] = support->why[0] = '\0';
    for (size_t i = 0; i < sizeof core / sizeof core[0]; i++) {
        if (strcmp(core[i]->op, node->step->op->name)) continue;
        if (!kernel_fits(node, &core[i]->kernel, support->why, sizeof support->why)) return NULL;
        accept(node, &core[i]->kernel, support);
        snprintf(support->variant, sizeof support->variant, "%.48s", core[i]->op);
        return core[i];
    }
    choose_plugins(node, support);
    return NULL;
}

int cpu_supports(weft_dev *dev, const weft_step *step, weft_support *support)
{
    cpu_node *node;
    int yes;
    if (cpu_node_create(dev, step, &node)) {
        support->flags = 0;
        support->variant[0] = '\0';
        return cpu_no(support->why, sizeof support->why, "no memory to look at the step");
    }
    cpu_choose(node, support);
    yes = node->kernel != NULL;
    cpu_node_destroy(&node);
    return yes;
}
