/* dw[k, c, f] = sum over all pixels of x, where tap k of the pixel sees it, times dy: the transpose
 * of conv in its filter, channels last, 1 to 3 spatial axes (fewer: the first are 1), groups, any
 * strides of memory of x and dy.
 *
 * In front stand, as numbers of this step, those of conv.cl: XD .. XW (x), OD .. (dy), KD .. (dw),
 * SD .. (strides), DD .. (dilations), PD .. (zeros in front), CG, FG, GROUPS, N, XN_S .. XC_S and
 * ON_S .. OC_S. On CPUs WEFT_CPU WEFT_LANES REALV, and the tiles of dw: VECTORS of a panel of
 * filters; TAPS taps of a row of them and CHANS channels, all of them if TAPS > 1, and what is left
 * of rows of numbers for the last one, LAST. Which of the kernels there are: GRAD_TILE (with
 * WEFT_CPU, or in tiles of up to WEFT_TILES), GRAD_DEPTH (CPUs); conv_filter_simple always.
 *
 * Pixels are cut into parts of `span` each (on CPUs of whole rows: `span` of them); one part writes
 * dw, more write to `sums`, each its own, and conv_filter_sum adds them, first to last. */
#include "tile.clh"

#define GRAD_ARGS                                                                           \
    __global const REAL *restrict in0, ulong in0_offset, __global const REAL *restrict in1, \
        ulong in1_offset, __global REAL *restrict sums, ulong sums_offset,                  \
        __global REAL *restrict out0, ulong out0_offset, long span, long parts, long batch

#define IN(i, n) ((i) >= 0 && (i) < (n))
#define FILTERS (GROUPS * FG)
#define ROWS_OF_W (KD * KH * KW * CG)
#define ROWS_OF_DY (N * OD * OH)

/* Where part p of dw is made. */
#define DW_OF(p) (parts > 1 ? sums + sums_offset + (p) * (ROWS_OF_W * FILTERS) : out0 + out0_offset)

/* NDRange (numbers of dw), any groups. */
__kernel void conv_filter_sum(GRAD_ARGS)
{
    const long i = get_global_id(0);
    if (i >= ROWS_OF_W * FILTERS) return;
    REAL sum = 0;
    sums += sums_offset + i;
    for (long p = 0; p < parts; p++)
        sum += sums[p * (ROWS_OF_W * FILTERS)];
    out0[out0_offset + i] = sum;
}

/* The pixels of a row that tap kw sees inside x: lo .. hi - 1. */
INLINE long first_pixel(long kw)
{
    const long before = PW - kw * DW;
    return before <= 0 ? 0 : min((long)OW, (before + SW - 1) / SW);
}
INLINE long end_pixel(long kw)
{
    const long room = XW - 1 + PW - kw * DW;
    return room < 0 ? 0 : min((long)OW, room / SW + 1);
}

/* NDRange (numbers of dw, parts of span rows), any groups: what no other kernel is for. */
__kernel void conv_filter_simple(GRAD_ARGS)
{
    const long at = get_global_id(0), f = at % FILTERS, k = at / FILTERS, part = get_global_id(1);
    const long c = k % CG, kw = k / CG % KW, kh = k / CG / KW % KH, kd = k / CG / KW / KH;
    const long lo = first_pixel(kw), hi = end_pixel(kw);
    REAL sum = 0;
    if (at >= ROWS_OF_W * FILTERS) return;
    in0 += in0_offset + (f / FG * CG + c) * XC_S + (kw * DW - PW) * XW_S;
    in1 += in1_offset + f * OC_S;
    for (long line = part * span; line < min((part + 1) * span, ROWS_OF_DY); line++) {
        const long oh = line % OH, od = line / OH % OD, n = line / OH / OD;
        const long id = od * SD - PD + kd * DD, ih = oh * SH - PH + kh * DH;
        if (!IN(id, XD) || !IN(ih, XH)) continue;
        __global const REAL *x = in0 + n * XN_S + id * XD_S + ih * XH_S;
        __global const REAL *y = in1 + n * ON_S + od * OD_S + oh * OH_S;
        for (long ow = lo; ow < hi; ow++)
            sum = fma(x[ow * (SW * XW_S)], y[ow * OW_S], sum);
    }
    DW_OF(part)[at] = sum;
}

#if defined(WEFT_CPU) && defined(GRAD_TILE)
#define PANEL (VECTORS * WEFT_LANES)
#define PANELS ((FG + PANEL - 1) / PANEL)
#define ROWS (TAPS * CHANS)
#define TILES_C ((CG + CHANS - 1) / CHANS)
#define TILES_W ((KW + TAPS - 1) / TAPS)
/* Of row r of a tile, its place behind that of row 0. */
#define ROW_AT(r) ((r) / CHANS * (DW * XW_S) + (r) % CHANS * XC_S)

/* Where dy ends, from in1_offset on: panels are read beyond their filters, not beyond that. */
#define DY_END ((N - 1) * ON_S + (OD - 1) * OD_S + (OH - 1) * OH_S + (OW - 1) * OW_S + FILTERS)

/* count pixels in a row, all seen by all rows of the tile. */
INLINE void pixels_inside(const int mr, __global const REAL *x, __global const REAL *y, long count,
                          REALV acc[ROWS][VECTORS])
{
    for (long p = 0; p < count; p++) {
        REALV b[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            b[v] = LOAD(y + v * WEFT_LANES);
#pragma unroll
        for (int r = 0; r < mr; r++) {
            const REALV a = (REALV)(x[ROW_AT(r)]);
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                acc[r][v] = fma(a, b[v], acc[r][v]);
        }
        x += SW * XW_S;
        y += OW_S;
    }
}

/* The same for any pixels, the first one's tap 0 at place iw of its row, and `left` filters. */
INLINE void pixels_any(const int mr, __global const REAL *x, __global const REAL *y, long count,
                       long iw, long left, REALV acc[ROWS][VECTORS])
{
    for (long p = 0; p < count; p++, iw += SW) {
        REAL filters[PANEL];
        for (int j = 0; j < PANEL; j++)
            filters[j] = j < left ? y[p * OW_S + j * OC_S] : 0;
#pragma unroll
        for (int r = 0; r < mr; r++) {
            const int there = IN(iw + r / CHANS * DW, XW);
            const REAL value = there ? x[p * (SW * XW_S) + ROW_AT(r)] : 0;
            const REALV a = (REALV)(value);
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                acc[r][v] = fma(a, LOAD(filters + v * WEFT_LANES), acc[r][v]);
        }
    }
}

/* What a work-item does: taps (kd, kh, kw0 ..), channels in x, filters f0 .. in y, rows of dy. */
typedef struct weft_tile {
    long kd, kh, kw0, f0, left, line, end, dy_end;
} weft_tile;

INLINE void tile_of(const int mr, const weft_tile *t, __global const REAL *in0,
                    __global const REAL *in1, REAL *tile)
{
    const int taps = (mr + CHANS - 1) / CHANS;
    const long start = t->kw0 * DW - PW;
    /* lo .. hi: all taps see something; from .. to: some of them */
    const long lo = first_pixel(t->kw0), hi = max(lo, end_pixel(t->kw0 + taps - 1));
    const long from = min(lo, first_pixel(t->kw0 + taps - 1)), to = max(hi, end_pixel(t->kw0));
    REALV acc[ROWS][VECTORS];
#pragma unroll
    for (int r = 0; r < mr; r++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = (REALV)(0);
    for (long line = t->line; line < t->end; line++) {
        const long oh = line % OH, od = line / OH % OD, n = line / OH / OD;
        const long id = od * SD - PD + t->kd * DD, ih = oh * SH - PH + t->kh * DH;
        if (!IN(id, XD) || !IN(ih, XH)) continue;
        const long y_at = n * ON_S + od * OD_S + oh * OH_S + t->f0 * OC_S;
        __global const REAL *x = in0 + n * XN_S + id * XD_S + ih * XH_S + start * XW_S;
        __global const REAL *y = in1 + y_at;
        const int whole = OC_S == 1 && y_at + (hi - 1) * OW_S + PANEL <= t->dy_end;
        const long in_from = whole ? lo : to, in_to = whole ? hi : to;
        pixels_any(mr, x + from * (SW * XW_S), y + from * OW_S, in_from - from, from * SW + start,
                   t->left, acc);
        pixels_inside(mr, x + in_from * (SW * XW_S), y + in_from * OW_S, in_to - in_from, acc);
        pixels_any(mr, x + in_to * (SW * XW_S), y + in_to * OW_S, to - in_to, in_to * SW + start,
                   t->left, acc);
    }
#pragma unroll
    for (int r = 0; r < mr; r++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            STORE(acc[r][v], tile + r * PANEL + v * WEFT_LANES);
}

/* NDRange (KD * KH * TILES_W * TILES_C tiles, panels of all groups, parts of span rows of dy),
 * groups of one. A part is so small that it stays in the cache while the tiles go by. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_filter_tile(GRAD_ARGS)
{
    const long at = get_global_id(0), part = get_global_id(2);
    const long c0 = at % TILES_C * CHANS, q = get_global_id(1) % PANELS * PANEL;
    const long g = get_global_id(1) / PANELS, line = part * span;
    const weft_tile t = { at / TILES_C / TILES_W / KH,   at / TILES_C / TILES_W % KH,
                          at / TILES_C % TILES_W * TAPS, g * FG + q,
                          min(FG - q, (long)PANEL),      line,
                          min(line + span, ROWS_OF_DY),  DY_END };
    const long k = ((t.kd * KH + t.kh) * KW + t.kw0) * CG + c0;
    const int last = TAPS > 1 ? t.kw0 + TAPS >= KW : c0 + CHANS >= CG;
    __global REAL *dw = DW_OF(part) + k * FILTERS + t.f0;
    REAL tile[ROWS * PANEL];
    in0 += in0_offset + (g * CG + c0) * XC_S;
    in1 += in1_offset;
    if (last)
        tile_of(LAST, &t, in0, in1, tile);
    else
        tile_of(ROWS, &t, in0, in1, tile);
    for (int r = 0; r < (last ? LAST : ROWS); r++)
        for (long j = 0; j < t.left; j++)
            dw[r * FILTERS + j] = tile[r * PANEL + j];
}
#endif

#ifdef GRAD_DEPTH
#define WIDE 32
/* NDRange (blocks of WIDE channels, taps, parts of span rows of dy), groups of one: a filter a
 * channel, CG and FG are 1. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_filter_depth(GRAD_ARGS)
{
    const long c0 = get_global_id(0) * WIDE, k = get_global_id(1), part = get_global_id(2);
    const long kw = k % KW, kh = k / KW % KH, kd = k / KW / KH;
    const long lo = first_pixel(kw), hi = end_pixel(kw);
    const int size = min(GROUPS - c0, (long)WIDE);
    __global REAL *dw = DW_OF(part) + k * FILTERS + c0;
    REAL sum[WIDE];
    for (int l = 0; l < WIDE; l++)
        sum[l] = 0;
    in0 += in0_offset + c0 * XC_S + (kw * DW - PW) * XW_S;
    in1 += in1_offset + c0 * OC_S;
    for (long line = part * span; line < min((part + 1) * span, ROWS_OF_DY); line++) {
        const long oh = line % OH, od = line / OH % OD, n = line / OH / OD;
        const long id = od * SD - PD + kd * DD, ih = oh * SH - PH + kh * DH;
        if (!IN(id, XD) || !IN(ih, XH)) continue;
        for (long ow = lo; ow < hi; ow++) {
            __global const REAL *x = in0 + n * XN_S + id * XD_S + ih * XH_S + ow * (SW * XW_S);
            __global const REAL *y = in1 + n * ON_S + od * OD_S + oh * OH_S + ow * OW_S;
            if (size == WIDE) {
#pragma unroll
                for (int l = 0; l < WIDE; l++)
                    sum[l] = fma(x[l * XC_S], y[l * OC_S], sum[l]);
            } else {
                for (int l = 0; l < size; l++)
                    sum[l] = fma(x[l * XC_S], y[l * OC_S], sum[l]);
            }
        }
    }
    for (int l = 0; l < size; l++)
        dw[l] = sum[l];
}
#endif

#if !defined(WEFT_CPU) && defined(GRAD_TILE)
/* Implicit matrix product: rows of dw by filters, through local memory. A group of 16 x 16 items
 * makes a tile of side = 16 * P rows and filters, P x P results an item: rows q * 64 + y * 4 +
 * 0..3, filters q * 64 + x * 4 + 0..3, q < P / 4. For DEPTH pixels at a time the first items find
 * out where they lie; then each item fetches one row and one filter of P pixels. */
#define TILE_OF(P)                                                                                 \
    __local REAL4 sa[DEPTH * (4 * P + 1)], sb[DEPTH * (4 * P + 1)];                                \
    __local REAL *la = (__local REAL *)sa, *lb = (__local REAL *)sb;                               \
    __local long xn[DEPTH], yn[DEPTH], pd[DEPTH], ph[DEPTH], pw[DEPTH];                            \
    const int x = get_local_id(0), y = get_local_id(1), item = y * 16 + x, l = item % (16 * P);    \
    const long tiles = (FG + 16 * P - 1) / (16 * P), g = get_group_id(1) / tiles;                  \
    const long q0 = get_group_id(1) % tiles * 16 * P, f0 = g * FG + q0;                            \
    const long k0 = get_group_id(0) * 16 * P, k = k0 + l, t = k / CG;                              \
    const long kd = t / KW / KH * DD - PD, kh = t / KW % KH * DH - PH, kw = t % KW * DW - PW;      \
    const long part = get_group_id(2), begin = part * span;                                        \
    const long end = min(begin + span, (long)(N * OD * OH * OW));                                  \
    __global REAL *dw = DW_OF(part);                                                               \
    REAL acc[P][P];                                                                                \
    in0 += in0_offset + (g * CG + k % CG) * XC_S;                                                  \
    in1 += in1_offset + (f0 + l) * OC_S;                                                           \
    _Pragma("unroll") for (int r = 0; r < P; r++) _Pragma("unroll") for (int j = 0; j < P; j++)    \
        acc[r][j] = 0;                                                                             \
    for (long p0 = begin; p0 < end; p0 += DEPTH) {                                                 \
        if (item < DEPTH) {                                                                        \
            const long p = min(p0 + item, end - 1);                                                \
            const long ow = p % OW, oh = p / OW % OH, od = p / OW / OH % OD, n = p / OW / OH / OD; \
            xn[item] = n * XN_S;                                                                   \
            yn[item] = n * ON_S + od * OD_S + oh * OH_S + ow * OW_S;                               \
            pd[item] = od * SD;                                                                    \
            ph[item] = oh * SH;                                                                    \
            pw[item] = ow * SW;                                                                    \
        }                                                                                          \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        _Pragma("unroll") for (int e = 0; e < P; e++)                                              \
        {                                                                                          \
            const int i = (e * 256 + item) / (16 * P);                                             \
            const long id = pd[i] + kd, ih = ph[i] + kh, iw = pw[i] + kw;                          \
            const int there = p0 + i < end;                                                        \
            const int seen = k < ROWS_OF_W && IN(id, XD) && IN(ih, XH) && IN(iw, XW);              \
            la[i * (16 * P + 4) + l] =                                                             \
                there && seen ? in0[xn[i] + id * XD_S + ih * XH_S + iw * XW_S] : 0;                \
            lb[i * (16 * P + 4) + l] = there && q0 + l < FG ? in1[yn[i]] : 0;                      \
        }                                                                                          \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        TILE_PRODUCT(P, sa, sb, x, y, acc)                                                         \
    }                                                                                              \
    _Pragma("unroll") for (int r = 0; r < P; r++) _Pragma("unroll") for (int j = 0; j < P; j++)    \
    {                                                                                              \
        const long row = k0 + r / 4 * 64 + y * 4 + r % 4, q = j / 4 * 64 + x * 4 + j % 4;          \
        if (row < ROWS_OF_W && q0 + q < FG) dw[row * FILTERS + f0 + q] = acc[r][j];                \
    }

/* NDRange (16 * tiles of 64 rows, 16 * tiles of 64 filters of all groups, parts of span pixels),
 * groups of 16 x 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void conv_filter_64(GRAD_ARGS)
{
    TILE_OF(4)
}

#if WEFT_TILES >= 128
/* NDRange (16 * tiles of 128 rows, 16 * tiles of 128 filters of all groups, parts of span pixels),
 * groups of 16 x 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void conv_filter_128(GRAD_ARGS)
{
    TILE_OF(8)
}
#endif
#endif
