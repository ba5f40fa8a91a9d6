"""The articles' experiments, each repeated by one command: ``fastmlp study NAME``.

A study is one module of this package, named after it, that ends in ``STUDY = Study(...)`` (see
`_study`). To add one:

1. Write a frozen dataclass ``Config`` of plain values (numbers, texts, tuples), with ``data`` and
   ``seeds`` where they are used, and ``configure(data, quick) -> Config``: the full study, or one
   that ends within 30 seconds on two processors, for MNIST and for scikit-learn's digits.
2. Write ``run(config, session) -> dict``. Its independent configurations are dicts of plain values
   that ``session.map(function, cases, n_ticks=...)`` computes side by side, one thread each, by
   calling ``function(case, tick)``; ``alone=True`` does it one after the other, for times. A
   function calls `tick` now and then, or gives it to a Trainer as a callback (`_training.train`
   does): that moves the progress bar and lets Ctrl-C through. It returns plain values and NumPy
   arrays (`rounded`, where the file would grow), and draws every random number from the case's
   seed. ``session.record(config, ...)`` makes the result of it, with environment and times.
3. Write ``tables(result)``, what was published beside what was measured, and ``draw(result)``,
   figures by name, from the result alone as it comes back from its JSON file. `_figures` has
   sizes, colours and ``headline``, the title that says the finding.
4. Add the name to ``NAMES``, a small result as tests/studies/results/NAME.json with a test that
   compares the data in the axes, and a page docs/studies/NAME.md.
"""

from __future__ import annotations

from importlib import import_module

from fastmlp.studies.lab.study import Study

NAMES = (
    "first-run", "regularisation", "learning-rate", "batch-size", "mini-batches", "bias-variants",
    "performance", "confusion", "clusters", "perceptron", "softmax-vs-sigmoid", "moons", "threads",
    "seeds", "best-of-60s",
)  # fmt: skip
"""All studies, in the order of the articles."""


def find_study(name: str) -> Study:
    """The study of this name; its module is imported now.

    Raises
    ------
    ValueError
        For an unknown name, with the names that there are.
    """
    if name not in NAMES:
        raise ValueError(f"unknown study {name!r}; there are: {', '.join(NAMES)}")
    study: Study = import_module(f"fastmlp.studies.{name.replace('-', '_')}").STUDY
    return study
