"""``fastmlp cnn compare-devices``: one dense network on every device and on fastmlp's engine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastmlp._terminal import text_table
from fastmlp.cli.cnn.data import figures, load_data
from fastmlp.cli.cnn.options import XLA, add_data, add_device, add_seed, add_xla
from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.options import UsageError, integer, integers
from fastmlp.cli.output import prepare_folder
from fastmlp.engine.threads import resolve_threads
from fastmlp.files.json_file import write_json

EPOCHS = 5
COLUMNS = ("contender", "batch size", "s, all epochs", "images/s", "ratio", "test acc.")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp cnn compare-devices``."""
    parser.description = (
        "Train one dense network in Keras on every device and in fastmlp, and compare the times."
    )
    add_data(parser, training=True)
    add = parser.add_argument
    add(
        "--batch-sizes",
        metavar="A,B",
        type=integers("--batch-sizes"),
        help="rows per mini-batch, each timed; default 500,3000,30000, or with a graphics card "
        "100,500,3000,10000,30000",
    )
    add(
        "--epochs",
        metavar="N",
        type=integer("--epochs", 1),
        default=EPOCHS,
        help=f"timed epochs of every run; default {EPOCHS}",
    )
    add_seed(parser, 0, "the initial weights")
    add_xla(parser)
    add("--out", metavar="DIR", help="write devices.json and a figure here")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Time, print a table and, with --out, write; bad input raises."""
    from fastmlp.cnn import compare
    from fastmlp.cnn.device import choose_device, devices, report, why_no_card

    sizes = options.batch_sizes
    if sizes is not None and not sizes:
        raise UsageError("--batch-sizes needs at least one number; got ''")
    folder = None if options.out is None else prepare_folder(options.out)
    names = None
    if options.device != "auto":
        choose_device(options.device)
        names = [options.device]
    data = load_data(options, scale="none")
    for device in devices():
        print(device)
    if not any(device.type == "GPU" for device in devices()):
        print(f"only the processor is compared: {why_no_card()}")
    else:
        print("to watch the graphics card: nvidia-smi -lms 250")
    largest = float(data.X_train.max())
    timings = compare.compare_devices(
        data.X_train / largest,
        data.y_train,
        (data.X_test / largest, data.y_test),
        batch_sizes=sizes,
        epochs=options.epochs,
        names=names,
        xla=XLA[options.xla],
        seed=options.seed,
        n_threads=options.threads,
    )
    ratios = compare.ratios(timings)
    print(_table(timings, ratios))
    print(f"ratio: images/s divided by those of {timings[0].contender} at the same batch size")
    environment = report()
    engine_threads = resolve_threads(options.threads).n_threads
    print(f"threads: Keras {environment['intra_threads']}, fastmlp {engine_threads}")
    if folder is not None:
        content = {
            "timings": [asdict(t) for t in timings],
            "ratios": ratios,
            "engine_threads": engine_threads,
            "environment": environment,
        }
        write_json(folder / "devices.json", content)
        with figures(folder) as draw:
            draw("devices", compare.plot_devices(timings))
    return FINISHED


def _table(timings: Sequence[Any], ratios: Mapping[int, Mapping[str, float]]) -> str:
    """Return a table with a row per contender and batch size."""
    rows = [
        (
            t.contender,
            str(t.batch_size),
            f"{t.total_seconds:.4f}",
            f"{t.images_per_second:,.0f}",
            f"{ratios[t.batch_size][t.contender]:.2f}",
            f"{t.accuracy:.4f}",
        )
        for t in timings
    ]
    return "\n".join(text_table(COLUMNS, rows))
