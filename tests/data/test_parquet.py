"""Parquet files and Arrow data as sources, against pyarrow; what is wrong in them is named."""

from __future__ import annotations

import builtins
import os
import pickle
import threading

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from fastmlp import DataFormatError
from fastmlp import data as d

RNG = np.random.default_rng(0)
N = 100
TABLE = pa.table({
    "a": RNG.random(N, np.float32), "b": RNG.integers(0, 9, N), "y": RNG.random(N),
    "c": RNG.random(N) > 0.5, "w": RNG.random(N), "city": RNG.choice(["Rome", "Bonn"], N),
})  # fmt: skip


def written(folder, table=TABLE, name="rows.parquet", rows=30):
    pq.write_table(table, folder / name, row_group_size=rows)
    return str(folder / name)


def columns(*names, table=TABLE):
    return np.stack([table[name].to_numpy() for name in names], axis=1).astype(float)


@pytest.fixture
def path(tmp_path):
    return written(tmp_path)


def test_columns_are_features_targets_and_weights(path):
    source = d.ParquetSource(path, "y", features=["c", "b", "a"], sample_weight="w")
    rows = source.read(20, 80)
    np.testing.assert_array_equal(rows.X, columns("c", "b", "a")[20:80])
    np.testing.assert_array_equal(rows.y, TABLE["y"].to_numpy()[20:80])
    np.testing.assert_array_equal(rows.weights, TABLE["w"].to_numpy()[20:80])
    assert source.blocks.tolist() == [0, 30, 60, 90, 100]
    assert (source.n_features, source.n_outputs, source.has_weights) == (3, 1, True)


def test_features_are_all_columns_that_are_left(tmp_path):
    source = d.ParquetSource(written(tmp_path, TABLE.drop(["city"])), ["y", "a"])
    assert source.feature_names == ["b", "c", "w"] and source.n_outputs == 2
    np.testing.assert_array_equal(source.read(0, N).y, columns("y", "a"))


def test_numbers_of_one_type_keep_it(tmp_path):
    table = pa.table({"a": RNG.random(9, np.float32), "b": RNG.random(9, np.float32), "y": [1] * 9})
    assert d.ParquetSource(written(tmp_path, table), "y").read(0, 9).X.dtype == np.float32


@pytest.mark.parametrize("dictionary", [True, False], ids=["dictionary", "text"])
def test_one_target_may_be_labels(tmp_path, dictionary):
    table = TABLE.set_column(5, "city", TABLE["city"].dictionary_encode()) if dictionary else TABLE
    source = d.ParquetSource(written(tmp_path, table), "city", features=["a"])
    assert source.read(3, 70).y.tolist() == TABLE["city"].to_pylist()[3:70]
    assert d.one_hot(source).classes.tolist() == ["Bonn", "Rome"]


def test_reads_in_any_order_are_right_and_in_order_open_a_block_once(path, monkeypatch):
    source = d.ParquetSource(path, "y", features=["a"])
    opened, open_block = [], source._open
    monkeypatch.setattr(source, "_open", lambda *args: opened.append(args[0]) or open_block(*args))
    a = TABLE["a"].to_numpy()
    for begin, end in [(0, 7), (7, 29), (29, 45), (45, 100), (50, 60), (10, 12), (12, 31)]:
        np.testing.assert_array_equal(source.read(begin, end).X[:, 0], a[begin:end])
    assert opened == [0, 1, 2, 3, 1, 0, 1]


def test_threads_read_one_source_each_at_its_own_place(path):
    source, results = d.ParquetSource(path, "y", features=["a"]), {}
    barrier = threading.Barrier(2)

    def read(first):
        parts = []
        for begin in range(first, first + 30, 5):
            barrier.wait()
            parts.append(source.read(begin, begin + 5).X)
        results[first] = np.concatenate(parts)[:, 0]

    threads = [threading.Thread(target=read, args=(first,)) for first in (0, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first in (0, 30):
        np.testing.assert_array_equal(results[first], TABLE["a"].to_numpy()[first : first + 30])


def test_several_files_and_folders_are_one_source(tmp_path):
    written(tmp_path, TABLE[:40], "1.parquet")
    second = written(tmp_path, TABLE[40:], "2.parquet")
    written(tmp_path, TABLE[:0], "0.parquet")
    source = d.ParquetSource(tmp_path, "y", features=["a", "b"])
    np.testing.assert_array_equal(source.read(0, N).X, columns("a", "b"))
    assert len(d.ParquetSource([second, second], "y", features=["a"])) == 120
    assert source.locate(75, "X", 1) == f"{second!r}, row group 1, row 5, column 'b'"
    assert source.locate(75, "y").endswith("column 'y'")


def test_a_pickled_source_reads_again_and_the_size_of_a_file_is_compared(path, tmp_path):
    source = d.ParquetSource(path, "y", features=["a"], sample_weight="w")
    source.read(0, 3)
    copied = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copied.read(3, 9).X, source.read(3, 9).X)
    assert copied.fingerprint == source.fingerprint
    other = TABLE.set_column(1, "b", pa.array(RNG.integers(0, 2**40, N)))  # not read
    again = d.ParquetSource(
        written(tmp_path, other, "other"), "y", features=["a"], sample_weight="w"
    )
    assert again.fingerprint != source.fingerprint


def arrow_table(tmp_path):
    return TABLE


def parquet_dataset(tmp_path):
    return ds.dataset(written(tmp_path))


def feather_dataset(tmp_path):
    ds.write_dataset(TABLE, tmp_path / "feather", format="feather", max_rows_per_file=40,
                     max_rows_per_group=40)  # fmt: skip
    return ds.dataset(tmp_path / "feather", format="feather")


def partitioned_dataset(tmp_path):
    ds.write_dataset(TABLE.sort_by("c"), tmp_path / "parts", format="parquet",
                     partitioning=["city"], partitioning_flavor="hive")  # fmt: skip
    return ds.dataset(tmp_path / "parts", partitioning="hive")


@pytest.mark.parametrize(
    "make", [arrow_table, parquet_dataset, feather_dataset, partitioned_dataset]
)
def test_arrow_data_of_any_form_is_a_source(tmp_path, make):
    data = make(tmp_path)
    source = d.ArrowSource(data, "city", features=["b", "a", "c"], sample_weight="w")
    table = data if make is arrow_table else data.to_table()
    rows = source.read(5, 95)
    np.testing.assert_array_equal(rows.X, columns("b", "a", "c", table=table)[5:95])
    np.testing.assert_array_equal(rows.weights, table["w"].to_numpy()[5:95])
    assert rows.y.tolist() == table["city"].to_pylist()[5:95]
    assert "column 'b'" in source.locate(50, "X", 0) and "sha256" in source.fingerprint


# --- What is wrong is named: file, row group, column


def damaged(path, at, n=40):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\xff" * n)


def test_a_truncated_file_is_named(path):
    with open(path, "r+b") as file:
        file.truncate(900)
    with pytest.raises(DataFormatError, match=r"'.*rows.parquet': no Parquet file, or truncated"):
        d.ParquetSource(path, "y", features=["a"])


def test_a_damaged_column_is_named_with_its_row_group(path):
    metadata = pq.read_metadata(path)
    damaged(path, metadata.row_group(2).column(2).data_page_offset)
    source = d.ParquetSource(path, "y", features=["a", "b"])
    source.read(0, 60)
    with pytest.raises(DataFormatError, match="row group 2, column 'y': cannot be read"):
        source.read(60, 70)
    np.testing.assert_array_equal(source.read(90, 95).X, columns("a", "b")[90:95])


def test_a_file_that_has_changed_is_named(path, tmp_path):
    source = d.ParquetSource(path, "y", features=["a"])
    copied = pickle.loads(pickle.dumps(source))
    pq.write_table(TABLE[:95], path, row_group_size=30)
    with pytest.raises(DataFormatError, match=r"rows.parquet' has changed since it was opened"):
        source.read(90, 100)
    with pytest.raises(DataFormatError, match=r"rows.parquet' has changed since it was opened"):
        copied.read(90, 100)
    copied._sizes = dict.fromkeys(copied._sizes, (tmp_path / "rows.parquet").stat().st_size)
    with pytest.raises(DataFormatError, match="row group 3: expected 10 rows, found 5"):
        copied.read(90, 100)  # another file of the same size


def test_a_file_that_is_gone_is_an_error_of_the_system(path, tmp_path):
    source = d.ParquetSource(path, "y", features=["a"])
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        source.read(0, 5)
    with pytest.raises(FileNotFoundError):
        d.ParquetSource(path, "y")


def test_text_is_refused_with_file_and_column(path):
    with pytest.raises(DataFormatError, match=r"rows.parquet', column 'city': expected numbers, "
                       r"found string; features= names the columns to use"):  # fmt: skip
        d.ParquetSource(path, "y")
    with pytest.raises(DataFormatError, match=r"column 'city': expected numbers, found string$"):
        d.ParquetSource(path, ["y", "city"], features=["a"])


def test_nulls_are_refused_with_row_group_and_column_before_training(tmp_path):
    b = pa.array([None if i == 77 else i for i in range(N)])
    path = written(tmp_path, TABLE.set_column(1, "b", b))
    with pytest.raises(DataFormatError, match=r"row group 2, column 'b': .* found 1 null\(s\)"):
        d.ParquetSource(path, "y", features=["a", "b"])
    assert len(d.ParquetSource(path, "y", features=["a"])) == N
    pq.write_table(TABLE.set_column(1, "b", b), path, row_group_size=30, write_statistics=False)
    source = d.ParquetSource(path, "y", features=["a", "b"])
    with pytest.raises(DataFormatError, match=r"row group 2, row 17, column 'b': .* found null"):
        source.read(60, 90)


def test_a_part_of_another_type_is_refused_with_file_row_group_and_column(tmp_path):
    first = written(tmp_path)
    for table, found in [(TABLE.set_column(1, "b", TABLE["b"].cast("string")), "string"),
                         (TABLE.set_column(1, "b", TABLE["b"].cast("int32")), "int32"),
                         (TABLE.drop(["b"]), "no such column")]:  # fmt: skip
        second = written(tmp_path, table, "other.parquet")
        message = f"other.parquet', row group 0, column 'b': expected int64 .* found {found}"
        with pytest.raises(DataFormatError, match=message):
            d.ParquetSource([first, second], "y", features=["a", "b"])


@pytest.mark.parametrize("arguments, error, message", [
    ({"target": "citi"}, ValueError, "target must name columns of '.*rows.parquet', which has 'a', "
     "'b', .* got 'citi'. Did you mean 'city'"),
    ({"target": 3}, TypeError, "target must be a sequence of column names; got 3"),
    ({"target": []}, ValueError, "target must name at least one column"),
    ({"target": [3]}, TypeError, "target must be a string; got 3"),
    ({"features": ["a", "z"]}, ValueError, "features must name columns of .* got 'z'"),
    ({"features": ["a", "y"]}, ValueError, "features must name columns once, and not the target; "
     "got 'y'"),
    ({"features": ["a", "a"]}, ValueError, "features must name columns once"),
    ({"sample_weight": "v"}, ValueError, "sample_weight must name columns of .* got 'v'"),
    ({"sample_weight": 3}, TypeError, "sample_weight must be a string"),
    ({"paths": []}, ValueError, "paths must name at least one file; got none"),
    ({"paths": 3}, TypeError, "paths must be a sequence of paths; got 3"),
], ids=lambda value: str(value)[:30] if isinstance(value, dict) else "")  # fmt: skip
def test_wrong_arguments_are_named(path, arguments, error, message):
    with pytest.raises(error, match=message):
        d.ParquetSource(**{"paths": path, "target": "y", "features": ["a"]} | arguments)


def test_files_without_columns_rows_or_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"paths: the folder '.*' has no files .* ArrowSource"):
        d.ParquetSource(tmp_path, "y")
    with pytest.raises(ValueError, match="paths must have at least one row"):
        d.ParquetSource(written(tmp_path, TABLE[:0]), "y", features=["a"])
    with pytest.raises(ValueError, match=r"features must name at least one column of .* none left"):
        d.ParquetSource(written(tmp_path, TABLE.select(["y"])), "y")
    twice = pa.Table.from_arrays([TABLE["a"], TABLE["a"], TABLE["y"]], ["a", "a", "y"])
    with pytest.raises(ValueError, match=r"features: .* has more than one column 'a'"):
        d.ParquetSource(written(tmp_path, twice), "y", features=["a"])
    with pytest.raises(ValueError, match="data must have at least one row; got none"):
        d.ArrowSource(TABLE[:0], "y", features=["a"])
    with pytest.raises(TypeError, match=r"data must be a pyarrow.Table or a pyarrow.dataset.Data"):
        d.ArrowSource(3, "y")
    filtered = ds.dataset(written(tmp_path)).filter(ds.field("b") > 3)
    with pytest.raises(ValueError, match="data must be a data set without filter"):
        d.ArrowSource(filtered, "y", features=["a"])


def test_batches_of_wide_tables_are_small(tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.data.batches.BATCH_BYTES", 8 * 3 * 11)
    path = written(tmp_path)
    table = pq.read_table(path)
    for source in (d.ParquetSource(path, "y", features=["a", "b"]),
                   d.ArrowSource(table, "y", features=["a", "b"]),
                   d.ArrowSource(ds.dataset(path), "y", features=["a", "b"])):  # fmt: skip
        assert source.piece_rows == 11
        assert max(len(batch) for batch in source._open(0, ["a"])) == 11
        np.testing.assert_array_equal(source.read(3, 77).X, columns("a", "b")[3:77])


def test_labels_may_be_string_views():
    table = pa.table({"a": [1.0, 2.0], "y": pa.array(["u", "v"], pa.string_view())})
    assert d.find_classes(d.ArrowSource(table, "y")).tolist() == ["u", "v"]


def test_without_pyarrow_the_extra_is_named(path, monkeypatch):
    def refuse(name, *rest, **more):
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest, **more)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"need pyarrow: pip install 'fastmlp\[data\]'"):
        d.ParquetSource(path, "y")


def test_targets_are_read_without_the_other_columns(path, monkeypatch):
    source = d.ParquetSource(path, ["y", "b"], features=["a"], sample_weight="w")
    names, open_block = [], source._open
    monkeypatch.setattr(source, "_open", lambda *args: names.append(args[1]) or open_block(*args))
    np.testing.assert_array_equal(source.read_targets(5, 95), columns("y", "b")[5:95])
    assert names == [["y", "b"]] * 4
    np.testing.assert_array_equal(source.read(95, 97).X, columns("a")[95:97])


# --- Weights that are all 0, and row groups with very many columns


@pytest.mark.parametrize("statistics", [True, False])
def test_weights_of_files_that_are_all_zero_are_refused(tmp_path, statistics):
    table = TABLE.set_column(4, "w", pa.array(np.zeros(N)))
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=30, write_statistics=statistics)
    given = {"features": ["a"], "sample_weight": "w"}
    if statistics:
        with pytest.raises(
            ValueError, match=r"sample_weight .* all 100 in the column 'w' are zero"
        ):
            d.ParquetSource(tmp_path / "0.parquet", "y", **given)
    else:
        d.ParquetSource(tmp_path / "0.parquet", "y", **given)
    written(tmp_path, name="1.parquet")
    d.ParquetSource([tmp_path / "0.parquet", tmp_path / "1.parquet"], "y", **given)


def test_only_the_named_column_tells_whether_all_weights_are_zero(tmp_path):
    """Not a part of another column that has its name, and not weights up to 0."""
    zeros = pa.StructArray.from_arrays([pa.array(np.zeros(N))], names=["w"])
    table = TABLE.append_column("group", zeros)
    path = written(tmp_path, table.select(["group", *TABLE.column_names]))
    assert len(d.ParquetSource(path, "y", features=["a"], sample_weight="w")) == N
    negative = TABLE.set_column(4, "w", pa.array(np.linspace(-1, 0, N)))
    path = written(tmp_path, negative, "negative.parquet")
    assert len(d.ParquetSource(path, "y", features=["a"], sample_weight="w")) == N


def test_the_index_of_a_frame_is_no_feature(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0, 1, 0]}, index=[7, 5, 6])
    frame.to_parquet(tmp_path / "frame.parquet")
    assert d.ParquetSource(tmp_path / "frame.parquet", "y").feature_names == ["a"]
    named = d.ParquetSource(tmp_path / "frame.parquet", "y", features=["__index_level_0__"])
    np.testing.assert_array_equal(named.read(0, 3).X, [[7], [5], [6]])


def test_a_null_among_the_labels_of_a_dictionary_is_refused():
    labels = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["no", None, "yes"]))
    source = d.ArrowSource(pa.table({"a": [1.0, 2.0, 3.0], "y": labels}), "y")
    with pytest.raises(DataFormatError, match="row 1, column 'y': expected a value, found null"):
        source.read(0, 3)


@pytest.fixture
def wide_path(tmp_path, monkeypatch):
    """A file whose row groups of 40 rows and 50 columns are read four columns at a time."""
    for name, value in {"HELD_BYTES": 1, "PIECE_BYTES": 4 * 240, "BATCH_ROWS": 7}.items():
        monkeypatch.setattr(f"fastmlp.data.wide.{name}", value)
    table = pa.table({f"x{j}": RNG.random(N, np.float32) for j in range(50)} | {
        "b": RNG.integers(0, 9, N), "w": RNG.random(N), "city": RNG.choice(["Rome", "Bonn"], N),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=40, use_dictionary=False,
                   compression="none")  # fmt: skip
    return table, str(tmp_path / "wide.parquet")


def test_row_groups_with_very_many_columns_are_read_some_columns_at_a_time(wide_path, monkeypatch):
    table, path = wide_path
    source = d.ParquetSource(path, "city", sample_weight="w")
    widths, read = [], pq.ParquetFile.iter_batches

    def iter_batches(self, *arguments, columns, **options):
        widths.append(len(columns))
        return read(self, *arguments, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    names = [*(f"x{j}" for j in range(50)), "b"]
    for begin, end in [(0, 100), (3, 5), (38, 41), (79, 100)]:
        rows = source.read(begin, end)
        np.testing.assert_array_equal(rows.X, columns(*names, table=table)[begin:end])
        np.testing.assert_array_equal(rows.y, table["city"].to_numpy()[begin:end].astype(str))
        np.testing.assert_array_equal(rows.weights, table["w"].to_numpy()[begin:end])
    assert max(widths) < 10
    assert source.piece_rows == 3  # a sixteenth of a row group, rounded up
    np.testing.assert_array_equal(source.read_targets(30, 50), table["city"].to_numpy()[30:50])
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(30, 50).X, source.read(30, 50).X)


def test_whole_rows_are_read_where_a_row_group_would_be_decoded_too_often(wide_path, monkeypatch):
    monkeypatch.setattr("fastmlp.data.wide.PAGE_BYTES", 16)
    monkeypatch.setattr("fastmlp.data.parquet.read_columns", lambda *_: pytest.fail("by columns"))
    source = d.ParquetSource(wide_path[1], "city", sample_weight="w")
    assert source.read(38, 41).X.shape == (3, 51)


def test_what_is_wrong_in_such_a_row_group_is_named(wide_path, tmp_path):
    table, path = wide_path
    nulls = table["x33"].to_pylist()
    nulls[57] = None
    broken = table.set_column(33, "x33", pa.array(nulls, pa.float32()))
    pq.write_table(broken, path, row_group_size=40, write_statistics=False, compression="none")
    source = d.ParquetSource(path, "city", sample_weight="w")
    with pytest.raises(DataFormatError, match=r"row group 1, row 17, column 'x33': .* found null"):
        source.read(50, 60)
    pq.write_table(table, path, row_group_size=40, use_dictionary=False, compression="gzip")
    source = d.ParquetSource(path, "city", sample_weight="w")
    column = pq.ParquetFile(path).metadata.row_group(1).column(33)
    with open(path, "r+b") as file:
        file.seek(column.data_page_offset + 40)
        file.write(b"\xff" * 30)
    status = os.stat(path)
    source._footers[path] = ((status.st_size, status.st_mtime_ns), source._footers[path][1])
    with pytest.raises(DataFormatError, match="row group 1, column 'x33': cannot be read"):
        source.read(50, 60)
