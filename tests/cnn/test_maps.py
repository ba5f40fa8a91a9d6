"""maps, filters, patterns, refinement, matching, and their figures."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import bars, needs_keras, small_cnn
from sklearn.exceptions import ConvergenceWarning

from fastmlp.cnn import ConvLayer, DenseLayer, PoolLayer
from fastmlp.cnn.maps import plots
from fastmlp.cnn.maps.matching import Matching, map_correlations, match_maps
from fastmlp.cnn.maps.mosaic import columns_for, mosaic, stretched
from fastmlp.cnn.maps.oip import (
    OIP,
    Ascent,
    _gradient_function,
    climb,
    find_oip,
    find_oips,
    format_oips,
    refine,
)
from fastmlp.cnn.maps.oip_starts import standardized, start_images
from fastmlp.plots.headline import finding_of, title_of

pytestmark = needs_keras
X, Y = bars(120)
FAST = Ascent(max_steps=25)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def trained():
    cnn = small_cnn(optimizer="adam", learning_rate=0.01)
    cnn.fit(X, Y, epochs=3)
    return cnn


def title(figure):
    found = title_of(figure) or figure.axes[0].get_title(loc="left")
    assert len(found) <= 60 and "\n" not in found
    return found


def test_maps_of_every_layer_have_the_computed_sizes(trained):
    from fastmlp.cnn import layer_table
    from fastmlp.cnn.maps.activations import activation_maps

    for layer in layer_table(trained.config):
        if layer.kind in ("conv", "pool"):
            assert activation_maps(trained, layer.name, X[:3]).shape == (3, *layer.output)
    with pytest.raises(ValueError, match="layer must be one of 'conv_1', 'pool_1', 'conv_2'"):
        activation_maps(trained, "dense_1", X[:3])


def test_pooled_maps_are_maxima_or_means_of_the_maps_before(trained):
    from fastmlp.cnn.maps.activations import activation_maps

    before, after = (activation_maps(trained, name, X[:5]) for name in ("conv_1", "pool_1"))
    blocks = before.reshape(5, 4, 2, 4, 2, 4)
    np.testing.assert_allclose(after, blocks.max(axis=(2, 4)), rtol=1e-6)
    average = small_cnn(pools=(PoolLayer(2, "average"),))
    before, after = (activation_maps(average, name, X[:5]) for name in ("conv_1", "pool_1"))
    blocks = before.reshape(5, 4, 2, 4, 2, 4)
    np.testing.assert_allclose(after, blocks.mean(axis=(2, 4)), rtol=1e-5, atol=1e-6)


def test_class_activations_are_means_of_the_dense_layer_by_label(trained):
    from fastmlp.cnn.maps.activations import class_activations, layer_output

    means = class_activations(trained, X, Y)
    outputs = layer_output(trained, "dense_1", X)
    np.testing.assert_allclose(means[1], outputs[Y == 1].mean(axis=0), rtol=1e-5)
    assert np.isnan(class_activations(trained, X[Y != 2], Y[Y != 2])[2]).all()
    with pytest.raises(ValueError, match="layer must be one of 'dense_1', 'output'"):
        class_activations(trained, X, Y, "conv_1")
    with pytest.raises(ValueError, match="y must have shape"):
        class_activations(trained, X, Y[:-1])


def test_clear_nodes_answer_more_than_twice_as_much_to_one_class():
    from fastmlp.cnn.maps.activations import clear_nodes

    means = [[5.0, 5.0, 0.0, 1.0, np.nan], [2.4, 2.6, 0.0, -3.0, 2.0], [0.0, 0.0, 0.0, -9.0, 0.5]]
    assert clear_nodes(means) == 3  # the first, the fourth and the fifth


def test_dense_layers_agree_with_the_engine_and_weights_go_both_ways(trained):
    from fastmlp.cnn.bridge import dense_tail, features, set_dense_tail

    network = dense_tail(trained)
    seen = features(trained, X)
    np.testing.assert_allclose(network.predict(seen), trained.predict(X), atol=1e-5)
    assert network.functions == ("relu", "softmax")
    assert network.weights[0].shape == (8, seen.shape[1] + 1)
    other = small_cnn(9)
    set_dense_tail(other, network)
    np.testing.assert_allclose(network.predict(features(other, X)), other.predict(X), atol=1e-5)
    for name in ("dense_1", "output"):
        for a, b in zip(
            *(c.model.get_layer(name).get_weights() for c in (other, trained)), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="network must have the sizes"):
        set_dense_tail(small_cnn(dense=(DenseLayer(9), DenseLayer(3, "softmax"))), network)


def test_features_train_an_mlp_classifier_as_good_as_the_dense_tail(trained):
    import fastmlp
    from fastmlp.cnn.bridge import features

    mlp = fastmlp.MLPClassifier((8,), max_iter=60, random_state=0, learning_rate_init=0.01)
    with pytest.warns(ConvergenceWarning):
        mlp.fit(features(trained, X), Y)
    images, labels = bars(100, seed=5)
    cnn_accuracy = trained.evaluate(images, labels).accuracy
    assert mlp.score(features(trained, images), labels) >= cnn_accuracy - 0.1


def test_start_images_are_standardized_seeded_and_rough_or_smooth_by_scale():
    shape = (28, 28, 1)
    images = start_images(20, shape, np.random.default_rng(0))
    assert images.shape == (20, *shape)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 1, rtol=1e-5)
    same = start_images(20, shape, np.random.default_rng(0))
    np.testing.assert_array_equal(images, same)
    roughness = [
        np.abs(np.diff(start_images(20, shape, np.random.default_rng(1), [side]), axis=1)).mean()
        for side in (3, 7, 14, 28)
    ]
    assert roughness == sorted(roughness, reverse=True)
    rngs = [np.random.default_rng(2) for _ in "ab"]
    np.testing.assert_allclose(
        start_images(4, shape, rngs[0], (3, 14), (2.0, 0.0)),
        start_images(4, shape, rngs[1], (3,), (1.0,)),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="scales must have at least one side"):
        start_images(1, shape, np.random.default_rng(0), ())
    with pytest.raises(ValueError, match="weights must have 2 numbers; got 1"):
        start_images(1, shape, np.random.default_rng(0), (3, 7), (1.0,))
    np.testing.assert_array_equal(standardized(np.full((1, 4, 4, 1), 7.0)), 0)


def test_gradients_of_mean_activations_agree_with_finite_differences():
    cnn = small_cnn(
        conv=(ConvLayer(4, 3, "tanh"), ConvLayer(6, 3, "tanh")), pools=(PoolLayer(2, "average"),)
    )
    gradient_of = _gradient_function(cnn, "conv_2")
    maps = np.array([1, 5])
    loss, gradient = gradient_of(X[:2], maps)
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.normal(size=X[:2].shape).astype(np.float32)
        h = 1e-2
        up, _ = gradient_of(X[:2] + h * direction, maps)
        down, _ = gradient_of(X[:2] - h * direction, maps)
        expected = (gradient * direction).sum(axis=(1, 2, 3))
        np.testing.assert_allclose((up - down) / (2 * h), expected, rtol=0.02, atol=1e-4)
    from fastmlp.cnn.maps.activations import activation_maps

    np.testing.assert_allclose(
        loss,
        [activation_maps(cnn, "conv_2", X[i : i + 1])[..., m].mean() for i, m in enumerate(maps)],
        atol=1e-6,
    )


def test_losses_never_fall_and_images_stay_standardized(trained):
    starts = start_images(6, (10, 10, 1), np.random.default_rng(0), (3, 7))
    images, losses = climb(trained, "conv_2", starts, np.arange(6), FAST)
    for course in losses:
        assert (np.diff(course) >= 0).all()
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    assert any(course[-1] > 1.3 * course[0] for course in losses if course[0] > 0)


def test_a_step_is_halved_until_it_is_too_small_where_nothing_rises(trained):
    seen = []

    def falling(x, maps):
        seen.append(x.copy())
        return np.full(len(x), -float(len(seen))), np.ones_like(x) * X[:1]

    start = standardized(X[5:6])
    images, (course,) = climb(trained, "conv_2", start, np.array([0]), Ascent(), falling)
    np.testing.assert_array_equal(images, start)
    assert len(course) == 8  # 0.2, 0.1, ... 0.003 are tried; 0.0016 is below the least step
    changes = [np.sqrt(((x - start) ** 2).mean()) for x in seen[1:]]
    np.testing.assert_allclose(np.divide(changes[:-1], changes[1:]), 2, rtol=0.2)


def test_an_ascent_ends_when_it_stagnates_and_at_the_latest_after_its_steps(trained):
    start, maps = standardized(X[:1]), np.array([0])
    for rise, patience, n_steps in ((1e-5, 4, 4), (1e-5, 9, 9), (0.1, 4, 30)):
        calls = iter(range(1000))

        def rising(x, maps, calls=calls, rise=rise):
            return np.array([1.0 + rise * next(calls)]), np.ones_like(x) * X[:1]

        ascent = Ascent(max_steps=30, patience=patience)
        _, (course,) = climb(trained, "conv_2", start, maps, ascent, rising)
        assert len(course) == n_steps + 1


def test_the_best_of_the_climbers_that_answer_most_is_the_pattern(trained):
    from fastmlp.cnn.maps.oip import mean_activations

    starts = start_images(40, (10, 10, 1), np.random.default_rng(6))
    first = np.argsort(-mean_activations(trained, "conv_2", starts)[:, 2])[:4]
    images, courses = climb(trained, "conv_2", starts[first], np.full(4, 2), FAST)
    ends = np.array([course[-1] for course in courses])
    assert ends.max() > 1.01 * ends.min()
    oip = find_oip(trained, "conv_2", 2, n_starts=40, n_climbers=4, ascent=FAST, seed=6)
    assert oip.activation == pytest.approx(ends.max(), rel=1e-3)
    np.testing.assert_allclose(oip.image, images[ends.argmax()], atol=0.02)


def test_pattern_answers_more_than_any_of_many_random_images(trained):
    from fastmlp.cnn.maps.activations import activation_maps

    oips = find_oips(trained, "conv_2", n_starts=60, ascent=FAST, seed=3)
    random = start_images(500, (10, 10, 1), np.random.default_rng(8))
    answers = activation_maps(trained, "conv_2", random).mean(axis=(1, 2))
    assert [oip.map for oip in oips] == list(range(6))
    for oip in oips:
        if oip.found:
            assert oip.activation > answers[:, oip.map].max()
            seen = activation_maps(trained, "conv_2", oip.image[np.newaxis])[..., oip.map].mean()
            assert seen == pytest.approx(oip.activation, rel=1e-4)


def test_pattern_of_a_single_linear_filter_is_its_own_weights():
    """One tanh map that covers the whole image: the best standardized image is its kernel."""
    cnn = small_cnn(conv=(ConvLayer(1, 10, "tanh"),), pools=(), side=10)
    layer = cnn.model.get_layer("conv_1")
    kernel = np.random.default_rng(0).normal(0, 0.01, (10, 10, 1, 1)).astype(np.float32)
    layer.set_weights([kernel, np.zeros(1)])
    oip = find_oip(cnn, "conv_1", 0, n_starts=20, ascent=Ascent(max_steps=200), seed=0)
    expected = standardized(kernel[np.newaxis, :, :, :, 0])[0]
    assert np.corrcoef(oip.image.ravel(), expected.ravel())[0, 1] > 0.995


def test_same_seed_finds_the_same_pattern(trained):
    one, same = (find_oip(trained, "conv_2", 2, n_starts=30, ascent=FAST, seed=4) for _ in "ab")
    np.testing.assert_allclose(one.image, same.image, atol=1e-4)


def test_maps_that_never_answer_are_told_and_drawn_grey(trained):
    cnn = small_cnn()
    kernel, bias = cnn.model.get_layer("conv_2").get_weights()
    bias[3] = -1000
    cnn.model.get_layer("conv_2").set_weights([kernel, bias])
    oips = find_oips(cnn, "conv_2", n_starts=30, ascent=FAST, seed=0)
    assert not oips[3].found
    assert oips[3].n_steps == 0
    assert "no start image moved the maps 3" in format_oips(oips, "conv_2")
    figure = plots.plot_oips(oips, "conv_2")
    assert title(figure) == f"conv_2: patterns found for {sum(o.found for o in oips)} of 6 maps"
    assert [text.get_text() for text in figure.axes[0].texts] == list("012345")


def test_refinement_raises_the_answer_round_by_round(trained):
    from fastmlp.cnn.maps.activations import activation_maps

    answers = activation_maps(trained, "conv_2", X[:1]).mean(axis=(0, 1, 2))
    number = int(answers.argmax())
    states = refine(trained, "conv_2", number, X[0], rounds=4)
    course = activation_maps(trained, "conv_2", np.stack(states))[..., number].mean(axis=(1, 2))
    assert len(states) > 1
    assert (np.diff(course) > 0).all()
    np.testing.assert_allclose(states[0], standardized(X[:1])[0])
    figure = plots.plot_refinement(states, "conv_2", number)
    assert f"{len(states) - 1} rounds changed the image" in finding_of(figure)
    told = finding_of(plots.plot_refinement(states, "conv_2", number, answers=course))
    assert f"raised its answer from {course[0]:.2f} to {course[-1]:.2f}, and changed" in told
    with pytest.raises(ValueError, match="answers and states must have the same number of rows"):
        plots.plot_refinement(states, "conv_2", number, answers=course[:-1])
    flat = plots.plot_refinement(states[:1], "conv_2", number)
    assert finding_of(flat) == "No small change of this image raises its answer."
    with pytest.raises(ValueError, match="image must have shape"):
        refine(trained, "conv_2", 0, X[0, :5])
    with pytest.raises(ValueError, match="image must hold finite float32 numbers; found NaN"):
        refine(trained, "conv_2", 0, np.full_like(X[0], np.nan))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cnn: find_oip(cnn, "conv_2", 6), "map must be from 0 to 5; got 6"),
        (lambda cnn: find_oip(cnn, "flatten", 0), "layer must be one of"),
        (
            lambda cnn: find_oips(cnn, "conv_2", n_starts=1, n_climbers=3),
            "n_starts must be at least 3",
        ),
        (lambda cnn: Ascent(step=0), "step must be above 0"),
        (lambda cnn: plots.plot_oips([], "conv_2"), "nothing to plot"),
        (lambda cnn: plots.plot_refinement([], "conv_2", 0), "nothing to plot"),
        (lambda cnn: plots.plot_filters(np.zeros((3, 3, 1, 4)), "conv_1", channel=1), "kernels"),
        (lambda cnn: plots.plot_class_activations(np.zeros(4), "dense_1"), "means must have"),
        (lambda cnn: plots.plot_activation_maps(np.zeros((0, 2, 2, 4)), X[:0], [], "a"), "maps"),
        (
            lambda cnn: plots.plot_activation_maps(np.zeros((2, 2, 2, 4)), X[:1], [1, 2], "a"),
            "same number of rows",
        ),
        (lambda cnn: match_maps(cnn, cnn, "conv_1", X[:1]), "X must have at least 2 images"),
    ],
)
def test_arguments_that_do_not_fit_are_named(trained, call, message):
    with pytest.raises(ValueError, match=message):
        call(trained)


def test_a_network_with_permuted_maps_is_matched_exactly(trained):
    other = small_cnn()
    other.model.set_weights(trained.model.get_weights())
    order = np.random.default_rng(0).permutation(6)
    kernel, bias = other.model.get_layer("conv_2").get_weights()
    other.model.get_layer("conv_2").set_weights([kernel[..., order], bias[order]])
    matching = match_maps(trained, other, "conv_2", X)
    alive = matching.correlations.any(axis=1)
    assert alive.sum() >= 3
    np.testing.assert_allclose(matching.matched[alive], 1, atol=1e-5)
    np.testing.assert_array_equal(order[matching.partners][alive], np.arange(6)[alive])
    assert np.median(matching.by_chance) < 0.9
    figure = plots.plot_matching(matching)
    assert f"{alive.sum()} of 6 maps have a twin above 0.9" in title(figure)


def test_correlations_are_numpys_and_constant_maps_have_none():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 3, 3, 4))
    expected = np.corrcoef(a.reshape(-1, 4).T, b.reshape(-1, 4).T)[:4, 4:]
    np.testing.assert_allclose(map_correlations(a, b), expected, atol=1e-12)
    b[..., 1] = 5.0
    np.testing.assert_array_equal(map_correlations(a, b)[:, 1], 0)


def test_networks_of_other_shapes_are_not_matched(trained):
    other = small_cnn(conv=(ConvLayer(5), ConvLayer(6)))
    with pytest.raises(ValueError, match="both networks must have the same maps in 'conv_1'"):
        match_maps(trained, other, "conv_1", X)


def test_map_figures_number_the_maps_and_count_the_answers(trained):
    from fastmlp.cnn.maps.activations import activation_maps

    maps = activation_maps(trained, "conv_2", X[:3])
    figure = plots.plot_activation_maps(maps, X[:3], ["a", "b", "c"], "conv_2", field=(6, 6))
    grids = [axis for axis in figure.axes if axis.get_xticks().size and axis.get_images()]
    assert [t.get_text() for t in figure.axes[3].get_yticklabels()] == ["0", "3"]
    assert [t.get_text() for t in figure.axes[3].get_xticklabels()] == ["+0", "+1", "+2"]
    answering = (np.abs(maps) > 1e-6).any(axis=(1, 2)).all(axis=0).sum()
    assert title(figure).startswith(f"conv_2: {answering} of 6 maps answer to all 3 images")
    assert "A node sees 6 x 6 pixels." in finding_of(figure)
    assert len(grids) >= 3
    single = plots.plot_activation_maps(maps[:1], X[:1], ["a"], "conv_2")
    assert "maps answer to this image" in title(single)


def test_filters_classes_fields_and_courses_are_drawn(trained):
    from fastmlp.cnn.geometry import field_of_node
    from fastmlp.cnn.maps.activations import class_activations, filters

    kernels = filters(trained, "conv_1")
    assert kernels.shape == (3, 3, 1, 4)
    assert "of 4 weigh one side" in finding_of(plots.plot_filters(kernels, "conv_1"))
    means = class_activations(trained, X, Y)
    figure = plots.plot_class_activations(means, "dense_1")
    assert "of 8 nodes answer more than twice as much" in finding_of(figure)
    shown = figure.axes[0].get_images()[0].get_array()
    assert sorted(shown.ravel()) == pytest.approx(sorted(means.ravel()))
    favorites = shown.argmax(axis=0)
    assert (np.diff(favorites) >= 0).all()  # nodes stand beside those of the same class
    nodes = [int(label.get_text()) for label in figure.axes[0].get_xticklabels()]
    np.testing.assert_allclose(shown, means[:, nodes])
    window = field_of_node(trained.config, "conv_2", 0, 1)
    figure = plots.plot_receptive_field(X[0], window, "node (0, 1) of conv_2")
    (frame,) = figure.axes[0].patches
    assert (frame.get_width(), frame.get_height()) == (8, 8)
    oip = OIP(3, X[0], 1.5, np.array([0.5, 1.5]))
    assert title(plots.plot_oip(oip, "conv_2")) == "conv_2, map 3: from 0.50 to 1.50 in 1 steps"


def test_mosaic_puts_tiles_in_rows_with_gaps():
    tiles = np.arange(12.0).reshape(3, 2, 2)
    sheet = mosaic(tiles, 2, 1)
    assert sheet.shape == (5, 5)
    np.testing.assert_array_equal(sheet[:2, 3:], tiles[1])
    np.testing.assert_array_equal(sheet[3:, :2], tiles[2])
    assert np.isnan(sheet[2]).all()
    assert columns_for(64, 1.0) == 8
    np.testing.assert_array_equal(stretched(np.full((2, 2), 3.0)), 0.5)


def test_matching_figure_needs_no_networks():
    matching = Matching("layer", np.eye(4), np.arange(4), np.ones(4), np.zeros(4))
    assert "4 of 4 maps have a twin" in title(plots.plot_matching(matching))
