/* softmax and log_softmax along one axis. With m = max x and s = sum exp(x[j] - m):
 *   softmax(x)[i] = exp(x[i] - m) / s,   log_softmax(x)[i] = x[i] - m - log s
 * x and out: the same shape, f32 or f64, any layout, in place allowed; sums in double. A NaN, a
 * +inf, or nothing but -inf along the axis makes all of it NaN. */
#include "cpu.h"
#include "move.h"
#include <math.h>
#include <string.h>

#define TASK 16384u /* elements */

#define SOFTMAX(T, EXP)                                        \
    static void row_##T(T *y, const T *x, int64_t n, int logs) \
    {                                                          \
        T m = x[0], scale;                                     \
        double sum = 0;                                        \
        for (int64_t i = 1; i < n; i++)                        \
            m = x[i] > m || x[i] != x[i] ? x[i] : m;           \
        if (logs) {                                            \
            for (int64_t i = 0; i < n; i++)                    \
                sum += (double)EXP(x[i] - m);                  \
            sum = log(sum);                                    \
            for (int64_t i = 0; i < n; i++)                    \
                y[i] = (T)((double)(x[i] - m) - sum);          \
            return;                                            \
        }                                                      \
        for (int64_t i = 0; i < n; i++) {                      \
            y[i] = EXP(x[i] - m);                              \
            sum += (double)y[i];                               \
        }                                                      \
        scale = (T)(1 / sum);                                  \
        for (int64_t i = 0; i < n; i++)                        \
            y[i] *= scale;                                     \
    }
SOFTMAX(float, expf)
SOFTMAX(double, exp)

typedef struct plan {
    cpu_nest rows; /* all dimensions but axis; operands: out, x */
    const weft_view *x, *out;
    int64_t n, x_step, out_step; /* along axis */
    uint64_t group;              /* rows of a task */
    int logs;
    char *temp;
    size_t temp_size; /* of a thread */
} plan;

static void one_row(const plan *p, uint64_t row, char *temp)
{
    size_t size = cpu_dtype_size(p->x->dtype);
    char *out = (char *)p->out->data + cpu_nest_offset(&p->rows, 0, row) * (int64_t)size;
    const char *x = (const char *)p->x->data + cpu_nest_offset(&p->rows, 1, row) * (int64_t)size;
    char *y = p->out_step == 1 ? out : temp;
    if (p->x_step != 1) {
        cpu_move in = { temp, 1, x, p->x_step, p->n };
        cpu_move_run(&in, size);
        x = temp;
    }
    if (p->x->dtype == WEFT_F32)
        row_float((float *)(void *)y, (const float *)(const void *)x, p->n, p->logs);
    else
        row_double((double *)(void *)y, (const double *)(const void *)x, p->n, p->logs);
    if (p->out_step != 1) {
        cpu_move back = { out, p->out_step, temp, 1, p->n };
        cpu_move_run(&back, size);
    }
}

static void softmax_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    uint64_t row = task * p->group, left = p->rows.count - row;
    for (uint64_t end = row + (left < p->group ? left : p->group); row < end; row++)
        one_row(p, row, p->temp + thread * p->temp_size);
}

static int64_t axis_of(const weft_kernel_call *call)
{
    int64_t axis = call->attr_i(call, "axis");
    return axis < 0 ? axis + call->in[0]->rank : axis;
}

static size_t temp_size(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0];
    size_t bytes = (size_t)x->dim[axis_of(call)] * cpu_dtype_size(x->dtype);
    return (bytes + 63) / 64 * 64;
}

static size_t scratch(const weft_kernel_call *call)
{
    return cpu_node_of(call)->dev->threads * temp_size(call);
}

static weft_status run(const weft_kernel_call *call, int logs)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t axis = axis_of(call);
    int64_t dim[WEFT_MAX_RANK];
    plan p = { .x = x,
               .out = out,
               .n = x->dim[axis],
               .x_step = x->stride[axis],
               .out_step = out->stride[axis],
               .logs = logs,
               .temp = call->scratch,
               .temp_size = temp_size(call) };
    if (!out->count || !out->data) return WEFT_OK;
    memcpy(dim, x->dim, (size_t)x->rank * sizeof *dim);
    dim[axis] = 1;
    cpu_nest_init(&p.rows, x->rank, dim);
    cpu_nest_add(&p.rows, out->stride);
    cpu_nest_add(&p.rows, x->stride);
    cpu_nest_collapse(&p.rows);
    p.group = 1 + TASK / (uint64_t)p.n;
    cpu_parallel(call, x->count * 8, (p.rows.count + p.group - 1) / p.group, softmax_task, &p);
    return WEFT_OK;
}

static weft_status softmax_run(const weft_kernel_call *call)
{
    return run(call, 0);
}

static weft_status log_softmax_run(const weft_kernel_call *call)
{
    return run(call, 1);
}

static int supports(const weft_kernel_call *call, char *why, size_t size)
{
    weft_dtype x = call->in[0]->dtype, out = call->out[0]->dtype;
    if (call->in[0]->rank < 1) return cpu_no(why, size, "x has no axes");
    if (x == out) return 1;
    return cpu_no(why, size, "x is %s and the output %s; they must agree", cpu_dtype_name(x),
                  cpu_dtype_name(out));
}

enum { FLAGS = CPU_ANY_LAYOUT | WEFT_KERNEL_INPLACE | WEFT_KERNEL_F64 };
const cpu_kernel cpu_softmax = { "softmax",
                                 { sizeof(weft_cpu_kernel), FLAGS, supports, scratch, softmax_run },
                                 NULL };
const cpu_kernel cpu_log_softmax = {
    "log_softmax", { sizeof(weft_cpu_kernel), FLAGS, supports, scratch, log_softmax_run }, NULL
};
