"""Model files: what is saved comes back, and what could run code or is damaged is refused."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras, runs_on, small_cnn

from fastmlp.cnn import CNN, files, load_model
from fastmlp.datasets.scaling import Scaler
from fastmlp.exceptions import DataFormatError

pytestmark = [needs_keras, KERAS_SAVES_BY_COPY]
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


def test_training_goes_on_after_loading_as_if_it_had_not_been_interrupted(tmp_path):
    whole = small_cnn(None, schedule="power", decay_rate=0.1, momentum=0.5)
    whole.fit(X, Y, epochs=1)
    whole.save(tmp_path / "model.keras")
    whole.fit(X, Y, epochs=2)
    loaded = CNN.load(tmp_path / "model.keras", device="cpu")
    history = loaded.fit(X, Y, epochs=2)
    np.testing.assert_allclose(history["costs"], whole.history["costs"], rtol=1e-4)
    np.testing.assert_allclose(loaded.predict(X), whole.predict(X), atol=1e-5)
    assert (loaded.epochs_done, loaded.iterations) == (3, whole.iterations)


def test_a_loaded_cnn_is_reset_to_the_initial_weights_and_iteration_0(trained, saved):
    new = small_cnn(schedule="power", decay_rate=0.1, regularizer="l2", l2=0.01, momentum=0.5)
    expected = [weights.copy() for weights in new.model.get_weights()]
    loaded = CNN.load(saved, device="cpu")
    assert any((a != b).any() for a, b in zip(loaded.model.get_weights(), expected, strict=True))
    loaded.save(saved)  # once more, from the file
    again = CNN.load(saved, device="cpu")
    again.reset()
    for a, b in zip(again.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (again.iterations, again.epochs_done) == (0, 0)
    assert again.learning_rate == pytest.approx(0.001)
    costs = [cnn.fit(X, Y, epochs=2)["costs"] for cnn in (again, new)]
    np.testing.assert_allclose(*costs, rtol=1e-4)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_old_format_is_refused_with_the_reason(trained, tmp_path, name):
    for call in (trained.save, CNN.load, load_model):
        with pytest.raises(ValueError, match="can carry Python code that runs when it is loaded"):
            call(tmp_path / name)


def test_a_save_that_fails_leaves_the_old_file(trained, saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(files, "_extra", lambda cnn: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained.save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.keras"]
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="cannot create a temporary file beside"):
        trained.save(saved.parent / "no folder" / "model.keras")


def test_other_names_are_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .keras; got 'model.zip'"):
        trained.save(tmp_path / "model.zip")
    with pytest.raises(FileNotFoundError, match=r"expected a .keras file, found none"):
        CNN.load(tmp_path / "model.keras")


def test_lambda_layers_and_lambdas_as_functions_are_refused_with_the_reason(tmp_path):
    import keras

    layers = keras.layers
    for layer in (
        layers.Lambda(lambda x: x + 1),
        layers.Dense(2, kernel_regularizer=lambda w: keras.ops.sum(w)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' own, about the lambda
            keras.Sequential([keras.Input((4,)), layer]).save(tmp_path / "code.keras")
        with pytest.raises(ValueError, match="layer or function, which carries code"):
            load_model(tmp_path / "code.keras")


def test_keras_safe_mode_stands_behind_our_own_check(tmp_path, monkeypatch):
    import keras

    layer = keras.layers.Lambda(lambda x: x + 1)
    keras.Sequential([keras.Input((4,)), layer]).save(tmp_path / "code.keras")
    monkeypatch.setattr(files, "check_archive", lambda path: None)
    with pytest.raises(DataFormatError, match=r"Keras cannot read this model: .*safe_mode"):
        load_model(tmp_path / "code.keras")


@pytest.mark.parametrize(
    "part",
    [
        {"module": "os", "class_name": "function", "config": "system"},
        {"module": "keras", "class_name": "function", "config": "utils.get_file"},
        {"module": "keras.utils", "class_name": "get_file", "config": {}},
        {"module": "keras.layers", "class_name": "a.b", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "eval"},
    ],
    ids=lambda part: part["module"],
)
def test_names_that_lead_out_of_keras_models_are_refused(saved, part):
    with zipfile.ZipFile(saved) as archive:
        description = json.loads(archive.read("config.json"))
    description["config"]["layers"][1]["config"]["activation"] = part
    rewrite(saved, {"config.json": json.dumps(description).encode()})
    with pytest.raises(ValueError, match="which is no part of a model that Keras has"):
        load_model(saved)


@runs_on("tensorflow", "jax")  # PyTorch's optimizers have private names in files of Keras' own
def test_models_of_keras_own_parts_are_loaded(tmp_path):
    """Functional, with constants, functions and objects of several modules in its description."""
    import keras

    start = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(2, 2, activation=keras.activations.gelu)(start)
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Concatenate()([x, keras.layers.Flatten()(start)])
    x = keras.layers.Dense(
        3,
        kernel_regularizer=keras.regularizers.L2(0.1),
        kernel_constraint=keras.constraints.MaxNorm(),
    )(x)
    model = keras.Model(start, x)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(
        keras.optimizers.Adam(rate),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=[keras.metrics.AUC()],
    )
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    images = X[:5, :4, :4]
    found = load_model(tmp_path / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(found, model.predict(images, verbose=0), rtol=1e-5)


def mean_square(w):
    import keras

    return 0.5 * keras.ops.mean(w * w)


def test_a_regularizer_of_ones_own_is_saved_when_keras_knows_it(tmp_path):
    import keras

    cnn = small_cnn(regularizer=mean_square)
    path = tmp_path / "model.keras"
    with pytest.raises(ValueError, match="'mean_square' must be registered, or the model could"):
        cnn.save(path)
    assert not path.exists()
    keras.saving.register_keras_serializable("tests")(mean_square)
    known = keras.saving.get_custom_objects()
    try:
        cnn.save(path)
        loaded = CNN.load(path, device="cpu")
        assert loaded.config == cnn.config
        assert loaded.penalty() == pytest.approx(cnn.penalty())
    finally:
        del known["tests>mean_square"]
    with pytest.raises(ValueError, match="the model names 'tests>mean_square'"):
        CNN.load(path)


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


NO_UNITS = b'{"module": "keras.layers", "class_name": "Dense", "config": {"units": 0}}'


def rewrite(path, changes):
    """The archive with some members replaced, or left out where the change is None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def npy(values):
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fastmlp_initial_0.npy": None}, "expected an array named fastmlp_initial_0"),
        ({"fastmlp_initial_0.npy": npy(np.ones(3, "f4"))}, "variable 0 must have 36 float32"),
        ({"fastmlp_initial_1.npy": npy(np.ones(4, "f8"))}, "found 4 float64"),
        ({"fastmlp_initial_1.npy": npy(np.full(4, np.nan, "f4"))}, "variable 1 has numbers that"),
        ({"fastmlp_initial_1.npy": npy(np.array([{}]))}, "expected numbers, found Python objects"),
        ({"config.json": None}, "expected a .keras file with config.json"),
        ({"config.json": b"{"}, "config.json: not JSON"),
        ({"config.json": b"{}"}, "Keras cannot read this model"),
        ({"config.json": NO_UNITS}, "Keras cannot read this model: Received an invalid value for"),
        ({"fastmlp.json": None}, "expected a model saved by fastmlp"),
        ({"fastmlp.json": b"[]"}, "fastmlp.json: cannot be read"),
        ({"fastmlp.json": json.dumps({"config": {"color": 1}}).encode()}, "unknown settings"),
    ],
)
def test_members_that_are_missing_or_do_not_fit_are_named(saved, changes, message):
    rewrite(saved, changes)
    with pytest.raises(DataFormatError, match=message):
        CNN.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda extra: extra["config"]["dense"][0].update(nodes=9), "describes another model"),
        (lambda extra: extra["config"]["conv"][0].update(name="x"), "describes another model"),
        (lambda extra: extra.update(epochs_done=-1), "epochs_done must be at least 0"),
        (lambda extra: extra.update(entropy="a"), "entropy must be an integer"),
        (lambda extra: extra.update(seed="a"), "cannot be read"),
        (lambda extra: extra["scaler"].update(mean=["a"]), "cannot be read"),
    ],
)
def test_what_fastmlp_wrote_must_fit_the_model(saved, change, message):
    with zipfile.ZipFile(saved) as archive:
        extra = json.loads(archive.read("fastmlp.json"))
    change(extra)
    rewrite(saved, {"fastmlp.json": json.dumps(extra).encode()})
    with pytest.raises(DataFormatError, match=f"fastmlp.json: .*{message}"):
        CNN.load(saved)


def test_a_model_that_was_not_compiled_is_refused(trained, saved, tmp_path):
    from fastmlp.cnn.build import build_model

    with zipfile.ZipFile(saved) as archive:
        members = {n: archive.read(n) for n in archive.namelist() if n.startswith("fastmlp")}
    build_model(trained.config).save(tmp_path / "plain.keras")
    rewrite(tmp_path / "plain.keras", members)
    with pytest.raises(DataFormatError, match="describes another model"):
        CNN.load(tmp_path / "plain.keras")
