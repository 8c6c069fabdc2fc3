/* lstm (plugins/recurrent/lstm_op.c has the formula): in0 z, in1 u, in2 h0, in3 c0, in4 mask; out0
 * y, out1 h, out2 c, out3 gates, out4 cells. Those of up to CPU_UNITS or GPU_UNITS units run all
 * steps in one launch of lstm_rows, the others one product and one lstm_cell a step. */
#define STEPS IN0_D1
#define UNITS IN1_D0

#define TIME(k) (ATTR_go_backwards ? STEPS - 1 - (k) : (k))
#ifdef IN4_ABSENT
#define LIVE(b, t) 1
#else
#define LIVE(b, t) in4[in4_offset + (b)*IN4_S0 + (t)*IN4_S1]
#endif
#ifdef IN2_ABSENT
#define FIRST_H(b, e) 0
#else
#define FIRST_H(b, e) in2[in2_offset + (b)*IN2_S0 + (e)]
#endif
#ifdef IN3_ABSENT
#define FIRST_C(b, e) 0
#else
#define FIRST_C(b, e) in3[in3_offset + (b)*IN3_S0 + (e)]
#endif
#define SIGMOID(x) (1 / (1 + exp(-(x))))

#if defined(WEFT_CPU) && UNITS <= CPU_UNITS
/* NDRange: one work-item a row of the batch, which it walks through all steps; work-groups of 1.
 * Lines of units are padded to whole vectors. */
#ifdef WEFT_F64
#define REAL8 double8
#else
#define REAL8 float8
#endif
#define LINE ((UNITS + 7) / 8 * 8)

/* s += h u: four rows of u at a time, so that s is loaded and stored less often. */
void add_products(REAL *s, const REAL *h, __global const REAL *u)
{
    long i = 0;

    for (; i + 4 <= UNITS; i += 4, u += 4 * IN1_S0)
        for (int g = 0; g < 4; g++) {
            __global const REAL *r = u + g * UNITS;

            for (int e = 0; e < UNITS; e++)
                s[g * LINE + e] += h[i] * r[e] + h[i + 1] * r[IN1_S0 + e] +
                                   h[i + 2] * r[2 * IN1_S0 + e] + h[i + 3] * r[3 * IN1_S0 + e];
        }
    for (; i < UNITS; i++, u += IN1_S0)
        for (int g = 0; g < 4; g++)
            for (int e = 0; e < UNITS; e++)
                s[g * LINE + e] += h[i] * u[g * UNITS + e];
}

/* s becomes the gates; h and c the new states where the step counts. */
void cells_of_row(REAL *s, REAL *h, REAL *c, int live)
{
    for (int v = 0; v < LINE / 8; v++) {
        REAL8 i = SIGMOID(vload8(v, s)), f = SIGMOID(vload8(v, s + LINE)),
              g = tanh(vload8(v, s + 2 * LINE)), o = SIGMOID(vload8(v, s + 3 * LINE));
        REAL8 n = f * vload8(v, c) + i * g;

        vstore8(i, v, s);
        vstore8(f, v, s + LINE);
        vstore8(g, v, s + 2 * LINE);
        vstore8(o, v, s + 3 * LINE);
        if (!live) continue;
        vstore8(n, v, c);
        vstore8(o * tanh(n), v, h);
    }
}

void store_line(__global REAL *to, const REAL *from)
{
    for (int e = 0; e < UNITS; e++)
        to[e] = from[e];
}

__kernel void lstm_rows(WEFT_ARGS)
{
    REAL s[4 * LINE], h[LINE], c[LINE];
    ulong b = get_global_id(0);

    if (b >= IN0_D0) return;
    for (int e = 0; e < LINE; e++) {
        h[e] = e < UNITS ? FIRST_H(b, e) : 0;
        c[e] = e < UNITS ? FIRST_C(b, e) : 0;
    }
    for (long k = 0; k < STEPS; k++) {
        long t = TIME(k);
        __global const REAL *z = in0 + in0_offset + b * IN0_S0 + t * IN0_S1;

        for (int g = 0; g < 4; g++)
            for (int e = 0; e < LINE; e++)
                s[g * LINE + e] = e < UNITS ? z[g * UNITS + e] : 0;
        add_products(s, h, in1 + in1_offset);
        cells_of_row(s, h, c, LIVE(b, t));
#ifndef OUT0_ABSENT
        store_line(out0 + out0_offset + b * OUT0_S0 + k * OUT0_S1, h);
#endif
#ifndef OUT3_ABSENT
        for (int g = 0; g < 4; g++)
            store_line(out3 + out3_offset + b * OUT3_S0 + k * OUT3_S1 + g * UNITS, s + g * LINE);
#endif
#ifndef OUT4_ABSENT
        store_line(out4 + out4_offset + b * OUT4_S0 + k * OUT4_S1, c);
#endif
    }
#ifndef OUT1_ABSENT
    store_line(out1 + out1_offset + b * OUT1_S0, h);
#endif
#ifndef OUT2_ABSENT
    store_line(out2 + out2_offset + b * OUT2_S0, c);
#endif
}

#elif !defined(WEFT_CPU) && UNITS <= GPU_UNITS
#define GROUP ((UNITS + GROUP_STEP - 1) / GROUP_STEP * GROUP_STEP)
/* NDRange: one work-group a row of the batch, one work-item a unit; h passes through local memory.
 * Work-items beyond the units only wait. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void lstm_rows(WEFT_ARGS)
{
    __local REAL h[UNITS];
    ulong b = get_group_id(0), e = get_local_id(0);
    int mine = e < UNITS;
    REAL c = mine ? FIRST_C(b, e) : 0;

    if (mine) h[e] = FIRST_H(b, e);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (long k = 0; k < STEPS; k++) {
        long t = TIME(k);
        REAL next = 0;

        if (mine) {
            __global const REAL *z = in0 + in0_offset + b * IN0_S0 + t * IN0_S1 + e;
            __global const REAL *u = in1 + in1_offset + e;
            REAL i = z[0], f = z[UNITS], g = z[2 * UNITS], o = z[3 * UNITS];

            for (int r = 0; r < UNITS; r++, u += IN1_S0) {
                REAL v = h[r];

                i += v * u[0];
                f += v * u[UNITS];
                g += v * u[2 * UNITS];
                o += v * u[3 * UNITS];
            }
            i = SIGMOID(i);
            f = SIGMOID(f);
            g = tanh(g);
            o = SIGMOID(o);
#ifndef OUT3_ABSENT
            __global REAL *gates = out3 + out3_offset + b * OUT3_S0 + k * OUT3_S1 + e;

            gates[0] = i;
            gates[UNITS] = f;
            gates[2 * UNITS] = g;
            gates[3 * UNITS] = o;
#endif
            next = h[e];
            if (LIVE(b, t)) {
                c = f * c + i * g;
                next = o * tanh(c);
            }
#ifndef OUT0_ABSENT
            out0[out0_offset + b * OUT0_S0 + k * OUT0_S1 + e] = next;
#endif
#ifndef OUT4_ABSENT
            out4[out4_offset + b * OUT4_S0 + k * OUT4_S1 + e] = c;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (mine) h[e] = next;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (!mine) return;
#ifndef OUT1_ABSENT
    out1[out1_offset + b * OUT1_S0 + e] = h[e];
#endif
#ifndef OUT2_ABSENT
    out2[out2_offset + b * OUT2_S0 + e] = c;
#endif
}
#endif

/* One step: z, y, gates, cells and mask begin at it; s holds h u; h and c are the running states,
 * which lie in the results or in scratch memory. NDRange: one work-item a unit of a row. */
#ifdef OUT1_ABSENT
#define H_ROW UNITS
#else
#define H_ROW OUT1_S0
#endif
#ifdef OUT2_ABSENT
#define C_ROW UNITS
#else
#define C_ROW OUT2_S0
#endif

__kernel void lstm_cell(__global const REAL *z, ulong z_offset, __global const REAL *s,
                        ulong s_offset, __global REAL *h, ulong h_offset, __global REAL *c,
                        ulong c_offset, __global REAL *y, ulong y_offset, __global REAL *gates,
                        ulong gates_offset, __global REAL *cells, ulong cells_offset,
                        __global const uchar *mask, ulong mask_offset, long batch)
{
    ulong n = get_global_id(0), b = n / UNITS, e = n % UNITS;

    if (b >= IN0_D0) return;
    z += z_offset + b * IN0_S0 + e;
    s += s_offset + b * 4 * UNITS + e;
    h += h_offset + b * H_ROW + e;
    c += c_offset + b * C_ROW + e;
    REAL i = SIGMOID(z[0] + s[0]), f = SIGMOID(z[UNITS] + s[UNITS]);
    REAL g = tanh(z[2 * UNITS] + s[2 * UNITS]), o = SIGMOID(z[3 * UNITS] + s[3 * UNITS]);
    REAL h_new = *h, c_new = *c;

#ifndef IN4_ABSENT
    if (mask[mask_offset + b * IN4_S0])
#endif
    {
        c_new = f * c_new + i * g;
        h_new = o * tanh(c_new);
    }
    *h = h_new;
    *c = c_new;
#ifndef OUT0_ABSENT
    y[y_offset + b * OUT0_S0 + e] = h_new;
#endif
#ifndef OUT3_ABSENT
    gates += gates_offset + b * OUT3_S0 + e;
    gates[0] = i;
    gates[UNITS] = f;
    gates[2 * UNITS] = g;
    gates[3 * UNITS] = o;
#endif
#ifndef OUT4_ABSENT
    cells[cells_offset + b * OUT4_S0 + e] = c_new;
#endif
}
