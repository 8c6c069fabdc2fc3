/* Copies and fills of any strides: all movement of data is one of these. In front stand ELEMENT,
 * an unsigned type of the element's size (bits are moved, not numbers), and WEFT_CPU on CPUs.
 *
 * n0..n7 are the loops from the innermost on, d and s the strides of dst and src along them. */
#define LOOPS3 long n0, long n1, long n2, long d0, long d1, long d2, long s0, long s1, long s2
#define LOOPS8                                                                                    \
    long n0, long n1, long n2, long n3, long n4, long n5, long n6, long n7, long d0, long d1,     \
        long d2, long d3, long d4, long d5, long d6, long d7, long s0, long s1, long s2, long s3, \
        long s4, long s5, long s6, long s7

#ifdef WEFT_CPU
#define SIDE 16
/* NDRange (chunks of n0, blocks of n1, n2 * .. * n7), groups of one. */
#define RANGE                                                           \
    const long i0 = get_global_id(0) * chunk, i1 = min(i0 + chunk, n0); \
    const long j0 = get_global_id(1) * block, j1 = min(j0 + block, n1);

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void copy3(
    __global ELEMENT *restrict dst, ulong dst_offset, __global const ELEMENT *restrict src,
    ulong src_offset, LOOPS3, long chunk, long block, long batch)
{
    RANGE
    dst += (long)dst_offset + (long)get_global_id(2) * d2;
    src += (long)src_offset + (long)get_global_id(2) * s2;
    if (d0 == 1 && s0 == 1) {
        for (long j = j0; j < j1; j++)
            for (long i = i0; i < i1; i++)
                dst[j * d1 + i] = src[j * s1 + i];
    } else if (s1 == 1 && s0 != 0) {
        /* A transpose, block by block through private memory: every cache line of either side is
         * touched once, however many of them fall on the same set. */
        ELEMENT part[SIDE][SIDE];
        for (long j = j0; j < j1; j += SIDE)
            for (long i = i0; i < i1; i += SIDE) {
                const int ni = min(i1 - i, (long)SIDE), nj = min(j1 - j, (long)SIDE);
                for (int a = 0; a < ni; a++)
                    for (int b = 0; b < nj; b++)
                        part[a][b] = src[(j + b) + (i + a) * s0];
                for (int b = 0; b < nj; b++)
                    for (int a = 0; a < ni; a++)
                        dst[(j + b) * d1 + (i + a) * d0] = part[a][b];
            }
    } else {
        for (long j = j0; j < j1; j++)
            for (long i = i0; i < i1; i++)
                dst[j * d1 + i * d0] = src[j * s1 + i * s0];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void copy8(
    __global ELEMENT *restrict dst, ulong dst_offset, __global const ELEMENT *restrict src,
    ulong src_offset, LOOPS8, long chunk, long block, long batch)
{
    RANGE
    long o = get_global_id(2);
    const long k2 = o % n2, k3 = o / n2 % n3, k4 = o / n2 / n3 % n4, k5 = o / n2 / n3 / n4 % n5;
    o /= n2 * n3 * n4 * n5;
    const long k6 = o % n6, k7 = o / n6;
    dst += (long)dst_offset + k2 * d2 + k3 * d3 + k4 * d4 + k5 * d5 + k6 * d6 + k7 * d7;
    src += (long)src_offset + k2 * s2 + k3 * s3 + k4 * s4 + k5 * s5 + k6 * s6 + k7 * s7;
    for (long j = j0; j < j1; j++)
        for (long i = i0; i < i1; i++)
            dst[j * d1 + i * d0] = src[j * s1 + i * s0];
}

/* s: not used. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void fill8(__global ELEMENT *restrict dst,
                                                                   ulong dst_offset, LOOPS8,
                                                                   long chunk, long block,
                                                                   long bits, long batch)
{
    RANGE
    long o = get_global_id(2);
    const long k2 = o % n2, k3 = o / n2 % n3, k4 = o / n2 / n3 % n4, k5 = o / n2 / n3 / n4 % n5;
    o /= n2 * n3 * n4 * n5;
    const long k6 = o % n6, k7 = o / n6;
    dst += (long)dst_offset + k2 * d2 + k3 * d3 + k4 * d4 + k5 * d5 + k6 * d6 + k7 * d7;
    for (long j = j0; j < j1; j++)
        for (long i = i0; i < i1; i++)
            dst[j * d1 + i * d0] = (ELEMENT)bits;
}
#else

/* NDRange (n0 * .. * n7), any groups. */
#define SPLIT8                                                       \
    long o = get_global_id(0);                                       \
    const long k0 = o % n0, k1 = o / n0 % n1, k2 = o / n0 / n1 % n2; \
    o /= n0 * n1 * n2;                                               \
    const long k3 = o % n3, k4 = o / n3 % n4, k5 = o / n3 / n4 % n5; \
    o /= n3 * n4 * n5;                                               \
    const long k6 = o % n6, k7 = o / n6;                             \
    if (k7 >= n7) return;

__kernel void copy3(__global ELEMENT *restrict dst, ulong dst_offset,
                    __global const ELEMENT *restrict src, ulong src_offset, LOOPS3, long chunk,
                    long block, long batch)
{
    if ((long)get_global_id(0) >= n0 * n1 * n2) return;
    if (n0 * n1 * n2 < INT_MAX) { /* division of 32 bits is several times faster */
        const uint o = get_global_id(0), m0 = n0, m1 = n1;
        const long k0 = o % m0, k1 = o / m0 % m1, k2 = o / m0 / m1;
        dst[(long)dst_offset + k0 * d0 + k1 * d1 + k2 * d2] =
            src[(long)src_offset + k0 * s0 + k1 * s1 + k2 * s2];
    } else {
        const long o = get_global_id(0), k0 = o % n0, k1 = o / n0 % n1, k2 = o / n0 / n1;
        dst[(long)dst_offset + k0 * d0 + k1 * d1 + k2 * d2] =
            src[(long)src_offset + k0 * s0 + k1 * s1 + k2 * s2];
    }
}

__kernel void copy8(__global ELEMENT *restrict dst, ulong dst_offset,
                    __global const ELEMENT *restrict src, ulong src_offset, LOOPS8, long chunk,
                    long block, long batch)
{
    SPLIT8
    dst[(long)dst_offset + k0 * d0 + k1 * d1 + k2 * d2 + k3 * d3 + k4 * d4 + k5 * d5 + k6 * d6 +
        k7 * d7] = src[(long)src_offset + k0 * s0 + k1 * s1 + k2 * s2 + k3 * s3 + k4 * s4 +
                       k5 * s5 + k6 * s6 + k7 * s7];
}

/* s: not used. */
__kernel void fill8(__global ELEMENT *restrict dst, ulong dst_offset, LOOPS8, long chunk,
                    long block, long bits, long batch)
{
    SPLIT8
    dst[(long)dst_offset + k0 * d0 + k1 * d1 + k2 * d2 + k3 * d3 + k4 * d4 + k5 * d5 + k6 * d6 +
        k7 * d7] = (ELEMENT)bits;
}

/* Transposes through local memory. NDRange (32 * tiles of n0, 8 * tiles of n1, n2), groups of 32 x
 * 8: both sides are read and written in lines. d0 == 1, s1 == 1. */
__kernel __attribute__((reqd_work_group_size(32, 8, 1))) void transpose(
    __global ELEMENT *restrict dst, ulong dst_offset, __global const ELEMENT *restrict src,
    ulong src_offset, LOOPS3, long chunk, long block, long batch)
{
    __local ELEMENT tile[32][33];
    const long i0 = get_group_id(0) * 32, j0 = get_group_id(1) * 32;
    const int x = get_local_id(0), y = get_local_id(1);
    dst += (long)dst_offset + (long)get_group_id(2) * d2;
    src += (long)src_offset + (long)get_group_id(2) * s2;
    for (int k = y; k < 32; k += 8)
        if (j0 + x < n1 && i0 + k < n0) tile[k][x] = src[(i0 + k) * s0 + j0 + x];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = y; k < 32; k += 8)
        if (i0 + x < n0 && j0 + k < n1) dst[(j0 + k) * d1 + i0 + x] = tile[x][k];
}
#endif
