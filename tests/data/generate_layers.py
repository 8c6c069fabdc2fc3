"""The layer cases without a window: Dense, activations, regularization (which does nothing in
inference), merging, reshaping, normalization. generate_windows.py has the others,
generate_integers.py those whose inputs are no floats, generate_recurrent.py the recurrent ones."""

import keras
import numpy as np
from keras import layers

import generate_integers
import generate_recurrent
import generate_windows
from generate_cases import CASES, case, family, make  # noqa: F401  (for generate.py)

# Without `threshold`, which cannot be used by name: it needs two arguments.
ACTIVATIONS = ("relu relu6 leaky_relu elu selu celu softmax log_softmax sparsemax softplus "
               "softsign squareplus silu gelu glu tanh tanh_shrink hard_tanh hard_shrink "
               "soft_shrink sigmoid log_sigmoid sparse_sigmoid sparse_plus hard_sigmoid hard_silu "
               "exponential mish linear").split()
# Those that overflow when written carelessly.
STABLE = ("elu selu celu softmax log_softmax softplus softsign squareplus silu gelu tanh "
          "tanh_shrink sigmoid log_sigmoid mish glu").split()
LIMITS = {"sparsemax": 0.25, "sparse_sigmoid": 2.0, "sparse_plus": 2.0, "hard_tanh": 2.0,
          "hard_shrink": 2.0, "soft_shrink": 2.0}


def dense():
    add = family("dense", layers.Dense)
    add("rank2", (7,), 5)
    add("rank3", (4, 7), 5)
    add("rank4", (3, 4, 7), 5)
    add("no_bias", (7,), 5, use_bias=False)
    add("one_unit", (33,), 1)
    add("wide", (130,), 70)
    add("any_length", (None, 7), 5, sizes=[(6, 7)])
    for name in ACTIVATIONS:
        add(name, (7,), 6, activation=name, limit=min(2.0, LIMITS.get(name, 2.0)))


def activations():
    add = family("activation", layers.Activation)
    for name in ACTIVATIONS:
        add(name, (4, 8), name, limit=LIMITS.get(name, 8.0))
    for name in STABLE:
        add(f"{name}_extreme", (4, 8), name, limit=100.0, loose=True)
    add("softmax_rank2", (9,), "softmax")
    add("softmax_rank4", (3, 2, 5), "softmax")


@keras.saving.register_keras_serializable(package="Custom", name="XTanh")
def x_tanh(x):
    """What the plugin plugins/example/xtanh.c has."""
    return x * keras.ops.tanh(x)


@keras.saving.register_keras_serializable(package="Custom")
def small(shape, dtype=None):
    """An initializer of the model's author, which says nothing about the weights in the file."""
    return 0.1 * keras.ops.ones(shape, dtype)


def custom():
    """What the model's author wrote, and is there all the same."""
    case("custom_activation", (4, 8), lambda: layers.Activation(x_tanh))
    case("custom_dense", (7,), lambda: layers.Dense(5, activation=x_tanh, kernel_initializer=small))


def activation_layers():
    add = family("relu_layer", layers.ReLU)
    add("", (4, 8))
    add("max_value", (4, 8), max_value=1.0)
    add("negative_slope", (4, 8), negative_slope=0.1)
    add("threshold", (4, 8), threshold=0.5)
    add("threshold_slope", (4, 8), threshold=0.75, negative_slope=0.25)
    add("all", (4, 8), max_value=1.5, threshold=0.25, negative_slope=0.2)
    add = family("leaky_relu_layer", layers.LeakyReLU)
    add("", (4, 8))
    add("slope", (4, 8), negative_slope=0.05)
    add = family("prelu", layers.PReLU)
    add("rank2", (8,))
    add("rank4", (4, 5, 3))
    add("shared_axes", (4, 5, 3), shared_axes=[1, 2])
    add("shared_one", (4, 5, 3), shared_axes=[2])
    add = family("elu_layer", layers.ELU)
    add("", (4, 8))
    add("alpha", (4, 8), alpha=0.5)
    add = family("softmax_layer", layers.Softmax)
    add("", (4, 8))
    add("axis_1", (4, 5, 3), axis=1)
    add("axis_minus_2", (4, 5, 3), axis=-2)
    add("axis_list", (4, 5, 3), axis=[1, 2])
    add("axis_list_last", (4, 5, 3), axis=[-1, -2])


def regularization():
    family("dropout", layers.Dropout)("", (4, 8), 0.5)
    family("dropout", layers.Dropout)("noise_shape", (4, 8), 0.5, noise_shape=(None, 1, 8))
    family("spatial_dropout1d", layers.SpatialDropout1D)("", (4, 8), 0.3)
    family("spatial_dropout2d", layers.SpatialDropout2D)("", (4, 5, 3), 0.3)
    family("spatial_dropout3d", layers.SpatialDropout3D)("", (2, 3, 4, 3), 0.3)
    family("gaussian_dropout", layers.GaussianDropout)("", (4, 8), 0.3)
    family("gaussian_noise", layers.GaussianNoise)("", (4, 8), 0.5)
    family("alpha_dropout", layers.AlphaDropout)("", (4, 8), 0.2)
    family("activity_regularization", layers.ActivityRegularization)("", (8,), l1=0.1, l2=0.2)
    family("identity", layers.Identity)("", (4, 8))


def merging():
    for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        add = family(kind.lower(), getattr(layers, kind))
        add("2", [(5, 6)] * 2)
        add("rank2", [(7,)] * 2)
        add("broadcast", [(10, 32), (1, 32)])
        add("broadcast_both", [(10, 1), (1, 32)])
        add("rank", [(32,), (10, 32)])
        add("rank_last", [(4, 3, 8), (8,)])
        add("any_length", [(None, 6), (1, 6)], sizes=[(5, 6), (1, 6)])
        if kind != "Subtract":
            add("3", [(5, 6)] * 3)
            add("4_broadcast", [(4, 6), (1, 6), (4, 1), (6,)])


def concatenation():
    add = family("concatenate", layers.Concatenate)
    add("rank2", [(8,), (32,)])
    add("rank2_3", [(8,), (1,), (5,)], axis=-1)
    add("rank3_axis1", [(3, 6), (5, 6)], axis=1)
    add("rank3_axis2", [(3, 6), (3, 7)], axis=2)
    add("rank3_axis_minus2", [(3, 6), (5, 6), (1, 6)], axis=-2)
    add("rank4_axis1", [(3, 4, 2), (5, 4, 2)], axis=1)
    add("rank4_axis2", [(3, 4, 2), (3, 1, 2)], axis=2)
    add("rank4_axis3", [(3, 4, 2), (3, 4, 5), (3, 4, 1)], axis=3)
    add("rank4_last", [(3, 4, 2), (3, 4, 5)], axis=-1)
    add("any_length", [(None, 2), (None, 5)], axis=-1, sizes=[(6, 2), (6, 5)])


def reshaping():
    add = family("flatten", layers.Flatten)
    add("rank2", (7,))
    add("rank3", (4, 7))
    add("rank4", (3, 4, 5))
    add("rank1", ())
    add("channels_first", (3, 4, 5), data_format="channels_first")
    add = family("reshape", layers.Reshape)
    add("", (6,), (2, 3))
    add("unknown", (4, 6), (3, -1, 2))
    add("flat", (4, 6), (-1,))
    add("any_length", (None, 4), (-1, 2), sizes=[(5, 4)])
    add = family("permute", layers.Permute)
    add("21", (4, 6), (2, 1))
    add("312", (3, 4, 5), (3, 1, 2))
    add("213", (3, 4, 5), (2, 1, 3))
    add("1432", (2, 3, 4, 5), (1, 4, 3, 2))
    add = family("repeat_vector", layers.RepeatVector)
    add("", (6,), 3)
    add("one", (6,), 1)


def borders():
    """Padding, cropping and repeating of rows, columns and planes."""
    for kind, prefix in ((layers.ZeroPadding1D, "zero_padding1d"),
                         (layers.Cropping1D, "cropping1d")):
        add = family(prefix, kind)
        add("int", (7, 3), 2)
        add("pair", (7, 3), (2, 1))
        add("one_side", (7, 3), (0, 3))
    for kind, prefix in ((layers.ZeroPadding2D, "zero_padding2d"),
                         (layers.Cropping2D, "cropping2d")):
        add = family(prefix, kind)
        add("int", (7, 8, 3), 2)
        add("pair", (7, 8, 3), (1, 3))
        add("nested", (7, 8, 3), ((1, 0), (2, 3)))
        add("channels_first", (3, 7, 8), ((1, 0), (2, 3)), data_format="channels_first")
    for kind, prefix in ((layers.ZeroPadding3D, "zero_padding3d"),
                         (layers.Cropping3D, "cropping3d")):
        add = family(prefix, kind)
        add("int", (4, 5, 6, 2), 1)
        add("triple", (4, 5, 6, 2), (1, 0, 2))
        add("nested", (4, 5, 6, 2), ((1, 0), (0, 2), (2, 1)))
    family("up_sampling1d", layers.UpSampling1D)("", (4, 3), 2)
    family("up_sampling1d", layers.UpSampling1D)("3", (4, 3), 3)
    add = family("up_sampling2d", layers.UpSampling2D)
    add("", (4, 3, 2), 2)
    add("mixed", (4, 3, 2), (3, 1), interpolation="nearest")
    add("channels_first", (2, 4, 3), (1, 2), data_format="channels_first")
    family("up_sampling3d", layers.UpSampling3D)("", (2, 3, 4, 2), 2)
    family("up_sampling3d", layers.UpSampling3D)("mixed", (2, 3, 4, 2), (1, 2, 3))


def normalization():
    add = family("batch_normalization", layers.BatchNormalization)
    add("rank2", (8,))
    add("rank3", (5, 8))
    add("rank4", (4, 5, 3))
    add("axis_1", (3, 4, 5), axis=1)
    add("axis_2", (3, 4, 5), axis=2)
    add("no_center", (4, 5, 3), center=False)
    add("no_scale", (4, 5, 3), scale=False)
    add("plain", (8,), center=False, scale=False)
    add("epsilon", (8,), epsilon=0.25, momentum=0.5)
    add = family("layer_normalization", layers.LayerNormalization)
    add("rank2", (8,))
    add("rank3", (5, 8))
    add("axis_list", (4, 5, 3), axis=[1, 2])
    add("axis_all", (4, 5, 3), axis=[1, 2, 3])
    add("axis_1", (4, 5, 3), axis=1)
    add("no_center", (5, 8), center=False)
    add("no_scale", (5, 8), scale=False)
    add("plain", (5, 8), center=False, scale=False, epsilon=0.25)
    add = family("rms_normalization", layers.RMSNormalization)
    add("rank2", (8,))
    add("rank3", (5, 8), epsilon=0.25)
    add("axis_list", (5, 8), axis=[1, 2])
    add = family("group_normalization", layers.GroupNormalization)
    add("2", (4, 5, 6), groups=2)
    add("instance", (4, 5, 6), groups=-1)
    add("one", (4, 5, 6), groups=1)
    add("axis_1", (6, 4, 5), groups=3, axis=1)
    add("plain", (5, 6), groups=3, center=False, scale=False)
    add = family("unit_normalization", layers.UnitNormalization)
    add("", (5, 8))
    add("axis_1", (5, 8), axis=1)
    add("axis_list", (4, 5, 3), axis=[1, 2])


def adapted(shape, **options):
    """A Normalization layer that has seen data of this shape."""
    layer = layers.Normalization(**options)
    rng = np.random.default_rng(3)
    layer.adapt((0.5 + 2.0 * rng.standard_normal((64,) + shape)).astype(np.float32))
    return layer


def standardization():
    add = family("rescaling", layers.Rescaling)
    add("", (4, 5, 3), 1.0 / 127.5, offset=-1.0)
    add("scale", (4, 5, 3), 0.25)
    add("list", (4, 5, 3), [0.5, 2.0, -1.0], offset=[0.0, 1.0, 0.25])
    case("normalization_adapted", (6,), lambda: adapted((6,)))
    case("normalization_adapted_rank4", (4, 5, 3), lambda: adapted((4, 5, 3)))
    case("normalization_adapted_axis_none", (5, 6), lambda: adapted((5, 6), axis=None))
    case("normalization_adapted_axes", (5, 6), lambda: adapted((5, 6), axis=(1, 2)))
    case("normalization_adapted_invert", (6,), lambda: adapted((6,), invert=True))
    add = family("normalization", layers.Normalization)
    add("given", (3,), mean=[0.5, -0.25, 1.0], variance=[1.0, 4.0, 0.25])
    add("given_scalar", (5, 6), axis=None, mean=0.5, variance=2.0)
    add("given_invert", (3,), mean=[0.5, -0.25, 1.0], variance=[1.0, 4.0, 0.25], invert=True)


def register():
    for one in (dense, activations, custom, activation_layers, regularization, merging,
                concatenation, reshaping, borders, normalization, standardization):
        one()
    generate_windows.register()
    generate_integers.register()
    generate_recurrent.register()


register()
