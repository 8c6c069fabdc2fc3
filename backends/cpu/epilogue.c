/* The attribute `then` of matmul, conv and reduce: an expression over the op's result a and extra
 * inputs b, c, .. that are broadcast to it. The op hands over its result a few rows at a time,
 * dense, while they are in cache; they are evaluated and stored wherever the output lies. */
#include "cpu.h"

weft_status cpu_then_prepare(cpu_node *node, weft_dtype result)
{
    const weft_kernel_call *call = &node->call;
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    if (!node->then) return WEFT_OK;
    in[0] = result;
    for (uint32_t i = 0; i < call->n_extra; i++)
        in[1 + i] = call->in[call->n_in - call->n_extra + i]->dtype;
    return node->dev->map->parse(call->host, node->then, in, 1 + call->n_extra, call->out[0]->dtype,
                                 &node->program);
}

int cpu_then_supports(const weft_kernel_call *call, weft_dtype result, char *why, size_t size)
{
    const cpu_node *node = cpu_node_of(call);
    if (!node->then) {
        if (call->n_extra)
            return cpu_no(why, size, "%u extra inputs and no `then` to use them", call->n_extra);
        if (call->out[0]->dtype != result) {
            return cpu_no(why, size, "the result is %s, the output %s; they must agree",
                          cpu_dtype_name(result), cpu_dtype_name(call->out[0]->dtype));
        }
        return 1;
    }
    if (!node->dev->map) {
        return cpu_no(why, size, "`then` is set and the host offers no expressions (%s)",
                      WEFT_MAP_ID);
    }
    if (call->n_extra >= WEFT_MAP_MAX_INPUTS) {
        return cpu_no(why, size, "%u extra inputs; `then` takes %d", call->n_extra,
                      WEFT_MAP_MAX_INPUTS - 1);
    }
    return cpu_no_half(call, why, size);
}

void cpu_then_job(cpu_job *job, const weft_kernel_call *call, weft_dtype result)
{
    cpu_job_begin(job, call, result);
    for (uint32_t i = call->n_in - call->n_extra; i < call->n_in; i++)
        cpu_job_input(job, call->in[i]);
    cpu_job_end(job);
}
