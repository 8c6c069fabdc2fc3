/* softmax and log_softmax along a group m: y[o, m, i] = e / sum(e) with e = exp(x - max), or x -
 * max - log(sum(e)). NaN anywhere in a line makes all of it NaN.
 *
 * In front stand X_OUTER(o) X_MID(m) X_INNER(i) and Y_OUTER .., in terms of so sm si and to tm ti;
 * REAL; LOG_SOFTMAX; WEFT_CPU on CPUs; ROWS_DENSE if m lies side by side in x and y, COLUMNS_DENSE
 * if i does. */
#define SOFTMAX_ARGS                                                                             \
    __global const REAL *restrict in0, ulong in0_offset, __global REAL *restrict out0,           \
        ulong out0_offset, long outer, long mid, long inner, long so, long sm, long si, long to, \
        long tm, long ti, long block, long batch

#define LARGER(p, q) ((q) > (p) || (q) != (q) ? (q) : (p))

#ifdef LOG_SOFTMAX
#define SCALE(sum) log(sum)
#define LAST(x, e, most, scale) ((x) - (most) - (scale))
#else
#define SCALE(sum) ((REAL)1 / (sum))
#define LAST(x, e, most, scale) ((e) * (scale))
#endif

#ifdef WEFT_CPU
#define WIDE 32

/* NDRange (blocks of `block` rows), groups of one. inner is 1. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void softmax_rows(SOFTMAX_ARGS)
{
    const long o0 = get_global_id(0) * block, o1 = min(o0 + block, outer);
    for (long o = o0; o < o1; o++) {
        __global const REAL *x = in0 + in0_offset + X_OUTER(o);
        __global REAL *y = out0 + out0_offset + Y_OUTER(o);
        REAL most = -INFINITY, sum = 0, lane[WIDE];
        long m = 0;
#ifdef ROWS_DENSE
        const long whole = mid / WIDE * WIDE;
        if (whole) {
            for (int l = 0; l < WIDE; l++)
                lane[l] = -INFINITY;
            for (; m < whole; m += WIDE) {
#pragma unroll
                for (int l = 0; l < WIDE; l++)
                    lane[l] = LARGER(lane[l], x[m + l]);
            }
            for (int l = 0; l < WIDE; l++)
                most = LARGER(most, lane[l]);
        }
        for (; m < mid; m++)
            most = LARGER(most, x[m]);
        for (m = 0; m < mid; m++)
            y[m] = exp(x[m] - most);
        for (int l = 0; l < WIDE; l++)
            lane[l] = 0;
        for (m = 0; m < whole; m += WIDE) {
#pragma unroll
            for (int l = 0; l < WIDE; l++)
                lane[l] += y[m + l];
        }
        for (int l = 0; l < WIDE; l++)
            sum += whole ? lane[l] : 0;
        for (; m < mid; m++)
            sum += y[m];
        const REAL scale = SCALE(sum);
        for (m = 0; m < mid; m++)
            y[m] = LAST(x[m], y[m], most, scale);
#else
        for (; m < mid; m++)
            most = LARGER(most, x[X_MID(m)]);
        for (m = 0; m < mid; m++) {
            const REAL e = exp(x[X_MID(m)] - most);
            y[Y_MID(m)] = e;
            sum += e;
        }
        const REAL scale = SCALE(sum);
        for (m = 0; m < mid; m++)
            y[Y_MID(m)] = LAST(x[X_MID(m)], y[Y_MID(m)], most, scale);
#endif
    }
}

/* NDRange (blocks of WIDE columns, outer), groups of one. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void softmax_columns(SOFTMAX_ARGS)
{
    const long i0 = get_global_id(0) * WIDE, o = get_global_id(1);
    const int n = min(inner - i0, (long)WIDE);
    __global const REAL *x = in0 + in0_offset + X_OUTER(o);
    __global REAL *y = out0 + out0_offset + Y_OUTER(o);
    REAL most[WIDE], sum[WIDE];
    for (int l = 0; l < WIDE; l++) {
        most[l] = -INFINITY;
        sum[l] = 0;
    }
    for (long m = 0; m < mid; m++)
        for (int l = 0; l < n; l++)
            most[l] = LARGER(most[l], x[X_MID(m) + X_INNER(i0 + l)]);
    for (long m = 0; m < mid; m++)
        for (int l = 0; l < n; l++) {
            const REAL e = exp(x[X_MID(m) + X_INNER(i0 + l)] - most[l]);
            y[Y_MID(m) + Y_INNER(i0 + l)] = e;
            sum[l] += e;
        }
    for (int l = 0; l < n; l++)
        sum[l] = SCALE(sum[l]);
    for (long m = 0; m < mid; m++)
        for (int l = 0; l < n; l++) {
            __global REAL *at = y + Y_MID(m) + Y_INNER(i0 + l);
            *at = LAST(x[X_MID(m) + X_INNER(i0 + l)], *at, most[l], sum[l]);
        }
}
#else
#define GROUP 128

/* NDRange (outer * inner), any groups: one item a line. */
__kernel void softmax_item(SOFTMAX_ARGS)
{
    const long index = get_global_id(0), o = index / inner, i = index - o * inner;
    if (o >= outer) return;
    __global const REAL *x = in0 + in0_offset + X_OUTER(o) + X_INNER(i);
    __global REAL *y = out0 + out0_offset + Y_OUTER(o) + Y_INNER(i);
    REAL most = -INFINITY, sum = 0;
    for (long m = 0; m < mid; m++) {
        const REAL v = x[X_MID(m)];
        most = LARGER(most, v);
    }
    for (long m = 0; m < mid; m++)
        sum += exp(x[X_MID(m)] - most);
    const REAL scale = SCALE(sum);
    for (long m = 0; m < mid; m++) {
        const REAL v = x[X_MID(m)];
        y[Y_MID(m)] = LAST(v, exp(v - most), most, scale);
    }
}

/* NDRange (GROUP * outer * inner), groups of GROUP: one group a line. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void softmax_group(SOFTMAX_ARGS)
{
    __local REAL lane[GROUP];
    const long index = get_group_id(0), o = index / inner, i = index - o * inner;
    const int l = get_local_id(0);
    __global const REAL *x = in0 + in0_offset + X_OUTER(o) + X_INNER(i);
    __global REAL *y = out0 + out0_offset + Y_OUTER(o) + Y_INNER(i);
    REAL most = -INFINITY, sum = 0;
    for (long m = l; m < mid; m += GROUP) {
        const REAL v = x[X_MID(m)];
        most = LARGER(most, v);
    }
    lane[l] = most;
    for (int width = GROUP / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l < width) {
            const REAL p = lane[l], q = lane[l + width];
            lane[l] = LARGER(p, q);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    most = lane[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (long m = l; m < mid; m += GROUP)
        sum += exp(x[X_MID(m)] - most);
    lane[l] = sum;
    for (int width = GROUP / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l < width) lane[l] += lane[l + width];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const REAL scale = SCALE(lane[0]);
    for (long m = l; m < mid; m += GROUP) {
        const REAL v = x[X_MID(m)];
        y[Y_MID(m)] = LAST(v, exp(v - most), most, scale);
    }
}
#endif
