"""Training as Keras does it: small models with Keras's initial weights, batches, and what twenty
steps of train_on_batch make of them, in float32 and in float64. generate_training_models.py has
the models.

    pip install keras tensorflow-cpu numpy h5py
    python tests/data/generate_training.py                 everything
    python tests/data/generate_training.py P01 norm        only these programs
    python tests/data/generate_training.py --verify [...]  write nothing: train the stored models
                                                           again and compare

Keras runs on TensorFlow here, not on JAX as for the other fixtures: on JAX it computes means in
float32 even where everything else is float64. KERAS_BACKEND=jax with --verify compares the float32
runs of two backends.

Folder training/:
    <program>.keras        the model before training, not compiled
    <program>.npz          x.<input layer>, y.<output layer>: all samples
    <program>.<run>.npz    log.<name>    what Keras logged for each step ("loss", "accuracy"): the
                                         values of that one batch, before its update
                           w.<variable>  the weights after the last step
                           log64.<name>, w64.<variable>: the same by float64, from the same weights
    training.txt           a line for each run: program, run, steps, batch size, compile text, the
                           largest |w - w64| and |log - log64|; separated by tabs

Step s trains on batch s % n, where the n batches divide the samples in their order and the last is
smaller. <variable> is the path of layers, then the variable, "encoder/dense/kernel"."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import generate_common as common  # noqa: E402  (the backend must be chosen first)
import keras  # noqa: E402
import numpy as np  # noqa: E402
from generate_training_models import PROGRAMS  # noqa: E402

FOLDER = common.ROOT / "training"
STEPS, BATCH, SAMPLES = 20, 4, 11

RUNS = {
    "sgd": ("SGD", {"learning_rate": 0.05}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adam_epsilon": ("Adam", {"learning_rate": 0.01, "epsilon": 1e-05}),
}


def attribute_text(value):
    """A value in the grammar of Weft's attributes: words, numbers, (a,b), Name(key=value ...)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"({','.join(attribute_text(one) for one in value)})"
    if isinstance(value, tuple):
        name, options = value
        pairs = " ".join(f"{key}={attribute_text(one)}" for key, one in options.items())
        return f"{name}({pairs})" if pairs else name
    return str(value)


def compile_text(program, run):
    """What a run is compiled with, as attribute text."""
    losses = program.losses if len(program.losses) > 1 else program.losses[0]
    pairs = {"optimizer": RUNS[run], "loss": losses, "loss_weights": program.loss_weights,
             "metrics": program.metrics}
    return " ".join(f"{key}={attribute_text(value)}" for key, value in pairs.items() if value)


def compile_model(model, program, run):
    """The same, by Keras."""
    name, options = RUNS[run]
    losses = [one if isinstance(one, str) else getattr(keras.losses, one[0])(**one[1])
              for one in program.losses]
    model.compile(optimizer=getattr(keras.optimizers, name)(**options),
                  loss=losses if len(losses) > 1 else losses[0],
                  loss_weights=program.loss_weights,
                  metrics=[program.metrics] if program.metrics else None)


def variables(layer, path=""):
    """(path, variable) of all weights below a model, in its own order, shared ones once."""
    found = []
    for one in layer.layers if hasattr(layer, "layers") else []:
        found += variables(one, f"{path}{one.name}/")
    if not found:
        found = [(f"{path}{one.name}", one) for one in layer.weights]
    known = set()
    return [(name, one) for name, one in found if not (id(one) in known or known.add(id(one)))]


def values(model):
    return {path: keras.ops.convert_to_numpy(one) for path, one in variables(model)}


def precision(name):
    """Everything that is built from here on computes with this dtype."""
    keras.utils.clear_session()
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)


def built(name):
    """The model with initial weights that depend on its name only."""
    keras.utils.set_random_seed(int(common.generator_for(f"training {name}").integers(2**31)))
    return PROGRAMS[name].build()


def single(arrays):
    return arrays if len(arrays) > 1 else arrays[0]


def train(name, run, dtype, weights, x, y):
    """The logs of each step, and the final weights by path."""
    precision(dtype)
    model = built(name)
    model.set_weights(weights)
    compile_model(model, PROGRAMS[name], run)
    x, y = ([one.astype(dtype) if one.dtype.kind == "f" else one for one in data]
            for data in (x, y))
    logs = []
    for step in range(STEPS):
        start = step * BATCH % (BATCH * -(-SAMPLES // BATCH))
        part = slice(start, start + BATCH)
        model.reset_metrics()
        logs.append(model.train_on_batch(single([one[part] for one in x]),
                                         single([one[part] for one in y]), return_dict=True))
    log = {key: np.array([float(one[key]) for one in logs]) for key in logs[0]}
    return log, values(model)


def samples(name, model):
    """Inputs and targets of a program, always the same."""
    rng, program = common.generator_for(f"training {name}"), PROGRAMS[name]
    x = [common.sample_values(rng, (SAMPLES,) + tuple(one.shape[1:]), 1.0) for one in model.inputs]
    y = [target(rng, (SAMPLES,) + tuple(one.shape[1:]))
         for target, one in zip(program.targets, model.outputs)]
    return x, y


def check_run(label, initial, log, final, log64, final64):
    """A run in which nothing moves, or that is chaotic, would test nothing."""
    moved = max(np.abs(final64[key] - initial[key]).max() for key in final64)
    apart = max(np.abs(final64[key] - final[key]).max() for key in final64)
    losses = max(abs(log64["loss"] - log["loss"]))
    if not np.isfinite(log64["loss"]).all() or moved < 1e-3:
        raise SystemExit(f"{label}: the weights move by {moved}")
    if apart > 1e-3 * moved or losses > 1e-4 * log64["loss"].max():
        raise SystemExit(f"{label}: float32 is {apart} apart from float64 in weights that move "
                         f"by {moved}, and {losses} in the loss")


def make(name):
    """Writes the model, its samples and its runs."""
    FOLDER.mkdir(exist_ok=True)
    precision("float32")
    model = built(name)
    x, y = samples(name, model)
    arrays = {f"x.{key}": one for key, one in zip(common.layer_names(model.inputs), x)}
    arrays |= {f"y.{key}": one for key, one in zip(common.layer_names(model.outputs), y)}
    (FOLDER / f"{name}.keras").write_bytes(common.model_bytes(model))
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
    weights, initial = model.get_weights(), values(model)
    for run in PROGRAMS[name].runs:
        log, final = train(name, run, "float32", weights, x, y)
        log64, final64 = train(name, run, "float64", weights, x, y)
        check_run(f"{name}.{run}", initial, log, final, log64, final64)
        results = {"log": log, "w": final, "log64": log64, "w64": final64}
        np.savez_compressed(FOLDER / f"{name}.{run}.npz", **{
            f"{kind}.{key}": one for kind, all in results.items() for key, one in all.items()})


def largest(stored, kind):
    """The largest difference between the two precisions of arrays of this kind."""
    return max(np.abs(stored[key] - stored[key.replace(kind, kind + "64", 1)]).max()
               for key in stored.files if key.startswith(kind + "."))


def write_index():
    """training.txt, from the files that are there."""
    lines = []
    for name, program in PROGRAMS.items():
        for run in program.runs:
            with np.load(FOLDER / f"{name}.{run}.npz") as stored:
                apart = f"{largest(stored, 'w'):.2e}\t{largest(stored, 'log'):.2e}"
            columns = (name, run, str(STEPS), str(BATCH), compile_text(program, run), apart)
            lines.append("\t".join(columns) + "\n")
    (FOLDER / "training.txt").write_text("".join(lines))


def verify(name):
    """Trains the stored model on the stored samples again, and compares."""
    precision("float32")
    weights = keras.models.load_model(FOLDER / f"{name}.keras").get_weights()
    with np.load(FOLDER / f"{name}.npz") as stored:
        x, y = ([stored[key] for key in stored.files if key.startswith(kind)] for kind in "xy")
    kinds = [("float32", "", 1e-5), ("float64", "64", 1e-10)]
    for run in PROGRAMS[name].runs:
        with np.load(FOLDER / f"{name}.{run}.npz") as stored:
            for dtype, suffix, tolerance in kinds if on_tensorflow() else kinds[:1]:
                log, final = train(name, run, dtype, weights, x, y)
                wanted = {f"log{suffix}.{key}": one for key, one in log.items()}
                wanted |= {f"w{suffix}.{key}": one for key, one in final.items()}
                for key, one in wanted.items():
                    if not np.allclose(stored[key], one, rtol=tolerance, atol=tolerance):
                        raise SystemExit(f"{name}.{run}: {key} differs from the stored one")


def on_tensorflow():
    return keras.backend.backend() == "tensorflow"


def main(arguments):
    verifying = "--verify" in arguments
    wanted = [one for one in arguments if one != "--verify"]
    unknown = set(wanted) - set(PROGRAMS)
    if unknown:
        return f"no program is called {' '.join(sorted(unknown))}"
    if not verifying and not on_tensorflow():
        return "only TensorFlow computes the float64 runs; unset KERAS_BACKEND"
    for name in wanted or PROGRAMS:
        (verify if verifying else make)(name)
    if not verifying:
        write_index()
    print(f"{len(wanted or PROGRAMS)} programs {'verified' if verifying else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
