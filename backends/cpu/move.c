/* Strided runs and tiled transposes, once for each size of an element (see move.h). */
#include "move.h"
#include <assert.h>
#include <string.h>

#define TILE 16 /* a tile of 8-byte elements: 16 cache lines of two each */

/* Elements of any dtype are moved as integers of their size. */
typedef uint8_t __attribute__((may_alias)) bits8;
typedef uint16_t __attribute__((may_alias)) bits16;
typedef uint32_t __attribute__((may_alias)) bits32;
typedef uint64_t __attribute__((may_alias)) bits64;

#define MOVE(T)                                                            \
    static void run_##T(const cpu_move *m)                                 \
    {                                                                      \
        T *dst = m->dst;                                                   \
        const T *src = m->src;                                             \
        int64_t n = m->n, ds = m->dst_stride, ss = m->src_stride;          \
        if (ds == 1 && ss == 0) {                                          \
            T value = *src;                                                \
            for (int64_t i = 0; i < n; i++)                                \
                dst[i] = value;                                            \
        } else if (ds == 1) {                                              \
            for (int64_t i = 0; i < n; i++)                                \
                dst[i] = src[i * ss];                                      \
        } else {                                                           \
            for (int64_t i = 0; i < n; i++)                                \
                dst[i * ds] = src[i * ss];                                 \
        }                                                                  \
    }                                                                      \
    static void turn_##T(const cpu_turn *t)                                \
    {                                                                      \
        T *dst = t->dst;                                                   \
        const T *src = t->src;                                             \
        for (int64_t i0 = 0; i0 < t->rows; i0 += TILE) {                   \
            int64_t i1 = i0 + TILE < t->rows ? i0 + TILE : t->rows;        \
            for (int64_t j0 = 0; j0 < t->cols; j0 += TILE) {               \
                int64_t j1 = j0 + TILE < t->cols ? j0 + TILE : t->cols;    \
                for (int64_t i = i0; i < i1; i++) {                        \
                    for (int64_t j = j0; j < j1; j++)                      \
                        dst[i * t->dst_row + j] = src[i + j * t->src_col]; \
                }                                                          \
            }                                                              \
        }                                                                  \
    }
MOVE(bits8)
MOVE(bits16)
MOVE(bits32)
MOVE(bits64)

void cpu_move_run(const cpu_move *m, size_t size)
{
    if (m->n <= 0 || m->dst == m->src) return;
    if (m->dst_stride == 1 && m->src_stride == 1) {
        memcpy(m->dst, m->src, (size_t)m->n * size);
        return;
    }
    switch (size) {
    case 1: run_bits8(m); return;
    case 2: run_bits16(m); return;
    case 4: run_bits32(m); return;
    default: assert(size == 8); run_bits64(m);
    }
}

void cpu_turn_run(const cpu_turn *t, size_t size)
{
    switch (size) {
    case 1: turn_bits8(t); return;
    case 2: turn_bits16(t); return;
    case 4: turn_bits32(t); return;
    default: assert(size == 8); turn_bits64(t);
    }
}
