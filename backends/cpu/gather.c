/* gather and its transpose, scatter_add, p over the dimensions before axis, r over those after it:
 *   gather       y[p.., q.., r..] = x[p.., indices[q..], r..], any dtype
 *   scatter_add  y = 0, y[p.., indices[q..], r..] += updates[p.., q.., r..] in the order of q, f32
 *                and f64
 * x of the one and y of the other is the table here, the other side the rows. indices i32 or i64.
 * All are checked before anything is read: one below 0 or from table.dim[axis] on fails the run
 * with the layer, the value and the range. Any layout. */
#include "cpu.h"
#include "move.h"

#define CHUNK CPU_BLOCK /* indices that are loaded at a time */

typedef struct plan {
    cpu_nest before, at, after; /* operands: rows, then table or indices */
    const weft_view *table, *indices, *rows;
    int64_t axis, size, step; /* of table along axis: how many, elements from one to the next */
    uint64_t group;           /* of a task: rows of `at`, or entries of the table */
    uint64_t tasks;           /* of one p */
    char *temp;
} plan;

static int64_t index_at(const plan *p, uint64_t q)
{
    int64_t at = cpu_nest_offset(&p->at, 1, q);
    if (p->indices->dtype == WEFT_I64) return ((const int64_t *)p->indices->data)[at];
    return ((const int32_t *)p->indices->data)[at];
}

static weft_status check(const weft_kernel_call *call, const plan *p)
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
                                (unsigned long long)p->at.count, (long long)p->axis);
            }
            return cpu_fail(call, WEFT_E_ARG,
                            "index %lld (number %llu of %llu) is outside 0..%lld, "
                            "the range of axis %lld. Check the ids that are fed in, or make the "
                            "table larger",
                            (long long)value, (unsigned long long)(first + i),
                            (unsigned long long)p->at.count, (long long)(p->size - 1),
                            (long long)p->axis);
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
    size_t size = cpu_dtype_size(p->table->dtype);
    uint64_t before = task / p->tasks, q = task % p->tasks * p->group;
    uint64_t end = q + p->group < p->at.count ? q + p->group : p->at.count;
    int64_t dst = cpu_nest_offset(&p->before, 0, before),
            src = cpu_nest_offset(&p->before, 1, before);
    (void)thread;
    for (; q < end; q++) {
        int64_t to = dst + cpu_nest_offset(&p->at, 0, q), from = src + index_at(p, q) * p->step;
        copy_after(p, (char *)p->rows->data + to * (int64_t)size,
                   (const char *)p->table->data + from * (int64_t)size, size);
    }
}

/* The elements after axis of one entry of the table: set to 0, and with a row added. */
#define DEFINE_AFTER(T)                                                                 \
    static void clear_##T(const plan *p, T *y)                                          \
    {                                                                                   \
        const cpu_nest *n = &p->after;                                                  \
        int32_t last = n->rank - 1;                                                     \
        uint64_t row = last >= 0 ? (uint64_t)n->dim[last] : 1;                          \
        int64_t step = last >= 0 ? n->stride[1][last] : 1;                              \
        for (uint64_t first = 0; first < n->count; first += row) {                      \
            T *to = y + cpu_nest_offset(n, 1, first);                                   \
            for (uint64_t i = 0; i < row; i++)                                          \
                to[(int64_t)i * step] = 0;                                              \
        }                                                                               \
    }                                                                                   \
    static void add_##T(const plan *p, T *y, const T *u)                                \
    {                                                                                   \
        const cpu_nest *n = &p->after;                                                  \
        int32_t last = n->rank - 1;                                                     \
        uint64_t row = last >= 0 ? (uint64_t)n->dim[last] : 1;                          \
        int64_t from_step = last >= 0 ? n->stride[0][last] : 1;                         \
        int64_t step = last >= 0 ? n->stride[1][last] : 1;                              \
        for (uint64_t first = 0; first < n->count; first += row) {                      \
            T *to = y + cpu_nest_offset(n, 1, first);                                   \
            const T *from = u + cpu_nest_offset(n, 0, first);                           \
            if (step == 1 && from_step == 1) {                                          \
                for (uint64_t i = 0; i < row; i++)                                      \
                    to[i] += from[i];                                                   \
            } else {                                                                    \
                for (uint64_t i = 0; i < row; i++)                                      \
                    to[(int64_t)i * step] += from[(int64_t)i * from_step];              \
            }                                                                           \
        }                                                                               \
    }                                                                                   \
    /* Entries begin .. end of the table at one p: a walk over all indices. */          \
    static void scatter_##T(const plan *p, uint64_t before, int64_t begin, int64_t end) \
    {                                                                                   \
        T *y = (T *)p->table->data + cpu_nest_offset(&p->before, 1, before);            \
        const T *u = (const T *)p->rows->data + cpu_nest_offset(&p->before, 0, before); \
        for (int64_t row = begin; row < end; row++)                                     \
            clear_##T(p, y + row * p->step);                                            \
        for (uint64_t q = 0; q < p->at.count; q++) {                                    \
            int64_t row = index_at(p, q);                                               \
            if (row >= begin && row < end)                                              \
                add_##T(p, y + row * p->step, u + cpu_nest_offset(&p->at, 0, q));       \
        }                                                                               \
    }
DEFINE_AFTER(float)
DEFINE_AFTER(double)

static void scatter_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    uint64_t before = task / p->tasks, begin = task % p->tasks * p->group, end = begin + p->group;
    (void)thread;
    if (end > (uint64_t)p->size) end = (uint64_t)p->size;
    if (p->table->dtype == WEFT_F64)
        scatter_double(p, before, (int64_t)begin, (int64_t)end);
    else
        scatter_float(p, before, (int64_t)begin, (int64_t)end);
}

static void part(cpu_nest *nest, int32_t rank, const int64_t *dim, const int64_t *rows,
                 const int64_t *other)
{
    cpu_nest_init(nest, rank, dim);
    cpu_nest_add(nest, rows);
    cpu_nest_add(nest, other);
    cpu_nest_collapse(nest);
}

/* From table, indices and rows. */
static void lay_out(plan *p, const weft_kernel_call *call)
{
    const weft_view *table = p->table, *indices = p->indices, *rows = p->rows;
    int64_t axis = call->attr_i(call, "axis");
    if (axis < 0) axis += table->rank;
    p->axis = axis;
    p->size = table->dim[axis];
    p->step = table->stride[axis];
    p->temp = call->scratch;
    part(&p->before, (int32_t)axis, table->dim, rows->stride, table->stride);
    part(&p->at, indices->rank, indices->dim, rows->stride + axis, indices->stride);
    part(&p->after, table->rank - (int32_t)axis - 1, table->dim + axis + 1,
         rows->stride + axis + indices->rank, table->stride + axis + 1);
}

static weft_status gather_run(const weft_kernel_call *call)
{
    const weft_view *out = call->out[0];
    plan p = { .table = call->in[0], .indices = call->in[1], .rows = out };
    weft_status st;
    lay_out(&p, call);
    if (!p.at.count) return WEFT_OK;
    if ((st = check(call, &p))) return st;
    if (!out->count || !out->data) return WEFT_OK;
    p.group = 1 + 16384 / p.after.count;
    p.tasks = (p.at.count + p.group - 1) / p.group;
    cpu_parallel(cpu_threads(call, out->count), p.before.count * p.tasks, gather_task, &p);
    return WEFT_OK;
}

static weft_status scatter_add_run(const weft_kernel_call *call)
{
    const weft_view *out = call->out[0], *updates = call->in[1];
    uint32_t threads = cpu_threads(call, out->count + updates->count);
    plan p = { .table = out, .indices = call->in[0], .rows = updates };
    weft_status st;
    lay_out(&p, call);
    if ((st = check(call, &p))) return st;
    if (!out->count || !out->data) return WEFT_OK;
    p.tasks = p.before.count < threads ? threads : 1;
    p.group = ((uint64_t)p.size + p.tasks - 1) / p.tasks;
    p.tasks = ((uint64_t)p.size + p.group - 1) / p.group;
    cpu_parallel(threads, p.before.count * p.tasks, scatter_task, &p);
    return WEFT_OK;
}

static size_t scratch(const weft_kernel_call *call)
{
    (void)call;
    return CPU_BLOCK_BYTES;
}

static int supports(const weft_kernel_call *call, uint32_t moved, uint32_t indices, char *why,
                    size_t size)
{
    weft_dtype x = call->in[moved]->dtype, j = call->in[indices]->dtype, out = call->out[0]->dtype;
    if (j != WEFT_I32 && j != WEFT_I64)
        return cpu_no(why, size, "indices are %s; the kernel takes i32 and i64", cpu_dtype_name(j));
    if (x != out || !cpu_dtype_size(x)) {
        return cpu_no(why, size, "input %u is %s and the output %s; they must agree", moved,
                      cpu_dtype_name(x), cpu_dtype_name(out));
    }
    return 1;
}

static int gather_supports(const weft_kernel_call *call, char *why, size_t size)
{
    return supports(call, 0, 1, why, size);
}

static int scatter_add_supports(const weft_kernel_call *call, char *why, size_t size)
{
    if (!supports(call, 1, 0, why, size)) return 0;
    if (cpu_dtype_float(call->in[1]->dtype)) return 1;
    return cpu_no(why, size, "updates are %s; the kernel adds f32 and f64",
                  cpu_dtype_name(call->in[1]->dtype));
}

enum { FLAGS = CPU_ANY_LAYOUT | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE };
const cpu_kernel cpu_gather = {
    "gather", { sizeof(weft_cpu_kernel), FLAGS, gather_supports, scratch, gather_run }, NULL
};
const cpu_kernel cpu_scatter_add = {
    "scatter_add",
    { sizeof(weft_cpu_kernel), FLAGS, scatter_add_supports, scratch, scatter_add_run },
    NULL,
};
