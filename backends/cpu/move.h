/* The innermost loops of everything that moves elements, by the size of an element. */
#ifndef WEFT_CPU_MOVE_H
#define WEFT_CPU_MOVE_H
#include <stddef.h>
#include <stdint.h>

typedef struct cpu_move {
    void *dst;
    int64_t dst_stride; /* in elements */
    const void *src;
    int64_t src_stride, n;
} cpu_move;
void cpu_move_run(const cpu_move *move, size_t size);

/* dst[i * dst_row + j] = src[i + j * src_col], i < rows, j < cols: a transpose, in tiles. */
typedef struct cpu_turn {
    void *dst;
    const void *src;
    int64_t dst_row, src_col, rows, cols;
} cpu_turn;
void cpu_turn_run(const cpu_turn *turn, size_t size);
#endif
