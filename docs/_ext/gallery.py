"""How the scripts of examples/ become pages: their order, arguments and figures."""

from __future__ import annotations

import builtins
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

ORDER = (
    "mnist_pipeline",
    "categorical_columns",
    "table_of_strikes",
    "quantile_intervals",
    "sparse_text",
    "windows_of_a_series",
    "autoencoder",
    "custom_loss",
    "search_sizes",
    "optuna_pruning",
    "average_of_networks",
    "resume_a_run",
    "serve_predictions",
)

_OUT = Path(tempfile.mkdtemp(prefix="fastmlp-gallery-"))


def order_of_examples(name: str) -> tuple[int, str]:
    """Return the key by which examples are sorted: the order above, others after it by name."""
    stem = Path(name).stem
    return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)


def arguments_of_example(conf: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """Return the command line of a script: quick where it can be, figures in a folder of ours."""
    # The gallery runs scripts without a name of their own; they find their data by it.
    vars(builtins)["__file__"] = variables["src_file"]
    text = Path(variables["src_file"]).read_text()
    quick = ["--quick"] if '"--quick"' in text else []
    return [*quick, "--out", str(_OUT)] if '"--out"' in text else quick


def written_figures(block: object, variables: Mapping[str, Any], conf: Mapping[str, Any]) -> str:
    """Move the PNG files that a script has written to its page."""
    figures = []
    for path in sorted(_OUT.glob("*.png")):
        target = next(variables["image_path_iterator"])
        shutil.move(path, target)
        figures.append(target)
    return figure_rst(figures, conf["src_dir"])
