"""The articles' experiments, each repeated by one command: ``fastmlp study NAME``.

A study is a module of this package, or a room where it has helpers of its own, named after the
study and with ``STUDY = Study(...)`` (see ``fastmlp/studies/lab/study.py``). To add one:

1. Write a frozen dataclass ``Config`` of plain values (numbers, strings, tuples), with ``data``
   and ``seeds`` where they are used, and ``configure(data, quick) -> Config`` for MNIST and for
   scikit-learn's digits: the full study, or a quick one that ends within 30 seconds on two
   processors.
2. Write ``run(config, session) -> dict``. Describe its independent configurations as dicts of plain
   values; ``session.map(function, cases, n_ticks=...)`` computes them in parallel, one thread each,
   by calling ``function(case, tick)``. With ``alone=True`` they run one after the other, for
   timings. The function calls ``tick`` regularly, or passes it to a Trainer as a callback (as
   ``lab.training.train`` does): this moves the progress bar and lets Ctrl-C through. It returns
   plain values and NumPy arrays (``rounded`` where the file would grow), and draws every random
   number from the seed of the case. ``session.record(config, ...)`` adds environment and times.
3. Write ``tables(result)``, which compares the published numbers with the measured ones, and
   ``draw(result)``, which returns figures by name. Both use only the result, as it is read from
   its JSON file. ``lab.figures`` has sizes, colors and ``headline``, a title that states the
   finding.
4. Add the name to ``NAMES`` in ``lab/catalogue.py``, a small result as
   tests/studies/results/NAME.json with a test that compares the data in the axes, and a page
   docs/studies/NAME.md.
"""

from fastmlp.studies.lab.catalogue import NAMES as NAMES
from fastmlp.studies.lab.catalogue import find_study as find_study
from fastmlp.studies.lab.study import Study as Study
