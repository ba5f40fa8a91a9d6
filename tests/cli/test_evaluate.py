"""What becomes of a run: the model in its folder, predictions, evaluation, figures afterwards."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

import fastmlp
import fastmlp.cli.evaluate  # before a test replaces what it imports
from fastmlp import MLPClassifier, MLPRegressor, Network, cli
from fastmlp.cli import train as _train
from fastmlp.cli.display import PlainDisplay
from fastmlp.cli.output import class_names
from fastmlp.losses import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def run(capsys, *argv):
    code = cli.main([str(word) for word in argv])
    return code, *capsys.readouterr()


@pytest.fixture
def trained(capsys, tmp_path, monkeypatch):
    """A folder with a model of the digits, and no figures."""
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])
    folder = tmp_path / "out"
    assert run(capsys, "train", "--data", "digits", "--epochs", 5, "--out", folder)[0] == 0
    return folder


def predicted(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- The model


def test_a_run_leaves_a_model_that_takes_rows_as_stored(trained):
    model = fastmlp.load(trained / "model.safetensors")
    digits = fastmlp.datasets.load("digits")
    record = json.loads((trained / "history.json").read_text())
    assert model.score(digits.X_test, digits.y_test) == pytest.approx(record["val_accuracy"][-1])
    assert model.history["val_accuracy"].tolist() == record["val_accuracy"]
    assert model.classes_.tolist() == list(range(10))
    assert (model.learn_rate, model.lambda2_reg, model.n_size_mini_batch) == (0.04, 0.01, 50)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_command_can_be_saved(activation, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])
    words = ("train", "--data", "moons", "--epochs", 1, "--out", tmp_path, "--scale", "none")
    code, _, err = run(capsys, *words, "--activation", activation, "--learn-rate", 0.001)
    assert (code, err) == (0, "")
    assert fastmlp.load(tmp_path / "model.safetensors").network.activations == (activation,)


# --- fastmlp predict


def test_predictions_are_a_table_on_stdout_or_in_a_file(trained, capsys, tmp_path):
    digits, model = fastmlp.datasets.load("digits"), fastmlp.load(trained / "model.safetensors")
    code, out, err = run(capsys, "predict", trained, "--data", "digits")
    assert (code, err) == (0, "")
    labels = model.predict(digits.X_test)
    assert out.splitlines() == ["label", *map(str, labels)]
    file = tmp_path / "p.csv"
    words = ("--data", "digits", "--outputs", "--out", file)
    code, out, _ = run(capsys, "predict", trained / "model.safetensors", *words)
    assert out == f"written   500 predictions in {file}\n"
    rows = predicted(file)
    outputs = [[float(row[f"output_{k}"]) for k in range(10)] for row in rows]
    np.testing.assert_allclose(outputs, model.predict_proba(digits.X_test), rtol=1e-6)


def test_rows_come_from_csv_npy_and_npz_files(capsys, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), np.array(["no", "yes"])[np.arange(30) % 2]
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    fastmlp.save(model, tmp_path / "m")
    expected = ["label", *model.predict(X)]
    with open(tmp_path / "head.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "wanted", "b", "c"])
        writer.writerows([(x[0], label, *x[1:]) for x, label in zip(X.tolist(), y, strict=True)])
    np.savetxt(tmp_path / "bare.csv", X, delimiter=",")
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x_test=X)
    for words in (
        ("head.csv", "--target", "wanted"),
        ("head.csv", "--target", "2"),
        ("bare.csv",),
        ("x.npy",),
        ("x.npz",),
    ):
        code, out, err = run(capsys, "predict", tmp_path / "m", "--data", tmp_path / words[0],
                             *words[1:])  # fmt: skip
        assert (code, err, out.splitlines()) == (0, "", expected), words
    code, out, _ = run(
        capsys, "evaluate", tmp_path / "m", "--data", tmp_path / "head.csv", "--target", "wanted"
    )
    assert code == 0 and f"30 rows, accuracy {model.score(X, y):.4f}" in out


def test_a_network_predicts_its_outputs_and_a_regressor_numbers(capsys, tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 3))
    np.save(tmp_path / "x.npy", X)
    network = Network((3, 4, 2), random_state=0, dtype="float64")
    regressor = MLPRegressor(max_iter=2, random_state=0).fit(X, X[:, 0])
    for model, header in ((network, "prediction_0,prediction_1"), (regressor, "prediction")):
        fastmlp.save(model, tmp_path / "m")
        code, out, _ = run(capsys, "predict", tmp_path / "m", "--data", tmp_path / "x.npy")
        assert (code, out.splitlines()[0], len(out.splitlines())) == (0, header, 7)
        found = [[float(cell) for cell in line.split(",")] for line in out.splitlines()[1:]]
        np.testing.assert_allclose(np.squeeze(found), model.predict(X))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected rows of numbers, found none"),
        ("a,b,c\n", "expected rows of numbers, found none"),
        ("1,2,3\n4,5\n", "row 2: expected 3 cells, found 2"),
        ("a,b,c\n1,x,3\n", "row 2: 'x' is not a number"),
        ("1,2\n", "X must"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_one_line(trained, capsys, tmp_path, content, message):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    code, out, err = run(capsys, "predict", trained, "--data", path)
    assert (code, out) == (2, "") and err.startswith("fastmlp: error: ") and err.count("\n") == 1
    assert message in err


def test_what_cannot_be_predicted_or_evaluated_is_one_line(trained, capsys, tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 3))
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "broken.npy").write_bytes(b"no")
    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    np.savez(tmp_path / "y.npz", x_test=X, y_test=np.arange(5))
    np.savez(tmp_path / "flat.npz", x_test=X[0])
    fastmlp.save(Network((3, 2)), tmp_path / "network")
    regressor = MLPRegressor(max_iter=1).fit(X, X[:, 0])
    fastmlp.save(regressor, tmp_path / "regressor")
    for words, message in {
        (
            "predict",
            trained,
            "--data",
            "x.npy",
            "--target",
            "1",
        ): "--target names a column of a csv",
        ("predict", trained, "--data", "words.npy"): "expected numbers in 2-D or more, found <U1",
        ("predict", trained, "--data", "broken.npy"): "expected an array of numbers",
        ("predict", trained, "--data", "flat.npz"): "x_test: expected 2-D or more, found 1-D",
        ("predict", trained, "--data", "no.npy"): "no.npy does not exist",
        ("predict", "no", "--data", "x.npy"): "no does not exist",
        ("predict", "regressor", "--data", "x.npy", "--outputs"): "--outputs needs a classifier",
        (
            "predict",
            trained,
            "--data",
            "x.csv",
            "--target",
            "d",
        ): "--target must be one of a number",
        ("evaluate", trained, "--data", "x.npy"): "y is missing in",
        ("evaluate", trained, "--data", "x.csv"): "--target must name a column of",
        ("evaluate", trained, "--data", "y.npz"): "y_test: expected 6 values, one per row",
        ("evaluate", "network", "--data", "digits"): "does not know its classes",
    }.items():
        places = [tmp_path / w if (tmp_path / str(w)).exists() else w for w in words]
        code, _, err = run(capsys, *places)
        assert code == 2 and err.startswith("fastmlp: error: "), words
        assert message in err, words


# --- fastmlp evaluate


def test_an_evaluation_counts_the_errors_of_every_class(trained, capsys, tmp_path):
    digits, model = fastmlp.datasets.load("digits"), fastmlp.load(trained / "model.safetensors")
    folder = tmp_path / "evaluation"
    code, out, err = run(capsys, "evaluate", trained, "--data", "digits", "--out", folder)
    assert (code, err) == (0, "")
    labels = model.predict(digits.X_test)
    accuracy = (labels == digits.y_test).mean()
    assert out.startswith(f"digits: 500 rows, accuracy {accuracy:.4f}\n")
    content = json.loads((folder / "evaluation.json").read_text())
    assert content["accuracy"] == pytest.approx(accuracy)
    for k in range(10):
        wrong = int((labels[digits.y_test == k] != k).sum())
        n = int((digits.y_test == k).sum())
        assert content["classes"][str(k)] == {"rows": n, "wrong": wrong}
        assert f"  class {k}: {wrong} of {n} wrong" in out


def test_an_evaluation_of_labels_draws_their_confusions(trained, capsys, tmp_path, monkeypatch):
    monkeypatch.undo()
    run(capsys, "evaluate", trained, "--data", "digits", "--out", tmp_path / "e")
    assert {p.name for p in (tmp_path / "e").iterdir()} == {
        "evaluation.json",
        "confusion_matrix.png",
    }


def test_a_regressor_is_evaluated_by_r2_and_error(capsys, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = X[:, 0] * 10
    model = MLPRegressor(max_iter=20, random_state=0, scale_target=True).fit(X, y)
    fastmlp.save(model, tmp_path / "m")
    np.savez(tmp_path / "d.npz", x_test=X, y_test=y)
    code, out, _ = run(
        capsys, "evaluate", tmp_path / "m", "--data", tmp_path / "d.npz", "--out", tmp_path / "e"
    )
    error = np.abs(model.predict(X) - y).mean()
    assert code == 0
    assert f"40 rows, R^2 {model.score(X, y):.4f}, mean absolute error {error:.4g}" in out
    content = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert content["mean_absolute_error"] == pytest.approx(error)


# --- The end of a run


@pytest.mark.skipif(os.name != "posix", reason="signals of a POSIX system")
def test_sigterm_writes_model_and_history_and_leaves_the_figures_to_report(
    capsys, tmp_path, monkeypatch
):
    update = PlainDisplay.update

    def killed(self, history):
        update(self, history)
        if history.n_epochs == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(PlainDisplay, "update", killed)
    monkeypatch.setattr(_train, "run_figures", lambda *_: pytest.fail("drawn"))
    code, out, _ = run(capsys, "train", "--data", "digits", "--epochs", 50, "--out", tmp_path)
    assert code == 143
    assert {path.name for path in tmp_path.iterdir()} == {"history.json", "model.safetensors"}
    assert out.endswith(f"figures   fastmlp report {tmp_path} draws them\n")
    code, out, _ = run(capsys, "report", tmp_path)
    assert code == 0
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "run", "costs", "errors", "reg_share", "accuracy",
    }  # fmt: skip


def test_after_ctrl_c_no_figure_shows_weights_between_two_epochs(capsys, tmp_path, monkeypatch):
    update = PlainDisplay.update

    def pressed(self, history):
        update(self, history)
        if history.n_epochs == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(PlainDisplay, "update", pressed)
    assert run(capsys, "train", "--data", "digits", "--out", tmp_path)[0] == 130
    names = {path.name for path in tmp_path.iterdir()}
    assert "run.png" in names and "confusion_matrix.png" not in names


def test_a_report_of_a_run_that_cannot_be_drawn_is_one_line(capsys, tmp_path, monkeypatch):
    path = tmp_path / "history.json"
    for text, message in (("{", "is damaged"), ("[]", "nothing to draw"), ("{}", "nothing to")):
        path.write_text(text)
        code, _, err = run(capsys, "report", tmp_path)
        assert code == 2 and message in err
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    run(capsys, "train", "--data", "moons", "--epochs", 1, "--out", tmp_path)
    code, out, _ = run(capsys, "report", tmp_path)
    assert code == 1 and "figures need matplotlib" in out


def test_costs_are_compared_per_row(trained):
    record = json.loads((trained / "history.json").read_text())
    figure = fastmlp.plots.plot_costs(record, n_rows={"train": 1297, "val": 500})
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    for name, part, n in (("training set", "train", 1297), ("validation set", "val", 500)):
        np.testing.assert_allclose(lines[name], np.array(record[f"{part}_cost"]) / n)
    assert figure.axes[1].get_ylabel() == "cost per row"
    matplotlib.pyplot.close(figure)
    for wrong in ({"train": 5}, 3, {"train": 0, "val": 1}):
        with pytest.raises(ValueError, match="n_rows"):
            fastmlp.plots.plot_costs(record, n_rows=wrong)


def test_clothes_have_names_and_digits_have_not():
    assert class_names("fashion", list(range(10)))[6] == "shirt"
    assert class_names("fashion", [0, 1]) is None
    assert class_names("digits", list(range(10))) is None


def test_columns_with_names_are_read_as_a_data_frame(capsys, tmp_path, monkeypatch):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"size": np.arange(60) % 7, "kind": list("xyz") * 20})
    y = np.where(frame["size"] > 3, "big", "small")
    model = fastmlp.TabularClassifier(random_state=0).fit(frame, y)
    fastmlp.save(model, tmp_path / "m")
    path = tmp_path / "rows.csv"
    frame.assign(more=1.5, wanted=y)[["more", "wanted", "kind", "size"]].to_csv(path, index=False)
    code, out, _ = run(capsys, "predict", tmp_path / "m", "--data", path)
    assert (code, out.splitlines()) == (0, ["label", *model.predict(frame)])
    words = ("evaluate", tmp_path / "m", "--data", path, "--target", "wanted")
    code, out, _ = run(capsys, *words)
    assert code == 0 and f"60 rows, accuracy {model.score(frame, y):.4f}" in out
    frame[["size"]].to_csv(path, index=False)
    assert "columns of the model; kind is missing" in run(capsys, *words[:4])[2]
    path.write_text('a,b\n"1')
    assert run(capsys, *words[:4])[0] == 2
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "needs pandas: pip install pandas" in run(capsys, *words)[2]
