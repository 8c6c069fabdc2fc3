"""What every fixture generator shares: seeded weights and inputs, saving with Keras, re-zipping,
storing the inputs and Keras's outputs beside the model, and checking all of that again."""

import io
import json
import os
import re
import zipfile
import zlib
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras  # noqa: E402  (the backend must be chosen first)
import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parent
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
SAVED_DATE = "2026-01-01@00:00:00"


def generator_for(name):
    """A random generator that depends on the case's name only, so any subset can be rebuilt."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def sample_values(rng, shape, limit=2.0, dtype="float32", period=None):
    """Multiples of 1/16 in [-limit, limit], exact in float32 and cheap to compress (more so with
    a `period`: a repeated block). Each large sample has its own level, so that outputs differ
    between samples even after heavy averaging. Of another dtype: small whole numbers."""
    if dtype != "float32":
        low, high = {"bool": (0, 2), "uint8": (0, 7)}.get(dtype, (-4, 7))
        return rng.integers(low, high, size=shape).astype(dtype)
    steps = int(limit * 16)
    values = rng.integers(-steps, steps + 1, size=period or shape)
    values = np.resize(values, shape)
    if len(shape) > 1 and int(np.prod(shape[1:])) > 256:
        shift = np.linspace(-steps / 2, steps / 2, shape[0])
        values = values // 2 + shift.astype(int).reshape((-1,) + (1,) * (len(shape) - 1))
    return (values / 16.0).astype(np.float32)


def fan_in(layer_class, shape):
    """How many products a kernel of this shape sums up for one output value."""
    if "Transpose" in layer_class:
        return int(np.prod(shape[:-2])) * shape[-1]
    if "depthwise" in layer_class.lower():
        return int(np.prod(shape[:-2]))
    return int(np.prod(shape[:-1])) if len(shape) > 1 else shape[0]


def variable_values(rng, variable, layer_class, period):
    """Non-trivial values for one variable, chosen by its role; None leaves it as it is."""
    shape, role = tuple(variable.shape), variable.name
    if role == "count" or (layer_class == "Normalization" and role in ("mean", "variance")):
        return None
    size = int(np.prod(shape))
    block = rng.standard_normal(min(size, period) if period else size)
    values = np.resize(block, size).reshape(shape)
    if role in ("gamma", "scale"):
        return 1.0 + 0.3 * values
    if role in ("beta", "bias", "moving_mean"):
        return 0.2 * values
    if role == "moving_variance":
        return 0.5 + np.abs(values)
    if role == "alpha":
        return 0.05 + 0.3 * np.abs(values)
    kind = "depthwise" if role == "depthwise_kernel" else layer_class
    return values * np.sqrt(1.5 / fan_in(kind, shape))


def weight_layers(model):
    """Every distinct layer below a model, nested models opened, in creation order."""
    seen = []
    for layer in model.layers:
        inner = weight_layers(layer) if hasattr(layer, "layers") else [layer]
        seen.extend(one for one in inner if not any(one is other for other in seen))
    return seen


def fill_weights(model, rng, period=None):
    """Gives every variable random values. `period`: repeat a block of so many values (a prime
    keeps it out of step with the rows), which Deflate then shrinks to almost nothing."""
    for layer in weight_layers(model):
        for variable in layer.weights:
            values = variable_values(rng, variable, type(layer).__name__, period)
            if values is not None:
                variable.assign(values.astype(np.float32))


def fixed_config(text):
    """config.json without what differs between runs: Keras writes memory addresses as
    shared_object_id; here they count up, equal where they were equal, and as large as they were."""
    known = {}

    def number(match):
        count = known.setdefault(match.group(2), len(known))
        return f"{match.group(1)}{140000000000000 + 16 * count}"

    return re.sub(r'("shared_object_id": )(\d+)', number, text)


def rezip(data):
    """The same members in the same order with Deflate, fixed dates and object numbers: another
    run gives the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as packed:
        for member in source.infolist():
            content = source.read(member)
            if member.filename == "metadata.json":
                content = json.dumps(json.loads(content) | {"date_saved": SAVED_DATE}).encode()
            if member.filename == "config.json":
                content = fixed_config(content.decode()).encode()
            write_member(packed, member.filename, content)
    return target.getvalue()


def write_member(packed, name, content):
    """Adds one deflated member with a fixed date."""
    info = zipfile.ZipInfo(name, ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(info, content, compresslevel=9)


def model_bytes(model):
    """The model as Keras saves it, re-zipped."""
    path = ROOT / "generate.tmp.keras"
    try:
        model.save(path)
        return rezip(path.read_bytes())
    finally:
        path.unlink(missing_ok=True)


def run_model(model, inputs):
    """Keras's outputs as a flat list, in the model's output order."""
    names = layer_names(model.inputs)
    data = inputs[names[0]] if len(names) == 1 else inputs
    if isinstance(getattr(model, "_inputs_struct", None), (list, tuple)) and len(names) > 1:
        data = [inputs[name] for name in names]
    result = model.predict(data, batch_size=64, verbose=0)
    return [np.asarray(array) for array in keras.tree.flatten(result)]


def layer_names(tensors):
    """The names of the layers that give these tensors of a model."""
    return [tensor._keras_history.operation.name for tensor in tensors]


def check_outputs(name, outputs, loose):
    """A fixture whose output is constant, saturated or not finite would test nothing."""
    for array in outputs:
        if not np.isfinite(array).all():
            raise SystemExit(f"{name}: an output is not finite")
        if loose:
            continue
        flat = array.reshape(array.shape[0], -1)
        if np.abs(flat - flat[:1]).max() < 1e-3:
            raise SystemExit(f"{name}: the output does not vary over the samples")
        if np.isin(flat, (0.0, 1.0)).mean() > 0.9:
            raise SystemExit(f"{name}: the output is saturated")


def write_case(folder, name, model, inputs, loose=False):
    """Writes <name>.keras and <name>.npz with arrays in.<input> and out.<k>.<layer>. `loose`: the
    outputs need only be finite."""
    target = ROOT / folder
    target.mkdir(parents=True, exist_ok=True)
    outputs = run_model(model, inputs)
    check_outputs(name, outputs, loose)
    arrays = {f"in.{key}": value for key, value in inputs.items()}
    for index, (layer, array) in enumerate(zip(layer_names(model.outputs), outputs)):
        arrays[f"out.{index}.{layer}"] = array
    (target / f"{name}.keras").write_bytes(model_bytes(model))
    np.savez_compressed(target / f"{name}.npz", **arrays)


def verify_case(path):
    """Loads the file with Keras and compares its outputs with the stored ones."""
    keras.utils.clear_session()
    model = keras.models.load_model(path)
    with np.load(path.with_suffix(".npz")) as stored:
        inputs = {key[3:]: stored[key] for key in stored.files if key.startswith("in.")}
        wanted = [stored[key] for key in stored.files if key.startswith("out.")]
    outputs = run_model(model, inputs)
    if len(outputs) != len(wanted):
        raise SystemExit(f"{path}: {len(outputs)} outputs, {len(wanted)} stored")
    for have, want in zip(outputs, wanted):
        scale = max(1.0, float(np.abs(want).max()))
        if have.shape != want.shape or np.abs(have - want).max() > 1e-5 * scale:
            raise SystemExit(f"{path}: the outputs differ from the stored ones")
