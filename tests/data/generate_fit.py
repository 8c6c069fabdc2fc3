"""Whole fits by real Keras: tests/data/fit, for tests/models/test_fit_history.c.

    pip install keras jax numpy h5py
    python tests/data/generate_fit.py

A model with two inputs and two outputs, samples in their order, a smaller last batch, the last
fifth for validation. history.npz holds x.<input>, y.<output>, and log.<name> of every epoch.
"""

import sys

from generate_common import ROOT, generator_for, keras, np, sample_values
from keras import Input, Model, layers

SAMPLES = 53  # 42 train, in 6 batches of 7; 11 validate
EPOCHS = 3


def build():
    """Both outputs from both inputs, one of them by a sigmoid."""
    left, right = Input((6,), name="left"), Input((4, 2), name="right")
    x = layers.Concatenate()([layers.Dense(5, activation="tanh")(left), layers.Flatten()(right)])
    x = layers.Dense(8, activation="relu")(x)
    label = layers.Dense(1, activation="sigmoid", name="label")(x)
    value = layers.Dense(2, name="value")(x)
    return Model([left, right], [label, value], name="history")


def main():
    keras.utils.set_random_seed(5)
    rng, model, folder = generator_for("fit"), build(), ROOT / "fit"
    folder.mkdir(exist_ok=True)
    model.save(folder / "history.keras", include_optimizer=False)
    x = [sample_values(rng, (SAMPLES, 6)), sample_values(rng, (SAMPLES, 4, 2))]
    y = [(rng.random((SAMPLES, 1)) < 0.5).astype("float32"), sample_values(rng, (SAMPLES, 2))]
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=["binary_crossentropy", "mse"],
                  loss_weights=[1, 0.5], metrics=[["mae"], ["mae"]])
    history = model.fit(x, y, batch_size=7, epochs=EPOCHS, shuffle=False, validation_split=0.2,
                        verbose=0).history
    arrays = {"x.left": x[0], "x.right": x[1], "y.label": y[0], "y.value": y[1]}
    arrays |= {f"log.{name}": np.array(values) for name, values in sorted(history.items())}
    np.savez_compressed(folder / "history.npz", **arrays)
    print({name: values[-1] for name, values in history.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
