/* The one strided copy: pad, concat, transpose, slice, broadcast, reverse and copy are boxes with
 * other strides. Dimensions are put in the order of dst, merged, cut into tasks; the two innermost
 * are moved by rows, or by tiles where dst and src are contiguous along different ones. */
#include "cpu.h"
#include "move.h"
#include <stdlib.h>
#include <string.h>

#define TASK 32768 /* elements */

void cpu_dense_strides(int32_t rank, const int64_t *dim, int64_t *stride)
{
    int64_t n = 1;
    for (int32_t d = rank - 1; d >= 0; d--) {
        stride[d] = n;
        n *= dim[d];
    }
}

cpu_box cpu_box_of(const weft_view *dst, const void *src)
{
    cpu_box box = { .dst = dst->data, .src = src, .size = cpu_dtype_size(dst->dtype) };
    box.rank = dst->rank;
    for (int32_t d = 0; d < dst->rank; d++) {
        box.dim[d] = dst->dim[d];
        box.dst_stride[d] = dst->stride[d];
    }
    return box;
}

static void put_dim(cpu_box *box, int32_t to, int64_t dim, int64_t dst_stride, int64_t src_stride)
{
    box->dim[to] = dim;
    box->dst_stride[to] = dst_stride;
    box->src_stride[to] = src_stride;
}

/* The innermost is the one with the smallest steps in dst; ties go to src. */
static int inside_of(const cpu_box *box, int32_t a, int64_t dst_stride, int64_t src_stride)
{
    int64_t x = llabs(box->dst_stride[a]), y = llabs(dst_stride);
    return x != y ? x < y : llabs(box->src_stride[a]) < llabs(src_stride);
}

static void sort_dims(cpu_box *box)
{
    int32_t rank = 0;
    for (int32_t d = 0; d < box->rank; d++) {
        int64_t dim = box->dim[d], ds = box->dst_stride[d], ss = box->src_stride[d];
        int32_t at = rank;
        if (dim == 1) continue;
        for (; at > 0 && inside_of(box, at - 1, ds, ss); at--)
            put_dim(box, at, box->dim[at - 1], box->dst_stride[at - 1], box->src_stride[at - 1]);
        put_dim(box, at, dim, ds, ss);
        rank++;
    }
    box->rank = rank;
}

static void merge_dims(cpu_box *box)
{
    int32_t rank = 0;
    for (int32_t d = 0; d < box->rank; d++) {
        int64_t dim = box->dim[d], ds = box->dst_stride[d], ss = box->src_stride[d];
        if (rank > 0 && box->dst_stride[rank - 1] == ds * dim &&
            box->src_stride[rank - 1] == ss * dim)
            put_dim(box, rank - 1, box->dim[rank - 1] * dim, ds, ss);
        else
            put_dim(box, rank++, dim, ds, ss);
    }
    box->rank = rank;
}

/* At least two dims; where another dim than the innermost is contiguous in src, it comes second. */
static void place_inner(cpu_box *box)
{
    while (box->rank < 2) {
        for (int32_t d = box->rank; d > 0; d--)
            put_dim(box, d, box->dim[d - 1], box->dst_stride[d - 1], box->src_stride[d - 1]);
        put_dim(box, 0, 1, 0, 0);
        box->rank++;
    }
    if (llabs(box->src_stride[box->rank - 1]) <= 1) return;
    for (int32_t d = 0; d < box->rank - 2; d++) {
        if (box->src_stride[d] == 1) {
            int32_t to = box->rank - 2;
            int64_t dim = box->dim[d], ds = box->dst_stride[d], ss = box->src_stride[d];
            put_dim(box, d, box->dim[to], box->dst_stride[to], box->src_stride[to]);
            put_dim(box, to, dim, ds, ss);
            return;
        }
    }
}

typedef struct copy_plan {
    const cpu_box *box;
    int64_t row_step, col_step;                  /* of a task */
    uint64_t row_tasks, col_tasks, tiles, group; /* group: tiles of a task */
} copy_plan;

static void copy_tile(const cpu_box *b, char *dst, const char *src, int64_t rows, int64_t cols)
{
    int32_t p = b->rank - 2, q = b->rank - 1;
    int64_t size = (int64_t)b->size;
    if (b->dst_stride[q] == 1 && b->src_stride[p] == 1 && rows > 1 && b->src_stride[q] != 1) {
        cpu_turn turn = { dst, src, b->dst_stride[p], b->src_stride[q], rows, cols };
        cpu_turn_run(&turn, b->size);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        cpu_move move = { dst + i * b->dst_stride[p] * size, b->dst_stride[q],
                          src + i * b->src_stride[p] * size, b->src_stride[q], cols };
        cpu_move_run(&move, b->size);
    }
}

static void copy_tile_at(const copy_plan *plan, uint64_t at)
{
    const cpu_box *b = plan->box;
    int32_t p = b->rank - 2, q = b->rank - 1;
    int64_t col = (int64_t)(at % plan->col_tasks) * plan->col_step;
    int64_t row = (int64_t)(at / plan->col_tasks % plan->row_tasks) * plan->row_step;
    int64_t outer = (int64_t)(at / plan->col_tasks / plan->row_tasks);
    int64_t dst = col * b->dst_stride[q] + row * b->dst_stride[p];
    int64_t src = col * b->src_stride[q] + row * b->src_stride[p];
    int64_t rows = b->dim[p] - row, cols = b->dim[q] - col, size = (int64_t)b->size;
    for (int32_t d = p - 1; d >= 0; d--) {
        dst += outer % b->dim[d] * b->dst_stride[d];
        src += outer % b->dim[d] * b->src_stride[d];
        outer /= b->dim[d];
    }
    copy_tile(b, (char *)b->dst + dst * size, (const char *)b->src + src * size,
              rows < plan->row_step ? rows : plan->row_step,
              cols < plan->col_step ? cols : plan->col_step);
}

static void copy_task(void *user, uint64_t task, uint32_t thread)
{
    const copy_plan *plan = user;
    uint64_t first = task * plan->group, left = plan->tiles - first;
    (void)thread;
    for (uint64_t i = 0; i < (left < plan->group ? left : plan->group); i++)
        copy_tile_at(plan, first + i);
}

void cpu_box_copy(const weft_kernel_call *call, cpu_box *box)
{
    copy_plan plan = { .box = box };
    uint64_t count = 1, outer = 1;
    int64_t rows, cols;
    for (int32_t d = 0; d < box->rank; d++)
        count *= (uint64_t)box->dim[d];
    if (!count) return;
    sort_dims(box);
    merge_dims(box);
    place_inner(box);
    for (int32_t d = 0; d < box->rank - 2; d++)
        outer *= (uint64_t)box->dim[d];
    rows = box->dim[box->rank - 2];
    cols = box->dim[box->rank - 1];
    plan.col_step = cols < TASK ? cols : TASK;
    plan.row_step = TASK / plan.col_step < rows ? TASK / plan.col_step : rows;
    plan.col_tasks = (uint64_t)((cols + plan.col_step - 1) / plan.col_step);
    plan.row_tasks = (uint64_t)((rows + plan.row_step - 1) / plan.row_step);
    plan.tiles = outer * plan.row_tasks * plan.col_tasks;
    plan.group = 1 + (uint64_t)(TASK / (plan.row_step * plan.col_step));
    cpu_parallel(call, count, (plan.tiles + plan.group - 1) / plan.group, copy_task, &plan);
}
