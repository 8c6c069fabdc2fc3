/* The core family: the layers that nearly every network has. */
#ifndef WEFT_PLUGINS_CORE_H
#define WEFT_PLUGINS_CORE_H
#include <weft/plugin.h>

/* Every layer class of the family; X(id) is core_<id>. */
/* clang-format off */
#define CORE_LAYERS(X) \
    X(dense) X(activation) X(relu_layer) X(leaky_relu_layer) X(prelu) X(elu_layer) \
    X(softmax_layer) X(dropout) X(spatial_dropout_1d) X(spatial_dropout_2d) \
    X(spatial_dropout_3d) X(gaussian_dropout) X(gaussian_noise) X(alpha_dropout) \
    X(activity_regularization) X(identity) X(linear) X(relu) X(relu6) X(leaky_relu) X(elu) \
    X(selu) X(celu) X(softmax) X(log_softmax) X(sparsemax) X(softplus) X(softsign) \
    X(squareplus) X(silu) X(swish) X(gelu) X(glu) X(tanh_function) X(tanh_shrink) X(hard_tanh) \
    X(hard_shrink) X(soft_shrink) X(threshold) X(sigmoid) X(log_sigmoid) X(sparse_sigmoid) \
    X(sparse_plus) X(hard_sigmoid) X(hard_silu) X(hard_swish) X(exponential) X(mish)
/* clang-format on */
#define CORE_DECLARE(id) extern const weft_layer_class core_##id;
CORE_LAYERS(CORE_DECLARE)
#undef CORE_DECLARE

/* map over one input; the expression is formatted. */
weft_val core_map(weft_build *b, weft_val x, const char *format, ...);
#endif
