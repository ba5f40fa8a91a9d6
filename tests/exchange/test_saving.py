"""save and load: what comes back is what went in, whatever the model is."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import name_of
from estimator_data import blobs, multilabel, regression
from saved_models import (
    EVERYTHING,
    SHORT,
    classifier,
    fitted,
    myann,
    network,
    predictions,
    regressor,
    taken_apart,
)
from sklearn.exceptions import NotFittedError

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, MyANN, Network
from fastmlp.estimators.parameters import SOLVERS
from fastmlp.losses import ACTIVATIONS, OUTPUT_FUNCTIONS
from fastmlp.optimizers import OPTIMIZERS

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def again(model, path):
    fastmlp.save(model, path)
    return fastmlp.load(path)


def assert_same(a, b):
    assert type(a) is type(b)
    for name, expected in predictions(a).items():
        found = predictions(b)[name]
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_parameters_that_belong_to_other_outputs_are_not_saved(path):
    model = regressor()
    model.set_params(loss="poisson")
    with pytest.raises(ValueError, match="want outputs 'exponential'; the network has 'identity'"):
        fastmlp.save(model, path)
    assert not path.exists()


# --- Round trips


@pytest.mark.parametrize("kind", EVERYTHING)
def test_every_kind_comes_back_with_the_same_predictions(kind, path):
    model = EVERYTHING[kind]()
    assert_same(again(model, path), model)


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_loaded_model_saved_again_gives_the_same_file(kind, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    fastmlp.save(EVERYTHING[kind](), first)
    fastmlp.save(fastmlp.load(first), second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_of_every_function_come_back_bit_for_bit(activation, dtype, path):
    for output in OUTPUT_FUNCTIONS:
        net = Network(
            (3, 5, 4, 2),
            activation=(activation, "tanh"),
            output=output,
            dtype=dtype,
            initializer="he",
            random_state=0,
        )
        loaded = again(net, path)
        assert (loaded.parameters == net.parameters).all()
        assert (loaded.sizes, loaded.functions) == (net.sizes, net.functions)
        assert (loaded.dtype, loaded.initializer) == (net.dtype, net.initializer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_estimators_of_every_solver_go_on_as_if_never_saved(solver, dtype, path):
    options = SHORT | {"solver": solver, "warm_start": True, "shuffle": False, "dtype": dtype}
    for cls, data in ((MLPClassifier, blobs(n_classes=3)), (MLPRegressor, regression())):
        model = fitted(cls(**options), *data)
        loaded = again(model, path)
        assert_same(loaded, model)
        if solver != "lbfgs":
            for _ in range(3):
                model.partial_fit(*data)
                loaded.partial_fit(*data)
            assert_same(loaded, model)
        assert_same(fitted(loaded, *data), fitted(model, *data))
        assert loaded.history_["loss"] == model.history_["loss"]


def test_all_fitted_attributes_and_parameters_come_back(path):
    x, _y = blobs(n_classes=3)
    names = np.array([f"feature {i}" for i in range(x.shape[1])], dtype=object)
    pandas_like = classifier(
        early_stopping=True,
        class_weight={0: 1.0, 1: 2.0},
        validation_fraction=0.2,
        n_iter_no_change=np.inf,
    )
    pandas_like.feature_names_in_ = names
    loaded = again(pandas_like, path)
    before, after = pandas_like.get_params(), loaded.get_params()
    assert before == after
    assert {k: type(v) for k, v in before.items()} == {k: type(v) for k, v in after.items()}
    for name in (
        "n_features_in_",
        "n_layers_",
        "n_outputs_",
        "out_activation_",
        "loss_",
        "t_",
        "loss_curve_",
        "best_loss_",
        "validation_scores_",
        "best_validation_score_",
        "best_epoch_",
        "n_iter_",
    ):
        assert getattr(loaded, name) == getattr(pandas_like, name), name
    np.testing.assert_equal(loaded.history_, pandas_like.history_)
    assert loaded.feature_names_in_.tolist() == names.tolist()
    assert loaded.feature_names_in_.dtype == object
    assert set(vars(loaded)) == set(vars(pandas_like))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["yes", "nö", "\ud800"]),
        np.array(["a", "b", "c"], object),
        np.array([1.0, 2.0, 4.0]),
        np.array([-3, 5, 2**40]),
        np.array([1, 2, 7], np.uint8),
    ],
    ids=["texts", "objects", "floats", "integers", "bytes"],
)
def test_labels_of_every_type_come_back_with_their_type(labels, path):
    x, y = blobs(n_classes=3)
    model = fitted(MLPClassifier(**SHORT), x, labels[y])
    loaded = again(model, path)
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert (loaded.predict(x) == model.predict(x)).all()


def test_bool_labels_one_class_and_sparse_multilabels_come_back(path):
    x, y = blobs()
    for labels in (y > 0, np.zeros(len(x), int)):
        model = fitted(MLPClassifier(**SHORT), x, labels)
        assert_same(again(model, path), model)
    from scipy.sparse import csr_matrix

    x, y = multilabel()
    model = fitted(MLPClassifier(**SHORT), x, csr_matrix(y))
    loaded = again(model, path)
    assert (loaded.predict(x) != model.predict(x)).nnz == 0


@pytest.mark.parametrize("standardize", [False, True, "global"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_myann_comes_back_with_scaler_classes_and_history(standardize, dtype, path):
    ann = myann(b_standardize=standardize, dtype=dtype, b_measure_accuracy=False)
    loaded = again(ann, path)
    assert_same(loaded, ann)
    assert loaded.scaler.kind == ann.scaler.kind
    assert set(loaded.history) == set(ann.history)
    for name in ann.history:
        np.testing.assert_array_equal(loaded.history[name], ann.history[name])
    x = np.random.default_rng(0).normal(size=(3, 6))
    np.testing.assert_array_equal(
        loaded.scaler.inverse_transform(x), ann.scaler.inverse_transform(x)
    )
    assert loaded._rng.random() == ann._rng.random()


def test_every_parameter_of_a_myann_comes_back(path):
    options = {
        "lambda2_reg": 0.02, "lambda1_reg": 0.01, "vect_mode": "rows", "learn_rate": 0.002,
        "decrease_const": 0.1, "mom_rate": 0.3, "figs_x1": 5.0, "figs_x2": 4.0,
        "legend_loc": "best", "b_print_test_data": True, "n_threads": 1, "b_shuffle": False,
        "engine": "numpy", "my_initializer": "he", "my_momentum_rule": "nesterov",
        "my_learn_rate_rule": "power", "reg_scale": "per_sample", "reduction": "mean",
        "legacy_split": True, "legacy_l1_cost": True, "n_max_batches": 1, "n_size_mini_batch": 7,
        "my_activation_function": "relu", "my_out_function": "softmax",
        "my_loss_function": "CrossEntropy", "n_nodes_layer_out": 3,
    }  # fmt: skip
    ann = myann(**options)
    loaded = again(ann, path)
    for name, value in options.items():
        assert getattr(loaded, name) == value, name
    assert loaded.ay_nodes_layers == [6, 4, 3]
    assert loaded.dtype == ann.dtype


def test_a_loaded_myann_says_that_it_has_no_data(path):
    loaded = again(myann(), path)
    for use in (
        loaded.fit,
        loaded.look_into_mini_batch,
        loaded.plot_confusion_matrix,
        loaded.plot_misclassified,
    ):
        with pytest.raises(ValueError, match="needs training and test data"):
            use()
    assert loaded.score(np.ones((2, 6)), [0, 1]) <= 1


def test_a_verbose_myann_is_loaded_in_silence(path, capsys):
    ann = myann(b_verbose=True, n_epochs=0, b_train_on_init=False)
    capsys.readouterr()
    loaded = again(ann, path)
    assert capsys.readouterr().out == ""
    assert loaded.b_verbose and loaded.b_print_test_data


def test_only_the_names_of_known_data_are_kept(tmp_path, path):
    x, y = blobs(20)
    np.savez(tmp_path / "secret.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    options = {"ay_nodes_layers": [0, 3, 0], "n_nodes_layer_out": 0, "b_train_on_init": False}
    assert again(MyANN(tmp_path / "secret.npz", 1, **options), path).my_data_set != str(tmp_path)
    assert b"secret" not in path.read_bytes()
    assert again(MyANN("digits", 1, **options), path).my_data_set == "digits"


# --- The file itself


def test_weights_have_plain_names_and_shapes_and_any_reader_takes_them(path):
    from safetensors.numpy import load_file

    net = network()
    fastmlp.save(net, path)
    arrays = load_file(path)
    assert sorted(arrays) == sorted(f"layers.{i}.{n}" for i in (0, 1) for n in ("bias", "weight"))
    for i, w in enumerate(net.weights):
        np.testing.assert_array_equal(arrays[f"layers.{i}.weight"], w[:, 1:])
        np.testing.assert_array_equal(arrays[f"layers.{i}.bias"], w[:, 0])


@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_file_says_what_it_is_and_what_computed_it_but_not_where(kind, path):
    fastmlp.save(EVERYTHING[kind](), path)
    document, _ = taken_apart(path.read_bytes())
    assert document["schema"] == 1
    assert document["plan_version"] >= 2
    assert document["arithmetic"]["versions"]["fastmlp"] == fastmlp.__version__
    assert {"processor", "simd", "blas"} <= set(document["arithmetic"])
    content = path.read_bytes().decode("latin-1")
    for place in (os.getcwd(), str(Path.home()), sys.prefix, str(path.parent)):
        assert place == "/" or place not in content


def test_the_same_model_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        fastmlp.save(network(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_changes_nothing_in_the_model(path):
    model = classifier()
    before = pickle.dumps(model.__getstate__())
    fastmlp.save(model, path)
    assert pickle.dumps(model.__getstate__()) == before


def test_weights_put_into_the_lists_by_hand_are_saved(path):
    model = classifier()
    model.coefs_[0] = np.ones_like(model.coefs_[0])
    assert (again(model, path).coefs_[0] == 1).all()


# --- What is refused when saving


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scoring", len),
        ("validation_fraction", [(np.array([object()]), [1])]),
        ("class_weight", {("a", len): 1.0}),
    ],
    ids=["callable", "objects", "callable in a key"],
)
def test_a_parameter_that_a_file_cannot_hold_is_named(name, value, path):
    model = classifier()
    model.set_params(**{name: value})
    with pytest.raises(TypeError, match=f"^{name}="):
        fastmlp.save(model, path)
    assert not path.exists()


def test_a_splitter_is_named_but_a_random_state_is_saved(path):
    from sklearn.model_selection import ShuffleSplit

    model = classifier().set_params(validation_fraction=ShuffleSplit(2))
    with pytest.raises(TypeError, match="validation_fraction=ShuffleSplit"):
        fastmlp.save(model, path)
    state = np.random.RandomState(3)
    model = classifier().set_params(random_state=state)
    loaded = again(model, path)
    assert loaded.random_state is not state
    assert (loaded.random_state.normal(size=3) == state.normal(size=3)).all()


def test_callbacks_and_unknown_attributes_are_refused(path):
    from fastmlp.callbacks.base import EpochCallback

    model = classifier()
    model.set_callbacks(EpochCallback())
    with pytest.raises(TypeError, match="callbacks cannot be saved"):
        fastmlp.save(model, path)
    model = classifier()
    model.note = "mine"
    with pytest.raises(TypeError, match="attribute 'note' cannot be saved"):
        fastmlp.save(model, path)


def test_other_objects_subclasses_and_unfitted_estimators_are_refused(path):
    from sklearn.exceptions import NotFittedError

    class Mine(Network):
        pass

    for model in (Mine((1, 1)), "network", None, MLPClassifier):
        with pytest.raises(TypeError, match="model must be of one of Network, MyANN, MLPClass"):
            fastmlp.save(model, path)
    with pytest.raises(NotFittedError):
        fastmlp.save(MLPClassifier(), path)


def test_parameters_that_fit_would_refuse_are_refused(path):
    with pytest.raises(ValueError, match="alpha must be"):
        fastmlp.save(classifier().set_params(alpha=-1), path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value, path):
    net = network()
    net.weights[1][0, 2] = value
    with pytest.raises(ValueError, match="weights of layer 1 are NaN or infinite"):
        fastmlp.save(net, path)


def test_names_that_need_too_much_room_are_refused_before_writing(path):
    model = regressor()
    model.feature_names_in_ = np.array(["x" * 3_000_000] * 6, object)
    with pytest.raises(ValueError, match=r"document has 18.* bytes, allowed 16777216"):
        fastmlp.save(model, path)
    assert not path.exists()


def test_very_many_labels_class_weights_and_layers_are_saved(path):
    x, y = blobs(n_classes=2)
    labels = np.array([f"a label of some length, {i:06d}" for i in range(100_000)], object)
    many = MLPClassifier(hidden_layer_sizes=(), max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        many.partial_fit(x, labels[y], classes=labels)
    assert again(many, path).classes_.tolist() == labels.tolist()
    weighted = classifier()
    weighted.class_weight = {i: 1.5 for i in range(70_000)}
    assert again(weighted, path).class_weight == weighted.class_weight
    deep = Network((1,) * 12_001, random_state=0)
    assert again(deep, path).sizes == deep.sizes


@pytest.mark.parametrize("where", ["fifo", "link", "folder"])
def test_what_is_no_regular_file_is_not_replaced(where, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    target = tmp_path / where
    before = target.stat()
    with pytest.raises(OSError, match=r"cannot replace a (folder|device, pipe or socket) by"):
        fastmlp.save(network(), target)
    assert (target.stat().st_mode, target.stat().st_ino) == (before.st_mode, before.st_ino)
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder", "link"]


def test_saving_takes_the_memory_of_one_layer(path):
    model = Network((1000, 1000, 1000, 1000, 1000, 10), random_state=0)
    fastmlp.save(model, path)
    tracemalloc.start()
    fastmlp.save(model, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * model.parameters.nbytes


COPIES = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "save and load": again,
}


@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(3)], ids=name_of)
@pytest.mark.parametrize("how", COPIES)
def test_the_rows_of_a_copy_are_shuffled_on_as_those_of_the_original(how, random_state, path):
    x, y = blobs()
    original = MLPClassifier((5,), batch_size=10, random_state=random_state)
    original.partial_fit(x, y, classes=np.unique(y))
    copied, cycled = COPIES[how](original, path), original
    orders = set()
    for _ in range(3):
        cycled = COPIES[how](cycled, path)
        for model in (original, copied, cycled):
            model.partial_fit(x, y)
        assert_same(copied, original)
        assert_same(cycled, original)
        orders.add(tuple(cycled._record.last.trainer.order))
    assert len(orders) == 3, "every epoch has an order of its own"


def test_a_copy_whose_parameters_change_is_shuffled_on_too(path):
    x, y = blobs()
    original = classifier(batch_size=10)
    copied = again(original, path)
    for model in (original, copied):
        model.set_params(alpha=0.1, random_state=None).partial_fit(x, y)
    assert_same(copied, original)


def test_a_model_without_what_training_needs_is_a_third(path):
    x, y = blobs()
    big = classifier(hidden_layer_sizes=(150, 150), early_stopping=True)
    fastmlp.save(big, path)
    whole, whole_pickle = path.stat().st_size, len(pickle.dumps(big))
    fastmlp.save(big, path, resumable=False)
    small = fastmlp.load(path)
    assert path.stat().st_size < 0.27 * whole
    assert_same(small, big)
    assert small.history_["loss"] == big.history_["loss"]
    assert big._record.last is not None, "the model itself keeps it"
    dropped = copy.deepcopy(big)
    assert dropped.drop_training_state() is dropped
    assert_same(dropped, big)
    assert len(pickle.dumps(dropped)) < 0.3 * whole_pickle
    fastmlp.save(dropped, path)
    assert path.stat().st_size < 0.27 * whole
    for model in (small, dropped):
        model.set_params(early_stopping=False).partial_fit(x, y)
        fitted(model.set_params(early_stopping=True, warm_start=True), x, y)
    assert_same(small, dropped)
    with pytest.raises(TypeError, match="resumable must be True or False; got 'no'"):
        fastmlp.save(big, path, resumable="no")
    with pytest.raises(NotFittedError):
        MLPClassifier().drop_training_state()


# --- Names, pickles, light imports


def test_the_name_of_a_file_does_not_matter(tmp_path):
    for name in ("model", "model.pkl", "model.npz", "model.h5", "ein Modell.safetensors"):
        fastmlp.save(network(), tmp_path / name)
        assert isinstance(fastmlp.load(str(tmp_path / name)), Network)


def test_estimators_can_still_be_pickled_after_loading(path):
    loaded = again(classifier(), path)
    assert_same(pickle.loads(pickle.dumps(loaded)), loaded)


def test_a_missing_file_and_a_folder_are_operating_system_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastmlp.load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        fastmlp.load(tmp_path)


def test_loading_a_network_imports_neither_scikit_learn_nor_safetensors(path):
    fastmlp.save(network(), path)
    code = (
        "import sys, fastmlp; heavy = ('sklearn', 'safetensors', 'onnx', 'keras', 'pickle5');"
        f"assert not [m for m in heavy + ('fastmlp.exchange.saving',) if m in sys.modules];"
        f"fastmlp.load({str(path)!r}); print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_every_optimizer_has_a_restorable_default():
    assert all(OPTIMIZERS[name]().n_states >= 1 for name in OPTIMIZERS)


# --- Files of earlier versions


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.safetensors")), ids=lambda p: p.stem)
def test_files_of_earlier_versions_predict_what_they_predicted_then(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fastmlp.load(path)
    expected = np.load(path.with_suffix(".npz"))
    found = predictions(model)
    assert set(found) == set(expected.files)
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_there_are_files_of_every_kind_of_an_earlier_version():
    kinds = {taken_apart(p.read_bytes())[0]["kind"] for p in GOLDEN.glob("*.safetensors")}
    assert kinds == {"Network", "MyANN", "MLPClassifier", "MLPRegressor", "Pipeline"}
