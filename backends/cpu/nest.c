/* Nests: several operands, each with its own strides, walked in the row-major order of one index
 * space. Elementwise work runs over flat ranges of it: a span of an operand is used in place when
 * it is contiguous, and else gathered into, or scattered from, a block that stays in cache. */
#include "cpu.h"
#include "move.h"
#include <assert.h>
#include <string.h>

void cpu_nest_init(cpu_nest *nest, int32_t rank, const int64_t *dim)
{
    nest->rank = rank;
    nest->n = 0;
    nest->count = 1;
    for (int32_t d = 0; d < rank; d++) {
        nest->dim[d] = dim[d];
        nest->count *= (uint64_t)dim[d];
    }
}

void cpu_nest_add(cpu_nest *nest, const int64_t *stride)
{
    assert(nest->n < CPU_MAX_OPERANDS);
    if (nest->rank > 0) memcpy(nest->stride[nest->n], stride, (size_t)nest->rank * sizeof *stride);
    nest->n++;
}

void cpu_nest_add_view(cpu_nest *nest, const weft_view *view)
{
    int64_t stride[WEFT_MAX_RANK] = { 0 };
    int32_t shift = nest->rank - view->rank;
    assert(shift >= 0);
    for (int32_t d = 0; d < view->rank; d++)
        stride[shift + d] = view->dim[d] == 1 ? 0 : view->stride[d];
    cpu_nest_add(nest, stride);
}

static int merges(const cpu_nest *nest, int32_t outer, int32_t inner)
{
    for (uint32_t k = 0; k < nest->n; k++) {
        if (nest->stride[k][outer] != nest->stride[k][inner] * nest->dim[inner]) return 0;
    }
    return 1;
}

static void move_dim(cpu_nest *nest, int32_t to, int32_t from)
{
    nest->dim[to] = nest->dim[from];
    for (uint32_t k = 0; k < nest->n; k++)
        nest->stride[k][to] = nest->stride[k][from];
}

void cpu_nest_collapse(cpu_nest *nest)
{
    int32_t rank = 0;
    for (int32_t d = 0; d < nest->rank; d++) {
        if (nest->dim[d] == 1) continue;
        if (rank > 0 && merges(nest, rank - 1, d)) {
            int64_t outer = nest->dim[rank - 1];
            move_dim(nest, rank - 1, d);
            nest->dim[rank - 1] *= outer;
        } else {
            move_dim(nest, rank++, d);
        }
    }
    nest->rank = rank;
}

int64_t cpu_nest_offset(const cpu_nest *nest, uint32_t operand, uint64_t flat)
{
    int64_t offset = 0;
    for (int32_t d = nest->rank - 1; d >= 0 && flat > 0; d--) {
        uint64_t dim = (uint64_t)nest->dim[d];
        offset += (int64_t)(flat % dim) * nest->stride[operand][d];
        flat /= dim;
    }
    return offset;
}

const void *cpu_span_direct(const cpu_span *span, const void *base)
{
    const cpu_nest *nest = span->nest;
    int32_t last = nest->rank - 1;
    if (last >= 0) {
        uint64_t dim = (uint64_t)nest->dim[last];
        if (nest->stride[span->operand][last] != 1 && span->n > 1) return NULL;
        if (span->first % dim + span->n > dim) return NULL;
    }
    return (const char *)base +
           cpu_nest_offset(nest, span->operand, span->first) * (int64_t)span->size;
}

/* Where a walk over a nest stands. */
typedef struct cursor {
    int64_t index[WEFT_MAX_RANK], offset;
} cursor;

static void cursor_set(cursor *c, const cpu_span *span)
{
    const cpu_nest *nest = span->nest;
    uint64_t flat = span->first;
    c->offset = 0;
    for (int32_t d = nest->rank - 1; d >= 0; d--) {
        c->index[d] = (int64_t)(flat % (uint64_t)nest->dim[d]);
        c->offset += c->index[d] * nest->stride[span->operand][d];
        flat /= (uint64_t)nest->dim[d];
    }
}

/* On by n elements, which end inside or at the end of the innermost row. */
static void cursor_advance(cursor *c, const cpu_span *span, int64_t n)
{
    const cpu_nest *nest = span->nest;
    const int64_t *stride = nest->stride[span->operand];
    int32_t d = nest->rank - 1;
    c->index[d] += n;
    c->offset += n * stride[d];
    for (; d > 0 && c->index[d] == nest->dim[d]; d--) {
        c->offset += stride[d - 1] - c->index[d] * stride[d];
        c->index[d] = 0;
        c->index[d - 1]++;
    }
}

static uint64_t row_left(const cursor *c, const cpu_nest *nest, uint64_t left)
{
    uint64_t row;
    if (nest->rank == 0) return left;
    row = (uint64_t)(nest->dim[nest->rank - 1] - c->index[nest->rank - 1]);
    return row < left ? row : left;
}

/* After how many elements an operand repeats itself; 0 = not before the end. A bias does. */
static uint64_t period(const cpu_nest *nest, uint32_t operand)
{
    for (int32_t d = 0; d < nest->rank - 1; d++) {
        if (nest->stride[operand][d] != 0) return 0;
    }
    return nest->rank > 1 ? (uint64_t)nest->dim[nest->rank - 1] : 0;
}

static void repeat(char *temp, size_t filled, size_t bytes)
{
    while (filled < bytes) {
        size_t n = filled < bytes - filled ? filled : bytes - filled;
        memcpy(temp + filled, temp, n);
        filled += n;
    }
}

const void *cpu_span_load(const cpu_span *span, const void *base, void *temp)
{
    const void *direct = cpu_span_direct(span, base);
    const cpu_nest *nest = span->nest;
    uint64_t again = period(nest, span->operand);
    cursor c;
    if (direct) return direct;
    if (again && again < span->n) {
        cpu_span first = *span;
        first.n = again;
        direct = cpu_span_load(&first, base, temp);
        if (direct != temp) memcpy(temp, direct, again * span->size);
        repeat(temp, again * span->size, span->n * span->size);
        return temp;
    }
    cursor_set(&c, span);
    for (uint64_t done = 0; done < span->n;) {
        uint64_t n = row_left(&c, nest, span->n - done);
        cpu_move move = { (char *)temp + done * span->size, 1,
                          (const char *)base + c.offset * (int64_t)span->size,
                          nest->stride[span->operand][nest->rank - 1], (int64_t)n };
        cpu_move_run(&move, span->size);
        done += n;
        if (done < span->n) cursor_advance(&c, span, (int64_t)n);
    }
    return temp;
}

void cpu_span_store(const cpu_span *span, void *base, const void *src)
{
    const cpu_nest *nest = span->nest;
    cursor c;
    cursor_set(&c, span);
    for (uint64_t done = 0; done < span->n;) {
        uint64_t n = row_left(&c, nest, span->n - done);
        cpu_move move = { (char *)base + c.offset * (int64_t)span->size,
                          nest->rank ? nest->stride[span->operand][nest->rank - 1] : 1,
                          (const char *)src + done * span->size, 1, (int64_t)n };
        cpu_move_run(&move, span->size);
        done += n;
        if (done < span->n) cursor_advance(&c, span, (int64_t)n);
    }
}
