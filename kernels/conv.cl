/* Cross-correlation, channels last, 1 to 3 spatial axes (fewer: the first are 1), groups, any
 * strides of memory, the epilogue in the last loop. Tap k of output place o sees input place
 * (o * S + k * D - P) / T where that is a whole number: T is 1 for conv; for conv_input_grad S is 1
 * and T are the strides of the convolution whose transpose it is. Outputs of the same rest by T, a
 * phase, see the same taps.
 *
 * In front stand, as numbers of this step: XD XH XW (input), OD OH OW (output), KD KH KW (filter),
 * SD SH SW (strides), DD DH DW (dilations), PD PH PW (zeros in front, perhaps less than none), TD
 * TH TW and GD GH GW (each G-th tap serves a phase), CG and FG (channels and filters of a group),
 * GROUPS; XN_S XD_S XH_S XW_S XC_S and ON_S .. OC_S, the strides of memory;
 * W_K(k) and W_F(f), where row k (tap by tap, channels innermost) and filter f of w lie; N
 * (images); THEN_AT(v, p, f) (pixel, filter); on CPUs WEFT_CPU WEFT_LANES REALV, VECTORS of a
 * panel of filters, TILE pixels of a tile and REST in a row's last one. Which of the kernels there
 * are: CONV_ROW, CONV_FLAT, CONV_DEPTH (CPUs), CONV_TILE (others, in tiles of up to WEFT_TILES);
 * conv_simple always. */
#include "tile.clh"

#define CONV_ARGS                                                                            \
    __global const REAL *restrict in0, ulong in0_offset, __global const REAL *restrict in1,  \
        ulong in1_offset, __global const REAL *restrict packed, ulong packed_offset,         \
        __global OUT0_TYPE *restrict out0, ulong out0_offset, WEFT_EXTRAS long first_packed, \
        long batch

#define IN(i, n) ((i) >= 0 && (i) < (n))
/* Is place t / T one of the n of the input? */
#define SEES(t, T, n) ((t) % T == 0 && IN((t) / T, n))
#define PHASES (TD * TH * TW)

/* NDRange (N * OD * OH * OW * filters), any groups: one item a result. What no other kernel is
 * for. */
__kernel void conv_simple(CONV_ARGS)
{
    const long at = get_global_id(0), f = at % (GROUPS * FG), p = at / (GROUPS * FG), g = f / FG;
    const long ow = p % OW, oh = p / OW % OH, od = p / OW / OH % OD, n = p / OW / OH / OD;
    REAL sum = 0;
    if (n >= N) return;
    in0 += in0_offset + n * XN_S + g * CG * XC_S;
    in1 += in1_offset + W_F(f);
    for (long kd = 0; kd < KD; kd++) {
        const long td = od * SD - PD + kd * DD;
        if (!SEES(td, TD, XD)) continue;
        for (long kh = 0; kh < KH; kh++) {
            const long th = oh * SH - PH + kh * DH;
            if (!SEES(th, TH, XH)) continue;
            for (long kw = 0; kw < KW; kw++) {
                const long tw = ow * SW - PW + kw * DW, k = ((kd * KH + kh) * KW + kw) * CG;
                if (!SEES(tw, TW, XW)) continue;
                __global const REAL *x = in0 + td / TD * XD_S + th / TH * XH_S + tw / TW * XW_S;
                for (long c = 0; c < CG; c++)
                    sum = fma(x[c * XC_S], in1[W_K(k + c)], sum);
            }
        }
    }
    out0[out0_offset + n * ON_S + od * OD_S + oh * OH_S + ow * OW_S + f * OC_S] =
        THEN_AT(sum, p, f);
}

#ifdef WEFT_CPU
#define PANEL (VECTORS * WEFT_LANES)
#define PANELS ((FG + PANEL - 1) / PANEL)

/* NDRange (panels from first_packed on, blocks of 64 rows of w, groups), groups of one: panel
 * after panel, each KD * KH * KW * CG rows of PANEL filters, 0 beyond FG. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_pack(
    __global const REAL *restrict in1, ulong in1_offset, __global REAL *restrict packed,
    ulong packed_offset, long first_packed, long batch)
{
    const long rows = KD * KH * KW * CG, g = get_global_id(2), q = get_global_id(0);
    const long k0 = get_global_id(1) * 64, k1 = min(k0 + 64, rows), f0 = (q + first_packed) * PANEL;
    in1 += in1_offset;
    packed += packed_offset + (g * get_global_size(0) + q) * rows * PANEL;
    for (long k = k0; k < k1; k++)
        for (int j = 0; j < PANEL; j++)
            packed[k * PANEL + j] = f0 + j < FG ? in1[W_K(k) + W_F(g * FG + f0 + j)] : 0;
}

#ifndef CONV_DEPTH
#ifdef CONV_ROW
/* One tap, all channels, mr pixels at equal distances: no pixel outside. */
INLINE void tap_inside(const int mr, __global const REAL *x, __global const REAL *w, long w_step,
                       REALV acc[TILE][VECTORS])
{
    for (long c = 0; c < CG; c++) {
        REALV b[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            b[v] = LOAD(w + v * WEFT_LANES);
#pragma unroll
        for (int r = 0; r < mr; r++) {
            const REALV a = (REALV)(x[r * (SW * XW_S)]);
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                acc[r][v] = fma(a, b[v], acc[r][v]);
        }
        x += XC_S;
        w += w_step;
    }
}

#endif

/* The same for pixels anywhere: at[r] is always a place in x, what it holds counts if ok[r]. */
INLINE void tap_any(const int mr, __global const REAL *x, const long *at, const int *ok,
                    __global const REAL *w, long w_step, REALV acc[TILE][VECTORS])
{
    for (long c = 0; c < CG; c++) {
        REALV b[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            b[v] = LOAD(w + v * WEFT_LANES);
#pragma unroll
        for (int r = 0; r < mr; r++) {
            const REAL value = x[at[r]];
            const REALV a = (REALV)(ok[r] ? value : 0);
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                acc[r][v] = fma(a, b[v], acc[r][v]);
        }
        x += XC_S;
        w += w_step;
    }
}

#ifdef CONV_ROW
/* mr pixels of an output row from ow0 on, TW apart, all taps, into tile. The usual padding leaves
 * out the first pixel of a tile or the last one: those taps run at full speed, too. */
INLINE void row_tile(const int mr, __global const REAL *x, __global const REAL *w, long w_step,
                     long od, long oh, long ow0, REAL *tile)
{
    REALV acc[TILE][VECTORS];
#pragma unroll
    for (int r = 0; r < mr; r++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = (REALV)(0);
    for (long kd = 0; kd < KD; kd++) {
        const long td = od * SD - PD + kd * DD;
        if (!SEES(td, TD, XD)) continue;
        for (long kh = 0; kh < KH; kh++) {
            const long th = oh * SH - PH + kh * DH;
            if (!SEES(th, TH, XH)) continue;
            __global const REAL *line = x + td / TD * XD_S + th / TH * XH_S;
            for (long kw = 0; kw < KW; kw++) {
                const long tw = ow0 * SW - PW + kw * DW, iw = tw / TW;
                if (tw % TW) continue;
                __global const REAL *right = w + ((kd * KH + kh) * KW + kw) * CG * w_step;
                const int left = iw < 0, right_end = iw + (mr - 1) * SW >= XW;
                if (!left && !right_end) {
                    tap_inside(mr, line + iw * XW_S, right, w_step, acc);
                } else if (PW > 0 && mr > 1 && !right_end && iw + SW >= 0) {
                    tap_inside(mr - 1, line + (iw + SW) * XW_S, right, w_step, acc + 1);
                } else if (mr > 1 && !left && iw + (mr - 2) * SW < XW) {
                    tap_inside(mr - 1, line + iw * XW_S, right, w_step, acc);
                } else {
                    long at[TILE];
                    int ok[TILE];
#pragma unroll
                    for (int r = 0; r < mr; r++) {
                        ok[r] = IN(iw + r * SW, XW);
                        at[r] = ok[r] ? (iw + r * SW) * XW_S : 0;
                    }
                    tap_any(mr, line, at, ok, right, w_step, acc);
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < mr; r++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            STORE(acc[r][v], tile + r * PANEL + v * WEFT_LANES);
}

#endif

/* In the scope of a kernel: filters of the panel for pixel p, which lies at y. */
#define STORE_PIXEL(r, p, y)        \
    for (long j = 0; j < left; j++) \
        (y)[j * OC_S] = THEN_AT(tile[(r)*PANEL + j], p, f0 + j);

#define PANEL_OF(index)                                                                           \
    const long g = (index) / PANELS, q = (index) % PANELS, f0 = g * FG + q * PANEL;               \
    const long left = min(FG - q * PANEL, (long)PANEL);                                           \
    __global const REAL *w =                                                                      \
        q < first_packed                                                                          \
            ? in1 + in1_offset + W_F(f0)                                                          \
            : packed + packed_offset +                                                            \
                  (g * (PANELS - first_packed) + q - first_packed) * (KD * KH * KW * CG * PANEL); \
    const long w_step = q < first_packed ? W_K(1) : PANEL;                                        \
    REAL tile[TILE * PANEL];

#ifdef CONV_ROW
/* NDRange (tiles of a row, TW phases of each, N * OD * OH rows, panels of all groups), groups of
 * one. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_row(CONV_ARGS)
{
    const long line = get_global_id(1), tile_of_row = get_global_id(0);
    const long ow0 = tile_of_row / TW * (TILE * TW) + tile_of_row % TW;
    const long pixels = (OW - ow0 + TW - 1) / TW; /* of the row from ow0 on */
    const long oh = line % OH, od = line / OH % OD, n = line / OH / OD;
    PANEL_OF(get_global_id(2))
    __global const REAL *x = in0 + in0_offset + n * XN_S + g * CG * XC_S;
    __global OUT0_TYPE *y = out0 + out0_offset + n * ON_S + od * OD_S + oh * OH_S + f0 * OC_S;
    if (pixels <= 0) return;
    if (pixels >= TILE)
        row_tile(TILE, x, w, w_step, od, oh, ow0, tile);
    else
        row_tile(REST, x, w, w_step, od, oh, ow0, tile);
    for (int r = 0; r < min(pixels, (long)TILE); r++)
        STORE_PIXEL(r, line * OW + ow0 + r * TW, y + (ow0 + r * TW) * OW_S)
}

#elif defined(CONV_FLAT)
/* NDRange (blocks of TILE pixels of N * OD * OH * OW, 1, panels of all groups), groups of one: for
 * rows that are too short to be cut into tiles. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_flat(CONV_ARGS)
{
    const long p0 = get_global_id(0) * TILE, pixels = N * OD * OH * OW;
    long n[TILE], d[TILE], h[TILE], v[TILE];
    REALV acc[TILE][VECTORS];
    PANEL_OF(get_global_id(2))
    __global const REAL *x = in0 + in0_offset + g * CG * XC_S;
#pragma unroll
    for (int r = 0; r < TILE; r++) {
        const long p = min(p0 + r, pixels - 1);
        n[r] = p / OW / OH / OD;
        d[r] = p / OW / OH % OD;
        h[r] = p / OW % OH;
        v[r] = p % OW;
#pragma unroll
        for (int k = 0; k < VECTORS; k++)
            acc[r][k] = (REALV)(0);
    }
    for (long kd = 0; kd < KD; kd++)
        for (long kh = 0; kh < KH; kh++)
            for (long kw = 0; kw < KW; kw++) {
                long at[TILE];
                int ok[TILE], any = 0;
#pragma unroll
                for (int r = 0; r < TILE; r++) {
                    const long td = d[r] * SD - PD + kd * DD, th = h[r] * SH - PH + kh * DH;
                    const long tw = v[r] * SW - PW + kw * DW;
                    ok[r] = SEES(td, TD, XD) && SEES(th, TH, XH) && SEES(tw, TW, XW);
                    at[r] = n[r] * XN_S +
                            (ok[r] ? td / TD * XD_S + th / TH * XH_S + tw / TW * XW_S : 0);
                    any |= ok[r];
                }
                if (!any) continue;
                tap_any(TILE, x, at, ok, w + ((kd * KH + kh) * KW + kw) * CG * w_step, w_step, acc);
            }
#pragma unroll
    for (int r = 0; r < TILE; r++)
#pragma unroll
        for (int k = 0; k < VECTORS; k++)
            STORE(acc[r][k], tile + r * PANEL + k * WEFT_LANES);
    for (int r = 0; r < TILE && p0 + r < pixels; r++) {
        __global OUT0_TYPE *y =
            out0 + out0_offset + f0 * OC_S + n[r] * ON_S + d[r] * OD_S + h[r] * OH_S + v[r] * OW_S;
        STORE_PIXEL(r, p0 + r, y)
    }
}
#endif
#endif

#ifdef CONV_DEPTH
#define WIDE 32
/* NDRange (blocks of WIDE channels, N * OD * OH rows), groups of one: a filter a channel, CG and
 * FG are 1. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_depth(CONV_ARGS)
{
    const long c0 = get_global_id(0) * WIDE, line = get_global_id(1);
    const long oh = line % OH, od = line / OH % OD, n = line / OH / OD;
    const int size = min(GROUPS - c0, (long)WIDE);
    in0 += in0_offset + n * XN_S + c0 * XC_S;
    in1 += in1_offset;
    out0 += out0_offset + n * ON_S + od * OD_S + oh * OH_S + c0 * OC_S;
    for (long ow = 0; ow < OW; ow++) {
        REAL sum[WIDE];
        for (int l = 0; l < WIDE; l++)
            sum[l] = 0;
        for (long kd = 0; kd < KD; kd++)
            for (long kh = 0; kh < KH; kh++)
                for (long kw = 0; kw < KW; kw++) {
                    const long td = od * SD - PD + kd * DD, th = oh * SH - PH + kh * DH;
                    const long tw = ow * SW - PW + kw * DW;
                    if (!SEES(td, TD, XD) || !SEES(th, TH, XH) || !SEES(tw, TW, XW)) continue;
                    __global const REAL *x = in0 + td / TD * XD_S + th / TH * XH_S + tw / TW * XW_S;
                    __global const REAL *w = in1 + W_K((kd * KH + kh) * KW + kw);
                    if (size == WIDE) {
#pragma unroll
                        for (int l = 0; l < WIDE; l++)
                            sum[l] = fma(x[l * XC_S], w[W_F(c0 + l)], sum[l]);
                    } else {
                        for (int l = 0; l < size; l++)
                            sum[l] = fma(x[l * XC_S], w[W_F(c0 + l)], sum[l]);
                    }
                }
        for (int l = 0; l < size; l++)
            out0[ow * OW_S + l * OC_S] = THEN_AT(sum[l], line * OW + ow, c0 + l);
    }
}
#endif

#elif defined(CONV_TILE)
/* Of the taps along an axis a phase, whose first output sees `at`, uses those from `first` on, each
 * G-th; it may use none. */
INLINE long first_tap(long at, long D, long T, long G)
{
    long tap = 0;
    while (tap < G && (at + tap * D) % T != 0)
        tap++;
    return tap;
}
INLINE long count_taps(long first, long G, long K)
{
    return first < G && first < K ? (K - first - 1) / G + 1 : 0;
}

/* Row k of those, in w. */
#define ROW_OF_W(k)                                                                             \
    (PHASES == 1 ? (k)                                                                          \
                 : (((jd + (k) / CG / nw / nh * GD) * KH + jh + (k) / CG / nw % nh * GH) * KW + \
                    jw + (k) / CG % nw * GW) *                                                  \
                           CG +                                                                 \
                       (k) % CG)

/* Implicit matrix product: pixels by filters through local memory. A group of 16 x 16 items makes
 * a tile of side = 16 * P pixels and filters, P x P results an item: pixels q * 64 + y * 4 + 0..3,
 * filters q * 64 + x * 4 + 0..3, q < P / 4. Item (x, y) fetches k = x of pixels y + 16 * e, and
 * filters. All pixels are of one phase, and numbered in it. */
#define TILE_OF(P)                                                                              \
    __local REAL4 sa[DEPTH * (4 * P + 1)], sb[DEPTH * (4 * P + 1)];                             \
    __local REAL *la = (__local REAL *)sa, *lb = (__local REAL *)sb;                            \
    const int x = get_local_id(0), y = get_local_id(1), item = y * 16 + x;                      \
    const long phase = get_group_id(2), od0 = phase / TW / TH, oh0 = phase / TW % TH;           \
    const long ow0 = phase % TW, QD = (OD - od0 + TD - 1) / TD, QH = (OH - oh0 + TH - 1) / TH;  \
    const long QW = (OW - ow0 + TW - 1) / TW, pixels = N * QD * QH * QW;                        \
    const long jd = first_tap(od0 * SD - PD, DD, TD, GD), nd = count_taps(jd, GD, KD);          \
    const long jh = first_tap(oh0 * SH - PH, DH, TH, GH), nh = count_taps(jh, GH, KH);          \
    const long jw = first_tap(ow0 * SW - PW, DW, TW, GW), nw = count_taps(jw, GW, KW);          \
    const long rows = nd * nh * nw * CG;                                                        \
    const long tiles = (FG + 16 * P - 1) / (16 * P);                                            \
    const long g = get_group_id(1) / tiles, p0 = get_group_id(0) * 16 * P;                      \
    const long q0 = get_group_id(1) % tiles * 16 * P, f0 = g * FG + q0;                         \
    long base[P], d[P], h[P], v[P];                                                             \
    REAL acc[P][P];                                                                             \
    if (p0 >= pixels) return;                                                                   \
    in0 += in0_offset + g * CG * XC_S;                                                          \
    in1 += in1_offset;                                                                          \
    _Pragma("unroll") for (int e = 0; e < P; e++)                                               \
    {                                                                                           \
        const long p = min(p0 + y + 16 * e, pixels - 1);                                        \
        base[e] = p / QW / QH / QD * XN_S;                                                      \
        d[e] = (p / QW / QH % QD * TD + od0) * SD - PD;                                         \
        h[e] = (p / QW % QH * TH + oh0) * SH - PH;                                              \
        v[e] = (p % QW * TW + ow0) * SW - PW;                                                   \
        _Pragma("unroll") for (int j = 0; j < P; j++) acc[e][j] = 0;                            \
    }                                                                                           \
    for (long k0 = 0; k0 < rows; k0 += DEPTH) {                                                 \
        const long k = k0 + x, c = k % CG, t = k / CG;                                          \
        const long kd = (jd + t / nw / nh * GD) * DD;                                           \
        const long kh = (jh + t / nw % nh * GH) * DH;                                           \
        const long kw = (jw + t % nw * GW) * DW;                                                \
        _Pragma("unroll") for (int e = 0; e < P; e++)                                           \
        {                                                                                       \
            const long id = (d[e] + kd) / TD, ih = (h[e] + kh) / TH, iw = (v[e] + kw) / TW;     \
            const int there = k < rows && d[e] + kd >= 0 && h[e] + kh >= 0 && v[e] + kw >= 0 && \
                              id < XD && ih < XH && iw < XW;                                    \
            la[x * (16 * P + 4) + y + 16 * e] =                                                 \
                there ? in0[base[e] + id * XD_S + ih * XH_S + iw * XW_S + c * XC_S] : 0;        \
        }                                                                                       \
        _Pragma("unroll") for (int e = 0; e < P; e++)                                           \
        {                                                                                       \
            const int at = e * 256 + item, i = at / (16 * P), l = at % (16 * P);                \
            const int there = k0 + i < rows && q0 + l < FG;                                     \
            lb[i * (16 * P + 4) + l] = there ? in1[W_K(ROW_OF_W(k0 + i)) + W_F(f0 + l)] : 0;    \
        }                                                                                       \
        barrier(CLK_LOCAL_MEM_FENCE);                                                           \
        TILE_PRODUCT(P, sa, sb, x, y, acc)                                                      \
        barrier(CLK_LOCAL_MEM_FENCE);                                                           \
    }                                                                                           \
    _Pragma("unroll") for (int r = 0; r < P; r++)                                               \
    {                                                                                           \
        const long p = p0 + r / 4 * 64 + y * 4 + r % 4;                                         \
        const long ow = p % QW * TW + ow0, oh = p / QW % QH * TH + oh0;                         \
        const long od = p / QW / QH % QD * TD + od0, n = p / QW / QH / QD;                      \
        __global OUT0_TYPE *to =                                                                \
            out0 + out0_offset + n * ON_S + od * OD_S + oh * OH_S + ow * OW_S;                  \
        _Pragma("unroll") for (int j = 0; j < P; j++)                                           \
        {                                                                                       \
            const long q = j / 4 * 64 + x * 4 + j % 4;                                          \
            if (p < pixels && q0 + q < FG)                                                      \
                to[(f0 + q) * OC_S] = THEN_AT(                                                  \
                    acc[r][j], PHASES == 1 ? p : ((n * OD + od) * OH + oh) * OW + ow, f0 + q);  \
        }                                                                                       \
    }

/* NDRange (16 * tiles of 64 pixels of a phase, 16 * tiles of 64 filters of all groups, PHASES),
 * groups of 16 x 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void conv_64(CONV_ARGS)
{
    TILE_OF(4)
}

#if WEFT_TILES >= 128
/* NDRange (16 * tiles of 128 pixels of a phase, 16 * tiles of 128 filters of all groups, PHASES),
 * groups of 16 x 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void conv_128(CONV_ARGS)
{
    TILE_OF(8)
}
#endif
#endif
