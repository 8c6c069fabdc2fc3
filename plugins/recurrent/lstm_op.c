/* The op lstm: all steps of a long short-term memory (Hochreiter and Schmidhuber 1997, with the
 * forget gate of Gers et al. 2000; gate order i, f, g, o as in Keras).
 *
 *   s = z[:, t] + h u        i = sigmoid(s_i)   f = sigmoid(s_f)   g = tanh(s_g)   o = sigmoid(s_o)
 *   c' = f c + i g           h' = o tanh(c')    where mask[:, t] is false: c' = c, h' = h
 *
 * z = x W + b comes from one product over all steps. Step k = 0 .. T-1 takes t = k, or T-1-k with
 * go_backwards; results are in the order of k: y[:, k] = h', gates[:, k] = (i, f, g, o), also where
 * masked, cells[:, k] = c'. The last two are for the gradient. An absent state is 0. */
#include "recurrent.h"

/* z and u fix batch, steps and units; the states and the mask must agree. */
static weft_status check_state(weft_build *b, uint32_t i, const weft_spec *want)
{
    static const char *const names[] = { "z", "u", "h0", "c0", "mask" };
    weft_val v = weft_in(b, i);
    weft_spec s;
    int k;

    if (v == WEFT_NONE) return WEFT_OK;
    if (b->api->spec(b, v, &s)) return WEFT_E_SHAPE;
    if (s.dtype != want->dtype)
        return weft_failf(b, WEFT_E_DTYPE,
                          i == LSTM_MASK ? "%s is not bool" : "%s has not the dtype of z",
                          names[i]);
    for (k = 0; k < 2 && s.rank == 2; k++)
        if (s.dim[k] != want->dim[k] && s.dim[k] != WEFT_ANY && want->dim[k] != WEFT_ANY) break;
    if (s.rank == 2 && k == 2) return WEFT_OK;
    return weft_failf(b, WEFT_E_SHAPE,
                      "%s is not [batch, %s] with the batch and the sizes of z "
                      "[batch, steps, 4 units] and u [units, 4 units]",
                      names[i], i == LSTM_MASK ? "steps" : "units");
}

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec z, u, state, mask;
    int64_t units;
    weft_status st;

    if ((st = b->api->spec(b, weft_in(b, LSTM_Z), &z))) return st;
    if ((st = b->api->spec(b, weft_in(b, LSTM_U), &u))) return st;
    if ((z.dtype != WEFT_F32 && z.dtype != WEFT_F64) || u.dtype != z.dtype)
        return weft_failf(b, WEFT_E_DTYPE, "z and u must both be float32, or both float64");
    units = u.rank == 2 ? u.dim[0] : 0;
    if (z.rank != 3 || units < 1 || u.dim[1] != 4 * units || z.dim[2] != 4 * units)
        return weft_failf(b, WEFT_E_SHAPE,
                          "z and u are not [batch, steps, 4 units] and [units, 4 units]");
    state = (weft_spec){ z.dtype, 2, { z.dim[0], units } };
    mask = (weft_spec){ WEFT_BOOL, 2, { z.dim[0], z.dim[1] } };
    if ((st = check_state(b, LSTM_H0, &state)) || (st = check_state(b, LSTM_C0, &state)) ||
        (st = check_state(b, LSTM_MASK, &mask)))
        return st;
    outs[LSTM_H] = outs[LSTM_C] = state;
    outs[LSTM_Y] = outs[LSTM_CELLS] = (weft_spec){ z.dtype, 3, { z.dim[0], z.dim[1], units } };
    outs[LSTM_GATES] = z;
    return WEFT_OK;
}

/* What a step of the lowering needs besides its carries. */
typedef struct loop {
    weft_val u;
    int64_t units;
    int masked;
} loop;

static void step(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    const loop *l = user;
    weft_val s = weft_add(b, x[0], weft_matmul(b, carry[0], l->u)), gate[4], c, h;
    int k;

    for (k = 0; k < 4; k++) {
        gate[k] = weft_slice(b, s, 1, k * l->units, l->units);
        gate[k] = k == 2 ? weft_tanh(b, gate[k]) : weft_sigmoid(b, gate[k]);
    }
    c = RECURRENT_MAP(b, "b*d+a*c", gate[0], gate[1], gate[2], carry[1]);
    h = RECURRENT_MAP(b, "a*tanh(b)", gate[3], c);
    if (l->masked) {
        h = RECURRENT_MAP(b, "select(a,b,c)", x[1], h, carry[0]);
        c = RECURRENT_MAP(b, "select(a,b,c)", x[1], c, carry[1]);
    }
    carry_out[0] = y[0] = h;
    carry_out[1] = y[2] = c;
    y[1] = b->api->op(b, "concat", "axis=1", gate, 4, NULL, 0);
}

static weft_status lower(weft_build *b)
{
    int backwards = b->api->attr_i(b, "go_backwards") != 0;
    weft_val carry[2], x[2], end[2], y[3], mask = weft_in(b, LSTM_MASK);
    loop l = { .u = weft_in(b, LSTM_U), .masked = mask != WEFT_NONE };
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = 2,
                       .n_x = l.masked ? 2 : 1,
                       .n_y = 3,
                       .carry0 = carry,
                       .xs = x,
                       .body = step,
                       .user = &l,
                       .carry_end = end,
                       .ys = y };
    weft_spec z;
    weft_status st;
    uint32_t i;

    if ((st = b->api->spec(b, weft_in(b, LSTM_Z), &z))) return st;
    l.units = z.dim[2] / 4;
    for (i = 0; i < 2; i++) {
        carry[i] = weft_in(b, LSTM_H0 + i);
        if (carry[i] == WEFT_NONE)
            carry[i] = weft_zeros(b, &(weft_spec){ z.dtype, 2, { z.dim[0], l.units } });
    }
    x[0] = recurrent_reverse(b, weft_in(b, LSTM_Z), backwards);
    if (l.masked) x[1] = recurrent_reverse(b, recurrent_column(b, mask), backwards);
    if ((st = b->api->scan(b, &scan))) return st;
    weft_out(b, LSTM_Y, y[0]);
    weft_out(b, LSTM_H, end[0]);
    weft_out(b, LSTM_C, end[1]);
    weft_out(b, LSTM_GATES, y[1]);
    return weft_out(b, LSTM_CELLS, y[2]);
}

/* [batch, steps, n] as [batch * steps, n]. */
static weft_val fold_steps(weft_build *b, weft_val x)
{
    weft_spec s;
    int64_t shape[2];

    if (b->api->spec(b, x, &s)) return 0;
    shape[0] = s.dim[0] * s.dim[1];
    shape[1] = s.dim[2];
    return weft_op_ints(b, "reshape", x, "shape", shape, 2);
}

/* du = sum over steps of h^T dz: one product over all of them. */
static weft_val gradient_of_u(weft_build *b, weft_val dz, int backwards)
{
    weft_val args[2];

    args[0] = recurrent_shift(b, weft_in(b, LSTM_H0), b->api->fwd(b, LSTM_Y));
    args[0] = fold_steps(b, recurrent_reverse(b, args[0], backwards));
    args[1] = fold_steps(b, dz);
    return b->api->op(b, "matmul", "transpose_a=true", args, 2, NULL, 0);
}

static weft_status gradient(weft_build *b)
{
    int backwards = b->api->attr_i(b, "go_backwards") != 0, k;
    weft_val args[8], d[3];

    for (k = LSTM_GATES; k <= LSTM_CELLS; k++)
        if (b->api->dout(b, (uint32_t)k) != WEFT_NONE)
            return weft_failf(
                b, WEFT_E_UNSUPPORTED,
                "the results gates and cells of lstm have no gradient; use y, h and c");
    args[GRAD_U] = weft_in(b, LSTM_U);
    args[GRAD_C0] = weft_in(b, LSTM_C0);
    args[GRAD_GATES] = b->api->fwd(b, LSTM_GATES);
    args[GRAD_CELLS] = b->api->fwd(b, LSTM_CELLS);
    args[GRAD_DY] = b->api->dout(b, LSTM_Y);
    args[GRAD_DH] = b->api->dout(b, LSTM_H);
    args[GRAD_DC] = b->api->dout(b, LSTM_C);
    args[GRAD_MASK] = weft_in(b, LSTM_MASK);
    b->api->op(b, "lstm_grad", backwards ? "go_backwards=true" : NULL, args, 8, d, 3);
    weft_out(b, LSTM_Z, d[GRAD_DZ]);
    if (weft_in(b, LSTM_H0) != WEFT_NONE) weft_out(b, LSTM_H0, d[GRAD_DH0]);
    if (weft_in(b, LSTM_C0) != WEFT_NONE) weft_out(b, LSTM_C0, d[GRAD_DC0]);
    return weft_out(b, LSTM_U, gradient_of_u(b, d[GRAD_DZ], backwards));
}

static const weft_attr attrs[] = {
    { "go_backwards", WEFT_FLAG, 0, "false", NULL, "from the last step to the first" }, { 0 }
};
static const char *const cases[] = {
    ": f32 Bx3x12, f32 3x12",
    ": f32 Bx4x20, f32 5x20, f32 Bx5, f32 Bx5, bool Bx4",
    "go_backwards=true : f32 Bx3x28, f32 7x28, f32 Bx7, f32 Bx7, bool Bx3",
    "go_backwards=true : f32 Bx1x4, f32 1x4, none, f32 Bx1",
    NULL,
};
const weft_op_class recurrent_lstm = {
    .struct_size = sizeof recurrent_lstm,
    .name = "lstm",
    .inputs = "z, u, h0?, c0?, mask?",
    .outputs = "y, h, c, gates?, cells?",
    .attrs = attrs,
    .infer = infer,
    .lower = lower,
    .gradient = gradient,
    .kernels = recurrent_lstm_kernels,
    .cases = cases,
    .doc = "all steps of a long short-term memory; z is x W + b",
};
const weft_ext recurrent_lstm_kernels[] = { { WEFT_KERNEL_CPU, &recurrent_lstm_cpu },
                                            { WEFT_KERNEL_OPENCL, &recurrent_lstm_cl },
                                            { 0 } };
