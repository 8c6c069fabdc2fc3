"""The programs whose training generate_training.py writes down, made small: few units, small
pictures, so that all weights of all runs fit into the repository.

A convolution or Dense before BatchNormalization has no bias: its gradient would be exactly zero but
for rounding, and Adam makes steps of full size of whatever is left."""

from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np
from keras import Input, Model, layers

BOTH = ("momentum", "adam")


@dataclass
class Program:
    """A model and how to train it. Losses: one for each output, Keras's name or (class, options);
    targets: one for each output, made of a generator and the output's shape."""

    build: Callable
    losses: list
    targets: list
    runs: tuple = BOTH
    loss_weights: Optional[list] = None
    metrics: Optional[str] = "accuracy"


def labels(rng, shape):
    return rng.integers(0, 2, size=shape).astype(np.float32)


def one_hot(rng, shape):
    return np.eye(shape[-1], dtype=np.float32)[rng.integers(0, shape[-1], size=shape[:-1])]


def classes(rng, shape):
    return rng.integers(0, shape[-1], size=shape[:-1]).astype(np.int32)


def numbers(rng, shape):
    return (rng.integers(-16, 17, size=shape) / 16.0).astype(np.float32)


def conv(filters, size, padding="valid"):
    return layers.Conv2D(filters, size, activation="relu", padding=padding)


def dense(units, activation="relu", **options):
    return layers.Dense(units, activation=activation, **options)


def prediction(x):
    return dense(1, "sigmoid", name="prediction")(x)


def p01():
    """A picture and a table, each brought to 32 features by a nested model."""
    image = Input((14, 14, 3), name="image")
    x = layers.MaxPooling2D(2)(conv(8, 3)(image))
    x = layers.MaxPooling2D(2)(conv(12, 3)(x))
    image_model = Model(image, dense(32)(layers.Flatten()(x)), name="image_preprocess")
    table = Input((10,), name="tabular")
    table_model = Model(table, dense(32)(dense(16)(table)), name="tabular_preprocess")
    image_input, table_input = Input((14, 14, 3), name="image"), Input((10,), name="tabular")
    joined = layers.Concatenate()([image_model(image_input), table_model(table_input)])
    return Model([image_input, table_input], prediction(joined))


def p09():
    """Convolution and pooling paths joined by channel."""
    image = Input((12, 12, 3), name="image")
    a = layers.MaxPooling2D(2)(conv(12, 3, "same")(conv(8, 3, "same")(image)))
    b = layers.MaxPooling2D(2)(conv(8, 3, "same")(conv(4, 3, "same")(image)))
    joined = layers.Concatenate(axis=-1)([a, b])
    return Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(joined))


def p11():
    """Numbers and a picture."""
    numerical, image = Input((20,), name="numerical"), Input((10, 10, 3), name="image")
    x = dense(8)(dense(16)(numerical))
    y = dense(8)(layers.Flatten()(conv(6, 3)(conv(4, 3)(image))))
    return Model([numerical, image], prediction(layers.Concatenate()([x, y])))


def p12(first_units, second_units):
    """Two series of different length and width, each brought to its last state."""
    first, second = Input((10, 5), name="first"), Input((15, 3), name="second")
    joined = layers.Concatenate()([layers.LSTM(first_units)(first),
                                   layers.LSTM(second_units)(second)])
    return Model([first, second], prediction(joined))


def p13():
    """Branches multiplied."""
    left, right = Input((10,), name="left"), Input((10,), name="right")
    return Model([left, right], prediction(layers.Multiply()([dense(16)(left), dense(16)(right)])))


def ties():
    """The largest and the smallest of branches that begin equal: on TensorFlow the first one learns, and
    the others where it is not the one; JAX and torch share the gradient out."""
    x = Input((6,), name="features")
    branches = [layers.Dense(5, kernel_initializer="ones", name=name)(x) for name in "abc"]
    joined = layers.Concatenate()([layers.Maximum()(branches), layers.Minimum()(branches)])
    return Model(x, prediction(layers.Activation("tanh")(joined)))


def norm():
    """BatchNormalization of pictures and of features, and a Dropout that drops nothing."""
    image = Input((8, 8, 2), name="image")
    x = layers.Conv2D(6, 3, use_bias=False)(image)
    x = layers.MaxPooling2D(2)(layers.Activation("tanh")(layers.BatchNormalization()(x)))
    x = dense(12, None, use_bias=False)(layers.Flatten()(x))
    x = layers.Activation("tanh")(layers.BatchNormalization(momentum=0.9)(x))
    return Model(image, prediction(layers.Dropout(0.0)(x)))


def shared():
    """Layers called twice: weights with two gradients, moving statistics assigned twice a step."""
    layer, normalization = dense(8, None, use_bias=False), layers.BatchNormalization(momentum=0.8)
    inputs = [Input((6,), name=name) for name in ("first", "second")]
    parts = [layers.Activation("tanh")(normalization(layer(one))) for one in inputs]
    return Model(inputs, prediction(layers.Concatenate()(parts)))


def two_outputs():
    """A label and two numbers from the same features."""
    x = Input((8,), name="features")
    y = dense(12, "tanh")(x)
    return Model(x, [dense(1, "sigmoid", name="label")(y), dense(2, None, name="value")(y)])


def classifier(activation):
    """Four classes."""
    x = Input((8,), name="features")
    return Model(x, dense(4, activation, name="classes")(dense(12, "tanh")(x)))


def logits():
    """A number that a sigmoid would turn into a probability."""
    x = Input((8,), name="features")
    return Model(x, dense(1, None, name="logit")(dense(12)(x)))


def frozen():
    """A layer and a normalization that stay as they are, between layers that learn."""
    x = Input((8,), name="features")
    y = dense(10, "tanh", name="first")(x)
    y = dense(10, "tanh", name="kept", trainable=False)(y)
    normalization = layers.BatchNormalization(name="kept_statistics", trainable=False)
    model = Model(x, prediction(dense(6, "tanh", name="last")(normalization(y))))
    rng = np.random.default_rng(1)
    values = [1 + 0.3 * rng.standard_normal(10), 0.2 * rng.standard_normal(10),
              0.2 * rng.standard_normal(10), 0.5 + np.abs(rng.standard_normal(10))]
    normalization.set_weights([one.astype(np.float32) for one in values])
    return model


BINARY, CATEGORICAL, SPARSE = (f"{kind}_crossentropy"
                               for kind in ("binary", "categorical", "sparse_categorical"))
FROM_LOGITS = {"from_logits": True}

PROGRAMS = {
    "P01": Program(p01, [BINARY], [labels]),
    "P09": Program(p09, [BINARY], [labels]),
    "P11": Program(p11, [BINARY], [labels]),
    "P12": Program(lambda: p12(6, 8), [BINARY], [labels]),
    "P12_published": Program(lambda: p12(32, 64), [BINARY], [labels], ("adam",)),
    "P13": Program(p13, [BINARY], [labels],
                   ("sgd", "momentum", "nesterov", "adam", "adam_epsilon")),
    "ties": Program(ties, [BINARY], [labels], ("sgd", "momentum")),
    "norm": Program(norm, [BINARY], [labels]),
    "shared": Program(shared, [BINARY], [labels]),
    "two_outputs": Program(two_outputs, [BINARY, "mse"], [labels, numbers],
                           loss_weights=[1.0, 0.5], metrics=None),
    "categorical": Program(lambda: classifier("softmax"), [CATEGORICAL], [one_hot]),
    "categorical_logits": Program(lambda: classifier(None),
                                  [("CategoricalCrossentropy", FROM_LOGITS)], [one_hot]),
    "sparse": Program(lambda: classifier("softmax"), [SPARSE], [classes]),
    "sparse_logits": Program(lambda: classifier(None),
                             [("SparseCategoricalCrossentropy", FROM_LOGITS)], [classes]),
    "logits": Program(logits, [("BinaryCrossentropy", FROM_LOGITS)], [labels]),
    "frozen": Program(frozen, [BINARY], [labels]),
}
