"""JAX on the CPU: one jitted call per step (variant "step") or per epoch ("scan").

Rows are gathered inside the compiled step; the order of the rows is drawn by NumPy, which is
faster on a CPU than jax.random.permutation. "scan" runs the full batches of an epoch in one
`lax.scan`; a short last batch is one more step. Asynchronous dispatch is off and every epoch ends
with `block_until_ready`, so nothing is timed before it is done. The state (parameters and what
the optimizer remembers) is donated, that is, updated in place. An ensemble is trained by Python
threads over one compiled epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from fastmlp._types import Array
from fastmlp.bench.adapters.contract import Ensembler
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import (
    choose,
    initial_weights,
    on_threads,
    seconds_of_each,
    share_correct,
)

Params: TypeAlias = list[tuple[jax.Array, jax.Array]]
State: TypeAlias = Any
"""(parameters, what the optimizer remembers), a tree of arrays."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def _binary_cross_entropies(z: jax.Array, y: jax.Array) -> jax.Array:
    """Sum of ln(1 + e^z) - y·z over batch and outputs, stable for large |z|; z, y (batch, out)."""
    return jnp.sum(jnp.maximum(z, 0) - y * z + jnp.log1p(jnp.exp(-jnp.abs(z))))


def _cross_entropy(z: jax.Array, y: jax.Array) -> jax.Array:
    """Mean over the batch of -Σ y·log softmax(z); z, y (batch, out)."""
    return -jnp.sum(y * jax.nn.log_softmax(z)) / len(z)


def _sgd(params: Params, memory: State, gradients: Params, rate: float) -> tuple[Params, State]:
    """w - rate · gradient for every array."""
    return jax.tree.map(lambda w, g: w - rate * g, params, gradients), memory


def _adam(params: Params, memory: State, gradients: Params, rate: float) -> tuple[Params, State]:
    """One step of Adam; memory is (number of steps, m, v)."""
    step, m, v = memory
    step = step + 1
    m = jax.tree.map(lambda a, g: BETA_1 * a + (1 - BETA_1) * g, m, gradients)
    v = jax.tree.map(lambda a, g: BETA_2 * a + (1 - BETA_2) * g * g, v, gradients)
    scale, root = rate / (1 - BETA_1**step), jnp.sqrt(1 - BETA_2**step)
    params = jax.tree.map(
        lambda w, a, b: w - scale * a / (jnp.sqrt(b) / root + EPSILON), params, m, v
    )
    return params, (step, m, v)


def _adam_memory(params: Params) -> State:
    """Return Adam's initial state: step 0, and separate arrays of zeros for m and v."""
    zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
    return (jnp.zeros(()), *zeros)


ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}
OUTPUTS = {"sigmoid": jax.nn.sigmoid, "softmax": jax.nn.softmax}
LOSSES = {
    ("sigmoid", "log_loss", "sum"): _binary_cross_entropies,
    ("softmax", "cross_entropy", "mean"): _cross_entropy,
}
OPTIMIZERS: dict[str, Any] = {"sgd": (_sgd, lambda params: ()), "adam": (_adam, _adam_memory)}


class Contestant(Ensembler):
    """Pure functions over a list of (weights, bias) pairs."""

    def versions(self) -> dict[str, str]:
        """Return the versions, including jaxlib, the compiler."""
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def prepare(self, job: Job) -> None:
        """Arrays, jitted functions and the first state; compiled at their first call."""
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        jax.config.update("jax_enable_x64", job.dtype == "float64")
        self._batch_size = min(job.batch_size, job.n_rows)
        self._x, self._y = jnp.asarray(self.data.x_train), jnp.asarray(self.data.y_train)
        self._logits = _forward(choose(ACTIVATIONS, job.hidden, "activation"))
        output = choose(OUTPUTS, job.output, "output function")
        self._outputs = jax.jit(lambda params, x: output(self._logits(params, x)))
        step = _step(job, self._logits)
        self._step = jax.jit(step, donate_argnums=0)
        self._scan = jax.jit(_scan(step), donate_argnums=0)
        self._epoch = choose({"step": self._by_step, "scan": self._by_scan}, self.variant, "way")
        self._start(job)

    def _start(self, job: Job) -> None:
        """Set initial weights, empty memory, and a generator with the job's seed."""
        _, remember = choose(OPTIMIZERS, job.optimizer, "optimizer")
        params = [tuple(map(jnp.asarray, layer)) for layer in initial_weights(job)]
        self._state: State = (params, remember(params))
        self._rng = np.random.default_rng(job.seed)

    def train_epochs(self, n: int) -> list[float]:
        """Train by step or by scan."""
        return seconds_of_each(self._epoch, n)

    def _by_step(self) -> None:
        order = self._rng.permutation(len(self._x)).astype(np.int32)
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            self._state = self._step(self._state, self._x, self._y, rows)
        jax.block_until_ready(self._state)

    def _by_scan(self) -> None:
        order = self._rng.permutation(len(self._x)).astype(np.int32)
        n_full = len(order) // self._batch_size * self._batch_size
        full = order[:n_full].reshape(-1, self._batch_size)
        self._state = self._scan(self._state, self._x, self._y, full)
        if n_full < len(order):
            self._state = self._step(self._state, self._x, self._y, order[n_full:])
        jax.block_until_ready(self._state)

    def accuracy(self) -> float:
        """Compute the accuracy from the logits, which have the order of the outputs."""
        outputs = self._logits(self._state[0], jnp.asarray(self.data.x_test))
        return share_correct(np.asarray(outputs), self.data.labels_test)

    def predict(self, x: Array) -> Array:
        """One jitted call, waited for."""
        return np.asarray(jax.block_until_ready(self._outputs(self._state[0], x)))

    def train_ensemble(self, members: Sequence[Job]) -> list[Contestant]:
        """Train the networks on Python threads that share the compiled epoch."""
        return on_threads(self._train_member, members, self.n_threads)

    def _train_member(self, job: Job) -> Contestant:
        member = copy.copy(self)
        member._start(job)
        for _ in range(job.check_epochs):
            member._by_scan()
        return member


def _forward(activation: Callable[[jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """The network without its output function: (params, x (batch, in)) -> (batch, out)."""

    def logits(params: Params, x: jax.Array) -> jax.Array:
        for weights, bias in params[:-1]:
            x = activation(x @ weights + bias)
        weights, bias = params[-1]
        return x @ weights + bias

    return logits


def _step(job: Job, logits: Callable[..., jax.Array]) -> Callable[..., State]:
    """One update of the state from the rows (batch,) of x (n, in) and y (n, out)."""
    loss = choose(LOSSES, job.cost, "cost")
    update, _ = choose(OPTIMIZERS, job.optimizer, "optimizer")

    def step(state: State, x: jax.Array, y: jax.Array, rows: jax.Array) -> State:
        params, memory = state
        gradients = jax.grad(lambda p: loss(logits(p, x[rows]), y[rows]))(params)
        return update(params, memory, gradients, job.learning_rate)

    return step


def _scan(step: Callable[..., State]) -> Callable[..., State]:
    """All steps of an epoch; rows_sb is (steps, batch)."""

    def epoch(state: State, x: jax.Array, y: jax.Array, rows_sb: jax.Array) -> State:
        return lax.scan(lambda s, rows: (step(s, x, y, rows), None), state, rows_sb)[0]

    return epoch
