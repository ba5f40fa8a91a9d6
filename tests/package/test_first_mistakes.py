"""What newcomers write, and the sentence that they get: it names what helps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastmlp
import fastmlp.studies
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, MyANN, Network, Trainer
from fastmlp._names import SYNONYMS, nearest
from fastmlp.exceptions import EnvironmentVariableError, ModelFormatError, ParameterError
from fastmlp.plots import decision_surface, decision_surface_3d

RNG = np.random.default_rng(0)
X, Y = RNG.random((20, 4)), np.eye(2)[np.arange(20) % 2]
LABELS = np.arange(20) % 2
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2}


def regress(*args, **parameters):
    return MLPRegressor(*args, **SMALL | parameters).fit(X, X[:, 0])


# --- Names of other libraries, and words that are nearly right


@pytest.mark.parametrize(
    ("parameters", "meant"),
    [
        ({"loss": "mse"}, "Did you mean 'squared_error'"),
        ({"loss": "MAE"}, "Did you mean 'absolute_error'"),
        ({"activation": "ReLU"}, "Did you mean 'relu'"),
        ({"activation": "swish"}, "Did you mean 'silu'"),
        ({"activation": "none"}, "Did you mean 'identity'"),
        ({"loss": "l1"}, "Did you mean 'absolute_error'"),
        ({"initializer": "xavier"}, "Did you mean 'glorot'"),
        ({"solver": "Adm"}, "Did you mean 'adam'"),
        ({"learning_rate": 0.01}, "Was learning_rate_init=0.01 meant"),
        ({"loss": "8"}, "Was hidden_layer_sizes='8' meant"),
        ({"loss": "16x8"}, "Was hidden_layer_sizes='16x8' meant"),
        ({"loss": (100,)}, r"Was hidden_layer_sizes=\(100,\) meant"),
    ],
    ids=str,
)
def test_a_wrong_value_brings_the_one_that_is_meant(parameters, meant):
    with pytest.raises(ParameterError, match=meant):
        regress(**parameters)


def test_a_value_that_is_near_none_brings_no_guess():
    for value in ("x", "x" * 10_000, 3, None, ""):
        with pytest.raises(ParameterError) as caught:
            regress(activation=value)
        assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("n_jobs", "n_threads"),
        ("n_job", "n_threads"),
        ("lr", "learning_rate_init"),
        ("epochs", "max_iter"),
        ("hidden_layers_sizes", "hidden_layer_sizes"),
        ("seed", "random_state"),
    ],
)
def test_an_unknown_parameter_brings_the_nearest_one(kind, name, meant):
    message = f"{kind.__name__} got an unexpected keyword argument '{name}'. Did you mean '{meant}'"
    with pytest.raises(TypeError, match=message):
        kind(**{name: 1})
    with pytest.raises(TypeError, match=r"'qqq'; its parameters are .*solver"):
        kind(qqq=1)


@pytest.mark.parametrize(
    ("make", "meant"),
    [
        (lambda: Trainer(Network((4, 2)), lr=0.1), "learning_rate"),
        (lambda: Network((4, 2), activaton="relu"), "activation"),
        (lambda: MyANN(learning_rate=0.1), "learn_rate"),
        (lambda: MyANN(batch_size=5), "n_size_mini_batch"),
    ],
    ids=["Trainer", "Network", "MyANN", "MyANN's batch"],
)
def test_every_class_names_its_own_word_for_a_parameter(make, meant):
    with pytest.raises(TypeError, match=f"Did you mean '{meant}'"):
        make()


def test_a_trainer_lists_its_parameters_for_a_word_that_is_near_none():
    with pytest.raises(TypeError, match=r"'qqq'; its parameters are network, loss, .*engine"):
        Trainer(Network((4, 2)), qqq=1)
    with pytest.raises(TypeError, match=r"no parameter 'qqq'; known: my_data_set, .*mom_const"):
        MyANN(qqq=1)


@pytest.mark.parametrize(
    ("loss", "meant"), [("mse", "brier"), ("cross_entropy", "log_loss"), ("brir", "brier")]
)
def test_a_classifier_names_its_own_losses(loss, meant):
    with pytest.raises(ParameterError, match=f"Did you mean '{meant}'"):
        MLPClassifier(**SMALL, loss=loss).fit(X, LABELS)


def test_a_number_to_monitor_may_be_turned_round():
    with pytest.raises(ValueError, match=r"monitor must be .*'loss_val'. Did you mean 'val_loss'"):
        regress(monitor="loss_val", early_stopping=True)
    run = Trainer(Network((4, 3, 2)))
    for name, meant in (("cost_val", "val_cost"), ("val_loss", "val_cost"), ("acc_val", "val_acc")):
        with pytest.raises(ValueError, match=f"monitor must be one of .*Did you mean '{meant}"):
            run.fit(X, Y, callbacks=[fastmlp.EarlyStopping(name)], validation_data=(X, Y))


def test_names_of_data_sets_and_studies_may_be_nearly_right():
    with pytest.raises(ValueError, match="Did you mean 'mnist'"):
        fastmlp.datasets.load("mnst")
    with pytest.raises(ValueError, match=r"unknown study 'seed'\. Did you mean 'seeds'"):
        fastmlp.studies.find_study("seed")
    with pytest.raises(ValueError, match="unknown study 'qqq'; there are: first-run"):
        fastmlp.studies.find_study("qqq")


def test_no_synonym_leads_to_a_name_that_is_not_allowed():
    known = ["squared_error", "relu"]
    for word in {word for group in SYNONYMS for word in group}:
        found = nearest(word, known)
        assert found in ("", ". Did you mean 'squared_error'?", ". Did you mean 'relu'?")
    assert nearest("L2-Loss", known) == ". Did you mean 'squared_error'?"
    assert nearest("re lu", known) == ". Did you mean 'relu'?"


def test_subclasses_with_parameters_of_their_own_keep_them():
    class Mine(MLPRegressor):
        def __init__(self, extra=1, solver="lbfgs"):
            super().__init__(solver=solver)
            self.extra = extra

    assert Mine(extra=2).get_params() == {"extra": 2, "solver": "lbfgs"}


# --- Estimators


def test_a_generator_is_a_random_state_as_for_the_other_classes():
    first, second = (regress(random_state=np.random.default_rng(seed)).coefs_[0] for seed in (1, 1))
    np.testing.assert_array_equal(first, second)
    generator = np.random.default_rng(1)
    models = [regress(random_state=generator).coefs_[0] for _ in range(2)]
    np.testing.assert_array_equal(models[0], first)
    assert (models[1] != first).any()  # the generator continues, as a RandomState does
    with pytest.raises(ParameterError, match=r"a RandomState or a Generator"):
        regress(random_state="seed")


def test_a_run_from_a_generator_resumes(tmp_path):
    def model():
        return MLPRegressor(**SMALL | {"max_iter": 4}, random_state=np.random.default_rng(1))

    whole = model().fit(X, X[:, 0])
    half = model().set_params(max_iter=2).set_callbacks(Checkpoint(tmp_path, every=1))
    half.fit(X, X[:, 0])
    rest = model().fit(X, X[:, 0], resume=tmp_path)
    np.testing.assert_array_equal(rest.coefs_[0], whole.coefs_[0])


def test_early_stopping_on_few_rows_is_named():
    for model, y in ((MLPClassifier, LABELS), (MLPRegressor, X[:, 0])):
        with pytest.raises(ValueError, match=r"early_stopping"):
            model(**SMALL, early_stopping=True).fit(X[:8], y[:8])


def test_errors_about_validation_data_name_it():
    classifier = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match=r"^`y_val` has classes not in .* 'y_val' has"):
        classifier.fit(X, LABELS, X_val=X, y_val=LABELS + 5)
    with pytest.raises(ValueError, match=r"^y_val must be a dense array"):
        import scipy.sparse

        MLPRegressor(**SMALL).fit(X, X[:, 0], X_val=X, y_val=scipy.sparse.csr_array(X[:, :1]))
    two = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match=r"^y_val must have 2 columns, one per label"):
        two.fit(X, Y.astype(int), X_val=X, y_val=np.ones((20, 3), int))


@pytest.mark.parametrize("given", ["x", Checkpoint, 3])
def test_what_is_no_callback_of_an_estimator_is_shown(given):
    with pytest.raises(TypeError, match=r"must be EpochCallbacks.*; got (the class|'x'|3)"):
        MLPClassifier().set_callbacks(given)


# --- Trainer, callbacks


def test_targets_without_columns_bring_the_way_to_columns():
    with pytest.raises(ValueError, match=r"^Y must have 2 dim.*np.eye\(2\)\[Y\] .*one-hot"):
        Trainer(Network((4, 3, 2))).fit(X, LABELS, n_epochs=1)
    with pytest.raises(ValueError, match=r"np.reshape\(validation_data\[1\], \(-1, 1\)\)"):
        Trainer(Network((4, 3, 1))).fit(X, Y[:, :1], n_epochs=1, validation_data=(X, Y[:, 0]))


@pytest.mark.parametrize("kind", [Checkpoint, fastmlp.EarlyStopping])
def test_a_class_is_no_callback(kind):
    message = rf"got the class {kind.__name__}, not an object: {kind.__name__}\(\.\.\.\)"
    with pytest.raises(TypeError, match=message):
        Trainer(Network((4, 3, 2))).fit(X, Y, n_epochs=1, callbacks=[kind])
    with pytest.raises(TypeError, match=message):
        MLPClassifier().set_callbacks(kind)


def test_times_of_checkpoints_can_be_words_and_a_wrong_one_names_epochs():
    assert Checkpoint("x", every="5 minutes").every_seconds == 300
    assert Checkpoint("x", every="1 hour").every_seconds == 3600
    with pytest.raises(TypeError, match=r"every must be a number of epochs, or a time such as"):
        Checkpoint("x", every="often")


# --- Figures of classifiers


@pytest.mark.parametrize("draw", [decision_surface, decision_surface_3d])
def test_decision_surfaces_name_a_class_and_swapped_arguments(draw):
    model = MLPClassifier(**SMALL, tol=1e9, n_iter_no_change=1).fit(X[:, :2], LABELS)
    with pytest.raises(TypeError, match=r"got the class MLPClassifier. Pass MLPClassifier\("):
        draw(MLPClassifier, X, LABELS)
    for arguments in ((X, LABELS, model), (X, model, LABELS)):
        with pytest.raises(
            TypeError, match=r"must be data; got a MLPClassifier. The arguments are"
        ):
            draw(*arguments)
    with pytest.raises(TypeError, match=r"must be a fitted classifier; got an array"):
        draw(X, LABELS)


# --- Files


def test_a_checkpoint_is_no_model_and_says_what_to_do(tmp_path):
    folder = tmp_path / "run"
    Trainer(Network((4, 3, 2))).fit(X, Y, n_epochs=1, callbacks=[Checkpoint(folder, every=1)])
    (path,) = folder.glob("*.safetensors")
    with pytest.raises(ModelFormatError, match=r"a run and not a model: .*resume=path.*save"):
        fastmlp.load(path)
    with pytest.raises(IsADirectoryError, match=r"a run and not a model"):
        fastmlp.load(folder)
    with pytest.raises(IsADirectoryError) as caught:
        fastmlp.load(tmp_path)
    assert "resume" not in str(caught.value)


def test_files_of_other_programs_say_who_reads_them(tmp_path):
    for name, reader in {
        "x.onnx": "onnxruntime",
        "x.keras": "from_keras",
        "x.PKL": "pickle alone",
        "x.npz": "datasets.load",
    }.items():
        (tmp_path / name).write_bytes(pickle.dumps({}) * 50)
        with pytest.raises(ModelFormatError, match=reader):
            fastmlp.load(tmp_path / name)


# --- FASTMLP_DATA


@pytest.fixture
def no_copy(monkeypatch, tmp_path):
    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))


def test_a_folder_of_data_that_is_none_is_refused(no_copy, monkeypatch, tmp_path):
    file = tmp_path / "mnist.npz"
    file.write_bytes(b"")
    for wrong, reason in ((file, "is a file; its folder is"), (tmp_path / "no", "not found")):
        monkeypatch.setenv("FASTMLP_DATA", str(wrong))
        for call in (fastmlp.datasets.load, fastmlp.datasets.find):
            with pytest.raises(EnvironmentVariableError, match=f"FASTMLP_DATA must .*{reason}"):
                call("mnist")


def test_a_folder_without_the_data_is_named_before_a_download(no_copy, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTMLP_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"folder in FASTMLP_DATA, .* has no mnist\.npz"):
        fastmlp.datasets.load("mnist", download=False)
    asked = []
    monkeypatch.setattr("fastmlp.datasets.pinned._download", lambda *_: asked.append(1) or 1 / 0)
    with (
        pytest.warns(UserWarning, match=r"has no fashion_mnist\.npz. It is downloaded"),
        pytest.raises(ZeroDivisionError),
    ):
        fastmlp.datasets.load("fashion")
    assert asked == [1]


def test_a_failed_download_is_told_in_a_few_lines(no_copy, monkeypatch, tmp_path):
    monkeypatch.delenv("FASTMLP_DATA", raising=False)

    def fails(*_, **__):
        raise OSError(
            "HTTPSConnectionPool(host='storage.example', port=443): Max retries exceeded with url: "
            '/tensorflow/tf-keras-datasets/mnist.npz (Caused by NameResolutionError("<urllib3.'
            "connection.HTTPSConnection object at 0x7f1>: Failed to resolve 'storage.example' "
            '([Errno -2] Name or service not known)"))'
        )

    monkeypatch.setattr("fastmlp.datasets.https.download_https", fails)
    with pytest.raises(OSError, match=r"cannot download .*Failed to resolve") as caught:
        fastmlp.datasets.load("mnist", cache_dir=tmp_path)
    text = str(caught.value)
    assert len(text) < 450 and "object at" not in text and "FASTMLP_DATA" in text
