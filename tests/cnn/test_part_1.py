"""CNN I: the article's examples of kernels, strides, padding, pooling and receptive fields."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, needs_keras

from fastmlp.cnn import (
    CNN,
    CNNConfig,
    ConvLayer,
    DenseLayer,
    PoolLayer,
    layer_table,
    receptive_fields,
)
from fastmlp.cnn.articles import build_cnn_simple
from fastmlp.cnn.geometry import field_of_node, seen_by_node
from fastmlp.cnn.maps import plot_receptive_fields
from fastmlp.exchange.keras import kernel_and_bias
from fastmlp.network.network import Network
from fastmlp.plots.headline import finding_of, title_of

pytestmark = KERAS_SAVES_BY_COPY  # also where it reads weights
OUTPUT = (DenseLayer(10, "softmax"),)
CHAIN = CNNConfig((ConvLayer(2, 3), ConvLayer(2, 4)), (None,), OUTPUT)
"""3 x 3, then 4 x 4, stride 1, no pooling between, on 28 x 28 pixels."""

UNUSUAL = {
    "stride": CNNConfig((ConvLayer(2, 3, stride=2),), (), OUTPUT, input_shape=(9, 9, 1)),
    "stride larger than the kernel": CNNConfig(
        (ConvLayer(2, 2, stride=3), ConvLayer(3, 2)), (None,), OUTPUT, input_shape=(12, 11, 1)
    ),
    "padding": CNNConfig(
        (ConvLayer(2, 3, padding="same"), ConvLayer(2, 4, padding="same")),
        (None,),
        OUTPUT,
        input_shape=(7, 8, 1),
    ),
    "padding with a stride": CNNConfig(
        (ConvLayer(2, (5, 3), stride=(2, 3), padding="same"), ConvLayer(2, 3, padding="same")),
        (PoolLayer(2, "average"),),
        OUTPUT,
        input_shape=(15, 14, 2),
    ),
    "rectangles": CNNConfig(
        (ConvLayer(2, (3, 5)), ConvLayer(2, (1, 3))),
        (PoolLayer((2, 1), "average"),),
        OUTPUT,
        input_shape=(12, 16, 1),
    ),
    "overlapping pools": CNNConfig(
        (ConvLayer(2, 3), ConvLayer(2, 2)),
        (PoolLayer(3, "average", stride=2),),
        OUTPUT,
        input_shape=(14, 14, 1),
    ),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def sizes(config):
    return [layer.output for layer in layer_table(config) if layer.kind in ("conv", "pool")]


def test_a_kernel_of_3_with_stride_2_makes_4_x_4_nodes_of_9_x_9_pixels():
    assert sizes(UNUSUAL["stride"]) == [(4, 4, 2)]


def test_chained_convolutions_make_26_and_23_and_neighbors_see_6_x_7():
    assert sizes(CHAIN) == [(26, 26, 2), (23, 23, 2)]
    assert receptive_fields(CHAIN)["conv_2"] == (6, 6)
    (rows, left), (_, right) = (field_of_node(CHAIN, "conv_2", 0, column) for column in (0, 1))
    assert (rows, left.start, right.stop) == (slice(0, 6), 0, 7)
    assert seen_by_node(CHAIN, "conv_2", 0, 1)["conv_1"] == (slice(0, 4), slice(1, 5))


def test_two_kernels_of_3_with_stride_2_see_7_x_7_and_neighbors_11():
    config = CNNConfig((ConvLayer(2, 3, stride=2), ConvLayer(2, 3, stride=2)), (None,), OUTPUT)
    assert receptive_fields(config)["conv_2"] == (7, 7)
    assert field_of_node(config, "conv_2", 0, 1)[1] == slice(4, 11)


def test_thirteen_convolutions_without_pooling_have_1568512_parameters():
    maps = [32, 64, 128] + [128] * 10
    config = CNNConfig(tuple(ConvLayer(n) for n in maps), (None,) * 12, OUTPUT)
    assert sum(t.n_parameters for t in layer_table(config) if t.kind == "conv") == 1_568_512
    assert receptive_fields(config)["conv_13"] == (27, 27)


def test_pooling_steps_by_its_side_unless_a_stride_is_given():
    def pooled(pool):
        return sizes(CNNConfig((ConvLayer(2, 3), ConvLayer(2, 2)), (pool,), OUTPUT))[1]

    assert pooled(PoolLayer(4)) == pooled(PoolLayer(4, stride=4)) == (6, 6, 2)
    assert pooled(PoolLayer(4, stride=2)) == (12, 12, 2)


@needs_keras
@pytest.mark.parametrize("name", UNUSUAL)
def test_keras_has_the_computed_sizes_parameters_and_receptive_fields(name):
    """All weights 1 and average pooling: a node changes with exactly the pixels that it sees."""
    from keras import ops

    from fastmlp.cnn.maps.activations import layer_model

    config = UNUSUAL[name]
    height, width, channels = config.input_shape
    cnn = CNN(config, seed=0, device="cpu")
    assert cnn.model.count_params() == config.n_parameters
    cnn.set_weights([np.ones_like(weights) for weights in cnn.copy_weights()])
    images = np.ones((height * width + 1, height, width, channels), "f4")
    images[:-1] += np.eye(height * width, dtype="f4").reshape(-1, height, width, 1)
    for layer in layer_table(config)[: -1 - len(config.dense)]:
        answers = ops.convert_to_numpy(layer_model(cnn, layer.name)(images))
        assert answers.shape[1:] == layer.output
        changed = (answers[:-1, ..., 0] != answers[-1, ..., 0]).reshape(height, width, -1)
        for number, node in enumerate(np.ndindex(layer.output[:2])):
            for part, axis in zip(field_of_node(config, layer.name, *node), (1, 0), strict=True):
                there = np.flatnonzero(changed[..., number].any(axis=axis))
                assert (there[0], there[-1] + 1) == (part.start, part.stop), (layer, node)


@needs_keras
def test_the_lists_of_the_articles_take_no_pooling_and_layers_with_strides_and_padding():
    cnn = build_cnn_simple(
        [[4, (3, 5), 0], ConvLayer(6, 3, stride=2, padding="same"), [5, 2, "elu"]],
        [None, PoolLayer(3, "average", stride=2)],
        [[8, 0], DenseLayer(3, "softmax")],
        (12, 14, 1),
    )
    names = " ".join(layer.name for layer in cnn.layers)
    assert names == "Conv2D_1 Conv2D_2 Max_Pool_2 Conv2D_3 flatten Dense_1 Dense_2"
    outputs = [layer.output.shape[1:] for layer in cnn.layers[:4]]
    assert outputs == [(10, 10, 4), (5, 5, 6), (2, 2, 6), (1, 1, 5)]


@needs_keras
def test_the_matrix_of_a_dense_layer_is_units_before_times_units_after_and_converts():
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    kernel, bias = model.get_weights()
    assert (kernel.shape, bias.shape) == ((6, 4), (4,))
    weights = Network([6, 4]).weights[0]  # (4, 1 + 6), the bias in column 0
    kernel, bias = kernel_and_bias(weights)
    np.testing.assert_array_equal(kernel, weights[:, 1:].T)
    np.testing.assert_array_equal(bias, weights[:, 0])


def rectangles(axis):
    """(left, top, width, height) of what is filled in a panel."""
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axis.patches]


def test_the_drawing_has_a_panel_for_every_layer_and_what_both_nodes_see_in_it():
    figure = plot_receptive_fields(CHAIN, "conv_2", [(10, 10), (10, 11)])
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["image\n28 x 28", "conv_1\n26 x 26", "conv_2\n23 x 23"]
    assert rectangles(figure.axes[0]) == [(10, 10, 6, 6), (11, 10, 6, 6)]
    assert rectangles(figure.axes[1]) == [(10, 10, 4, 4), (11, 10, 4, 4)]
    assert rectangles(figure.axes[2]) == [(10, 10, 1, 1), (11, 10, 1, 1)]
    assert title_of(figure) == "A node of conv_2 sees 6 x 6 pixels"
    assert finding_of(figure) == "The other node sees as many, both together 6 x 7."


def test_the_drawing_of_one_node_shows_the_image_and_counts_no_padding():
    config = UNUSUAL["padding"]
    figure = plot_receptive_fields(config, "conv_2", [(0, 0)], image=np.eye(7, 8))
    assert rectangles(figure.axes[0]) == [(0, 0, 4, 4)]  # of 6 x 6, two are padding
    assert len(figure.axes[0].images) == 1
    assert figure.get_suptitle() == "A node of conv_2 sees 4 x 4 pixels"
    figure = plot_receptive_fields(config, "conv_2", [(0, 0), (3, 3)])
    assert title_of(figure).endswith("4 x 4 pixels")
    assert finding_of(figure) == "The other node sees 6 x 6, both together 7 x 7."


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("conv_3",), {}, "layer must be one of 'conv_1', 'conv_2'; got 'conv_3'"),
        (("conv_2", [(23, 0)]), {}, r"within 23 x 23 nodes of 'conv_2'; got \(23, 0\)"),
        (("conv_2", []), {}, r"nodes must be one or two pairs \(row, column\); got 0"),
        (("conv_2",), {"image": np.ones((28, 27))}, r"28 x 28 pixels.* got shape \(28, 27\)"),
    ],
)
def test_a_drawing_of_what_is_not_there_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        plot_receptive_fields(CHAIN, *arguments, **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvLayer(2, stride=0), "stride must be at least 1; got 0"),
        (lambda: ConvLayer(2, padding="full"), "padding of a convolution must be one of 'valid'"),
        (lambda: PoolLayer(2, stride=(1, 2, 3)), "stride must be one or two numbers"),
        (lambda: CNNConfig(pools=(3, None)), r"pools\[0\] must be a PoolLayer or None; got 3"),
        (lambda: CNNConfig(dense=(DenseLayer(5, name="image"), *OUTPUT)), "must not be 'image' or"),
    ],
)
def test_layers_that_do_not_work_are_named(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


def test_a_configuration_with_them_survives_json():
    for config in (*UNUSUAL.values(), CHAIN):
        assert CNNConfig.from_dict(config.to_dict()) == config
