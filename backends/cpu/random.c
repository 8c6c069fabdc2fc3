/* random: Philox4x32-10 at counters made of element, step and key (the formula is with the op, in
 * api/src/graph/ops/op_random.c). key: i64 [2], step: i64 []; out: i32 bits, or f32 or f64 uniforms
 * or normals; any layout. Normals are computed in double, whatever out is. */
#include "cpu.h"
#include <math.h>
#include <string.h>

enum { COUNTERS = CPU_BLOCK / 4, BLOCKS = 16 }; /* of a block; blocks of a task */

typedef struct plan {
    cpu_nest nest; /* operand: out */
    const weft_view *out;
    uint32_t key[2], high[2]; /* high: words 2 and 3 of every counter */
    int normal;
} plan;

/* The words of counters first .. first + COUNTERS - 1. */
static void make_words(const plan *p, uint64_t first, uint32_t *words)
{
    for (uint32_t i = 0; i < COUNTERS; i++) {
        uint32_t c0 = (uint32_t)(first + i), c1 = (uint32_t)((first + i) >> 32);
        uint32_t c2 = p->high[0], c3 = p->high[1], k0 = p->key[0], k1 = p->key[1];
        for (int round = 0; round < 10; round++) {
            uint64_t a = (uint64_t)0xd2511f53u * c0, b = (uint64_t)0xcd9e8d57u * c2;
            c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)b;
            c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)a;
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        words[4 * i] = c0;
        words[4 * i + 1] = c1;
        words[4 * i + 2] = c2;
        words[4 * i + 3] = c3;
    }
}

/* cos and sin of 2 pi v for v = n 2^-24, exact zeros and all: by octants. */
static void turn(uint32_t n, double *c, double *s)
{
    const double half_pi = 1.5707963267948966;
    double f = (double)(n & 0x3fffffu) * 0x1p-22, x, y;
    int flip = f > 0.5;
    x = cos(half_pi * (flip ? 1 - f : f));
    y = sin(half_pi * (flip ? 1 - f : f));
    double near = flip ? y : x, far = flip ? x : y; /* cos and sin inside the quadrant */
    switch (n >> 22) {
    case 0: *c = near, *s = far; break;
    case 1: *c = -far, *s = near; break;
    case 2: *c = -near, *s = -far; break;
    default: *c = far, *s = -near; break;
    }
}

static void make_normals(const uint32_t *words, double *normals)
{
    for (uint32_t i = 0; i < CPU_BLOCK; i += 2) {
        double r = sqrt(-2 * log(((double)(words[i] >> 8) + 0.5) * 0x1p-24)), c, s;
        turn(words[i + 1] >> 8, &c, &s);
        normals[i] = r * c;
        normals[i + 1] = r * s;
    }
}

typedef union block {
    int32_t i32[CPU_BLOCK];
    float f32[CPU_BLOCK];
    double f64[CPU_BLOCK];
} block;

/* The words as the numbers that out holds. */
static void convert(const plan *p, const uint32_t *words, block *to)
{
    if (p->normal) {
        double normals[CPU_BLOCK];
        make_normals(words, normals);
        if (p->out->dtype == WEFT_F64)
            memcpy(to->f64, normals, sizeof normals);
        else
            for (uint32_t i = 0; i < CPU_BLOCK; i++)
                to->f32[i] = (float)normals[i];
    } else if (p->out->dtype == WEFT_I32) {
        memcpy(to->i32, words, sizeof to->i32);
    } else if (p->out->dtype == WEFT_F64) {
        for (uint32_t i = 0; i < CPU_BLOCK; i++)
            to->f64[i] = (double)(words[i] >> 8) * 0x1p-24;
    } else {
        for (uint32_t i = 0; i < CPU_BLOCK; i++)
            to->f32[i] = (float)(words[i] >> 8) * 0x1p-24f;
    }
}

static void random_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    cpu_span span = { &p->nest, 0, (uint32_t)cpu_dtype_size(p->out->dtype), 0, 0 };
    uint64_t end = (task + 1) * BLOCKS * CPU_BLOCK;
    (void)thread;
    if (end > p->nest.count) end = p->nest.count;
    for (span.first = task * BLOCKS * CPU_BLOCK; span.first < end; span.first += CPU_BLOCK) {
        uint32_t words[CPU_BLOCK];
        block numbers;
        span.n = end - span.first < CPU_BLOCK ? end - span.first : CPU_BLOCK;
        make_words(p, span.first / 4, words);
        convert(p, words, &numbers);
        cpu_span_store(&span, p->out->data, &numbers);
    }
}

static weft_status run(const weft_kernel_call *call)
{
    const weft_view *key = call->in[0], *out = call->out[0];
    const int64_t *k = key->data;
    uint64_t task = BLOCKS * CPU_BLOCK;
    if (!out->count || !out->data) return WEFT_OK;
    uint64_t low = (uint64_t)k[0], high = (uint64_t)k[key->stride[0]],
             step = (uint64_t) * (const int64_t *)call->in[1]->data;
    plan p = { .out = out,
               .key = { (uint32_t)low, (uint32_t)(low >> 32) },
               .high = { (uint32_t)step, (uint32_t)high ^ (uint32_t)(step >> 32) },
               .normal = !strcmp(call->attr_s(call, "dist"), "normal") };
    cpu_nest_init(&p.nest, out->rank, out->dim);
    cpu_nest_add(&p.nest, out->stride);
    cpu_nest_collapse(&p.nest);
    cpu_parallel(cpu_threads(call, out->count * 8), (out->count + task - 1) / task, random_task,
                 &p);
    return WEFT_OK;
}

const cpu_kernel cpu_random = {
    "random",
    { sizeof(weft_cpu_kernel), CPU_ANY_LAYOUT | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE, NULL, NULL,
      run },
    NULL,
};
