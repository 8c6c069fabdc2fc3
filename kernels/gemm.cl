/* c = THEN(alpha a b + beta c): matrix products with any strides and the epilogue in the last
 * loop.
 *
 * In front stand: REAL, OUT0_TYPE, WEFT_EXTRAS, THEN_AT(v, z, r, c) (product z of a batch, row,
 * column), and A_BATCH(z), B_BATCH(z), C_BATCH(z), where the matrices of product z lie; on CPUs
 * WEFT_CPU, WEFT_LANES, REALV, a vector of that many REAL, and WEFT_ROWS, 6 or 12 (what the
 * registers hold); on others WEFT_TILES, the side of the largest tiles that there is room for, if
 * any.
 *
 * CPUs: one work-item computes a tile of ROWS rows and one panel of 2 * WEFT_LANES columns in
 * registers. Others: a work-group computes a tile through local memory, or a work-item one result.
 */
#include "tile.clh"

#define GEMM_ARGS                                                                               \
    __global const REAL *restrict a, ulong a_offset, __global const REAL *restrict b,           \
        ulong b_offset, __global const REAL *restrict w, ulong w_offset,                        \
        __global OUT0_TYPE *restrict c, ulong c_offset, WEFT_EXTRAS long m, long n, long k,     \
        long a_rs, long a_cs, long b_rs, long b_cs, long c_rs, long c_cs, long a_sz, long b_sz, \
        long c_sz, long first_packed, long blocks, REAL alpha, REAL beta, long batch

/* One result, in the scope of a kernel: v is the sum, at row r and column j of product z. */
#define FINISH(v, z, r, j)                                \
    {                                                     \
        __global OUT0_TYPE *at = c + (r)*c_rs + (j)*c_cs; \
        REAL v_ = alpha * (v);                            \
        if (beta != 0) v_ += beta * (REAL)*at;            \
        *at = THEN_AT(v_, z, r, j);                       \
    }

#ifdef WEFT_CPU
#define PANEL (2 * WEFT_LANES)
#define ROWS WEFT_ROWS

/* NDRange (panels from first_packed on, blocks of 64 rows of b, products of the batch), groups of
 * one. w gets panel after panel, each k rows of PANEL columns; columns beyond n are 0. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_pack(
    __global const REAL *restrict b, ulong b_offset, __global REAL *restrict w, ulong w_offset,
    long n, long k, long b_rs, long b_cs, long b_sz, long first_packed, long batch)
{
    long p = get_global_id(0), k0 = get_global_id(1) * 64, z = get_global_id(2);
    long k1 = min(k0 + 64, k), n0 = (p + first_packed) * PANEL, left = min(n - n0, (long)PANEL);
    w += w_offset + (z * get_global_size(0) + p) * k * PANEL;
    b += b_offset + B_BATCH(z) + n0 * b_cs;
    if (b_cs == 1 && left == PANEL) {
        for (long i = k0; i < k1; i++) {
            STORE(LOAD(b + i * b_rs), w + i * PANEL);
            STORE(LOAD(b + i * b_rs + WEFT_LANES), w + i * PANEL + WEFT_LANES);
        }
    } else {
        for (long i = k0; i < k1; i++)
            for (int j = 0; j < PANEL; j++)
                w[i * PANEL + j] = j < left ? b[i * b_rs + j * b_cs] : 0;
    }
}

/* Sums of more terms than this are added up from parts: the error of a sum of k terms grows with
 * k, that of parts with k / K_PART + K_PART. */
#define K_PART 512

/* mr rows by one panel: tile[r, :] = sum over k of a[r, k] * b[k, :]. mr is a constant after
 * inlining. */
INLINE void multiply(const int mr, __global const REAL *a, long a_rs, long a_cs,
                     __global const REAL *b, long b_step, long k, REAL *tile)
{
    for (long first = 0; first == 0 || first < k; first += K_PART) {
        const long terms = min(k - first, (long)K_PART);
        REALV acc[ROWS][2];
#pragma unroll
        for (int r = 0; r < mr; r++)
            acc[r][0] = acc[r][1] = (REALV)(0);
        for (long i = 0; i < terms; i++) {
            const REALV b0 = LOAD(b), b1 = LOAD(b + WEFT_LANES);
#pragma unroll
            for (int r = 0; r < mr; r++) {
                const REALV x = (REALV)(a[r * a_rs]);
                acc[r][0] = fma(x, b0, acc[r][0]);
                acc[r][1] = fma(x, b1, acc[r][1]);
            }
            a += a_cs;
            b += b_step;
        }
#pragma unroll
        for (int r = 0; r < mr; r++) {
            REAL *row = tile + r * PANEL;
            if (first > 0) {
                acc[r][0] += LOAD(row);
                acc[r][1] += LOAD(row + WEFT_LANES);
            }
            STORE(acc[r][0], row);
            STORE(acc[r][1], row + WEFT_LANES);
        }
    }
}

/* NDRange (tiles of ROWS rows in a block, panels, blocks of all products of the batch), groups of
 * one. A block of rows stays in the cache while the panels go by. Panels from first_packed on are
 * read from w, the others from b, whose columns are then neighbours. */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu(GEMM_ARGS)
{
    const long p = get_global_id(1), z = get_global_id(2) / blocks;
    const long row = (get_global_id(2) % blocks * get_global_size(0) + get_global_id(0)) * ROWS;
    const long column = p * PANEL, rows = min(m - row, (long)ROWS),
               left = min(n - column, (long)PANEL);
    const long packed = get_global_size(1) - first_packed;
    const int direct = p < first_packed;
    REAL tile[ROWS * PANEL];
    if (row >= m) return;
    a += a_offset + A_BATCH(z) + row * a_rs;
    b += b_offset + B_BATCH(z) + column;
    w += w_offset + (z * packed + p - first_packed) * k * PANEL;
    c += c_offset + C_BATCH(z);
    __global const REAL *right = direct ? b : w;
    const long step = direct ? b_rs : PANEL;
    if (rows == ROWS) {
        multiply(ROWS, a, a_rs, a_cs, right, step, k, tile);
    } else {
        long r = 0;
#if ROWS > 8
        if (rows & 8) multiply(8, a, a_rs, a_cs, right, step, k, tile);
        r += rows & 8;
#endif
        if (rows & 4) multiply(4, a + r * a_rs, a_rs, a_cs, right, step, k, tile + r * PANEL);
        r += rows & 4;
        if (rows & 2) multiply(2, a + r * a_rs, a_rs, a_cs, right, step, k, tile + r * PANEL);
        r += rows & 2;
        if (rows & 1) multiply(1, a + r * a_rs, a_rs, a_cs, right, step, k, tile + r * PANEL);
    }
    if (alpha == 1 && beta == 0 && c_cs == 1) { /* loops that vectorise */
        for (long r = 0; r < rows; r++) {
            __global OUT0_TYPE *at = c + (row + r) * c_rs + column;
            for (long j = 0; j < left; j++)
                at[j] = THEN_AT(tile[r * PANEL + j], z, row + r, column + j);
        }
    } else {
        for (long r = 0; r < rows; r++)
            for (long j = 0; j < left; j++)
                FINISH(tile[r * PANEL + j], z, row + r, column + j)
    }
}
#else
#ifdef WEFT_TILES
/* A block of DEPTH by side elements into local memory, k-major with lines of side + 4: from src
 * with strides ls along the lines' direction and ks along k. 0 beyond `lines` and `left`. */
INLINE void fetch(const int side, __local REAL *dst, __global const REAL *src, long ls, long ks,
                  long lines, long left)
{
    const int item = get_local_id(1) * 16 + get_local_id(0);
#pragma unroll
    for (int e = 0; e < side / 16; e++) {
        const int at = e * 256 + item;
        const int i = ks == 1 ? at % DEPTH : at / side, l = ks == 1 ? at / DEPTH : at % side;
        dst[i * (side + 4) + l] = l < lines && i < left ? src[l * ls + i * ks] : 0;
    }
}

/* A tile of side = 16 * P rows and columns by 256 work-items, P x P results each: rows q * 64 + y
 * * 4 + 0..3 and columns q * 64 + x * 4 + 0..3, q < P / 4. */
#define TILE(P)                                                                                 \
    __local REAL4 sa[DEPTH * (4 * P + 1)], sb[DEPTH * (4 * P + 1)];                             \
    const int x = get_local_id(0), y = get_local_id(1);                                         \
    const long z = get_group_id(2), row = get_group_id(0) * 16 * P,                             \
               column = get_group_id(1) * 16 * P;                                               \
    REAL acc[P][P];                                                                             \
    a += a_offset + A_BATCH(z) + row * a_rs;                                                    \
    b += b_offset + B_BATCH(z) + column * b_cs;                                                 \
    c += c_offset + C_BATCH(z);                                                                 \
    _Pragma("unroll") for (int i = 0; i < P; i++) _Pragma("unroll") for (int j = 0; j < P; j++) \
        acc[i][j] = 0;                                                                          \
    for (long k0 = 0; k0 < k; k0 += DEPTH) {                                                    \
        fetch(16 * P, (__local REAL *)sa, a + k0 * a_cs, a_rs, a_cs, m - row, k - k0);          \
        fetch(16 * P, (__local REAL *)sb, b + k0 * b_rs, b_cs, b_rs, n - column, k - k0);       \
        barrier(CLK_LOCAL_MEM_FENCE);                                                           \
        TILE_PRODUCT(P, sa, sb, x, y, acc)                                                      \
        barrier(CLK_LOCAL_MEM_FENCE);                                                           \
    }                                                                                           \
    _Pragma("unroll") for (int s = 0; s < P; s++)                                               \
    {                                                                                           \
        const long r = row + s / 4 * 64 + y * 4 + s % 4;                                        \
        _Pragma("unroll") for (int t = 0; t < P; t++)                                           \
        {                                                                                       \
            const long j = column + t / 4 * 64 + x * 4 + t % 4;                                 \
            if (r < m && j < n) FINISH(acc[s][t], z, r, j)                                      \
        }                                                                                       \
    }

/* NDRange (16 * tiles of 64 rows, 16 * tiles of 64 columns, products of the batch), groups of 16 x
 * 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void gemm_64(GEMM_ARGS)
{
    TILE(4)
}

#if WEFT_TILES >= 128
/* NDRange (16 * tiles of 128 rows, 16 * tiles of 128 columns, products of the batch), groups of 16
 * x 16. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void gemm_128(GEMM_ARGS)
{
    TILE(8)
}
#endif
#endif

/* NDRange (rows * columns, 1, products of the batch), any groups: for devices without tiles. */
__kernel void gemm_simple(GEMM_ARGS)
{
    const long i = get_global_id(0), r = i / n, j = i - r * n, z = get_global_id(2);
    if (r >= m) return;
    REAL sum = 0;
    a += a_offset + A_BATCH(z) + r * a_rs;
    b += b_offset + B_BATCH(z) + j * b_cs;
    c += c_offset + C_BATCH(z);
    for (long q = 0; q < k; q++)
        sum = fma(a[q * a_cs], b[q * b_rs], sum);
    FINISH(sum, z, r, j)
}
#endif

/* NDRange (rows * columns, 1, products of the batch), any groups: the epilogue by itself, in
 * place, after a product that CLBlast wrote. */
__kernel void gemm_then(GEMM_ARGS)
{
    const long i = get_global_id(0), r = i / n, j = i - r * n, z = get_global_id(2);
    if (r >= m) return;
    c += c_offset + C_BATCH(z) + r * c_rs + j * c_cs;
    *c = THEN_AT((REAL)*c, z, r, j);
}
