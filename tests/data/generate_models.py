"""Whole models: the programs that the project must run. generate_graphs.py has the graph shapes
around them (nested, shared, several inputs and outputs, Sequential, skip connections)."""

import keras
from keras import Input, Model, layers

import generate_common as common
import generate_graphs

PERIOD = 1021  # a prime number of floats: 4 KB, well inside Deflate's window


def compiled(model):
    """As the programs do: adam, binary_crossentropy, accuracy."""
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def conv(filters, size, padding="valid", **options):
    return layers.Conv2D(filters, size, activation="relu", padding=padding, **options)


def p01():
    """A picture and a table, each brought to 256 features by a nested model."""
    image = Input((64, 64, 3), name="image")
    x = layers.MaxPooling2D(2)(conv(32, 3)(image))
    x = layers.MaxPooling2D(2)(conv(64, 3)(x))
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    image_model = Model(image, x, name="image_preprocess")
    table = Input((10,), name="tabular")
    y = layers.Dense(256, activation="relu")(layers.Dense(128, activation="relu")(table))
    table_model = Model(table, y, name="tabular_preprocess")
    image_input, table_input = Input((64, 64, 3), name="image"), Input((10,), name="tabular")
    joined = layers.Concatenate()([image_model(image_input), table_model(table_input)])
    return compiled(Model([image_input, table_input],
                          layers.Dense(1, activation="sigmoid", name="prediction")(joined)))


def p02():
    """Mapping layers after unequal models; the picture is reduced to 32 x 32."""
    image, table = Input((32, 32, 3), name="image"), Input((10,), name="tabular")
    x = layers.Flatten()(layers.MaxPooling2D(2)(conv(32, 3)(image)))
    x = layers.Dense(256, activation="relu")(x)
    y = layers.Dense(128, activation="relu")(table)
    x = layers.Dense(512, activation="relu", name="map_image")(x)
    y = layers.Dense(512, activation="relu", name="map_tabular")(y)
    joined = layers.Concatenate()([x, y])
    return compiled(Model([image, table],
                          layers.Dense(1, activation="sigmoid", name="prediction")(joined)))


def p03():
    """Preprocess and map: 16928 features straight into 512 units; the picture is 48 x 48."""
    image, table = Input((48, 48, 3), name="image"), Input((10,), name="tabular")
    x = layers.Flatten()(layers.MaxPooling2D(2)(conv(32, 3)(image)))
    x = layers.Dense(512, activation="relu")(x)
    y = layers.Dense(512, activation="relu")(layers.Dense(128, activation="relu")(table))
    joined = layers.Concatenate()([x, y])
    return compiled(Model([image, table],
                          layers.Dense(1, activation="sigmoid", name="prediction")(joined)))


def p08():
    """Two convolution paths joined by channel; the picture is reduced to 48 x 48."""
    image = Input((48, 48, 3), name="image")
    a = conv(64, 3, "same")(conv(32, 3, "same")(image))
    b = conv(64, 5, "same")(conv(32, 5, "same")(image))
    joined = layers.Concatenate(axis=-1)([a, b])
    return compiled(Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(joined)))


def p09():
    """Convolution and pooling paths joined; the picture is reduced to 48 x 48."""
    image = Input((48, 48, 3), name="image")
    a = layers.MaxPooling2D(2)(conv(128, 3, "same")(conv(64, 3, "same")(image)))
    b = layers.MaxPooling2D(2)(conv(64, 3, "same")(conv(32, 3, "same")(image)))
    joined = layers.Concatenate(axis=-1)([a, b])
    return compiled(Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(joined)))


def p10():
    """Two feature maps of different width joined along space."""
    left, right = Input((64, 64, 32), name="left"), Input((64, 32, 32), name="right")
    return Model([left, right], layers.Concatenate(axis=2, name="joined")([left, right]))


def p12():
    """Two series of different length and width, each brought to its last state."""
    first, second = Input((10, 5), name="first"), Input((15, 3), name="second")
    joined = layers.Concatenate()([layers.LSTM(32)(first), layers.LSTM(64)(second)])
    return compiled(Model([first, second],
                          layers.Dense(1, activation="sigmoid", name="prediction")(joined)))


PROGRAMS = {"P01": p01, "P02": p02, "P03": p03, "P08": p08, "P09": p09, "P10": p10, "P12": p12}
MODELS = PROGRAMS | generate_graphs.MODELS
LARGE = ("P08", "P09", "P10")


def spread_sigmoid(model, inputs):
    """Scales the last sigmoid layer so that its values spread around 0.5 instead of sitting at
    0 or 1: `logit = (z - mean) / deviation` for the stored inputs."""
    last = model.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.sigmoid:
        return
    last.activation = keras.activations.linear
    model.predict_function = None
    logits = common.run_model(model, inputs)[0]
    last.activation = keras.activations.sigmoid
    model.predict_function = None
    kernel, bias = last.get_weights()
    spread = max(float(logits.std()), 1e-6)
    last.set_weights([kernel / spread, (bias - logits.mean()) / spread])


def inputs_of(name, model, rng):
    """Three samples for each input, two for the large models."""
    batch = 2 if name in LARGE else 3
    period = PERIOD if name == "P10" else None
    return {name: common.sample_values(rng, (batch,) + tuple(tensor.shape[1:]), period=period)
            for name, tensor in zip(common.layer_names(model.inputs), model.inputs)}


def make(name):
    keras.utils.clear_session()
    rng = common.generator_for(name)
    model = MODELS[name]()
    if name not in generate_graphs.READY:
        common.fill_weights(model, rng, PERIOD)
    inputs = inputs_of(name, model, rng)
    if name not in generate_graphs.READY:
        spread_sigmoid(model, inputs)
    common.write_case("models", name, model, inputs)
