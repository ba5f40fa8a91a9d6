"""JAX on the CPU: one jitted call per step (variant "step") or per epoch ("scan").

The cost is summed, so the rate is the job's. Rows are gathered inside the compiled step; the order
of the rows is drawn by NumPy, which is faster on a CPU than jax.random.permutation. "scan" runs
the full batches of an epoch in one `lax.scan`; a short last batch is one more step. Asynchronous
dispatch is off and every epoch ends with `block_until_ready`, so nothing is timed before it is
done. Parameters are donated, that is, updated in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from . import Adapter, Job
from ._shared import choose, initial_weights, seconds_of_each, share_correct

Params: TypeAlias = list[tuple[jax.Array, jax.Array]]


def _binary_cross_entropies(z: jax.Array, y: jax.Array) -> jax.Array:
    """Sum of ln(1 + e^z) - y·z over batch and outputs, stable for large |z|; z, y (batch, out)."""
    return jnp.sum(jnp.maximum(z, 0) - y * z + jnp.log1p(jnp.exp(-jnp.abs(z))))


def _sgd(params: Params, gradients: Params, rate: float) -> Params:
    """w - rate · gradient for every array."""
    return jax.tree.map(lambda w, g: w - rate * g, params, gradients)


ACTIVATIONS = {"sigmoid": jax.nn.sigmoid}
LOSSES = {("sigmoid", "log_loss"): _binary_cross_entropies}
OPTIMISERS = {"sgd": _sgd}


class Contestant(Adapter):
    """Pure functions over a list of (weights, bias) pairs."""

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def prepare(self, job: Job) -> None:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        self._rng = np.random.default_rng(job.seed)
        self._batch_size = min(job.batch_size, job.n_rows)
        self._x, self._y = jnp.asarray(self.data.x_train), jnp.asarray(self.data.y_train)
        self._params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in initial_weights(job)]
        self._logits = _forward(choose(ACTIVATIONS, job.hidden, "activation"))
        step = _step(job, self._logits)
        self._step = jax.jit(step, donate_argnums=0)
        self._scan = jax.jit(_scan(step), donate_argnums=0)
        self._epoch = choose({"step": self._by_step, "scan": self._by_scan}, self.variant, "way")

    def train_epochs(self, n: int) -> list[float]:
        return seconds_of_each(self._epoch, n)

    def _by_step(self) -> None:
        order = self._rng.permutation(len(self._x)).astype(np.int32)
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            self._params = self._step(self._params, self._x, self._y, rows)
        jax.block_until_ready(self._params)

    def _by_scan(self) -> None:
        order = self._rng.permutation(len(self._x)).astype(np.int32)
        n_full = len(order) // self._batch_size * self._batch_size
        full = order[:n_full].reshape(-1, self._batch_size)
        self._params = self._scan(self._params, self._x, self._y, full)
        if n_full < len(order):
            self._params = self._step(self._params, self._x, self._y, order[n_full:])
        jax.block_until_ready(self._params)

    def accuracy(self) -> float:
        outputs = self._logits(self._params, jnp.asarray(self.data.x_test))
        return share_correct(np.asarray(outputs), self.data.labels_test)


def _forward(activation: Callable[[jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """The network without its output function: (params, x (batch, in)) -> (batch, out)."""

    def logits(params: Params, x: jax.Array) -> jax.Array:
        for weights, bias in params[:-1]:
            x = activation(x @ weights + bias)
        weights, bias = params[-1]
        return x @ weights + bias

    return logits


def _step(job: Job, logits: Callable[..., jax.Array]) -> Callable[..., Params]:
    """One update of all parameters from the rows (batch,) of x (n, in) and y (n, out)."""
    loss = choose(LOSSES, (job.output, job.loss), "output and loss")
    update = choose(OPTIMISERS, job.optimiser, "optimiser")

    def step(params: Params, x: jax.Array, y: jax.Array, rows: jax.Array) -> Params:
        gradients = jax.grad(lambda p: loss(logits(p, x[rows]), y[rows]))(params)
        return update(params, gradients, job.learning_rate)

    return step


def _scan(step: Callable[..., Params]) -> Callable[..., Params]:
    """All steps of an epoch; rows_sb is (steps, batch)."""

    def epoch(params: Params, x: jax.Array, y: jax.Array, rows_sb: jax.Array) -> Params:
        return lax.scan(lambda p, rows: (step(p, x, y, rows), None), params, rows_sb)[0]

    return epoch
