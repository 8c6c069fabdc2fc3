#!/usr/bin/env python3
"""Real Keras opens the files that Weft saved, and predicts what it should.

    build/dev/tests/models/test_save FOLDER  # the C test, keeping its files
    python tests/data/verify_saved.py FOLDER

FOLDER/<kind>_<name>.keras was saved from the fixture <kind>/<name>.keras beside this script: both
must have the same structure, configuration and weights, and the same predictions bit for bit.
FOLDER/made_<name>.keras was built by C calls; its .npz holds inputs ("in.<name>") and what Weft
computed ("out.<k>.<name>"). Needs Keras 3 with any backend; ctest does not need this script.
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


def plain(value):
    """A configuration without what two loads of one file may differ in."""
    if isinstance(value, dict):
        dropped = {"shared_object_id", "build_config", "compile_config"}
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
