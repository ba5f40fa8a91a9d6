"""Local steps: every shard is trained by itself for some steps, and then weights are averaged.

Gradients are exchanged once a step. Where that costs more than the step itself, one may let every
shard s make h steps on its own parts of the batches, from the same weights w and optimizer states,

    w_s = h steps from w on the rows of shard s,       w = (1 / S) sum_s w_s,

and likewise the states (McMahan et al., 2017; Stich, 2019). This needs an exchange every h steps,
and is another training: batches are S times smaller. The sum over the shards is that of a fixed
tree, so that it does not matter to a bit who trains which of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.data.reader import Window
from fastmlp.engine import _core
from fastmlp.engine.shards import Exchange, SumPlan, plan_sum
from fastmlp.training.batches import call_engine
from fastmlp.training.epoch import N_MEASURES, Epoch
from fastmlp.training.protocol import NetworkTraining

ALONE = plan_sum([0, 1], 0)
"""The sum of a single shard."""


class LocalSteps:
    """Trains the own shards of a run by themselves, and averages their weights with all others.

    Parameters
    ----------
    training : NetworkTraining
        Its network, states and number of steps are changed.
    n_steps : int >= 1
        Steps between two averages; fewer where an epoch or a window ends.
    sums : SumPlan
    exchange : callable or None
        Gets the sums of other processes.
    n_threads : int
        Shards that are trained at the same time.
    """

    def __init__(
        self,
        training: NetworkTraining,
        n_steps: int,
        sums: SumPlan,
        exchange: Exchange | None,
        n_threads: int,
    ) -> None:
        self.training, self.n_steps, self.sums = training, n_steps, sums
        self.exchange, self.n_threads = exchange, n_threads
        parameters, states = training.network.parameters, training.states
        self._slots: Array = np.zeros(
            (sums.n_slots, parameters.size + states.size), parameters.dtype
        )
        self._measures = np.zeros((sums.n_own, N_MEASURES, 0))
        engine: Any = training.objective.engine
        arguments = engine.sizes, engine.functions, engine.loss, engine.dtype, 1, None
        products = engine.network_plan.products
        self._engines = [_core.Engine(*arguments, products) for _ in range(sums.n_own)]

    def train(self, window: Window, epoch: Epoch, last_batch: int, n_rows: int) -> bool:
        """Train on the batches of a window until `last_batch`, or the end of the round after it.

        Parameters and result are those of `train_batches`.
        """
        assert window.shards is not None
        first = window.begin // self.training.batch_size
        end_of_window = first + len(window.shards.lanes)
        while epoch.n_done < last_batch:
            n_rounds = (epoch.n_done - first) // self.n_steps
            end = min(first + (n_rounds + 1) * self.n_steps, end_of_window, epoch.n_batches)
            if not self._round(window, epoch, end, n_rows):
                return False
        return True

    def _round(self, window: Window, epoch: Epoch, end: int, n_rows: int) -> bool:
        """Train until batch `end`, and average; return whether all numbers are finite."""
        begin, training = epoch.n_done, self.training
        totals = np.zeros((self.sums.n_shards, (N_MEASURES + 1) * (end - begin) + 1))
        own = slice(self.sums.first, self.sums.first + self.sums.n_own)

        def train(number: int) -> None:
            self._train_shard(number, window, epoch, end, n_rows, totals[own][number])

        if self.n_threads > 1 and self.sums.n_own > 1:
            with ThreadPoolExecutor(min(self.n_threads, self.sums.n_own)) as pool:
                list(pool.map(train, range(self.sums.n_own)))
        else:
            for number in range(self.sums.n_own):
                train(number)
        self._add_up(totals)
        if totals[:, -1].min() < end - begin or not np.isfinite(self._slots[0]).all():
            return False
        self._take_average(totals, epoch, end)
        training.note_steps(epoch)
        return True

    def _train_shard(
        self,
        number: int,
        window: Window,
        epoch: Epoch,
        end: int,
        n_rows: int,
        totals: NDArray[np.float64],
    ) -> None:
        """Train an own shard from the common weights; its weights and states go into its slot.

        `totals` gets its measures times rows and its rows, of each batch, and the finished batches.
        """
        training, shards = self.training, window.shards
        assert shards is not None
        begin, width = epoch.n_done, training.network.parameters.size
        slot = self._slots[number]
        slot[:width], slot[width:] = training.network.parameters, training.states.ravel()
        alone = replace(
            shards, sums=ALONE, lanes=np.ascontiguousarray(shards.lanes[:, [number]]), exchange=None
        )
        measures, progress = self._measures_for(number, epoch), np.zeros(1, np.intp)
        call_engine(
            training,
            self._engines[number],
            (slot[:width], slot[width:].reshape(training.states.shape)),
            window,
            epoch,
            (begin, end),
            measures=measures,
            progress=progress,
            shards=alone,
            share=self._share(window, n_rows),
        )
        first = window.begin // training.batch_size
        weights = _weights(window, shards.lanes[begin - first : end - first, number])
        totals[:-1] = np.vstack([measures[:, begin:end] * weights, weights]).ravel()
        totals[-1] = progress[0]

    def _measures_for(self, number: int, epoch: Epoch) -> NDArray[np.float64]:
        """Return room for the measures of an own shard; an epoch may have millions of batches."""
        if self._measures.shape[2] != epoch.n_batches:
            self._measures = np.zeros((self.sums.n_own, N_MEASURES, epoch.n_batches))
        room: NDArray[np.float64] = self._measures[number]
        return room

    def _share(self, window: Window, n_rows: int) -> float:
        """Return the factor of the penalties, with which they weigh as much as without shards."""
        scale = self.training.objective.penalty_scale
        if scale == "per_weight":  # a shard's part of a batch has a part of its weight
            return 1 / self.sums.n_shards
        return window.n_rows / n_rows if scale == "per_sample" else 1.0

    def _add_up(self, totals: NDArray[np.float64]) -> None:
        """Sum up all shards' weights and states in the first slot, and get all totals."""
        slots = self._slots
        for to, source in self.sums.before.tolist():
            slots[to] += slots[source]
        if self.exchange is not None and not self.exchange(slots, totals):
            for to, source in self.sums.after.tolist():
                slots[to] += slots[source]

    def _take_average(self, totals: NDArray[np.float64], epoch: Epoch, end: int) -> None:
        """Write weights, states, and the weighted means of the measures of all rows."""
        training, begin = self.training, epoch.n_done
        average, width = self._slots[0], training.network.parameters.size
        average /= self.sums.n_shards
        sums = totals[:, :-1].sum(axis=0).reshape(N_MEASURES + 1, end - begin)
        training.network.parameters[...] = average[:width]
        training.states[...] = average[width:].reshape(training.states.shape)
        epoch.measures[:, begin:end] = sums[:-1] / np.where(sums[-1] > 0, sums[-1], 1)
        epoch.progress[0] = end


def _weights(window: Window, lanes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums of the sample weights of a shard's rows in some batches; without weights, their numbers.

    lanes: a row (first, number, ...) for each batch, in the order of the window.
    """
    given = window.rows.weights
    if given is None:
        return lanes[:, 1].astype(np.float64)
    ordered = given if window.order is None else given[window.order]
    parts = (ordered[begin : begin + n] for begin, n in lanes[:, :2].tolist())
    return np.array([part.sum(dtype=np.float64) for part in parts])
