"""The articles' functions: indices and names, resets, callbacks, resolved contradictions."""

from __future__ import annotations

import inspect

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import bars, needs_keras

from fastmlp.cnn import CNN, CNNConfig, build_cnn_simple, load_mnist, my_compile, train
from fastmlp.training.history import History

X, Y = bars(40)
LI_CONV, LI_POOL, LI_MLP = [[4, 3, 0], [6, 3, 0]], [[2]], [[8, 0], [3, 0]]
SHAPE = (10, 10, 1)
LISTS = (LI_CONV, LI_POOL, LI_MLP, SHAPE)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_functions_have_the_parameters_of_the_articles_in_their_order():
    expected = {
        build_cnn_simple: "li_Conv li_Pool li_MLP input_shape my_regularizer my_reg_param_l2 "
        "my_reg_param_l1",
        my_compile: "cnn my_loss my_metrics my_optimizer my_momentum my_lr_sched my_lr_init "
        "my_lr_decay_steps my_lr_decay_rate",
        train: "cnn build train_imgs train_labels li_Conv li_Pool li_MLP input_shape reset epochs "
        "batch_size my_loss my_metrics my_regularizer my_reg_param_l2 my_reg_param_l1 "
        "my_optimizer my_momentum my_lr_sched my_lr_init my_lr_decay_steps my_lr_decay_rate "
        "fig1 ax1_1 ax1_2",
    }
    for function, names in expected.items():
        assert list(inspect.signature(function).parameters)[: len(names.split())] == names.split()


def test_my_compile_and_train_have_one_set_of_defaults():
    ours, theirs = (inspect.signature(f).parameters for f in (my_compile, train))
    for name in ours.keys() & theirs.keys() - {"cnn"}:
        assert ours[name].default == theirs[name].default, name


@needs_keras
def test_indices_and_names_mean_the_same():
    by_index = build_cnn_simple([[4, 3, 3], [6, 3, 4]], LI_POOL, [[8, 2], [3, 1]], SHAPE, seed=0)
    by_name = build_cnn_simple(
        [[4, 3, "tanh"], [6, 3, "selu"]], LI_POOL, [[8, "tanh"], [3, "sigmoid"]], SHAPE, seed=0
    )
    assert by_index.config == by_name.config
    assert by_index.config.loss == "binary_crossentropy"
    with pytest.raises(ValueError, match="loss 'categorical_crossentropy' needs 'softmax' outputs"):
        my_compile(by_index)
    assert my_compile(by_index, "binary_crossentropy").iterations == 0
    np.testing.assert_array_equal(by_index.predict(X), by_name.predict(X))


@needs_keras
def test_layers_have_the_articles_names_or_given_ones():
    cnn = build_cnn_simple(*LISTS)
    names = [layer.name for layer in cnn.model.layers]
    assert names == ["Conv2D_1", "Max_Pool_1", "Conv2D_2", "flatten", "Dense_1", "Dense_2"]
    named = build_cnn_simple([[4, 3, 0, "mine"], [6, 3, 0]], LI_POOL, LI_MLP, SHAPE)
    assert named.config.conv[0].name == "mine"


@needs_keras
def test_article_lists_give_the_article_configuration():
    lists = [[32, 3, "relu"], [64, 3, 0], [64, (3, 3), 0]], [[2], [2]], [[70, 0], [10, 0]]
    cnn = build_cnn_simple(*lists, (28, 28, 1))
    assert cnn.model.count_params() == 96_844
    assert cnn.config == CNNConfig.article("C2")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ((LI_CONV, [[2], [2]], LI_MLP, SHAPE), "pools must have 1 layers"),
        (([[4, 3, 5]], [], LI_MLP, SHAPE), r"li_Conv\[0\] must be one of 0 or 'relu'"),
        (([[4, 3, True]], [], LI_MLP, SHAPE), r"activation in li_Conv\[0\]"),
        ((LI_CONV, LI_POOL, [[8, "softmax"], [3, 0]], SHAPE), r"activation in li_MLP\[0\]"),
        ((LI_CONV, LI_POOL, [[8, 0], [3, "relu"]], SHAPE), r"activation in li_MLP\[1\]"),
        (([[4, 3]], [], LI_MLP, SHAPE), r"li_Conv\[0\] must have at least 3 entries; got \[4, 3\]"),
        (([4, 3, 0], [], LI_MLP, SHAPE), r"li_Conv\[0\] must have at least 3 entries; got 4"),
        ((*LISTS, "ridge"), "regularizer must be one of"),
        ((LI_CONV, LI_POOL, LI_MLP, (10, 10)), r"input_shape must be \(height, width, channels\)"),
    ],
)
def test_lists_that_do_not_fit_are_named(lists, message):
    with pytest.raises(ValueError, match=message):
        build_cnn_simple(*lists)


@needs_keras
@pytest.mark.parametrize(
    ("name", "factors"), [("l1", (0.03, 0.0)), ("l2", (0.0, 0.04)), (None, (0.0, 0.0))]
)
def test_regularizers_get_the_factor_of_their_name(name, factors):
    config = build_cnn_simple(*LISTS, name, 0.04, 0.03).config
    assert (config.regularizer, config.l1, config.l2) == (name, *factors)


@needs_keras
def test_build_reset_and_continue_do_what_their_names_say(capsys):
    settings = dict(epochs=2, batch_size=10, my_lr_sched="powerSched", my_lr_decay_rate=0.1, seed=0)
    cnn, seconds, history, optimizer = train(None, True, X, Y, *LISTS, **settings)
    assert isinstance(cnn, CNN)
    assert isinstance(history, History)
    assert optimizer is cnn.model.optimizer
    assert 0 < seconds < 60
    assert cnn.iterations == 8
    assert "iterations: 8" in capsys.readouterr().out
    again = train(cnn, False, X, Y, *LISTS, **settings)
    assert again[0].iterations == 8  # reset: weights and iterations
    np.testing.assert_allclose(again[2]["costs"], history["costs"], rtol=1e-4)
    further = train(cnn, False, X, Y, *LISTS, reset=False, **settings)
    assert further[0].iterations == 16
    with pytest.raises(ValueError, match="cnn must be a CNN where build is False"):
        train(None, False, X, Y, *LISTS)


@needs_keras
def test_a_run_without_a_schedule_keeps_its_rate_and_lr_history_records_it(capsys):
    from fastmlp.cnn import LrHistory

    calls = LrHistory(False)
    cnn, *_ = train(None, True, X, Y, *LISTS, epochs=2, callbacks=[calls])
    assert calls.lr == pytest.approx([0.001, 0.001])
    assert calls.iterations == [1, 2]
    assert cnn.learning_rate == pytest.approx(0.001)
    assert "learning rate: 1.0000e-03  iterations: 2" in capsys.readouterr().out
    train(cnn, False, X, Y, *LISTS, epochs=1, reset=False, callbacks=[calls])
    assert calls.iterations == [3]  # of the last training alone


@needs_keras
def test_momentum_is_passed_where_there_is_one_and_told_where_not(capsys):
    cnn = build_cnn_simple(*LISTS)
    assert my_compile(cnn, my_momentum=0.6).model.optimizer.momentum == 0.6
    my_compile(cnn, my_optimizer="nadam", my_momentum=0.6)
    assert "my_momentum = 0.6 is not used: nadam has no such parameter" in capsys.readouterr().out
    with pytest.raises(ValueError, match="optimizer must be one of"):
        my_compile(cnn, my_optimizer="lion", my_momentum=0.6)
    assert "lion" not in capsys.readouterr().out
    with pytest.raises(TypeError, match="metrics must be a sequence; got 'accuracy'"):
        my_compile(cnn, my_metrics="accuracy")
    with pytest.raises(ValueError, match="my_lr_sched must be one of None, 'powerSched'"):
        my_compile(cnn, my_lr_sched="power")
    with pytest.raises(ValueError, match="would end the training at once"):
        my_compile(cnn, my_lr_sched="exponential")


@needs_keras
def test_validation_data_are_those_that_are_given_and_no_others():
    _, _, without, _ = train(None, True, X, Y, *LISTS, epochs=1, verbose=False)
    assert np.isnan(without["val_accuracy"]).all()
    cnn, _, given, _ = train(
        None, True, X, Y, *LISTS, epochs=1, verbose=False, validation_data=(X[:9], Y[:9])
    )
    assert given["val_accuracy"][-1] == pytest.approx(cnn.evaluate(X[:9], Y[:9]).accuracy)


@needs_keras
def test_epoch_plot_draws_both_sets_a_reference_line_and_the_articles_limits():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    train(
        None,
        True,
        X,
        Y,
        *LISTS,
        epochs=2,
        verbose=False,
        validation_data=(X, Y),
        fig1=figure,
        ax1_1=left,
        ax1_2=right,
    )
    labels = [line.get_label() for line in left.get_lines()]
    assert labels == ["training", "validation", "reference 0.992"]
    assert left.get_lines()[2].get_ydata()[0] == 0.992
    assert left.get_xlim() == right.get_xlim() == (0, 3)
    assert left.get_ylim()[1] == 1.001
    assert right.get_ylim()[0] == 0
    assert left.get_lines()[0].get_color() != left.get_lines()[1].get_color()
    assert "validation accuracy" in left.get_title(loc="left") + left.get_title()


@needs_keras
def test_figure_and_axes_are_given_together_or_not_at_all():
    figure, axis = plt.subplots()
    for given in ({"fig1": figure}, {"fig1": figure, "ax1_1": axis}, {"ax1_2": axis}):
        with pytest.raises(ValueError, match="fig1, ax1_1 and ax1_2 must be given together"):
            train(None, True, X, Y, *LISTS, **given)


def test_load_mnist_keeps_the_official_split_and_scales_by_the_training_images(mnist, capsys):
    images, test_images, labels, test_labels = load_mnist()
    assert images.shape == (60000, 28, 28, 1)
    assert (test_images.shape, labels.shape) == ((10000, 28, 28, 1), (60000, 10))
    np.testing.assert_array_equal(labels.argmax(axis=1), mnist.y_train)
    np.testing.assert_array_equal(test_labels.argmax(axis=1), mnist.y_test)
    center = images[:, 14, 14, 0].astype(float)
    assert abs(center.mean()) < 1e-5
    assert center.std() == pytest.approx(1, abs=1e-4)
    assert "(60000, 28, 28) -> (60000, 28, 28, 1)" in capsys.readouterr().out


def test_legacy_split_mixes_both_sets_and_scales_by_all(mnist):
    images, test_images, labels, _ = load_mnist(legacy_split=True, seed=1, verbose=False)
    assert (images.shape, test_images.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    both = np.concatenate([images[:, 14, 14, 0], test_images[:, 14, 14, 0]]).astype(float)
    assert abs(both.mean()) < 1e-5
    assert (labels.argmax(axis=1) != mnist.y_train).mean() > 0.8
