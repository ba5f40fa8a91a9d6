"""Model files of this version with what they predict, for the tests of all later ones.

    python tests/exchange/golden/make.py 0.1.0

writes new files for a version; those of earlier versions are never written again.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "tools"))

from saved_models import EVERYTHING, classifier, predictions, regressor  # noqa: E402

import fastmlp  # noqa: E402

PICKLED = ("classifier", "regressor")
"""Also kept as pickles, which must survive moves of their classes."""


def models():
    yield from ((name, make()) for name, make in EVERYTHING.items())
    yield (
        "network-float32",
        fastmlp.Network(
            (4, 9, 5, 3), activation=("gelu", "selu"), output="increasing", random_state=3
        ),
    )
    yield (
        "classifier-float32",
        classifier(
            dtype="float32", solver="adamw", early_stopping=True, class_weight={0: 1.0, 1: 2.0}
        ),
    )
    yield "regressor-lbfgs", regressor(solver="lbfgs", activation=("silu", "tanh"))


def main(version):
    for name, model in models():
        path = FOLDER / f"{version}-{name}.safetensors"
        if path.exists():
            sys.exit(f"{path.name} is there already, and files of a version stay as they are")
        fastmlp.save(model, path)
        np.savez(path.with_suffix(".npz"), **predictions(model))
        if name in PICKLED:
            path.with_suffix(".pickle").write_bytes(pickle.dumps(fastmlp.load(path), protocol=4))


if __name__ == "__main__":
    main(*sys.argv[1:])
