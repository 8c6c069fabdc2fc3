/* One step as kernels see it, and the choice of the kernel that runs it. */
#include "step.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ocl_call *of(const weft_kernel_call *base)
{
    return (const ocl_call *)base;
}

static int64_t attr_i(const weft_kernel_call *c, const char *name)
{
    return of(c)->step->attr_i(of(c)->step, name);
}

static double attr_f(const weft_kernel_call *c, const char *name)
{
    return of(c)->step->attr_f(of(c)->step, name);
}

static const char *attr_s(const weft_kernel_call *c, const char *name)
{
    return of(c)->step->attr_s(of(c)->step, name);
}

static uint32_t attr_v(const weft_kernel_call *c, const char *name, int64_t *values, uint32_t cap)
{
    return of(c)->step->attr_v(of(c)->step, name, values, cap);
}

static uint32_t attr_fv(const weft_kernel_call *c, const char *name, double *values, uint32_t cap)
{
    return of(c)->step->attr_fv(of(c)->step, name, values, cap);
}

static int64_t device_fact(const weft_kernel_call *c, const char *fact)
{
    const weft_dev *dev = of(c)->dev;
    if (!strcmp(fact, "is_cpu")) return dev->cpu;
    if (!strcmp(fact, "compute_units")) return dev->device->info.compute_units;
    if (!strcmp(fact, "local_memory")) return (int64_t)dev->local_memory;
    if (!strcmp(fact, "max_group")) return (int64_t)dev->max_group;
    if (!strcmp(fact, "vector")) return dev->device->vector_f32;
    return 0;
}

/* The first value of "NAME=value|value" in params. */
int ocl_param(const weft_cl_kernel *kernel, const char *name, int64_t *value)
{
    size_t n = strlen(name);
    for (const char *p = kernel->params; p && *p;) {
        if (!strncmp(p, name, n) && p[n] == '=') {
            *value = strtoll(p + n + 1, NULL, 10);
            return 1;
        }
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }
    return 0;
}

static int64_t param(const weft_kernel_call *c, const char *name)
{
    int64_t value = 0;
    return of(c)->kernel && ocl_param(of(c)->kernel, name, &value) ? value : 0;
}

static weft_status call_fail(const weft_kernel_call *c, weft_status status, const char *msg)
{
    return ocl_fail(c->host, status, "%s: op %s: %s", c->path, of(c)->step->op->name, msg);
}

static const void *extension(const weft_kernel_call *c, const char *id)
{
    (void)c;
    (void)id;
    return NULL; /* there is none yet */
}

static int f64_among(const weft_operand *const *o, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!o[i]->absent && o[i]->dtype == WEFT_F64) return 1;
    return 0;
}

int ocl_step_f64(const weft_step *step)
{
    uint32_t own = step->n_in - step->n_extra;
    return f64_among(step->in, own) || (!ocl_then(step) && f64_among(step->out, step->n_out));
}

int ocl_step_any_f64(const weft_step *step)
{
    return f64_among(step->in, step->n_in) || f64_among(step->out, step->n_out);
}

weft_status ocl_call_init(ocl_call *call, weft_dev *dev, const weft_step *step)
{
    uint32_t n = step->n_in + step->n_out;
    weft_kernel_call base = {
        .struct_size = sizeof base,
        .n_in = step->n_in,
        .n_out = step->n_out,
        .n_extra = step->n_extra,
        .host = dev->host,
        .path = step->path,
        .attr_i = attr_i,
        .attr_f = attr_f,
        .attr_s = attr_s,
        .attr_v = attr_v,
        .attr_fv = attr_fv,
        .device = device_fact,
        .param = param,
        .fail = call_fail,
        .extension = extension,
    };
    *call = (ocl_call){ .base = base, .dev = dev, .step = step, .f64 = ocl_step_f64(step) };
    call->view = ocl_alloc(dev->host, n + 1, sizeof *call->view);
    call->list = ocl_alloc(dev->host, n + 1, sizeof *call->list);
    call->numbers =
        ocl_alloc(dev->host, (size_t)(n + 1) * 2 * WEFT_MAX_RANK, sizeof *call->numbers);
    if (!call->view || !call->list || !call->numbers) {
        ocl_call_finish(call);
        return ocl_fail(dev->host, WEFT_E_NOMEM, "%s: no memory for op %s", step->path,
                        step->op->name);
    }
    call->base.in = call->list;
    call->base.out = call->list + step->n_in;
    return WEFT_OK;
}

void ocl_call_finish(ocl_call *call)
{
    const weft_host *host = call->dev->host;
    ocl_free(host, call->view);
    ocl_free(host, (void *)call->list);
    ocl_free(host, call->numbers);
    call->view = NULL;
    call->list = NULL;
    call->numbers = NULL;
}

static void fill_view(weft_view *v, const weft_operand *o, int64_t *dim, int64_t batch)
{
    int64_t *stride = dim + WEFT_MAX_RANK;
    uint64_t count = 1;
    for (int32_t k = 0; k < o->rank; k++) {
        dim[k] = batch < 0 ? o->dim[k] : ocl_at(o->dim[k], batch);
        stride[k] = batch < 0 ? o->stride[k] : ocl_at(o->stride[k], batch);
        count *= (uint64_t)(dim[k] < 0 ? -dim[k] : dim[k]);
    }
    *v = (weft_view){ .struct_size = sizeof *v,
                      .dtype = o->dtype,
                      .rank = o->rank,
                      .layout = o->layout,
                      .dim = dim,
                      .stride = stride,
                      .count = count };
    v->outer = (uint64_t)(batch < 0 ? o->outer : ocl_at(o->outer, batch));
    v->inner = (uint64_t)(batch < 0 ? o->inner : ocl_at(o->inner, batch));
    v->pitch = (uint64_t)(batch < 0 ? o->pitch : ocl_at(o->pitch, batch));
}

/* Absent inputs are NULL; an output that nobody reads is a view without data. */
void ocl_call_fill(ocl_call *call, int64_t batch)
{
    const weft_step *step = call->step;
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        int out = i >= step->n_in;
        const weft_operand *o = out ? step->out[i - step->n_in] : step->in[i];
        call->list[i] = NULL;
        if (o->absent && !out) continue;
        fill_view(&call->view[i], o, call->numbers + (size_t)i * 2 * WEFT_MAX_RANK, batch);
        call->list[i] = &call->view[i];
        if (call->exe && !o->absent) call->view[i].data = call->exe->tokens + call->first_slot + i;
    }
    call->base.batch = batch < 0 ? 0 : batch;
}

/* ---- choice ---- */
static const ocl_op *const ops[] = {
    &ocl_op_map,
    &ocl_op_matmul,
    &ocl_op_conv,
    &ocl_op_reduce,
    &ocl_op_softmax,
    &ocl_op_log_softmax,
    &ocl_op_gather,
    &ocl_op_count,
    &ocl_op_copy,
    &ocl_op_pad,
    &ocl_op_reverse,
    &ocl_op_scatter_add,
    &ocl_op_random,
    &ocl_op_adam_update,
    &ocl_op_sgd_update,
    &ocl_op_conv_input_grad,
    &ocl_op_conv_filter_grad,
};

const ocl_op *ocl_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(ops[i]->name, name)) return ops[i];
    return NULL;
}

static int operand_fits(const ocl_call *call, const weft_operand *o, char *why, size_t why_size)
{
    uint32_t flags = call->kernel->flags;
    if (o->absent) return 1;
    if (o->dtype == WEFT_F64 && !call->dev->device->info.has_f64) {
        snprintf(why, why_size, "the device has no float64");
        return 0;
    }
    /* what only moves bits moves 16-bit floats, too */
    int known = ocl_type_name(o->dtype) || (call->op && call->op->moves_bits);
    if (o->dtype == WEFT_F32 || (known && (flags & WEFT_KERNEL_ANY_DTYPE))) return 1;
    if (o->dtype == WEFT_F64 && (flags & WEFT_KERNEL_F64)) return 1;
    snprintf(why, why_size, "the kernel has no %s",
             ocl_type_name(o->dtype) ? ocl_type_name(o->dtype) : "16-bit floats");
    return 0;
}

static int extra_fits(const ocl_call *call, const weft_operand *o, char *why, size_t why_size)
{
    int f64 = o->dtype == WEFT_F64 && !call->dev->device->info.has_f64;
    if (ocl_type_name(o->dtype) && !f64 && !o->absent) return 1;
    snprintf(why, why_size, "the epilogue has an input of a type that the device has not");
    return 0;
}

static int kernel_fits(ocl_call *call, char *why, size_t why_size)
{
    const weft_step *step = call->step;
    for (uint32_t i = 0; i < step->n_in - step->n_extra; i++)
        if (!operand_fits(call, step->in[i], why, why_size)) return 0;
    for (uint32_t i = step->n_in - step->n_extra; i < step->n_in; i++)
        if (!extra_fits(call, step->in[i], why, why_size)) return 0;
    int then = ocl_then(step) != NULL;
    for (uint32_t i = 0; i < step->n_out && !then; i++)
        if (!operand_fits(call, step->out[i], why, why_size)) return 0;
    if (then && !(call->kernel->flags & WEFT_KERNEL_EPILOGUE)) {
        snprintf(why, why_size, "the kernel has no epilogue");
        return 0;
    }
    if (!call->kernel->supports) return 1;
    ocl_call_fill(call, -1);
    return call->kernel->supports(&call->base, why, why_size);
}

int ocl_choose(ocl_call *call, char *why, size_t why_size)
{
    const weft_step *step = call->step;
    const ocl_op *op = ocl_op_find(step->op->name);
    snprintf(why, why_size, "op %s has no OpenCL kernel", step->op->name);
    for (const weft_ext *e = step->op->kernels; e && e->id; e++) {
        if (strcmp(e->id, WEFT_KERNEL_OPENCL)) continue;
        call->kernel = e->data;
        call->op = NULL;
        if (kernel_fits(call, why, why_size)) return 1;
    }
    if (!op) return 0;
    call->op = op->refine && op->refine(step) ? op->refine(step) : op;
    call->kernel = &call->op->kernel;
    return kernel_fits(call, why, why_size);
}

int ocl_supports(weft_dev *dev, const weft_step *step, weft_support *support)
{
    ocl_call call;
    char why[192] = "";
    int yes = 0;
    if (ocl_call_init(&call, dev, step)) {
        snprintf(support->why, sizeof support->why, "there is no memory to look at the op");
        return 0;
    }
    yes = ocl_choose(&call, why, sizeof why);
    support->flags = yes ? call.kernel->flags : 0;
    if (yes && !call.op)
        snprintf(support->variant, sizeof support->variant, "%s.cl", step->op->name);
    else
        snprintf(support->variant, sizeof support->variant, "%s", yes ? call.op->file : "");
    if (yes && call.op == &ocl_op_matmul)
        snprintf(support->variant, sizeof support->variant, "%s",
                 dev->clblast && !call.f64 ? "clblast" : "gemm.cl");
    snprintf(support->why, sizeof support->why, "%s", yes ? "" : why);
    ocl_call_finish(&call);
    return yes;
}

int64_t ocl_attr_list(const weft_step *step, const char *name, int64_t *values, uint32_t n,
                      int64_t def)
{
    uint32_t given = step->attr_v(step, name, values, n);
    for (uint32_t k = given; k < n; k++)
        values[k] = def;
    return given;
}
