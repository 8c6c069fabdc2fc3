"""Trains the digits model with Keras and writes everything that the demo reads, and what is needed
to train it again without Keras.

    pip install keras jax numpy scikit-learn h5py
    python examples/digits/train.py

The model looks at each digit twice: as a picture, and as a table of 24 numbers worked out from the
picture. See README.md for where the data are from.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras  # noqa: E402  (the backend must be chosen first)
import numpy as np  # noqa: E402
from keras import Input, Model, layers  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

HERE = Path(__file__).resolve().parent
SEED = 7
WANTED_ACCURACY = 0.97


def table_of(pictures):
    """24 features of each 8 x 8 picture of values in [0, 1]: the mean of every row (8) and of
    every column (8), the total, the centre of mass (2), the spread down and across (2), the
    slant, and how unlike its mirror images the picture is, top to bottom and left to right."""
    total = pictures.sum(axis=(1, 2)) + 1e-6
    row, column = np.arange(8.0)[None, :, None], np.arange(8.0)[None, None, :]
    middle_row = (pictures * row).sum(axis=(1, 2)) / total
    middle_column = (pictures * column).sum(axis=(1, 2)) / total
    down = row - middle_row[:, None, None]
    across = column - middle_column[:, None, None]
    features = [
        pictures.mean(axis=2),
        pictures.mean(axis=1),
        total[:, None] / 64.0,
        middle_row[:, None] / 7.0,
        middle_column[:, None] / 7.0,
        (pictures * down**2).sum(axis=(1, 2))[:, None] / total[:, None] / 16.0,
        (pictures * across**2).sum(axis=(1, 2))[:, None] / total[:, None] / 16.0,
        (pictures * down * across).sum(axis=(1, 2))[:, None] / total[:, None] / 16.0,
        np.abs(pictures - pictures[:, ::-1]).mean(axis=(1, 2))[:, None],
        np.abs(pictures - pictures[:, :, ::-1]).mean(axis=(1, 2))[:, None],
    ]
    return np.concatenate(features, axis=1).astype(np.float32)


def build():
    """The picture through two convolutions, the table through a Dense layer, both joined."""
    image, table = Input((8, 8, 1), name="image"), Input((24,), name="table")
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    y = layers.Dense(32, activation="relu")(table)
    joined = layers.Dense(32, activation="relu")(layers.Concatenate()([x, y]))
    scores = layers.Dense(10, activation="softmax", name="digit")(joined)
    return Model([image, table], scores, name="digits")


def main():
    digits = load_digits()
    pictures = (digits.images / 16.0).astype(np.float32)
    train, test = train_test_split(np.arange(len(pictures)), test_size=0.2, random_state=SEED,
                                   stratify=digits.target)
    image, table, labels = pictures[..., None], table_of(pictures), digits.target.astype(np.int64)
    keras.utils.set_random_seed(SEED)
    model = build()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(HERE / "untrained.keras")
    model.fit({"image": image[train], "table": table[train]}, labels[train], batch_size=32,
              epochs=40, verbose=2)
    scores = model.predict({"image": image[test], "table": table[test]}, verbose=0)
    accuracy = float((scores.argmax(axis=1) == labels[test]).mean())
    print(f"test accuracy {accuracy:.4f} on {len(test)} pictures")
    if accuracy < WANTED_ACCURACY:
        return f"the accuracy is below {WANTED_ACCURACY}: nothing written"
    model.save(HERE / "digits.keras", include_optimizer=False)
    np.save(HERE / "image.npy", image[test])
    np.save(HERE / "table.npy", table[test])
    np.save(HERE / "labels.npy", labels[test])
    np.save(HERE / "keras.npy", scores)
    np.save(HERE / "train_image.npy", image[train].astype(np.float16))  # exact: sixteenths
    np.save(HERE / "train_table.npy", table[train])
    np.save(HERE / "train_labels.npy", labels[train].astype(np.uint8))
    return 0


if __name__ == "__main__":
    sys.exit(main())
