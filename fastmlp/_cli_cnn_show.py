"""``fastmlp cnn show``: pictures of what a trained CNN sees."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastmlp import _cli_output
from fastmlp._cli_cnn import read_integer
from fastmlp._cli_cnn_data import load_test_images, pictures

IMAGES_TO_MATCH = 500


def run(options: argparse.Namespace) -> int:
    """Draw maps, filters, patterns, and dense activations by class; bad input raises."""
    from fastmlp.cnn.activations import check_map_layer
    from fastmlp.cnn.geometry import format_table
    from fastmlp.cnn.network import CNN

    numbers = {
        name: read_integer(f"--{name}", getattr(options, name), minimum=least)
        for name, least in (("label", 0), ("images", 1), ("starts", 2), ("seed", 0))
    }
    folder = _cli_output.prepare_folder(options.out)
    cnn = CNN.load(options.model, device=options.device)
    X, raw, y = load_test_images(options, cnn)
    print(format_table(cnn.config))
    if not cnn.config.conv:
        raise ValueError("the model has no convolutions, and so no maps to show")
    layer = check_map_layer(cnn, options.layer or cnn.config.conv[-1].name)
    other = None if options.match is None else _other(options, cnn)
    rows = np.flatnonzero(y == numbers["label"])[: numbers["images"]]
    if len(rows) == 0:
        raise ValueError(f"--label {options.label} is the class of no test image")
    carved = None if options.carve is None else _carved_map(options.carve, cnn, layer, X[rows[0]])
    with pictures(folder) as draw:
        _draw_layers(draw, cnn, X, raw, y, rows)
        _draw_patterns(draw, cnn, layer, numbers)
        if carved is not None:
            _draw_carving(draw, cnn, layer, carved, X[rows[0]])
        if other is not None:
            _draw_matching(draw, cnn, other, X[:IMAGES_TO_MATCH])
    return 0


def _carved_map(text: str, cnn: Any, layer: str, image: Any) -> int:
    """The map that --carve names, or that answers most to the image."""
    from fastmlp.cnn.activations import activation_maps
    from fastmlp.cnn.oip import check_maps

    if text == "strongest":
        answers = activation_maps(cnn, layer, image[np.newaxis]).mean(axis=(0, 1, 2))
        return int(answers.argmax())
    number = read_integer("--carve", text, minimum=0)
    return int(check_maps(cnn, layer, [number])[0])


def _other(options: argparse.Namespace, cnn: Any) -> Any:
    """The model of --match, if it has the same layers."""
    from fastmlp.cnn.network import CNN

    other = CNN.load(options.match, device=options.device)
    if (other.config.conv, other.config.input_shape) != (cnn.config.conv, cnn.config.input_shape):
        raise ValueError("--match needs a model with the same convolutions and image size")
    return other


def _draw_layers(draw: Any, cnn: Any, X: Any, raw: Any, y: Any, rows: Any) -> None:
    """Maps of every convolution and pooling, first filters, and the first dense layer."""
    from fastmlp.cnn import plots
    from fastmlp.cnn.activations import activation_maps, class_activations, filters
    from fastmlp.cnn.geometry import receptive_fields

    for layer, field in receptive_fields(cnn.config).items():
        maps = activation_maps(cnn, layer, X[rows])
        labels = y[rows].tolist()
        draw(f"maps_{layer}", plots.plot_activation_maps(maps, raw[rows], labels, layer,
                                                         field=field))  # fmt: skip
    first = cnn.config.conv[0].name
    draw(f"filters_{first}", plots.plot_filters(filters(cnn, first), first))
    dense = cnn.config.dense[0].name
    draw(f"classes_{dense}", plots.plot_class_activations(class_activations(cnn, X, y), dense))


def _draw_patterns(draw: Any, cnn: Any, layer: str, numbers: dict[str, int]) -> None:
    """The hunt over all maps of a layer: table and contact sheet."""
    from fastmlp.cnn import plots
    from fastmlp.cnn.oip import format_hunt, hunt

    n_starts = numbers["starts"]
    oips = hunt(cnn, layer, n_starts=n_starts, n_climbers=2, seed=numbers["seed"])
    print(format_hunt(oips, layer))
    draw(f"patterns_{layer}", plots.plot_oips(oips, layer))
    best = max(oips, key=lambda oip: oip.activation)
    draw(f"strongest_pattern_{layer}", plots.plot_oip(best, layer))


def _draw_matching(draw: Any, cnn: Any, other: Any, X: Any) -> None:
    """The maps of every convolution, matched with those of another training: table, pictures."""
    from fastmlp.cnn import plots
    from fastmlp.cnn.matching import match_maps

    print(f"{'matching':<14}{'pairs':>7}{'median':>9}{'by chance':>11}{'above 0.9':>11}")
    for conv in cnn.config.conv:
        found = match_maps(cnn, other, conv.name, X)
        print(
            f"{conv.name:<14}{len(found.matched):>7}{np.median(found.matched):>9.2f}"
            f"{np.median(found.by_chance):>11.2f}{int((found.matched > 0.9).sum()):>11}"
        )
        draw(f"matching_{conv.name}", plots.plot_matching(found))


def _draw_carving(draw: Any, cnn: Any, layer: str, number: int, image: Any) -> None:
    from fastmlp.cnn import plots
    from fastmlp.cnn.oip import carve

    states = carve(cnn, layer, number, image)
    draw(f"carving_{layer}", plots.plot_carving(states, layer, number))
