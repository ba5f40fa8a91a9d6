"""Devices, and the comparison of them on one dense network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import bars, needs_tensorflow, small_config

from fastmlp import Trainer
from fastmlp.cnn import CNN, choose_device, compare, configure, device, devices, report
from fastmlp.cnn.bridge import dense_tail

pytestmark = needs_tensorflow
X, Y = bars(90)


def graphics_cards():
    return [device for device in devices() if device.type == "GPU"]


def test_processors_are_listed_with_name_type_and_memory():
    cpu = devices()[0]
    assert (cpu.name, cpu.type) == ("cpu:0", "CPU")
    assert cpu.memory_bytes > 1 << 28
    assert cpu.description
    assert str(cpu).startswith("cpu:0: ")


def test_auto_takes_the_processor_where_there_is_no_card():
    assert choose_device("cpu") == choose_device("cpu:0") == "/CPU:0"
    assert choose_device("auto") == ("/GPU:0" if graphics_cards() else "/CPU:0")


def test_a_missing_card_is_told_with_what_to_do():
    with pytest.raises(ValueError, match=r"device 'gpu:99' needs .* device='cpu' runs on the"):
        choose_device("gpu:99")
    for wrong in ("tpu", "GPU:0", "gpu:", "cpu:1", 0):
        with pytest.raises(ValueError, match="device must be 'auto', 'cpu', 'gpu' or 'gpu:0'"):
            choose_device(wrong)


@pytest.fixture
def two_cards(monkeypatch):
    """TensorFlow's settings for a machine with two graphics cards, as a list of what was set."""
    settings = []
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [f"{kind} a", f"{kind} b"],
        experimental=SimpleNamespace(set_memory_growth=lambda *given: settings.append(given)),
        set_logical_device_configuration=lambda *given: settings.append(given),
        LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
    )
    debugging = SimpleNamespace(set_log_device_placement=lambda flag: None)
    module = SimpleNamespace(config=config, debugging=debugging)
    monkeypatch.setattr(device, "import_tensorflow", lambda: module)
    return settings


def test_auto_takes_the_first_card_and_every_card_has_its_number(two_cards):
    names = {name: choose_device(name) for name in ("auto", "gpu", "gpu:0", "gpu:1", "cpu")}
    assert names == {
        "auto": "/GPU:0",
        "gpu": "/GPU:0",
        "gpu:0": "/GPU:0",
        "gpu:1": "/GPU:1",
        "cpu": "/CPU:0",
    }
    with pytest.raises(ValueError, match=r"'gpu:2' needs 3 graphics card\(s\) .* it sees 2;"):
        choose_device("gpu:2")


def test_settings_of_memory_go_to_every_card(two_cards):
    configure(memory_growth=True)
    assert two_cards == [("GPU a", True), ("GPU b", True)]
    two_cards.clear()
    configure(memory_limit_mb=900)
    assert two_cards == [("GPU a", [900]), ("GPU b", [900])]


@pytest.mark.parametrize(
    ("failing", "expected"),
    [(None, 5 << 30), ("cuInit", None), ("cuDeviceGet", None), ("cuDeviceTotalMem_v2", None)],
)
def test_memory_of_a_card_is_what_its_driver_says(monkeypatch, failing, expected):
    class Driver:
        """Stands in for libcuda: two cards, the second with 5 GiB."""

        def __getattr__(self, name):
            return lambda *arguments: 1 if name == failing else self.answer(name, *arguments)

        def answer(self, name, first, second=None):
            if name == "cuDeviceGet":
                first._obj.value = second
            elif name == "cuDeviceTotalMem_v2":
                first._obj.value = (4 + second.value) << 30
            return 0

    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: Driver())
    assert device._memory_bytes("GPU", 1) == expected
    text = str(device.Device("gpu:1", "GPU", expected, "NVIDIA X"))
    assert text == ("gpu:1: NVIDIA X, 5.0 GiB" if expected else "gpu:1: NVIDIA X")


def test_memory_of_a_card_without_a_driver_is_not_told(monkeypatch):
    def missing(name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(device.ctypes, "CDLL", missing)
    assert device._memory_bytes("GPU", 0) is None


@pytest.fixture
def card():
    """The first graphics card; tests that use it are skipped where TensorFlow sees none."""
    found = graphics_cards()
    if not found:
        pytest.skip("TensorFlow sees no graphics card")
    return found[0]


@pytest.mark.gpu
def test_a_card_is_listed_with_name_and_memory(card):
    assert (card.name, card.type) == ("gpu:0", "GPU")
    assert card.memory_bytes > 1 << 30
    assert card.description not in ("", "GPU")


@pytest.mark.gpu
def test_variables_of_a_cnn_lie_on_the_chosen_device(card):
    for name in ("cpu", "gpu", "auto"):
        cnn = CNN(small_config(), seed=0, device=name)
        cnn.fit(X, Y, epochs=1)
        wanted = "CPU:0" if name == "cpu" else "GPU:0"
        for variable in (*cnn.model.trainable_variables, *cnn.model.optimizer.variables):
            assert variable.value.device.endswith(wanted) or "int" in variable.dtype


@pytest.mark.gpu
def test_memory_can_be_limited_and_grow_before_the_first_computation(card):
    for settings in ("memory_limit_mb=900", "memory_growth=True"):
        code = (
            f"from fastmlp.cnn import configure, devices, CNN; devices(); configure({settings});"
            "import numpy as np; cnn = CNN(device='gpu');"
            "print(cnn.predict(np.zeros((1, 28, 28, 1))).shape)"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert result.stdout.strip() == "(1, 10)", result.stderr


@pytest.mark.gpu
def test_all_devices_are_compared_and_the_card_is_one_of_them(card):
    found = compare.compare_devices(X, Y, (X[:30], Y[:30]), batch_sizes=[90], epochs=2)
    assert [t.contender for t in found] == ["Keras, cpu:0", "Keras, gpu:0", "fastmlp"]


@pytest.mark.gpu
def test_xla_trains_as_without_it_on_a_card(card):
    costs = [
        CNN(small_config(), seed=0, device="gpu", xla=xla).fit(X, Y, epochs=1)["costs"]
        for xla in (False, True)
    ]
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-2)


@pytest.mark.gpu
def test_a_graphics_card_trains_as_the_processor_does(card):
    costs = [
        CNN(small_config(), seed=0, device=name).fit(X, Y, epochs=1)["costs"]
        for name in ("cpu", "gpu")
    ]
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-2)


def test_settings_after_the_first_computation_are_refused_with_the_reason():
    import tensorflow as tf

    tf.constant(1.0) + 1.0
    with pytest.raises(RuntimeError, match=r"call fastmlp.cnn.configure\(...\) first"):
        configure(intra_threads=1)
    with pytest.raises(ValueError, match="exclude each other"):
        configure(memory_growth=True, memory_limit_mb=100)


def test_threads_are_set_before_the_first_computation():
    code = (
        "from fastmlp.cnn import configure, report; configure(intra_threads=1, inter_threads=2);"
        "found = report(); print(found['intra_threads'], found['inter_threads'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "1 2", result.stderr


def test_report_names_versions_and_variables():
    found = report({"OMP_NUM_THREADS": "4"})
    assert found["variables"]["OMP_NUM_THREADS"] == "4"
    assert found["variables"]["XLA_FLAGS"] is None
    assert found["keras"].startswith("3.")
    assert any(text.startswith("cpu:0") for text in found["devices"])


@pytest.fixture(scope="module")
def timings():
    return compare.compare_devices(
        X, Y, (X[:30], Y[:30]), batch_sizes=[30, 90], epochs=2, names=["cpu"], seed=1
    )


def test_every_contender_is_timed_with_every_batch_size(timings):
    assert [(t.contender, t.batch_size) for t in timings] == [
        ("Keras, cpu", 30),
        ("fastmlp", 30),
        ("Keras, cpu", 90),
        ("fastmlp", 90),
    ]
    for timing in timings:
        assert len(timing.epoch_seconds) == 2
        assert timing.images_per_second == pytest.approx(180 / sum(timing.epoch_seconds))


def test_timed_epochs_begin_with_fresh_weights_and_the_threads_that_are_asked_for(monkeypatch):
    trainers = []

    class Spy(Trainer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            trainers.append((self.network.parameters.copy(), options["n_threads"]))

    monkeypatch.setattr(compare, "Trainer", Spy)
    cnn = CNN(compare.dense_config((10, 10, 1), 3), seed=0, device="cpu")
    fresh = dense_tail(cnn).parameters.copy()
    data = X, np.eye(3, dtype=np.float32)[Y]
    compare._time_keras("Keras, cpu", cnn, *data, data, 30, 2)
    assert cnn.iterations == 2 * 3  # not those of the warm-up
    compare._time_engine(cnn, *data, data, 30, 2, 1)
    assert [n_threads for _, n_threads in trainers] == [1, 1]  # warm-up, timed epochs
    for parameters, _ in trainers:
        np.testing.assert_array_equal(parameters, fresh)


def test_ratios_come_from_the_measured_times():
    made = [
        compare.DeviceTiming("Keras, cpu:0", 10, (1.0, 0.93264), 5, 0.9),
        compare.DeviceTiming("Keras, gpu:0", 10, (0.5, 0.28999), 5, 0.9),
    ]
    factor = compare.ratios(made)[10]["Keras, gpu:0"]
    assert factor == pytest.approx(2.446, abs=0.001)  # the article's times; it says 2.375


def test_keras_and_the_engine_train_the_same_network():
    """Same weights, plain SGD: batches of the whole set need no shuffling; the costs are equal."""
    config = replace(compare.dense_config((10, 10, 1), 3), optimizer="sgd", learning_rate=0.05)
    cnn = CNN(config, seed=0, device="cpu")
    network = dense_tail(cnn)
    history = cnn.fit(X, Y, epochs=3, batch_size=90)
    trainer = Trainer(network, learning_rate=0.05, reduction="mean", batch_size=90)
    found = trainer.fit(X.reshape(90, -1), np.eye(3)[Y], n_epochs=3)
    np.testing.assert_allclose(found["costs"], history["costs"], rtol=1e-4)


def test_figure_names_the_fastest_and_its_factor(timings):
    figure = compare.plot_devices(timings)
    best = max(timings, key=lambda t: t.images_per_second)
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith(f"Fastest: {best.contender}, {best.images_per_second:,.0f} images/s")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["Keras, cpu", "fastmlp"]
    plt.close(figure)
    made = [
        compare.DeviceTiming(name, 10, (seconds,), 5, 0.9)
        for name, seconds in (("Keras, gpu:0", 1.0), ("fastmlp", 0.5))
    ]
    figure = compare.plot_devices(made)
    assert figure.axes[0].get_title(loc="left").endswith("2.0 times Keras, gpu:0 at batch 10")
    plt.close(figure)
    with pytest.raises(ValueError, match="nothing was timed"):
        compare.plot_devices([])
