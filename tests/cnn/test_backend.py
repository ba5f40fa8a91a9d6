"""The choice of the library under Keras, and what is said where there is none."""

from __future__ import annotations

import sys

import pytest
from cnn_data import LIBRARIES, needs_keras

from fastmlp.cnn import CNN, backend, devices


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A function that makes libraries look installed; Keras is not imported, no file is read."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def install(*names):
        monkeypatch.setattr(backend, "find_spec", lambda name: name in (*names, "keras") or None)

    return install


def test_tensorflow_is_the_default_and_the_first_choice(installed):
    for names in (("tensorflow",), ("torch", "jax", "tensorflow")):
        installed(*names)
        assert backend.choose_backend() == "tensorflow"


@pytest.mark.parametrize(
    ("names", "expected", "title"),
    [(("torch", "jax"), "jax", "JAX"), (("torch",), "torch", "PyTorch")],
)
def test_another_library_is_taken_where_tensorflow_is_missing_and_this_is_said(
    installed, names, expected, title, monkeypatch
):
    installed(*names)
    monkeypatch.setenv("KERAS_BACKEND", "")
    with pytest.warns(UserWarning, match=f"Keras runs on {title}, because TensorFlow is not"):
        assert backend.choose_backend() == expected
    assert backend.choose_backend() == expected  # said once: KERAS_BACKEND says it from now on


def test_the_variable_is_obeyed_or_the_missing_library_named(installed, monkeypatch):
    installed("tensorflow", "jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend.choose_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match=r"needs Keras and PyTorch, because KERAS_BACKEND is "):
        backend.choose_backend()
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    with pytest.raises(ImportError, match=r"would run on 'openvino', as KERAS_BACKEND says: set"):
        backend.choose_backend()


def test_keras_own_file_is_obeyed_where_the_variable_is_not_set(installed, tmp_path):
    installed("tensorflow", "jax")
    file = tmp_path / "keras.json"
    file.write_text('{"backend": "jax"}')
    assert backend.choose_backend() == "jax"
    file.write_text('{"backend": "numpy"}')
    with pytest.raises(ImportError, match=r"would run on 'numpy', as keras.json in Keras' folder"):
        backend.choose_backend()
    for damaged in ("", "[]", '{"epsilon": 1}'):
        file.write_text(damaged)
        assert backend.choose_backend() == "tensorflow"


def test_missing_libraries_are_told_with_the_commands_that_install_them(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    for call in (CNN, devices, lambda: CNN(device="cpu"), backend.import_keras, backend.library):
        with pytest.raises(ImportError, match=r'pip install "fastmlp\[cnn\]", .* fastmlp\[cnn-jax'):
            call()


@needs_keras
def test_the_library_is_the_one_that_keras_runs_on():
    import keras

    name = keras.config.backend()
    assert name == backend.choose_backend()
    assert name in LIBRARIES
    assert backend.library().__name__ == f"fastmlp.cnn.backends.{name}"
    assert backend.TITLES[name] == backend.library().TITLE


@needs_keras
def test_an_old_keras_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(ImportError, match=r"needs Keras 3; found 2.15.0: pip install"):
        backend.import_keras()
