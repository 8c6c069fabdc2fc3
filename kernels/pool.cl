/* max_pool and avg_pool over 1, 2 or 3 spatial axes: x [n, spatial.., c], any strides. Missing axes
 * have size 1. NDRange: one work-item an element of the result, in row-major order; the global size
 * may be rounded up. */
#if IN0_RANK == 3
#define IN_C IN0_S2
#define OUT_DC OUT0_D2
#elif IN0_RANK == 4
#define IN_C IN0_S3
#define OUT_DC OUT0_D3
#else
#define IN_C IN0_S4
#define OUT_DC OUT0_D4
#endif

#if IN0_RANK >= 4
#define IN_2 IN0_D2
#define IN_S2 IN0_S2
#define OUT_2 OUT0_D2
#define WINDOW_2(o) window(o, ATTR_size_1, ATTR_strides_1, ATTR_pads_1, IN_2)
#else
#define IN_S2 0
#define OUT_2 1
#define WINDOW_2(o) ((long2)(0, 1))
#endif

#if IN0_RANK >= 5
#define IN_S3 IN0_S3
#define OUT_3 OUT0_D3
#define WINDOW_3(o) window(o, ATTR_size_2, ATTR_strides_2, ATTR_pads_2, IN0_D3)
#else
#define IN_S3 0
#define OUT_3 1
#define WINDOW_3(o) ((long2)(0, 1))
#endif

/* First and behind-last input position of the window at output position o, cut to the input. */
long2 window(ulong o, long size, long stride, long low, long in)
{
    long begin = (long)o * stride - low;

    return (long2)(max(begin, 0L), min(begin + size, in));
}

/* Where output element i looks: its windows on the three axes, and its sample and channel's first
 * element. */
typedef struct place {
    long2 w1, w2, w3;
    ulong at;
} place;

place find(ulong i, ulong in_offset, long batch)
{
    place p;
    ulong c = i % OUT_DC;

    i /= OUT_DC;
    p.w3 = WINDOW_3(i % OUT_3);
    i /= OUT_3;
    p.w2 = WINDOW_2(i % OUT_2);
    i /= OUT_2;
    p.w1 = window(i % OUT0_D1, ATTR_size_0, ATTR_strides_0, ATTR_pads_0, IN0_D1);
    i /= OUT0_D1;
    p.at = in_offset + i * IN0_S0 + c * IN_C;
    return p;
}

__kernel void max_pool(WEFT_ARGS)
{
    ulong i = get_global_id(0);

    if (i < OUT0_N) {
        place p = find(i, in0_offset, batch);
        REAL r = -INFINITY;

        for (long a = p.w1.x; a < p.w1.y; a++)
            for (long b = p.w2.x; b < p.w2.y; b++)
                for (long c = p.w3.x; c < p.w3.y; c++) {
                    REAL v = in0[p.at + a * IN0_S1 + b * IN_S2 + c * IN_S3];

                    r = v > r || v != v ? v : r;
                }
        OUT0(i) = r;
    }
}

__kernel void avg_pool(WEFT_ARGS)
{
    ulong i = get_global_id(0);

    if (i < OUT0_N) {
        place p = find(i, in0_offset, batch);
        REAL r = 0;

        for (long a = p.w1.x; a < p.w1.y; a++)
            for (long b = p.w2.x; b < p.w2.y; b++)
                for (long c = p.w3.x; c < p.w3.y; c++)
                    r += in0[p.at + a * IN0_S1 + b * IN_S2 + c * IN_S3];
        OUT0(i) = r / (REAL)((p.w1.y - p.w1.x) * (p.w2.y - p.w2.x) * (p.w3.y - p.w3.x));
    }
}
