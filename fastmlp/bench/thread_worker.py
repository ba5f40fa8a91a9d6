"""One process of the thread sweep: train one network with one engine, and time its epochs.

The request comes as JSON on stdin and names the folder of the data; the answer goes to stdout. Not
meant to be called by hand; see :mod:`fastmlp.bench.thread_sweep`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine import _core
from fastmlp.engine.blas import find_blas
from fastmlp.engine.environment import blas_facts
from fastmlp.network.network import Network
from fastmlp.training.trainer import Trainer

WARM_UP_EPOCHS = 2
RATE_PER_ROW = 0.5
"""Learning rate for means over the rows of a batch; that of the published runs at batch 500."""

LARGEST_KEPT = 31 << 20
"""Size in bytes of a block that is freed once, so that glibc then keeps smaller blocks."""


def serve() -> None:
    """Train as requested on stdin; write the result to stdout."""
    request = json.load(sys.stdin)
    folder = Path(request.pop("folder"))
    settle_malloc()
    print(json.dumps(time_epochs(np.load(folder / "X.npy"), np.load(folder / "Y.npy"), **request)))


def settle_malloc() -> None:
    """Make glibc keep freed memory, as in programs that have loaded and scaled data.

    Its threshold is the largest block that was freed so far, up to 32 MiB. In a fresh process
    NumPy's arrays of megabytes go back to the system each time, and an epoch of the reference
    takes twice as long.
    """
    np.empty(LARGEST_KEPT, np.uint8)


def time_epochs(
    X: NDArray[Any],
    Y: NDArray[Any],
    *,
    engine: str,
    sizes: Iterable[int],
    batch_size: int,
    n_epochs: int,
    products: str = "auto",
) -> dict[str, Any]:
    """Train in this process, with the threads that its environment asks for.

    Returns
    -------
    dict
        The attributes of a :class:`fastmlp.bench.thread_sweep.Run` that only this process knows.
    """
    network = Network(tuple(sizes), initializer="sqrt_nodes", random_state=0)
    trainer = Trainer(
        network,
        learning_rate=RATE_PER_ROW / min(batch_size, len(X)),
        batch_size=batch_size,
        engine=engine,
        products=products,
        random_state=0,
    )
    history = trainer.fit(X, Y, n_epochs=WARM_UP_EPOCHS + n_epochs)
    return {
        "n_threads": trainer.threads.n_threads,
        "epoch_seconds": [float(s) for s in history["epoch_seconds"][WARM_UP_EPOCHS:]],
        "blas": (
            "no BLAS"
            if engine == "native" and trainer.products != "blas"
            else _describe_blas(find_blas("scipy" if engine == "native" else "numpy"))
        ),
        "simd": _core.selected_level() if engine == "native" else _simd_of_numpy(),
        "weights": hashlib.sha256(network.parameters.tobytes()).hexdigest()[:16],
    }


def _describe_blas(libraries: list[Any]) -> str:
    facts = blas_facts(libraries)
    if facts is None:
        return "unknown BLAS"
    return f"{facts['library']} {facts['version']}, {facts['kernels']} kernels"


def _simd_of_numpy() -> str:
    """Return the highest instruction set that NumPy supports on this processor."""
    known: Any = np.show_config(mode="dicts")
    extensions = known.get("SIMD Extensions", {})
    found = extensions.get("found") or extensions.get("baseline")
    return str(found[-1]) if found else "unknown"
