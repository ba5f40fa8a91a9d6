"""``fastmlp cnn show``: figures of what a trained CNN sees."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastmlp._terminal import text_table
from fastmlp.cli.cnn.data import figures, load_test_images
from fastmlp.cli.cnn.options import add_data, add_device, add_seed
from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.options import integer
from fastmlp.cli.output import prepare_folder, report_written
from fastmlp.files.json_file import write_json

IMAGES_TO_MATCH = 500
N_CLIMBERS = 2
LABEL, IMAGES, STARTS = 4, 3, 400


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp cnn show``."""
    parser.description = (
        "Draw what a trained CNN sees: the maps of its layers for some images, its filters, and "
        "for every map an image found by activation maximization: random images are optimized to "
        "activate the map."
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .keras file written by fastmlp")
    add_data(parser)
    add("--out", metavar="DIR", required=True, help="write maps.json and the figures here")
    add("--layer", metavar="NAME", help="convolution whose maps are searched; default: the last")
    for name, least, default, text in (
        ("--label", 0, LABEL, "class of the images that are shown"),
        ("--images", 1, IMAGES, "number of images shown side by side"),
        ("--starts", 2, STARTS, "number of random images that the search starts from"),
    ):
        help_text = f"{text}; default {default}"
        add(name, metavar="N", type=integer(name, least), default=default, help=help_text)
    add(
        "--refine",
        metavar="MAP",
        help="also change the first image step by step towards the pattern of this map, a number "
        "or 'strongest'",
    )
    add("--match", metavar="MODEL", help="also match the maps with those of this other model")
    add_seed(parser, 0, "the search")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Draw maps, filters, patterns, and dense activations by class; bad input raises."""
    from fastmlp.cnn.geometry import format_table
    from fastmlp.cnn.maps.activations import check_map_layer
    from fastmlp.cnn.network import CNN

    folder = prepare_folder(options.out)
    cnn = CNN.load(options.model, device=options.device)
    X, raw, y = load_test_images(options, cnn)
    print(format_table(cnn.config))
    if not cnn.config.conv:
        raise ValueError("the model has no convolutions, and so no maps to show")
    layer = check_map_layer(cnn, options.layer or cnn.config.conv[-1].name)
    other = None if options.match is None else _other(options, cnn)
    rows = np.flatnonzero(y == options.label)[: options.images]
    if len(rows) == 0:
        raise ValueError(f"--label {options.label}: no test image is of this class")
    first = X[rows[0]]
    map_to_refine = (
        None if options.refine is None else _map_to_refine(options.refine, cnn, layer, first)
    )
    with figures(folder) as draw:
        found: dict[str, Any] = {
            "data": str(options.data),
            "label": options.label,
            "n_images": len(rows),
            **_draw_layers(draw, cnn, X, raw, y, rows),
            "patterns": _draw_patterns(draw, cnn, layer, options.starts, options.seed),
        }
        if map_to_refine is not None:
            found["refinement"] = _draw_refinement(draw, cnn, layer, map_to_refine, first)
        if other is not None:
            found["matching"] = _draw_matching(draw, cnn, other, X[:IMAGES_TO_MATCH])
    write_json(folder / "maps.json", found)
    report_written(["maps.json"], folder)
    return FINISHED


def _map_to_refine(text: str, cnn: Any, layer: str, image: Any) -> int:
    """Return the map that --refine names, or the one that the image activates most."""
    from fastmlp.cnn.maps.oip import check_maps, mean_activations

    if text == "strongest":
        return int(mean_activations(cnn, layer, image[np.newaxis]).argmax())
    number = integer("--refine", 0)(text)
    return int(check_maps(cnn, layer, [number])[0])


def _other(options: argparse.Namespace, cnn: Any) -> Any:
    """Load the model of --match; it must have the same layers."""
    from fastmlp.cnn.network import CNN

    other = CNN.load(options.match, device=options.device)
    ours, theirs = ((c.config.conv, c.config.pools, c.config.input_shape) for c in (cnn, other))
    if ours != theirs:
        raise ValueError(
            "--match needs a model with the same convolutions, poolings and image size"
        )
    return other


def _draw_layers(draw: Any, cnn: Any, X: Any, raw: Any, y: Any, rows: Any) -> dict[str, Any]:
    """Draw the maps of every convolution and pooling, the first filters and first dense layer."""
    from fastmlp.cnn.geometry import receptive_fields
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.activations import (
        activation_maps,
        answering_maps,
        class_activations,
        clear_nodes,
        filters,
    )

    layers = {}
    for layer, field in receptive_fields(cnn.config).items():
        maps = activation_maps(cnn, layer, X[rows])
        every, none = answering_maps(maps)
        layers[layer] = {"maps": maps.shape[-1], "answer_to_all": every, "answer_to_none": none}
        labels = y[rows].tolist()
        figure = plots.plot_activation_maps(maps, raw[rows], labels, layer, field=field)
        draw(f"maps_{layer}", figure)
    first = cnn.config.conv[0].name
    draw(f"filters_{first}", plots.plot_filters(filters(cnn, first), first))
    dense, means = cnn.config.dense[0].name, class_activations(cnn, X, y)
    draw(f"classes_{dense}", plots.plot_class_activations(means, dense))
    nodes = {"layer": dense, "nodes": means.shape[1], "clear_nodes": clear_nodes(means)}
    return {"layers": layers, "classes": nodes}


def _draw_patterns(draw: Any, cnn: Any, layer: str, n_starts: int, seed: int) -> dict[str, Any]:
    """Search a pattern for every map of a layer: table and contact sheet."""
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.oip import find_oips, format_oips

    settings: dict[str, Any] = {"n_starts": n_starts, "n_climbers": N_CLIMBERS, "seed": seed}
    oips = find_oips(cnn, layer, **settings)
    print(format_oips(oips, layer))
    draw(f"patterns_{layer}", plots.plot_oips(oips, layer))
    best = max(oips, key=lambda oip: oip.activation)
    draw(f"strongest_pattern_{layer}", plots.plot_oip(best, layer))
    found = [
        {
            "map": oip.map,
            "first": float(oip.losses[0]),
            "last": oip.activation,
            "steps": oip.n_steps,
        }
        for oip in oips
        if oip.found
    ]
    missed = [oip.map for oip in oips if not oip.found]
    return {"layer": layer, **settings, "found": found, "missed": missed}


def _draw_matching(draw: Any, cnn: Any, other: Any, X: Any) -> list[dict[str, Any]]:
    """Match the maps of every convolution with those of another model: table and figures."""
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.matching import match_maps

    rows = []
    for conv in cnn.config.conv:
        found = match_maps(cnn, other, conv.name, X)
        rows.append(
            {
                "layer": conv.name,
                "images": len(X),
                "pairs": len(found.matched),
                "median": float(np.median(found.matched)),
                "by_chance": float(np.median(found.by_chance)),
                "above_0.9": int((found.matched > 0.9).sum()),
            }
        )
        draw(f"matching_{conv.name}", plots.plot_matching(found))
    print(_matching_table(rows))
    return rows


def _matching_table(rows: list[dict[str, Any]]) -> str:
    """Return a table with a row per convolution."""
    columns = ("matching", "pairs", "median", "by chance", "above 0.9")
    cells = [
        (
            row["layer"],
            str(row["pairs"]),
            f"{row['median']:.2f}",
            f"{row['by_chance']:.2f}",
            str(row["above_0.9"]),
        )
        for row in rows
    ]
    return "\n".join(text_table(columns, cells))


def _draw_refinement(draw: Any, cnn: Any, layer: str, number: int, image: Any) -> dict[str, Any]:
    """Change an image step by step so that it activates a map more: the images in between."""
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.oip import mean_activations, refine

    states = refine(cnn, layer, number, image)
    activations = mean_activations(cnn, layer, np.stack(states))[:, number].tolist()
    figure = plots.plot_refinement(states, layer, number, answers=activations)
    draw(f"refinement_{layer}", figure)
    return {"layer": layer, "map": number, "answers": activations}
