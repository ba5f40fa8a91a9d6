"""``fastmlp cnn show``: pictures of what a trained CNN sees."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastmlp.cli import output as _cli_output
from fastmlp.cli.cnn.data import load_test_images, pictures
from fastmlp.cli.cnn.options import read_integer
from fastmlp.files.json_file import write_json

IMAGES_TO_MATCH = 500
N_CLIMBERS = 2


def run(options: argparse.Namespace) -> int:
    """Draw maps, filters, patterns, and dense activations by class; bad input raises."""
    from fastmlp.cnn.geometry import format_table
    from fastmlp.cnn.maps.activations import check_map_layer
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
        found: dict[str, Any] = {
            "data": str(options.data), "label": numbers["label"], "n_images": len(rows),
            **_draw_layers(draw, cnn, X, raw, y, rows),
            "patterns": _draw_patterns(draw, cnn, layer, numbers),
        }  # fmt: skip
        if carved is not None:
            found["carving"] = _draw_carving(draw, cnn, layer, carved, X[rows[0]])
        if other is not None:
            found["matching"] = _draw_matching(draw, cnn, other, X[:IMAGES_TO_MATCH])
    write_json(folder / "maps.json", found)
    print(f"written   maps.json in {folder}")
    return 0


def _carved_map(text: str, cnn: Any, layer: str, image: Any) -> int:
    """The map that --carve names, or that answers most to the image."""
    from fastmlp.cnn.maps.oip import check_maps, mean_activations

    if text == "strongest":
        return int(mean_activations(cnn, layer, image[np.newaxis]).argmax())
    number = read_integer("--carve", text, minimum=0)
    return int(check_maps(cnn, layer, [number])[0])


def _other(options: argparse.Namespace, cnn: Any) -> Any:
    """The model of --match, if it has the same layers."""
    from fastmlp.cnn.network import CNN

    other = CNN.load(options.match, device=options.device)
    ours, theirs = ((c.config.conv, c.config.pools, c.config.input_shape) for c in (cnn, other))
    if ours != theirs:
        raise ValueError(
            "--match needs a model with the same convolutions, poolings and image size"
        )
    return other


def _draw_layers(draw: Any, cnn: Any, X: Any, raw: Any, y: Any, rows: Any) -> dict[str, Any]:
    """Maps of every convolution and pooling, first filters, and the first dense layer."""
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
        draw(f"maps_{layer}", plots.plot_activation_maps(maps, raw[rows], labels, layer,
                                                         field=field))  # fmt: skip
    first = cnn.config.conv[0].name
    draw(f"filters_{first}", plots.plot_filters(filters(cnn, first), first))
    dense, means = cnn.config.dense[0].name, class_activations(cnn, X, y)
    draw(f"classes_{dense}", plots.plot_class_activations(means, dense))
    nodes = {"layer": dense, "nodes": means.shape[1], "clear_nodes": clear_nodes(means)}
    return {"layers": layers, "classes": nodes}


def _draw_patterns(draw: Any, cnn: Any, layer: str, numbers: dict[str, int]) -> dict[str, Any]:
    """The hunt over all maps of a layer: table and contact sheet."""
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.oip import find_oips, format_oips

    settings: dict[str, Any] = {
        "n_starts": numbers["starts"],
        "n_climbers": N_CLIMBERS,
        "seed": numbers["seed"],
    }
    oips = find_oips(cnn, layer, **settings)
    print(format_oips(oips, layer))
    draw(f"patterns_{layer}", plots.plot_oips(oips, layer))
    best = max(oips, key=lambda oip: oip.activation)
    draw(f"strongest_pattern_{layer}", plots.plot_oip(best, layer))
    found = [{"map": oip.map, "first": float(oip.losses[0]), "last": oip.activation,
              "steps": oip.n_steps} for oip in oips if oip.found]  # fmt: skip
    missed = [oip.map for oip in oips if not oip.found]
    return {"layer": layer, **settings, "found": found, "missed": missed}


def _draw_matching(draw: Any, cnn: Any, other: Any, X: Any) -> list[dict[str, Any]]:
    """The maps of every convolution, matched with those of another training: table, pictures."""
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.matching import match_maps

    print(f"{'matching':<14}{'pairs':>7}{'median':>9}{'by chance':>11}{'above 0.9':>11}")
    rows = []
    for conv in cnn.config.conv:
        found = match_maps(cnn, other, conv.name, X)
        row = {
            "layer": conv.name, "images": len(X), "pairs": len(found.matched),
            "median": float(np.median(found.matched)),
            "by_chance": float(np.median(found.by_chance)),
            "above_0.9": int((found.matched > 0.9).sum()),
        }  # fmt: skip
        rows.append(row)
        print(
            f"{conv.name:<14}{row['pairs']:>7}{row['median']:>9.2f}{row['by_chance']:>11.2f}"
            f"{row['above_0.9']:>11}"
        )
        draw(f"matching_{conv.name}", plots.plot_matching(found))
    return rows


def _draw_carving(draw: Any, cnn: Any, layer: str, number: int, image: Any) -> dict[str, Any]:
    from fastmlp.cnn.maps import plots
    from fastmlp.cnn.maps.oip import mean_activations, refine

    states = refine(cnn, layer, number, image)
    answers = mean_activations(cnn, layer, np.stack(states))[:, number].tolist()
    draw(f"carving_{layer}", plots.plot_refinement(states, layer, number, answers=answers))
    return {"layer": layer, "map": number, "answers": answers}
