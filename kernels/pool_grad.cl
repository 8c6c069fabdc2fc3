/* max_pool_grad and avg_pool_grad over 1, 2 or 3 spatial axes: dx [n, spatial.., c] gathers from
 * the windows that see each element, so that no two work-items write to one place. Missing axes
 * have size 1. NDRange: one work-item an element of dx, in row-major order; the global size may be
 * rounded up. */
#if OUT0_RANK == 3
#define SIZES(T)     \
    {                \
        T##_D1, 1, 1 \
    }
#define LIST(name, fill)            \
    {                               \
        ATTR_##name##_0, fill, fill \
    }
#define CHANNELS OUT0_D2
#define AT(T, n, p, c) ((n)*T##_S0 + (p)[0] * T##_S1 + (c)*T##_S2)
#elif OUT0_RANK == 4
#define SIZES(T)          \
    {                     \
        T##_D1, T##_D2, 1 \
    }
#define LIST(name, fill)                       \
    {                                          \
        ATTR_##name##_0, ATTR_##name##_1, fill \
    }
#define CHANNELS OUT0_D3
#define AT(T, n, p, c) ((n)*T##_S0 + (p)[0] * T##_S1 + (p)[1] * T##_S2 + (c)*T##_S3)
#else
#define SIZES(T)               \
    {                          \
        T##_D1, T##_D2, T##_D3 \
    }
#define LIST(name, fill)                                  \
    {                                                     \
        ATTR_##name##_0, ATTR_##name##_1, ATTR_##name##_2 \
    }
#define CHANNELS OUT0_D4
#define AT(T, n, p, c) \
    ((n)*T##_S0 + (p)[0] * T##_S1 + (p)[1] * T##_S2 + (p)[2] * T##_S3 + (c)*T##_S4)
#endif

/* What a kernel goes through: its element of dx, the windows that see it (of the op's result, whose
 * shape input T has), and the one that it is at. */
#define BEGIN(T)                                                                              \
    const long in[3] = SIZES(OUT0), out[3] = SIZES(T);                                        \
    const long size[3] = LIST(size, 1), stride[3] = LIST(strides, 1), low[3] = LIST(pads, 0); \
    const ulong number = get_global_id(0), pixel = number / CHANNELS, line = pixel / in[2];   \
    const ulong c = number % CHANNELS, n = line / in[1] / in[0];                              \
    const long p[3] = { line / in[1] % in[0], line % in[1], pixel % in[2] };                  \
    long first[3], last[3], o[3];                                                             \
    REAL sum = 0;                                                                             \
    if (number >= OUT0_N) return;                                                             \
    for (int k = 0; k < 3; k++) {                                                             \
        const long from = p[k] + low[k] - size[k] + 1;                                        \
        first[k] = from > 0 ? (from + stride[k] - 1) / stride[k] : 0;                         \
        last[k] = min((p[k] + low[k]) / stride[k], out[k] - 1);                               \
    }

#define FOR_WINDOWS                                    \
    for (o[0] = first[0]; o[0] <= last[0]; o[0]++)     \
        for (o[1] = first[1]; o[1] <= last[1]; o[1]++) \
            for (o[2] = first[2]; o[2] <= last[2]; o[2]++)

/* The window at o, cut to the input. */
#define SEEN                                         \
    long begin[3], end[3];                           \
    for (int k = 0; k < 3; k++) {                    \
        const long from = o[k] * stride[k] - low[k]; \
        begin[k] = max(from, 0L);                    \
        end[k] = min(from + size[k], in[k]);         \
    }

#ifdef IN2_RANK
__kernel void max_pool_grad(WEFT_ARGS)
{
    BEGIN(IN2)
    const REAL own = in0[in0_offset + AT(IN0, n, p, c)];
    FOR_WINDOWS
    {
        SEEN const REAL y = in1[in1_offset + AT(IN1, n, o, c)];
        int take = own == y || own != own;
        /* no element before p may be the maximum, too */
        for (long i = begin[0]; take && i <= p[0]; i++)
            for (long j = begin[1]; j < (i < p[0] ? end[1] : p[1] + 1); j++) {
                const long behind = i < p[0] || j < p[1] ? end[2] : p[2];
                for (long k = begin[2]; k < behind; k++) {
                    const long q[3] = { i, j, k };
                    const REAL v = in0[in0_offset + AT(IN0, n, q, c)];
                    if (v == y || v != v) take = 0;
                }
            }
        if (take) sum += in2[in2_offset + AT(IN2, n, o, c)];
    }
    OUT0(number) = sum;
}
#else

__kernel void avg_pool_grad(WEFT_ARGS)
{
    BEGIN(IN0)
    FOR_WINDOWS
    {
        SEEN const long count = (end[0] - begin[0]) * (end[1] - begin[1]) * (end[2] - begin[2]);
        sum += in0[in0_offset + AT(IN0, n, o, c)] / (REAL)count;
    }
    OUT0(number) = sum;
}
#endif
