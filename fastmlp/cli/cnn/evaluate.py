"""``fastmlp cnn evaluate``: a trained CNN on test images."""

from __future__ import annotations

import argparse

from fastmlp.cli.cnn.data import confusion, draw_predictions, figures, load_test_images
from fastmlp.cli.cnn.options import add_data, add_device
from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.output import prepare_folder, report_written
from fastmlp.files.json_file import write_json


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp cnn evaluate``."""
    parser.description = "Evaluate a trained CNN on test images."
    parser.add_argument("model", metavar="MODEL", help="a .keras file written by fastmlp")
    add_data(parser)
    parser.add_argument("--out", metavar="DIR", help="write evaluation.json and figures here")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print and, with --out, write; bad input raises."""
    from fastmlp.cnn.network import CNN

    folder = None if options.out is None else prepare_folder(options.out)
    cnn = CNN.load(options.model, device=options.device)
    X, _, y = load_test_images(options, cnn)
    result = cnn.evaluate(X, y)
    print(
        f"{options.data}: {len(y)} test images, accuracy {result.accuracy:.4f}, "
        f"loss {result.loss:.4f}, mean output error {result.error:.5f}"
    )
    outputs = cnn.predict(X)
    counts = confusion(outputs, y)
    for code, row in enumerate(counts):
        if sum(row):
            print(f"  class {code}: {sum(row) - row[code]} of {sum(row)} wrong")
    if folder is not None:
        content = {
            "accuracy": result.accuracy,
            "loss": result.loss,
            "error": result.error,
            "confusion": counts,
            "n_test": len(y),
            "data": str(options.data),
        }
        write_json(folder / "evaluation.json", content)
        report_written(["evaluation.json"], folder)
        with figures(folder) as draw:
            draw_predictions(draw, cnn, X, y, outputs, str(options.data))
    return FINISHED
