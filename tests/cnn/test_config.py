"""CNNConfig, its counts, receptive fields and rates: published numbers, and bad input."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from fastmlp.cnn import (
    CNNConfig,
    ConvLayer,
    DenseLayer,
    PoolLayer,
    layer_table,
    learning_rate_at,
    receptive_fields,
)
from fastmlp.cnn.compare import dense_config
from fastmlp.cnn.geometry import field_of_node, format_table

PUBLISHED_RATES = {
    "C3b": {
        13: 7.5792e-5,
        19: 5.3129e-5,
        22: 4.6219e-5,
        30: 3.4317e-5,
        55: 1.9015e-5,
        69: 1.5216e-5,
        70: 1.5002e-5,
        76: 1.3834e-5,
    },
    "C3c": {15: 6.6357e-5, 23: 4.4299e-5, 35: 2.9560e-5},
}
BATCHES_PER_EPOCH = 938


@pytest.mark.parametrize(
    ("name", "count"), [("C2", 96_844), ("C3a", 250_994), ("C3b", 250_994), ("C3c", 232_242)]
)
def test_articles_networks_have_the_published_numbers_of_parameters(name, count):
    assert CNNConfig.article(name).n_parameters == count


def test_parts_of_the_parameter_count_are_those_of_the_article():
    counts = [layer.n_parameters for layer in layer_table(CNNConfig.article("C2"))]
    assert [n for n in counts if n] == [320, 18_496, 36_928, 40_390, 710]
    assert 40_390 + 710 == 41_100


def test_dense_network_of_the_device_experiment_has_407050_parameters():
    assert dense_config((28, 28, 1)).n_parameters == 407_050


def test_thirteen_convolutions_without_pooling_need_1568512_parameters():
    maps = [32, 64, 128] + [128] * 10
    one_pixel = tuple(PoolLayer(1) for _ in maps[1:])
    config = CNNConfig(tuple(ConvLayer(n) for n in maps), one_pixel, (DenseLayer(10, "softmax"),))
    conv = sum(layer.n_parameters for layer in layer_table(config) if layer.kind == "conv")
    assert conv == 1_568_512
    assert receptive_fields(config)["conv_13"] == (27, 27)


def test_receptive_fields_of_the_article_are_3_4_8_10_18():
    fields = receptive_fields(CNNConfig.article("C2"))
    assert list(fields) == ["Conv2D_1", "Max_Pool_1", "Conv2D_2", "Max_Pool_2", "Conv2D_3"]
    assert list(fields.values()) == [(n, n) for n in (3, 4, 8, 10, 18)]


def test_chained_convolutions_cover_what_the_first_article_says():
    config = CNNConfig((ConvLayer(2, 3), ConvLayer(2, 4)), (PoolLayer(1),))
    table = {layer.name: layer for layer in layer_table(config)}
    assert table["conv_1"].output[:2] == (26, 26)
    assert table["conv_2"].output[:2] == (23, 23)
    assert table["conv_2"].field == (6, 6)
    rows = [field_of_node(config, "conv_2", 0, column)[1] for column in (0, 1)]
    assert (rows[0].start, rows[1].stop) == (0, 7)


def test_rectangular_kernels_see_rectangles():
    config = CNNConfig((ConvLayer(2, (3, 5)), ConvLayer(2, (1, 3))), (PoolLayer((2, 1)),))
    assert receptive_fields(config)["conv_2"] == (4, 7)


@pytest.mark.parametrize("name", PUBLISHED_RATES)
def test_power_schedule_gives_the_published_rates_to_all_digits(name):
    config = CNNConfig.article(name)
    for epoch, rate in PUBLISHED_RATES[name].items():
        assert f"{learning_rate_at(config, epoch * BATCHES_PER_EPOCH):.4e}" == f"{rate:.4e}"


def test_momenta_of_the_articles_are_those_of_their_variable():
    momenta = {name: CNNConfig.article(name).momentum for name in ("C2", "C3a", "C3b", "C3c")}
    assert momenta == {"C2": 0.0, "C3a": 0.6, "C3b": 0.5, "C3c": 0.9}
    assert replace(CNNConfig.article("C3b"), momentum=0.8).momentum == 0.8


def test_layers_get_names_and_keep_given_ones():
    config = CNNConfig(dense=(DenseLayer(5, name="mine"), DenseLayer(10, "softmax")))
    names = [layer.name for layer in layer_table(config)]
    assert names == ["conv_1", "pool_1", "conv_2", "pool_2", "conv_3", "flatten", "mine", "output"]


def test_configuration_is_frozen_and_survives_json():
    config = CNNConfig.article("C3c")
    with pytest.raises(FrozenInstanceError):
        config.momentum = 0.1
    assert CNNConfig.from_dict(config.to_dict()) == config
    own = replace(config, regularizer=lambda w: 0.0, l2=0.0)
    assert own.to_dict()["regularizer"] == "own: <lambda>"
    with pytest.raises(ValueError, match=r"unknown settings \['color'\]"):
        CNNConfig.from_dict({"color": 1})


def test_table_names_layers_sizes_and_sum():
    text = format_table(CNNConfig.article("C2"))
    assert "Conv2D_3" in text
    assert "18 x 18" in text
    assert text.endswith("96,844 parameters")


def mean_square(w):
    return (w * w).mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pools": (PoolLayer(2),)}, "pools must have 2 layers, one less than the 3 convolutions"),
        ({"conv": (ConvLayer(2),)}, "pools must have 0 layers.*got 2"),
        ({"dense": (DenseLayer(1, "sigmoid"),)}, "nodes of the output must be at least 2; got 1"),
        ({"dense": ()}, "dense must have at least one layer"),
        ({"dense": (DenseLayer(10),)}, r"activation of the output \(dense\[0\]\) must be one of"),
        ({"dense": (DenseLayer(3, "softmax"), DenseLayer(3, "softmax"))}, "must not be softmax"),
        ({"input_shape": (28, 28)}, r"input_shape must be \(height, width, channels\)"),
        ({"input_shape": (9, 9, 1)}, "layer 'pool_2' has a window of 2 x 2 but gets .* 1 x 1"),
        ({"regularizer": "l3"}, "regularizer must be one of 'l1', 'l2', 'l1_l2'; got 'l3'"),
        ({"optimizer": "adagrad"}, "optimizer must be one of"),
        ({"optimizer": "nadam", "momentum": 0.5}, "momentum must be 0 with 'nadam'"),
        ({"momentum": 1.0}, "momentum must be a finite number, 0 to 0.9999"),
        ({"schedule": "powerSched"}, "schedule must be one of 'none', 'power'"),
        ({"schedule": "exponential", "decay_rate": 1e-5}, "would end the training at once"),
        ({"schedule": "exponential", "decay_rate": 2.0}, "decay_rate must be .*0 to 1"),
        ({"schedule": "cosine", "decay_rate": 0.1}, "batches of the whole run"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"loss": "binary_crossentropy"}, "'binary_crossentropy' needs 'sigmoid' outputs; got 'so"),
        (
            {"dense": (DenseLayer(4, "sigmoid"),)},
            "'categorical_crossentropy' needs 'softmax' outputs; got 'sigmoid'. Keras would",
        ),
        ({"metrics": ("accuracy", "f1")}, r"metrics\[1\] must be one of"),
        ({"metrics": "accuracy"}, "metrics must be a sequence"),
        ({"l2": -1.0}, "l2 must be a finite number, at least 0"),
        ({"l2": 0.1}, "l2 must be 0 with regularizer 'none', which does not use it; got 0.1"),
        ({"l1": 0.1, "regularizer": "l2"}, "l1 must be 0 with regularizer 'l2'"),
        ({"l2": 0.1, "regularizer": mean_square}, "l2 must be 0 with regularizer 'mean_square'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dense": (DenseLayer(4, name="conv_1"), DenseLayer(2, "softmax"))}, "given twice"),
    ],
)
def test_configurations_that_do_not_work_are_refused_with_a_sentence(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CNNConfig(**changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvLayer(0), "maps must be at least 1"),
        (lambda: ConvLayer(2, (3, 3, 3)), "kernel must be one or two numbers"),
        (lambda: ConvLayer(2, activation="gelu"), "activation of a convolution must be one of"),
        (lambda: PoolLayer(2, "median"), "kind of a pooling must be one of"),
        (lambda: DenseLayer(2.5), "nodes must be an integer"),
        (lambda: ConvLayer(2, name="a b"), "name of a layer must be a string without spaces"),
        (lambda: CNNConfig.article("C4"), "name must be one of 'C2', 'C3a', 'C3b', 'C3c'"),
        (lambda: CNNConfig(conv=(3,)), r"conv\[0\] must be a ConvLayer"),
        (lambda: field_of_node(CNNConfig(), "conv_9", 0, 0), "layer must be one of"),
        (lambda: field_of_node(CNNConfig(), "conv_3", 3, 0), "must lie within 3 x 3 nodes"),
    ],
)
def test_layers_that_do_not_work_are_refused_with_a_sentence(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


def test_importing_fastmlp_and_its_cnn_part_loads_no_tensorflow():
    code = (
        "import sys, fastmlp, fastmlp.cnn, fastmlp.callbacks.live_plot;"
        "fastmlp.cnn.CNNConfig.article('C2');"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
