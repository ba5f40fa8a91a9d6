"""The tournament: rung after rung, the better candidates of every bracket go on.

The brackets run side by side. A rung is decided when all its tasks are done, from scores alone, so
that the result depends neither on the number of workers nor on who was faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastmlp.search.brackets import Bracket
from fastmlp.search.pools import Pool
from fastmlp.search.tasks import Outcome, Task, Unit, deciding_score


@dataclass
class RungResult:
    """The outcomes of one rung.

    Attributes
    ----------
    bracket, rung, n_epochs : int
    candidates : list of int
        Those that entered it, in ascending order.
    outcomes : dict of (candidate, split) to Outcome
        Without models once the rung is decided.
    promoted : list of int or None
        Candidates that enter the next rung; None while tasks are under way.
    """

    bracket: int
    rung: int
    n_epochs: int
    candidates: list[int]
    outcomes: dict[tuple[int, int], Outcome] = field(default_factory=dict)
    promoted: list[int] | None = None


class Observer(Protocol):
    """What takes note of a tournament."""

    def outcome(self, result: RungResult, outcome: Outcome) -> None:
        """Take note of a task that is done."""

    def decided(self, result: RungResult) -> None:
        """Take note of a rung that is done; its outcomes still have their models."""


class Tournament:
    """Runs the rungs of all brackets.

    Parameters
    ----------
    brackets : sequence of Bracket
    candidates : sequence of sequences of int
        Numbers of the candidates of every bracket.
    n_splits : int
    metric : str
        Name of the score that decides, if there are several.
    new_model : callable
        ``new_model(candidate, split)`` returns an unfitted model.
    scorer, raises
        As of a Task.
    observers : sequence of Observer
    stored : mapping of Unit to Outcome
        Outcomes of an earlier run, without models.
    stored_model : callable
        ``stored_model(unit)`` returns the model of a stored outcome, or None: then it is trained
        again from its beginning.
    """

    def __init__(
        self,
        brackets: Sequence[Bracket],
        candidates: Sequence[Sequence[int]],
        n_splits: int,
        *,
        metric: str,
        new_model: Callable[[int, int], Any],
        scorer: Callable[..., Any],
        raises: bool,
        observers: Sequence[Observer],
        stored: Mapping[Unit, Outcome],
        stored_model: Callable[[Unit], Any],
    ) -> None:
        self.brackets, self.n_splits, self.metric = brackets, n_splits, metric
        self.new_model, self.scorer, self.raises = new_model, scorer, raises
        self.observers, self.stored, self.stored_model = observers, stored, stored_model
        self.results: list[list[RungResult]] = [
            [RungResult(number, 0, bracket[0].n_epochs, list(entered))]
            for number, (bracket, entered) in enumerate(zip(brackets, candidates, strict=True))
        ]

    def run(self, pool: Pool) -> None:
        """Run all tasks."""
        n_under_way = sum(self._start(results[0], {}, pool) for results in self.results)
        while n_under_way:
            n_under_way += self._take(pool.next_outcome(), pool) - 1

    def _start(self, result: RungResult, models: Mapping[tuple[int, int], Any], pool: Pool) -> int:
        """Start the tasks of a rung, and of the next ones as far as all outcomes are stored.

        Returns
        -------
        int
            Number of tasks that were started.
        """
        units = [
            Unit(result.bracket, result.rung, candidate, split)
            for candidate in result.candidates
            for split in range(self.n_splits)
        ]
        open_units = []
        for unit in units:
            if unit in self.stored:
                self._note(result, self.stored[unit])
            else:
                open_units.append(unit)
        if units and not open_units:
            return self._decide(result, pool)
        for unit in open_units:
            pool.submit(self._task(unit, result, models.get((unit.candidate, unit.split))))
        return len(open_units)

    def _task(self, unit: Unit, result: RungResult, model: Any) -> Task:
        begin = self.results[unit.bracket][unit.rung - 1].n_epochs if unit.rung else 0
        if model is None and unit.rung:
            model = self.stored_model(unit._replace(rung=unit.rung - 1))
        if model is None:
            begin, model = 0, self.new_model(unit.candidate, unit.split)
        return Task(unit, model, begin, result.n_epochs, self.scorer, self.raises)

    def _note(self, result: RungResult, outcome: Outcome) -> None:
        scores = outcome.scores
        if scores is not None and deciding_score(scores, self.metric) not in scores:
            raise ValueError(
                f"refit must be the name of a score, one of "
                f"{', '.join(map(repr, scores))}; got {self.metric!r}"
            )
        result.outcomes[outcome.unit.candidate, outcome.unit.split] = outcome
        for observer in self.observers:
            observer.outcome(result, outcome)

    def _take(self, outcome: Outcome, pool: Pool) -> int:
        """Note an outcome; return the number of tasks that were started because of it."""
        result = self.results[outcome.unit.bracket][outcome.unit.rung]
        self._note(result, outcome)
        if len(result.outcomes) < len(result.candidates) * self.n_splits:
            return 0
        return self._decide(result, pool)

    def _decide(self, result: RungResult, pool: Pool) -> int:
        bracket = self.brackets[result.bracket]
        number = result.rung + 1
        n_next = bracket[number].n_candidates if number < len(bracket) else 0
        result.promoted = self._best(result, n_next)
        for observer in self.observers:
            observer.decided(result)
        kept = {
            place: outcome.model
            for place, outcome in result.outcomes.items()
            if place[0] in result.promoted
        }
        result.outcomes = {k: _without_model(outcome) for k, outcome in result.outcomes.items()}
        if not result.promoted:
            return 0
        following = RungResult(result.bracket, number, bracket[number].n_epochs, result.promoted)
        self.results[result.bracket].append(following)
        return self._start(following, kept, pool)

    def _best(self, result: RungResult, n: int) -> list[int]:
        """Return the n best candidates in ascending order, fewer if others have failed.

        Ties are broken by the number of the candidate.
        """
        means = {c: mean_score(result, c, self.n_splits, self.metric) for c in result.candidates}
        usable = [candidate for candidate in result.candidates if not math.isnan(means[candidate])]
        return sorted(sorted(usable, key=lambda candidate: (-means[candidate], candidate))[:n])


def mean_score(result: RungResult, candidate: int, n_splits: int, metric: str) -> float:
    """Return the mean score of a candidate over the splits; NaN if a split failed."""
    of_splits = [result.outcomes[candidate, split].scores or {} for split in range(n_splits)]
    return sum(one.get(deciding_score(one, metric), math.nan) for one in of_splits) / n_splits


def _without_model(outcome: Outcome) -> Outcome:
    return Outcome(
        outcome.unit,
        outcome.scores,
        outcome.fit_seconds,
        outcome.score_seconds,
        error=outcome.error,
    )
