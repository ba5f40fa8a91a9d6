"""The studies of CNNs: what is trained, what is measured, and what tables and figures show."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import needs_keras
from study_tools import lines, stored

from fastmlp.cnn import CNN, learning_rate_at, load_images
from fastmlp.cnn.backend import to_numpy
from fastmlp.studies import cnn_augmentation, cnn_dense_layers, cnn_optimizers, cnn_outputs
from fastmlp.studies.lab import augmented, convolution, rates


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return convolution.load("digits", 150, 50)


def a_run(**changes):
    """A run of any of the studies, with two epochs."""
    run = {
        "seed": 0,
        "n_parameters": 1000,
        "train_accuracy": [0.5, 0.8],
        "validation_accuracy": [0.6, 0.7],
        "validation_cost": [1.0, 0.5],
        "learning_rates": [0.001, 0.001],
        "test_accuracy": 0.7,
        "training_seconds": 2.0,
        "diverged": None,
        "seconds": 3.0,
    }
    return run | changes


# --- Training and measuring ----------------------------------------------------------------------


def test_validation_images_are_the_last_of_the_training_images(data):
    raw = load_images("digits", scale="none", n_train=150)
    assert data.X_train.shape == (100, 8, 8, 1) and data.X_validation.shape == (50, 8, 8, 1)
    np.testing.assert_array_equal(data.y_validation, raw.y_train[100:])
    np.testing.assert_allclose(data.X_train.mean(axis=0), 0, atol=1e-5)  # their scaler alone
    assert abs(data.X_validation.mean(axis=0)).max() > 0.05


def test_networks_are_those_of_the_article_in_the_given_sizes(data):
    config = convolution.network_config(data, maps=(3, 4), dense=(6, 5), optimizer="adam")
    assert [layer.maps for layer in config.conv] == [3, 4]
    assert [layer.nodes for layer in config.dense] == [6, 5, 10]
    assert [layer.activation for layer in config.dense] == ["relu", "relu", "softmax"]
    assert config.optimizer == "adam" and config.input_shape == (8, 8, 1)
    mnist = load_images("mnist", n_train=20) if _has_mnist() else None
    if mnist is not None:
        same = convolution.network_config(mnist, maps=(32, 64, 64), dense=(70,))
        assert same.n_parameters == 96_844


def _has_mnist():
    from fastmlp.datasets.loading import default_name

    return default_name() == "mnist"


@needs_keras
def test_a_training_returns_what_keras_measured_and_the_test_accuracy_of_its_end(data):
    config = convolution.network_config(data, maps=(3,), dense=(), epochs=2, batch_size=25)
    seen = []
    found = convolution.train_cnn(data, config, seed=1, tick=seen.append)
    assert len(seen) == 2 and isinstance(seen[0], CNN)
    cnn = seen[-1]
    assert found["test_accuracy"] == cnn.evaluate(data.X_test, data.y_test).accuracy
    right = cnn.predict(data.X_validation).argmax(axis=1) == data.y_validation
    assert found["validation_accuracy"][-1] == pytest.approx(right.mean())
    assert found["n_parameters"] == cnn.model.count_params()
    assert len(found["train_accuracy"]) == len(found["validation_cost"]) == 2
    assert found["learning_rates"] == [0.001, 0.001] and found["diverged"] is None


@needs_keras
def test_a_divergence_is_recorded_and_has_no_test_accuracy(data):
    config = convolution.network_config(
        data, maps=(3,), dense=(), epochs=2, optimizer="sgd", learning_rate=1e30
    )
    found = convolution.train_cnn(data, config, seed=1, tick=lambda cnn: None)
    assert found["test_accuracy"] is None and "loss" in found["diverged"]


def test_the_rate_falls_to_0_by_the_last_batch(data):
    settings = convolution.falling_rate(data, n_epochs=3, batch_size=30)
    config = convolution.network_config(data, maps=(3,), dense=(), **settings)
    assert learning_rate_at(config, 0) == 0.001
    assert learning_rate_at(config, 11) > 0
    assert learning_rate_at(config, 12) == 0  # 100 images are 4 batches


@needs_keras
def test_versions_name_keras_and_the_library_under_it():
    import keras

    found = convolution.versions()
    assert found["keras"] == keras.__version__ and len(found) == 2


def test_without_keras_the_study_says_what_to_install_before_it_loads_data(monkeypatch):
    def missing():
        raise ImportError('the CNN part needs Keras: pip install "fastmlp[cnn]"')

    monkeypatch.setattr(convolution, "import_keras", missing)
    for study in (cnn_dense_layers, cnn_outputs, cnn_optimizers, cnn_augmentation):
        monkeypatch.setattr(study, "load", lambda *sizes, **scale: pytest.fail("data were loaded"))
        with pytest.raises(ImportError, match=r"pip install \"fastmlp\[cnn\]\""):
            study.run(study.configure("digits", True), None)


# --- Rates ---------------------------------------------------------------------------------------


def test_the_best_rate_is_chosen_on_the_validation_images_and_the_smaller_of_equals():
    runs = [
        a_run(rate=0.1, validation_accuracy=[0.9, 0.8], test_accuracy=0.99),
        a_run(rate=0.3, validation_accuracy=[0.1, 0.9], test_accuracy=0.1),
        a_run(rate=0.6, validation_accuracy=[0.9, 0.9], test_accuracy=1.0),
        a_run(rate=1.0, validation_accuracy=[], test_accuracy=None, diverged="loss is nan"),
    ]
    assert [run["rate"] for run in rates.best_rate(runs)] == [0.3]
    assert rates.best_rate(runs[3:]) == []
    more = [*runs, a_run(rate=0.3, validation_accuracy=[0.1, 0.7], seed=1)]
    assert [run["rate"] for run in rates.best_rate(more)] == [0.6]  # a mean over seeds


def test_accuracy_by_rate_shows_means_and_leaves_out_what_is_far_below():
    _, axis = plt.subplots()
    runs = [
        a_run(rate=0.1, test_accuracy=0.9),
        a_run(rate=0.1, test_accuracy=0.92, seed=1),
        a_run(rate=1.0, test_accuracy=0.3),
        a_run(rate=3.0, diverged="loss is nan", test_accuracy=None),
    ]
    rates.draw_by_rate(axis, {"relu": runs}, (0.1, 1.0, 3.0))
    np.testing.assert_allclose(lines(axis)["relu"], [[0.1, 1.0], [0.91, 0.3]])
    assert axis.get_ylim()[0] > 0.3


# --- cnn-dense-layers ----------------------------------------------------------------------------


def dense_result():
    result = stored("cnn-dense-layers")
    result["config"]["dense"] = [[], [6], [6, 6]]
    result["n_test"] = 10_000
    result["runs"] = [
        a_run(dense=dense, seed=seed, test_accuracy=accuracy + 0.001 * seed)
        for seed in (0, 1)
        for dense, accuracy in (([], 0.95), ([6], 0.97), ([6, 6], 0.965))
    ]
    return result


def test_dense_study_draws_every_seed_and_the_means():
    result = dense_result()
    axis = cnn_dense_layers.draw(result)["accuracy"].axes[0]
    np.testing.assert_allclose(lines(axis)["mean"][1], [0.9505, 0.9705, 0.9655])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["none", "6", "6-6"]
    _, right = cnn_dense_layers.draw(result)["course"].axes
    np.testing.assert_allclose(lines(right)["6-6"], [[1, 2], [0.6, 0.7]])


def test_dense_study_compares_several_layers_with_at_most_one():
    result = dense_result()
    assert cnn_dense_layers._finding(result) == (
        "The best of several dense layers (6-6) is 0.50 percentage points below the best of one or "
        "none (6); the standard error of an accuracy is 0.17"
    )
    result["runs"][2]["test_accuracy"] = result["runs"][5]["test_accuracy"] = 0.98
    assert "is 0.95 percentage points above the best" in cnn_dense_layers._finding(result)
    result["config"]["dense"] = [[6, 6]]
    assert cnn_dense_layers._finding(result).startswith("Too few networks")


def test_dense_study_tabulates_parameters_and_divergences():
    result = dense_result()
    for run in result["runs"]:
        if run["dense"] == [6]:
            run |= {"diverged": "loss is nan", "test_accuracy": None}
    (table,) = cnn_dense_layers.tables(result)
    assert table.rows[1] == ("6", *["diverged"] * 4)
    assert table.rows[0][:2] == ("none", "1,000")
    assert table.rows[2][4] == "0.9655 (0.9650 to 0.9660)"
    assert len(cnn_dense_layers.draw(result)["accuracy"].axes[0].get_xticklabels()) == 2


# --- cnn-outputs ---------------------------------------------------------------------------------


def outputs_result():
    result = stored("cnn-outputs")
    result["config"]["rates"] = [0.001, 0.01]
    one, two = result["config"]["pairs"]
    result["runs"] = [
        a_run(pair=pair, rate=rate, validation_accuracy=[0.5, seen], test_accuracy=test)
        for pair, rate, seen, test in (
            (one, 0.001, 0.9, 0.91),
            (one, 0.01, 0.8, 0.92),
            (two, 0.001, 0.7, 0.8),
            (two, 0.01, 0.75, 0.81),
        )
    ]
    return result


def test_outputs_study_shows_each_pair_at_its_best_rate():
    result = outputs_result()
    left, right = cnn_outputs.draw(result)["accuracy"].axes
    np.testing.assert_allclose(lines(left)["sigmoid, log loss"], [[0.001, 0.01], [0.8, 0.81]])
    np.testing.assert_allclose(lines(right)["softmax, cross-entropy"][1], [0.5, 0.9])
    np.testing.assert_allclose(lines(right)["sigmoid, log loss"][1], [0.5, 0.75])
    (table,) = cnn_outputs.tables(result)
    assert [row[:2] for row in table.rows] == [
        ("softmax, cross-entropy", "0.001"),
        ("sigmoid, log loss", "0.01"),
    ]
    assert [row[-1] for row in table.rows] == ["0.9100", "0.8100"]
    assert cnn_outputs._finding(result) == (
        "Best: softmax, cross-entropy (0.9100); last: sigmoid, log loss (0.8100), each at its own "
        "best rate"
    )


def test_outputs_study_says_what_diverged():
    result = outputs_result()
    for run in result["runs"][:2]:
        run |= {"diverged": "loss is nan", "test_accuracy": None}
    (table,) = cnn_outputs.tables(result)
    assert table.rows[0] == ("softmax, cross-entropy", *["diverged"] * 4)
    assert cnn_outputs._finding(result) == "Too few networks to compare"
    cnn_outputs.draw(result)


def test_every_pair_of_output_and_loss_is_one_that_a_network_takes(data):
    for output, loss in cnn_outputs.PAIRS.values():
        config = convolution.network_config(data, maps=(3,), dense=(), output=output, loss=loss)
        assert (config.dense[-1].activation, config.loss) == (output, loss)


# --- cnn-optimizers ------------------------------------------------------------------------------


def optimizers_result():
    result = stored("cnn-optimizers")
    result["runs"] = [
        a_run(optimizer=optimizer, schedule=schedule, rate=1.0, test_accuracy=test)
        for optimizer, schedule, test in (
            ("rmsprop", "none", 0.9),
            ("sgd", "none", 0.95),
            ("rmsprop", "cosine", 0.97),
        )
    ]
    return result


def test_optimizers_and_schedules_are_two_groups_that_share_rmsprop_without_a_schedule():
    result = optimizers_result()
    optimizers, schedules = cnn_optimizers.tables(result)
    assert [(row[0], row[1], row[-1]) for row in optimizers.rows] == [
        ("rmsprop", "0.001", "0.9000"),
        ("sgd", "0.01", "0.9500"),
    ]
    assert [(row[0], row[1], row[-1]) for row in schedules.rows] == [
        ("none", "0.001", "0.9000"),
        ("cosine", "0.001", "0.9700"),
    ]
    figures = cnn_optimizers.draw(result)
    left, right = figures["schedules"].axes
    assert set(lines(left)) == set(lines(right)) == {"none", "cosine"}
    np.testing.assert_allclose(lines(left)["cosine"], [[1.0], [0.97]])
    assert set(lines(figures["optimizers"].axes[0])) == {"rmsprop", "sgd"}


def test_a_diverged_optimizer_is_named_and_not_ranked():
    result = optimizers_result()
    result["runs"][1] |= {"diverged": "loss is nan", "test_accuracy": None}
    optimizers, _ = cnn_optimizers.tables(result)
    assert optimizers.rows[1] == ("sgd", *["diverged"] * 5)
    groups = cnn_optimizers.by_optimizer(result)
    assert cnn_optimizers._finding(groups) == "Too few networks to compare"


@pytest.mark.parametrize(
    ("schedule", "share"), [("none", 1), ("power", 1 / 1.6), ("exponential", 1 / 64), ("cosine", 0)]
)
def test_schedules_end_where_their_description_says(data, schedule, share):
    settings = cnn_optimizers.schedule_settings(schedule, n_epochs=6, n_batches=100)
    config = convolution.network_config(data, maps=(3,), dense=(), learning_rate=0.002, **settings)
    assert learning_rate_at(config, 0) == 0.002
    assert learning_rate_at(config, 600) == pytest.approx(0.002 * share, abs=1e-9)


# --- cnn-augmentation ----------------------------------------------------------------------------


def build(data, *, change_images, regularize):
    return augmented.build_augmented(
        data,
        maps=(3, 4),
        dense=6,
        change_images=change_images,
        regularize=regularize,
        n_steps=8,
        seed=0,
    )


@needs_keras
def test_augmented_networks_change_images_in_training_alone(data):
    model = build(data, change_images=True, regularize=False)
    changers = [layer for layer in model.layers if layer.name.startswith("random")]
    images = data.X_train[:20]
    moved = images
    for layer in changers:
        np.testing.assert_array_equal(np.asarray(layer(images, training=False)), images)
        moved = np.asarray(layer(moved, training=True))
    assert len(changers) == 2 and moved.shape == images.shape
    assert (np.abs(moved - images).max(axis=(1, 2, 3)) > 0).all()
    assert moved.min() >= images.min() - 1e-4 and moved.max() <= images.max() + 1e-4


@needs_keras
def test_what_is_added_is_what_the_way_says(data):
    plain = build(data, change_images=False, regularize=False)
    full = build(data, change_images=False, regularize=True)
    settings = convolution.network_config(data, maps=(3, 4), dense=(6,))
    assert plain.count_params() == settings.n_parameters
    assert full.count_params() == settings.n_parameters + 4 * (3 + 4 + 6)
    kinds = [type(layer).__name__ for layer in full.layers]
    assert kinds.count("BatchNormalization") == 3 and kinds.count("Dropout") == 1
    for one, other in zip(plain.trainable_weights, build(
        data, change_images=False, regularize=False
    ).trainable_weights, strict=True):  # fmt: skip
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))  # the seed decides


@needs_keras
@pytest.mark.soak
def test_an_augmented_training_is_measured_on_the_test_images_at_its_end_and_repeatable(data):
    ticks = []
    network = {"maps": (3,), "dense": 6, "change_images": True, "regularize": True}
    arguments = {"n_epochs": 2, "batch_size": 25, "seed": 3, **network}
    one = augmented.train_augmented(data, tick=lambda: ticks.append(1), **arguments)
    other = augmented.train_augmented(data, tick=lambda: ticks.append(1), **arguments)
    assert len(ticks) == 4 and one == other
    assert one["n_wrong"] == round((1 - one["test_accuracy"]) * len(data.y_test))
    assert len(one["train_accuracy"]) == len(one["validation_accuracy"]) == 2


def augmentation_result():
    result = stored("cnn-augmentation")
    result["n_test"] = 1000
    for run, wrong in zip(result["runs"], (90, 60), strict=True):
        run |= {"n_wrong": wrong, "test_accuracy": 1 - wrong / 1000}
    return result


def test_augmentation_study_counts_wrong_images():
    result = augmentation_result()
    assert cnn_augmentation._finding(result) == (
        "Of 1,000 test images 60 are wrong with both, and 90 with neither"
    )
    (table,) = cnn_augmentation.tables(result)
    assert [(row[0], row[4], row[5]) for row in table.rows] == [
        ("neither", "0.9100", "90"),
        ("both", "0.9400", "60"),
    ]


def test_augmentation_study_draws_both_courses():
    result = augmentation_result()
    left, right = cnn_augmentation.draw(result)["course"].axes
    plain, both = result["runs"]
    np.testing.assert_allclose(lines(left)["neither"][1], plain["train_accuracy"])
    np.testing.assert_allclose(lines(right)["both"][1], both["validation_accuracy"])
