"""``fastmlp cnn compare-devices``: one dense network on every device and on fastmlp's engine."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from fastmlp.cli import output as _cli_output
from fastmlp.cli.cnn.data import load_data, pictures
from fastmlp.cli.cnn.options import read_integer
from fastmlp.engine.threads import resolve_threads
from fastmlp.files.json_file import write_json


def run(options: argparse.Namespace) -> int:
    """Time, print a table and, with --out, write; bad input raises."""
    from fastmlp.cnn import compare
    from fastmlp.cnn.device import choose_device, devices, report

    folder = None if options.out is None else _cli_output.prepare_folder(options.out)
    sizes = [read_integer("--batch-sizes", part, minimum=1)
             for part in options.batch_sizes.split(",")]  # fmt: skip
    epochs = read_integer("--epochs", options.epochs, minimum=1)
    seed = read_integer("--seed", options.seed, minimum=0)
    n_threads = None if options.threads is None else int(options.threads)  # checked before
    names = None
    if options.device != "auto":
        choose_device(options.device)
        names = [options.device]
    data = load_data(options, scale="none")
    for device in devices():
        print(device)
    if not any(device.type == "GPU" for device in devices()):
        print("TensorFlow sees no graphics card; only processors are compared")
    else:
        print("watch the card with: nvidia-smi -lms 250")
    largest = float(data.X_train.max())
    timings = compare.compare_devices(
        data.X_train / largest, data.y_train, (data.X_test / largest, data.y_test),
        batch_sizes=sizes, epochs=epochs, names=names, xla=options.xla, seed=seed,
        n_threads=n_threads,
    )  # fmt: skip
    ratios = compare.ratios(timings)
    print(f"{'batch':>8}  {'contender':<16}{'s, all epochs':>14}{'images/s':>12}"
          f"{'ratio':>8}{'test acc.':>11}")  # fmt: skip
    for t in timings:
        print(
            f"{t.batch_size:>8}  {t.contender:<16}{t.total_seconds:>14.4f}"
            f"{t.images_per_second:>12,.0f}{ratios[t.batch_size][t.contender]:>8.2f}"
            f"{t.accuracy:>11.4f}"
        )
    print(f"ratio: images/s over those of {timings[0].contender} at the same batch size")
    environment = report()
    engine_threads = resolve_threads(n_threads).n_threads
    print(f"threads: Keras {environment['intra_threads']}, fastmlp {engine_threads}")
    if folder is not None:
        content = {"timings": [asdict(t) for t in timings], "ratios": ratios,
                   "engine_threads": engine_threads, "environment": environment}  # fmt: skip
        write_json(folder / "devices.json", content)
        with pictures(folder) as draw:
            draw("devices", compare.plot_devices(timings))
    return 0
