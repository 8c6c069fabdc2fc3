/* Rows by their numbers: y[o, j, i] = x[o, index[j], i]. An index outside of 0 .. size - 1 is read
 * as 0 and reported: the first work-item that meets one writes { step + 1, 0, value } into
 * `errors`.
 *
 * In front stand X_OUTER(o) X_INNER(i), J(j) (of the indices), Y_OUTER(o) Y_MID(j) Y_INNER(i), in
 * terms of so si sj to tm ti, ELEMENT (unsigned, of the element's size), INDEX (int or long),
 * WEFT_CPU on CPUs. */
#define GATHER_ARGS                                                                             \
    __global const ELEMENT *restrict in0, ulong in0_offset, __global const INDEX *restrict in1, \
        ulong in1_offset, __global ELEMENT *restrict out0, ulong out0_offset,                   \
        volatile __global int *errors, ulong errors_offset, long outer, long n, long inner,     \
        long size, long along, long so, long si, long sj, long to, long tm, long ti, long step, \
        long batch

static inline long checked(long index, long size, volatile __global int *errors, long step)
{
    if (index >= 0 && index < size) return index;
    if (atomic_cmpxchg(errors, 0, (int)(step + 1)) == 0) {
        errors[2] = (int)(index & 0xffffffff);
        errors[3] = (int)(index >> 32);
    }
    return 0;
}

#ifdef WEFT_CPU
/* NDRange (n, outer), groups of one: a row each. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gather(GATHER_ARGS)
{
    const long j = get_global_id(0), o = get_global_id(1);
    const long row = checked(in1[in1_offset + J(j)], size, errors + errors_offset, step);
    __global const ELEMENT *x = in0 + in0_offset + X_OUTER(o) + row * along;
    __global ELEMENT *y = out0 + out0_offset + Y_OUTER(o) + Y_MID(j);
    if (size == 0) return;
    for (long i = 0; i < inner; i++)
        y[Y_INNER(i)] = x[X_INNER(i)];
}
#else

/* NDRange (outer * n * inner), any groups: an element each. */
__kernel void gather(GATHER_ARGS)
{
    const long at = get_global_id(0), i = at % inner, j = at / inner % n, o = at / inner / n;
    if (o >= outer) return;
    const long row = checked(in1[in1_offset + J(j)], size, errors + errors_offset, step);
    if (size == 0) return;
    out0[out0_offset + Y_OUTER(o) + Y_MID(j) + Y_INNER(i)] =
        in0[in0_offset + X_OUTER(o) + row * along + X_INNER(i)];
}
#endif
