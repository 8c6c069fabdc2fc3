"""Sound files that must still be refused, with an error that helps: layers that cannot run here,
and merges that Keras accepts wrongly or could not have written (config.json is then changed)."""

import functools

import keras
from keras import Input, Model, layers

import generate_common as common
from generate_hostile import layer_of, with_config

CASES = {}


def refused(words):
    """Registers a function that gives a file's bytes. `words`: what the error must contain."""

    def register(function):
        CASES[function.__name__] = (words, function)
        return function

    return register


@keras.saving.register_keras_serializable(package="Custom")
class Swirl(layers.Layer):
    """A layer that only its author has."""

    def call(self, inputs):
        return inputs * 1.5


def bytecode(text):
    """A function that carries no path of the machine it was made on."""
    return eval(compile(text, "model.py", "eval"))


def saved(build):
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)  # of the initial weights: the same bytes each time
    return common.model_bytes(build())


@refused("Lambda|doubled")
def lambda_layer():
    """Holds Python bytecode, which is never run."""

    def build():
        values = Input((8,), name="values")
        double = layers.Lambda(bytecode("lambda one: one * 2.0"), name="doubled",
                               output_shape=(8,))
        return Model(values, layers.Dense(2)(double(values)))

    return saved(build)


@refused("Lambda|hidden")
def lambda_nested():
    """A Lambda inside a nested model."""

    def build():
        own = Input((8,), name="own")
        add_one = layers.Lambda(bytecode("lambda one: one + 1.0"), name="hidden",
                                output_shape=(8,))
        inner = Model(own, add_one(own), name="inner")
        values = Input((8,), name="values")
        return Model(values, layers.Dense(2)(inner(values)))

    return saved(build)


@refused("Embedding|GRU|MultiHeadAttention|Swirl")
def unsupported():
    """Four layers that do not run; the error names all of them at once."""

    def build():
        words = Input((12,), name="words")
        x = layers.Embedding(50, 8)(words)
        x = layers.MultiHeadAttention(2, 4)(x, x)
        return Model(words, layers.Dense(2)(layers.GRU(6)(Swirl(name="swirl")(x))))

    return saved(build)


@keras.saving.register_keras_serializable(package="Custom")
def wobble(x):
    """A function that only its author has."""
    return x * 0.5


@keras.saving.register_keras_serializable(package="Custom", name="relu")
def own_relu(x):
    """A function that has the name of one of Keras, and does something else."""
    return x * 2.0


def activated(activation, layer=layers.Dense, **options):
    """A model with one layer "odd" with this activation."""
    def build():
        values = Input((8,), name="values")
        return Model(values, layer(4, activation=activation, name="odd", **options)(values))

    return saved(build)


@refused("odd|wobble|runs no Python code|Keras by an activation|plugins/example/xtanh.c")
def activation_function():
    return activated(wobble)


@refused("odd|\"relu\"|of the model's author|runs no Python code")
def activation_function_named_relu():
    return activated(own_relu)


@refused("odd|lambda|runs no Python code|give it a name|plugins/example/xtanh.c")
def activation_lambda():
    return activated(bytecode("lambda one: one * 2.0"))


@refused("odd|lambda|runs no Python code|give it a name")
def activation_lambda_older():
    """As Keras 3.0 to 3.10 wrote it."""
    value = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None,
                                                    "closure": None}}
    return with_config(lambda config: layer_of(config, "odd")["config"].update(activation=value),
                       activated("relu"))


@refused("odd|Swirl|class of the model's author|runs no Python code")
def activation_class():
    return activated(Swirl(name="swirl"))


@refused("odd|wobble|GRU|2 unsupported")
def activation_function_and_layer():
    """Both are told at once."""
    def build():
        values = Input((5, 8), name="values")
        x = layers.Dense(4, activation=wobble, name="odd")(values)
        return Model(values, layers.GRU(3)(x))

    return saved(build)


def changed(**changes):
    """A model whose layer "odd" has more in its config than Keras writes."""
    return with_config(lambda config: layer_of(config, "odd")["config"].update(changes),
                       activated("relu"))


@refused("odd|Dense|bend=2|may change the results")
def unknown_key():
    return changed(bend=2)


@refused("odd|Dense|bend={\"by\":[1.5]}")
def unknown_key_object():
    return changed(bend={"by": [1.5]})


@refused("odd|Dense|bend=false|may change the results")
def unknown_key_false():
    """What it is when it is absent, nobody knows."""
    return changed(bend=False)


@refused("odd|activation|nested too deeply")
def activation_deep():
    """An activation of an activation of an activation .."""
    def change(config):
        one = "relu"
        for _ in range(100):
            one = {"module": "keras.layers", "class_name": "Activation",
                   "config": {"name": "inner", "activation": one}}
        layer_of(config, "odd")["config"]["activation"] = one

    return with_config(change, activated("relu"))


@refused("odd|Dense|whole numbers|float32")
def dense_of_whole_numbers():
    """Keras cuts the weights of such a layer."""
    def change(config):
        layer_of(config, "values")["config"]["dtype"] = "int32"
        layer_of(config, "odd")["config"]["dtype"] = "int32"

    return with_config(change, activated("relu"))


@refused("odd|quantization_config={")
def quantized():
    return changed(quantization_config={"class_name": "Int8QuantizationConfig"})


def merged(layer, shapes):
    """A merge of inputs left, right (and third), as Keras would write it if it were allowed: built
    on inputs that fit, then given the shapes (with the batch) that do not."""
    names = ["left", "right", "third"][:len(shapes)]

    def build():
        inputs = [Input(shapes[0][1:], name=name) for name in names]
        return Model(inputs, layer()(inputs))

    def change(config):
        entry = next(one for one in config["config"]["layers"] if one["inbound_nodes"])
        tensors = entry["inbound_nodes"][0]["args"][0]
        for name, shape, tensor in zip(names, shapes, tensors):
            layer_of(config, name)["config"]["batch_shape"] = list(shape)
            tensor["config"]["shape"] = list(shape)
        entry["build_config"] = {"input_shape": [list(shape) for shape in shapes]}

    return with_config(change, saved(build))


MERGES = {
    "P10_axis1": ("joined|axis|64|32", layers.Concatenate, {"axis": 1},
                  [(None, 64, 64, 32), (None, 64, 32, 32)]),
    "P14_batch": ("joined|8|32", layers.Concatenate, {"axis": -1}, [(1, 8), (None, 32)]),
    "P06_unequal": ("joined|128|64", layers.Average, {}, [(None, 128), (None, 64)]),
    "add_8_32": ("joined|8|32", layers.Add, {}, [(None, 8), (None, 32)]),
    "add_batches": ("joined|4|3", layers.Add, {}, [(4, 8), (3, 8)]),
    "multiply_lengths": ("joined|10|5", layers.Multiply, {}, [(None, 10, 32), (None, 5, 32)]),
    "maximum_rank": ("joined|32|10", layers.Maximum, {}, [(None, 32), (None, 4, 10)]),
    "concatenate_rank": ("joined|8|32", layers.Concatenate, {"axis": -1},
                         [(None, 8), (None, 10, 32)]),
    "concatenate_third": ("joined|third|5", layers.Concatenate, {"axis": -1},
                          [(None, 4, 6), (None, 4, 7), (None, 5, 6)]),
}


@refused("joined|3")
def subtract_three():
    """Subtract takes two inputs."""
    def build():
        inputs = [Input((8,), name=name) for name in ("left", "right", "third")]
        return Model(inputs, layers.Add(name="joined")(inputs))

    return with_config(lambda config: layer_of(config, "joined").update(class_name="Subtract"),
                       saved(build))


def register():
    for name, (words, layer, options, shapes) in MERGES.items():
        make_layer = functools.partial(layer, name="joined", **options)
        CASES[name] = (words, functools.partial(merged, make_layer, shapes))


register()
