"""The layer cases whose inputs are whole numbers or truth values: Keras casts floats to a layer's
dtype and leaves these as they are, so that each layer's arithmetic decides what comes out."""

from keras import layers

from generate_cases import case
from generate_recurrent import with_state

KINDS = ("int32", "uint8", "bool")


def one(name, layer, *arguments, shape=(4, 6), dtypes=KINDS, **keywords):
    """A case for each dtype of a layer with one input."""
    for dtype in dtypes:
        case(f"{dtype}_{name}", shape, lambda: layer(*arguments, **keywords), dtypes=[dtype],
             loose=True)


def computing():
    """Layers that compute in float32 whatever they are given."""
    one("dense", layers.Dense, 5)
    one("dense_int64", layers.Dense, 5, dtypes=("int64",))
    one("dense_relu", layers.Dense, 5, activation="relu", use_bias=False, dtypes=("int32",))
    one("conv1d", layers.Conv1D, 4, 3, shape=(8, 3))
    one("conv2d", layers.Conv2D, 4, 3, padding="same", shape=(5, 6, 3))
    one("conv2d_first", layers.Conv2D, 4, 1, data_format="channels_first", shape=(3, 5, 6),
        dtypes=("uint8",))
    one("batch_normalization", layers.BatchNormalization)
    one("prelu", layers.PReLU, dtypes=("int32",))  # of uint8 JAX takes -x, which wraps
    one("softmax_layer", layers.Softmax, dtypes=("int32",))
    one("softmax_axes", layers.Softmax, axis=[1, 2], dtypes=("int32",))
    one("leaky_relu_layer", layers.LeakyReLU, negative_slope=2.0)
    one("elu_layer", layers.ELU)
    one("rescaling", layers.Rescaling, 0.5, offset=1.0)
    one("normalization", layers.Normalization, mean=[0.5] * 6, variance=[4.0] * 6,
        dtypes=("int32", "uint8"))
    one("average_pooling2d", layers.AveragePooling2D, 2, padding="same", shape=(5, 6, 3),
        dtypes=("int32", "uint8"))
    one("global_average_pooling1d", layers.GlobalAveragePooling1D)
    one("lstm", layers.LSTM, 5, return_sequences=True, return_state=True)
    one("lstm_relu", layers.LSTM, 5, activation="relu", dtypes=("int32",))
    for dtypes in (("int32", "int32", "int32"), ("float32", "uint8", "bool")):
        case(f"{dtypes[1]}_lstm_initial_state", [(4, 6), (5,), (5,)],
             lambda: with_state(units=5, return_state=True), dtypes=dtypes, loose=True)


def keeping():
    """Layers that keep the dtype: they move values, or choose among them."""
    one("flatten", layers.Flatten, dtypes=("uint8",))
    one("permute", layers.Permute, (2, 1), dtypes=("int32",))
    one("repeat_vector", layers.RepeatVector, 3, shape=(5,), dtypes=("bool",))
    one("zero_padding2d", layers.ZeroPadding2D, 1, shape=(3, 4, 2))
    one("up_sampling2d", layers.UpSampling2D, 2, shape=(3, 4, 2), dtypes=("int32",))
    one("dropout", layers.Dropout, 0.5, dtypes=("int32",))
    one("max_pooling2d", layers.MaxPooling2D, 2, padding="same", shape=(5, 6, 3))
    one("global_max_pooling2d", layers.GlobalMaxPooling2D, shape=(5, 6, 3))


def functions():
    """Activations; some of them keep whole numbers."""
    for name in ("relu6", "tanh", "elu", "gelu", "hard_shrink", "soft_shrink", "sparse_plus",
                 "leaky_relu", "softmax", "log_softmax", "sparsemax", "hard_tanh", "linear"):
        one(f"activation_{name}", layers.Activation, name, dtypes=("int32",))
    one("relu_layer", layers.ReLU)
    one("relu_layer_limit", layers.ReLU, max_value=2.5, dtypes=("int32",))
    one("relu_layer_six", layers.ReLU, max_value=6.0, dtypes=("int32",))
    one("relu_layer_slope", layers.ReLU, negative_slope=2.0, dtypes=("int32",))
    one("relu_layer_threshold", layers.ReLU, threshold=1.5, dtypes=("int32",))


def merging():
    """Two inputs: the wider dtype wins, floats over whole numbers over truth values."""
    pairs = (("int32", "int32"), ("uint8", "int32"), ("bool", "int32"), ("int32", "float32"),
             ("bool", "float32"), ("bool", "bool"))
    for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        for pair in pairs:
            if (kind, pair[0], pair[1]) == ("Subtract", "bool", "bool"):
                continue  # which JAX refuses
            case(f"{kind.lower()}_{pair[0]}_{pair[1]}", [(4, 6)] * 2, getattr(layers, kind),
                 dtypes=pair, loose=True)


def register():
    for group in (computing, keeping, functions, merging):
        group()
