"""CNN III: its calls, pasted: my_compile, train with its four results, schedules and the plot."""

from __future__ import annotations

import inspect

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras

from fastmlp import DivergenceError
from fastmlp.cnn.articles import build_cnn_simple, my_compile, train, train_part_3
from fastmlp.cnn.state import current_rate, iterations

pytestmark = KERAS_SAVES_BY_COPY  # also where it reads weights
train_imgs, train_labels = bars(40)
test_imgs, test_labels = bars(20, seed=1)
li_Conv, li_Pool, li_MLP, input_shape = [[4, 3, 0], [6, 3, 0]], [[2]], [[8, 0], [3, 0]], (10, 10, 1)
LISTS = li_Conv, li_Pool, li_MLP, input_shape
DENSE_ONLY = [], [], [[3, 0]], input_shape
"""Lists of a network that is quickly built."""


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def article_figure():
    """The article's figure, drawn once before the training."""
    fig1 = plt.figure(figsize=(8, 3))
    axes = fig1.add_subplot(121), fig1.add_subplot(122)
    fig1.canvas.draw()
    return fig1, *axes


def test_functions_have_the_parameters_of_the_articles_in_their_order():
    expected = {
        build_cnn_simple: "li_Conv li_Pool li_MLP input_shape my_regularizer my_reg_param_l2 "
        "my_reg_param_l1",
        my_compile: "cnn my_loss my_metrics my_optimizer my_momentum my_lr_sched my_lr_init "
        "my_lr_decay_steps my_lr_decay_rate",
        train_part_3: "cnn build train_imgs train_labels li_Conv li_Pool li_MLP input_shape reset "
        "epochs batch_size my_loss my_metrics my_regularizer my_reg_param_l2 my_reg_param_l1 "
        "my_optimizer my_momentum my_lr_sched my_lr_init my_lr_decay_steps my_lr_decay_rate "
        "fig1 ax1_1 ax1_2",
    }
    for function, names in expected.items():
        assert list(inspect.signature(function).parameters)[: len(names.split())] == names.split()


def test_my_compile_and_train_have_one_set_of_defaults():
    ours, theirs = (inspect.signature(f).parameters for f in (my_compile, train_part_3))
    for name in ours.keys() & theirs.keys() - {"cnn"}:
        assert ours[name].default == theirs[name].default, name


@needs_keras
@pytest.mark.parametrize(
    ("maps", "n_parameters"), [((64, 64, 128), 250_994), ((32, 64, 128), 232_242)]
)
def test_networks_of_the_runs_have_the_published_numbers_of_parameters(maps, n_parameters):
    conv = [[n, (3, 3), 0] for n in maps]
    cnn = build_cnn_simple(conv, [[(2, 2)], [(2, 2)]], [[120, 0], [10, 0]], (28, 28, 1), "l2", 8e-4)
    assert cnn.count_params() == n_parameters


@needs_keras
def test_the_call_of_the_article_gives_model_seconds_history_and_optimizer(capsys):
    import keras

    fig1, ax1_1, ax1_2 = article_figure()
    cnn, fit_time, history, x_optimizer = train(
        None,
        True,
        train_imgs,
        train_labels,
        li_Conv,
        li_Pool,
        li_MLP,
        input_shape,
        reset=False,
        epochs=2,
        batch_size=16,
        my_loss="categorical_crossentropy",
        my_metrics=["accuracy"],
        my_regularizer="l2",
        my_reg_param_l2=0.0009,
        my_optimizer="rmsprop",
        my_momentum=0.8,
        my_lr_sched="powerSched",
        my_lr_init=0.001,
        my_lr_decay_steps=1,
        my_lr_decay_rate=0.001,
        fig1=fig1,
        ax1_1=ax1_1,
        ax1_2=ax1_2,
        validation_data=(test_imgs, test_labels),
        reference=0.9935,
        verbose=2,
    )
    assert isinstance(cnn, keras.Sequential)
    assert 0 < fit_time < 300
    assert history is cnn.history
    assert x_optimizer is cnn.optimizer
    assert isinstance(x_optimizer, keras.optimizers.RMSprop)
    assert x_optimizer.momentum == 0.8
    assert iterations(cnn) == 6
    seen, printed = history.history, capsys.readouterr().out
    assert list(seen) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    lines = printed.splitlines()
    assert lines[0] == ("schedule powerSched: lr_init = 0.001, decay_steps = 1, decay_rate = 0.001")
    for epoch, batches in ((0, 3), (1, 6)):
        start = lines.index(f"Epoch {epoch + 1}/2")
        for name, values in seen.items():
            assert f"{name}: {values[epoch]:.4f}" in lines[start + 1]
        rate = 0.001 / (1 + 0.001 * batches)
        assert lines[start + 2] == f"learning rate: {rate:.4e}  iterations: {batches}"
    assert "logs: accuracy, loss, val_accuracy, val_loss" in lines
    loss, acc = cnn.evaluate(test_imgs, np.eye(3)[test_labels], verbose=0)
    assert (loss, acc) == pytest.approx((seen["val_loss"][-1], seen["val_accuracy"][-1]), rel=1e-4)
    drawn = [line.get_label() for line in ax1_1.get_lines()]
    assert drawn == ["training", "validation", "reference 0.9935"]
    np.testing.assert_allclose(ax1_1.get_lines()[1].get_ydata(), seen["val_accuracy"])
    np.testing.assert_allclose(ax1_2.get_lines()[0].get_ydata(), seen["loss"])


@needs_keras
def test_validation_data_are_those_that_are_given_and_no_others():
    *_, history, _ = train(
        None, True, train_imgs, train_labels, *DENSE_ONLY, epochs=1, verbose=False
    )
    assert list(history.history) == ["accuracy", "loss"]


@needs_keras
@pytest.mark.parametrize(
    ("name", "factors"), [("l1", (0.03, 0.0)), ("l2", (0.0, 0.04)), (None, None)]
)
def test_regularizers_of_all_dense_layers_get_the_factor_of_their_name(name, factors):
    cnn = build_cnn_simple(*LISTS, name, 0.04, 0.03)
    for layer in cnn.layers:
        found = getattr(layer, "kernel_regularizer", None)
        if factors is None or not layer.name.startswith("Dense"):
            assert found is None
        else:
            l1, l2 = float(getattr(found, "l1", 0)), float(getattr(found, "l2", 0))
            assert (l1, l2) == pytest.approx(factors)


@needs_keras
def test_build_reset_and_continue_do_what_their_names_say(capsys):
    settings = dict(epochs=2, batch_size=10, my_lr_sched="powerSched", my_lr_decay_rate=0.1, seed=0)
    call = train_imgs, train_labels, *DENSE_ONLY
    cnn, _, history, x_optimizer = train(None, True, *call, **settings)
    assert iterations(cnn) == 8
    assert "iterations: 8" in capsys.readouterr().out
    again = train(cnn, False, *call, **settings)
    assert again[0] is cnn
    assert again[3] is x_optimizer
    assert iterations(cnn) == 8  # reset: weights and iterations
    np.testing.assert_allclose(again[2].history["loss"], history.history["loss"], rtol=1e-4)
    rates = [line for line in capsys.readouterr().out.splitlines() if line.startswith("learning")]
    assert rates == [f"learning rate: {0.001 / (1 + 0.1 * n):.4e}  iterations: {n}" for n in (4, 8)]
    train(cnn, False, *call, reset=False, **settings)
    assert iterations(cnn) == 16


@needs_keras
def test_a_reset_also_restores_a_rate_and_an_optimizer_that_others_have_changed():
    call = train_imgs, train_labels, *DENSE_ONLY
    cnn, *_ = train(None, True, *call, epochs=1, my_optimizer="nadam", verbose=0)
    cnn.optimizer.learning_rate = 0.5
    train(cnn, False, *call, epochs=1, verbose=0)
    assert current_rate(cnn) == pytest.approx(0.001)
    cnn.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    cnn.fit(train_imgs, np.eye(3)[train_labels], verbose=0)
    assert iterations(cnn) == 2
    train(cnn, False, *call, epochs=1, verbose=0)
    assert iterations(cnn) == 1


@needs_keras
def test_a_run_without_a_schedule_keeps_its_rate_and_lr_history_records_it(capsys):
    from fastmlp.cnn.articles import LrHistory

    calls = LrHistory(False)
    call = train_imgs, train_labels, *DENSE_ONLY
    cnn, *_ = train(None, True, *call, epochs=2, callbacks=[calls])
    assert calls.lr == pytest.approx([0.001, 0.001])
    assert calls.iterations == [1, 2]
    assert "learning rate: 1.0000e-03  iterations: 2" in capsys.readouterr().out
    train(cnn, False, *call, epochs=1, reset=False, callbacks=[calls])
    assert calls.iterations == [3]  # of the last training alone


@needs_keras
@pytest.mark.parametrize(
    ("schedule", "decay_steps", "decay_rate", "expected"),
    [
        ("powerSched", 1, 0.001, 0.001 / (1 + 0.001 * 12194)),
        ("exponential", 1000, 0.96, 0.001 * 0.96**12.194),
        (None, 1, 1e-5, 0.001),
    ],
)
def test_my_compile_gives_a_keras_model_the_rates_of_the_article(
    schedule, decay_steps, decay_rate, expected, capsys
):
    """The first is printed there after 13 epochs: 7.5792e-5."""
    cnn = build_cnn_simple(*DENSE_ONLY)
    given = dict(my_lr_init=0.001, my_lr_decay_steps=decay_steps, my_lr_decay_rate=decay_rate)
    assert my_compile(cnn, my_lr_sched=schedule, **given) is cnn
    assert f"schedule {schedule}: lr_init = 0.001" in capsys.readouterr().out
    cnn.optimizer.build(cnn.trainable_variables)
    cnn.optimizer.iterations.assign(12194)
    assert current_rate(cnn) == pytest.approx(expected, rel=1e-5)


@needs_keras
def test_a_model_on_the_processor_is_compiled_for_it_also_where_there_is_a_card(monkeypatch):
    from fastmlp.cnn.articles import functions

    asked = []
    monkeypatch.setattr(functions, "choose_device", lambda name: "gpu:0")
    monkeypatch.setattr(functions, "xla_for_keras", lambda xla, name: asked.append(name) is None)
    on_processor = build_cnn_simple(*DENSE_ONLY).weights[0].value.device
    assert asked == ["cpu:0" if "cpu" in str(on_processor).lower() else "gpu:0"]


@needs_keras
def test_my_compile_takes_a_model_of_ones_own_and_names_what_does_not_fit():
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="sigmoid")])
    my_compile(model, "binary_crossentropy", ["accuracy", "auc"], "adamax", verbose=False)
    assert isinstance(model.optimizer, keras.optimizers.Adamax)
    assert len(model.evaluate(np.ones((4, 2)), np.eye(3)[[0, 1, 2, 0]], verbose=0)) == 3
    with pytest.raises(ValueError, match="loss 'categorical_crossentropy' needs 'softmax' outputs"):
        my_compile(model)
    with pytest.raises(TypeError, match="cnn must be a Keras model; got NoneType"):
        my_compile(None)
    model.add(keras.layers.Flatten())
    with pytest.raises(ValueError, match=r"activation of a dense layer must be .* got 'Flatten'"):
        my_compile(model, "mean_squared_error")


@needs_keras
def test_momentum_is_passed_where_there_is_one_and_told_where_not(capsys):
    cnn = build_cnn_simple(*DENSE_ONLY)
    assert my_compile(cnn, my_momentum=0.6).optimizer.momentum == 0.6
    my_compile(cnn, my_optimizer="nadam", my_momentum=0.6)
    assert "my_momentum = 0.6 is not used: nadam has no such parameter" in capsys.readouterr().out
    my_compile(cnn, my_optimizer="nadam", my_momentum=0.6, verbose=False)
    assert capsys.readouterr().out == ""
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
def test_a_training_that_diverges_ends_with_the_weights_of_the_last_epoch():
    call = train_imgs, train_labels, *DENSE_ONLY
    cnn, *_ = train(None, True, *call, my_optimizer="sgd", epochs=1, verbose=0)
    before = [w.copy() for w in cnn.get_weights()]
    cnn.optimizer.learning_rate = 3e38
    with pytest.raises(DivergenceError, match=r"epoch 0.* learning rate"):
        train(cnn, False, *call, reset=False, epochs=2, batch_size=10, verbose=0)
    for found, wanted in zip(cnn.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


@needs_keras
def test_epoch_plot_has_the_articles_limits_and_no_texts_that_touch(monkeypatch):
    from fastmlp.cnn.articles import EpochPlot

    fig1, left, right = article_figure()
    monkeypatch.setattr(fig1.canvas, "draw_idle", lambda: None)  # once, at the end, is enough
    plot = EpochPlot(80, fig1, left, right, verbose=False)
    plot.set_model(build_cnn_simple(*DENSE_ONLY))
    plot.on_train_begin()
    for epoch in range(3):
        best = 0.9944 if epoch == 1 else 0.9943  # a title of two lines
        logs = dict(accuracy=0.98, val_accuracy=best, loss=0.02, val_loss=0.023856)
        plot.on_epoch_end(epoch, logs)
    assert "validation accuracy 0.9943\nbest 0.9944 in epoch 2" in left.get_title()
    assert left.get_xlim() == right.get_xlim() == (0, 81)
    assert left.get_ylim() == (0.97, 1.001)
    assert right.get_ylim() == (0, 0.2)
    assert left.get_lines()[2].get_ydata()[0] == 0.992
    assert left.get_lines()[0].get_color() != left.get_lines()[1].get_color()
    fig1.canvas.draw()
    texts = [t for a in (left, right) for t in (a.title, a.xaxis.label, a.yaxis.label)]
    boxes = [text.get_window_extent() for text in texts]
    for i, box in enumerate(boxes):
        assert fig1.bbox.containsx(box.x0) and fig1.bbox.containsx(box.x1), texts[i]
        assert fig1.bbox.containsy(box.y0) and fig1.bbox.containsy(box.y1), texts[i]
        assert not any(box.overlaps(other) for other in boxes[:i]), texts[i]
    assert not boxes[5].overlaps(left.get_window_extent())  # the right label, the left curves


@needs_keras
def test_epoch_plot_follows_curves_outside_of_the_limits_and_needs_no_reference():
    fig1, left, right = article_figure()
    settings = dict(epochs=1, fig1=fig1, ax1_1=left, ax1_2=right, reference=None, verbose=False)
    *_, history, _ = train(None, True, train_imgs, train_labels, *DENSE_ONLY, **settings)
    assert [line.get_label() for line in left.get_lines()] == ["training"]
    assert left.get_ylim()[0] == pytest.approx(history.history["accuracy"][0])
    assert right.get_ylim()[1] == pytest.approx(history.history["loss"][0])


@needs_keras
def test_figure_and_axes_are_given_together_or_not_at_all():
    figure, axis = plt.subplots()
    for given in ({"fig1": figure}, {"fig1": figure, "ax1_1": axis}, {"ax1_2": axis}):
        with pytest.raises(ValueError, match="fig1, ax1_1 and ax1_2 must be given together"):
            train(None, True, train_imgs, train_labels, *DENSE_ONLY, **given)
