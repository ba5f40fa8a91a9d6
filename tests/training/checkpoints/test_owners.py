"""Checkpoints of MyANN, the estimators and L-BFGS, in the words of their owners."""

from __future__ import annotations

import functools
import hashlib
import warnings
from itertools import pairwise

import numpy as np
import pytest
from estimator_data import blobs
from saved_models import forge, taken_apart
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit

import fastmlp
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, ModelFormatError, MyANN, ResumeError
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.training import lbfgs as _lbfgs
from fastmlp.training.checkpoints.fingerprint import described
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path, read_newest
from fastmlp.training.objective import Objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = blobs(120, n_classes=3)


class Press(EpochCallback):
    """Ctrl-C after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def settings(self):
        return None

    def after_epoch(self, trainer):
        if trainer.epochs_done == self.epoch:
            raise KeyboardInterrupt


def classifier(**options):
    return MLPClassifier(
        **{"hidden_layer_sizes": (8,), "batch_size": 30, "max_iter": 8, "random_state": 1} | options
    )


def interrupted(model, folder, epoch=4):
    with pytest.raises(KeyboardInterrupt):
        model.set_callbacks(Press(epoch), Checkpoint(folder)).fit(X, Y)
    return model.set_callbacks()


def assert_same(model, expected):
    for a, b in zip(
        model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert model.loss_curve_ == expected.loss_curve_ and model.n_iter_ == expected.n_iter_


# --- Estimators


@pytest.mark.parametrize(
    "random_state", [None, np.random.RandomState(3)], ids=["global", "instance"]
)
def test_a_random_state_without_a_number_goes_on_from_where_it_was(random_state, tmp_path):
    options = dict(random_state=random_state, early_stopping=True, max_iter=6)
    source = np.random.mtrand._rand if random_state is None else random_state
    state = source.get_state()
    expected = classifier(**options).fit(X, Y)
    drawn = source.random()
    source.set_state(state)
    interrupted(classifier(**options), tmp_path)
    resumed = classifier(**options).fit(X, Y, resume=tmp_path)
    assert_same(resumed, expected)
    assert source.random() == drawn, "what comes after the fit is the same too"


def test_a_fit_that_is_interrupted_keeps_what_it_learned_and_goes_on_in_the_same_object(tmp_path):
    model = interrupted(classifier(), tmp_path)
    assert model.n_iter_ == 4 and len(model.loss_curve_) == 4 and model.predict(X).shape == (120,)
    assert_same(model.fit(X, Y, resume=tmp_path), classifier().fit(X, Y))


def test_a_longer_fit_is_the_undisturbed_longer_fit(tmp_path):
    classifier().set_callbacks(Checkpoint(tmp_path, 3)).fit(X, Y)
    assert_same(
        classifier(max_iter=15).fit(X, Y, resume=tmp_path), classifier(max_iter=15).fit(X, Y)
    )


def test_a_warm_start_is_resumed_on_an_estimator_that_has_been_fitted_before(tmp_path):
    def fitted():
        return classifier(warm_start=True, max_iter=3).fit(X, Y).set_params(max_iter=8)

    expected = fitted().fit(X, Y)
    interrupted(fitted(), tmp_path)
    assert_same(fitted().fit(X, Y, resume=tmp_path), expected)
    with pytest.raises(ResumeError, match="new network was False, is now True"):
        classifier(warm_start=True).fit(X, Y, resume=tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(alpha=0.1), "alpha was 0.0001, is now 0.1$"),
        (dict(hidden_layer_sizes=(9,)), r"hidden_layer_sizes was \(8,\), is now \(9,\)$"),
        (dict(random_state=2), "random_state was 1, is now 2$"),
        (dict(random_state=None), "random_state was 1, is now 'no number'$"),
        (dict(solver="sgd"), "solver was 'adam', is now 'sgd'$"),
        (dict(solver="lbfgs"), "solver was 'epochs', is now 'lbfgs'$"),
        (dict(n_iter_no_change=3), "n_iter_no_change was 10, is now 3$"),
        (dict(max_iter=3), "number of epochs was at least 4, is now 3$"),
        (dict(learning_rate="cosine"), "learning_rate was 'constant', is now 'cosine'$"),
    ],
)
def test_other_parameters_are_named_as_the_estimator_names_them(change, message, tmp_path):
    model = interrupted(classifier(), tmp_path)
    before = [w.copy() for w in model.coefs_]
    with pytest.raises(ResumeError, match=f"(?m){message}"):
        model.set_params(**change).fit(X, Y, resume=tmp_path)
    assert model.n_iter_ == 4, "the estimator is as it was"
    for w, old in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(w, old)


def test_other_data_and_validation_rows_are_named(tmp_path):
    interrupted(classifier(), tmp_path)
    for data, message in [
        (dict(X=2 * X, y=Y), r"X was float64 \(120, 6\) with SHA-256 .*, is now float64 \(120, "),
        (dict(X=X, y=Y[::-1]), "y was float64"),
        (
            dict(X=X, y=Y, sample_weight=np.ones(120)),
            "sample_weight was None, is now float",
        ),
        (dict(X=X, y=Y, X_val=X[:9], y_val=Y[:9]), "X_val was None, is now float64"),
    ]:
        with pytest.raises(ResumeError, match=message):
            classifier().fit(**data, resume=tmp_path)


def test_other_rows_that_a_splitter_holds_back_are_noticed(tmp_path):
    def split(seed):
        splitter = ShuffleSplit(1, test_size=0.2, random_state=seed)
        return classifier(early_stopping=True, validation_fraction=splitter)

    interrupted(split(0), tmp_path)
    assert_same(split(0).fit(X, Y, resume=tmp_path), split(0).fit(X, Y))
    with pytest.raises(ResumeError, match=r"rows to train on was int64 \(96,\).*; X_val was fl"):
        split(1).fit(X, Y, resume=tmp_path)


def test_functions_and_splitters_are_compared_by_name(tmp_path):
    def squared(y, a):
        return ((a - y) ** 2).sum(axis=1), 2 * (a - y)

    def other(y, a):
        return squared(y, a)

    interrupted(classifier(loss=squared), tmp_path)
    assert_same(
        classifier(loss=squared).fit(X, Y, resume=tmp_path), classifier(loss=squared).fit(X, Y)
    )
    with pytest.raises(
        ResumeError, match=r"loss was function .*squared with .*, is now .*other wi"
    ):
        classifier(loss=other).fit(X, Y, resume=tmp_path)


def scaled(by, y, a, *, shift=0.0):
    return by * ((a - y) ** 2).sum(axis=1) + shift, 2 * by * (a - y)


def closure(by):
    def loss(y, a):
        return scaled(by, y, a)

    return loss


def default(by):
    return lambda y, a, by=by: scaled(by, y, a)


class Scaled:
    def __init__(self, by):
        self.by = by

    def __call__(self, y, a):
        return scaled(self.by, y, a)

    def method(self, y, a):
        return scaled(self.by, y, a)


LOSSES = {
    "closure": closure,
    "closure over an array": lambda by: closure(np.full(1, by)),
    "closure over a closure": lambda by: (lambda inner: lambda y, a: inner(y, a))(closure(by)),
    "default": default,
    "partial": lambda by: functools.partial(scaled, by),
    "keyword of a partial": lambda by: functools.partial(scaled, 1.0, shift=by),
    "object": Scaled,
    "method": lambda by: Scaled(by).method,
    "code": lambda by: {
        2.0: lambda y, a: scaled(2, y, a),
        3.0: lambda y, a: scaled(3, y, a),
    }[by],
}


@pytest.mark.parametrize("name", LOSSES)
def test_functions_of_one_name_with_other_numbers_or_code_are_told_apart(name, tmp_path):
    make = LOSSES[name]
    interrupted(classifier(loss=make(2.0)), tmp_path)
    resumed = classifier(loss=make(2.0)).fit(X, Y, resume=tmp_path)
    assert_same(resumed, classifier(loss=make(2.0)).fit(X, Y))
    with pytest.raises(ResumeError, match=r"loss was .* with SHA-256 .*, is now .* with SHA-256 "):
        classifier(loss=make(3.0)).fit(X, Y, resume=tmp_path)


def test_what_describes_a_function_ends_and_has_no_address():
    def itself(y, a):
        return itself, np, table, rng, scaled

    table, rng = {"a": [scaled, (1, object())]}, np.random.default_rng(0)
    first = described(itself)
    rng.normal()
    assert described(itself) == first
    assert described(np.tanh) != described(np.sin)
    digest = hashlib.sha256(b"('a builtins.object',)").hexdigest()
    assert described(object()) == f"a builtins.object sha256:{digest}"


def test_partial_fit_has_no_checkpoints(tmp_path):
    model = classifier().set_callbacks(Checkpoint(tmp_path))
    with pytest.raises(
        ValueError, match=r"can be used with fit, not with partial_fit: fastmlp\.save"
    ):
        model.partial_fit(X, Y, classes=np.unique(Y))
    assert not hasattr(model, "coefs_")


def test_an_estimator_does_not_go_on_with_the_training_of_another(tmp_path):
    interrupted(classifier(), tmp_path)
    with pytest.raises(ResumeError, match=r"owner was 'MLPClassifier', is now 'MLPRegressor'"):
        MLPRegressor(hidden_layer_sizes=(8,)).fit(X, Y, resume=tmp_path)


def test_the_warning_of_too_few_epochs_is_that_of_the_undisturbed_fit(tmp_path):
    interrupted(classifier(), tmp_path)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(8\) reached"):
        classifier().fit(X, Y, resume=tmp_path)


def test_callbacks_of_scikit_learn_see_the_rest_of_a_resumed_fit(tmp_path):
    monitor = pytest.importorskip("sklearn.callback").ScoringMonitor(scoring="accuracy")
    interrupted(classifier(), tmp_path)
    model = classifier().set_callbacks(monitor)
    assert_same(model.fit(X, Y, resume=tmp_path), classifier().fit(X, Y))
    names = [row["task_name"] for row in monitor.get_logs().data]
    assert names.count("epoch") == 8 - 3


def forged(folder, name, value, *, callback=None):
    """The newest checkpoint with another value of this name in a callback's state, or array."""
    document, arrays = taken_apart(checkpoint_path(folder, 1).read_bytes())
    names = [each["name"] for each in document["callbacks"]]
    where = name
    if callback is not None:
        number = names.index(callback)
        where, state = f"callbacks.{number}.{name}", document["callbacks"][number]
        if not isinstance(value, np.ndarray) and name in state["arrays"]:
            state["arrays"].remove(name)
            del arrays[where]
        if not isinstance(value, np.ndarray):
            state["values"][name] = value
    if isinstance(value, np.ndarray):
        arrays[where] = value
    path = folder / "forged"
    path.write_bytes(forge(document, arrays))
    return path


@pytest.mark.parametrize("callback, name, value, message", [
    ("FitRecorder", "loss_curve", "text", "loss_curve must be an array of float64"),
    ("FitRecorder", "history", np.zeros(7), r"history must have 2 dimension\(s\); got 1"),
    ("FitRecorder", "history", np.zeros((1, 1)), "history and loss curve must have the same"),
    ("FitRecorder", "validation_scores", {"tuple": []}, "validation_scores must be an array of"),
    ("FitRecorder", "validation_scores", np.array(1.0), r"must have 1 dimension\(s\); got 0"),
    ("FitRecorder", "n_iter", -1, "n_iter must be at least 0; got -1"),
    ("Convergence", "best_parameters", None, "best_parameters must not be None with early"),
    ("Convergence", "best_loss_", "low", "best_loss_ must be a number or None"),
    ("Convergence", "plateau", 3, "a plateau's state must be"),
], ids=str)  # fmt: skip
def test_forged_records_of_an_estimator_are_refused(callback, name, value, message, tmp_path):
    model = interrupted(classifier(early_stopping=True), tmp_path)
    before = [w.copy() for w in model.coefs_]
    path = forged(tmp_path, name, value, callback=callback)
    with pytest.raises(ModelFormatError, match=f"the state of {callback} cannot .*{message}"):
        model.fit(X, Y, resume=path)
    for a, b in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(a, b)


# --- L-BFGS


def lbfgs(**options):
    return classifier(solver="lbfgs", max_iter=30, tol=1e-9, **options)


def test_a_search_hears_again_what_it_was_told_and_computes_only_the_rest(tmp_path, monkeypatch):
    interrupted(lbfgs(), tmp_path, epoch=20)
    saved = read_newest(tmp_path)
    assert (saved.epochs_done, saved.solver) == (19, "lbfgs")
    evaluations = []
    objective = Objective.gradient
    monkeypatch.setattr(
        Objective,
        "gradient",
        lambda self, rows, gradient: (evaluations.append(1), objective(self, rows, gradient))[1],
    )
    resumed = lbfgs().fit(X, Y, resume=tmp_path)
    n_resumed = len(evaluations)
    expected = lbfgs().fit(X, Y)
    assert n_resumed == len(evaluations) - n_resumed - len(saved.progress.recorded)
    assert_same(resumed, expected)
    assert resumed.history_["loss"] == expected.history_["loss"]


@pytest.mark.parametrize("name", ["evaluations.costs", "evaluations.gradients"])
def test_a_search_that_began_with_no_finite_number_is_refused(name, tmp_path):
    interrupted(lbfgs(), tmp_path)
    numbers = taken_apart(checkpoint_path(tmp_path, 1).read_bytes())[1][name].copy()
    numbers[0] = np.nan
    with pytest.raises(ModelFormatError, match="the first cost and gradient must be finite"):
        lbfgs().fit(X, Y, resume=forged(tmp_path, name, numbers))


def test_a_search_is_saved_within_an_iteration(tmp_path):
    lbfgs().set_callbacks(Checkpoint(tmp_path, every="0.00001s", keep=999)).fit(X, Y)
    saved = [
        fastmlp.training.checkpoints.document.read_checkpoint(checkpoint_path(tmp_path, n))
        for n in checkpoint_numbers(tmp_path)
    ]
    lengths = [len(each.progress.recorded) for each in saved]
    assert lengths == sorted(lengths) and len(saved) > 40
    assert {each.under_way for each in saved} == {True, False}
    expected = lbfgs().fit(X, Y)
    for each in saved[::7]:
        assert_same(lbfgs().fit(X, Y, resume=each.path), expected)


def test_a_search_that_has_converged_or_was_ended_stays_where_it_is(tmp_path):
    class StopAt(EpochCallback):
        def after_epoch(self, trainer):
            return trainer.epochs_done == 5

    done = lbfgs().set_callbacks(StopAt(), Checkpoint(tmp_path / "a")).fit(X, Y)
    again = lbfgs().set_callbacks(StopAt()).fit(X, Y, resume=tmp_path / "a")
    assert_same(again, done)
    assert again.n_iter_ == 5
    converged = lbfgs().set_params(tol=0.1).set_callbacks(Checkpoint(tmp_path / "b")).fit(X, Y)
    assert converged.n_iter_ < 30
    assert_same(lbfgs().set_params(tol=0.1).fit(X, Y, resume=tmp_path / "b"), converged)


def test_a_search_that_reached_its_last_iteration_is_resumed_there_and_beyond(tmp_path):
    done = lbfgs().set_params(max_iter=6).set_callbacks(Checkpoint(tmp_path)).fit(X, Y)
    assert done.n_iter_ == 6
    assert_same(lbfgs().set_params(max_iter=6).fit(X, Y, resume=tmp_path), done)
    longer = lbfgs().set_params(max_iter=9)
    assert_same(longer.fit(X, Y, resume=tmp_path), lbfgs().set_params(max_iter=9).fit(X, Y))


def test_a_search_that_would_end_earlier_or_elsewhere_is_refused(tmp_path):
    interrupted(lbfgs(), tmp_path, epoch=20)
    message = r"end of the search was beyond evaluation \d+, is now \d+"
    with pytest.raises(ResumeError, match=message):
        lbfgs(max_fun=5).fit(X, Y, resume=tmp_path)
    saved = read_newest(tmp_path)
    checksum, cost, gradient = saved.progress.recorded[7]
    saved.progress.recorded[7] = (checksum ^ 1, cost, gradient)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmlp.estimators.resume.read_newest", lambda _: saved)
        with pytest.raises(ResumeError, match=r"point of evaluation 7 was one, is now another"):
            lbfgs().fit(X, Y, resume=tmp_path)


def test_a_search_whose_gradients_are_too_many_goes_on_without_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(_lbfgs, "MAX_BYTES", 10_000)
    model = lbfgs().set_callbacks(Checkpoint(tmp_path, every=1))
    with pytest.warns(
        UserWarning, match="no more checkpoints are written: the .* gradients of this"
    ):
        model.fit(X, Y)
    expected = lbfgs().fit(X, Y)
    assert_same(model, expected)
    assert_same(lbfgs().fit(X, Y, resume=tmp_path), expected)


# --- MyANN


def myann(**options):
    data = X[:90], Y[:90], X[90:], Y[90:]
    settings = dict(
        n_nodes_layer_out=0,
        n_epochs=6,
        n_size_mini_batch=20,
        learn_rate=0.01,
        random_state=0,
        b_verbose=False,
    )
    return MyANN(data, 1, [0, 7, 0], **settings | options)


def same_ann(a, b):
    return np.array_equal(a.network.parameters, b.network.parameters) and all(
        np.array_equal(a.history[name], b.history[name], equal_nan=True)
        for name in a.history
        if name != "epoch_seconds"
    )


def test_myann_goes_on_when_it_is_constructed_or_fitted(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        myann(callbacks=[Press(3), Checkpoint(tmp_path)])
    expected = myann()
    assert same_ann(myann(resume=tmp_path), expected)
    ann = myann(b_train_on_init=False)
    assert same_ann(ann.fit(resume=tmp_path), expected)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(lambda2_reg=0.3), "lambda2_reg was 0.1, is now 0.3$"),
        (dict(b_standardize="global"), "b_standardize was 'feature', is now 'global'$"),
        (dict(random_state=1), "random_state was 0, is now 1$"),
        (dict(b_measure_accuracy=False), "b_measure_accuracy was True, is now False$"),
    ],
)
def test_myann_names_differences_as_the_articles_do(change, message, tmp_path):
    myann(callbacks=[Checkpoint(tmp_path)])
    ann = myann(**change)
    before, epochs = ann.network.parameters.copy(), ann.history.n_epochs
    with pytest.raises(ResumeError, match=f"(?m){message}"):
        ann.fit(8, resume=tmp_path)
    np.testing.assert_array_equal(ann.network.parameters, before)
    assert ann.history.n_epochs == epochs


def test_epochs_on_the_full_cost_go_down_where_mini_batches_circle():
    ann = myann(n_epochs=60, learn_rate=0.2, lambda2_reg=0.01, decrease_const=0.0)
    circling = ann.history["train_cost"][-10:]
    assert any(b > a for a, b in pairwise(circling))
    rate = ann.learning_rates[-1]
    ann.fit_full_cost(40)
    costs = ann.history["train_cost"]
    assert ann.costs.shape == (40, 1) and (np.diff(costs) < 0).all() and costs[-1] < circling.min()
    np.testing.assert_allclose(ann.learning_rates, rate * 20 / 90)
    # The batch's cost before a step is the training set's cost after the one before.
    np.testing.assert_allclose(ann.costs[1:, 0], costs[:-1], rtol=1e-5)


def test_full_cost_takes_a_rate_and_is_a_training_of_its_own(tmp_path):
    ann = myann()
    ann.fit_full_cost(4, learn_rate=0.001, callbacks=[Checkpoint(tmp_path, 2)])
    assert ann.learning_rates[0] == 0.001 and ann.history.n_epochs == 4
    other = myann()
    other.fit_full_cost(4, learn_rate=0.001, resume=checkpoint_path(tmp_path, 1))
    assert same_ann(other, ann)
    with pytest.raises(ResumeError, match=r"owner was 'MyANN on the full cost', is now 'MyANN'"):
        other.fit(resume=tmp_path)
    with pytest.raises(ValueError, match="learn_rate must be a finite number"):
        ann.fit_full_cost(1, learn_rate=-1.0)
    mean = myann(reduction="mean")
    assert mean.fit_full_cost(1).learning_rates[0] == pytest.approx(mean.learn_rate, rel=1e-3)


def test_a_loaded_myann_has_no_rows_to_train_on(tmp_path):
    fastmlp.save(myann(), tmp_path / "ann")
    with pytest.raises(ValueError, match="fit_full_cost needs training and test data"):
        fastmlp.load(tmp_path / "ann").fit_full_cost(1)


def test_myann_stops_by_a_rule_and_goes_back_to_the_best_weights():
    seen = []
    stop = EarlyStopping("val_cost", patience=2)
    ann = myann(n_epochs=500, learn_rate=0.05, callbacks=[stop, seen.append])
    costs = ann.history["val_cost"]
    assert ann.history.n_epochs < 500 and seen[-1] is ann
    assert stop.best_epoch == costs.argmin() == len(costs) - 4
    test = ann.trainer.evaluate(ann.X_test, ann.Y_test)
    assert test.cost == pytest.approx(costs.min(), rel=1e-6)


def test_nothing_of_a_checkpoint_depends_on_warnings_being_shown(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        myann(callbacks=[Checkpoint(tmp_path)])
        myann(resume=tmp_path)


class CountingLoss:
    """A loss with a number that belongs to it, and a state that does not."""

    def __init__(self, scale):
        self.scale, self._calls = scale, 0

    def __call__(self, y, a):
        self._calls += 1
        return self.scale * ((y - a) ** 2).sum(axis=1), self.scale * 2 * (y - a)


def test_the_state_of_a_callable_object_is_not_compared_but_its_numbers_are():
    loss = CountingLoss(1.0)
    begun = described(loss)
    loss._calls = 7
    assert described(loss) == begun
    assert described(CountingLoss(2.0)) != begun


def test_sets_are_compared_by_what_they_hold():
    def make(by):
        return {CountingLoss(by), "a"}

    assert described(make(1.0)) == described(make(1.0))
    assert described(make(1.0)) != described(make(2.0))
