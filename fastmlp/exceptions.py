"""Exceptions and warnings defined by fastmlp; all others that it raises are Python built-ins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastmlp._links import help_page


def _add_help(error: Exception) -> None:
    """Add a note with the address of the page on an error, which is no part of its message."""
    error.add_note(f"What helps: {help_page(type(error).__name__)}")


class DataFormatError(ValueError):
    """Invalid data file: truncated, corrupt, or not in the format it claims to be.

    The message names the file, what was expected and what was found.
    """


class ModelFormatError(ValueError):
    """Invalid model file: truncated, modified, or not in the format it claims to be.

    The message names the file, what was expected and what was found.
    """


class ResumeError(ValueError):
    """A checkpoint does not match the run: other parameters, other data, or too many epochs.

    Parameters
    ----------
    path : str
        The checkpoint.
    differences : mapping of str to (str, str)
        For every name that differs, the value in the checkpoint and the current value.

    Attributes
    ----------
    path, differences
        As given.
    """

    def __init__(self, path: str, differences: Mapping[str, tuple[str, str]]) -> None:
        self.path, self.differences = path, dict(differences)
        text = "; ".join(
            f"{name} was {saved}, is now {now}" for name, (saved, now) in self.differences.items()
        )
        super().__init__(f"cannot resume from {path!r}: {text}")
        _add_help(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.differences)


class ClusterError(RuntimeError):
    """A run on a cluster cannot continue: the scheduler or all workers are lost, or they differ.

    The message says what is done, and names the folder of the checkpoints, if there is one.
    """


class EnvironmentVariableError(RuntimeError):
    """Invalid value of an environment variable; the message has its name and what is allowed.

    No ValueError, which would be taken for one about the argument, or the file, that is looked at.
    """


class ParameterError(ValueError, TypeError):
    """Invalid parameter of an estimator; the message has its name, its value and what is allowed.

    It is both a ValueError and a TypeError, like scikit-learn's InvalidParameterError.
    """


class UnscaledInputWarning(UserWarning):
    """Warning about inputs whose magnitude makes gradient descent unlikely to converge."""


class LinearModelWarning(UserWarning):
    """Warning that a linear model is as good as the networks, and easier to explain."""


class DivergenceError(ArithmeticError, ValueError):
    """Training produced NaN or infinity; the last finite weights are kept.

    It is also a ValueError, which scikit-learn raises in this case.

    Parameters
    ----------
    epoch : int
        The epoch in which training diverged, counted from 0.
    batch : int
        The mini-batch within that epoch, counted from 0.
    learning_rate : float
        The learning rate in force at that mini-batch.
    cause : str
        The cause, if known: a sentence without a full stop.
    preface : str
        A sentence before the message: the estimators begin with scikit-learn's.

    Attributes
    ----------
    epoch, batch, learning_rate, cause, preface
        As given.
    """

    def __init__(
        self, *, epoch: int, batch: int, learning_rate: float, cause: str = "", preface: str = ""
    ) -> None:
        self.epoch = epoch
        self.batch = batch
        self.learning_rate = learning_rate
        self.cause = cause
        self.preface = preface
        diagnosis = cause or (
            "the loss or the weights are no longer finite. Scale the input (to [0, 1], or to mean "
            "0 and variance 1) or lower the learning rate"
        )
        super().__init__(
            f"{f'{preface} Training' if preface else 'training'} diverged in epoch {epoch}, "
            f"batch {batch} (both counted from 0) at learning rate {learning_rate:g}: "
            f"{diagnosis}. The last finite weights are kept."
        )
        _add_help(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call DivergenceError(message), which keyword arguments forbid.
        rebuild = partial(
            type(self),
            epoch=self.epoch,
            batch=self.batch,
            learning_rate=self.learning_rate,
            cause=self.cause,
            preface=self.preface,
        )
        return rebuild, (), self.__dict__
