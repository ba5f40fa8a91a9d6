"""Beyond scikit-learn's: weights, validation, schedules, solvers, callbacks, reports."""

from __future__ import annotations

import logging
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from estimator_data import blobs, digits, multilabel, regression
from scipy import sparse
from sklearn import metrics
from sklearn.model_selection import GroupShuffleSplit, PredefinedSplit, TimeSeriesSplit

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.estimators.validation import r2, subset_accuracy
from fastmlp.schedules import cosine

SMALL = dict(hidden_layer_sizes=(12, 7), random_state=0, max_iter=20)
FULL = SMALL | dict(batch_size=10_000, shuffle=False)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1:UserWarning"),
]


def assert_same_weights(a, b, rtol=1e-7):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-10)


# --- Class weights and row weights


def test_class_weight_is_the_same_as_row_weights():
    x, y = blobs(n_classes=3)
    labels = np.array(["a", "b", "c"])[y]
    weight = {"a": 2.0, "c": 0.5}
    rows = np.array([2.0, 1.0, 0.5])[y]
    a = MLPClassifier(**SMALL, class_weight=weight).fit(x, labels)
    b = MLPClassifier(**SMALL).fit(x, labels, sample_weight=rows)
    assert_same_weights(a, b, rtol=0)


def test_balanced_class_weight_is_that_of_scikit_learn_and_counts_weights_as_rows():
    x, y = blobs(n_classes=3)
    y[:100] = 0
    from sklearn.utils.class_weight import compute_sample_weight

    balanced = MLPClassifier(**SMALL, class_weight="balanced").fit(x, y)
    by_hand = MLPClassifier(**SMALL).fit(x, y, compute_sample_weight("balanced", y))
    assert_same_weights(balanced, by_hand)
    repeats = np.random.default_rng(0).integers(0, 3, len(y))
    weighted = MLPClassifier(**FULL, class_weight="balanced").fit(x, y, sample_weight=repeats)
    repeated = MLPClassifier(**FULL, class_weight="balanced")
    repeated.fit(x.repeat(repeats, axis=0), y.repeat(repeats))
    assert_same_weights(weighted, repeated)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_weights_are_repetitions_also_in_validation(kind):
    x, y = blobs()
    x_val, y_val = blobs(60, seed=1)
    repeats = np.random.default_rng(0).integers(0, 3, 60)
    rules = dict(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.02)
    weighted = kind(**FULL | rules).fit(x, y, X_val=x_val, y_val=y_val, sample_weight_val=repeats)
    repeated = kind(**FULL | rules).fit(
        x, y, X_val=x_val.repeat(repeats, axis=0), y_val=y_val.repeat(repeats)
    )
    for name in ("val_loss", "val_score"):
        np.testing.assert_allclose(weighted.history_[name], repeated.history_[name], rtol=1e-9)
    assert weighted.n_iter_ == repeated.n_iter_


def test_batches_whose_weights_are_all_zero_change_nothing():
    x, y = blobs()
    weights = np.ones(200)
    weights[64:128] = 0
    model = MLPClassifier(**SMALL | dict(batch_size=64, shuffle=False, solver="sgd", momentum=0.0))
    model.fit(x, y, sample_weight=weights)
    kept = np.r_[0:64, 128:200]
    other = MLPClassifier(**model.get_params()).fit(x[kept], y[kept])
    assert np.isfinite(model.loss_curve_).all()
    assert_same_weights(model, other)


# --- Validation


def test_validation_loss_and_scores_are_those_of_the_metrics():
    x, y = blobs(n_classes=3)
    x_val, y_val = blobs(80, n_classes=3, seed=1)
    w = np.random.default_rng(0).uniform(0, 2, 80)
    model = MLPClassifier(**SMALL, scoring=["balanced_accuracy", "neg_log_loss"])
    model.fit(x, y, X_val=x_val, y_val=y_val, sample_weight_val=w)
    p, history = model.predict_proba(x_val), model.history_
    assert history["val_loss"][-1] == pytest.approx(metrics.log_loss(y_val, p, sample_weight=w))
    expected = metrics.balanced_accuracy_score(y_val, p.argmax(axis=1), sample_weight=w)
    assert history["val_score"][-1] == history["val_balanced_accuracy"][-1]
    assert history["val_score"][-1] == pytest.approx(expected)
    assert history["val_neg_log_loss"][-1] == pytest.approx(-history["val_loss"][-1])
    assert {len(column) for column in history.values()} == {20}
    assert model.validation_scores_ == history["val_score"]


@pytest.mark.parametrize("data", [regression(), regression(n_outputs=3)], ids=["one", "three"])
def test_default_score_of_a_regressor_is_r2(data):
    x, y = data
    model = MLPRegressor(**SMALL).fit(x, y, X_val=x, y_val=y)
    assert model.history_["val_score"][-1] == pytest.approx(metrics.r2_score(y, model.predict(x)))
    loss = 0.5 * metrics.mean_squared_error(y, model.predict(x))
    assert model.history_["val_loss"][-1] == pytest.approx(loss)


@pytest.mark.parametrize("w", [None, [1.0, 2.0, 0.5, 1.0]])
def test_r2_and_subset_accuracy_are_scikit_learns(w):
    w = None if w is None else np.array(w)
    y = np.array([[1.0, 2.0, 5.0], [2.0, 2.0, 5.0], [0.0, 2.0, 5.0], [3.0, 2.0, 5.0]])
    a = y + np.array([[0.1, 0.0, 0.2]] * 4)
    expected = metrics.r2_score(y, a, sample_weight=w)
    assert r2(y, w)(a) == pytest.approx(expected)
    right, p = np.array([[1.0, 0.0]] * 4), np.array([[0.9, 0.2], [0.4, 0.2], [0.6, 0.6], [1, 0]])
    expected = metrics.accuracy_score(right, p > 0.5, sample_weight=w)
    assert subset_accuracy(right, w)(p) == pytest.approx(expected)


def test_default_score_of_multilabel_targets_is_subset_accuracy():
    x, y = multilabel()
    model = MLPClassifier(**SMALL | dict(learning_rate_init=0.02)).fit(x, y, X_val=x, y_val=y)
    assert model.history_["val_score"][-1] == model.score(x, y) > 0.3
    assert "accuracy" not in model.history_


@pytest.mark.parametrize("monitor", ["val_loss", "val_score", "val_f1"])
def test_early_stopping_watches_what_it_is_told_and_puts_the_best_weights_back(monitor):
    x, y = blobs()
    x_val, y_val = blobs(80, seed=1)
    model = MLPClassifier(
        (50,),
        random_state=0,
        early_stopping=True,
        monitor=monitor,
        scoring=["accuracy", "f1"],
        learning_rate_init=0.02,
    )
    model.fit(x, y, X_val=x_val, y_val=y_val)
    watched = np.array(model.history_[monitor]) * (-1 if monitor == "val_loss" else 1)
    assert model.best_epoch_ == watched.argmax() < model.n_iter_ - 5
    best = {name: column[model.best_epoch_] for name, column in model.history_.items()}
    assert model.best_validation_score_ == best["val_score"]
    p = model.predict_proba(x_val)
    assert best["val_loss"] == pytest.approx(metrics.log_loss(y_val, p))
    assert best["val_f1"] == pytest.approx(metrics.f1_score(y_val, p.argmax(axis=1)))


def test_a_validation_set_without_early_stopping_is_measured_only():
    x, y = blobs()
    plain = MLPClassifier(**SMALL).fit(x, y)
    watched = MLPClassifier(**SMALL).fit(x, y, X_val=x[:50], y_val=y[:50])
    assert_same_weights(plain, watched, rtol=0)
    assert len(watched.history_["val_loss"]) == 20
    assert plain.validation_scores_ is None


@pytest.mark.parametrize(
    ("splitter", "groups"),
    [
        (GroupShuffleSplit(n_splits=1, random_state=0), np.arange(200) // 10),
        (TimeSeriesSplit(3), None),
        (PredefinedSplit(np.where(np.arange(200) < 150, -1, 0)), None),
        ([(np.arange(150), np.arange(150, 200))], None),
    ],
    ids=["groups", "time", "predefined", "indices"],
)
def test_a_splitter_chooses_the_rows_to_validate_with(splitter, groups):
    x, y = blobs()
    rules = dict(early_stopping=True, validation_fraction=splitter)
    model = MLPClassifier(**SMALL | rules).fit(x, y, groups=groups)
    splits = splitter.split(x, y, groups) if hasattr(splitter, "split") else splitter
    train, validation = list(splits)[-1]
    other = MLPClassifier(**SMALL | dict(early_stopping=True))
    other.fit(x[train], y[train], X_val=x[validation], y_val=y[validation])
    assert model.history_["val_loss"] == other.history_["val_loss"]


def test_early_stopping_reads_the_rows_where_they_lie():
    x, y = blobs(20_000, n_features=50)
    model = MLPClassifier((4,), max_iter=1, early_stopping=True, random_state=0)
    model.fit(x[:300], y[:300])
    tracemalloc.start()
    try:
        model.fit(x, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 2


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_held_back_rows_are_not_trained_on(shuffle, container):
    x, y = blobs(203)
    train, rest = np.flatnonzero(np.arange(203) % 3), np.arange(0, 203, 3)
    rules = SMALL | dict(early_stopping=True, shuffle=shuffle, batch_size=20)
    split = MLPClassifier(**rules, validation_fraction=[(train, rest)]).fit(container(x), y)
    given = MLPClassifier(**rules).fit(x[train], y[train], X_val=x[rest], y_val=y[rest])
    assert_same_weights(split, given)
    np.testing.assert_allclose(split.loss_curve_, given.loss_curve_)
    np.testing.assert_allclose(split.history_["val_loss"], given.history_["val_loss"])
    assert split.t_ == given.t_


def test_string_labels_and_early_stopping_go_together():
    # https://github.com/scikit-learn/scikit-learn/issues/33760
    x, y = blobs(n_classes=3)
    labels = np.array(["class_a", "class_b", "class_c"], dtype=object)[y]
    model = MLPClassifier(**SMALL, early_stopping=True).fit(x, labels)
    assert len(model.validation_scores_) == model.n_iter_
    assert np.isfinite(model.validation_scores_).all()


def test_a_validation_set_has_the_type_of_the_rows():
    x, y = digits(200, "float32")
    model = MLPClassifier(**SMALL).fit(x.astype(float), y, X_val=x, y_val=y)
    model.fit(x, y, X_val=x.astype(float), y_val=y)
    assert model.history_["val_loss"][-1] == pytest.approx(
        metrics.log_loss(y, model.predict_proba(x)), rel=1e-4
    )


# --- Penalties, smoothing, solvers, rates, first weights


def test_label_smoothing_trains_towards_softer_targets():
    x, y = blobs(n_classes=3)
    smoothing = 0.3
    model = MLPClassifier(
        (),
        random_state=0,
        label_smoothing=smoothing,
        alpha=0,
        max_iter=4000,
        tol=1e-12,
        solver="lbfgs",
    ).fit(x, y)
    # At the minimum of a linear softmax's cross entropy the mean prediction is the mean target.
    targets = np.eye(3)[y] * (1 - smoothing) + smoothing / 3
    np.testing.assert_allclose(model.predict_proba(x).mean(0), targets.mean(0), atol=1e-5)
    binary = MLPClassifier(
        (),
        random_state=0,
        label_smoothing=smoothing,
        alpha=0,
        max_iter=4000,
        tol=1e-12,
        solver="lbfgs",
    ).fit(x, y > 0)
    mean = np.mean((y > 0) * (1 - smoothing) + smoothing / 2)
    assert binary.predict_proba(x)[:, 1].mean() == pytest.approx(mean, abs=1e-5)


def test_l1_makes_weights_vanish():
    x, y = regression()
    plain = MLPRegressor(**SMALL | dict(max_iter=300)).fit(x, y)
    sparse = MLPRegressor(**SMALL | dict(max_iter=300), l1=20.0).fit(x, y)
    assert np.abs(sparse.coefs_[0]).mean() < 0.3 * np.abs(plain.coefs_[0]).mean()


def test_l1_and_l2_are_both_in_the_loss_divided_by_the_weights():
    x, y = regression()
    plain, penalized = (
        MLPRegressor(**FULL | dict(max_iter=1, learning_rate_init=1e-12), alpha=alpha, l1=l1).fit(
            x, y
        )
        for alpha, l1 in ((0.0, 0.0), (3.0, 2.0))
    )
    squares = sum((c**2).sum() for c in plain.coefs_)
    sizes = sum(np.abs(c).sum() for c in plain.coefs_)
    expected = plain.loss_ + (1.5 * squares + 2.0 * sizes) / len(x)
    assert penalized.loss_ == pytest.approx(expected)


def adamw(parameters, gradients, rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    m = v = 0.0
    for t, gradient in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        step = (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        parameters = parameters - rate * decay * parameters - rate * step
    return parameters


def test_adamw_decays_weights_beside_the_gradient():
    x, y = np.zeros((1, 1)), np.array([1.0])  # only the bias has a gradient: a - 1
    rules = dict(solver="adamw", weight_decay=0.5, alpha=0, learning_rate_init=0.1)
    model = MLPRegressor(hidden_layer_sizes=(), random_state=0, max_iter=2, **rules)
    start = MLPRegressor(**model.get_params() | dict(learning_rate_init=1e-300)).fit(x, y)
    w, b = start.coefs_[0][0, 0], start.intercepts_[0][0]
    first = adamw(b, [b - 1], 0.1, 0.5)
    expected = adamw(b, [b - 1, first - 1], 0.1, 0.5)
    model.fit(x, y)
    assert model.intercepts_[0][0] == pytest.approx(expected)
    assert model.coefs_[0][0, 0] == pytest.approx(w * 0.95**2)


@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam", "adamw", "rmsprop", "lbfgs"])
def test_every_solver_learns(solver):
    x, y = blobs()
    rate = 0.05 if solver in ("sgd", "nesterov") else 0.01
    model = MLPClassifier(**SMALL | dict(max_iter=100), solver=solver, learning_rate_init=rate)
    assert model.fit(x, y).loss_curve_[-1] < 0.7 * model.loss_curve_[0]


def test_nesterov_is_gradient_descent_with_nesterovs_momentum():
    x, y = blobs()
    a = MLPClassifier(**SMALL, solver="nesterov", nesterovs_momentum=False).fit(x, y)
    b = MLPClassifier(**SMALL, solver="sgd", nesterovs_momentum=True).fit(x, y)
    assert_same_weights(a, b, rtol=0)


def test_rates_follow_their_schedule_over_max_iter_epochs():
    x, y = blobs()
    model = MLPClassifier(**SMALL, learning_rate="cosine", learning_rate_init=0.1).fit(x, y)
    expected = [cosine(0.1, 0, epoch, 20) for epoch in range(20)]
    np.testing.assert_allclose(model.history_["learning_rate"], expected)
    rates = dict(learning_rate="exponential", learning_rate_decay=0.5, warmup=3)
    model = MLPClassifier(**SMALL, **rates, learning_rate_init=0.1).fit(x, y)
    expected = 0.1 * np.exp(-0.5 * np.arange(20)) * np.minimum(1, np.arange(1, 21) / 4)
    np.testing.assert_allclose(model.history_["learning_rate"], expected)


def test_partial_fit_walks_along_the_schedule():
    x, y = blobs()
    model = MLPRegressor(**SMALL, learning_rate="cosine", learning_rate_init=0.1)
    for _ in range(3):
        model.partial_fit(x, y)
    expected = [cosine(0.1, 0, epoch, 20) for epoch in range(3)]
    np.testing.assert_allclose(model.history_["learning_rate"], expected)


def test_layers_as_text_and_activations_per_layer():
    x, y = blobs()
    a = MLPClassifier("12x7", ("tanh", "relu"), random_state=0, max_iter=5).fit(x, y)
    b = MLPClassifier((12, 7), ["tanh", "relu"], random_state=0, max_iter=5).fit(x, y)
    assert_same_weights(a, b, rtol=0)
    hidden = np.maximum(
        np.tanh(x @ a.coefs_[0] + a.intercepts_[0]) @ a.coefs_[1] + a.intercepts_[1], 0
    )
    z = (hidden @ a.coefs_[2] + a.intercepts_[2])[:, 0]
    np.testing.assert_allclose(a.predict_proba(x)[:, 1], 1 / (1 + np.exp(-z)))


def test_other_first_weights_can_be_chosen():
    x, y = np.ones((4, 400)), [0, 1, 0, 1]
    model = MLPClassifier(
        (300,), initializer="he", learning_rate_init=1e-300, max_iter=1, random_state=0
    ).fit(x, y)
    assert model.coefs_[0].std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert np.abs(model.intercepts_[0]).max() < 1e-299


# --- Callbacks


def test_early_stopping_callback_goes_back_to_the_best_epoch():
    x, y = blobs()
    x_val, y_val = blobs(80, seed=1)
    model = MLPClassifier((50,), random_state=0, learning_rate_init=0.02, max_iter=200)
    model.set_callbacks(EarlyStopping("val_loss", patience=4))
    model.fit(x, y, X_val=x_val, y_val=y_val)
    losses = model.history_["val_loss"]
    assert model.n_iter_ == int(np.argmin(losses)) + 6 < 200
    assert metrics.log_loss(y_val, model.predict_proba(x_val)) == pytest.approx(min(losses))


def test_clones_share_a_callback_without_harm():
    from sklearn.base import clone

    x, y = blobs()
    callback = EarlyStopping("loss", patience=2, tol=1.0)
    model = MLPClassifier(**SMALL).set_callbacks(callback)
    iterations = [clone(model).fit(x, y).n_iter_ for _ in range(2)]
    assert iterations == [4, 4]
    assert callback.best_epoch is None


def test_learning_rate_scheduler_sets_every_epochs_rate():
    x, y = blobs()
    scheduler = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else 0.25)
    model = MLPClassifier(**SMALL).set_callbacks(scheduler).fit(x, y)
    np.testing.assert_allclose(model.history_["learning_rate"], 0.25 / 2.0 ** np.arange(20))


def test_unknown_number_to_monitor_is_named():
    message = "monitor must be one of 'loss', 'accuracy', 'learning_rate', 'seconds'; got 'val_auc'"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SMALL).set_callbacks(EarlyStopping("val_auc")).fit(*blobs())
    model = MLPClassifier(**SMALL, early_stopping=True, monitor="val_auc")
    with pytest.raises(ValueError, match="'val_loss', 'val_score'; got 'val_auc'"):
        model.fit(*blobs())


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_progress_bar_of_scikit_learn_works(solver, capsys):
    pytest.importorskip("rich")
    bar = pytest.importorskip("sklearn.callback").ProgressBar()
    model = MLPClassifier(**SMALL, solver=solver).set_callbacks(bar)
    model.fit(*blobs())
    assert "MLPClassifier - fit" in capsys.readouterr().out


def test_callbacks_of_scikit_learn_see_a_fitted_estimator_after_every_epoch():
    monitor = pytest.importorskip("sklearn.callback").ScoringMonitor(scoring="accuracy")
    x, y = blobs()
    model = MLPClassifier(**SMALL).set_callbacks(monitor).fit(x, y)
    logs = monitor.get_logs()
    scores = [row["accuracy"] for row in logs.data if row["task_name"] == "epoch"]
    twin = MLPClassifier(**SMALL).fit(x, y, X_val=x, y_val=y)
    np.testing.assert_allclose(scores, twin.validation_scores_)
    assert_same_weights(model, twin, rtol=0)


class StopAt:
    """A callback of scikit-learn's protocol that ends the fit."""

    def __init__(self, epoch):
        self.epoch, self.hooks = epoch, []

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.hooks.append(f"end {context.task_name}")
        return context.task_name == "epoch" and context.task_id == self.epoch


def test_callbacks_of_scikit_learn_can_stop_and_are_torn_down():
    pytest.importorskip("sklearn.callback")
    callback = StopAt(1)
    model = MLPClassifier(**SMALL).set_callbacks(callback).fit(*blobs())
    assert model.n_iter_ == 2
    epoch = ["begin epoch", "end epoch"]
    assert callback.hooks == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]
    failing = StopAt(1)
    with pytest.raises(ValueError, match="alpha"):
        MLPClassifier(**SMALL, alpha=-1).set_callbacks(failing).fit(*blobs())
    assert failing.hooks in ([], ["setup", "teardown"])


def test_callbacks_of_scikit_learn_are_torn_down_where_a_fit_fails():
    pytest.importorskip("sklearn.callback")
    x, y = blobs()
    for bad in (dict(y=y[:9]), dict(sample_weight=np.zeros(200)), dict(X_val=x)):
        callback = StopAt(1)
        model = MLPClassifier(**SMALL).set_callbacks(callback)
        with pytest.raises(ValueError, match=r"inconsistent|positive weight|missing"):
            model.fit(**dict(X=x, y=y) | bad)
        assert callback.hooks == ["setup", "teardown"]
        assert set(vars(model)) - set(model.get_params()) == {"_skl_callbacks"}


def test_lbfgs_can_be_stopped_too():
    pytest.importorskip("sklearn.callback")
    model = MLPClassifier(**SMALL, solver="lbfgs").set_callbacks(StopAt(3)).fit(*blobs())
    assert (model.n_iter_, len(model.loss_curve_)) == (4, 4)


# --- Reports


def test_verbose_prints_a_line_per_epoch(capsys):
    MLPClassifier(**SMALL, verbose=True).fit(*blobs(), X_val=blobs()[0], y_val=blobs()[1])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("Iteration 1, loss = ")
    assert "score = " in lines[0]


def test_verbose_says_why_it_stops(capsys):
    MLPClassifier(**SMALL, verbose=1, tol=1.0, n_iter_no_change=2).fit(*blobs())
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Training loss did not improve more than tol=1.000000 for 2 consecutive")
    assert last.endswith("Stopping.")


def test_the_reason_to_stop_names_what_was_watched(capsys):
    x, y = blobs()
    watched = dict(early_stopping=True, tol=1.0, n_iter_no_change=1, verbose=True)
    for monitor, what in (("val_loss", "val_loss"), (None, "Validation score")):
        MLPClassifier(**SMALL, **watched, monitor=monitor).fit(x, y)
        assert f"{what} did not improve more than tol" in capsys.readouterr().out


def test_verbose_goes_to_the_logger_where_somebody_listens(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="fastmlp"):
        MLPClassifier(**SMALL, verbose=True).fit(*blobs())
    assert len(caplog.messages) == 20
    assert capsys.readouterr().out == ""


def test_verbose_is_silent_where_logging_is_silenced(capsys):
    logger = logging.getLogger("fastmlp")
    logger.setLevel(logging.WARNING)
    try:
        MLPClassifier(**SMALL, verbose=True).fit(*blobs())
    finally:
        logger.setLevel(logging.NOTSET)
    assert capsys.readouterr().out == ""


def test_verbose_keeps_one_line_up_to_date_on_a_terminal(capsys, monkeypatch):
    pytest.importorskip("rich")
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    MLPClassifier(**SMALL, verbose=True).fit(*blobs())
    out = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)  # colors of the terminal
    assert "Iteration 20, loss" in out
    assert out.count("\n") < 20


def test_history_is_a_table():
    pd = pytest.importorskip("pandas")
    model = MLPClassifier(**SMALL).fit(*blobs(), X_val=blobs()[0], y_val=blobs()[1])
    assert pd.DataFrame(model.history_).shape == (20, 6)


def test_history_stays_a_table_through_warm_starts():
    x, y = blobs()
    model = MLPClassifier(**SMALL, warm_start=True).fit(x, y)
    model.fit(x, y, X_val=x, y_val=y)
    model.fit(x, y)
    assert {len(column) for column in model.history_.values()} == {60}
    assert np.isnan(model.history_["val_loss"]).tolist() == [True] * 20 + [False] * 20 + [True] * 20


def test_no_warnings_where_nothing_is_wrong():
    x, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier((5,), tol=0.1, random_state=0).fit(x, y)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_weights_put_in_between_partial_fits_do_not_bring_an_old_optimizer_state_back(solver):
    x, y = blobs()
    undisturbed, replaced = (
        MLPClassifier(solver=solver, hidden_layer_sizes=(5,), random_state=0) for _ in range(2)
    )
    for _ in range(3):
        undisturbed.partial_fit(x, y, classes=np.unique(y))
        replaced.partial_fit(x, y, classes=np.unique(y))
        replaced.coefs_ = [weights.copy() for weights in replaced.coefs_]
    for found, expected in zip(replaced.coefs_, undisturbed.coefs_, strict=True):
        np.testing.assert_array_equal(found, expected)
