/* The op lstm_grad: the gradient of lstm with respect to z and the first states, from the last step
 * k to the first:
 *
 *   dh += dy[:, k]
 *   dc' = dc + dh o (1 - tanh(c)^2)           c = cells[:, k], c_ = cells[:, k-1] or c0
 *   dz[:, t] = (dc' g i (1-i), dc' c_ f (1-f), dc' i (1-g^2), dh tanh(c) o (1-o))
 *   dh = dz[:, t] u^T,  dc = dc' f            where masked: dz = 0, and dh and dc stay
 *
 * t = k, or T-1-k with go_backwards: dz is in the order of z. An absent dy, dh, dc or c0 is 0. */
#include "recurrent.h"

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec u, gates, cells;
    weft_status st;

    if ((st = b->api->spec(b, weft_in(b, GRAD_U), &u))) return st;
    if ((st = b->api->spec(b, weft_in(b, GRAD_GATES), &gates))) return st;
    if ((st = b->api->spec(b, weft_in(b, GRAD_CELLS), &cells))) return st;
    if ((gates.dtype != WEFT_F32 && gates.dtype != WEFT_F64) || u.dtype != gates.dtype ||
        cells.dtype != gates.dtype)
        return weft_failf(b, WEFT_E_DTYPE,
                          "u, gates and cells must all be float32, or all float64");
    if (u.rank != 2 || gates.rank != 3 || cells.rank != 3 || u.dim[0] < 1 ||
        u.dim[1] != 4 * u.dim[0] || gates.dim[2] != u.dim[1] || cells.dim[2] != u.dim[0])
        return weft_failf(
            b, WEFT_E_SHAPE,
            "u, gates and cells are not [units, 4 units], [batch, steps, 4 units] and "
            "[batch, steps, units]");
    outs[GRAD_DZ] = gates;
    outs[GRAD_DH0] = outs[GRAD_DC0] = (weft_spec){ gates.dtype, 2, { gates.dim[0], u.dim[0] } };
    return WEFT_OK;
}

/* Numbers of the per-step inputs; 0 where there is none. */
typedef struct loop {
    weft_val u;
    int64_t units;
    uint32_t dy, mask;
} loop;

enum { X_GATES, X_CELLS, X_BEFORE, X_MORE };

static void step(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    const loop *l = user;
    weft_val gate[4], part[4], dh = carry[0], dc, dz;
    int k;

    for (k = 0; k < 4; k++)
        gate[k] = weft_slice(b, x[X_GATES], 1, k * l->units, l->units);
    if (l->dy) dh = weft_add(b, dh, x[l->dy]);
    dc = RECURRENT_MAP(b, "a+b*c*(1-tanh(d)*tanh(d))", carry[1], dh, gate[3], x[X_CELLS]);
    part[0] = RECURRENT_MAP(b, "a*b*(c*(1-c))", dc, gate[2], gate[0]);
    part[1] = RECURRENT_MAP(b, "a*b*(c*(1-c))", dc, x[X_BEFORE], gate[1]);
    part[2] = RECURRENT_MAP(b, "a*b*(1-c*c)", dc, gate[0], gate[2]);
    part[3] = RECURRENT_MAP(b, "a*tanh(b)*(c*(1-c))", dh, x[X_CELLS], gate[3]);
    dz = b->api->op(b, "concat", "axis=1", part, 4, NULL, 0);
    if (l->mask) dz = RECURRENT_MAP(b, "select(a,b,0)", x[l->mask], dz);
    y[0] = dz;
    carry_out[0] = weft_op_(b, "matmul", "transpose_b=true", dz, l->u);
    carry_out[1] = weft_mul(b, dc, gate[1]);
    if (!l->mask) return;
    carry_out[0] = RECURRENT_MAP(b, "select(a,b,c)", x[l->mask], carry_out[0], dh);
    carry_out[1] = RECURRENT_MAP(b, "select(a,b,c)", x[l->mask], carry_out[1], carry[1]);
}

static weft_status lower(weft_build *b)
{
    int backwards = b->api->attr_i(b, "go_backwards") != 0;
    weft_val carry[2], x[X_MORE + 2], end[2], dz,
        cells = weft_in(b, GRAD_CELLS), dy = weft_in(b, GRAD_DY), mask = weft_in(b, GRAD_MASK);
    loop l = { .u = weft_in(b, GRAD_U) };
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = 2,
                       .n_x = X_MORE,
                       .n_y = 1,
                       .carry0 = carry,
                       .xs = x,
                       .body = step,
                       .user = &l,
                       .carry_end = end,
                       .ys = &dz };
    weft_spec s;
    weft_status st;
    uint32_t i;

    if ((st = b->api->spec(b, cells, &s))) return st;
    l.units = s.dim[2];
    for (i = 0; i < 2; i++) {
        carry[i] = weft_in(b, GRAD_DH + i);
        if (carry[i] == WEFT_NONE)
            carry[i] = weft_zeros(b, &(weft_spec){ s.dtype, 2, { s.dim[0], l.units } });
    }
    x[X_GATES] = recurrent_reverse(b, weft_in(b, GRAD_GATES), 1);
    x[X_CELLS] = recurrent_reverse(b, cells, 1);
    x[X_BEFORE] = recurrent_reverse(b, recurrent_shift(b, weft_in(b, GRAD_C0), cells), 1);
    if (dy != WEFT_NONE) x[l.dy = scan.n_x++] = recurrent_reverse(b, dy, 1);
    if (mask != WEFT_NONE)
        x[l.mask = scan.n_x++] = recurrent_reverse(b, recurrent_column(b, mask), !backwards);
    if ((st = b->api->scan(b, &scan))) return st;
    weft_out(b, GRAD_DZ, recurrent_reverse(b, dz, !backwards));
    weft_out(b, GRAD_DH0, end[0]);
    return weft_out(b, GRAD_DC0, end[1]);
}

static const weft_attr attrs[] = {
    { "go_backwards", WEFT_FLAG, 0, "false", NULL, "as in the forward op" }, { 0 }
};
static const char *const cases[] = {
    ": f32 3x12, f32 Bx3x12, f32 Bx3x3, none, f32 Bx3x3",
    ": f32 5x20, f32 Bx4x20, f32 Bx4x5, f32 Bx5, f32 Bx4x5, f32 Bx5, f32 Bx5, bool Bx4",
    "go_backwards=true : f32 7x28, f32 Bx3x28, f32 Bx3x7, f32 Bx7, none, f32 Bx7, none, bool Bx3",
    "go_backwards=true : f32 1x4, f32 Bx1x4, f32 Bx1x1, none, none, none, f32 Bx1",
    NULL,
};
const weft_op_class recurrent_lstm_grad = {
    .struct_size = sizeof recurrent_lstm_grad,
    .name = "lstm_grad",
    .inputs = "u, gates, cells, c0?, dy?, dh?, dc?, mask?",
    .outputs = "dz, dh0, dc0",
    .attrs = attrs,
    .infer = infer,
    .lower = lower,
    .kernels = recurrent_lstm_grad_kernels,
    .cases = cases,
    .doc = "the gradient of lstm with respect to z, h0 and c0",
};
const weft_ext recurrent_lstm_grad_kernels[] = { { WEFT_KERNEL_CPU, &recurrent_lstm_grad_cpu },
                                                 { WEFT_KERNEL_OPENCL, &recurrent_lstm_grad_cl },
                                                 { 0 } };
