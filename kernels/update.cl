/* One step of an optimizer over dense arrays; the formulas are with the ops, in
 * api/src/graph/ops/op_update.c. Every output may lie on any input: an element's inputs are all
 * read before its outputs are written. NDRange: one work-item CHUNK elements; on CPUs groups of
 * one, else any, the global size rounded up.
 *
 * In front stand CHUNK, and ADAM, REST_1 and REST_2 (1 - beta) and EPSILON, or MOMENTUM and
 * NESTEROV. */
#ifdef WEFT_CPU
#define GROUP __attribute__((reqd_work_group_size(1, 1, 1)))
#else
#define GROUP
#endif
/* Iterations do not meet, whatever lies on whatever. */
#if defined(WEFT_CPU) && defined(__clang__)
#define ALL_AT_ONCE _Pragma("clang loop vectorize(assume_safety)")
#else
#define ALL_AT_ONCE
#endif

#ifdef ADAM
__kernel GROUP void update(WEFT_ARGS)
{
    const ulong begin = get_global_id(0) * CHUNK, end = min(begin + CHUNK, (ulong)IN0_N);
    const REAL rate = in4[in4_offset];
    ALL_AT_ONCE
    for (ulong i = begin; i < end; i++) {
        const REAL w = IN0(i), g = IN1(i), m = IN2(i), v = IN3(i);
        const REAL m1 = m + (g - m) * REST_1, v1 = v + (g * g - v) * REST_2;
#ifndef OUT0_ABSENT
        OUT0(i) = w - rate * m1 / (sqrt(v1) + EPSILON);
#endif
#ifndef OUT1_ABSENT
        OUT1(i) = m1;
#endif
#ifndef OUT2_ABSENT
        OUT2(i) = v1;
#endif
    }
}
#else

#if defined(IN3_RANK)
#define SLOT(i) (MOMENTUM * IN3(i))
#else
#define SLOT(i) 0
#endif

__kernel GROUP void update(WEFT_ARGS)
{
    const ulong begin = get_global_id(0) * CHUNK, end = min(begin + CHUNK, (ulong)IN0_N);
    const REAL rate = in2[in2_offset];
    ALL_AT_ONCE
    for (ulong i = begin; i < end; i++) {
        const REAL w = IN0(i), change = rate * IN1(i), v1 = SLOT(i) - change;
#ifndef OUT0_ABSENT
        OUT0(i) = NESTEROV ? w + MOMENTUM * v1 - change : w + v1;
#endif
#ifndef OUT1_ABSENT
        OUT1(i) = v1;
#endif
    }
}
#endif
