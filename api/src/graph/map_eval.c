/* The reference evaluator: runs a program over short pieces of its inputs, so that all values of a
 * piece stay in the first-level cache. Registers lie on the stack: any number of threads may
 * evaluate at once. */
#include <math.h>
#include <string.h>
#include <weft/status.h>
#include "graph/map_program.h"

enum { PIECE = 256 };
typedef union slot {
    float f[PIECE];
    double d[PIECE];
    int64_t i[PIECE];
} slot;

typedef struct machine {
    const weft__map_program *program;
    slot reg[WEFT__MAP_REGISTERS], answer;
    const void *at[WEFT__MAP_INS]; /* each instruction's result, in the type it is computed in */
} machine;

static int is_direct(weft_dtype t)
{
    return t == WEFT_F32 || t == WEFT_F64 || t == WEFT_I64;
}

static void fill(slot *s, weft_dtype t, double value)
{
    if (t == WEFT_F32)
        for (size_t i = 0; i < PIECE; i++)
            s->f[i] = (float)value;
    else if (t == WEFT_F64)
        for (size_t i = 0; i < PIECE; i++)
            s->d[i] = value;
    else {
        int64_t v = value >= 0x1p63 ? INT64_MAX : value < -0x1p63 ? INT64_MIN : (int64_t)value;
        for (size_t i = 0; i < PIECE; i++)
            s->i[i] = v;
    }
}

/* i32, u8 and bool are computed as i64. */
static void widen(slot *s, weft_dtype t, const void *src, size_t n)
{
    const int32_t *i32 = src;
    const uint8_t *u8 = src;
    if (t == WEFT_I32)
        for (size_t i = 0; i < n; i++)
            s->i[i] = i32[i];
    else if (t == WEFT_U8)
        for (size_t i = 0; i < n; i++)
            s->i[i] = u8[i];
    else
        for (size_t i = 0; i < n; i++)
            s->i[i] = u8[i] != 0;
}

static void wrap(int64_t *v, weft_dtype t, size_t n)
{
    if (t == WEFT_I32)
        for (size_t i = 0; i < n; i++)
            v[i] = (int32_t)(uint32_t)(uint64_t)v[i];
    else if (t == WEFT_U8)
        for (size_t i = 0; i < n; i++)
            v[i] = (uint8_t)v[i];
    else if (t == WEFT_BOOL)
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] != 0;
}

/* Truncates and saturates; NaN gives 0. */
static int64_t integer_of(double v, weft_dtype t)
{
    double low = t == WEFT_U8 ? 0 : t == WEFT_I32 ? INT32_MIN : -0x1p63;
    double high = t == WEFT_U8 ? 255 : t == WEFT_I32 ? INT32_MAX : 0x1p63;
    if (v != v) return 0;
    if (v <= low) return t == WEFT_I64 ? INT64_MIN : (int64_t)low;
    if (v >= high) return t == WEFT_I64 ? INT64_MAX : (int64_t)high;
    return (int64_t)v;
}

static void cast_from_float(slot *dst, weft_dtype t, const float *v, size_t n)
{
    if (t == WEFT_F64)
        for (size_t i = 0; i < n; i++)
            dst->d[i] = (double)v[i];
    else if (t == WEFT_BOOL)
        for (size_t i = 0; i < n; i++)
            dst->i[i] = v[i] != 0;
    else
        for (size_t i = 0; i < n; i++)
            dst->i[i] = integer_of((double)v[i], t);
}

static void cast_from_double(slot *dst, weft_dtype t, const double *v, size_t n)
{
    if (t == WEFT_F32)
        for (size_t i = 0; i < n; i++)
            dst->f[i] = (float)v[i];
    else if (t == WEFT_BOOL)
        for (size_t i = 0; i < n; i++)
            dst->i[i] = v[i] != 0;
    else
        for (size_t i = 0; i < n; i++)
            dst->i[i] = integer_of(v[i], t);
}

static void cast_from_integer(slot *dst, weft_dtype t, const int64_t *v, size_t n)
{
    if (t == WEFT_F32)
        for (size_t i = 0; i < n; i++)
            dst->f[i] = (float)v[i];
    else if (t == WEFT_F64)
        for (size_t i = 0; i < n; i++)
            dst->d[i] = (double)v[i];
    else {
        memcpy(dst->i, v, n * sizeof *v);
        wrap(dst->i, t, n);
    }
}

static void run_cast(slot *dst, const weft_map_ins *ins, const void *src, size_t n)
{
    if (ins->type == WEFT_F32)
        cast_from_float(dst, ins->dtype, src, n);
    else if (ins->type == WEFT_F64)
        cast_from_double(dst, ins->dtype, src, n);
    else
        cast_from_integer(dst, ins->dtype, src, n);
}

/* `to` takes n values of the type that ins computes in; a float function that answers yes or no
 * writes floats, which become the integers that bools are. */
static void run_call(machine *m, const weft_map_ins *ins, void *to, size_t n)
{
    const void *a = m->at[ins->arg[0]], *b = m->at[ins->arg[1]], *c = m->at[ins->arg[2]];
    int truth = ins->dtype == WEFT_BOOL && ins->type != WEFT_BOOL;
    int64_t *yes = to;
    if (ins->type == WEFT_F32) {
        ins->fn->f32(n, truth ? m->answer.f : to, a, b, c);
        for (size_t i = 0; truth && i < n; i++)
            yes[i] = m->answer.f[i] != 0;
    } else if (ins->type == WEFT_F64) {
        ins->fn->f64(n, truth ? m->answer.d : to, a, b, c);
        for (size_t i = 0; truth && i < n; i++)
            yes[i] = m->answer.d[i] != 0;
    } else {
        ins->fn->i64(n, to, a, b, c);
        wrap(to, ins->dtype, n);
    }
}

static void store(void *dst, weft_dtype t, const void *src, size_t n)
{
    const int64_t *v = src;
    int32_t *i32 = dst;
    uint8_t *u8 = dst;
    if (is_direct(t))
        memmove(dst, src, n * weft_dtype_size(t));
    else if (t == WEFT_I32)
        for (size_t i = 0; i < n; i++)
            i32[i] = (int32_t)v[i];
    else
        for (size_t i = 0; i < n; i++)
            u8[i] = (uint8_t)v[i];
}

static void run_piece(machine *m, size_t first, size_t n, const void *const *in, char *dst)
{
    const weft__map_program *p = m->program;
    for (uint32_t i = 0; i < p->base.n_ins; i++) {
        const weft_map_ins *ins = &p->ins[i];
        slot *own = p->reg[i] == WEFT__MAP_IN_PLACE ? NULL : &m->reg[p->reg[i]];
        void *to = own;
        switch (ins->kind) {
        case WEFT_MAP_INPUT: {
            const char *src = (const char *)in[ins->arg[0]] + first * weft_dtype_size(ins->dtype);
            if (own) widen(own, ins->dtype, src, n);
            m->at[i] = own ? (const void *)own : src;
            continue;
        }
        case WEFT_MAP_CONST:
            if (!p->pinned[i]) fill(own, ins->dtype, ins->value);
            break;
        case WEFT_MAP_CAST: run_cast(own, ins, m->at[ins->arg[0]], n); break;
        default:
            if (i == p->base.result && is_direct(ins->dtype)) to = dst;
            run_call(m, ins, to, n);
            break;
        }
        m->at[i] = to;
    }
    if (m->at[p->base.result] != dst) store(dst, p->dtype, m->at[p->base.result], n);
}

void weft__map_eval(const weft_map_program *program, size_t n, const void *const *in, void *dst)
{
    machine m;
    m.program = (const weft__map_program *)program;
    for (uint32_t i = 0; i < program->n_ins; i++)
        if (m.program->pinned[i])
            fill(&m.reg[m.program->reg[i]], program->ins[i].dtype, program->ins[i].value);
    size_t size = weft_dtype_size(m.program->dtype);
    for (size_t first = 0; first < n; first += PIECE)
        run_piece(&m, first, n - first < PIECE ? n - first : PIECE, in, (char *)dst + first * size);
}
