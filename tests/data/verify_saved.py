#!/usr/bin/env python3
"""Real Keras opens the files that Weft saved, and predicts what it should.

    build/dev/tests/models/test_save FOLDER           # the C tests, keeping their files
    build/dev/tests/models/test_save_training FOLDER
    python tests/data/verify_saved.py FOLDER

FOLDER/<kind>_<name>.keras was saved from the fixture <kind>/<name>.keras beside this script: both
must have the same structure, configuration and weights, and the same predictions bit for bit.
FOLDER/made_<name>.keras was built by C calls; its .npz holds inputs ("in.<name>") and what Weft
computed ("out.<k>.<name>"). FOLDER/noted_<name>.keras was saved with a note, and must be compiled as
NOTED below says, and train so. Needs Keras 3 with any backend; ctest does not need this script.
"""

import os
import sys
import zipfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BOUND = 1e-5  # of the largest output, where Weft and Keras both computed


@keras.saving.register_keras_serializable(package="org.example")
class Swish(keras.layers.Layer):
    """What the plugin plugins/example/swish.c computes."""

    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta

    def call(self, x):
        return x * keras.ops.sigmoid(self.beta * x)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}


# What Keras's compile() would be called with in place of a note of tests/models/test_save_training.c.
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
NOTED = {
    "whole": lambda: dict(
        optimizer=SGD(learning_rate=1.0, momentum=0.0, nesterov=False), loss="mse", loss_weights=2.0
    ),
    "zero": lambda: dict(optimizer=Adam(learning_rate=0.0), loss="mse", metrics=["mae"]),
    "points": lambda: dict(
        optimizer=SGD(learning_rate=0.25, momentum=0.5), loss="mse", loss_weights=0.5
    ),
    "behind": lambda: dict(optimizer=SGD(learning_rate=1.0), loss="mse", loss_weights=2.0),
    "odd": lambda: dict(optimizer=Adam(learning_rate=0.0625, beta_1=0.5, epsilon=1.0), loss="mae"),
    "smoothing": lambda: dict(
        optimizer="adam", loss=keras.losses.BinaryCrossentropy(label_smoothing=0.0, from_logits=True)
    ),
    "weights": lambda: dict(
        optimizer="adam",
        loss={"amount": "mse", "kind": "categorical_crossentropy"},
        loss_weights={"amount": 2.0, "kind": 0.5},
    ),
    "metrics": lambda: dict(
        optimizer="adam",
        loss={"amount": "mse", "kind": "categorical_crossentropy"},
        metrics={"amount": ["mae", "mse"], "kind": []},
    ),
    "one_for_all": lambda: dict(
        optimizer="adam",
        loss=["mse", "mse", "mse"],
        loss_weights=[1.0, 2.0, 3.0],
        metrics=[["mae"], ["mae"], ["mae"]],
    ),
}


def plain(value):
    """A configuration without what two loads of one file may differ in."""
    if isinstance(value, dict):
        dropped = {"shared_object_id", "build_config"}
        return {k: plain(v) for k, v in value.items() if k not in dropped}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, np.integer)):
        return value.item()
    return value


def differences(a, b, where=""):
    """Where two configurations differ; a list of one axis is that axis."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in sorted(set(a) | set(b)):
            found += differences(a.get(key), b.get(key), f"{where}/{key}")
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{where}/{i}")]
    if isinstance(a, list) and len(a) == 1 and not isinstance(b, list):
        return differences(a[0], b, where)
    return [] if a == b else [f"{where}: {a!r} became {b!r}"]


def inputs_of(model, arrays):
    """The fixture's arrays by the names of the model's inputs; the only one by any name."""
    given = {k[3:]: v for k, v in arrays.items() if k.startswith("in.")}
    names = [x.name for x in model.inputs]
    if len(names) == 1:
        return [next(iter(given.values()))]
    return [given[name] for name in names]


def run(model, arrays):
    """Predictions as a list: of a dict, in the order of its keys."""
    x = inputs_of(model, arrays)
    struct = model._inputs_struct if hasattr(model, "_inputs_struct") else None
    if isinstance(struct, dict):
        by_name = {t.name: v for t, v in zip(model.inputs, x)}
        x = {key: by_name[t.name] for key, t in struct.items()}
    elif len(x) == 1:
        x = x[0]
    y = model.predict(x, verbose=0)
    return [np.asarray(v) for v in keras.tree.flatten(y)]


def compiled(model):
    """How it was compiled, and its optimizer with all defaults."""
    optimizer = {k: v for k, v in model.optimizer.get_config().items() if k != "name"}
    config = plain(model.get_compile_config())
    if isinstance(config["optimizer"], dict):
        config["optimizer"]["config"].pop("name")  # it counts the optimizers made so far
    return {**config, "optimizer.get_config()": optimizer}


def step(model):
    """The loss of one step on ones, and the weights after it."""
    ones = [
        keras.tree.map_structure(lambda t: np.ones((2, *t.shape[1:]), "float32"), tensors)
        for tensors in (model.input, model.output)
    ]
    return [np.asarray(v) for v in (model.train_on_batch(*ones, return_dict=True)["loss"], *model.weights)]


def check_noted(path, name):
    model, wanted = keras.models.load_model(path), keras.models.load_model(path, compile=False)
    if not model.compiled:
        return ["it is not compiled"]
    wanted.compile(**NOTED[name]())
    wrong = differences(compiled(wanted), compiled(model), "compile_config")
    keras.utils.set_random_seed(1)
    got = step(model)
    keras.utils.set_random_seed(1)
    if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(got, step(wanted), strict=True)):
        wrong.append("a step of training gives other weights")
    return wrong


def check_fixture(path, original):
    before, after = keras.models.load_model(original), keras.models.load_model(path)
    wrong = []
    if type(before) is not type(after):
        wrong.append(f"a {type(before).__name__} became a {type(after).__name__}")
    a, b = before.weights, after.weights
    if len(a) != len(b) or any(not np.array_equal(x, y) for x, y in zip(a, b)):
        wrong.append("the weights differ")
    if [x.path for x in a] != [x.path for x in b] or [x.trainable for x in a] != [
        x.trainable for x in b
    ]:
        wrong.append("the weights have other names, or are frozen otherwise")
    wrong += differences(plain(before.get_config()), plain(after.get_config()))
    if bool(before.compiled) != bool(after.compiled):
        wrong.append("only one of them is compiled")
    elif before.compiled:
        wrong += differences(compiled(before), compiled(after), "compile_config")
    arrays = np.load(original[: -len(".keras")] + ".npz")
    for x, y in zip(run(before, arrays), run(after, arrays), strict=True):
        if not np.array_equal(x, y, equal_nan=True):
            wrong.append(f"predictions differ by {np.max(np.abs(x - y))}")
    return wrong


def check_made(path):
    arrays = np.load(path[: -len(".keras")] + ".npz")
    model = keras.models.load_model(path)
    want = sorted((k for k in arrays if k.startswith("out.")), key=lambda k: int(k.split(".")[1]))
    wrong = []
    for key, got in zip(want, run(model, arrays), strict=True):
        expected = arrays[key]
        off = np.max(np.abs(got - expected)) / max(np.max(np.abs(expected)), 1e-30)
        if got.shape != expected.shape or not off <= BOUND:
            wrong.append(f"{key}: {got.shape}, off by {off} of the largest output")
    return wrong


def check(folder, name):
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path) as z:
        if z.testzip():
            return ["the zip is damaged"]
    if name.startswith("made_"):
        return check_made(path)
    kind, _, case = name.partition("_")
    if kind == "noted":
        return check_noted(path, case[: -len(".keras")])
    return check_fixture(path, os.path.join(HERE, kind, case))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    names = sorted(n for n in os.listdir(sys.argv[1]) if n.endswith(".keras"))
    failed = 0
    for name in names:
        try:
            wrong = check(sys.argv[1], name)
        except Exception as error:  # a file that Keras refuses is a finding as any other
            lines = [line for line in str(error).splitlines() if line.strip()]
            wrong = [f"{type(error).__name__}: {lines[-1] if lines else ''}"]
        failed += bool(wrong)
        for text in wrong:
            print(f"{name}: {text}")
    print(f"Keras {keras.__version__} ({keras.backend.backend()}): {len(names)} files, {failed} wrong")
    sys.exit(1 if failed or not names else 0)


if __name__ == "__main__":
    main()
