/* Dense: y = activation(x kernel + bias) on the last axis of any rank >= 2 (Keras's Dense). */
#include "core.h"

static weft_status build_dense(weft_build *b)
{
    weft_val x = weft_in(b, 0), y;
    int64_t units = b->api->attr_i(b, "units");
    const char *activation = b->api->attr_s(b, "activation");
    weft_spec s, kernel = { 0 }, bias = { 0 };

    if (!(x = weft_float(b, x, &s))) return weft_out(b, 0, 0);
    if (s.rank < 2)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the input has rank %d; Dense wants (batch, ..., features): "
                          "put a Reshape in front",
                          (int)s.rank);
    if (s.dim[s.rank - 1] < 0)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the last axis of the input has no fixed size, and the kernel's "
                          "shape depends on it: give the input a number there");
    kernel.dtype = bias.dtype = s.dtype;
    kernel.rank = 2;
    kernel.dim[0] = s.dim[s.rank - 1];
    kernel.dim[1] = units;
    bias.rank = 1;
    bias.dim[0] = units;
    y = weft_matmul(b, x,
                    b->api->variable(b, "kernel", &kernel, b->api->attr_s(b, "kernel_initializer"),
                                     WEFT_TRAINABLE));
    if (b->api->attr_i(b, "use_bias"))
        y = weft_add(b, y,
                     b->api->variable(b, "bias", &bias, b->api->attr_s(b, "bias_initializer"),
                                      WEFT_TRAINABLE));
    if (activation) y = b->api->layer(b, activation, "activation", NULL, &y, 1, NULL, 0);
    return weft_out(b, 0, y);
}

static const weft_attr dense_attrs[] = {
    { "units", WEFT_INT, 0, NULL, "1..", "size of the output's last axis" },
    { "activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "a layer applied to the result" },
    { "use_bias", WEFT_FLAG, 0, "true", NULL, "add a vector to the result" },
    { "kernel_initializer", WEFT_LAYER_CONFIG, 0, "glorot_uniform", NULL,
      "first values of the kernel" },
    { "bias_initializer", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "first values of the bias" },
    { "kernel_regularizer", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "added to the loss in training" },
    { "bias_regularizer", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "added to the loss in training" },
    { "activity_regularizer", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "added to the loss in training" },
    { "kernel_constraint", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "applied after each training step" },
    { "bias_constraint", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL,
      "applied after each training step" },
    { 0 }
};

WEFT_UNARY_LAYER(
    core_dense, "Dense", dense_attrs, build_dense,
    "y = activation(x kernel + bias) on the last axis; kernel (features, units), bias (units)");
