"""MyANN: the articles' class, its book-keeping, its acceptance numbers on MNIST, bad input."""

from __future__ import annotations

import inspect

import matplotlib
import numpy as np
import pytest

from fastmlp import DivergenceError, MyANN
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.datasets.loading import load
from fastmlp.losses import Loss
from fastmlp.myann.parameters import CHECKS
from fastmlp.reference.engine import ReferenceEngine

matplotlib.use("Agg")

A2_DEFAULTS = dict(
    my_data_set="mnist", n_hidden_layers=1, ay_nodes_layers=(0, 100, 0), n_nodes_layer_out=10,
    my_activation_function="sigmoid", my_out_function="sigmoid", my_loss_function="LogLoss",
    n_size_mini_batch=50, n_epochs=1, n_max_batches=-1, lambda2_reg=0.1, lambda1_reg=0.0,
    vect_mode="cols", learn_rate=0.001, decrease_const=0.00001, mom_rate=0.0005, figs_x1=12.0,
    figs_x2=8.0, legend_loc="upper right", b_print_test_data=True,
)  # fmt: skip


def digits(**options):
    """A small network on scikit-learn's digits."""
    return MyANN(
        "digits",
        **dict(
            ay_nodes_layers=[0, 20, 0],
            learn_rate=0.01,
            random_state=0,
            my_initializer="sqrt_nodes",
            b_verbose=False,
        )
        | options,
    )


@pytest.fixture(scope="module")
def trained():
    return digits(n_epochs=5, n_size_mini_batch=100)


def test_constructor_has_the_parameters_and_defaults_of_article_m8_in_order():
    parameters = inspect.signature(MyANN).parameters
    assert {n: p.default for n, p in list(parameters.items())[:20]} == A2_DEFAULTS
    assert list(parameters)[:20] == list(A2_DEFAULTS)
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[20:])


def test_the_class_carries_its_public_address():
    assert MyANN.__module__ == "fastmlp.myann"


def test_every_parameter_is_checked_by_the_table_or_needs_the_data():
    unchecked = inspect.signature(MyANN).parameters.keys() - CHECKS.keys()
    assert unchecked == {"my_data_set", "random_state", "callbacks", "resume"}


def test_constructing_trains_and_false_leaves_it_to_fit():
    assert digits().history.n_epochs == 1
    ann = digits(b_train_on_init=False)
    before = ann.network.parameters.copy()
    assert ann.history.n_epochs == 0
    assert ann.fit(2) is ann
    assert ann.history.n_epochs == 2
    assert not np.array_equal(before, ann.network.parameters)


def test_records_have_the_documented_shapes(trained):
    assert trained.costs.shape == trained.errors.shape == trained.reg_share.shape == (5, 13)
    for name in ("learning_rates", "train_accuracy", "test_accuracy", "epoch_seconds"):
        assert getattr(trained, name).shape == (5,)
    assert trained.costs[-1].mean() < trained.costs[0].mean()
    assert [w.shape for w in trained.weights] == [(20, 65), (10, 21)]


def test_private_names_of_the_articles_are_read_only_aliases(trained):
    pairs = [
        (trained._li_w, trained.weights), (trained._ay_costs, trained.costs),
        (trained._ay_theta, trained.errors), (trained._ay_reg_cost_contrib, trained.reg_share),
        (trained._ay_onehot, trained.Y_train.T), (trained._ay_oneval, trained.y_train),
        (trained._X_train, trained.X_train), (trained._y_test, trained.y_test),
        (trained._ay_nodes_layers, [64, 20, 10]), (trained._dim_sets, 1297),
        (trained._dim_features, 64), (trained._n_labels, 10), (trained._dim_img, 8),
        (trained._img_h, 8), (trained._img_w, 8), (trained._n_total_layers, 3),
        (trained._n_mini_batches, 13), (trained._n_batches, 13),
        (trained._shape_epochs_batches, (5, 13, 1)),
    ]  # fmt: skip
    for alias, value in pairs:
        for a, v in (
            zip(np.atleast_1d(alias), np.atleast_1d(value), strict=True)
            if not isinstance(alias, list)
            else zip(alias, value, strict=True)
        ):
            np.testing.assert_array_equal(a, v)
    with pytest.raises(AttributeError):
        trained._ay_costs = 0
    assert [m.shape for m in trained._li_mom[:-1]] == [w.shape for w in trained.weights]
    assert trained._li_mom[-1] is None


def test_mini_batches_hold_every_row_once(trained):
    assert [len(b) for b in trained._ay_mini_batches] == [100] * 12 + [97]
    assert sorted(np.concatenate(trained.mini_batches)) == list(range(1297))
    untrained = digits(b_train_on_init=False, n_size_mini_batch=500)
    np.testing.assert_array_equal(untrained.mini_batches[1], np.arange(500, 1000))


def test_aliases_of_the_doc_strings_are_accepted():
    ann = MyANN(
        data_set="digits",
        n_nodes_out_layer=10,
        lambda_reg2=0.3,
        lambda_reg1=0.2,
        mom_const=0.1,
        n_mini_batch=77,
        b_train_on_init=False,
    )
    assert (ann.lambda2_reg, ann.lambda1_reg, ann.mom_rate) == (0.3, 0.2, 0.1)
    assert ann.n_size_mini_batch == 77
    assert ann.data.source.startswith("embedded")


def test_both_engines_and_any_thread_count_train_the_same_network():
    results = [
        digits(n_epochs=3, n_size_mini_batch=100, dtype="float64", **options).network.parameters
        for options in (dict(n_threads=1), dict(n_threads=3), dict(engine="numpy"))
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], rtol=1e-9)


def test_weights_can_be_set_before_fit():
    source = digits(b_train_on_init=False, random_state=1)
    target = digits(b_train_on_init=False, random_state=2, b_shuffle=False)
    target.weights = source.weights
    np.testing.assert_array_equal(target.network.parameters, source.network.parameters)
    with pytest.raises(ValueError, match=r"weights\[0\] must have 65 columns"):
        target.weights = [np.zeros((20, 64)), np.zeros((10, 21))]


def test_reset_draws_new_weights_and_starts_at_the_initial_rate():
    ann = digits(n_epochs=2, decrease_const=0.5)
    old = ann.network.parameters.copy()
    ann.reset(random_state=5)
    assert ann.history.n_epochs == 0
    np.testing.assert_array_equal(ann.mini_batches[0], np.arange(50))
    with pytest.raises(ValueError, match="nothing to report: no finished epoch"):
        ann.epoch_report()
    assert not np.array_equal(old, ann.network.parameters)
    ann.fit()
    assert ann.learning_rates.tolist() == [0.01, pytest.approx(0.01 / 1.5)]


def test_prediction_takes_unscaled_input_and_gives_labels(trained):
    data = load("digits")
    assert trained.score(data.X_test, data.y_test) == pytest.approx(trained.test_accuracy[-1])
    outputs = trained.predict_proba(data.X_test)
    assert outputs.shape == (500, 10)
    np.testing.assert_array_equal(trained.predict(data.X_test), outputs.argmax(axis=1))


def test_labels_may_be_strings_or_any_integers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    for names in (np.array(["no", "yes"]), np.array([-5, 7])):
        y = names[(x[:, 0] > 0).astype(int)]
        ann = MyANN((x, y, x, y), 0, [0, 0], 2, n_epochs=30, learn_rate=0.05, random_state=0)
        assert ann.score(x, y) > 0.9
        assert set(ann.predict(x)) == set(names)


def test_arrays_are_never_modified_and_images_are_flattened():
    x = np.random.default_rng(0).integers(0, 255, (60, 4, 4)).astype(np.uint8)
    y = np.arange(60) % 3
    copy = x.copy()
    ann = MyANN((x, y, x, y), 0, [0, 0], 3, random_state=0)
    np.testing.assert_array_equal(x, copy)
    assert ann.X_train.shape == (60, 16)
    assert ann.predict(x).shape == (60,)


def test_scaler_sees_the_training_set_only_unless_the_legacy_split_is_asked_for():
    data = load("digits")
    ann = digits(b_train_on_init=False)
    np.testing.assert_allclose(ann.scaler.standard_scaler.mean_, data.X_train.mean(axis=0))
    legacy = digits(b_train_on_init=False, legacy_split=True)
    everything = np.concatenate([data.X_train, data.X_test])
    np.testing.assert_allclose(legacy.scaler.standard_scaler.mean_, everything.mean(axis=0))
    assert len(legacy.X_test) == 500
    assert not np.array_equal(np.sort(legacy.y_test), np.sort(data.y_test))


def test_limit_of_batches_counts_only_when_positive():
    assert digits(n_size_mini_batch=100, n_max_batches=3).costs.shape == (1, 3)
    assert digits(n_size_mini_batch=100, n_max_batches=2000).costs.shape == (1, 13)


@pytest.mark.parametrize(
    "out, loss",
    [
        ("sigmoid", "LogLoss"),
        ("sigmoid", "MSE"),
        ("softmax", "CrossEntropy"),
        ("softmax", "LogLoss"),
        ("softmax", "MSE"),
        ("identity", "MSE"),
    ],
)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_every_activation_and_pair_learns_digits(activation, out, loss):
    # The delta of these pairs has a small factor a (1 - a).
    rate = 0.03 if loss == "MSE" and out != "identity" else 0.003
    ann = digits(
        n_epochs=20,
        my_activation_function=activation,
        my_out_function=out,
        my_loss_function=loss,
        learn_rate=rate,
        lambda2_reg=0.0,
    )
    assert ann.test_accuracy[-1] > 0.9


def test_a_training_of_no_epochs_is_a_warning_at_the_call():
    with pytest.warns(UserWarning, match="n_epochs=0 trains nothing") as record:
        digits(n_epochs=0)
    assert record[0].filename == __file__
    digits(n_epochs=0, b_train_on_init=False)


def test_no_two_lines_of_the_report_have_one_name(trained):
    names = [line[:29].strip() for line in trained.epoch_report().splitlines()[1:]]
    assert len(set(names)) == len(names) and "regularization, last batch" in names


def test_look_into_mini_batch_shows_one_step_without_making_it(trained):
    before = trained.network.parameters.copy()
    step = trained.look_into_mini_batch(12)
    np.testing.assert_array_equal(before, trained.network.parameters)
    assert [a.shape for a in step["A"]] == [(65, 97), (21, 97), (10, 97)]
    rows = slice(1200, 1297)
    engine = ReferenceEngine((64, 20, 10), ("sigmoid", "sigmoid"), Loss("log_loss"), "float32")
    expected, _ = engine.gradients(trained.weights, trained.X_train[rows], trained.Y_train[rows])
    for found, wanted in zip(step["grad"], expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_verbose_training_prints_the_articles_report(capsys):
    digits(n_epochs=2, b_verbose=True, b_measure_accuracy=False)
    printed = capsys.readouterr().out
    assert "Epoch 2 of 2" in printed
    assert "X_train: (1297, 64)" in printed
    assert "weights L1 to L2: (10, 21)" in printed
    for line in (
        "learning rate",
        "total cost of training set  not measured",
        "mean |weight| at L1",
        "batch-averaged accuracy",
        "Total training time",
    ):
        assert line in printed


def test_silent_training_prints_nothing(capsys):
    digits()
    assert capsys.readouterr() == ("", "")


def test_all_plots_return_figures(trained):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    for name in ("costs", "errors", "accuracy", "reg_share", "confusion_matrix", "misclassified"):
        figure = getattr(trained, f"plot_{name}")()
        assert isinstance(figure, Figure)
        assert figure.get_size_inches().tolist() == [12.0, 8.0]
    assert isinstance(trained.plot_misclassified(4, max_images=3), Figure)
    pyplot.close("all")


def test_misclassified_images_are_shown_unscaled(trained):
    from matplotlib import pyplot

    figure = trained.plot_misclassified(max_images=1)
    shown = figure.axes[0].images[0].get_array()
    originals = load("digits").X_test.reshape(-1, 8, 8)
    assert np.abs(originals - shown).max(axis=(1, 2)).min() < 1e-4
    pyplot.close(figure)


def test_plot_of_images_needs_a_square_number_of_features():
    ann = MyANN("moons", 0, [0, 0], 2)
    with pytest.raises(ValueError, match="2 features do not form a square image"):
        ann.plot_misclassified()


def test_callback_sees_the_class_and_can_end_the_training():
    seen = []

    def callback(ann):
        seen.append(ann.test_accuracy[-1])
        return len(seen) == 2

    assert digits(n_epochs=9, callbacks=[callback]).history.n_epochs == 2


def test_epoch_callbacks_get_the_trainer_and_all_their_hooks():
    stopping = EarlyStopping("val_accuracy", patience=1)
    ann = digits(n_epochs=60, learn_rate=0.1, callbacks=[stopping])
    assert ann.history.n_epochs < 60
    assert stopping.best_value == ann.test_accuracy.max()
    X, Y = ann.X_test, ann.Y_test
    assert ann.trainer.evaluate(X, Y).accuracy == stopping.best_value
    with pytest.raises(TypeError, match="callbacks must be callables or EpochCallbacks; got 3"):
        digits(n_epochs=1, callbacks=[3])


def test_interrupted_fit_keeps_weights_and_history():
    ann = digits(b_train_on_init=False)

    def interrupt(_):
        if ann.history.n_epochs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ann.fit(10, callbacks=[interrupt])
    assert ann.history.n_epochs == 3
    assert np.isfinite(ann.network.parameters).all()


def test_divergence_keeps_finite_weights_and_history():
    ann = digits(
        b_train_on_init=False,
        learn_rate=1e6,
        my_out_function="identity",
        my_loss_function="MSE",
        my_activation_function="relu",
        n_epochs=50,
    )
    with pytest.raises(DivergenceError, match="at learning rate 1e\\+06"):
        ann.fit()
    assert np.isfinite(ann.network.parameters).all()


# --- Real data ------------------------------------------------------------------------------------


@pytest.mark.soak  # test_pasted_calls.py has its twin without measured accuracies
def test_articles_values_reach_their_accuracy_and_rate_on_mnist(mnist):
    ann = MyANN(
        (mnist.X_train, mnist.y_train, mnist.X_test, mnist.y_test),
        2,
        [0, 70, 30, 0],
        n_size_mini_batch=500,
        n_epochs=35,
        learn_rate=0.001,
        decrease_const=1e-6,
        mom_rate=5e-5,
        lambda2_reg=0.2,
        my_initializer="sqrt_nodes",
        random_state=0,
    )
    assert ann.network.n_parameters == 57390
    assert f"{ann.learning_rates[-1]:.11f}" == "0.00099940518"
    assert ann.test_accuracy[-1] >= 0.955
    assert ann.reg_share[-1].mean() > ann.reg_share[0].mean()


# --- Bad input ------------------------------------------------------------------------------------

X, Y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2


def with_nan(row, column):
    x = X.copy()
    x[row, column] = np.nan
    return x


@pytest.mark.parametrize("options, error, message", [
    (dict(my_data_set="minst"), ValueError, "minst"),
    (dict(my_data_set=5), TypeError, "my_data_set must be a name, a path or a tuple .* got int"),
    (dict(my_data_set=(X, Y)), TypeError, "my_data_set must be a name, a path or a tuple"),
    (dict(my_data_set=(with_nan(7, 2), Y, X, Y)), ValueError,
     "X_train must hold finite float64 numbers; found NaN at row 7, column 2"),
    (dict(my_data_set=(X, Y, -np.inf * X, Y)), ValueError,
     "X_test must hold finite float64 numbers; found infinity at row 0, column 0"),
    (dict(my_data_set=(X, Y, X, Y + 1)), ValueError,
     "y_test must hold labels of the expected classes 0, 1; got 2 at row 1"),
    (dict(my_data_set=(X, 0 * Y, X, Y)), ValueError, "y_train must have at least two classes; all "
                                                     "labels are 0"),
    (dict(my_data_set=(X, Y[:9], X, Y)), ValueError, "X_train and y_train must have the same "
                                                     "number of rows; got 20 and 9"),
    (dict(my_data_set=(X, Y, X[:, :3], Y)), ValueError, "same number of columns; got 4 and 3"),
    (dict(my_data_set=(X[:0], Y[:0], X, Y)), ValueError, r"X_train must have shape \(rows"),
    (dict(my_data_set=(X, Y + 0.5, X, Y)), ValueError, "y_train must hold class labels; got 0.5 at "
                                                       "row 0"),
    (dict(my_data_set=(X, np.array([None] * 20), X, Y)), TypeError, "y_train must be integer or "
                                                                    "string labels"),
    (dict(my_data_set=(X, np.eye(20), X, Y)), ValueError, r"y_train must have shape \(rows,\)"),
    (dict(n_nodes_layer_out=3), ValueError, "n_nodes_layer_out = 3 must match the 2 classes in "
                                            "y_train: 0, 1"),
    (dict(n_hidden_layers=2), ValueError, r"ay_nodes_layers must have n_hidden_layers \+ 2 = 4 "
                                          r"entries; got 3: \[0, 5, 0\]"),
    (dict(ay_nodes_layers="050"), TypeError, "ay_nodes_layers must be a list of layer widths"),
    (dict(ay_nodes_layers=[0, 0, 0]), ValueError, r"ay_nodes_layers\[1\] must be at least 1"),
    (dict(ay_nodes_layers=[0, 5.5, 0]), TypeError, r"ay_nodes_layers\[1\] must be an integer"),
    (dict(ay_nodes_layers=[9, 5, 0]), ValueError, r"ay_nodes_layers\[0\] must be 0 or the number "
                                                  "of input features, 4; got 9"),
    (dict(ay_nodes_layers=[0, 5, 9]), ValueError, r"ay_nodes_layers\[-1\] must be 0 or the number "
                                                  "of classes, 2; got 9"),
    (dict(ay_nodes_layers=[0, 2**40, 0]), ValueError, r"sizes\[1\] must be below 2147483647"),
    (dict(my_activation_function="relo"), ValueError, "my_activation_function must be one of "
                                                      "'sigmoid', 'tanh', .* Did you mean 'relu'"),
    (dict(my_out_function="tanh"), ValueError, "my_out_function must be one of 'sigmoid'"),
    (dict(my_loss_function="logloss"), ValueError, "my_loss_function must be one of 'LogLoss'"),
    (dict(my_out_function="identity"), ValueError, "output 'identity' cannot be used with loss "
                                                   "'log_loss'"),
    (dict(n_size_mini_batch=0), ValueError, "n_size_mini_batch must be at least 1; got 0"),
    (dict(n_epochs=-1), ValueError, "n_epochs must be at least 0; got -1"),
    (dict(n_max_batches=0), ValueError, "n_max_batches must be positive, or negative for all"),
    (dict(learn_rate=-0.1), ValueError, "learn_rate must be a finite number, at least 0; got -0.1"),
    (dict(lambda2_reg=-1), ValueError, "lambda2_reg must be a finite number, at least 0; got -1"),
    (dict(decrease_const=np.nan), ValueError, "decrease_const must be a finite number"),
    (dict(mom_rate=2), ValueError, "mom_rate must be a finite number, 0 to 1; got 2"),
    (dict(vect_mode="diag"), ValueError, "vect_mode must be one of 'cols', 'rows'; got 'diag'"),
    (dict(legend_loc="top"), ValueError, "legend_loc must be one of 'best', 'upper right'"),
    (dict(figs_x1=0), ValueError, "figs_x1 must be a finite number, at least 0.1; got 0"),
    (dict(b_standardize="minmax"), ValueError, "b_standardize must be one of 'feature', 'global'"),
    (dict(b_shuffle="no"), TypeError, "b_shuffle must be True or False; got 'no'"),
    (dict(dtype="int8"), ValueError, "dtype must be one of 'float32', 'float64'; got 'int8'"),
    (dict(n_threads=-2), ValueError, "n_threads must be from 1 to 256; got -2"),
    (dict(print_period=0), ValueError, "print_period must be at least 1; got 0"),
    (dict(print_batch_period=1.5), TypeError, "print_batch_period must be an integer; got 1.5"),
    (dict(n_rows=3), TypeError, "MyANN has no parameter 'n_rows'; known: my_data_set, "),
    (dict(data_set="digits"), TypeError, "'data_set' and 'my_data_set' are the same parameter"),
], ids=str)  # fmt: skip
def test_bad_arguments_are_named_before_any_training(options, error, message):
    defaults = dict(my_data_set=(X, Y, X, Y), ay_nodes_layers=[0, 5, 0], n_nodes_layer_out=2)
    with pytest.raises(error, match=message):
        MyANN(**defaults | options)


@pytest.mark.parametrize("bad, message", [
    (np.ones((3, 63)), r"X must have shape \(rows, 64\), rows >= 1; got \(3, 63\)"),
    (np.ones((0, 64)), r"X must have shape \(rows, 64\), rows >= 1; got \(0, 64\)"),
    (np.full((2, 64), np.nan), "X must hold finite float64 numbers; found NaN at row 0, column 0"),
])  # fmt: skip
def test_bad_input_of_predict_is_named(trained, bad, message):
    with pytest.raises(ValueError, match=message):
        trained.predict(bad)


def test_score_needs_one_label_per_row(trained):
    with pytest.raises(ValueError, match="X and y must have the same number of rows; got 2 and 3"):
        trained.score(np.ones((2, 64)), [1, 2, 3])
