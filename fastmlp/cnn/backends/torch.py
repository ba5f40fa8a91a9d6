"""PyTorch under Keras: devices, settings, batches, and gradients with respect to images."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import torch
from numpy.typing import NDArray

from fastmlp.cnn.backends.arrays import batches
from fastmlp.cnn.backends.protocol import Gradient, Images, Order

TITLE = "PyTorch"
FOR_CARDS = "pip install torch, in the build for your CUDA"
TAKES_STEPS = False
LEAST_CAPABILITY = (0, 0)  # it says itself which cards are too old


def version() -> str:
    """Version of PyTorch."""
    return str(torch.__version__)


def cards() -> list[str]:
    """Names of the graphics cards that PyTorch can use."""
    cuda = torch.cuda
    return [cuda.get_device_name(i) for i in range(cuda.device_count())]


def is_built_for_cards() -> bool:
    """Whether this build can use NVIDIA's cards."""
    return torch.version.cuda is not None


def words_about_cards() -> str:
    """What PyTorch says when it looks for cards."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error)
    return ""


def placed(device: str) -> Any:
    """Compute on "cpu:0" or "gpu:1" within this context."""
    return keras.device("cpu" if device == "cpu:0" else device)  # tensors' own name for it


def current_device() -> str:
    """The device on which Keras computes with PyTorch at this point."""
    device = keras.ops.zeros(()).device
    return f"gpu:{device.index or 0}" if device.type == "cuda" else "cpu:0"


def threads() -> tuple[int, int]:
    """Threads within an operation, and operations at a time."""
    return torch.get_num_threads(), torch.get_num_interop_threads()


def set_threads(within: int | None, between: int | None) -> None:
    """Set them; PyTorch raises RuntimeError for the second when it has begun to compute."""
    if within is not None:
        torch.set_num_threads(within)
    if between is not None and between != torch.get_num_interop_threads():
        torch.set_num_interop_threads(between)


def set_growth(flag: bool) -> None:
    """Do nothing for True, which is PyTorch's way; refuse False."""
    if not flag:
        raise ValueError("memory_growth=False is not for PyTorch, which takes memory as needed")


def set_memory_limits(limits_mib: list[int], share: float | None) -> None:
    """Take at most this many MiB of each card."""
    for i, limit in enumerate(limits_mib):
        whole = torch.cuda.get_device_properties(i).total_memory
        part = min(limit * 2**20 / whole, 1.0) if share is None else share
        torch.cuda.set_per_process_memory_fraction(part, i)


def set_tf32(flag: bool | None) -> None:
    """Whether cards may round the factors of float32 products to 10 bits.

    PyTorch's own way is no for dense layers, and yes for convolutions.
    """
    torch.backends.cuda.matmul.allow_tf32 = bool(flag)
    torch.backends.cudnn.allow_tf32 = flag is not False


def set_deterministic(flag: bool) -> None:
    """Whether to use only deterministic operations."""
    if flag:  # cuBLAS reads it when it is loaded
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(flag)


def log_placement(flag: bool) -> None:
    """Refuse: PyTorch keeps no such log."""
    if flag:
        raise ValueError("log_placement is for TensorFlow; PyTorch keeps no such log")


def to_numpy(tensor: Any) -> NDArray[Any]:
    """A tensor, or a variable of Keras, as a NumPy array."""
    value = tensor.value if isinstance(tensor, keras.Variable) else tensor
    return np.asarray(keras.ops.convert_to_numpy(value))


def synchronize(model: Any) -> None:
    """Do nothing: PyTorch's steps write into the variables."""


def feeding(
    model: Any, data: tuple[Images, Images], order: Order, batch_size: int, on_card: bool
) -> Any:
    """Batches as a PyDataset of NumPy's arrays, or of PyTorch's tensors on a card."""
    if not on_card:
        return batches(data, order, batch_size, np.asarray)
    convert = keras.ops.convert_to_tensor
    return batches((convert(data[0]), convert(data[1])), order, batch_size, convert)


def gradient_function(model: Any, shape: tuple[int, int, int]) -> Gradient:
    """Mean activations of maps and their gradients."""

    def gradient_of(x: Images, maps: NDArray[np.intp]) -> tuple[NDArray[np.float64], Images]:
        images = keras.ops.convert_to_tensor(x).detach().requires_grad_(True)
        numbers = keras.ops.convert_to_tensor(np.asarray(maps, np.int64))
        means = model(images, training=False).float().mean(dim=(1, 2))
        loss = means.gather(1, numbers[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(loss.sum(), images)
        return loss.detach().cpu().numpy().astype(np.float64), gradient.cpu().numpy()

    return gradient_of
