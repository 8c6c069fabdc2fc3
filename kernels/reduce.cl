/* Reductions: y[o, i] = fn over m of x[o, m, i], with any groups of axes as o, m and i.
 *
 * In front stand: X_OUTER(o), X_MID(m), X_INNER(i), Y_OUTER(o), Y_INNER(i), where things lie, in
 * terms of the arguments so sm si to ti; ACC, the type that is added up in, and RAW, that of the
 * result before THEN; one of FN_SUM FN_PROD FN_MAX FN_MIN FN_ANY FN_ALL FN_ARGMAX FN_ARGMIN;
 * FN_MEAN besides FN_SUM; LEAST and MOST of ACC; WEFT_CPU on CPUs, with WIDE, the columns of a
 * block; ROWS_DENSE if neighbours in m lie side by side, COLUMNS_DENSE if those in i do.
 *
 * With splits > 1 every part of m gives a partial result in `part`, [splits, outer * inner], and
 * reduce_last joins them in order: the same sums whatever the device's schedule. */
#if defined(FN_SUM)
#define NEUTRAL ((ACC)0)
#define BOTH(p, q) ((p) + (q))
#elif defined(FN_PROD)
#define NEUTRAL ((ACC)1)
#define BOTH(p, q) ((p) * (q))
#elif defined(FN_MAX)
#define NEUTRAL ((ACC)LEAST)
#define BOTH(p, q) ((q) > (p) || (q) != (q) ? (q) : (p))
#elif defined(FN_MIN)
#define NEUTRAL ((ACC)MOST)
#define BOTH(p, q) ((q) < (p) || (q) != (q) ? (q) : (p))
#elif defined(FN_ANY)
#define NEUTRAL ((ACC)0)
#define BOTH(p, q) ((p) | (q))
#elif defined(FN_ALL)
#define NEUTRAL ((ACC)1)
#define BOTH(p, q) ((p) & (q))
#endif

#if defined(FN_ANY) || defined(FN_ALL)
#define TAKE(x) ((ACC)((x) != 0))
#else
#define TAKE(x) ((ACC)(x))
#endif
#ifdef FN_MEAN
#define RESULT(v) ((RAW)(v) / (RAW)mid)
#else
#define RESULT(v) ((RAW)(v))
#endif

#define REDUCE_ARGS                                                                                \
    __global const IN0_TYPE *restrict in0, ulong in0_offset, __global ACC *restrict part,          \
        ulong part_offset, __global OUT0_TYPE *restrict out0, ulong out0_offset,                   \
        WEFT_EXTRAS long outer, long mid, long inner, long so, long sm, long si, long to, long ti, \
        long splits, long block, long batch

/* In the scope of a kernel: result (o, i) of part s, or of everything. */
#define FINISH(v, s, o, i)                                                        \
    {                                                                             \
        const long index = (o)*inner + (i);                                       \
        if (splits > 1)                                                           \
            part[part_offset + (s)*outer * inner + index] = (v);                  \
        else                                                                      \
            out0[out0_offset + Y_OUTER(o) + Y_INNER(i)] = THEN(RESULT(v), index); \
    }

#if defined(FN_ARGMAX) || defined(FN_ARGMIN)
#ifdef FN_ARGMAX
#define WINS(q, p) ((q) > (p) || ((q) != (q) && (p) == (p)))
#else
#define WINS(q, p) ((q) < (p) || ((q) != (q) && (p) == (p)))
#endif
/* NDRange (outer * inner), any groups: the first of the largest or smallest; NaN wins. */
__kernel void reduce_arg(REDUCE_ARGS)
{
    const long index = get_global_id(0), o = index / inner, i = index - o * inner;
    if (o >= outer) return;
    __global const IN0_TYPE *x = in0 + in0_offset + X_OUTER(o) + X_INNER(i);
    IN0_TYPE best = x[X_MID(0)];
    long at = 0;
    for (long m = 1; m < mid; m++) {
        const IN0_TYPE v = x[X_MID(m)];
        if (WINS(v, best)) {
            best = v;
            at = m;
        }
    }
    out0[out0_offset + Y_OUTER(o) + Y_INNER(i)] = THEN((RAW)at, index);
}
#else

/* NDRange (outer * inner), any groups: joins the parts. */
__kernel void reduce_last(REDUCE_ARGS)
{
    const long index = get_global_id(0), o = index / inner, i = index - o * inner;
    if (o >= outer) return;
    ACC v = NEUTRAL;
    for (long s = 0; s < splits; s++) {
        const ACC p = part[part_offset + s * outer * inner + index];
        v = BOTH(v, p);
    }
    out0[out0_offset + Y_OUTER(o) + Y_INNER(i)] = THEN(RESULT(v), index);
}

#ifdef WEFT_CPU
#define LANES 32
#define SPAN 512 /* so many are added up by themselves first: smaller rounding errors */

/* NDRange (blocks of `block` rows, splits), groups of one. inner is 1. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void reduce_rows(REDUCE_ARGS)
{
    const long o0 = get_global_id(0) * block, o1 = min(o0 + block, outer), s = get_global_id(1);
    const long m0 = s * mid / splits, m1 = (s + 1) * mid / splits;
    for (long o = o0; o < o1; o++) {
        __global const IN0_TYPE *x = in0 + in0_offset + X_OUTER(o);
        ACC total = NEUTRAL;
        long m = m0;
#ifdef ROWS_DENSE
        for (; m + LANES <= m1;) {
            ACC lane[LANES];
            const long end = min(m1, m + LANES * SPAN);
#pragma unroll
            for (int l = 0; l < LANES; l++)
                lane[l] = NEUTRAL;
            for (; m + LANES <= end; m += LANES) {
#pragma unroll
                for (int l = 0; l < LANES; l++) {
                    const ACC v = TAKE(x[m + l]);
                    lane[l] = BOTH(lane[l], v);
                }
            }
            for (int width = LANES / 2; width > 0; width /= 2)
                for (int l = 0; l < width; l++)
                    lane[l] = BOTH(lane[l], lane[l + width]);
            total = BOTH(total, lane[0]);
        }
#endif
        for (; m < m1; m++) {
            const ACC v = TAKE(x[X_MID(m)]);
            total = BOTH(total, v);
        }
        FINISH(total, s, o, 0)
    }
}

/* NDRange (blocks of WIDE columns, outer, splits), groups of one. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void reduce_columns(REDUCE_ARGS)
{
    const long i0 = get_global_id(0) * WIDE, o = get_global_id(1), s = get_global_id(2);
    const long m0 = s * mid / splits, m1 = (s + 1) * mid / splits;
    const int n = min(inner - i0, (long)WIDE);
    __global const IN0_TYPE *x = in0 + in0_offset + X_OUTER(o);
    ACC total[WIDE];
    for (int l = 0; l < WIDE; l++)
        total[l] = NEUTRAL;
    for (long m = m0; m < m1;) {
        ACC lane[WIDE];
        const long end = min(m1, m + SPAN);
        for (int l = 0; l < WIDE; l++)
            lane[l] = NEUTRAL;
#ifdef COLUMNS_DENSE
        if (n == WIDE)
            for (; m < end; m++) {
                __global const IN0_TYPE *line = x + X_MID(m) + i0;
#pragma unroll
                for (int l = 0; l < WIDE; l++) {
                    const ACC v = TAKE(line[l]);
                    lane[l] = BOTH(lane[l], v);
                }
            }
#endif
        for (; m < end; m++)
            for (int l = 0; l < n; l++) {
                const ACC v = TAKE(x[X_MID(m) + X_INNER(i0 + l)]);
                lane[l] = BOTH(lane[l], v);
            }
        for (int l = 0; l < WIDE; l++)
            total[l] = BOTH(total[l], lane[l]);
    }
    for (int l = 0; l < n; l++)
        FINISH(total[l], s, o, i0 + l)
}
#else
#define GROUP 128

/* NDRange (outer * inner, splits), any groups: one item a result. */
__kernel void reduce_item(REDUCE_ARGS)
{
    const long index = get_global_id(0), o = index / inner, i = index - o * inner,
               s = get_global_id(1);
    const long m0 = s * mid / splits, m1 = (s + 1) * mid / splits;
    if (o >= outer) return;
    __global const IN0_TYPE *x = in0 + in0_offset + X_OUTER(o) + X_INNER(i);
    ACC total = NEUTRAL;
    for (long m = m0; m < m1; m++) {
        const ACC v = TAKE(x[X_MID(m)]);
        total = BOTH(total, v);
    }
    FINISH(total, s, o, i)
}

/* NDRange (GROUP * outer * inner, splits), groups of GROUP: one group a result. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void reduce_group(REDUCE_ARGS)
{
    __local ACC lane[GROUP];
    const long index = get_group_id(0), o = index / inner, i = index - o * inner,
               s = get_global_id(1);
    const long m0 = s * mid / splits, m1 = (s + 1) * mid / splits;
    const int l = get_local_id(0);
    __global const IN0_TYPE *x = in0 + in0_offset + X_OUTER(o) + X_INNER(i);
    ACC total = NEUTRAL;
    for (long m = m0 + l; m < m1; m += GROUP) {
        const ACC v = TAKE(x[X_MID(m)]);
        total = BOTH(total, v);
    }
    lane[l] = total;
    for (int width = GROUP / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l < width) {
            const ACC p = lane[l], q = lane[l + width];
            lane[l] = BOTH(p, q);
        }
    }
    if (l == 0) FINISH(lane[0], s, o, i)
}
#endif
#endif
