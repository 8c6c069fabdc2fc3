/* map: out[i] = expr(a[i], b[i], ...) over inputs of any layout, broadcast to out's shape. The
 * host parses the expression once, at compile; it is evaluated in blocks of 1024 elements by the
 * host's reference evaluators. Inputs that are contiguous over a block are read in place, others
 * are gathered first. The same jobs serve `then` (epilogue.c). */
#include "cpu.h"
#include <assert.h>

#define TASK (8u * CPU_BLOCK)

size_t cpu_job_temp(uint32_t n_in)
{
    return (size_t)(n_in + 1) * CPU_BLOCK_BYTES;
}

void cpu_job_begin(cpu_job *job, const weft_kernel_call *call, weft_dtype linear)
{
    const cpu_node *node = cpu_node_of(call);
    const weft_view *out = call->out[0];
    job->api = node->dev->map;
    job->program = node->program;
    job->out = out->data;
    job->n_in = job->aliased = 0;
    job->linear = linear != 0;
    cpu_nest_init(&job->nest, out->rank, out->dim);
    cpu_nest_add(&job->nest, out->stride);
    job->size[0] = (uint32_t)cpu_dtype_size(out->dtype);
    if (linear) {
        int64_t dense[WEFT_MAX_RANK];
        cpu_dense_strides(out->rank, out->dim, dense);
        cpu_nest_add(&job->nest, dense);
        job->in[job->n_in++] = NULL;
        job->size[1] = (uint32_t)cpu_dtype_size(linear);
    }
}

static int overlap(const cpu_job *job, const weft_view *view, size_t size)
{
    uintptr_t a = (uintptr_t)job->out, b = (uintptr_t)view->data;
    size_t a_end = job->size[0], b_end = size;
    for (int32_t d = 0; d < job->nest.rank; d++) {
        if (job->nest.dim[d] == 0) return 0;
        a_end += (size_t)((job->nest.dim[d] - 1) * job->nest.stride[0][d]) * job->size[0];
    }
    for (int32_t d = 0; d < view->rank; d++)
        b_end += (size_t)((view->dim[d] - 1) * view->stride[d]) * size;
    return a < b + b_end && b < a + a_end;
}

void cpu_job_input(cpu_job *job, const weft_view *view)
{
    uint32_t k = job->n_in++;
    size_t size = cpu_dtype_size(view->dtype);
    job->in[k] = view->data;
    job->size[1 + k] = (uint32_t)size;
    cpu_nest_add_view(&job->nest, view);
    if (overlap(job, view, size)) job->aliased = 1;
}

void cpu_job_end(cpu_job *job)
{
    cpu_nest_collapse(&job->nest);
}

static void store(const cpu_job *job, const void *src, uint64_t first, uint64_t n)
{
    cpu_span span = { &job->nest, 0, job->size[0], first, n };
    cpu_span_store(&span, job->out, src);
}

static void run_block(const cpu_job *job, const void *linear, cpu_span span, char *temp)
{
    const void *in[WEFT_MAP_MAX_INPUTS];
    char *dst = NULL;
    for (uint32_t k = 0; k < job->n_in; k++) {
        span.operand = 1 + k;
        span.size = job->size[1 + k];
        in[k] = k == 0 && job->linear
                    ? linear
                    : cpu_span_load(&span, job->in[k], temp + (size_t)(1 + k) * CPU_BLOCK_BYTES);
    }
    span.operand = 0;
    span.size = job->size[0];
    /* The evaluator may write dst before it has read all inputs: in place goes through temp. */
    if (!job->aliased) {
        const char *direct = cpu_span_direct(&span, job->out);
        if (direct) dst = (char *)job->out + (direct - (char *)job->out);
    }
    job->api->eval(job->program, (size_t)span.n, in, dst ? dst : temp);
    if (!dst) cpu_span_store(&span, job->out, temp);
}

void cpu_job_range(const cpu_job *job, const void *linear, uint64_t first, uint64_t n, void *temp)
{
    if (!job->program) {
        assert(job->linear);
        store(job, linear, first, n);
        return;
    }
    for (uint64_t at = 0; at < n; at += CPU_BLOCK) {
        cpu_span span = { &job->nest, 0, 0, first + at, n - at < CPU_BLOCK ? n - at : CPU_BLOCK };
        const char *block = job->linear ? (const char *)linear + at * job->size[1] : NULL;
        run_block(job, block, span, temp);
    }
}

typedef struct map_plan {
    cpu_job job;
    char *temp;
} map_plan;

static void map_task(void *user, uint64_t task, uint32_t thread)
{
    map_plan *plan = user;
    uint64_t first = task * TASK, left = plan->job.nest.count - first;
    cpu_job_range(&plan->job, NULL, first, left < TASK ? left : TASK,
                  plan->temp + thread * cpu_job_temp(plan->job.n_in));
}

static weft_status map_run(const weft_kernel_call *call)
{
    map_plan plan = { .temp = call->scratch };
    uint64_t n = call->out[0]->count;
    if (!n || !call->out[0]->data) return WEFT_OK;
    cpu_job_begin(&plan.job, call, 0);
    for (uint32_t i = 0; i < call->n_in; i++)
        cpu_job_input(&plan.job, call->in[i]);
    cpu_job_end(&plan.job);
    cpu_parallel(call, n * 2, (n + TASK - 1) / TASK, map_task, &plan);
    return WEFT_OK;
}

static size_t map_scratch(const weft_kernel_call *call)
{
    return cpu_node_of(call)->dev->threads * cpu_job_temp(call->n_in);
}

static int map_supports(const weft_kernel_call *call, char *why, size_t size)
{
    if (!cpu_node_of(call)->dev->map)
        return cpu_no(why, size, "the host offers no expressions (%s)", WEFT_MAP_ID);
    if (call->n_in > WEFT_MAP_MAX_INPUTS)
        return cpu_no(why, size, "%u inputs; map takes %d", call->n_in, WEFT_MAP_MAX_INPUTS);
    return cpu_no_half(call, why, size);
}

static weft_status map_prepare(cpu_node *node)
{
    const weft_kernel_call *call = &node->call;
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    for (uint32_t i = 0; i < call->n_in; i++)
        in[i] = call->in[i]->dtype;
    return node->dev->map->parse(call->host, call->attr_s(call, "expr"), in, call->n_in,
                                 call->out[0]->dtype, &node->program);
}

const cpu_kernel cpu_map = {
    "map",
    { sizeof(weft_cpu_kernel),
      CPU_ANY_LAYOUT | WEFT_KERNEL_INPLACE | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE, map_supports,
      map_scratch, map_run },
    map_prepare,
};
