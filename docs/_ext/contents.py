"""Sphinx: the tree of pages, in one place.

Pages are Markdown that is also read on GitHub, where a toctree would be shown as code. So each list
of pages stands here, and is added to the end of its page when the site is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

CONTENTS = {
    "index": (
        "start/index",
        "guide/index",
        "gallery/index",
        "api/index",
        "coming-from/index",
        "background",
        "project/index",
    ),
    "start/index": ("install", "five-minutes", "which-class"),
    "guide/index": (
        "classify",
        "regress",
        "imbalance",
        "../tables",
        "text",
        "time-series",
        "images",
        "large-data",
        "../scale",
        "../several-machines",
        "searching",
        "../searches",
        "tuning",
        "saving",
        "../checkpoints",
        "serving",
        "../ecosystem",
        "reproducibility",
        "errors",
        "when-not",
    ),
    "coming-from/index": ("scikit-learn", "keras", "pytorch", "../coming-from-the-articles"),
    "background": (
        "mathematics",
        "walkthrough",
        "benchmarks",
        "cnn",
        "cnn-articles",
        "studies/README",
    ),
    "studies/README": (
        "first-run",
        "regularisation",
        "learning-rate",
        "batch-size",
        "mini-batches",
        "bias-variants",
        "performance",
        "confusion",
        "clusters",
        "perceptron",
        "softmax-vs-sigmoid",
        "moons",
        "threads",
        "products",
        "seeds",
        "best-of-60s",
        "special-records",
        "populations",
        "bias-off",
        "kmeans",
        "autoencoder",
        "landscapes",
        "cnn-dense-layers",
        "cnn-outputs",
        "cnn-optimizers",
        "cnn-augmentation",
    ),
    "project/index": (
        "release-0.1",
        "changelog",
        "versions",
        "security",
        "contributing",
        "conduct",
        "../design",
        "../extending",
        "../platforms",
        "site",
    ),
}
"""The pages below each page that has any, relative to it; api/index.rst has its own list."""


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the list of pages to the text of a page."""
    if docname in CONTENTS:
        pages = "\n".join(CONTENTS[docname])
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listener."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
