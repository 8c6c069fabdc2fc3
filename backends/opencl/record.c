/* Recording: once a batch size every step's kernel says what it launches, and gets it back as
 * commands whose constant arguments are set. Offsets and buffers are put in when they are known
 * (run.c). */
#include "step.h"
#include <stdio.h>
#include <string.h>

enum { CPU_LOCAL = 64, GPU_LOCAL = 128 };

static weft_status no_memory(const ocl_call *call)
{
    return ocl_fail(call->dev->host, WEFT_E_NOMEM, "%s: no memory for the commands of op %s",
                    call->base.path, call->step->op->name);
}

static weft_status add_argument(ocl_call *call, ocl_cmd *cmd, uint32_t index, const weft_view *v)
{
    weft_exe *exe = call->exe;
    ocl_arg arg = { .index = index, .slot = UINT32_MAX, .size = 1 };
    if (v && v->data) {
        uintptr_t at = (uintptr_t)v->data, start = (uintptr_t)exe->tokens;
        if (at < start || at - start >= OCL_SLOTS + exe->n_binds)
            return ocl_fail(
                call->dev->host, WEFT_E_ARG,
                "%s: op %s: argument %u of %s is a view whose data is not that of an input, "
                "an output or scratch",
                call->base.path, call->step->op->name, index, cmd->name);
        arg.slot = (uint32_t)(at - start);
        arg.offset = v->offset;
        arg.size = ocl_type_size(v->dtype);
    }
    if (!ocl_grow(call->dev->host, &exe->arg, exe->n_arg, &exe->cap_arg, sizeof *exe->arg))
        return no_memory(call);
    exe->arg[exe->n_arg++] = arg;
    cmd->n_args++;
    return WEFT_OK;
}

static weft_status set(ocl_call *call, ocl_cmd *cmd, uint32_t index, size_t size, const void *value)
{
    cl_int code = clSetKernelArg(cmd->kernel, index, size, value);
    if (!code) return WEFT_OK;
    return ocl_cl_fail(call->dev->host, code,
                       "%s: op %s: argument %u (%zu bytes) of kernel %s on %s", call->base.path,
                       call->step->op->name, index, size, cmd->name, call->dev->device->info.name);
}

static weft_status ask_fail(const ocl_call *call, const ocl_cmd *cmd, cl_int code)
{
    return ocl_cl_fail(call->dev->host, code, "%s: op %s: what kernel %s takes on %s",
                       call->base.path, call->step->op->name, cmd->name,
                       call->dev->device->info.name);
}

/* Views come first, two arguments each; then whole numbers, scalars, and the batch. */
static weft_status set_arguments(ocl_call *call, ocl_cmd *cmd, const weft_cl_launch *l)
{
    uint32_t index = 0, given = 2 * l->n_views + l->n_ints + l->n_scalars + 1;
    cl_uint takes = 0;
    weft_status st;
    cl_int code = clGetKernelInfo(cmd->kernel, CL_KERNEL_NUM_ARGS, sizeof takes, &takes, NULL);
    if (code) return ask_fail(call, cmd, code);
    if (takes != given)
        return ocl_fail(call->dev->host, WEFT_E_ARG,
                        "%s: op %s: kernel %s takes %u arguments, its launch gives %u",
                        call->base.path, call->step->op->name, cmd->name, takes, given);
    for (uint32_t i = 0; i < l->n_views; i++, index += 2)
        if ((st = add_argument(call, cmd, index, l->views[i]))) return st;
    for (uint32_t i = 0; i < l->n_ints; i++) {
        cl_long value = l->ints[i];
        if ((st = set(call, cmd, index++, sizeof value, &value))) return st;
    }
    for (uint32_t i = 0; i < l->n_scalars; i++) {
        double wide = l->scalars[i];
        float narrow = (float)wide;
        st = call->f64 ? set(call, cmd, index++, sizeof wide, &wide)
                       : set(call, cmd, index++, sizeof narrow, &narrow);
        if (st) return st;
    }
    cl_long batch = call->base.batch;
    return set(call, cmd, index, sizeof batch, &batch);
}

/* Every enqueue has a local size: drivers that choose one compile again for each new global size.
 */
static weft_status set_range(ocl_call *call, ocl_cmd *cmd, const weft_cl_launch *l)
{
    const ocl_device *device = call->dev->device;
    size_t fixed[3] = { 0 }, most = 0;
    int flat = l->global[1] == 0 && l->global[2] == 0; /* { n } is short for { n, 1, 1 } */
    cl_int code = clGetKernelWorkGroupInfo(
        cmd->kernel, device->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof fixed, fixed, NULL);
    if (!code)
        code = clGetKernelWorkGroupInfo(cmd->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                        sizeof most, &most, NULL);
    if (code) return ask_fail(call, cmd, code);
    if (most > call->dev->max_group) most = call->dev->max_group;
    for (int d = 0; d < 3; d++)
        cmd->local[d] = l->local[d] ? l->local[d] : 1;
    if (fixed[0])
        memcpy(cmd->local, fixed, sizeof fixed);
    else if (!l->local[0]) {
        cmd->local[0] = call->dev->cpu ? CPU_LOCAL : GPU_LOCAL;
        while (cmd->local[0] > most && cmd->local[0] > 1)
            cmd->local[0] /= 2;
    }
    if (cmd->local[0] * cmd->local[1] * cmd->local[2] > most)
        return ocl_fail(
            call->dev->host, WEFT_E_DEVICE,
            "%s: op %s: work-groups of %zu x %zu x %zu items, kernel %s can have %zu on %s",
            call->base.path, call->step->op->name, cmd->local[0], cmd->local[1], cmd->local[2],
            cmd->name, most, device->info.name);
    for (int d = 0; d < 3; d++) {
        size_t global = d && flat ? 1 : l->global[d];
        cmd->global[d] = (global + cmd->local[d] - 1) / cmd->local[d] * cmd->local[d];
    }
    return WEFT_OK;
}

/* A kernel of its own for each command, so that constant arguments are set once; taken over from
 * the last recording where the same one stood in the same place. */
static weft_status get_kernel(ocl_call *call, ocl_cmd *cmd)
{
    weft_exe *exe = call->exe;
    cl_int code = CL_SUCCESS;
    if (exe->n_cmd < exe->n_old) {
        ocl_cmd *old = &exe->old[exe->n_cmd];
        if (old->kernel && old->program == cmd->program && !strcmp(old->name, cmd->name)) {
            cmd->kernel = old->kernel;
            old->kernel = NULL;
            return WEFT_OK;
        }
    }
    cmd->kernel = clCreateKernel(cmd->program, cmd->name, &code);
    if (!code) return WEFT_OK;
    cmd->kernel = NULL;
    return ocl_cl_fail(call->dev->host, code, "%s: op %s: kernel %s on %s", call->base.path,
                       call->step->op->name, cmd->name, call->dev->device->info.name);
}

weft_status ocl_record_launch(ocl_call *call, cl_program program, const weft_cl_launch *l)
{
    weft_exe *exe = call->exe;
    ocl_cmd cmd = { .step = call->number, .first_arg = exe->n_arg, .program = program };
    int flat = l->global[1] == 0 && l->global[2] == 0;
    weft_status st;
    if (l->global[0] == 0 || (!flat && (l->global[1] == 0 || l->global[2] == 0))) return WEFT_OK;
    if (!program || strlen(l->kernel) >= sizeof cmd.name)
        return ocl_fail(call->dev->host, WEFT_E_ARG, "%s: op %s: there is no kernel \"%s\"",
                        call->base.path, call->step->op->name, l->kernel);
    strcpy(cmd.name, l->kernel);
    if (!ocl_grow(call->dev->host, &exe->cmd, exe->n_cmd, &exe->cap_cmd, sizeof *exe->cmd))
        return no_memory(call);
    if ((st = get_kernel(call, &cmd))) return st;
    if ((st = set_arguments(call, &cmd, l))) goto out;
    if ((st = set_range(call, &cmd, l))) goto out;
    exe->cmd[exe->n_cmd++] = cmd;
    cmd.kernel = NULL;
out:
    if (cmd.kernel) clReleaseKernel(cmd.kernel);
    return st;
}

weft_status ocl_record_clblast(ocl_call *call, const weft_gemm *g)
{
    weft_exe *exe = call->exe;
    ocl_cmd cmd = { .step = call->number, .first_arg = exe->n_arg, .name = "gemm", .gemm = *g };
    weft_view a = *g->a, b = *g->b, c = *g->c;
    weft_status st;
    a.offset += (uint64_t)g->a_offset;
    b.offset += (uint64_t)g->b_offset;
    c.offset += (uint64_t)g->c_offset;
    if (!ocl_grow(call->dev->host, &exe->cmd, exe->n_cmd, &exe->cap_cmd, sizeof *exe->cmd))
        return no_memory(call);
    if ((st = add_argument(call, &cmd, 0, &a))) return st;
    if ((st = add_argument(call, &cmd, 1, &b))) return st;
    if ((st = add_argument(call, &cmd, 2, &c))) return st;
    exe->cmd[exe->n_cmd++] = cmd;
    return WEFT_OK;
}

/* One memory for all steps, as large as the one that wants most of it. */
static void want(ocl_call *call, int slot, uint64_t bytes)
{
    weft_exe *exe = call->exe;
    if (exe->want[slot] >= bytes) return;
    exe->want[slot] = bytes;
    exe->wants[slot] = call->number;
}

weft_view ocl_work(ocl_call *call, weft_dtype dtype, uint64_t offset, uint64_t n)
{
    weft_exe *exe = call->exe;
    size_t size = ocl_type_size(dtype);
    uint64_t end = offset + n * size;
    want(call, OCL_SLOT_WORK, end);
    return (weft_view){ .struct_size = sizeof(weft_view),
                        .dtype = dtype,
                        .layout = WEFT_DENSE,
                        .count = n,
                        .outer = 1,
                        .inner = n,
                        .pitch = n,
                        .data = exe->tokens + OCL_SLOT_WORK,
                        .offset = offset / size };
}

weft_view ocl_errors(ocl_call *call, const weft_view *table)
{
    weft_exe *exe = call->exe;
    call->table = table;
    exe->checks = 1;
    want(call, OCL_SLOT_ERRORS, 4 * sizeof(cl_int));
    return (weft_view){ .struct_size = sizeof(weft_view),
                        .dtype = WEFT_I32,
                        .layout = WEFT_DENSE,
                        .count = 4,
                        .outer = 1,
                        .inner = 4,
                        .pitch = 4,
                        .data = exe->tokens + OCL_SLOT_ERRORS };
}

/* ---- what kernels call ---- */
static weft_status launch(const weft_kernel_call *base, const weft_cl_launch *l)
{
    ocl_call *call = (ocl_call *)base;
    return ocl_record_launch(call, call->program, l);
}

static weft_status gemm(const weft_kernel_call *base, const weft_gemm *g)
{
    return ocl_gemm((ocl_call *)base, g);
}

static weft_status fill(const weft_kernel_call *base, const weft_view *dst, double value)
{
    return ocl_fill((ocl_call *)base, dst, value);
}

static weft_status copy(const weft_kernel_call *base, const weft_view *dst, const weft_view *src)
{
    return ocl_copy((ocl_call *)base, dst, src);
}

const weft_cl ocl_services = { sizeof(weft_cl), 0, launch, gemm, fill, copy };

/* ---- a whole run of steps ---- */
/* A kernel with one launch: present inputs, outputs, extras; one item an element of the first
 * output. */
static weft_status record_single(ocl_call *call)
{
    const weft_view *views[3 * WEFT_MAP_MAX_INPUTS];
    const weft_kernel_call *base = &call->base;
    const weft_view *first = base->n_out ? base->out[0] : NULL;
    uint32_t n = 0, own = base->n_in - base->n_extra;
    weft_status st;
    if (base->n_in + base->n_out > sizeof views / sizeof *views)
        return ocl_fail(call->dev->host, WEFT_E_UNSUPPORTED, "%s: op %s has %u inputs and outputs",
                        base->path, call->step->op->name, base->n_in + base->n_out);
    for (uint32_t i = 0; i < own; i++)
        if (base->in[i]) views[n++] = base->in[i];
    for (uint32_t i = 0; i < base->n_out; i++)
        if (base->out[i]->data) views[n++] = base->out[i];
    for (uint32_t i = own; i < base->n_in; i++)
        views[n++] = base->in[i];
    weft_cl_launch l = {
        .struct_size = sizeof l, .n_views = n, .kernel = call->kernel->kernel, .views = views
    };
    l.global[0] = first ? (size_t)first->count : 1;
    l.global[1] = l.global[2] = 1;
    if (call->kernel->range && (st = call->kernel->range(base, l.global, l.local))) return st;
    return ocl_record_launch(call, call->program, &l);
}

static weft_status record_step(ocl_call *call, int64_t batch)
{
    weft_exe *exe = call->exe;
    const weft_cl_kernel *kernel = call->kernel;
    ocl_call_fill(call, batch);
    size_t scratch = WEFT_HAS(kernel, scratch) ? kernel->scratch(&call->base) : 0;
    call->base.scratch_size = scratch;
    call->base.scratch = scratch ? exe->tokens + OCL_SLOT_SCRATCH : NULL;
    want(call, OCL_SLOT_SCRATCH, scratch);
    if (WEFT_HAS(kernel, enqueue)) return kernel->enqueue(&call->base, &ocl_services);
    return record_single(call);
}

static weft_status make_memory(weft_exe *exe)
{
    const weft_host *host = exe->dev->host;
    const char *device = exe->dev->device->info.name;
    weft_status st;
    for (int k = 0; k < OCL_SLOTS; k++) {
        const weft_step *step = exe->call[exe->wants[k]].step;
        if (exe->want[k] <= exe->mem_size[k]) continue;
        if (exe->mem[k]) clReleaseMemObject(exe->mem[k]);
        exe->mem[k] = NULL;
        exe->mem_size[k] = 0;
        if ((st = ocl_mem_create(exe->dev, step, exe->want[k], &exe->mem[k]))) return st;
        exe->mem_size[k] = exe->want[k];
        if (k != OCL_SLOT_ERRORS) continue;
        cl_int zero[4] = { 0 };
        cl_int code = clEnqueueWriteBuffer(exe->dev->queue, exe->mem[k], CL_TRUE, 0, sizeof zero,
                                           zero, 0, NULL, NULL);
        if (code)
            return ocl_cl_fail(host, code, "%s: op %s: clearing the index check on %s", step->path,
                               step->op->name, device);
    }
    return WEFT_OK;
}

weft_status ocl_record(weft_exe *exe, int64_t batch)
{
    weft_status st = WEFT_OK;
    exe->old = exe->cmd;
    exe->n_old = exe->n_cmd;
    exe->cmd = NULL;
    exe->n_cmd = exe->cap_cmd = exe->n_arg = 0;
    exe->recorded = exe->bound = 0;
    memset(exe->want, 0, sizeof exe->want);
    for (uint32_t i = 0; i < exe->n_steps && !st; i++)
        st = record_step(&exe->call[i], batch);
    for (uint32_t i = 0; i < exe->n_old; i++)
        if (exe->old[i].kernel) clReleaseKernel(exe->old[i].kernel);
    ocl_free(exe->dev->host, exe->old);
    exe->old = NULL;
    exe->n_old = 0;
    if (!st) st = make_memory(exe);
    if (st) return st;
    exe->batch = batch;
    exe->recorded = 1;
    return WEFT_OK;
}
