"""Common base of TabularClassifier and TabularRegressor."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import check_choice, check_flag, check_integer, check_seconds, shown
from fastmlp._links import Documented
from fastmlp._types import Array
from fastmlp.callbacks.base import as_epoch_callbacks
from fastmlp.engine.threads import resolve_threads
from fastmlp.estimators.inputs import check_weights
from fastmlp.estimators.labels import check_length, check_y, has_validation_set
from fastmlp.estimators.naming import naming
from fastmlp.estimators.parameters import as_random_state, check_random_state_of
from fastmlp.estimators.warn import warn
from fastmlp.exceptions import LinearModelWarning
from fastmlp.losses import Loss, Quantile
from fastmlp.network.network import Network
from fastmlp.tables.encoder import TabularEncoder, inputs_of
from fastmlp.tables.features import Features
from fastmlp.tables.folds import mean_of_held_out, member_splits
from fastmlp.tables.frames import Frame, check_frame
from fastmlp.tables.importance import HeldOutRows
from fastmlp.tables.jobs import TrainingData, make_job, report_member
from fastmlp.tables.linear import MIN_ROWS, SAME_SCORE, SAME_SHARE, LinearModels
from fastmlp.tables.members import Member, Team, mean_outputs
from fastmlp.tables.plain import PlainPickles
from fastmlp.tables.reader import Cells
from fastmlp.tables.reporting import Reporting
from fastmlp.tables.settings import (
    ENCODINGS,
    FEW_ROWS,
    MANY_ROWS,
    PRESETS,
    check_network,
    check_size,
    member_settings,
)
from fastmlp.tables.weighted import Numbers


class BaseTabular(PlainPickles, Reporting, Documented, BaseEstimator, ABC):  # type: ignore[misc]
    """Base class of the estimators for tables; use one of its subclasses."""

    n_features_in_: int
    oof_prediction_: Array | None
    linear_score_: float | None

    def _keep_parameters(self, arguments: dict[str, Any]) -> None:
        """Set the arguments of `__init__` as attributes, as scikit-learn requires."""
        self.__dict__.update(
            (name, value) for name, value in arguments.items() if name not in ("self", "__class__")
        )

    # --- Methods that the subclasses override

    @abstractmethod
    def _learn_targets(self, y: Any, n_rows: int, weights: Numbers | None) -> Numbers:
        """Check and learn targets; return those of the networks, (n, n_outputs), in float64."""

    @abstractmethod
    def _encode_targets(self, y: Any, n_rows: int) -> Numbers:
        """Check the targets of a validation set and encode them in the same way."""

    @abstractmethod
    def _output_and_loss(self) -> tuple[str, Loss]:
        """Return the name of the output function, and the loss."""

    def _labels(self, y: Any, targets: Numbers) -> NDArray[Any]:
        """Return what a splitter is given as y, (n, ...)."""
        return np.asarray(y)

    @abstractmethod
    def _strata(self, targets: Numbers) -> NDArray[np.intp]:
        """Return the class of every row, zeros if there are none."""

    @abstractmethod
    def _finish(self, outputs: Array) -> Array:
        """Return predictions in the form of `oof_prediction_` for the members' mean outputs."""

    @abstractmethod
    def _oof_score(self, predictions: Array, targets: Numbers, weights: Numbers | None) -> float:
        """Return the score of finished predictions."""

    def _training_weights(self, targets: Numbers, weights: Numbers | None) -> Numbers | None:
        """Return the weights used in training."""
        return weights

    def _learn_from_held_out(
        self, outputs: Array, targets: Numbers, weights: Numbers | None
    ) -> None:
        """Learn calibration or intervals from single members' outputs for rows they held out."""

    def _statistic_targets(self, targets: Numbers) -> Numbers:
        """Return the targets whose means per category are inputs."""
        return targets

    # --- Fit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Any:
        """Learn the columns, and train the members.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            A table of pandas, polars or pyarrow, an array, or nested lists: numbers, text,
            categories, booleans and dates, with missing values.
        y : array-like of shape (n_samples,), or of shape (n_samples, n_outputs)
            Class labels, or probabilities of every class (n_samples, n_classes) for a classifier;
            numbers of any scale for a regressor.
        sample_weight : array-like of shape (n_samples,), optional
            Weight >= 0 of every row; rows of weight 0 are left out.
        X_val, y_val : like X and y, optional
            Rows to stop by, instead of held-out rows: every member is then trained on all of `X`.
        sample_weight_val : array-like of shape (n_validation,), optional
            Weights of these.
        groups : array-like of shape (n_samples,), optional
            Rows of a group are never on both sides of a split.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Naming the parameter, argument or column, what was given and what is allowed.
        KeyboardInterrupt
            After Ctrl-C. Whatever is raised, the estimator is as it was before.
        """
        before = dict(vars(self))
        try:
            self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), groups)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], groups: Any
    ) -> None:
        """Implement `fit`."""
        started = time.monotonic()
        limit = self._check_parameters()
        deadline = None if limit is None else started + limit
        if y is None:  # reported first, as in scikit-learn
            check_y("y", y, self, numeric=False)
        frame = check_frame(self, X, reset=True)
        n_given = frame.n_rows
        weights = check_weights("sample_weight", sample_weight, n_given, np.dtype(np.float64))
        targets = self._learn_targets(y, n_given, weights)
        group_of = _check_groups(groups, n_given)
        there = np.arange(n_given) if weights is None else np.flatnonzero(weights)
        if len(there) < n_given:
            frame = frame.rows(there)
        weights = None if weights is None else weights[there]
        encoder = self._new_encoder(len(there))
        self._copy_names(encoder)
        data = TrainingData(
            encoder.learn(frame, weights),
            targets[there],
            weights,
            None if group_of is None else group_of[there],
        )
        data.validation = self._given_validation(encoder, *validation)
        rng = as_random_state(self.random_state)
        few = self._has_few_rows(data)
        splits = self._splits(data, (y, targets, group_of), there, rng, few=few)
        linear = self._linear_models(data, few=few)
        members = self._train(encoder, data, splits, rng, deadline, linear, few=few)
        self.encoder_ = encoder
        kept = [(i, m, splits[i][1]) for i, m in enumerate(members) if m is not None]
        self.members_ = [member for _, member, _ in kept]
        own = self._judge(data, kept, there, n_given)
        if own is not None and linear is not None:
            parts = [(rows, linear.outputs[i]) for i, _, rows in kept if i in linear.outputs]
            self._compare_with_linear(data, own, mean_of_held_out(data.n_rows, parts))
        self.fit_seconds_ = time.monotonic() - started

    def _check_parameters(self) -> float | None:
        """Check all parameters; return the time limit in seconds."""
        check_choice("preset", self.preset, PRESETS)
        if self.n_members is not None:
            check_integer("n_members", self.n_members, minimum=1, maximum=1000)
        check_size(self.size)
        check_choice("encoding", self.encoding, ENCODINGS)
        check_integer("max_one_hot", self.max_one_hot, minimum=1)
        check_network(self.network)
        check_flag("verbose", self.verbose) if isinstance(self.verbose, bool) else check_integer(
            "verbose", self.verbose, minimum=0
        )
        with naming("random_state"):
            check_random_state_of("random_state", self.random_state)
        as_epoch_callbacks(self.callbacks)
        resolve_threads(self.n_threads)
        return None if self.time_limit is None else check_seconds("time_limit", self.time_limit)

    def _new_encoder(self, n_rows: int) -> TabularEncoder:
        ple = any(self._has_bins(i, n_rows) for i in range(self._n_members()))
        return TabularEncoder(
            categorical=self.categorical,
            numerical=self.numerical,
            ordinal=self.ordinal,
            max_one_hot=self.max_one_hot,
            encoding="ple" if ple else "plain",
        )

    def _n_members(self) -> int:
        return PRESETS[self.preset] if self.n_members is None else int(self.n_members)

    def _has_bins(self, number: int, n_rows: int) -> bool:
        """Whether a member's numbers have bins; with few rows every other member's have."""
        if self.encoding == "auto":
            return n_rows >= MANY_ROWS or number % 2 == 1
        return bool(self.encoding == "ple")

    def _features_of_members(
        self, encoder: TabularEncoder, n_rows: int, n_members: int, *, few: bool
    ) -> list[Features]:
        both = encoder.features_.without_bins(), encoder.features_
        if few and self.encoding == "auto":
            return [both[0]] * n_members
        return [both[self._has_bins(i, n_rows)] for i in range(n_members)]

    def _copy_names(self, encoder: TabularEncoder) -> None:
        encoder.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            encoder.feature_names_in_ = self.feature_names_in_

    def _given_validation(
        self, encoder: TabularEncoder, X: Any, y: Any, weights: Any
    ) -> tuple[Cells, Numbers, Numbers | None] | None:
        if not has_validation_set(X, y, weights):
            return None
        if self.validation is not None:
            raise ValueError(
                "validation must be None with X_val, which is what all members stop by; got "
                f"{shown(self.validation)}"
            )
        cells = encoder.read(X, "X_val")
        n = len(cells.numbers)
        checked = check_weights("sample_weight_val", weights, n, np.dtype(np.float64))
        return cells, self._encode_targets(y, n), checked

    def _has_few_rows(self, data: TrainingData) -> bool:
        """Whether too few rows differ to hold some out."""
        if data.n_rows > 8 * FEW_ROWS:
            return False
        if data.n_rows < FEW_ROWS:
            return True
        rows = np.concatenate([np.nan_to_num(data.cells.numbers), data.cells.codes], axis=1)
        return len(np.unique(rows, axis=0)) < FEW_ROWS

    def _splits(
        self, data: TrainingData, given: Any, there: NDArray[np.intp], rng: Any, *, few: bool
    ) -> list[Any]:
        y, targets, groups = given
        n_members = self._n_members()
        everything = np.arange(data.n_rows), np.zeros(0, np.intp)
        if data.validation is not None or (few and self.validation is None):
            return [everything] * n_members
        return list(
            member_splits(
                self.validation,
                n_members,
                len(targets),
                y=self._labels(y, targets),
                strata=self._strata(targets),
                groups=groups,
                rng=rng,
                there=there if len(there) < len(targets) else None,
            )
        )

    def _train(
        self,
        encoder: TabularEncoder,
        data: TrainingData,
        splits: list[Any],
        rng: Any,
        deadline: float | None,
        linear: LinearModels | None,
        *,
        few: bool,
    ) -> list[Member | None]:
        output, loss = self._output_and_loss()
        dtype = "float64" if few else "float32"
        team = Team(
            member_settings(self.size, self.network, data.n_rows, few=few),
            output,
            loss,
            dtype,
            resolve_threads(self.n_threads).n_threads,
            deadline,
            as_epoch_callbacks(self.callbacks),
            partial(report_member, len(splits)) if self.verbose else lambda number, member: None,
            linear or (lambda number, job: None),
        )
        weights = self._training_weights(data.targets, data.weights)
        weights = None if weights is None else weights / weights.mean()
        seeds = rng.randint(0, 2**31 - 1, size=(len(splits), 3))
        statistic_targets = self._statistic_targets(data.targets)
        features = self._features_of_members(encoder, data.n_rows, len(splits), few=few)
        jobs = [
            partial(
                make_job,
                encoder,
                part,
                data,
                statistic_targets,
                weights,
                dtype,
                self._strata(data.targets),
                *split,
                seeds=(int(seed[0]), int(seed[1]), int(seed[2])),
            )
            for split, seed, part in zip(splits, seeds, features, strict=True)
        ]
        if not encoder.many.any():  # members read the same matrices
            none = np.zeros((data.n_rows, 0))
            data.inputs = {
                part.n_inputs: inputs_of(part, data.cells, none, dtype)
                for part in {id(part): part for part in features}.values()
            }
        return team.train(jobs)

    def networks(self) -> list[Network]:
        """Return the members' networks."""
        check_is_fitted(self)
        return [member.network for member in self.members_]

    # --- What held-out rows say

    def _judge(
        self,
        data: TrainingData,
        kept: list[tuple[int, Member, NDArray[np.intp]]],
        there: NDArray[np.intp],
        n_given: int,
    ) -> tuple[NDArray[np.intp], Array] | None:
        """Predict every row by the members that held it out; learn from that, and score it.

        Returns the rows that were held out, and their outputs.
        """
        self.oof_prediction_, self.oof_score_, self.linear_score_ = None, None, None
        self._held_out, self._importances = None, None
        self._reset_learned()
        found = mean_of_held_out(
            data.n_rows,
            (
                (rows, m.network.predict(self._inputs(self.encoder_, m, data.cells.rows(rows))))
                for _, m, rows in kept
                if len(rows)
            ),
        )
        if found is None:
            return None
        self._held_out = HeldOutRows.sample(
            data.cells, data.targets, data.weights, [rows for *_, rows in kept]
        )
        seen, outputs = found
        weights = None if data.weights is None else data.weights[seen]
        self._learn_from_held_out(outputs, data.targets[seen], weights)
        finished = self._finish(outputs)
        predictions = np.full((n_given, *finished.shape[1:]), np.nan)
        predictions[there[seen]] = finished
        self.oof_prediction_ = predictions
        self.oof_score_ = self._oof_score(finished, data.targets[seen], weights)
        return found

    def _linear_models(self, data: TrainingData, *, few: bool) -> LinearModels | None:
        """Return what trains linear models beside the members; None where they say nothing."""
        output, loss = self._output_and_loss()
        same = not np.ptp(data.targets, axis=0).any()
        if few or same or data.validation is not None or data.n_rows < MIN_ROWS:
            return None
        return None if isinstance(loss, Quantile) else LinearModels(output, loss, "float32")

    def _compare_with_linear(
        self,
        data: TrainingData,
        own: tuple[NDArray[np.intp], Array],
        linear: tuple[NDArray[np.intp], Array] | None,
    ) -> None:
        """Score the linear models' outputs for held-out rows; warn if these are as good."""
        rows, outputs = own
        if linear is None or not np.array_equal(linear[0], rows):  # the time was over
            return
        targets = data.targets[rows]
        weights = None if data.weights is None else data.weights[rows]
        score = self._oof_score(self._finish(linear[1]), targets, weights)
        constant = np.broadcast_to(np.average(targets, axis=0, weights=weights), targets.shape)
        loss, of_linear, of_constant = (
            self._loss_of(each, targets, weights) for each in (outputs, linear[1], constant)
        )
        self.linear_score_ = score
        assert self.oof_score_ is not None
        explained = of_constant - of_linear
        learned = explained > SAME_SCORE * of_constant
        as_good = explained >= SAME_SHARE * (of_constant - loss)
        if learned and as_good and score >= self.oof_score_ - SAME_SCORE:
            warn(
                f"a linear model is as good: its {self._score_name()} for the same held-out rows "
                f"is {score:.4f}, that of the networks {self.oof_score_:.4f}. It is easier to "
                "explain: put one behind TabularEncoder with make_pipeline, or filter "
                "LinearModelWarning",
                LinearModelWarning,
            )

    def _reset_learned(self) -> None:
        """Forget what an earlier fit has learned from held-out rows."""

    # --- Prediction

    @staticmethod
    def _inputs(encoder: TabularEncoder, member: Member, cells: Cells) -> Array:
        statistics = member.statistics.encode(cells.codes[:, encoder.many])
        return inputs_of(member.features, cells, statistics, member.network.dtype)

    def _outputs(self, X: Any) -> Array:
        """Return the mean of the members' outputs for a table, (n, n_outputs)."""
        if "members_" not in self.__dict__:
            check_is_fitted(self)  # which takes 20 µs
        return self._outputs_of(self._cells(X))

    def _cells(self, X: Any) -> Cells:
        encoder = self.encoder_
        plain = (
            type(X) is np.ndarray
            and X.ndim == 2
            and len(X) > 0
            and X.shape[1] == self.n_features_in_
            and X.dtype.kind in "fO"
        )
        if plain and not hasattr(self, "feature_names_in_"):
            return encoder.reader_.read(Frame(X))  # without scikit-learn's checks, 0.1 ms
        return encoder.reader_.read(check_frame(self, X, reset=False))

    def _outputs_of(self, cells: Cells) -> Array:
        encoder = self.encoder_
        if encoder.many.any():
            return mean_outputs(self.members_, lambda member: self._inputs(encoder, member, cells))
        members = self.members_
        dtype, widest = members[0].network.dtype, encoder.features_
        full = inputs_of(widest, cells, np.zeros((len(cells.numbers), 0)), dtype)
        if all(member.features is widest for member in members):
            return mean_outputs(members, lambda member: full)
        bins = widest.bin_columns
        plain = np.concatenate((full[:, : bins.start], full[:, bins.stop :]), axis=1)
        if not plain.shape[1]:
            plain = np.zeros((len(full), 1), dtype)
        return mean_outputs(members, lambda member: full if member.features is widest else plain)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are members."""
        return "members_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        return tags


def _check_groups(groups: Any, n_rows: int) -> NDArray[Any] | None:
    if groups is None:
        return None
    with naming("groups"):
        array = np.asarray(groups)
        if array.ndim != 1:
            raise ValueError(f"groups must have shape (n_samples,); got {array.shape}")
        check_length("groups", len(array), "X", n_rows)
    return array if array.dtype.kind != "O" else array.astype(str)
