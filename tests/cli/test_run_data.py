"""``fastmlp train`` on Parquet files: what is printed and written, resume, and errors."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import cli

RNG = np.random.default_rng(0)
X = RNG.normal(5, [1, 10, 100, 1], (600, 4))
LABELS = np.array(["ham", "spam"])[(X[:, 0] + X[:, 1] / 10 > 5.5).astype(int)]
TABLE = pa.table({name: X[:, i] for i, name in enumerate("abcd")} | {"kind": LABELS})
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:X is not scaled")
SETTINGS = ["--epochs", "3", "--learn-rate", "0.01", "--batch-size", "50", "--hidden", "5"]


def run(capsys, *argv):
    """Exit code, stdout and stderr of a command."""
    code = cli.main(list(map(str, argv)))
    return code, *capsys.readouterr()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])
    pq.write_table(TABLE[:500], tmp_path / "train.parquet", row_group_size=90)
    pq.write_table(TABLE[500:], tmp_path / "rest.parquet")
    return tmp_path / "train.parquet"


def train(capsys, path, *more, target="kind"):
    return run(capsys, "train", "--data", path, "--target", target, *SETTINGS, *more)


@pytest.mark.parametrize("scale", ["feature", "global", "none"])
def test_files_are_trained_as_their_rows_in_memory(capsys, path, tmp_path, scale):
    rest = path.with_name("rest.parquet")
    code, out, _ = train(
        capsys, path, "--validation", rest, "--scale", scale, "--out", tmp_path / "run"
    )
    assert code == 0
    assert out.startswith(f"{path} (column 'kind' of 5): 500 training and 100 validation rows, 2 c")
    record = json.loads((tmp_path / "run" / "history.json").read_text())
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"),
                      (X[:500], LABELS[:500] == "spam", X[500:], LABELS[500:] == "spam"),
                      strict=True))  # fmt: skip
    np.savez(tmp_path / "rows.npz", **{name: a.astype(a.dtype if a.ndim == 2 else int)
                                       for name, a in arrays.items()})  # fmt: skip
    run(capsys, "train", "--data", tmp_path / "rows.npz", *SETTINGS, "--scale", scale,
        "--out", tmp_path / "arrays")  # fmt: skip
    expected = json.loads((tmp_path / "arrays" / "history.json").read_text())
    for name in ("costs", "val_cost", "val_accuracy"):
        np.testing.assert_allclose(record[name], expected[name], rtol=1e-4)
    model = fastmlp.load(tmp_path / "run" / "model.safetensors")
    assert model.score(X[500:], LABELS[500:]) == pytest.approx(record["val_accuracy"][-1])
    assert list(model.classes_) == ["ham", "spam"]


def test_columns_are_scaled_each_by_default_and_chosen_by_name(capsys, path, tmp_path):
    code, out, _ = train(capsys, path, "--features", "d,b", "--out", tmp_path / "run")
    assert code == 0 and "scaling feature" in out and "network 2-5-2" in out
    scaler = fastmlp.load(tmp_path / "run" / "model.safetensors").scaler.standard_scaler
    expected = StandardScaler().fit(X[:500, [3, 1]])
    np.testing.assert_allclose(scaler.mean_, expected.mean_)
    np.testing.assert_allclose(scaler.scale_, expected.scale_)


def test_without_validation_rows_the_batches_tell_the_accuracy(capsys, path):
    _, out, _ = train(capsys, path)
    lines = out.splitlines()
    assert all(line.endswith(" -") for line in lines if line.strip()[:2] in ("1/", "2/", "3/"))
    assert "accuracy  batches of the last epoch 0." in lines[-1]


def test_a_run_on_files_resumes(capsys, path, tmp_path):
    folder = tmp_path / "checkpoints"
    train(capsys, path, "--out", tmp_path / "whole")
    first = ["train", "--data", path, "--target", "kind", *SETTINGS, "--checkpoint", folder]
    run(capsys, *first, "--epochs", "2")
    code, *_ = run(capsys, *first, "--resume", "--out", tmp_path / "resumed")
    assert code == 0
    costs = [json.loads((tmp_path / name / "history.json").read_text())["costs"]
             for name in ("whole", "resumed")]  # fmt: skip
    assert costs[0] == costs[1]


def with_column(path, name, values):
    table = TABLE.set_column(TABLE.schema.names.index(name), name, pa.array(values))
    pq.write_table(table, path, write_statistics=False)


@pytest.mark.parametrize("arguments, message", [
    (["--target", "kin"], "--target must name columns of '.*', which has 'a', .* mean 'kind'"),
    (["--target", "a"], "column 'kind': expected numbers, found string; --features names the colu"),
    (["--target", "kind", "--features", "a,x"], "--features must name columns of .* got 'x'"),
    (["--target", "kind", "--validation", "no.parquet"], "--validation must name existing files"),
    ([], "--target must name the column of .* with the labels"),
])  # fmt: skip
def test_wrong_options_are_one_line_and_exit_code_2(capsys, path, arguments, message):
    code, _, errors = run(capsys, "train", "--data", path, *arguments)
    assert code == 2 and errors.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(errors)


def test_the_rows_in_memory_are_an_option(capsys, path, tmp_path):
    weights = []
    for n_rows in (60, 100, 5000):
        folder = tmp_path / str(n_rows)
        code, *_ = train(capsys, path, "--window-rows", str(n_rows), "--out", folder)
        assert code == 0
        weights.append(fastmlp.load(folder / "model.safetensors").network.parameters.tobytes())
    assert len(set(weights)) == 3
    code, _, errors = train(capsys, path, "--window-rows", "0")
    assert code == 2 and "--window-rows" in errors


def test_a_share_of_the_rows_is_held_out(capsys, path, tmp_path):
    words = ["--validation-fraction", "0.2", "--seed", "5"]
    code, out, _ = train(capsys, path, *words, "--out", tmp_path / "run")
    assert code == 0
    assert out.startswith(f"{path} (column 'kind' of 5): 400 training and 100 validation rows, 2 c")
    parts = fastmlp.data.split(fastmlp.data.ParquetSource(path, "kind"), 0.2, random_state=5)
    columns = {}
    for name, part in zip(("train", "rest"), parts, strict=True):
        rows = part.read(0, len(part))
        columns[name] = {n: rows.X[:, i] for i, n in enumerate("abcd")} | {"kind": rows.y}
        pq.write_table(pa.table(columns[name]), tmp_path / f"{name} rows.parquet")
    train(capsys, tmp_path / "train rows.parquet", "--validation", tmp_path / "rest rows.parquet",
          "--seed", "5", "--out", tmp_path / "files")  # fmt: skip
    found, expected = (
        json.loads((tmp_path / run / "history.json").read_text()) for run in ("run", "files")
    )
    for name in ("costs", "val_cost", "val_accuracy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    model = fastmlp.load(tmp_path / "run" / "model.safetensors")
    mean = np.mean([columns["train"][name] for name in "abcd"], axis=1)
    np.testing.assert_allclose(model.scaler.standard_scaler.mean_, mean)  # of rows to train on


def test_classes_are_those_of_all_rows_where_some_are_held_out(capsys, path, tmp_path):
    rows = fastmlp.data.ArraySource(X, np.arange(600))
    held = fastmlp.data.split(rows, 0.2, random_state=5)[1].read(0, 120).y
    labels = LABELS.astype("<U9")
    labels[held[7]] = "only here"
    with_column(path, "kind", labels)
    code, out, _ = train(capsys, path, "--validation-fraction", "0.2", "--seed", "5")
    assert code == 0 and "480 training and 120 validation rows, 3 classes" in out


@pytest.mark.parametrize("words, message", [
    (["--validation-fraction", "0"], "--validation-fraction must be above 0 and below 1; got 0"),
    (["--validation-fraction", "1"], "--validation-fraction must be a finite number, .* below 1"),
    (["--validation-fraction", "1.5"], "--validation-fraction must be .* 0 to 1; got 1.5"),
    (["--validation-fraction", "0.999"], "--validation-fraction=0.999 of 500 rows leaves nothing"),
    (["--validation-fraction", "0.1", "--validation", "rest.parquet"],
     "--validation-fraction cannot be used with --validation: pass one of them"),
])  # fmt: skip
def test_a_share_that_cannot_be_held_out_is_refused(capsys, path, words, message):
    code, _, errors = train(capsys, path, *words)
    assert code == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(errors)


@pytest.mark.parametrize("option", ["--target", "--features", "--validation",
                                    "--validation-fraction", "--window-rows"])  # fmt: skip
def test_options_about_files_are_refused_without_files(capsys, option):
    code, _, errors = run(capsys, "train", "--data", "digits", option, "1")
    assert (code, errors) == (
        2,
        f"fastmlp: error: {option} is for Parquet files; --data is digits\n",
    )


def test_files_that_are_not_there_or_empty_or_of_one_label_are_refused(capsys, path, tmp_path):
    code, _, errors = run(capsys, "train", "--data", tmp_path / "no.parquet", "--target", "a")
    assert code == 2 and "--data must name existing files; " in errors
    pq.write_table(TABLE[:0], tmp_path / "empty.parquet")
    code, _, errors = run(capsys, "train", "--data", tmp_path / "empty.parquet", "--target", "kind")
    assert code == 2 and "--data: paths must have at least one row" in errors
    with_column(path, "kind", ["ham"] * 600)
    code, _, errors = train(capsys, path)
    assert (
        code == 2 and "--target kind must have at least two classes; all labels are ham" in errors
    )


def test_damaged_rows_are_named_with_their_place(capsys, path):
    a = X[:, 0].copy()
    a[77] = np.nan
    with_column(path, "a", a)
    code, _, errors = train(capsys, path)
    assert code == 2 and "row group 0, row 77, column 'a': expected a finite number" in errors


def test_rows_that_cannot_be_used_do_not_cost_what_was_trained(capsys, path, tmp_path):
    a = X[500:, 0].copy()
    a[77] = np.nan
    rest, folder, out = tmp_path / "rest.parquet", tmp_path / "checkpoints", tmp_path / "out"
    pq.write_table(TABLE[500:].set_column(0, "a", pa.array(a)), rest)
    words = ["--validation", rest, "--out", out, "--checkpoint", folder]
    code, _, errors = train(capsys, path, *words)
    assert code == 2 and "row 77, column 'a': expected a finite float32 number, found NaN" in errors
    assert f"saved in {folder}" in errors and "--resume" in errors
    record = json.loads((out / "history.json").read_text())
    assert record["ended"] == "ended by rows that cannot be used"
    assert fastmlp.load(out / "model.safetensors") is not None


# --- Predictions and evaluation


def saved(folder, model):
    fastmlp.save(model, folder / "model")
    return folder / "model"


def fitted(make, x=X, y=LABELS):
    return make(max_iter=2, random_state=0).fit(x, y)


def test_a_run_on_files_predicts_files_by_the_names_of_its_columns(capsys, path, tmp_path):
    train(capsys, path, "--features", "d,b", "--out", tmp_path / "run")
    model = fastmlp.load(tmp_path / "run" / "model.safetensors")
    assert model.feature_names == ["d", "b"]
    expected = model.predict(X[500:][:, [3, 1]]).tolist()
    rest = path.with_name("rest.parquet")
    new = tmp_path / "new"
    new.mkdir()
    pq.write_table(TABLE[500:550].select(["b", "c", "d"]), new / "1.parquet", row_group_size=11)
    pq.write_table(TABLE[550:].select(["b", "c", "d"]), new / "2.parquet")
    for data in (rest, new):
        code, out, err = run(capsys, "predict", tmp_path / "run", "--data", data)
        assert (code, err, out.splitlines()) == (0, "", ["label", *expected])
    code, out, _ = run(capsys, "evaluate", tmp_path / "run", "--data", rest, "--target", "kind")
    accuracy = np.mean(np.array(expected) == LABELS[500:])
    assert code == 0
    assert out.startswith(f"{rest}: 100 rows, accuracy {accuracy:.4f}\n  class ham: ")
    turned = fastmlp.data.ParquetSource(rest, features=["b", "d"])
    with pytest.raises(ValueError, match=r"X must have the features \['d', 'b'\], as the training"):
        model.predict(turned)


def test_the_table_is_written_in_pieces(capsys, path, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.predict.PIECE_ROWS", 30)
    model = fitted(fastmlp.MLPClassifier)
    words = ["predict", saved(tmp_path, model), "--data", path, "--target", "kind", "--outputs"]
    code, out, _ = run(capsys, *words, "--out", tmp_path / "table.csv")
    assert (code, out) == (0, f"written   500 predictions in {tmp_path / 'table.csv'}\n")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "label,output_ham,output_spam"
    labels, *outputs = zip(*(line.split(",") for line in lines[1:]), strict=True)
    assert list(labels) == model.predict(X[:500]).tolist()
    np.testing.assert_allclose(
        np.array(outputs, float).T, model.predict_proba(X[:500]), rtol=1e-6, atol=1e-12
    )
    _, out, _ = run(capsys, *words)
    assert out.splitlines() == lines


def test_networks_regressors_and_models_of_data_frames_read_files(capsys, path, tmp_path):
    frame = TABLE.to_pandas()[:500]
    network = fastmlp.Network((4, 2), random_state=0)
    pipeline = make_pipeline(StandardScaler(), fastmlp.MLPClassifier(max_iter=1))
    pipeline.fit(frame[list("abcd")], frame["kind"])
    regressor = fitted(fastmlp.MLPRegressor, y=X[:, 0])
    for model, words, expected in (
        (network, ["--target", "kind"], network.predict(X[:500])),
        (regressor, ["--features", "a,b,c,d"], regressor.predict(X[:500])),
        (pipeline, [], pipeline.predict(frame[list("abcd")])),
        (pipeline, ["--target", "kind"], pipeline.predict(frame[list("abcd")])),
    ):
        code, out, err = run(capsys, "predict", saved(tmp_path, model), "--data", path, *words)
        assert (code, err) == (0, "")
        found = [line.split(",") for line in out.splitlines()[1:]]
        if model is pipeline:
            assert [label for (label,) in found] == expected.tolist()
        else:
            wanted = expected.reshape(500, -1)
            np.testing.assert_allclose(np.array(found, float), wanted, rtol=1e-6)
    words = ["evaluate", tmp_path / "model", "--data", path, "--target", "kind"]
    accuracy = pipeline.score(frame[list("abcd")], frame["kind"])
    assert f"500 rows, accuracy {accuracy:.4f}" in run(capsys, *words)[1]


@pytest.mark.parametrize("words, message", [
    (["predict", "--data", "train.parquet"], "'train.parquet', column 'kind': expected numbers"),
    (["predict", "--data", "train.parquet", "--features", "a,b"],
     "train.parquet has 2 columns of inputs, and the model 4; --features a,b,c names them"),
    (["predict", "--data", "no.parquet"], "--data must name existing files; no.parquet does not"),
    (["predict", "--data", "train.parquet", "--target", "kin"], "column 'kind': expected numbers"),
    (["predict", "--data", "digits", "--features", "a"], "--features is for Parquet files; --data"),
    (["predict", "--data", "broken.parquet", "--target", "y"], "broken.parquet': no Parquet file"),
    (["evaluate", "--data", "train.parquet"], "--target must name a column of train.parquet: a"),
    (["evaluate", "--data", "train.parquet", "--target", "x"], "--target must name columns of"),
])  # fmt: skip
def test_files_that_do_not_fit_are_one_line(capsys, path, monkeypatch, words, message):
    monkeypatch.chdir(path.parent)
    (path.parent / "broken.parquet").write_bytes(b"PAR1")
    model = saved(path.parent, fitted(fastmlp.MLPClassifier))
    code, _, errors = run(capsys, words[0], model, *words[1:])
    assert code in (1, 2) and errors.count("\n") == 1
    assert message in errors


def test_what_a_model_of_data_frames_misses_is_named(capsys, path, tmp_path):
    frame = TABLE.to_pandas()
    pipeline = make_pipeline(StandardScaler(), fastmlp.MLPClassifier(max_iter=1))
    model = saved(tmp_path, pipeline.fit(frame[list("abcd")], frame["kind"]))
    pq.write_table(TABLE.select(["a", "c"]), tmp_path / "few.parquet")
    code, _, errors = run(capsys, "predict", model, "--data", tmp_path / "few.parquet")
    assert code == 2
    assert "must have the columns of the model; b, d are missing" in errors


def test_a_run_without_validation_rows_has_its_figures(capsys, path, tmp_path, monkeypatch):
    monkeypatch.undo()
    pytest.importorskip("matplotlib").use("Agg")
    code, _, errors = train(capsys, path, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    assert (tmp_path / "run" / "costs.png").stat().st_size > 5000
    pq.write_table(TABLE.select(["a", "c"]), tmp_path / "few.parquet")
    code, _, errors = run(capsys, "predict", tmp_path / "run", "--data", tmp_path / "few.parquet")
    assert code == 2 and "must have the columns of the model; b, d are missing" in errors
