"""Names that are nearly right, or those of other libraries, and the right one in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from inspect import signature
from typing import ParamSpec

P = ParamSpec("P")

LONGEST_NAME = 200
NEAR = 0.7
"""Least similarity of two names, by difflib's measure."""

SYNONYMS = (
    # Losses
    ("squared_error", "brier", "mse", "mean_squared_error", "l2", "l2_loss"),
    ("absolute_error", "mae", "mean_absolute_error", "l1", "l1_loss"),
    ("quantile", "pinball"),
    ("log_loss", "bce", "binary_crossentropy"),
    ("cross_entropy", "log_loss", "categorical_crossentropy", "nll"),
    # Functions, optimizers, initializers, schedules
    ("identity", "linear", "none"),
    ("sigmoid", "logistic"),
    ("silu", "swish"),
    ("sgd", "momentum"),
    ("lbfgs", "bfgs", "l_bfgs_b"),
    ("glorot", "xavier", "glorot_uniform", "xavier_uniform"),
    ("he", "kaiming", "he_normal", "he_uniform", "kaiming_uniform"),
    ("cosine", "cosine_annealing", "cosine_decay"),
    # Numbers of an epoch
    ("val_score", "val_accuracy", "val_acc"),
    ("val_loss", "val_cost"),
    # Parameters
    ("learning_rate_init", "learn_rate", "learning_rate", "lr", "eta"),
    ("n_threads", "threads", "n_jobs"),
    ("max_iter", "n_epochs", "epochs"),
    ("hidden_layer_sizes", "ay_nodes_layers", "sizes", "hidden", "hidden_layers", "layers"),
    ("solver", "optimizer"),
    ("random_state", "seed"),
    ("alpha", "lambda2_reg", "l2", "lambda2"),
    ("l1", "lambda1_reg", "lambda1"),
    ("batch_size", "n_size_mini_batch"),
    ("activation", "my_activation_function"),
    ("loss", "my_loss_function", "criterion"),
    ("initializer", "my_initializer", "kernel_initializer"),
    ("momentum", "mom_rate"),
    ("max_grad_norm", "clip_norm"),
    ("n_iter_no_change", "patience"),
    ("validation_fraction", "validation_split"),
    ("verbose", "b_verbose"),
    ("shuffle", "b_shuffle"),
)
"""Names for the same thing, here and elsewhere; the first that is allowed is meant."""


def nearest(value: object, known: Iterable[str]) -> str:
    """Return a question such as ". Did you mean 'relu'?", or "" if no known name is near.

    Parameters
    ----------
    value : object
        What was given; only strings bring a question.
    known : iterable of str
        The names that are allowed; case, hyphens, underscores and blanks do not matter.
    """
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        return ""
    found = _nearest(value, {_plain(name): name for name in known})
    return "" if found is None else f". Did you mean {found!r}?"


def _nearest(value: str, names: dict[str, str]) -> str | None:
    """Return the nearest of `names`, which are keyed by their plain form."""
    meanings = _meanings(names)
    word, turned = _plain(value), _plain("_".join(reversed(value.replace("-", "_").split("_"))))
    for exact in (word, turned):  # loss_val is val_loss
        for among in (names, meanings):
            if exact in among:
                return among[exact]
    for among in (names, meanings):
        if near := get_close_matches(word, among, n=1, cutoff=NEAR):
            return among[near[0]]
    return None


def _meanings(names: dict[str, str]) -> dict[str, str]:
    """Return the names that synonyms stand for, by the synonyms' plain form."""
    found: dict[str, str] = {}
    for group in SYNONYMS:
        words = [_plain(word) for word in group]
        meant = next((names[word] for word in words if word in names), None)
        if meant is not None:
            found = dict.fromkeys(words, meant) | found
    return found


def _plain(name: str) -> str:
    return name.lower().translate(dict.fromkeys(map(ord, "-_ ")))


def suggest_parameters(init: Callable[P, None]) -> Callable[P, None]:
    """Let a constructor refuse unknown parameters with the nearest known name."""
    known = [name for name in signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def checked(*args: P.args, **given: P.kwargs) -> None:
        for name in given:
            if name not in known:
                raise TypeError(
                    f"{type(args[0]).__name__} got an unexpected keyword argument {name!r}"
                    + (nearest(name, known) or f"; its parameters are {', '.join(known)}")
                )
        init(*args, **given)

    return checked
