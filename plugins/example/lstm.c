/* The template for a layer with weights and a loop: Keras's LSTM, without options, without kernels.
 * build() says what the layer means, once; from it come shapes, the gradient through time and every
 * device. The loop is not written out: its body becomes a graph of its own, whose size does not
 * depend on the number of steps. */
#include <weft/plugin.h>

/* What the body of the loop needs of the layer. A value made outside of the loop (here a weight) is
 * simply used in the body: every step sees the same one; its gradient is the sum over the steps. */
typedef struct lstm {
    weft_val recurrent;
    int64_t units;
} lstm;

/* One step; called once, to be traced. carry: what the step before handed on, h and c, each
 * [batch, units]. x: this step's part of xs, without the axis of the steps, [batch, 4 units].
 * carry_out: for the next step, of the carries' shapes and dtypes. y: this step's part of ys. */
static void step(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    const lstm *l = user;
    weft_val z = weft_add(b, x[0], weft_matmul(b, carry[0], l->recurrent)), gate[4];

    for (int k = 0; k < 4; k++) { /* the gates i, f, c, o lie side by side, as in Keras */
        gate[k] = weft_slice(b, z, 1, k * l->units, l->units);
        gate[k] = k == 2 ? weft_tanh(b, gate[k]) : weft_sigmoid(b, gate[k]);
    }
    carry_out[1] = weft_add(b, weft_mul(b, gate[1], carry[1]), weft_mul(b, gate[0], gate[2]));
    carry_out[0] = y[0] = weft_mul(b, gate[3], weft_tanh(b, carry_out[1]));
}

static weft_status build(weft_build *b)
{
    weft_spec s = { 0 };
    weft_val x = weft_float(b, weft_in(b, 0), &s), kernel, bias, carry[2], end[2], ys;
    int64_t units = b->api->attr_i(b, "units"), features = s.dim[2];

    /* What users can get wrong is said here; "layer ..., its inputs are ..." is added to the text.
     * No other call needs a check: a failed one gives 0, and 0 goes through to the end. */
    if (s.rank != 3 || features < 1)
        return weft_failf(b, WEFT_E_SHAPE,
                          "LSTM wants (batch, steps, features) with a fixed number "
                          "of features: put a Reshape in front");
    /* The names under which model files and weft_model_variable() know the weights. */
    kernel = b->api->variable(b, "kernel", &(weft_spec){ s.dtype, 2, { features, 4 * units } },
                              "glorot_uniform", WEFT_TRAINABLE);
    lstm l = { .units = units };
    l.recurrent =
        b->api->variable(b, "recurrent_kernel", &(weft_spec){ s.dtype, 2, { units, 4 * units } },
                         "orthogonal", WEFT_TRAINABLE);
    bias = b->api->variable(b, "bias", &(weft_spec){ s.dtype, 1, { 4 * units } },
                            "unit_forget_bias", WEFT_TRAINABLE);
    /* What does not need the step before is done for all steps at once, outside of the loop. */
    x = weft_add(b, weft_matmul(b, x, kernel), bias);
    carry[0] = carry[1] = weft_zeros(b, &(weft_spec){ s.dtype, 2, { s.dim[0], units } });
    b->api->scan(b, &(weft_scan){ .struct_size = sizeof(weft_scan),
                                  .axis = 1, /* of xs and ys: the steps */
                                  .n_carry = 2,
                                  .n_x = 1,
                                  .n_y = 1,
                                  .carry0 = carry,
                                  .xs = &x,
                                  .body = step,
                                  .user = &l,
                                  .carry_end = end, /* after the last step */
                                  .ys = &ys });
    return weft_out(b, 0, b->api->attr_i(b, "return_sequences") ? ys : end[0]);
}

static const weft_attr attrs[] = { { "units", WEFT_INT, 0, NULL, "1..",
                                     "size of the state and of the output's last axis" },
                                   { "return_sequences", WEFT_FLAG, 0, "false", NULL,
                                     "the output of every step, not of the last" },
                                   { 0 } };
WEFT_LAYER(lstm, .name = "org.example.LSTM", .version = 1, .min_version = 1, .inputs = "x",
           .outputs = "y", .attrs = attrs, .build = build,
           .doc = "long short-term memory, by a scan");
