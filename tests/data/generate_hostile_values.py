"""Hostile files, continued: single values of config.json that are negative, absurd or of the wrong
type. Each case names the layer and the attribute that a good error names."""

import functools

import keras
from keras import Input, Model, layers

import generate_common as common
from generate_hostile import CASES, base_archive, layer_of, with_config

HUGE = 10**18
# A one-layer model for each class: input shape, layer.
CLASSES = {
    "concatenate": ([(3, 8), (3, 8)], lambda: layers.Concatenate()),
    "reshape": ((6,), lambda: layers.Reshape((2, 3))),
    "permute": ((4, 8), lambda: layers.Permute((2, 1))),
    "repeat_vector": ((8,), lambda: layers.RepeatVector(3)),
    "cropping2d": ((6, 6, 2), lambda: layers.Cropping2D(1)),
    "zero_padding2d": ((6, 6, 2), lambda: layers.ZeroPadding2D(1)),
    "up_sampling2d": ((6, 6, 2), lambda: layers.UpSampling2D(2)),
    "average_pooling1d": ((6, 2), lambda: layers.AveragePooling1D(2)),
    "batch_normalization": ((8,), lambda: layers.BatchNormalization()),
    "layer_normalization": ((5, 8), lambda: layers.LayerNormalization()),
    "group_normalization": ((5, 8), lambda: layers.GroupNormalization(4)),
    "softmax": ((5, 8), lambda: layers.Softmax()),
    "conv2d_transpose": ((5, 5, 2), lambda: layers.Conv2DTranspose(3, 3, strides=2)),
    "depthwise_conv2d": ((5, 5, 2), lambda: layers.DepthwiseConv2D(3)),
    "rescaling": ((8,), lambda: layers.Rescaling(0.5)),
}
# layer (which is also the words' first), attribute, value, what it is called in the file's name
VALUES = [
    ("dense", "units", -1, "negative"),
    ("dense", "units", 0, "zero"),
    ("dense", "units", HUGE, "huge"),
    ("dense", "units", 1e18, "huge_float"),
    ("dense", "units", 4.5, "fraction"),
    ("dense", "units", "abc", "text"),
    ("dense", "units", None, "null"),
    ("dense", "units", [4], "list"),
    ("dense", "use_bias", "yes", "text"),
    ("dense", "activation", "frobnicate", "unknown"),
    ("dense", "activation", 7, "number"),
    ("conv2d", "filters", -4, "negative"),
    ("conv2d", "filters", HUGE, "huge"),
    ("conv2d", "kernel_size", [0, 0], "zero"),
    ("conv2d", "kernel_size", [3, -3], "negative"),
    ("conv2d", "kernel_size", [HUGE, HUGE], "huge"),
    ("conv2d", "kernel_size", [3, 3, 3], "three"),
    ("conv2d", "kernel_size", "three", "text"),
    ("conv2d", "kernel_size", [20, 20], "over_picture"),
    ("conv2d", "strides", [0, 1], "zero"),
    ("conv2d", "strides", [-1, -1], "negative"),
    ("conv2d", "strides", {"a": 1}, "dict"),
    ("conv2d", "dilation_rate", [0, 0], "zero"),
    ("conv2d", "dilation_rate", [2**62, 2**62], "huge"),
    ("conv2d", "groups", 0, "zero"),
    ("conv2d", "groups", 7, "seven"),
    ("conv2d", "padding", "sideways", "unknown"),
    ("conv2d", "data_format", "channels_middle", "unknown"),
    ("max_pooling2d", "pool_size", [0, 0], "zero"),
    ("max_pooling2d", "pool_size", [HUGE, 1], "huge"),
    ("max_pooling2d", "strides", [0, 0], "zero"),
    ("max_pooling2d", "padding", "causal", "unknown"),
    ("average_pooling1d", "pool_size", [-2], "negative"),
    ("conv2d_transpose", "strides", [2**62, 2**62], "huge"),
    ("conv2d_transpose", "output_padding", [HUGE, HUGE], "huge"),
    ("depthwise_conv2d", "depth_multiplier", 0, "zero"),
    ("concatenate", "axis", 9, "nine"),
    ("concatenate", "axis", "last", "text"),
    ("reshape", "target_shape", [4, 4], "other_size"),
    ("reshape", "target_shape", [-1, -1], "two_unknown"),
    ("reshape", "target_shape", [2**40, 2**40], "huge"),
    ("reshape", "target_shape", [0, -1], "zero"),
    ("permute", "dims", [1, 1], "twice"),
    ("permute", "dims", [2, 3], "range"),
    ("repeat_vector", "n", -1, "negative"),
    ("repeat_vector", "n", 2**61, "huge"),
    ("cropping2d", "cropping", [[4, 4], [0, 0]], "over_picture"),
    ("cropping2d", "cropping", [[-4, 0], [0, 0]], "negative"),
    ("zero_padding2d", "padding", [[2**62, 2**62], [2**62, 2**62]], "huge"),
    ("zero_padding2d", "padding", [[-1, 0], [0, 0]], "negative"),
    ("up_sampling2d", "size", [2**62, 2**62], "huge"),
    ("up_sampling2d", "size", [0, 1], "zero"),
    ("batch_normalization", "axis", 7, "seven"),
    ("layer_normalization", "axis", 7, "seven"),
    ("layer_normalization", "epsilon", "small", "text"),
    ("group_normalization", "groups", 3, "three"),
    ("group_normalization", "groups", 0, "zero"),
    ("softmax", "axis", 9, "nine"),
    ("rescaling", "scale", {"a": 1}, "dict"),
]
SHAPES = {
    "overflow": [None, 2**31, 2**31, 2**31, 8],
    "negative": [None, -8],
    "zero_rank": [],
    "text": [None, "eight"],
    "fraction": [None, 8.5],
    "not_a_list": 8,
    "null": None,
    "long": [None] + [1] * 1000 + [8],
}
# Errors about a shape that is formally right name the layer and the size, not the attribute.
OTHER_WORDS = {
    ("conv2d", "kernel_size", "over_picture"): "kernel|20",
    ("conv2d", "filters", "huge"): "kernel|GiB",
    ("dense", "units", "huge"): "kernel|GiB",
    ("dense", "activation", "unknown"): "frobnicate",
    ("repeat_vector", "n", "huge"): "too large",
}


@functools.cache
def picture_archive():
    """picture(8, 8, 3) -> conv2d -> max_pooling2d -> flatten -> dense."""
    keras.utils.clear_session()
    picture = Input((8, 8, 3), name="picture")
    x = layers.MaxPooling2D(2, name="max_pooling2d")(layers.Conv2D(4, 3, name="conv2d")(picture))
    x = layers.Dense(2, name="dense")(layers.Flatten(name="flatten")(x))
    model = Model(picture, x, name="picture_model")
    common.fill_weights(model, common.generator_for("picture_model"))
    return common.model_bytes(model)


@functools.cache
def class_archive(name):
    """The one-layer model of a class, whose layer has the same name."""
    keras.utils.clear_session()
    shapes, make_layer = CLASSES[name]
    several = isinstance(shapes, list)
    inputs = [Input(shape) for shape in shapes] if several else Input(shapes)
    layer = make_layer()
    layer.name = name
    model = Model(inputs, layer(inputs), name="one_layer")
    common.fill_weights(model, common.generator_for(name))
    return common.model_bytes(model)


def archive_for(layer):
    if layer == "dense":
        return base_archive()
    return class_archive(layer) if layer in CLASSES else picture_archive()


def value_case(layer, attribute, value):
    """A file with one attribute changed."""
    return with_config(lambda config: layer_of(config, layer)["config"].update({attribute: value}),
                       archive_for(layer))


def shape_case(shape):
    """A file with another input shape."""
    return with_config(
        lambda config: layer_of(config, "values")["config"].update(batch_shape=shape))


def merge_case():
    """Add of an input without any axis and one with as many axes as there may be."""

    keras.utils.clear_session()
    inputs = [Input((8,), name=name) for name in ("nothing", "many")]
    archive = common.model_bytes(Model(inputs, layers.Add(name="added")(inputs), name="merge"))

    def change(config):
        layer_of(config, "nothing")["config"]["batch_shape"] = []
        layer_of(config, "many")["config"]["batch_shape"] = [1] * 8

    return with_config(change, archive)


def prelu_case():
    """PReLU of an input without any axis: alpha would have rank -1."""
    keras.utils.clear_session()
    values = Input((8,), name="values")
    archive = common.model_bytes(Model(values, layers.PReLU(name="rectified")(values), name="one"))
    return with_config(
        lambda config: layer_of(config, "values")["config"].update(batch_shape=[]), archive)


def dtype_case():
    """A layer that computes in float64 behind a float32 input."""
    return with_config(lambda config: layer_of(config, "dense_1")["config"].update(dtype="float64"))


def set_entry(name, **values):
    return lambda config: layer_of(config, name).update(values)


STRUCTURES = {
    "layers_not_a_list": ("layers", lambda config: config["config"].update(layers="dense")),
    "layers_missing": ("layers", lambda config: config["config"].pop("layers")),
    "layers_empty": ("layer", lambda config: config["config"].update(layers=[])),
    "layer_not_an_object": ("layers", lambda c: c["config"]["layers"].__setitem__(1, 5)),
    "layer_without_class": ("class_name", lambda c: layer_of(c, "dense").pop("class_name")),
    "layer_class_number": ("class_name", set_entry("dense", class_name=5)),
    "layer_config_text": ("dense", set_entry("dense", config="units=4")),
    "layer_nodes_text": ("dense_1", set_entry("dense_1", inbound_nodes="dense")),
    "layer_nodes_missing": ("dense_1", set_entry("dense_1", inbound_nodes=[])),
    "layer_arguments_number": ("dense_1", set_entry(
        "dense_1", inbound_nodes=[{"args": 3, "kwargs": {}}])),
    "history_short": ("dense_1", lambda config: layer_of(config, "dense_1")[
        "inbound_nodes"][0]["args"][0]["config"].update(keras_history=["dense"])),
    "outputs_missing": ("output_layers", lambda c: c["config"].pop("output_layers")),
    "outputs_number": ("output_layers", lambda c: c["config"].update(output_layers=5)),
}


def register():
    for layer, attribute, value, kind in VALUES:
        name = f"value_{layer}_{attribute}_{kind}"
        words = f"{layer}|{OTHER_WORDS.get((layer, attribute, kind), attribute)}"
        CASES[name] = (words, functools.partial(value_case, layer, attribute, value))
    for kind, shape in SHAPES.items():
        words = {"overflow": str(2**31), "zero_rank": "values|rank 0"}.get(kind, "values|shape")
        CASES[f"batch_shape_{kind}"] = (words, functools.partial(shape_case, shape))
    CASES["batch_shape_none_into_add"] = ("added|batch axis", merge_case)
    CASES["batch_shape_none_into_prelu"] = ("rectified|batch axis", prelu_case)
    CASES["dtype_double_layer"] = ("dense_1|float64|float32", dtype_case)
    for name, (words, change) in STRUCTURES.items():
        CASES[f"structure_{name}"] = (words, functools.partial(with_config, change))


register()
