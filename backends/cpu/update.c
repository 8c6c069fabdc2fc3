/* adam_update and sgd_update (the formulas are with the ops, in api/src/graph/ops/op_update.c): one
 * pass over dense arrays of one shape, f32 or f64. Every output may lie on any input: a block of
 * results is made beside them before any is stored. */
#include "cpu.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 256, TASK = 16384 };

typedef struct plan {
    const weft_kernel_call *call;
    double rate, first, second, epsilon; /* adam: 1 - beta_1, 1 - beta_2 */
    double momentum;
    int adam, nesterov;
} plan;

#define DEFINE_UPDATE(T, SQRT)                                                               \
    static void adam_##T(const plan *p, uint64_t at, uint64_t n, T out[3][BLOCK])            \
    {                                                                                        \
        const T *w = (const T *)p->call->in[0]->data + at;                                   \
        const T *g = (const T *)p->call->in[1]->data + at;                                   \
        const T *m = (const T *)p->call->in[2]->data + at;                                   \
        const T *v = (const T *)p->call->in[3]->data + at;                                   \
        T rate = (T)p->rate, first = (T)p->first, second = (T)p->second;                     \
        T epsilon = (T)p->epsilon;                                                           \
        for (uint64_t i = 0; i < n; i++) {                                                   \
            T m1 = m[i] + (g[i] - m[i]) * first, v1 = v[i] + (g[i] * g[i] - v[i]) * second;  \
            out[0][i] = w[i] - rate * m1 / (SQRT(v1) + epsilon);                             \
            out[1][i] = m1;                                                                  \
            out[2][i] = v1;                                                                  \
        }                                                                                    \
    }                                                                                        \
    static void sgd_##T(const plan *p, uint64_t at, uint64_t n, T out[3][BLOCK])             \
    {                                                                                        \
        const weft_view *slot = p->call->n_in > 3 ? p->call->in[3] : NULL;                   \
        const T *w = (const T *)p->call->in[0]->data + at;                                   \
        const T *g = (const T *)p->call->in[1]->data + at;                                   \
        const T *v = slot ? (const T *)slot->data + at : g; /* g: not used, momentum is 0 */ \
        T rate = (T)p->rate, momentum = slot ? (T)p->momentum : 0;                           \
        for (uint64_t i = 0; i < n; i++) {                                                   \
            T change = rate * g[i], v1 = (slot ? momentum * v[i] : 0) - change;              \
            out[0][i] = p->nesterov ? w[i] + momentum * v1 - change : w[i] + v1;             \
            out[1][i] = v1;                                                                  \
        }                                                                                    \
    }                                                                                        \
    static void update_##T(const plan *p, uint64_t begin, uint64_t end)                      \
    {                                                                                        \
        T out[3][BLOCK];                                                                     \
        for (uint64_t at = begin; at < end; at += BLOCK) {                                   \
            uint64_t n = end - at < BLOCK ? end - at : BLOCK;                                \
            (p->adam ? adam_##T : sgd_##T)(p, at, n, out);                                   \
            for (uint32_t k = 0; k < p->call->n_out; k++) {                                  \
                const weft_view *y = p->call->out[k];                                        \
                if (y->data) memcpy((T *)y->data + at, out[k], n * sizeof(T));               \
            }                                                                                \
        }                                                                                    \
    }
DEFINE_UPDATE(float, sqrtf)
DEFINE_UPDATE(double, sqrt)

static void update_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    uint64_t count = p->call->in[0]->count, begin = task * TASK;
    uint64_t end = begin + TASK < count ? begin + TASK : count;
    (void)thread;
    if (p->call->in[0]->dtype == WEFT_F64)
        update_double(p, begin, end);
    else
        update_float(p, begin, end);
}

static weft_status run(const weft_kernel_call *call, plan *p, const weft_view *rate)
{
    uint64_t count = call->in[0]->count;
    p->call = call;
    p->rate =
        rate->dtype == WEFT_F64 ? *(const double *)rate->data : (double)*(const float *)rate->data;
    cpu_parallel(cpu_threads(call, count * 4), (count + TASK - 1) / TASK, update_task, p);
    return WEFT_OK;
}

static weft_status adam_run(const weft_kernel_call *call)
{
    plan p = { .adam = 1,
               .first = 1 - call->attr_f(call, "beta_1"),
               .second = 1 - call->attr_f(call, "beta_2"),
               .epsilon = call->attr_f(call, "epsilon") };
    return run(call, &p, call->in[4]);
}

static weft_status sgd_run(const weft_kernel_call *call)
{
    plan p = { .momentum = call->attr_f(call, "momentum"),
               .nesterov = call->attr_i(call, "nesterov") != 0 };
    return run(call, &p, call->in[2]);
}

enum { FLAGS = WEFT_KERNEL_INPLACE_EACH | WEFT_KERNEL_F64 };
const cpu_kernel cpu_adam_update = { "adam_update",
                                     { sizeof(weft_cpu_kernel), FLAGS, NULL, NULL, adam_run },
                                     NULL };
const cpu_kernel cpu_sgd_update = { "sgd_update",
                                    { sizeof(weft_cpu_kernel), FLAGS, NULL, NULL, sgd_run },
                                    NULL };
