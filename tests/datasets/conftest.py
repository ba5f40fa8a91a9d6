"""Data sets of a few rows, and a home folder and a network that are not the user's."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_layout import IDX_FILES, idx_bytes, npz_bytes, sha256, small_arrays

from fastmlp.datasets.pinned import PINNED

Serve = Callable[..., None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make every place that load() searches an empty folder, and forbid the network."""
    for variable in ("FASTMLP_DATA", "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a test wanted to use the network")

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", refuse)
    return tmp_path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Answer requests from a table of address to (status, headers, body)."""
    from requests import PreparedRequest, Response
    from urllib3 import HTTPResponse

    def serve(table: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        def send(adapter: Any, request: PreparedRequest, **kwargs: Any) -> Response:
            status, headers, body = table[str(request.url)]
            raw = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
            return adapter.build_response(request, raw)

        monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)

    return serve


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Let small arrays be the genuine MNIST."""
    arrays = small_arrays()
    small = replace(
        PINNED["mnist"],
        files={"mnist.npz": sha256(npz_bytes(arrays))},
        arrays={field: sha256(array.tobytes()) for field, array in arrays.items()},
    )
    monkeypatch.setitem(PINNED, "mnist", small)
    return arrays


@pytest.fixture
def small_fashion(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Let small arrays be the genuine Fashion-MNIST."""
    import gzip

    arrays = small_arrays(seed=1)
    packed = {
        f"fashion-mnist/{file}.gz": gzip.compress(idx_bytes(arrays[field]), mtime=0)
        for field, file in IDX_FILES.items()
    }
    small = replace(
        PINNED["fashion"],
        files={file: sha256(content) for file, content in packed.items()},
        arrays={field: sha256(array.tobytes()) for field, array in arrays.items()},
    )
    monkeypatch.setitem(PINNED, "fashion", small)
    return arrays
