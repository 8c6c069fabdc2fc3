/* Philox4x32-10 at counters made of element, step and key; the formula is with the op, in
 * api/src/graph/ops/op_random.c. NDRange: one work-item a counter, four elements, any groups; the
 * global size may be rounded up.
 *
 * In front stands DIST_BITS, DIST_UNIFORM or DIST_NORMAL. */
static inline uint4 philox(uint4 c, uint2 key)
{
    for (int round = 0; round < 10; round++) {
        const uint a = 0xd2511f53u, b = 0xcd9e8d57u;
        c = (uint4)(mul_hi(b, c.z) ^ c.y ^ key.x, b * c.z, mul_hi(a, c.x) ^ c.w ^ key.y, a * c.x);
        key += (uint2)(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

#ifdef DIST_BITS
#define NUMBER int
#else
#define NUMBER REAL
#endif

#ifdef DIST_NORMAL
/* ln((n + 0.5) 2^-24): from 1 downwards where that is exact in float. */
static inline REAL log_of(uint n)
{
    const REAL unit = (REAL)1 / 16777216;
    if (n < 8388608u) return log(((REAL)n + (REAL)0.5) * unit);
    return log1p(-(((REAL)(16777215u - n) + (REAL)0.5) * unit));
}

static inline void numbers(uint4 w, NUMBER y[4])
{
    const REAL unit = (REAL)1 / 8388608; /* of half a turn */
    w >>= 8;
    const REAL r = sqrt(-2 * log_of(w.x)), s = sqrt(-2 * log_of(w.z));
    y[0] = r * cospi((REAL)w.y * unit);
    y[1] = r * sinpi((REAL)w.y * unit);
    y[2] = s * cospi((REAL)w.w * unit);
    y[3] = s * sinpi((REAL)w.w * unit);
}
#else
static inline void numbers(uint4 w, NUMBER y[4])
{
#ifdef DIST_BITS
    y[0] = as_int(w.x), y[1] = as_int(w.y), y[2] = as_int(w.z), y[3] = as_int(w.w);
#else
    const REAL unit = (REAL)1 / 16777216;
    w >>= 8;
    y[0] = (REAL)w.x * unit, y[1] = (REAL)w.y * unit;
    y[2] = (REAL)w.z * unit, y[3] = (REAL)w.w * unit;
#endif
}
#endif

__kernel void random(WEFT_ARGS)
{
    const ulong number = get_global_id(0);
    const ulong low = as_ulong(in0[in0_offset]), high = as_ulong(in0[in0_offset + IN0_S0]);
    const ulong step = as_ulong(in1[in1_offset]);
    if (4 * number >= (ulong)OUT0_N) return;
    const uint4 counter =
        (uint4)((uint)number, (uint)(number >> 32), (uint)step, (uint)high ^ (uint)(step >> 32));
    NUMBER y[4];
    numbers(philox(counter, (uint2)((uint)low, (uint)(low >> 32))), y);
    for (ulong k = 0; k < 4; k++)
        if (4 * number + k < (ulong)OUT0_N) OUT0(4 * number + k) = y[k];
}
