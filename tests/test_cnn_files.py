"""Model files: what is saved comes back, and what could run code or is damaged is refused."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_tensorflow, small_cnn

from fastmlp.cnn import CNN, load_model
from fastmlp.exceptions import DataFormatError
from fastmlp.scaling import Scaler

pytestmark = [needs_tensorflow, KERAS_SAVES_BY_COPY]
X, Y = bars(40)


@pytest.fixture(scope="module")
def trained():
    cnn = small_cnn(schedule="power", decay_rate=0.1, regularizer="l2", l2=0.01, momentum=0.5)
    cnn.fit(X, Y, epochs=1)
    cnn.scaler = Scaler("feature").fit(X.reshape(40, -1))
    return cnn


@pytest.fixture
def saved(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_saved_model_comes_back_with_predictions_settings_scaler_and_iterations(trained, saved):
    loaded = CNN.load(saved, device="cpu")
    np.testing.assert_allclose(loaded.predict(X), trained.predict(X), atol=1e-6)
    assert loaded.config == trained.config
    assert (loaded.iterations, loaded.epochs_done) == (trained.iterations, 1)
    assert loaded.learning_rate == pytest.approx(trained.learning_rate)
    scaled = [c.scaler.transform(X.reshape(40, -1), np.dtype("f4")) for c in (loaded, trained)]
    np.testing.assert_array_equal(*scaled)
    assert [p.name for p in saved.parent.iterdir()] == ["model.keras"]


def test_training_goes_on_after_loading_as_if_it_had_not_been_interrupted(trained, saved):
    loaded = CNN.load(saved, device="cpu")
    state = [v.numpy() for v in trained.model.optimizer.variables]
    found = [v.numpy() for v in loaded.model.optimizer.variables]
    for a, b in zip(state, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert loaded.fit(X, Y, epochs=1).n_epochs == 1


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_old_format_is_refused_with_the_reason(trained, tmp_path, name):
    for call in (trained.save, CNN.load, load_model):
        with pytest.raises(ValueError, match="can carry Python code that runs when it is loaded"):
            call(tmp_path / name)


def test_other_names_are_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .keras; got 'model.zip'"):
        trained.save(tmp_path / "model.zip")
    with pytest.raises(FileNotFoundError, match=r"expected a .keras file, found none"):
        CNN.load(tmp_path / "model.keras")


def test_lambda_layers_are_refused_with_the_reason(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="has a Lambda layer, which carries code"):
        load_model(tmp_path / "code.keras")


@pytest.mark.parametrize("kept", [0, 10, 2000, -30])
def test_truncated_files_are_called_damaged(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[:kept])
    with pytest.raises(DataFormatError, match=r"model.keras: expected a .keras file"):
        CNN.load(saved)


def test_changed_bytes_are_found_by_their_checksum(saved):
    content = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        info = archive.getinfo("model.weights.h5")
    begin = info.header_offset + 200 + info.compress_size // 2
    content[begin] ^= 0xFF
    saved.write_bytes(content)
    with pytest.raises(DataFormatError, match="damaged"):
        CNN.load(saved)


def rewrite(path, changes):
    """The archive with some members replaced, or left out where the change is None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config.json": None}, "expected a .keras file with config.json"),
        ({"config.json": b"{"}, "config.json: not JSON"),
        ({"config.json": b"{}"}, "Keras cannot read this model"),
        ({"fastmlp.json": None}, "expected a model saved by fastmlp"),
        ({"fastmlp.json": b"[]"}, "fastmlp.json: cannot be read"),
        ({"fastmlp.json": json.dumps({"config": {"colour": 1}}).encode()}, "unknown settings"),
    ],
)
def test_members_that_are_missing_or_do_not_fit_are_named(saved, changes, message):
    rewrite(saved, changes)
    with pytest.raises(DataFormatError, match=message):
        CNN.load(saved)
