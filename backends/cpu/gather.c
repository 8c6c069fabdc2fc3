/* gather: out[p.., q.., r..] = x[p.., indices[q..], r..], p over the dimensions before axis, r
 * over those after it; indices i32 or i64. All indices are checked before anything is read: one
 * below 0 or from x.dim[axis] on fails the run with the layer, the value and the range. Any dtype,
 * any layout. */
#include "cpu.h"
#include "move.h"

#define CHUNK CPU_BLOCK /* indices that are loaded at a time */

typedef struct plan {
    cpu_nest before, at, after; /* operands: out, then x or indices */
    const weft_view *x, *indices, *out;
    int64_t size, step; /* of x along axis: how many, elements from one to the next */
    uint64_t group;     /* rows of `at` in a task */
    uint64_t tasks;     /* of one p */
    char *temp;
} plan;

static int64_t index_at(const plan *p, uint64_t q)
{
    int64_t at = cpu_nest_offset(&p->at, 1, q);
    if (p->indices->dtype == WEFT_I64) return ((const int64_t *)p->indices->data)[at];
    return ((const int32_t *)p->indices->data)[at];
}

static weft_status check(const weft_kernel_call *call, const plan *p, int64_t axis)
{
    cpu_span span = { &p->at, 1, (uint32_t)cpu_dtype_size(p->indices->dtype), 0, 0 };
    int wide = p->indices->dtype == WEFT_I64;
    for (uint64_t first = 0; first < p->at.count; first += CHUNK) {
        const void *block;
        span.first = first;
        span.n = p->at.count - first < CHUNK ? p->at.count - first : CHUNK;
        block = cpu_span_load(&span, p->indices->data, p->temp);
        for (uint64_t i = 0; i < span.n; i++) {
            int64_t value = wide ? ((const int64_t *)block)[i] : ((const int32_t *)block)[i];
            if (value >= 0 && value < p->size) continue;
            if (!p->size) {
                return cpu_fail(call, WEFT_E_ARG,
                                "index %lld (number %llu of %llu) into axis %lld, "
                                "which is empty",
                                (long long)value, (unsigned long long)(first + i),
                                (unsigned long long)p->at.count, (long long)axis);
            }
            return cpu_fail(call, WEFT_E_ARG,
                            "index %lld (number %llu of %llu) is outside 0..%lld, "
                            "the range of axis %lld. Check the ids that are fed in, or make the "
                            "table larger",
                            (long long)value, (unsigned long long)(first + i),
                            (unsigned long long)p->at.count, (long long)(p->size - 1),
                            (long long)axis);
        }
    }
    return WEFT_OK;
}

/* The elements after axis, for one index: rows of the innermost dimension. */
static void copy_after(const plan *p, char *dst, const char *src, size_t size)
{
    const cpu_nest *n = &p->after;
    int32_t last = n->rank - 1;
    uint64_t row = last >= 0 ? (uint64_t)n->dim[last] : 1;
    for (uint64_t first = 0; first < n->count; first += row) {
        cpu_move move = { dst + cpu_nest_offset(n, 0, first) * (int64_t)size,
                          last >= 0 ? n->stride[0][last] : 1,
                          src + cpu_nest_offset(n, 1, first) * (int64_t)size,
                          last >= 0 ? n->stride[1][last] : 1, (int64_t)row };
        cpu_move_run(&move, size);
    }
}

static void gather_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    size_t size = cpu_dtype_size(p->x->dtype);
    uint64_t before = task / p->tasks, q = task % p->tasks * p->group;
    uint64_t end = q + p->group < p->at.count ? q + p->group : p->at.count;
    int64_t dst = cpu_nest_offset(&p->before, 0, before),
            src = cpu_nest_offset(&p->before, 1, before);
    (void)thread;
    for (; q < end; q++) {
        int64_t to = dst + cpu_nest_offset(&p->at, 0, q), from = src + index_at(p, q) * p->step;
        copy_after(p, (char *)p->out->data + to * (int64_t)size,
                   (const char *)p->x->data + from * (int64_t)size, size);
    }
}

static void part(cpu_nest *nest, int32_t rank, const int64_t *dim, const int64_t *out,
                 const int64_t *other)
{
    cpu_nest_init(nest, rank, dim);
    cpu_nest_add(nest, out);
    cpu_nest_add(nest, other);
    cpu_nest_collapse(nest);
}

static weft_status run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *indices = call->in[1], *out = call->out[0];
    int64_t axis = call->attr_i(call, "axis");
    plan p = { .x = x, .indices = indices, .out = out, .temp = call->scratch };
    weft_status st;
    if (axis < 0) axis += x->rank;
    p.size = x->dim[axis];
    p.step = x->stride[axis];
    part(&p.before, (int32_t)axis, x->dim, out->stride, x->stride);
    part(&p.at, indices->rank, indices->dim, out->stride + axis, indices->stride);
    part(&p.after, x->rank - (int32_t)axis - 1, x->dim + axis + 1,
         out->stride + axis + indices->rank, x->stride + axis + 1);
    if (!p.at.count) return WEFT_OK;
    if ((st = check(call, &p, axis))) return st;
    if (!out->count || !out->data) return WEFT_OK;
    p.group = 1 + 16384 / p.after.count;
    p.tasks = (p.at.count + p.group - 1) / p.group;
    cpu_parallel(call, out->count, p.before.count * p.tasks, gather_task, &p);
    return WEFT_OK;
}

static size_t scratch(const weft_kernel_call *call)
{
    (void)call;
    return CPU_BLOCK_BYTES;
}

static int supports(const weft_kernel_call *call, char *why, size_t size)
{
    weft_dtype x = call->in[0]->dtype, indices = call->in[1]->dtype, out = call->out[0]->dtype;
    if (indices != WEFT_I32 && indices != WEFT_I64)
        return cpu_no(why, size, "indices are %s; gather takes i32 and i64",
                      cpu_dtype_name(indices));
    if (x != out || !cpu_dtype_size(x)) {
        return cpu_no(why, size, "x is %s and the output %s; they must agree", cpu_dtype_name(x),
                      cpu_dtype_name(out));
    }
    return 1;
}

const cpu_kernel cpu_gather = {
    "gather",
    { sizeof(weft_cpu_kernel), CPU_ANY_LAYOUT | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE, supports,
      scratch, run },
    NULL,
};
