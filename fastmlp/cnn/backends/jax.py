"""JAX under Keras: devices, settings, batches, and gradients with respect to images."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from fastmlp.cnn.backends.arrays import batches
from fastmlp.cnn.backends.protocol import Gradient, Images, Order

TITLE = "JAX"
FOR_CARDS = 'pip install "jax[cuda12]"'
TAKES_STEPS = True
LEAST_CAPABILITY = (0, 0)  # it says itself which cards are too old

NO_THREADS = (
    "intra_threads and inter_threads cannot be set in JAX, which takes the processors that the "
    "process may use; on Linux `taskset -c 0-3 python ...` leaves it four"
)


def version() -> str:
    """Version of JAX."""
    return str(jax.__version__)


def cards() -> list[str]:
    """Names of the graphics cards that JAX can use."""
    return [str(card.device_kind) for card in _cards()]


def _cards() -> list[Any]:
    try:
        return list(jax.devices("gpu"))
    except RuntimeError:  # how JAX says that there are none
        return []


def is_built_for_cards() -> bool:
    """Whether JAX's plugin for NVIDIA's cards is installed."""
    from importlib.metadata import distributions

    names = (str(found.metadata["Name"]).lower() for found in distributions())
    return any(name.startswith("jax-cuda") and name.endswith("-plugin") for name in names)


def words_about_cards() -> str:
    """What JAX says when it looks for cards."""
    try:
        jax.devices("gpu")
    except RuntimeError as error:
        return str(error)
    return ""


def placed(device: str) -> Any:
    """Compute on "cpu:0" or "gpu:1" within this context."""
    return keras.device(device)


def current_device() -> str:
    """The device on which JAX computes at this point, also within ``jax.default_device``."""
    (device,) = jnp.zeros(()).devices()
    return f"gpu:{device.id}" if device.platform == "gpu" else "cpu:0"


def threads() -> tuple[int, int]:
    """Zeros: the choice is JAX's."""
    return 0, 0


def set_threads(within: int | None, between: int | None) -> None:
    """Refuse a number with the reason: JAX has no such settings."""
    if within is not None or between is not None:
        raise ValueError(NO_THREADS)


def _set_variables(**values: str) -> None:
    """Set variables of the environment that JAX reads when it begins to compute."""
    changed = {name: value for name, value in values.items() if os.environ.get(name) != value}
    if changed and _has_begun():
        raise RuntimeError("JAX has begun to compute")
    os.environ.update(changed)


def _has_begun() -> bool:
    from jax._src import xla_bridge  # there is no public way to ask

    return bool(xla_bridge.backends_are_initialized())


def set_growth(flag: bool) -> None:
    """Take memory of cards as it is needed, or three quarters at once, as is JAX's custom."""
    _set_variables(XLA_PYTHON_CLIENT_PREALLOCATE="false" if flag else "true")


def set_memory_limits(limits_mib: list[int], share: float | None) -> None:
    """Take at most `share` of each card; JAX knows no other unit."""
    if share is None:
        raise ValueError(
            "memory_limit_mb cannot be set in JAX, which wants a share: memory_share=0.35"
        )
    _set_variables(XLA_PYTHON_CLIENT_MEM_FRACTION=f"{share:g}")


def set_tf32(flag: bool | None) -> None:
    """Whether cards may round the factors of float32 products to 10 bits."""
    names = {None: None, True: "tensorfloat32", False: "float32"}
    jax.config.update("jax_default_matmul_precision", names[flag])


DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def set_deterministic(flag: bool) -> None:
    """Whether XLA uses only deterministic operations on cards."""
    words = [word for word in os.environ.get("XLA_FLAGS", "").split() if word != DETERMINISTIC]
    text = " ".join([*words, DETERMINISTIC] if flag else words)
    if text or "XLA_FLAGS" in os.environ:
        _set_variables(XLA_FLAGS=text)


def log_placement(flag: bool) -> None:
    """Refuse: JAX keeps no such log."""
    if flag:
        raise ValueError("log_placement is for TensorFlow; JAX keeps no such log")


def to_numpy(tensor: Any) -> NDArray[Any]:
    """A tensor, or a variable of Keras, as a NumPy array."""
    return np.asarray(tensor.value if isinstance(tensor, keras.Variable) else tensor)


def synchronize(model: Any) -> None:
    """Write the state of a running `fit` into the variables, which lag behind in JAX."""
    model.jax_state_sync()


def feeding(
    model: Any, data: tuple[Images, Images], order: Order, batch_size: int, on_card: bool
) -> Any:
    """Batches as a PyDataset of NumPy's arrays, or of JAX' on a card."""
    if not on_card:
        return batches(data, order, batch_size, np.asarray)
    on_device = jnp.asarray(data[0]), jnp.asarray(data[1])
    return batches(on_device, order, batch_size, jnp.asarray)


def gradient_function(model: Any, shape: tuple[int, int, int]) -> Gradient:
    """Mean activations of maps and their gradients."""

    def total(x: Any, maps: Any, weights: Any, states: Any) -> Any:
        answers, _ = model.stateless_call(weights, states, x, training=False)
        means = answers.astype(jnp.float32).mean(axis=(1, 2))
        loss = jnp.take_along_axis(means, maps[:, None], axis=1)[:, 0]
        return loss.sum(), loss

    compute = jax.jit(jax.value_and_grad(total, has_aux=True))

    def gradient_of(x: Images, maps: NDArray[np.intp]) -> tuple[NDArray[np.float64], Images]:
        # Padded to a power of two: every number of images would be compiled anew.
        n = len(x)
        rows = np.resize(np.arange(n), 1 << (n - 1).bit_length()) if n else np.arange(0)
        weights = [v.value for v in model.trainable_variables]
        states = [v.value for v in model.non_trainable_variables]
        (_, loss), gradient = compute(x[rows], maps[rows], weights, states)
        return np.asarray(loss[:n], np.float64), np.array(gradient[:n])

    return gradient_of
