/* Rows of a table by their numbers, o over what lies before the axis, i over what lies behind it.
 *   gather       rows[o, j, i] = table[o, index[j], i]
 *   scatter_add  table[o, r, i] = the sum of rows[o, j, i] over the j with index[j] == r, in order
 * An index outside of 0 .. size - 1 is left out (read as 0) and reported: the first work-item that
 * meets one writes { step + 1, 0, value } into `errors`.
 *
 * In front stand TABLE_OUTER(o) TABLE_INNER(i), J(j) (of the indices), ROWS_OUTER(o) ROWS_MID(j)
 * ROWS_INNER(i), in terms of so si sj to tm ti, INDEX (int or long), ELEMENT (unsigned, of the
 * element's size) or SCATTER_ADD and REAL, WEFT_CPU on CPUs. */
#define INTS                                                                                   \
    long outer, long n, long inner, long size, long along, long so, long si, long sj, long to, \
        long tm, long ti, long step

static inline int inside(long index, long size, volatile __global int *errors, long step)
{
    if (index >= 0 && index < size) return 1;
    if (atomic_cmpxchg(errors, 0, (int)(step + 1)) == 0) {
        errors[2] = (int)(index & 0xffffffff);
        errors[3] = (int)(index >> 32);
    }
    return 0;
}

#ifndef SCATTER_ADD
#define GATHER_ARGS                                                                             \
    __global const ELEMENT *restrict in0, ulong in0_offset, __global const INDEX *restrict in1, \
        ulong in1_offset, __global ELEMENT *restrict out0, ulong out0_offset,                   \
        volatile __global int *errors, ulong errors_offset, INTS, long batch

static inline long checked(long index, long size, volatile __global int *errors, long step)
{
    return inside(index, size, errors, step) ? index : 0;
}

#ifdef WEFT_CPU
/* NDRange (n, outer), groups of one: a row each. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gather(GATHER_ARGS)
{
    const long j = get_global_id(0), o = get_global_id(1);
    const long row = checked(in1[in1_offset + J(j)], size, errors + errors_offset, step);
    __global const ELEMENT *x = in0 + in0_offset + TABLE_OUTER(o) + row * along;
    __global ELEMENT *y = out0 + out0_offset + ROWS_OUTER(o) + ROWS_MID(j);
    if (size == 0) return;
    for (long i = 0; i < inner; i++)
        y[ROWS_INNER(i)] = x[TABLE_INNER(i)];
}
#else

/* NDRange (outer * n * inner), any groups: an element each. */
__kernel void gather(GATHER_ARGS)
{
    const long at = get_global_id(0), i = at % inner, j = at / inner % n, o = at / inner / n;
    if (o >= outer) return;
    const long row = checked(in1[in1_offset + J(j)], size, errors + errors_offset, step);
    if (size == 0) return;
    out0[out0_offset + ROWS_OUTER(o) + ROWS_MID(j) + ROWS_INNER(i)] =
        in0[in0_offset + TABLE_OUTER(o) + row * along + TABLE_INNER(i)];
}
#endif
#else

/* range: for each entry of the table the first j that means it, then, `size` further, the last;
 * sums: [parts, outer, size, inner], for parts > 1. */
#define SCATTER_ARGS                                                                             \
    __global const INDEX *restrict in0, ulong in0_offset, __global const REAL *restrict in1,     \
        ulong in1_offset, __global REAL *restrict out0, ulong out0_offset,                       \
        volatile __global int *range, ulong range_offset, __global REAL *restrict sums,          \
        ulong sums_offset, volatile __global int *errors, ulong errors_offset, INTS, long parts, \
        long part, long batch

/* NDRange (size), any groups. */
__kernel void scatter_clear(SCATTER_ARGS)
{
    const long row = get_global_id(0);
    if (row >= size) return;
    range[range_offset + row] = INT_MAX;
    range[range_offset + size + row] = -1;
}

/* NDRange (n), any groups. */
__kernel void scatter_mark(SCATTER_ARGS)
{
    const long j = get_global_id(0);
    if (j >= n) return;
    const long row = in0[in0_offset + J(j)];
    if (!inside(row, size, errors + errors_offset, step)) return;
    atomic_min(range + range_offset + row, (int)j);
    atomic_max(range + range_offset + size + row, (int)j);
}

/* NDRange (parts * outer * size * columns): entry `row` at o, j in one part of 0 .. n - 1. On CPUs
 * groups of one, and all i; else any groups, and the i of one column: column + k * columns. */
#ifdef WEFT_CPU
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void scatter_sum(SCATTER_ARGS)
{
    const long at = get_global_id(0), row = at % size, o = at / size % outer;
    const long p = at / size / outer;
    const long begin = max((long)range[range_offset + row], p * part);
    const long end = min((long)range[range_offset + size + row] + 1, (p + 1) * part);
    __global REAL *y = out0 + out0_offset + TABLE_OUTER(o) + row * along;
    __global REAL *s = sums + sums_offset + at * inner;
    for (long i = 0; i < inner; i++) {
        if (parts > 1)
            s[i] = 0;
        else
            y[TABLE_INNER(i)] = 0;
    }
    for (long j = begin; j < end; j++) {
        if (in0[in0_offset + J(j)] != row) continue;
        __global const REAL *u = in1 + in1_offset + ROWS_OUTER(o) + ROWS_MID(j);
        if (parts > 1)
            for (long i = 0; i < inner; i++)
                s[i] += u[ROWS_INNER(i)];
        else
            for (long i = 0; i < inner; i++)
                y[TABLE_INNER(i)] += u[ROWS_INNER(i)];
    }
}
#else

__kernel void scatter_sum(SCATTER_ARGS)
{
    const long columns = (inner + 3) / 4, at = get_global_id(0), column = at % columns;
    const long row = at / columns % size, o = at / columns / size % outer;
    const long p = at / columns / size / outer;
    REAL sum[4] = { 0, 0, 0, 0 };
    if (p >= parts) return;
    const long begin = max((long)range[range_offset + row], p * part);
    const long end = min((long)range[range_offset + size + row] + 1, (p + 1) * part);
    for (long j = begin; j < end; j++) {
        if (in0[in0_offset + J(j)] != row) continue;
        __global const REAL *u = in1 + in1_offset + ROWS_OUTER(o) + ROWS_MID(j);
        for (int k = 0; k < 4; k++)
            if (column + k * columns < inner) sum[k] += u[ROWS_INNER(column + k * columns)];
    }
    for (int k = 0; k < 4; k++) {
        const long i = column + k * columns;
        if (i >= inner) break;
        if (parts > 1)
            sums[sums_offset + ((p * outer + o) * size + row) * inner + i] = sum[k];
        else
            out0[out0_offset + TABLE_OUTER(o) + row * along + TABLE_INNER(i)] = sum[k];
    }
}
#endif

/* NDRange (outer * size * inner), any groups. */
__kernel void scatter_join(SCATTER_ARGS)
{
    const long at = get_global_id(0), i = at % inner, row = at / inner % size;
    const long o = at / inner / size;
    REAL sum = 0;
    if (o >= outer) return;
    for (long p = 0; p < parts; p++)
        sum += sums[sums_offset + p * outer * size * inner + at];
    out0[out0_offset + TABLE_OUTER(o) + row * along + TABLE_INNER(i)] = sum;
}
#endif
