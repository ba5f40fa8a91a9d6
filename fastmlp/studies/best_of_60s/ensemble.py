"""Ensemble trained with a time limit: one network, or one per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.optimizers import AdamW
from fastmlp.studies.best_of_60s.clock import Clock, Pace, Shifts
from fastmlp.studies.lab.data import RawData
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Tick
from fastmlp.training.trainer import Trainer

THREADS = 2
"""Number of threads of every recipe, on any machine: for one network, or one per network."""


COURSE_POINTS = 60
"""Maximum number of recorded epochs of the first member, including the last."""


@dataclass(frozen=True)
class Recipe:
    """One way to use the time, with which every member of the ensemble is trained.

    `reach` is the number of pixels by which images are moved at most; `smoothing` takes that part
    of each target and spreads it over all classes.
    """

    hidden: tuple[int, ...]
    members: int = 1
    reach: int = 0
    activation: str = "gelu"
    dropout: float = 0.0
    smoothing: float = 0.0
    peak: float = 0.002
    weight_decay: float = 0.01
    batch_size: int = 200
    schedule: str = "one_cycle"

    @property
    def name(self) -> str:
        """For example "2 x 512-256 gelu, dropout 0.3, moved by 2"."""
        ensemble = f"{self.members} × " if self.members > 1 else ""
        details = [f"{ensemble}{'-'.join(map(str, self.hidden))} {self.activation}"]
        details += [f"dropout {self.dropout:g}"] if self.dropout else []
        details += [f"moved by {self.reach}"] if self.reach else []
        return ", ".join(details)

    @property
    def kind(self) -> str:
        """Type of the images: plain or moved."""
        return "moved" if self.reach else "plain"


def train_ensemble(
    recipe: Recipe,
    seed: int,
    data: RawData,
    seconds: float,
    *,
    tick: Tick,
    clock: Clock,
    measured: bool = False,
) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """Train a recipe's networks side by side, each for the full time on its share of the threads.

    Parameters
    ----------
    data : RawData
        Its test rows are classified when the time is up, and after every epoch if `measured`.
    seconds : float
        On `clock`.

    Returns
    -------
    dict
        Epochs and course of the first member, longest time of a member.
    list of ndarray of shape (n, n_classes)
        Each member's outputs.
    """
    stop = threading.Event()

    def work(member: int) -> tuple[Network, Pace]:
        return _train_member(
            recipe,
            seed,
            data,
            member,
            seconds,
            clock,
            stop,
            tick=tick if member == 0 else None,
            measured=measured and member == 0,
        )

    if recipe.members == 1:
        trained = [work(0)]
    else:
        with ThreadPoolExecutor(recipe.members) as pool:
            futures = [pool.submit(work, member) for member in range(recipe.members)]
            try:
                trained = [future.result() for future in futures]
            except BaseException:
                stop.set()
                raise
    scaled = _scaled(data.X_test, data.highest)
    paces = [pace for _, pace in trained]
    course = slice(None, None, -(-len(paces[0].rates) // COURSE_POINTS))
    found = {
        "epochs": [len(pace.rates) for pace in paces],
        "training_seconds": rounded(max(pace.seconds_used[-1] for pace in paces)),
        "course_seconds": rounded(paces[0].seconds_used[::-1][course][::-1], 4),
        "course_rates": rounded(paces[0].rates[::-1][course][::-1], 4),
        "course_accuracy": rounded(paces[0].measured[::-1][course][::-1], 5),
    }
    return found, [network.predict(scaled) for network, _ in trained]


def _train_member(
    recipe: Recipe,
    seed: int,
    data: RawData,
    member: int,
    seconds: float,
    clock: Clock,
    stop: threading.Event,
    *,
    tick: Tick | None,
    measured: bool,
) -> tuple[Network, Pace]:
    classes = np.unique(data.y_train)
    one_hot = np.eye(len(classes), dtype=np.float32)
    targets = one_hot * (1 - recipe.smoothing) + recipe.smoothing / len(classes)
    rows = Rows(
        _scaled(data.X_train, data.highest),
        targets[np.searchsorted(classes, data.y_train)].astype(np.float32),
    )
    seen = Rows(_scaled(data.X_test, data.highest), one_hot[np.searchsorted(classes, data.y_test)])
    rng = np.random.default_rng([seed, member])
    shifts = Shifts(data.X_train, recipe.reach, data.highest, rng) if recipe.reach else None
    pace = Pace(
        seconds,
        recipe.peak,
        recipe.schedule,
        clock,
        stop=stop,
        renew=None if shifts is None else lambda: shifts.into(rows.x),  # type: ignore[arg-type]
        measure=(lambda: trainer.objective.evaluate(seen).accuracy) if measured else None,
        report=None if tick is None else _per_second(tick),
    )
    network = Network(
        (rows.x.shape[1], *recipe.hidden, len(classes)),
        activation=recipe.activation,
        output="softmax",
        initializer="he",
        random_state=rng,
    )
    trainer = Trainer(
        network,
        optimizer=AdamW(weight_decay=recipe.weight_decay),
        reduction="mean",
        batch_size=recipe.batch_size,
        dropout=recipe.dropout,
        n_threads=max(THREADS // recipe.members, 1),
        random_state=rng,
    )
    trainer.train(rows, n_epochs=10**9, callbacks=[pace])
    return network, pace


def _scaled(X: NDArray[Any], highest: float) -> NDArray[np.float32]:
    return X.astype(np.float32) * np.float32(1 / highest)


def _per_second(tick: Tick) -> Callable[[float], None]:
    """Tick once per second used, regardless of the length of an epoch."""

    def report(used: float) -> None:
        while tick.n_ticks < int(used):
            tick()

    return report


def judge(outputs: Sequence[NDArray[np.float32]], labels: NDArray[Any]) -> dict[str, Any]:
    """Accuracy of the averaged outputs, of each member, and the number of wrong rows."""
    codes = np.unique(labels, return_inverse=True)[1]
    right = np.mean(outputs, axis=0).argmax(axis=1) == codes
    single = [float((output.argmax(axis=1) == codes).mean()) for output in outputs]
    return {
        "accuracy": rounded(right.mean()),
        "member_accuracy": rounded(single),
        "n_wrong": int((~right).sum()),
    }
