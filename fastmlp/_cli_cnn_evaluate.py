"""``fastmlp cnn evaluate``: a trained CNN on test images."""

from __future__ import annotations

import argparse

from fastmlp import _cli_output
from fastmlp._cli_cnn_data import load_test_images, pictures
from fastmlp._cli_cnn_train import figures_of_predictions


def run(options: argparse.Namespace) -> int:
    """Measure, print and, with --out, write; bad input raises."""
    from fastmlp.cnn.network import CNN

    folder = None if options.out is None else _cli_output.prepare_folder(options.out)
    cnn = CNN.load(options.model, device=options.device)
    X, _, y = load_test_images(options, cnn)
    result = cnn.evaluate(X, y)
    print(
        f"{options.data}: {len(y)} test images, accuracy {result.accuracy:.4f}, "
        f"loss {result.loss:.4f}, mean output error {result.error:.5f}"
    )
    wrong = cnn.predict(X).argmax(axis=1) != y
    for code in sorted(set(y.tolist())):
        of_class = y == code
        n_wrong = int(wrong[of_class].sum())
        print(f"  class {code}: {n_wrong} of {int(of_class.sum())} wrong")
    if folder is not None:
        content = {"accuracy": result.accuracy, "loss": result.loss, "error": result.error,
                   "n_test": len(y), "data": str(options.data)}  # fmt: skip
        _cli_output.write_json(folder / "evaluation.json", content)
        with pictures(folder) as draw:
            for name, figure in figures_of_predictions(cnn, X, cnn.scaler, y):
                draw(name, figure)
    return 0
