"""Devices, and the comparison of them on one dense network."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import bars, needs_keras, runs_on, small_config

from fastmlp import Trainer
from fastmlp.cnn import (
    CNN,
    backend,
    choose_device,
    compare,
    configure,
    device,
    devices,
    network,
    report,
)
from fastmlp.cnn.bridge import dense_tail
from fastmlp.cnn.cards import Card, DriverError
from fastmlp.plots.headline import finding_of, title_of

pytestmark = needs_keras
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
    assert choose_device("cpu") == choose_device("cpu:0") == "cpu:0"
    assert choose_device("auto") == ("gpu:0" if graphics_cards() else "cpu:0")


def test_a_missing_card_is_told_with_what_to_do():
    with pytest.raises(ValueError, match=r"device 'gpu:99' needs .* device='cpu' runs on the"):
        choose_device("gpu:99")
    for wrong in ("tpu", "GPU:0", "gpu:", "cpu:1", 0):
        with pytest.raises(ValueError, match="device must be 'auto', 'cpu', 'gpu' or 'gpu:0'"):
            choose_device(wrong)


CARDS = [Card("NVIDIA A", 10 << 30, (8, 0)), Card("NVIDIA B", 20 << 30, (9, 0))]


class Library:
    """Stands in for a library under Keras that sees graphics cards; keeps what was set."""

    TITLE, FOR_CARDS, TAKES_STEPS, LEAST_CAPABILITY = "Kit", "pip install kit", True, (6, 0)

    def __init__(self, names=("A", "")):
        self.names, self.settings, self.built = list(names), [], True

    def cards(self):
        return self.names

    def is_built_for_cards(self):
        return self.built

    def words_about_cards(self):
        return "Cannot dlopen libcudnn.so.9"

    def __getattr__(self, name):
        return lambda *given: self.settings.append((name, *given))


@pytest.fixture
def kit(monkeypatch):
    """A library that sees two cards, which the driver sees too."""
    made = Library()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "library", lambda: made)
    monkeypatch.setattr(device, "choose_backend", lambda: "kit")
    monkeypatch.setattr(device, "driver_cards", lambda: CARDS)
    monkeypatch.setattr(device, "card_in_machine", lambda: True)
    device._words.cache_clear()
    yield made
    device._words.cache_clear()


def test_auto_takes_the_first_card_and_every_card_has_its_number(kit):
    names = {name: choose_device(name) for name in ("auto", "gpu", "gpu:0", "gpu:1", "cpu")}
    assert names == {
        "auto": "gpu:0",
        "gpu": "gpu:0",
        "gpu:0": "gpu:0",
        "gpu:1": "gpu:1",
        "cpu": "cpu:0",
    }
    with pytest.raises(ValueError, match=r"'gpu:2' needs 3 graphics card\(s\) .* it sees 2\."):
        choose_device("gpu:2")


def test_cards_are_listed_with_what_the_driver_knows_of_them(kit, monkeypatch):
    _, first, second = devices()
    assert str(first) == "gpu:0: A, 10.0 GiB"
    assert str(second) == "gpu:1: NVIDIA B, 20.0 GiB"
    assert (first.capability, second.capability) == ((8, 0), (9, 0))
    old = Card("NVIDIA GeForce GTX 960", 4 << 30, (5, 2))  # which the library leaves out
    monkeypatch.setattr(device, "driver_cards", lambda: [old, *CARDS])
    assert [found.memory_bytes for found in devices()[1:]] == [10 << 30, 20 << 30]
    monkeypatch.setattr(device, "driver_cards", lambda: CARDS[:1])  # which one of the two?
    assert [str(found) for found in devices()[1:]] == ["gpu:0: A", "gpu:1: graphics card"]


def test_data_are_kept_on_a_card_where_they_take_a_quarter_of_its_memory_at_most(kit, monkeypatch):
    assert device.fits_on_card("gpu:0", 10 << 28)
    assert not device.fits_on_card("gpu:0", (10 << 28) + 1)
    assert not device.fits_on_card("cpu:0", 1)
    monkeypatch.setattr(device, "driver_cards", list)
    assert device.fits_on_card("gpu:0", 1 << 30)
    assert not device.fits_on_card("gpu:0", (1 << 30) + 1)


def test_settings_go_to_the_library_and_what_is_not_given_stays(kit):
    configure(memory_growth=True)
    configure(intra_threads=2)
    configure(memory_limit_mb=900)
    configure(memory_share=0.35)
    configure(tf32=False, deterministic=True, log_placement=True)
    assert [setting for setting in kit.settings if setting != ("set_threads", None, None)] == [
        ("set_growth", True),
        ("set_threads", 2, None),
        ("set_memory_limits", [900, 900], None),
        ("set_memory_limits", [3584, 7168], 0.35),
        ("set_deterministic", True),
        ("set_tf32", False),
        ("log_placement", True),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"memory_growth": True, "memory_limit_mb": 9},
            "growth and memory_limit_mb exclude",
        ),
        ({"memory_share": 0.5, "memory_limit_mb": 9}, "memory_limit_mb and memory_share exclude"),
        ({"memory_share": 0}, "memory_share must be above 0; got 0"),
        ({"memory_share": 1.5}, "memory_share must be a finite number, 0 to 1; got 1.5"),
        ({"memory_limit_mb": 0}, "memory_limit_mb must be at least 1; got 0"),
        ({"intra_threads": 0}, "intra_threads must be at least 1; got 0"),
        ({"inter_threads": 0}, "inter_threads must be at least 1; got 0"),
        ({"memory_growth": 1}, "memory_growth must be True or False; got 1"),
        ({"tf32": "no"}, "tf32 must be True or False; got 'no'"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_any_is_made(kit, settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        configure(**settings)
    assert not kit.settings


def test_a_share_of_an_unknown_memory_is_refused(kit, monkeypatch):
    monkeypatch.setattr(device, "driver_cards", list)
    with pytest.raises(ValueError, match=r"memory_share needs to know how much memory a card has"):
        configure(memory_share=0.35)


def fail(text):
    raise DriverError(text)


REASONS = {
    "hidden": ({"hidden": ""}, "CUDA_VISIBLE_DEVICES is '', which hides all cards"),
    "hidden by a number": ({"hidden": "-1"}, "CUDA_VISIBLE_DEVICES is '-1', which hides"),
    "none, no driver": ({"driver": lambda: fail("x"), "card": False}, device.NO_CARD),
    "none, a driver": ({"driver": list, "card": False}, device.NO_CARD),
    "no driver": ({"driver": lambda: fail("no libcuda")}, "no libcuda"),
    "not listed": ({"driver": list}, "NVIDIA's driver lists no card"),
    "a wrong number": (
        {"driver": list, "hidden": "7"},
        r"driver lists no card \(CUDA_VISIBLE_DEVICES is '7'\)",
    ),
    "not built for it": (
        {"built": False},
        "this Kit was built without support of graphics cards: pip install kit",
    ),
    "too old": (
        {"driver": lambda: [Card("NVIDIA GeForce GTX 960", 4 << 30, (5, 2))]},
        "GTX 960 has compute capability 5.2, and Kit needs 6.0 or newer",
    ),
    "its own words": ({}, "Kit says: Cannot dlopen libcudnn.so.9"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_why_no_card_is_seen_is_a_sentence(kit, monkeypatch, case):
    given, message = REASONS[case]
    assert device.why_no_card() == ""
    kit.names = []
    kit.built = given.get("built", True)
    monkeypatch.setattr(device, "driver_cards", given.get("driver", lambda: CARDS))
    monkeypatch.setattr(device, "card_in_machine", lambda: given.get("card", True))
    if "hidden" in given:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given["hidden"])
    assert re.search(message, device.why_no_card())
    with pytest.raises(ValueError, match=rf"it sees none: .*{message}.*\. device='cpu' runs on"):
        choose_device("gpu")


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
def test_auto_is_the_device_of_the_scope_around_it(card):
    import keras

    for name in ("cpu:0", "gpu:0"):
        with keras.device(name):
            assert CNN(small_config()).device == name


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
    names = [f"Keras, gpu:0, {arithmetic}" for arithmetic in compare.arithmetics(card)]
    assert [t.contender for t in found] == ["Keras, cpu:0", *names, "fastmlp"]


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


@runs_on("tensorflow")
def test_settings_after_the_first_computation_are_refused_with_the_reason():
    import tensorflow as tf

    tf.constant(1.0) + 1.0
    with pytest.raises(RuntimeError, match=r"call fastmlp.cnn.configure\(...\) first"):
        configure(intra_threads=1)


def test_report_names_versions_and_variables():
    found = report({"OMP_NUM_THREADS": "4"})
    assert found["variables"]["OMP_NUM_THREADS"] == "4"
    assert found["variables"]["XLA_FLAGS"] is None
    assert found["keras"].startswith("3.")
    assert found[found["backend"]].count(".") >= 2
    assert (found["no_card"] is None) == bool(graphics_cards())
    assert any(text.startswith("cpu:0") for text in found["devices"])


@pytest.fixture(scope="module")
def timings():
    return compare.compare_devices(
        X, Y, (X[:30], Y[:30]), batch_sizes=[30, 90], epochs=2, names=["cpu"], seed=1
    )


def test_every_contender_is_timed_with_every_batch_size(timings):
    assert [(t.contender, t.batch_size) for t in timings] == [
        ("Keras, cpu:0", 30),
        ("fastmlp", 30),
        ("Keras, cpu:0", 90),
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
    compare._time_keras(compare._Contender("Keras", cnn, False), *data, data, 30, 2)
    assert cnn.iterations == 2 * 3  # not those of the warm-up
    compare._time_engine(cnn, *data, data, 30, 2, 1)
    assert [n_threads for _, n_threads in trainers] == [1, 1]  # warm-up, timed epochs
    for parameters, _ in trainers:
        np.testing.assert_array_equal(parameters, fresh)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        (None, ("float32",)),
        ((6, 1), ("float32",)),
        ((7, 5), ("float32", "float16")),
        ((8, 0), ("float32", "TF32", "bfloat16")),
        ((12, 0), ("float32", "TF32", "bfloat16")),
    ],
)
def test_a_card_is_measured_with_every_arithmetic_that_it_has(capability, expected):
    card = device.Device("gpu:0", "GPU", 1, "card", capability)
    assert compare.arithmetics(card) == expected
    assert compare.arithmetics(devices()[0]) == ("float32",)


@pytest.fixture
def processor_as_card(monkeypatch):
    """The processor, taken for a card of today; what is set for it in between."""
    card = device.Device("gpu:0", "GPU", 1 << 40, "card", (9, 0))
    monkeypatch.setattr(compare, "devices", lambda: [*devices(), card])
    monkeypatch.setattr(compare, "choose_device", lambda name: name)
    real, settings, kept = backend.library(), [], []

    class Placed:
        def placed(self, name):
            return real.placed("cpu:0")

        def set_tf32(self, flag):
            settings.append(flag)

        def feeding(self, model, data, order, size, on_card):
            kept.append((on_card, model.steps_per_execution, model.layers[1].compute_dtype))
            return real.feeding(model, data, order, size, on_card)

        def __getattr__(self, name):
            return getattr(real, name)

    for module in (compare, network):
        monkeypatch.setattr(module, "library", Placed)
    monkeypatch.setattr(network, "model_device", lambda name: name)
    monkeypatch.setattr(network, "fits_on_card", lambda name, n_bytes: name == "gpu:0")
    monkeypatch.setattr(network, "xla_for_keras", lambda xla, name: False)
    return settings, kept


@pytest.mark.soak
def test_a_card_gets_many_steps_at_a_time_from_its_memory_in_each_arithmetic(processor_as_card):
    settings, kept = processor_as_card
    found = compare.compare_devices(
        X, Y, (X[:30], Y[:30]), batch_sizes=[30], epochs=1, names=["gpu:0"], xla=False
    )
    names = [f"Keras, gpu:0, {arithmetic}" for arithmetic in ("float32", "TF32", "bfloat16")]
    assert [t.contender for t in found] == [*names, "fastmlp"]
    assert settings == [False, None, True, None, False, None]
    steps = compare.STEPS_ON_CARD if backend.library().TAKES_STEPS else 1
    assert kept == [(True, steps, kind) for kind in ("float32", "float32", "bfloat16")]
    assert all(timing.total_seconds > 0 for timing in found)


def test_small_batches_are_measured_where_a_card_takes_part(processor_as_card, monkeypatch):
    asked = []

    def time(contender, x, targets, test, size, *others):
        asked.append((contender.name, size))
        return compare.DeviceTiming(contender.name, size, (1.0,), len(x), 0.5)

    monkeypatch.setattr(compare, "_time_keras", time)
    monkeypatch.setattr(compare, "_time_engine", lambda cnn, *given: None)
    for names, sizes in (
        (["cpu:0"], compare.BATCH_SIZES),
        (["cpu:0", "gpu:0"], compare.CARD_BATCH_SIZES),
    ):
        asked.clear()
        compare.compare_devices(X, Y, (X, Y), names=names)
        assert [size for name, size in asked if name == "Keras, cpu:0"] == list(sizes)


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
    rate = f"{best.images_per_second:,.0f} images/s at batch {best.batch_size}"
    assert title_of(figure) == f"Fastest: {rate}"
    assert finding_of(figure).startswith(best.contender)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["Keras, cpu:0", "fastmlp"]
    plt.close(figure)
    made = [
        compare.DeviceTiming(name, 10, (seconds,), 5, 0.9)
        for name, seconds in (("Keras, gpu:0", 1.0), ("fastmlp", 0.5))
    ]
    figure = compare.plot_devices(made)
    assert finding_of(figure) == "fastmlp: 2.0 times Keras, gpu:0."
    plt.close(figure)
    with pytest.raises(ValueError, match="nothing was timed"):
        compare.plot_devices([])
