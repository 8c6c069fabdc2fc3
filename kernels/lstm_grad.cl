/* lstm_grad (plugins/recurrent/lstm_grad.c has the formula): in0 u, in1 gates, in2 cells, in3 c0,
 * in4 dy, in5 dh, in6 dc, in7 mask; out0 dz, out1 dh0, out2 dc0. Those of up to CPU_UNITS or
 * GPU_UNITS units run all steps in one launch of lstm_grad_rows, the others one lstm_grad_cell and
 * one product a step. */
#define STEPS IN1_D1
#define UNITS IN0_D0

#define TIME(k) (ATTR_go_backwards ? STEPS - 1 - (k) : (k))
#ifdef IN7_ABSENT
#define LIVE(b, t) 1
#else
#define LIVE(b, t) in7[in7_offset + (b)*IN7_S0 + (t)*IN7_S1]
#endif
#ifdef IN3_ABSENT
#define FIRST_C(b, e) 0
#else
#define FIRST_C(b, e) in3[in3_offset + (b)*IN3_S0 + (e)]
#endif
#define CELL(b, k, e) in2[in2_offset + (b)*IN2_S0 + (k)*IN2_S1 + (e)]
#define BEFORE(b, k, e) ((k) ? CELL(b, (k)-1, e) : FIRST_C(b, e))
#ifdef IN4_ABSENT
#define DY(b, k, e) 0
#else
#define DY(b, k, e) in4[in4_offset + (b)*IN4_S0 + (k)*IN4_S1 + (e)]
#endif
#ifdef IN5_ABSENT
#define LAST_DH(b, e) 0
#else
#define LAST_DH(b, e) in5[in5_offset + (b)*IN5_S0 + (e)]
#endif
#ifdef IN6_ABSENT
#define LAST_DC(b, e) 0
#else
#define LAST_DC(b, e) in6[in6_offset + (b)*IN6_S0 + (e)]
#endif

/* dz of one unit into d[0], d[line] .., and dc for the step before. */
#define GRADIENT(d, line, i, f, g, o, cell, before, dh, dc)            \
    do {                                                               \
        REAL tc = tanh(cell), all = (dc) + (dh) * (o) * (1 - tc * tc); \
                                                                       \
        (d)[0] = all * (g) * ((i) * (1 - (i)));                        \
        (d)[line] = all * (before) * ((f) * (1 - (f)));                \
        (d)[2 * (line)] = all * (i) * (1 - (g) * (g));                 \
        (d)[3 * (line)] = (dh)*tc * ((o) * (1 - (o)));                 \
        (dc) = all * (f);                                              \
    } while (0)

#if defined(WEFT_CPU) && UNITS <= CPU_UNITS
/* dh = d ut, ut [4 units, units] the transpose of u: four rows at a time. */
void products_of_row(REAL *dh, const REAL *d, __global const REAL *ut)
{
    for (int e = 0; e < UNITS; e++)
        dh[e] = 0;
    for (int q = 0; q < 4 * UNITS; q += 4, ut += 4 * UNITS)
        for (int e = 0; e < UNITS; e++)
            dh[e] += d[q] * ut[e] + d[q + 1] * ut[UNITS + e] + d[q + 2] * ut[2 * UNITS + e] +
                     d[q + 3] * ut[3 * UNITS + e];
}

/* NDRange: one work-item a row of the batch, which it walks through all steps; work-groups of 1. */
__kernel void lstm_grad_rows(__global const REAL *ut, ulong ut_offset, WEFT_ARGS)
{
    REAL d[4 * UNITS], dh[UNITS], dc[UNITS];
    ulong b = get_global_id(0);

    if (b >= IN1_D0) return;
    for (int e = 0; e < UNITS; e++) {
        dh[e] = LAST_DH(b, e);
        dc[e] = LAST_DC(b, e);
    }
    for (long k = STEPS - 1; k >= 0; k--) {
        long t = TIME(k);
        __global const REAL *r = in1 + in1_offset + b * IN1_S0 + k * IN1_S1;
        int live = LIVE(b, t);

        for (int e = 0; e < UNITS; e++) {
            dh[e] += DY(b, k, e);
            if (live)
                GRADIENT(d + e, UNITS, r[e], r[UNITS + e], r[2 * UNITS + e], r[3 * UNITS + e],
                         CELL(b, k, e), BEFORE(b, k, e), dh[e], dc[e]);
        }
        if (live) products_of_row(dh, d, ut + ut_offset);
#ifndef OUT0_ABSENT
        for (int q = 0; q < 4 * UNITS; q++)
            out0[out0_offset + b * OUT0_S0 + t * OUT0_S1 + q] = live ? d[q] : 0;
#endif
    }
    for (int e = 0; e < UNITS; e++) {
#ifndef OUT1_ABSENT
        out1[out1_offset + b * OUT1_S0 + e] = dh[e];
#endif
#ifndef OUT2_ABSENT
        out2[out2_offset + b * OUT2_S0 + e] = dc[e];
#endif
    }
}

#elif !defined(WEFT_CPU) && UNITS <= GPU_UNITS
#define GROUP ((UNITS + GROUP_STEP - 1) / GROUP_STEP * GROUP_STEP)
/* NDRange: one work-group a row of the batch, one work-item a unit; dz passes through local memory.
 * Work-items beyond the units only wait. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void lstm_grad_rows(
    __global const REAL *ut, ulong ut_offset, WEFT_ARGS)
{
    __local REAL d[4 * UNITS];
    ulong b = get_group_id(0), e = get_local_id(0);
    int mine = e < UNITS;
    REAL dh = mine ? LAST_DH(b, e) : 0, dc = mine ? LAST_DC(b, e) : 0;

    for (long k = STEPS - 1; k >= 0; k--) {
        long t = TIME(k);
        int live = LIVE(b, t);

        if (mine) {
            __global const REAL *r = in1 + in1_offset + b * IN1_S0 + k * IN1_S1 + e;

            dh += DY(b, k, e);
            if (live)
                GRADIENT(d + e, UNITS, r[0], r[UNITS], r[2 * UNITS], r[3 * UNITS], CELL(b, k, e),
                         BEFORE(b, k, e), dh, dc);
#ifndef OUT0_ABSENT
            for (int g = 0; g < 4; g++)
                out0[out0_offset + b * OUT0_S0 + t * OUT0_S1 + g * UNITS + e] =
                    live ? d[g * UNITS + e] : 0;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (mine && live) {
            __global const REAL *column = ut + ut_offset + e;

            dh = 0;
            for (int q = 0; q < 4 * UNITS; q++, column += UNITS)
                dh += d[q] * *column;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (!mine) return;
#ifndef OUT1_ABSENT
    out1[out1_offset + b * OUT1_S0 + e] = dh;
#endif
#ifndef OUT2_ABSENT
    out2[out2_offset + b * OUT2_S0 + e] = dc;
#endif
}
#endif

/* One step: gates, cells, dy, dz and mask begin at it; before_row is the pitch of `before`, -1 if
 * it is 0 everywhere. dh and dc are the running gradients; what is left in dh is what the product
 * is added to. NDRange: one work-item a unit of a row. */
#ifdef OUT0_ABSENT
#define DZ_ROW (4 * UNITS)
#else
#define DZ_ROW OUT0_S0
#endif
#ifdef OUT1_ABSENT
#define DH_ROW UNITS
#else
#define DH_ROW OUT1_S0
#endif
#ifdef OUT2_ABSENT
#define DC_ROW UNITS
#else
#define DC_ROW OUT2_S0
#endif

__kernel void lstm_grad_cell(__global const REAL *gates, ulong gates_offset,
                             __global const REAL *cells, ulong cells_offset,
                             __global const REAL *before, ulong before_offset,
                             __global const REAL *dy, ulong dy_offset, __global REAL *dh,
                             ulong dh_offset, __global REAL *dc, ulong dc_offset, __global REAL *dz,
                             ulong dz_offset, __global const uchar *mask, ulong mask_offset,
                             long before_row, long batch)
{
    ulong n = get_global_id(0), b = n / UNITS, e = n % UNITS;

    if (b >= IN1_D0) return;
    gates += gates_offset + b * IN1_S0 + e;
    dh += dh_offset + b * DH_ROW + e;
    dc += dc_offset + b * DC_ROW + e;
    dz += dz_offset + b * DZ_ROW + e;
    REAL sum = *dh;

#ifndef IN4_ABSENT
    sum += dy[dy_offset + b * IN4_S0 + e];
#endif
#ifndef IN7_ABSENT
    if (!mask[mask_offset + b * IN7_S0]) {
        *dh = sum;
        dz[0] = dz[UNITS] = dz[2 * UNITS] = dz[3 * UNITS] = 0;
        return;
    }
#endif
    REAL c = cells[cells_offset + b * IN2_S0 + e];
    REAL c_before = before_row < 0 ? 0 : before[before_offset + b * before_row + e];

    GRADIENT(dz, UNITS, gates[0], gates[UNITS], gates[2 * UNITS], gates[3 * UNITS], c, c_before,
             sum, *dc);
    *dh = 0;
}
