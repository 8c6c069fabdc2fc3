"""Small models whose point is the shape of their graph, or how Keras writes it down: nested and
shared layers, several inputs and outputs, Sequential, skip connections, names, a trained state."""

import keras
import numpy as np
from keras import Input, Model, Sequential, layers

import generate_common as common


def dense(units, activation="relu", **options):
    return layers.Dense(units, activation=activation, **options)


def conv(filters, size=3, **options):
    return layers.Conv2D(filters, size, activation="relu", padding="same", **options)


def classifier(name, features):
    """A small loaded part: its layers are called as in every other such part."""
    values = Input((features,), name=f"{name}_input")
    x = dense(16, name="dense")(values)
    x = dense(8, name="dense_1")(x)
    return Model(values, dense(1, "sigmoid", name="score")(x), name=name)


def p04():
    """The outputs of two classifiers joined, with equal layer names inside both."""
    a, b = classifier("model_a", 6), classifier("model_b", 9)
    first, second = Input((6,), name="first"), Input((9,), name="second")
    x = dense(64)(layers.Concatenate()([a(first), b(second)]))
    return Model([first, second], dense(1, "sigmoid", name="prediction")(x))


def regressor(name, features):
    """A part of P05 with its own weights, the same in P05_a, P05_b and P05."""
    values = Input((features,), name=f"{name}_input")
    x = dense(12, "tanh", name="dense")(values)
    model = Model(values, layers.Dense(1, name="dense_1")(x), name=name)
    common.fill_weights(model, common.generator_for(name))
    return model


def p05():
    """Two regressors multiplied. P05_a and P05_b are the parts, with the same weights."""
    a, b = regressor("regressor_a", 6), regressor("regressor_b", 9)
    first, second = Input((6,), name="first"), Input((9,), name="second")
    return Model([first, second], layers.Multiply(name="product")([a(first), b(second)]))


def p06():
    """The features of three nested models averaged."""
    values = Input((10,), name="values")
    parts = []
    for name in ("one", "two", "three"):
        own = Input((10,), name="own")
        parts.append(Model(own, dense(16, name="features")(dense(24)(own)), name=name)(values))
    return Model(values, dense(10, "softmax", name="digit")(layers.Average()(parts)))


def nested_twice():
    """A model in a model in a model; the middle one also holds a Sequential."""
    a = Input((6,), name="a")
    inner = Model(a, dense(5)(dense(7)(a)), name="inner")
    b = Input((6,), name="b")
    side = Sequential([Input((6,)), dense(4), dense(5, "tanh")], name="side")
    middle = Model(b, layers.Add()([inner(b), side(b)]), name="middle")
    values = Input((6,), name="values")
    return Model(values, layers.Dense(3, name="result")(middle(values)))


def nested_several():
    """A nested model with two inputs and two outputs, whose outputs cross over."""
    a, b = Input((4,), name="a"), Input((5,), name="b")
    joined = layers.Concatenate()([a, b])
    inner = Model([a, b], [dense(3, name="small")(joined), dense(6, name="large")(joined)],
                  name="inner")
    left, right = Input((4,), name="left"), Input((5,), name="right")
    small, large = inner([left, right])
    mixed = layers.Concatenate(name="mixed")([large, small, left])
    return Model([left, right], [layers.Dense(2, name="from_mixed")(mixed), small])


def shared_dense():
    """One Dense layer called twice, and its first result called a third time."""
    first, second = Input((6,), name="first"), Input((6,), name="second")
    shared = dense(6, "tanh", name="shared")
    x, y = shared(first), shared(second)
    return Model([first, second],
                 layers.Dense(2, name="result")(layers.Concatenate()([x, y, shared(x)])))


def shared_model():
    """One nested model called twice: the distance of two pictures."""
    picture = Input((12, 12, 1), name="picture")
    x = layers.Flatten()(layers.MaxPooling2D(2)(conv(4)(picture)))
    encoder = Model(picture, dense(8, "tanh")(x), name="encoder")
    left, right = Input((12, 12, 1), name="left"), Input((12, 12, 1), name="right")
    difference = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    return Model([left, right], dense(1, "sigmoid", name="same")(difference))


def several_outputs():
    """Two inputs, three outputs in another order than they are made; one output is used on."""
    picture, numbers = Input((8, 8, 3), name="picture"), Input((5,), name="numbers")
    x = layers.GlobalAveragePooling2D()(conv(6)(picture))
    features = layers.Concatenate(name="features")([x, dense(6)(numbers)])
    kind = dense(4, "softmax", name="kind")(features)
    score = layers.Dense(1, name="score")(layers.Concatenate()([features, kind]))
    return Model([picture, numbers], [score, features, kind])


def reused_output():
    """One tensor goes into a merge twice, and into two merges."""
    values = Input((6,), name="values")
    x = dense(6, "tanh")(values)
    twice = layers.Add()([x, x])
    joined = layers.Concatenate()([x, twice, values, x])
    return Model(values, layers.Multiply(name="result")([layers.Dense(6)(joined), x]))


def sequential_input():
    return Sequential([Input((8,), name="values"), dense(6), layers.Dropout(0.5),
                       dense(3, "softmax", name="result")], name="with_input")


def sequential_built():
    """No Input is given first: the shape comes with build()."""
    model = Sequential([dense(6), layers.BatchNormalization(), layers.Dense(3)], name="late")
    model.build((None, 8))
    return model


def sequential_nested():
    """Sequential in Sequential, with pictures."""
    front = Sequential([Input((10, 10, 2)), conv(4), layers.MaxPooling2D(2)], name="front")
    back = Sequential([Input((5, 5, 4)), layers.Flatten(), dense(6)], name="back")
    return Sequential([Input((10, 10, 2), name="picture"), front, back, layers.Dense(3)])


def unet():
    """Two steps down, two steps up, joined at every level."""
    picture = Input((16, 16, 1), name="picture")
    one = conv(6)(conv(6)(picture))
    two = conv(8)(layers.MaxPooling2D(2)(one))
    low = conv(10)(layers.MaxPooling2D(2)(two))
    up = layers.Concatenate()([layers.UpSampling2D(2)(low), two])
    up = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(conv(8)(up))
    up = conv(6)(layers.Concatenate()([up, one]))
    return Model(picture, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(up), name="unet")


def residual():
    """Convolutions with batch normalization and additive skip connections."""
    picture = Input((12, 12, 3), name="picture")
    x = conv(8)(picture)
    for filters, strides in ((8, 1), (12, 2)):
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if strides > 1:
            x = layers.Conv2D(filters, 1, strides=strides)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return Model(picture, layers.Dense(4, name="result")(x), name="residual")


def series():
    """Two time series of different length, without recurrence."""
    short, long = Input((10, 5), name="short"), Input((15, 3), name="long")
    x = layers.GlobalMaxPooling1D()(layers.Conv1D(8, 3, padding="causal")(short))
    y = layers.GlobalAveragePooling1D()(layers.Conv1D(6, 5, activation="tanh")(long))
    return Model([short, long],
                 dense(1, "sigmoid", name="prediction")(layers.Concatenate()([x, y])))


def dict_inputs():
    """Inputs by name, not in alphabetic order."""
    parts = {"width": Input((3,), name="width"), "age": Input((4,), name="age"),
             "picture": Input((6, 6, 1), name="picture")}
    x = layers.Concatenate()([parts["width"], layers.Flatten()(parts["picture"]), parts["age"]])
    return Model(parts, layers.Dense(3, name="result")(x))


def dict_both():
    """Inputs and outputs by name."""
    parts = {"b": Input((3,), name="b"), "a": Input((4,), name="a")}
    joined = layers.Concatenate()([parts["b"], parts["a"]])
    return Model(parts, {"upper": dense(2, "tanh", name="upper")(joined),
                         "lower": layers.Dense(3, name="lower")(joined)})


def standardized():
    """A table standardised inside the model, and a rescaled picture."""
    table, picture = Input((5,), name="table"), Input((6, 6, 1), name="picture")
    scale = layers.Normalization(name="standardize")
    rng = np.random.default_rng(5)
    scale.adapt((rng.standard_normal((40, 5)) * [1, 2, 3, 4, 5] + 1).astype(np.float32))
    x = layers.Flatten()(layers.Rescaling(0.5, offset=0.25)(picture))
    return Model([table, picture],
                 layers.Dense(3, name="result")(layers.Concatenate()([scale(table), x])))


def odd_names():
    """Names with spaces, quotes, dots, other alphabets, and one of 200 characters."""
    values = Input((4,), name="the values")
    x = dense(4, name='say "dense"')(values)
    y = dense(4, name="größe_大きさ")(values)
    z = dense(4, name="n" * 200)(x)
    return Model(values, layers.Add(name="a+b.c")([x, y, z]), name="odd names")


def deep():
    """200 layers one after another, the input added every tenth time: more than one HDF5 node."""
    values = Input((4,), name="values")
    x = values
    for index in range(180):
        y = layers.Dense(4, activation="tanh")(x)
        x = layers.Add()([values, y]) if index % 9 == 8 else y
    return Model(values, layers.Dense(2, name="result")(x), name="deep")


def many_inputs():
    """Twelve inputs of different size in one merge."""
    inputs = [Input((1 + index % 4,), name=f"part_{index}") for index in range(12)]
    return Model(inputs, layers.Dense(3, name="result")(layers.Concatenate()(inputs)))


def trained(optimizer):
    """A few steps of training, so that the file holds the optimizer's slots."""
    keras.utils.set_random_seed(11)
    first, second = Input((5,), name="first"), Input((3,), name="second")
    x = layers.BatchNormalization()(layers.Concatenate()([dense(8)(first), second]))
    model = Model([first, second], dense(1, "sigmoid", name="prediction")(x))
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(12)
    a, b = common.sample_values(rng, (64, 5)), common.sample_values(rng, (64, 3))
    labels = (a.sum(axis=1) > b.sum(axis=1)).astype(np.float32)[:, None]
    model.fit([a, b], labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
    return model


def compiled_objects():
    """All of a configuration is objects, with what is not the default."""
    values = Input((4,), name="values")
    model = Model(values, dense(3, "softmax", name="kind")(values))
    model.compile(optimizer=keras.optimizers.SGD(0.125, momentum=0.5, nesterov=True),
                  loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.25),
                  metrics=[keras.metrics.CategoricalAccuracy(), "mae"], loss_weights=2.0)
    return model


def compiled_by_name():
    """Losses, their weights and metrics by the names of the outputs."""
    values = Input((4,), name="values")
    model = Model(values, {"kind": dense(3, "softmax", name="kind")(values),
                           "amount": dense(1, name="amount")(values)})
    model.compile(optimizer="adam", loss_weights={"kind": 1.0, "amount": 0.5},
                  loss={"kind": "categorical_crossentropy",
                        "amount": keras.losses.MeanSquaredError()},
                  metrics={"kind": "mae", "amount": ["mae"]})
    return model


MODELS = {
    "P04": p04, "P05": p05, "P06": p06,
    "P05_a": lambda: regressor("regressor_a", 6), "P05_b": lambda: regressor("regressor_b", 9),
    "nested_twice": nested_twice, "nested_several": nested_several,
    "shared_dense": shared_dense, "shared_model": shared_model,
    "several_outputs": several_outputs, "reused_output": reused_output,
    "sequential_input": sequential_input, "sequential_built": sequential_built,
    "sequential_nested": sequential_nested, "unet": unet, "residual": residual,
    "series": series, "dict_inputs": dict_inputs, "dict_both": dict_both,
    "standardized": standardized, "odd_names": odd_names, "deep": deep,
    "many_inputs": many_inputs,
    "compiled_objects": compiled_objects, "compiled_by_name": compiled_by_name,
    "trained_adam": lambda: trained(keras.optimizers.Adam(0.01)),
    "trained_sgd": lambda: trained(keras.optimizers.SGD(0.05, momentum=0.9)),
}
# These come with their weights.
READY = ("P05", "P05_a", "P05_b", "trained_adam", "trained_sgd")
