/* org.example.LSTM: a layer with a loop, and without a kernel. build() says what one step does, and
 * scan() takes it over the time axis: it runs and trains on every device.
 *   z = x W + h U + b, cut into i, f, g, o; c' = sigmoid(f) c + sigmoid(i) tanh(g);
 *   h' = sigmoid(o) tanh(c')                             (Hochreiter and Schmidhuber, 1997) */
#include <weft/plugin.h>

typedef struct weights {
    weft_val kernel, recurrent, bias;
    int64_t units;
} weights;

/* Gate k: columns k units .. (k + 1) units - 1 of z. */
static weft_val gate(weft_build *b, weft_val z, int64_t k, int64_t units)
{
    return weft_opf(b, "slice", z, "begin=(0,%lld) size=(-1,%lld)", (long long)(k * units),
                    (long long)units);
}

/* One step: carry is h and c, x one time step; the body may use values from around the loop. */
static void step(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    const weights *w = user;
    weft_val z = weft_add(b, weft_matmul(b, x[0], w->kernel), w->bias), i, f, g, o;
    z = weft_add(b, z, weft_matmul(b, carry[0], w->recurrent));
    i = weft_sigmoid(b, gate(b, z, 0, w->units));
    f = weft_sigmoid(b, gate(b, z, 1, w->units));
    g = weft_tanh(b, gate(b, z, 2, w->units));
    o = weft_sigmoid(b, gate(b, z, 3, w->units));
    carry_out[1] = weft_add(b, weft_mul(b, f, carry[1]), weft_mul(b, i, g));
    carry_out[0] = weft_mul(b, o, weft_tanh(b, carry_out[1]));
    (void)y; /* nothing is kept of each step */
}

static weft_status build(weft_build *b) /* x: batch, time, features */
{
    weights w = { .units = b->api->attr_i(b, "units") };
    weft_val x = weft_in(b, 0), zeros, start[2], end[2];
    weft_spec s;
    if (b->api->spec(b, x, &s) || s.rank != 3)
        return weft_failf(b, WEFT_E_SHAPE, "the input must be batch, time, features");
    int64_t n = s.dim[2], u = w.units;
    w.kernel = b->api->variable(b, "kernel", &(weft_spec){ WEFT_F32, 2, { n, 4 * u } },
                                "glorot_uniform", WEFT_TRAINABLE);
    w.recurrent = b->api->variable(b, "recurrent_kernel", &(weft_spec){ WEFT_F32, 2, { u, 4 * u } },
                                   "orthogonal", WEFT_TRAINABLE);
    w.bias = b->api->variable(b, "bias", &(weft_spec){ WEFT_F32, 1, { 4 * u } }, "zeros",
                              WEFT_TRAINABLE);
    zeros = weft_opf(b, "broadcast", weft_scalar(b, 0), "shape=(-1,%lld)", (long long)u);
    start[0] = start[1] = zeros; /* -1 is the batch */
    b->api->scan(b, &(weft_scan){ .struct_size = sizeof(weft_scan),
                                  .axis = 1,
                                  .n_carry = 2,
                                  .n_x = 1,
                                  .carry0 = start,
                                  .xs = &x,
                                  .body = step,
                                  .user = &w,
                                  .carry_end = end });
    return weft_out(b, 0, end[0]);
}

static const weft_attr attrs[] = {
    { "units", WEFT_INT, 0, NULL, "1..", "the width of the state and of the result" }, { 0 }
};
WEFT_LAYER(lstm, .name = "org.example.LSTM", .version = 1, .min_version = 1, .inputs = "x",
           .outputs = "y", .attrs = attrs, .build = build, .doc = "the last state of an LSTM");
