/* Ops that move elements and compute nothing: reshape, transpose, slice, pad, concat, broadcast,
 * reverse, copy. Each is one or several boxes (box.c) whose strides say where an output element
 * comes from. Any dtype, any layout on both sides. */
#include "cpu.h"
#include <string.h>

#define TASK (16u * CPU_BLOCK)
enum { MOVES = CPU_ANY_LAYOUT | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE };

static int moves_supports(const weft_kernel_call *call, char *why, size_t size)
{
    for (uint32_t i = 0; i < call->n_in; i++) {
        weft_dtype in = call->in[i]->dtype, out = call->out[call->n_out > 1 ? i : 0]->dtype;
        if (in != out || !cpu_dtype_size(in)) {
            return cpu_no(why, size, "input %u is %s and the output %s; they must agree", i,
                          cpu_dtype_name(in), cpu_dtype_name(out));
        }
    }
    return 1;
}

static int nobody_reads(const weft_kernel_call *call)
{
    return !call->out[0]->count || !call->out[0]->data;
}

/* src moved on by so many elements. */
static const void *ahead(const void *data, int64_t elements, size_t size)
{
    return (const char *)data + elements * (int64_t)size;
}

/* out[i] = x[i - low] inside, value around. */
static weft_status pad_run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t low[WEFT_MAX_RANK];
    uint64_t bits = 0;
    double value = call->attr_f(call, "value");
    cpu_box box;
    if (nobody_reads(call)) return WEFT_OK;
    cpu_attr_list(call, "low", low, (uint32_t)x->rank, 0);
    switch (x->dtype) {
    case WEFT_F32: memcpy(&bits, &(float){ (float)value }, sizeof(float)); break;
    case WEFT_F64: memcpy(&bits, &value, sizeof value); break;
    case WEFT_I32: memcpy(&bits, &(int32_t){ (int32_t)value }, sizeof(int32_t)); break;
    case WEFT_I64: memcpy(&bits, &(int64_t){ (int64_t)value }, sizeof(int64_t)); break;
    case WEFT_U8: memcpy(&bits, &(uint8_t){ (uint8_t)value }, 1); break;
    case WEFT_BOOL: memcpy(&bits, &(uint8_t){ value != 0 }, 1); break;
    default: break; /* supports() let through zeros alone */
    }
    box = cpu_box_of(out, &bits);
    cpu_box_copy(call, &box);
    if (!x->count) return WEFT_OK;
    box = cpu_box_of(out, x->data);
    for (int32_t d = 0; d < x->rank; d++) {
        box.dst = (char *)box.dst + low[d] * out->stride[d] * (int64_t)box.size;
        box.dim[d] = x->dim[d];
        box.src_stride[d] = x->stride[d];
    }
    cpu_box_copy(call, &box);
    return WEFT_OK;
}

/* That integers and bool hold the value, the op has checked. */
static int pad_supports(const weft_kernel_call *call, char *why, size_t size)
{
    double value = call->attr_f(call, "value");
    weft_dtype dtype = call->in[0]->dtype;
    if (!moves_supports(call, why, size)) return 0;
    if ((dtype != WEFT_F16 && dtype != WEFT_BF16) || value == 0) return 1;
    return cpu_no(why, size, "%s is not computed: only a value of 0, not %g", cpu_dtype_name(dtype),
                  value);
}

/* out = x0, x1, .. side by side along axis. */
static weft_status concat_run(const weft_kernel_call *call)
{
    const weft_view *out = call->out[0];
    int64_t axis = call->attr_i(call, "axis"), at = 0;
    if (nobody_reads(call)) return WEFT_OK;
    if (axis < 0) axis += out->rank;
    for (uint32_t i = 0; i < call->n_in; i++) {
        const weft_view *x = call->in[i];
        cpu_box box = cpu_box_of(out, x->data);
        if (!x->count) continue;
        box.dst = (char *)out->data + at * out->stride[axis] * (int64_t)box.size;
        memcpy(box.src_stride, x->stride, (size_t)x->rank * sizeof *x->stride);
        box.dim[axis] = x->dim[axis];
        cpu_box_copy(call, &box);
        at += x->dim[axis];
    }
    return WEFT_OK;
}

/* out[.., i, ..] = x[.., size - 1 - i, ..] for each of axes. */
static weft_status reverse_run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = call->attr_v(call, "axes", axes, WEFT_MAX_RANK);
    cpu_box box = cpu_box_of(out, x->data);
    if (nobody_reads(call)) return WEFT_OK;
    memcpy(box.src_stride, x->stride, (size_t)x->rank * sizeof *x->stride);
    for (uint32_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + x->rank : axes[i];
        box.src = ahead(box.src, (x->dim[axis] - 1) * x->stride[axis], box.size);
        box.src_stride[axis] = -x->stride[axis];
    }
    cpu_box_copy(call, &box);
    return WEFT_OK;
}

/* out[i] = x[begin + i * step] */
static weft_status slice_run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t begin[WEFT_MAX_RANK], step[WEFT_MAX_RANK];
    cpu_box box = cpu_box_of(out, x->data);
    if (nobody_reads(call)) return WEFT_OK;
    cpu_attr_list(call, "begin", begin, (uint32_t)x->rank, 0);
    cpu_attr_list(call, "step", step, (uint32_t)x->rank, 1);
    for (int32_t d = 0; d < x->rank; d++) {
        box.src = ahead(box.src, begin[d] * x->stride[d], box.size);
        box.src_stride[d] = x->stride[d] * step[d];
    }
    cpu_box_copy(call, &box);
    return WEFT_OK;
}

/* out's dimension d is x's dimension perm[d]. */
static weft_status transpose_run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t perm[WEFT_MAX_RANK];
    cpu_box box = cpu_box_of(out, x->data);
    if (nobody_reads(call)) return WEFT_OK;
    call->attr_v(call, "perm", perm, WEFT_MAX_RANK);
    for (int32_t d = 0; d < x->rank; d++)
        box.src_stride[d] = x->stride[perm[d] < 0 ? perm[d] + x->rank : perm[d]];
    cpu_box_copy(call, &box);
    return WEFT_OK;
}

static void copy_view(const weft_kernel_call *call, const weft_view *out, const weft_view *x)
{
    cpu_box box = cpu_box_of(out, x->data);
    int32_t shift = out->rank - x->rank;
    if (!out->count || !out->data) return;
    for (int32_t d = 0; d < x->rank; d++)
        box.src_stride[shift + d] = x->dim[d] == 1 ? 0 : x->stride[d];
    cpu_box_copy(call, &box);
}

static weft_status broadcast_run(const weft_kernel_call *call)
{
    copy_view(call, call->out[0], call->in[0]);
    return WEFT_OK;
}

static weft_status copy_run(const weft_kernel_call *call)
{
    for (uint32_t i = 0; i < call->n_in; i++)
        copy_view(call, call->out[i], call->in[i]);
    return WEFT_OK;
}

static int copy_supports(const weft_kernel_call *call, char *why, size_t size)
{
    if (call->n_in != call->n_out) {
        return cpu_no(why, size, "%u inputs and %u outputs; copy wants one output an input",
                      call->n_in, call->n_out);
    }
    return moves_supports(call, why, size);
}

/* reshape: the same flat order in two nests; whole blocks go through a thread's scratch. */
typedef struct reshape_plan {
    cpu_nest from, to;
    const weft_view *x, *out;
    char *temp;
} reshape_plan;

static void reshape_task(void *user, uint64_t task, uint32_t thread)
{
    reshape_plan *p = user;
    uint32_t size = (uint32_t)cpu_dtype_size(p->x->dtype);
    uint64_t end = (task + 1) * TASK < p->out->count ? (task + 1) * TASK : p->out->count;
    for (uint64_t at = task * TASK; at < end; at += CPU_BLOCK) {
        uint64_t n = end - at < CPU_BLOCK ? end - at : CPU_BLOCK;
        cpu_span from = { &p->from, 0, size, at, n }, to = { &p->to, 0, size, at, n };
        const void *block = cpu_span_load(&from, p->x->data, p->temp + thread * CPU_BLOCK_BYTES);
        cpu_span_store(&to, p->out->data, block);
    }
}

static weft_status reshape_run(const weft_kernel_call *call)
{
    reshape_plan plan = { .x = call->in[0], .out = call->out[0], .temp = call->scratch };
    uint64_t n = plan.out->count;
    if (nobody_reads(call)) return WEFT_OK;
    cpu_nest_init(&plan.from, plan.x->rank, plan.x->dim);
    cpu_nest_add(&plan.from, plan.x->stride);
    cpu_nest_collapse(&plan.from);
    cpu_nest_init(&plan.to, plan.out->rank, plan.out->dim);
    cpu_nest_add(&plan.to, plan.out->stride);
    cpu_nest_collapse(&plan.to);
    cpu_parallel(cpu_threads(call, n), (n + TASK - 1) / TASK, reshape_task, &plan);
    return WEFT_OK;
}

static size_t reshape_scratch(const weft_kernel_call *call)
{
    return cpu_node_of(call)->dev->threads * CPU_BLOCK_BYTES;
}

#define ROW(op, supports, scratch)                                                                 \
    const cpu_kernel cpu_##op = { #op,                                                             \
                                  { sizeof(weft_cpu_kernel), MOVES, supports, scratch, op##_run }, \
                                  NULL }
ROW(reshape, moves_supports, reshape_scratch);
ROW(transpose, moves_supports, NULL);
ROW(slice, moves_supports, NULL);
ROW(pad, pad_supports, NULL);
ROW(concat, moves_supports, NULL);
ROW(broadcast, moves_supports, NULL);
ROW(reverse, moves_supports, NULL);
ROW(copy, copy_supports, NULL);
