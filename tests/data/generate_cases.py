"""The register of the layer cases, and how one of them becomes a model and a file."""

import keras
from keras import Input, Model

import generate_common as common

CASES = {}


def case(name, shapes, make_layer, **options):
    """Registers a case. `shapes`: one input shape or a list of them, without the batch.
    Options: `sizes`, the actual sizes where a shape has None; `limit` of the input values;
    `loose`, where the output may be saturated; `dtypes` of the inputs, if not float32."""
    if name in CASES:
        raise SystemExit(f"two layer cases are called {name}")
    shapes = shapes if isinstance(shapes, list) else [shapes]
    CASES[name] = (shapes, make_layer, options)


def family(prefix, layer_class):
    """A function that registers cases of one layer class: add(name, shapes, *layer arguments)."""

    def add(name, shapes, *arguments, sizes=None, limit=2.0, loose=False, **keywords):
        case(f"{prefix}_{name}" if name else prefix, shapes,
             lambda: layer_class(*arguments, **keywords), sizes=sizes, limit=limit, loose=loose)

    return add


def make(name):
    """Builds, fills, runs and writes one case."""
    shapes, make_layer, options = CASES[name]
    keras.utils.clear_session()
    rng = common.generator_for(name)
    names = ["x"] if len(shapes) == 1 else [f"x{index}" for index in range(len(shapes))]
    dtypes = options.get("dtypes") or ["float32"] * len(shapes)
    inputs = [Input(shape, name=one, dtype=dtype)
              for shape, one, dtype in zip(shapes, names, dtypes)]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    model = Model(inputs, make_layer()(inputs), name="model")
    common.fill_weights(model, rng)
    values = {one: common.sample_values(rng, (3,) + tuple(size), options.get("limit", 2.0), dtype)
              for one, size, dtype in zip(names, options.get("sizes") or shapes, dtypes)}
    common.write_case("layers", name, model, values, options.get("loose", False))
