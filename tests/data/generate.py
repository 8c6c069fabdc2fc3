"""Writes the test fixtures of this folder with real Keras, always with the same bytes.

    pip install keras jax numpy scikit-learn h5py
    python tests/data/generate.py                 everything
    python tests/data/generate.py models layers   only these folders
    python tests/data/generate.py P01 dense_rank2 only these cases
    python tests/data/generate.py --verify [...]  write nothing: load each file with Keras and
                                                  compare its outputs with the stored ones
"""

import sys

import generate_common as common
import generate_hostile
import generate_hostile_h5  # noqa: F401  (adds its cases to generate_hostile)
import generate_hostile_values  # noqa: F401  (the same)
import generate_layers
import generate_models
import generate_refused

# What Keras must be able to load, and what must be refused.
SOUND = {
    "models": (generate_models.MODELS, generate_models.make),
    "layers": (generate_layers.CASES, generate_layers.make),
}
UNSOUND = {"hostile": generate_hostile.CASES, "refused": generate_refused.CASES}


def write_unsound(folder, cases, selected):
    """Writes the selected files, and the list of all of them with the words to expect."""
    target = common.ROOT / folder
    target.mkdir(exist_ok=True)
    for name in selected:
        (target / f"{name}.keras").write_bytes(cases[name][1]())
    lines = [f"{name}.keras\t{words}\n" for name, (words, _) in sorted(cases.items())]
    (target / "expected.txt").write_text("".join(lines))


def verify_unsound(folder, cases):
    """The list and the files belong together."""
    target = common.ROOT / folder
    listed = [line.split("\t")[0] for line in (target / "expected.txt").read_text().splitlines()]
    present = sorted(path.name for path in target.glob("*.keras"))
    if sorted(listed) != present or len(listed) != len(cases):
        raise SystemExit(f"{folder}/expected.txt does not list the files in {folder}")


def main(arguments):
    verify = "--verify" in arguments
    wanted = [one for one in arguments if one != "--verify"]
    done = 0
    for folder, cases in ({key: value[0] for key, value in SOUND.items()} | UNSOUND).items():
        selected = [one for one in cases if not wanted or folder in wanted or one in wanted]
        done += len(selected)
        if folder in UNSOUND and selected:
            verify_unsound(folder, cases) if verify else write_unsound(folder, cases, selected)
            continue
        for name in selected:
            if verify:
                common.verify_case(common.ROOT / folder / f"{name}.keras")
            else:
                SOUND[folder][1](name)
    print(f"{done} cases {'verified' if verify else 'written'}")
    return 0 if done else f"nothing is called {' '.join(wanted)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
