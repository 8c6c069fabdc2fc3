/* Compiling a run of steps into recorded commands, and running it: arguments that changed are put
 * in, the commands go to the queue, nobody waits. */
#include "step.h"
#include <string.h>
#include <time.h>

/* ---- compile ---- */
static int layout_fits(const weft_operand *o, uint32_t flags, uint32_t pitched, uint32_t strided)
{
    if (o->absent || o->layout == WEFT_DENSE) return 1;
    if (flags & strided) return 1;
    return o->layout == WEFT_PITCHED && (flags & pitched);
}

static weft_status check_layouts(const ocl_call *call)
{
    const weft_step *step = call->step;
    uint32_t flags = call->kernel->flags;
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        int out = i >= step->n_in;
        const weft_operand *o = out ? step->out[i - step->n_in] : step->in[i];
        int fits = out ? layout_fits(o, flags, WEFT_KERNEL_OUT_PITCHED, WEFT_KERNEL_OUT_STRIDED)
                       : layout_fits(o, flags, WEFT_KERNEL_IN_PITCHED, WEFT_KERNEL_IN_STRIDED);
        if (i >= step->n_in - step->n_extra && i < step->n_in)
            fits = 1; /* THEN takes any strides */
        if (!fits)
            return ocl_fail(call->dev->host, WEFT_E_INTERNAL,
                            "%s: op %s: the kernel does not take the layout of %s %u", step->path,
                            step->op->name, out ? "output" : "input", out ? i - step->n_in : i);
    }
    return WEFT_OK;
}

static weft_status write_source(ocl_call *call, ocl_text *text)
{
    const ocl_op *op = call->op;
    ocl_source s = { .dev = call->dev,
                     .step = call->step,
                     .kernel = call->kernel,
                     .text = text,
                     .raw = call->f64 ? WEFT_F64 : WEFT_F32 };
    weft_status st;
    if (op) {
        s.file = op->file;
        s.body = op->source ? (const char *)op->source : "";
        if (op->raw) s.raw = op->raw(call->step);
    }
    if ((st = ocl_source_prelude(&s))) return st;
    if (op && op->write && (st = op->write(&s))) return st;
    if (!op) ocl_text_add(text, "#line 1 \"%s.cl\"\n", call->step->op->name);
    ocl_text_add(text, "%s", op ? s.body : call->kernel->source);
    if (text->failed)
        return ocl_fail(call->dev->host, WEFT_E_NOMEM, "%s: no memory for the program of op %s",
                        call->step->path, call->step->op->name);
    return WEFT_OK;
}

static weft_status compile_step(ocl_call *call)
{
    char why[192] = "";
    ocl_text text = { .host = call->dev->host };
    weft_status st;
    const weft_step *step = call->step;
    if (!ocl_choose(call, why, sizeof why))
        return ocl_fail(call->dev->host, WEFT_E_UNSUPPORTED, "%s: op %s on %s: %s", step->path,
                        step->op->name, call->dev->device->info.name, why);
    if ((st = check_layouts(call))) return st;
    if (call->op ? !call->op->source && !call->op->write : !call->kernel->source) return WEFT_OK;
    if ((st = write_source(call, &text))) goto out;
    ocl_request request = { text.data, call->kernel->options, step->op->name, step->path };
    st = ocl_program_get(call->dev, &request, &call->program);
out:
    ocl_text_finish(&text);
    return st;
}

weft_status ocl_compile(weft_dev *dev, const weft_step *const *steps, uint32_t n, weft_exe **result)
{
    weft_exe *exe = ocl_alloc(dev->host, 1, sizeof *exe);
    weft_status st = WEFT_OK;
    if (exe) exe->call = ocl_alloc(dev->host, (size_t)n + 1, sizeof *exe->call);
    if (!exe || !exe->call) {
        st = ocl_fail(dev->host, WEFT_E_NOMEM, "opencl: no memory for %u steps", n);
        goto out;
    }
    exe->dev = dev;
    for (uint32_t i = 0; i < n; i++) {
        ocl_call *call = &exe->call[i];
        if ((st = ocl_call_init(call, dev, steps[i]))) goto out;
        exe->n_steps++;
        call->number = i;
        call->first_slot = OCL_SLOTS + exe->n_binds;
        exe->n_binds += steps[i]->n_in + steps[i]->n_out;
        if ((st = compile_step(call))) goto out;
    }
    if (!(exe->tokens = ocl_alloc(dev->host, OCL_SLOTS + exe->n_binds, 1))) {
        st = ocl_fail(dev->host, WEFT_E_NOMEM, "opencl: no memory for %u operands", exe->n_binds);
        goto out;
    }
    for (uint32_t i = 0; i < n; i++)
        exe->call[i].exe = exe;
    /* Recording once builds what the services need, and finds kernels that do not fit, before any
     * run. */
    if ((st = ocl_record(exe, 1))) goto out;
    *result = exe;
    exe = NULL;
out:
    if (exe) ocl_release_exe(dev, exe);
    return st;
}

void ocl_release_exe(weft_dev *dev, weft_exe *exe)
{
    if (!exe) return;
    for (weft_exe **p = &dev->checked; *p; p = &(*p)->next)
        if (*p == exe) {
            *p = exe->next;
            break;
        }
    for (uint32_t i = 0; i < exe->n_cmd; i++)
        if (exe->cmd[i].kernel) clReleaseKernel(exe->cmd[i].kernel);
    for (uint32_t i = 0; i < exe->n_steps; i++)
        ocl_call_finish(&exe->call[i]);
    for (int k = 0; k < OCL_SLOTS; k++)
        if (exe->mem[k]) clReleaseMemObject(exe->mem[k]);
    ocl_free(dev->host, exe->cmd);
    ocl_free(dev->host, exe->arg);
    ocl_free(dev->host, exe->call);
    ocl_free(dev->host, exe->tokens);
    ocl_free(dev->host, exe);
}

/* ---- run ---- */
typedef struct place {
    cl_mem mem;
    uint64_t offset;
} place; /* of an argument, in elements */

static place place_of(const weft_exe *exe, const weft_run *run, const ocl_arg *arg)
{
    place p = { NULL, arg->offset };
    if (arg->slot < OCL_SLOTS) {
        p.mem = exe->mem[arg->slot];
    } else if (arg->slot != UINT32_MAX) {
        const weft_bind *bind = &run->binds[arg->slot - OCL_SLOTS];
        p.mem = bind->buf ? bind->buf->mem : NULL;
        p.offset += bind->offset / arg->size;
    }
    return p;
}

static weft_status cmd_fail(const weft_exe *exe, const ocl_cmd *cmd, cl_int code, const char *what)
{
    const weft_step *step = exe->call[cmd->step].step;
    return ocl_cl_fail(exe->dev->host, code, "%s: op %s: %s %s on %s", step->path, step->op->name,
                       what, cmd->name, exe->dev->device->info.name);
}

static weft_status bind(weft_exe *exe, const weft_run *run)
{
    for (uint32_t i = 0; i < exe->n_cmd; i++) {
        const ocl_cmd *cmd = &exe->cmd[i];
        for (uint32_t k = 0; k < cmd->n_args && cmd->kernel; k++) {
            const ocl_arg *arg = &exe->arg[cmd->first_arg + k];
            place p = place_of(exe, run, arg);
            cl_ulong offset = p.offset;
            cl_int code = clSetKernelArg(cmd->kernel, arg->index, sizeof p.mem, &p.mem);
            if (!code) code = clSetKernelArg(cmd->kernel, arg->index + 1, sizeof offset, &offset);
            if (code) return cmd_fail(exe, cmd, code, "a buffer of kernel");
        }
    }
    exe->bound = 1;
    exe->generation = run->generation;
    return WEFT_OK;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void gemm_places(const weft_exe *exe, const weft_run *run, const ocl_cmd *cmd, cl_mem *mem,
                        uint64_t *offset)
{
    for (int k = 0; k < 3; k++) {
        place p = place_of(exe, run, &exe->arg[cmd->first_arg + (uint32_t)k]);
        mem[k] = p.mem;
        offset[k] = p.offset;
    }
}

/* Some product that CLBlast was to do lies where it does not reach. */
static int lies_far(const weft_exe *exe, const weft_run *run)
{
    cl_mem mem[3];
    uint64_t offset[3];
    for (uint32_t i = 0; i < exe->n_cmd; i++) {
        if (exe->cmd[i].kernel) continue;
        gemm_places(exe, run, &exe->cmd[i], mem, offset);
        if (!ocl_clblast_reaches(&exe->cmd[i].gemm, offset)) return 1;
    }
    return 0;
}

static weft_status run_gemm(weft_exe *exe, const weft_run *run, const ocl_cmd *cmd,
                            cl_command_queue queue)
{
    cl_mem mem[3];
    uint64_t offset[3];
    gemm_places(exe, run, cmd, mem, offset);
    return ocl_clblast_run(exe->dev, exe->call[cmd->step].step, &cmd->gemm, mem, offset, queue);
}

static weft_status enqueue(weft_exe *exe, const ocl_cmd *cmd, cl_command_queue queue,
                           cl_event *event)
{
    cl_int code = clEnqueueNDRangeKernel(queue, cmd->kernel, 3, NULL, cmd->global, cmd->local, 0,
                                         NULL, event);
    return code ? cmd_fail(exe, cmd, code, "starting kernel") : WEFT_OK;
}

static weft_status queue_done(const weft_dev *dev, cl_int code, const char *what)
{
    return code ? ocl_cl_fail(dev->host, code, "opencl: %s %s", what, dev->device->info.name)
                : WEFT_OK;
}

static weft_status run_plain(weft_exe *exe, const weft_run *run)
{
    cl_command_queue queue = exe->dev->queue;
    weft_status st;
    for (uint32_t i = 0; i < exe->n_cmd; i++) {
        const ocl_cmd *cmd = &exe->cmd[i];
        st = cmd->kernel ? enqueue(exe, cmd, queue, NULL) : run_gemm(exe, run, cmd, queue);
        if (st) return st;
    }
    return queue_done(exe->dev, clFlush(queue), "handing the work to");
}

static weft_status time_command(weft_exe *exe, const weft_run *run, const ocl_cmd *cmd,
                                cl_command_queue queue, uint64_t *ns)
{
    cl_event event = NULL;
    cl_ulong start = 0, end = 0;
    weft_status st;
    if (!cmd->kernel) { /* CLBlast gives the event of its last kernel only: the clock of the host */
        uint64_t before = now_ns();
        if ((st = run_gemm(exe, run, cmd, queue))) return st;
        cl_int code = clFinish(queue);
        *ns += now_ns() - before;
        return code ? cmd_fail(exe, cmd, code, "timing") : WEFT_OK;
    }
    if ((st = enqueue(exe, cmd, queue, &event))) return st;
    cl_int code = clWaitForEvents(1, &event);
    if (!code)
        code =
            clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    if (!code)
        code = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    clReleaseEvent(event);
    if (code) return cmd_fail(exe, cmd, code, "timing kernel");
    *ns += end - start;
    return WEFT_OK;
}

static weft_status run_timed(weft_exe *exe, const weft_run *run)
{
    cl_command_queue queue = NULL;
    weft_status st = ocl_timed_queue(exe->dev, &queue);
    if (st) return st;
    memset(run->step_ns, 0, exe->n_steps * sizeof *run->step_ns);
    /* the order of the two queues */
    if ((st = queue_done(exe->dev, clFinish(exe->dev->queue), "waiting for"))) return st;
    for (uint32_t i = 0; i < exe->n_cmd && !st; i++)
        st = time_command(exe, run, &exe->cmd[i], queue, &run->step_ns[exe->cmd[i].step]);
    weft_status late = queue_done(exe->dev, clFinish(queue), "waiting for");
    return st ? st : late;
}

weft_status ocl_run(weft_dev *dev, weft_exe *exe, const weft_run *run)
{
    weft_status st;
    if (run->n_binds != exe->n_binds)
        return ocl_fail(dev->host, WEFT_E_INTERNAL, "opencl: %u operands bound, the run has %u",
                        run->n_binds, exe->n_binds);
    if ((!exe->recorded || exe->batch != run->batch) && (st = ocl_record(exe, run->batch)))
        return st;
    if (!exe->bound || exe->generation != run->generation) {
        if (lies_far(exe, run)) {
            exe->far = 1; /* Weft's own kernels from now on */
            if ((st = ocl_record(exe, run->batch))) return st;
        }
        if ((st = bind(exe, run))) return st;
    }
    if (exe->checks && !exe->ran) {
        exe->ran = 1;
        exe->next = dev->checked;
        dev->checked = exe;
    }
    return run->step_ns ? run_timed(exe, run) : run_plain(exe, run);
}

/* ---- late errors ---- */
/* The buffer holds: number of the step + 1, unused, the value (two words). */
static weft_status check_one(weft_dev *dev, weft_exe *exe)
{
    cl_int word[4] = { 0 }, zero[4] = { 0 };
    cl_mem mem = exe->mem[OCL_SLOT_ERRORS];
    cl_int code =
        clEnqueueReadBuffer(dev->queue, mem, CL_TRUE, 0, sizeof word, word, 0, NULL, NULL);
    if (!code && word[0])
        code = clEnqueueWriteBuffer(dev->queue, mem, CL_TRUE, 0, sizeof zero, zero, 0, NULL, NULL);
    if (code)
        return ocl_cl_fail(dev->host, code, "opencl: reading the index check of %s",
                           dev->device->info.name);
    if (!word[0]) return WEFT_OK;
    if (word[0] < 0 || (uint32_t)word[0] > exe->n_steps)
        return ocl_fail(dev->host, WEFT_E_INTERNAL,
                        "opencl: the index check on %s names step %d of %u: a kernel has written "
                        "where it must not",
                        dev->device->info.name, word[0], exe->n_steps);
    const ocl_call *call = &exe->call[word[0] - 1];
    const weft_view *x = call->table;
    int64_t axis = call->step->attr_i(call->step, "axis"), value;
    memcpy(&value, &word[2], sizeof value);
    if (axis < 0) axis += x->rank;
    return ocl_fail(
        dev->host, WEFT_E_ARG,
        "%s: op %s: index %lld is out of range, axis %lld has %lld entries (0 .. %lld); check the "
        "values that go into this layer",
        call->step->path, call->step->op->name, (long long)value, (long long)axis,
        (long long)x->dim[axis], (long long)x->dim[axis] - 1);
}

weft_status ocl_check_indices(weft_dev *dev)
{
    weft_status st = WEFT_OK;
    while (dev->checked) {
        weft_exe *exe = dev->checked;
        dev->checked = exe->next;
        exe->next = NULL;
        exe->ran = 0;
        weft_status one = check_one(dev, exe);
        if (!st) st = one;
    }
    return st;
}
