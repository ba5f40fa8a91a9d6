"""Training in Keras: what the History holds, what a reset restores, and bad input."""

from __future__ import annotations

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras, runs_on, small_cnn, small_config

from fastmlp import Checkpoint, DivergenceError, plots
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.cnn import (
    CNN,
    BestEpoch,
    CNNConfig,
    DenseLayer,
    layer_table,
    learning_rate_at,
    load_images,
)
from fastmlp.cnn.backend import to_numpy
from fastmlp.cnn.geometry import field_of_node
from fastmlp.datasets.loading import load
from fastmlp.training.history import History

pytestmark = needs_keras
X, Y = bars(70)


@pytest.mark.parametrize("name", ["C2", "C3b", "C3c"])
def test_keras_counts_the_same_parameters_and_sizes(name):
    config = CNNConfig.article(name)
    model = CNN(config, seed=0, device="cpu").model
    assert model.count_params() == config.n_parameters
    for layer in layer_table(config):
        assert model.get_layer(layer.name).output.shape[1:] == layer.output
        assert model.get_layer(layer.name).count_params() == layer.n_parameters


def test_a_node_depends_on_the_pixels_of_its_receptive_field_and_on_no_others():
    from fastmlp.cnn.maps.activations import activation_maps

    cnn = CNN(CNNConfig.article("C2"), seed=0, device="cpu")
    for weights in cnn.model.trainable_weights:
        weights.assign(np.ones(weights.shape))  # positive weights let everything through
    places = [(i, j) for i in range(28) for j in range(28)]
    images = np.ones((len(places), 28, 28, 1), "f4")
    for image, place in zip(images, places, strict=True):
        image[place] = 2  # larger than all others, so that no maximum leaves it out
    plain = np.ones((1, 28, 28, 1), "f4")
    for layer, row, column in (("Conv2D_1", 3, 5), ("Conv2D_2", 2, 7), ("Conv2D_3", 1, 2)):
        answers = activation_maps(cnn, layer, images)[:, row, column, 0]
        before = activation_maps(cnn, layer, plain)[0, row, column, 0]
        seen = (answers > before).reshape(28, 28)
        window = np.zeros((28, 28), bool)
        window[field_of_node(cnn.config, layer, row, column)] = True
        np.testing.assert_array_equal(seen, window, err_msg=layer)


def test_history_has_the_shapes_and_names_of_the_mlp_part_and_its_plots():
    cnn = small_cnn(regularizer="l2", l2=0.01)
    history = cnn.fit(X, Y, epochs=3, validation_data=(X[:20], Y[:20]))
    assert isinstance(history, History)
    assert history["costs"].shape == history["errors"].shape == history["reg_share"].shape == (3, 5)
    assert history["epoch_seconds"].min() > 0
    assert np.isnan(history["train_accuracy"]).all()
    assert not np.isnan(history["val_accuracy"]).any()
    assert ((history["reg_share"] > 0) & (history["reg_share"] < 1)).all()
    assert cnn.epochs_done == 3
    assert cnn.metrics["val_accuracy"] == history["val_accuracy"][-1]
    figure = plots.plot_run(history)
    drawn = [line.get_ydata() for axis in figure.axes for line in axis.get_lines()]
    assert any(np.array_equal(y, history["val_accuracy"]) for y in drawn)
    plt.close(figure)


def test_costs_errors_and_shares_of_batches_agree_with_predictions_of_an_unchanged_network():
    cnn = small_cnn(optimizer="sgd", learning_rate=1e-12, regularizer="l1_l2", l1=0.01, l2=0.02)
    history = cnn.fit(X, Y, epochs=1, measure_train=True)
    outputs = cnn.predict(X).astype(np.float64)
    targets = np.eye(3)[Y]
    kernels = [cnn.model.get_layer(name).get_weights()[0] for name in ("dense_1", "output")]
    penalty = sum(0.01 * np.abs(w).sum() + 0.02 * (w.astype(float) ** 2).sum() for w in kernels)
    loss = -np.log(outputs[targets == 1]).mean()
    sizes = np.array([16, 16, 16, 16, 6])
    assert history["costs"][0] @ sizes / 70 == pytest.approx(loss + penalty, rel=1e-5)
    assert history["errors"][0] @ sizes / 70 == pytest.approx(
        np.abs(outputs - targets).mean(), rel=1e-4
    )
    np.testing.assert_allclose(history["reg_share"][0] * history["costs"][0], penalty, rtol=1e-5)
    right = (outputs.argmax(axis=1) == Y).mean()
    assert history["batch_accuracy"][0] == pytest.approx(right, abs=1e-6)
    assert history["train_accuracy"][0] == pytest.approx(right, abs=1e-6)
    evaluation = cnn.evaluate(X, Y)
    assert evaluation.loss == pytest.approx(loss, rel=1e-5)
    assert evaluation.cost == pytest.approx(loss + penalty, rel=1e-5)


def test_a_small_cnn_learns_to_tell_bars_apart():
    cnn = small_cnn(optimizer="adam", learning_rate=0.01)
    images, labels = bars(300, seed=1)
    cnn.fit(images, labels, epochs=8)
    assert cnn.evaluate(*bars(100, seed=2)).accuracy > 0.9


def test_reset_restores_weights_iterations_rate_and_order():
    cnn = small_cnn(schedule="power", decay_rate=0.1)
    first = cnn.fit(X, Y, epochs=2)
    assert cnn.iterations == 10
    assert cnn.learning_rate == pytest.approx(0.001 / 2)
    cnn.reset()
    assert (cnn.iterations, cnn.epochs_done, cnn.history.n_epochs) == (0, 0, 0)
    assert cnn.learning_rate == pytest.approx(0.001)
    second = cnn.fit(X, Y, epochs=2)
    np.testing.assert_allclose(second["costs"], first["costs"], rtol=1e-4)


def test_fit_goes_on_where_it_was_and_rates_follow_the_formula():
    cnn = small_cnn(schedule="power", decay_rate=0.1)
    for epoch in range(1, 4):
        cnn.fit(X, Y, epochs=1)
        rate = learning_rate_at(cnn.config, 5 * epoch)
        assert cnn.history.last("learning_rates") == pytest.approx(rate, rel=1e-6)
    assert cnn.epochs_done == 3


@pytest.mark.parametrize(
    ("schedule", "steps", "decay"),
    [("none", 1, 0.0), ("power", 3, 0.2), ("exponential", 4, 0.8), ("cosine", 9, 0.1)],
)
def test_schedules_are_keras_own(schedule, steps, decay):
    cnn = small_cnn(schedule=schedule, decay_steps=steps, decay_rate=decay)
    for n_batches in (0, 1, 4, 9, 30):
        cnn.model.optimizer.iterations.assign(n_batches)
        expected = learning_rate_at(cnn.config, n_batches)
        assert cnn.learning_rate == pytest.approx(expected, rel=1e-6)


def test_every_epoch_has_an_order_of_its_own_of_all_images():
    def order(cnn, epoch):
        cnn.epochs_done = epoch
        with cnn._placed(), cnn._feeding(X, np.eye(70, dtype="f4"), 16) as batches:
            parts = [to_numpy(targets).argmax(axis=1) for _, targets in batches]
        assert [len(part) for part in parts] == [16, 16, 16, 16, 6]
        return np.concatenate(parts)

    cnn = small_cnn(3)
    first, second = order(cnn, 0), order(cnn, 1)
    assert sorted(first) == sorted(second) == list(range(70))
    assert (first != second).mean() > 0.5
    np.testing.assert_array_equal(order(small_cnn(3), 1), second)
    assert (order(small_cnn(4), 1) != second).mean() > 0.5


def test_same_seed_same_weights_and_another_seed_others():
    one, same, other = small_cnn(3), small_cnn(3), small_cnn(4)
    for a, b in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        (a != b).any()
        for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    )


def test_building_and_training_leave_the_process_random_numbers_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    small_cnn(3).fit(X, Y, epochs=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", ["rmsprop", "nadam", "adamax", "adam", "sgd"])
def test_every_optimizer_trains_and_momentum_goes_where_it_is_known(name):
    momentum = 0.5 if name in ("rmsprop", "sgd") else 0.0
    cnn = small_cnn(optimizer=name, momentum=momentum)
    cnn.model.run_eagerly = True  # a graph is made in all other tests, and takes a second
    assert type(cnn.model.optimizer).__name__.lower() == name
    if momentum:
        assert cnn.model.optimizer.momentum == 0.5
    assert np.isfinite(cnn.fit(X, Y, epochs=1)["costs"]).all()


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "elu", "tanh", "selu"])
def test_every_activation_of_a_convolution_is_applied(activation):
    from fastmlp.cnn import ConvLayer
    from fastmlp.cnn.maps.activations import activation_maps

    cnn = small_cnn(conv=(ConvLayer(4, 3, activation), ConvLayer(6)))
    kernel, bias = cnn.model.get_layer("conv_1").get_weights()
    from scipy.signal import correlate2d

    z = correlate2d(X[0, :, :, 0], kernel[:, :, 0, 2], mode="valid") + bias[2]
    formulas = {
        "relu": lambda z: np.maximum(z, 0),
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
        "tanh": np.tanh,
        "selu": lambda z: 1.0507009873 * np.where(z > 0, z, 1.6732632423 * np.expm1(z)),
    }
    maps = activation_maps(cnn, "conv_1", X[:1])
    np.testing.assert_allclose(maps[0, :, :, 2], formulas[activation](z), atol=1e-5)


def test_regularizer_is_on_dense_kernels_and_on_convolutions_only_if_asked():
    dense = small_cnn(regularizer="l2", l2=0.5)
    assert len(dense.model.losses) == 2
    both = small_cnn(regularizer="l2", l2=0.5, regularize_conv=True)
    assert len(both.model.losses) == 4
    own = small_cnn(regularizer=lambda w: 3.0)
    assert own.penalty() == pytest.approx(6.0)


@pytest.mark.parametrize("factors", [{"l1": 0.01}, {"l2": 0.02}, {"l1": 0.01, "l2": 0.02}])
def test_penalties_are_those_of_the_named_factors(factors):
    cnn = small_cnn(regularizer="_".join(factors), **factors)
    kernels = [cnn.model.get_layer(layer).get_weights()[0] for layer in ("dense_1", "output")]
    sums = {"l1": sum(np.abs(w).sum() for w in kernels), "l2": sum((w**2).sum() for w in kernels)}
    expected = sum(factor * sums[name] for name, factor in factors.items())
    assert cnn.penalty() == pytest.approx(expected, rel=1e-5)


@pytest.mark.soak
@runs_on("tensorflow", "jax")  # PyTorch's compiler needs one for C++
def test_xla_is_used_when_it_is_asked_for_and_trains_the_same():
    plain = CNN(small_config(), seed=0, device="cpu", xla=False)
    compiled = CNN(small_config(), seed=0, device="cpu", xla=True)
    assert (plain.model.jit_compile, compiled.model.jit_compile) == (False, True)
    compiled.compile(learning_rate=0.002)
    plain.compile(learning_rate=0.002)
    assert compiled.model.jit_compile is True
    costs = [cnn.fit(X, Y, epochs=1)["costs"] for cnn in (plain, compiled)]
    np.testing.assert_allclose(*costs, rtol=1e-3)


METRICS = ("accuracy", "mean_absolute_error", "mean_squared_error", "auc", "precision", "recall")


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        ("categorical_crossentropy", "softmax"),
        ("binary_crossentropy", "sigmoid"),
        ("mean_squared_error", "softmax"),
        ("mean_squared_error", "sigmoid"),
    ],
)
def test_losses_and_metrics_are_those_of_the_outputs(loss, output):
    dense = (DenseLayer(8), DenseLayer(3, output))
    cnn = small_cnn(loss=loss, dense=dense, metrics=METRICS)
    cnn.model.run_eagerly = True  # a graph is made in all other tests, and takes two seconds
    a, y = cnn.predict(X).astype(np.float64), np.eye(3)[Y]
    formulas = {
        "categorical_crossentropy": -np.log(a[y == 1]),
        "binary_crossentropy": -np.where(y == 1, np.log(a), np.log(1 - a)),
        "mean_squared_error": (a - y) ** 2,
    }
    assert cnn.evaluate(X, Y).loss == pytest.approx(formulas[loss].mean(), rel=1e-4)
    found = cnn.model.evaluate(X, y, verbose=0, return_dict=True)
    assert {*METRICS, "loss", "output_error"} == set(found)
    assert found["mean_squared_error"] == pytest.approx(((a - y) ** 2).mean(), rel=1e-4)


def test_the_scaler_has_seen_neither_validation_nor_test_images():
    data = load_images("digits", scale="global", n_train=200, n_validation=150, n_test=100)
    assert [len(part) for part in (data.X_train, data.X_validation, data.X_test)] == [50, 150, 100]
    assert data.X_train.astype(float).mean() == pytest.approx(0, abs=1e-6)
    assert data.X_train.astype(float).std() == pytest.approx(1, rel=1e-5)
    assert abs(data.X_validation.mean()) > 1e-4
    pixels = load("digits").X_train[:200]
    first = data.scaler.transform(pixels, np.dtype("f4")).reshape(-1, 8, 8, 1)
    np.testing.assert_array_equal(np.concatenate([data.X_train, data.X_validation]), first)
    np.testing.assert_array_equal(data.y_validation, load("digits").y_train[50:200])
    assert data.watched[0] == "validation"


def test_callbacks_of_all_kinds_are_called_and_may_end_the_training(tmp_path):
    import keras

    seen = []

    class Hooks(EpochCallback):
        def before_training(self, trainer):
            seen.append("begin")

        def after_epoch(self, trainer):
            seen.append(trainer.epochs_done)

        def after_training(self, trainer):
            seen.append("end")

    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("keras"))
    cnn = small_cnn()
    cnn.fit(X, Y, epochs=5, callbacks=[Hooks(), own, lambda cnn: np.bool_(cnn.epochs_done == 2)])
    assert seen == ["begin", "keras", 1, "keras", 2, "end"]
    with pytest.raises(TypeError, match="callbacks must be Keras callbacks"):
        cnn.fit(X, Y, callbacks=[3])
    for callback, name in (
        (EarlyStopping(), "EarlyStopping"),
        (LearningRateScheduler(lambda epoch, rate: rate), "LearningRateScheduler"),
        (Checkpoint(tmp_path / "folder"), "ModelCheckpoint"),
    ):
        with pytest.raises(TypeError, match=rf"keras.callbacks.{name}$"):
            cnn.fit(X, Y, callbacks=[callback])
    assert cnn.epochs_done == 2


@KERAS_SAVES_BY_COPY
def test_keras_own_callbacks_stop_save_and_set_rates(tmp_path):
    import keras

    calls = keras.callbacks
    cnn = small_cnn()
    stop = calls.EarlyStopping("val_loss", patience=0, min_delta=100, restore_best_weights=True)
    save = calls.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    rate = calls.LearningRateScheduler(lambda epoch, rate: 0.01 / (epoch + 1))
    history = cnn.fit(X, Y, epochs=5, validation_data=(X, Y), callbacks=[stop, save, rate])
    np.testing.assert_allclose(history["learning_rates"], [0.01, 0.005], rtol=1e-6)
    first = small_cnn(5)
    first.model.load_weights(tmp_path / "1.weights.h5")
    np.testing.assert_allclose(cnn.predict(X), first.predict(X), rtol=1e-5)


def test_best_epoch_ends_with_weights_and_optimizer_of_the_epoch_with_the_highest_accuracy():
    images, labels = bars(30, seed=4)
    settings = {"optimizer": "adam", "learning_rate": 0.02, "schedule": "power", "decay_rate": 0.1}
    cnn, best = small_cnn(**settings), BestEpoch()

    def ruin(cnn):
        if cnn.epochs_done == 3:
            cnn.set_weights([np.zeros_like(weights) for weights in cnn.copy_weights()])

    history = cnn.fit(X, Y, epochs=6, validation_data=(images, labels), callbacks=[best, ruin])
    accuracies = history["val_accuracy"]
    epoch = int(accuracies.argmax()) + 1  # the first of equals
    assert epoch < 6
    assert (best.epoch, best.accuracy) == (epoch, accuracies.max())
    assert (history.n_epochs, cnn.epochs_done, cnn.iterations) == (6, epoch, 5 * epoch)
    assert cnn.evaluate(images, labels).accuracy == pytest.approx(accuracies.max())
    undisturbed = small_cnn(**settings)
    undisturbed.fit(X, Y, epochs=epoch)
    np.testing.assert_allclose(cnn.predict(images), undisturbed.predict(images), atol=1e-5)
    further = [c.fit(X, Y, epochs=1)["costs"] for c in (cnn, undisturbed)]
    np.testing.assert_allclose(*further, rtol=1e-3)


def test_best_epoch_survives_a_divergence_and_an_early_end():
    cnn = small_cnn(optimizer="sgd", learning_rate=0.01)

    def burn(cnn):
        if cnn.epochs_done == 2:
            cnn.model.optimizer.learning_rate = 1e38

    with pytest.raises(DivergenceError):
        cnn.fit(X, Y, epochs=4, validation_data=(X, Y), callbacks=[burn, best := BestEpoch()])
    assert cnn.epochs_done == best.epoch in (1, 2)
    assert cnn.evaluate(X, Y).accuracy == pytest.approx(best.accuracy)


def test_best_epoch_needs_something_to_choose_by():
    for settings, options in (({}, {}), ({"metrics": ()}, {"validation_data": (X, Y)})):
        cnn = small_cnn(**settings)
        with pytest.raises(ValueError, match="BestEpoch needs validation_data, and 'accuracy'"):
            cnn.fit(X, Y, callbacks=[BestEpoch()], **options)
        assert cnn.iterations == 0


def test_divergence_is_named_and_the_last_finished_epoch_is_kept():
    cnn = small_cnn(optimizer="sgd", learning_rate=0.01)
    cnn.fit(X, Y, epochs=1)
    before = cnn.model.get_weights()
    cnn.model.optimizer.learning_rate = 1e38
    with pytest.raises(DivergenceError, match="training diverged in epoch 1, batch"):
        cnn.fit(X, Y, epochs=2)
    for a, b in zip(cnn.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


class OnDevice:
    """A number on a device, which waits when somebody reads it; every reading is counted."""

    def __init__(self, value, readings):
        self.value, self.readings = value, readings

    def read(self):
        self.readings.append(self.value)
        return np.float32(self.value)


@pytest.fixture
def recorder(monkeypatch):
    """A Recorder and Keras' list of callbacks for five batches, and what was read of 10 numbers."""
    from fastmlp.cnn import recorder as module

    cnn, readings = small_cnn(), []
    monkeypatch.setattr(module, "to_numpy", OnDevice.read)
    made = module.Recorder(cnn, np.array([16, 16, 16, 16, 6]))
    calls = module.Callbacks(made, [], model=cnn.model, epochs=1, steps=5, verbose=0)
    made.on_epoch_begin(0)

    def batch(number, loss=1.0):
        numbers = {"loss": OnDevice(loss, readings), "output_error": OnDevice(0.5, readings)}
        calls.on_train_batch_end(number, numbers)
        return len(readings)

    return cnn, made, batch


def test_nothing_is_read_from_the_device_before_the_last_batch_of_an_epoch(recorder, monkeypatch):
    from fastmlp.cnn import recorder as module

    _, made, batch = recorder
    made._looked += 60  # however slow the machine
    assert [batch(number) for number in range(4)] == [0, 0, 0, 0]
    assert batch(4) == 10
    made.on_epoch_begin(1)
    made._looked += 60
    assert batch(0) == 10
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", -100.0)
    assert batch(1) == 14  # the two batches at once


def test_a_divergence_is_noticed_late_and_names_its_batch_all_the_same(recorder):
    cnn, made, batch = recorder
    before = cnn.model.get_weights()
    cnn.model.set_weights([np.full_like(w, np.nan) for w in before])
    made._looked += 60
    for number, loss in enumerate([1.0, 1.0, np.inf, np.nan]):
        batch(number, loss)
    with pytest.raises(DivergenceError, match="training diverged in epoch 0, batch 2") as caught:
        batch(4, np.nan)
    assert caught.value.batch == 2
    for a, b in zip(cnn.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_callback_of_keras_gets_the_numbers_of_every_batch_and_a_batch_hook_none():
    import keras

    from fastmlp.cnn.recorder import BatchHook

    seen, hooked = [], []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, type(logs["loss"])))

    cnn = small_cnn()
    cnn.model.run_eagerly = True  # a graph takes a second
    hook = BatchHook(cnn, lambda epoch, batch: hooked.append((epoch, batch)))
    cnn.fit(X, Y, epochs=1, callbacks=[Losses(), hook])
    assert seen == [(batch, float) for batch in range(5)]
    assert hooked == [(1, batch) for batch in range(5)]


@pytest.mark.parametrize("wrong", ["on", 1, None])
def test_xla_is_a_flag_or_auto(wrong):
    with pytest.raises(ValueError, match="xla must be True, False or 'auto'; got"):
        CNN(small_config(), xla=wrong)


@KERAS_SAVES_BY_COPY
def test_a_loaded_cnn_is_compiled_for_where_it_is(tmp_path):
    CNN(small_config(), device="cpu", xla=True).save(tmp_path / "model.keras")
    loaded = CNN.load(tmp_path / "model.keras", device="cpu")
    assert loaded.model.jit_compile == small_cnn().model.jit_compile
    loaded = CNN.load(tmp_path / "model.keras", device="cpu", xla=True)
    assert loaded.model.jit_compile is True
    assert loaded.model.steps_per_execution == 1


def test_inputs_are_not_modified_and_three_axes_are_enough_for_grey_images():
    x, y = X.copy(), Y.copy()
    cnn = small_cnn()
    cnn.fit(x, y, epochs=1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_allclose(cnn.predict(x[..., 0]), cnn.predict(x), rtol=1e-6)
    one_hot = np.eye(3)[Y]
    assert cnn.evaluate(x, one_hot).accuracy == cnn.evaluate(x, Y).accuracy


def test_compile_changes_the_training_and_keeps_the_weights():
    cnn = small_cnn()
    cnn.fit(X, Y, epochs=1)
    before = cnn.model.get_weights()
    cnn.compile(optimizer="adam", learning_rate=0.02)
    assert (cnn.iterations, cnn.config.optimizer) == (0, "adam")
    assert cnn.learning_rate == pytest.approx(0.02)
    for a, b in zip(cnn.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    cnn.fit(X, Y, epochs=1)
    cnn.reset()  # to what the network was when it was compiled
    assert (cnn.iterations, cnn.learning_rate) == (0, pytest.approx(0.02))
    for a, b in zip(cnn.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="setting must be one of"):
        cnn.compile(conv=())


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (X[:, :9], Y, r"X must be images of shape \(n, 10, 10, 1\), n >= 1; got \(70, 9, 10, 1\)"),
        (X.reshape(70, -1), Y, r"X must be images of shape .* got \(70, 100\)"),
        (X[:0], Y[:0], "X must be images of shape"),
        (np.full_like(X, np.nan), Y, "X must hold finite float32 numbers; found NaN at row 0"),
        (X.astype(str), Y, "X must be real numbers"),
        (X, Y[:-1], "images and y must have the same number of rows; got 70 and 69"),
        (X, np.where(np.arange(70) == 7, 3, Y), "from 0 to 2, .* got 3 at row 7"),
        (X, Y - 1, "y must be whole numbers from 0 to 2"),
        (X, Y + 0.5, "y must be whole numbers from 0 to 2"),
        (X, np.zeros((70, 4)), r"y must be labels of shape \(n,\) or one-hot rows \(n, 3\)"),
    ],
    ids=["height", "flat", "empty", "nan", "text", "length", "label", "negative", "half", "onehot"],
)
def test_images_and_labels_that_do_not_fit_are_named(images, labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        small_cnn().fit(images, labels)


def test_other_arguments_that_do_not_fit_are_named():
    cnn = small_cnn()
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        cnn.fit(X, Y, epochs=0)
    with pytest.raises(ValueError, match=r"validation_data\[0\] must be images"):
        cnn.fit(X, Y, validation_data=(X[:, :3], Y))
    for wrong in (X, (X,), 3):
        with pytest.raises(TypeError, match=r"validation_data must be a pair \(X, y\); got"):
            cnn.fit(X, Y, validation_data=wrong)
    with pytest.raises(TypeError, match="config must be a CNNConfig"):
        CNN("C2")
    with pytest.raises(TypeError, match="seed must be an integer; got 'a'"):
        CNN(small_config(), seed="a")
    with pytest.raises(ValueError, match="scale must be one of 'feature', 'global', 'none'"):
        load_images("digits", scale="minmax")


def test_dense_network_without_convolutions_trains():
    cnn = CNN(replace(small_config(), conv=(), pools=()), seed=0, device="cpu")
    assert [layer.name for layer in cnn.model.layers] == ["flatten", "dense_1", "output"]
    assert cnn.fit(X, Y, epochs=1).n_epochs == 1


@pytest.mark.parametrize(
    ("n_train", "least"), [(2000, 0.6), pytest.param(6000, 0.85, marks=pytest.mark.soak)]
)
def test_one_epoch_on_images_of_mnist_reaches_an_accuracy(n_train, least, mnist):
    data = load_images("mnist", n_train=n_train, n_test=1000)
    cnn = CNN(CNNConfig.article("C2"), seed=0, device="cpu")
    cnn.fit(data.X_train, data.y_train, epochs=1)
    assert (found := cnn.evaluate(data.X_test, data.y_test).accuracy) >= least, found


def test_a_cnn_is_a_training_that_callbacks_may_read_and_set_back():
    cnn = small_cnn()
    assert cnn.can_be_saved is False
    before = cnn.copy_weights()
    cnn.fit(X, Y, epochs=1)
    assert any((a != b).any() for a, b in zip(before, cnn.copy_weights(), strict=True))
    cnn.set_weights(before)
    for a, b in zip(before, cnn.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    cnn.learning_rate = 0.25
    assert cnn.learning_rate == 0.25


def test_a_rate_that_a_schedule_decides_cannot_be_set():
    cnn = small_cnn(schedule="power", decay_rate=0.1)
    with pytest.raises(ValueError, match=r"learning_rate cannot be set to 0\.25: the schedule"):
        cnn.learning_rate = 0.25
