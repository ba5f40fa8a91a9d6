"""TabularEncoder: what becomes of every kind of column, of gaps and of new categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler
from sklearn.utils.estimator_checks import check_estimator
from table_data import mixed

from fastmlp.tables import TabularEncoder


def test_scikit_learns_checks_pass():
    check_estimator(TabularEncoder(), on_skip=None)


def encoded(table, **parameters):
    """A frame of the encoded columns by name."""
    encoder = TabularEncoder(**parameters).fit(table)
    return pd.DataFrame(encoder.transform(table), columns=encoder.get_feature_names_out())


def test_every_column_has_its_kind():
    encoder = TabularEncoder().fit(mixed()[0])
    assert encoder.kinds_ == {
        "age": "numerical", "town": "categorical", "street": "categorical", "when": "date",
        "flag": "boolean", "count": "numerical", "size": "ordinal", "constant": "numerical",
    }  # fmt: skip


def test_numbers_are_scaled_by_median_and_quartiles_and_clipped_smoothly():
    x = np.random.default_rng(0).normal(5, 3, size=(401, 1))
    scaled = RobustScaler().fit_transform(x)
    expected = scaled / np.sqrt(1 + (scaled / 3) ** 2)
    np.testing.assert_allclose(TabularEncoder().fit_transform(x), expected, atol=1e-6)


def test_extreme_numbers_stay_within_three():
    encoder = TabularEncoder().fit(np.arange(100.0)[:, np.newaxis])
    found = encoder.transform([[1e300], [-1e300]])
    np.testing.assert_allclose(found, [[3.0], [-3.0]])


def test_missing_numbers_become_the_median_and_a_mark():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0, np.nan]})
    found = encoded(table)
    assert list(found) == ["a", "a_missing"]
    assert found["a"][5] == found["a"][2] == 0
    assert found["a_missing"].tolist() == [0, 0, 0, 0, 0, 1]


def test_numbers_that_are_mostly_equal_are_scaled_by_half_their_range():
    found = encoded(pd.DataFrame({"a": [0.0] * 30 + [4.0]}))
    assert found["a"][30] == pytest.approx(2 / np.sqrt(1 + 4 / 9))


def test_few_categories_have_an_indicator_each_and_rare_ones_share_one():
    towns = ["Bonn"] * 40 + ["Ulm"] * 40 + [None] * 17 + ["Kiel", "Jena", "Gera"]
    table = pd.DataFrame({"town": towns})
    found = encoded(table)
    assert list(found) == ["town_Bonn", "town_Ulm", "town_missing", "town_other"]
    assert found.sum().tolist() == [40, 40, 17, 3]
    assert (found.sum(axis=1) == 1).all()


def test_new_categories_are_like_rare_ones():
    towns = ["Bonn"] * 40 + ["Ulm"] * 40 + ["Kiel"]
    encoder = TabularEncoder().fit(pd.DataFrame({"town": towns}))
    assert encoder.transform(pd.DataFrame({"town": ["Mars"]})).tolist() == [[0, 0, 1]]


def test_many_categories_have_frequency_and_indicators_of_the_frequent_ones():
    codes = np.repeat(np.arange(22), np.arange(1, 23)).astype(str)
    found = encoded(pd.DataFrame({"c": codes}), max_one_hot=3)
    assert list(found) == ["c_21", "c_20", "c_19", "c_frequency"]  # in 22, 21 and 20 rows
    assert found["c_frequency"].is_monotonic_increasing
    assert found.loc[codes == "19", "c_19"].all()
    many = pd.DataFrame({"c": np.repeat(np.arange(300), 20).astype(str)})
    assert len(encoded(many).columns) == 201


def test_means_of_y_stand_last_and_new_categories_have_the_overall_mean():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 30, 600)
    y = codes / 10 + rng.normal(size=600)
    table = pd.DataFrame({"c": codes.astype(str)})
    encoder = TabularEncoder(random_state=0)
    own = encoder.fit_transform(table, y)
    assert encoder.get_feature_names_out()[-1] == "c_target"
    assert np.corrcoef(own[:, -1], codes)[0, 1] > 0.9
    of_new = encoder.transform(pd.DataFrame({"c": [str(i) for i in range(30)] + ["new"]}))
    assert np.corrcoef(of_new[:-1, -1], np.arange(30))[0, 1] > 0.95
    assert abs(of_new[-1, -1]) < 0.2


def test_means_of_noise_tell_a_training_row_nothing_about_itself():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"c": rng.integers(0, 1000, 3000).astype(str)})
    y = rng.normal(size=3000)
    own = TabularEncoder(random_state=0).fit_transform(table, y)[:, -1]
    assert abs(np.corrcoef(own, y)[0, 1]) < 0.06
    naive = TabularEncoder(random_state=0).fit(table, y).transform(table)[:, -1]
    assert np.corrcoef(naive, y)[0, 1] > 0.4


def test_classes_have_a_mean_each_or_one_of_two():
    table = pd.DataFrame({"c": np.arange(90).astype(str)})
    for n_classes, names in ((2, ["c_target"]), (3, ["c_target_0", "c_target_1", "c_target_2"])):
        encoder = TabularEncoder().fit(table, np.arange(90) % n_classes)
        assert encoder.get_feature_names_out()[-len(names) :].tolist() == names


def test_ordered_categories_are_numbers_in_their_order():
    sizes = ["S", "M", "L"] * 20 + [None, "XXL"]
    found = encoded(pd.DataFrame({"size": sizes}), ordinal={"size": ["S", "M", "L"]})
    assert found["size"][0] < found["size"][1] < found["size"][2]
    assert found["size_missing"][60:].tolist() == [1, 1]


def test_declared_columns_are_what_they_are_declared():
    table = pd.DataFrame({"zip": [10115, 53111] * 20, "text": ["1.5", "2"] * 20})
    encoder = TabularEncoder(categorical=["zip"], numerical=[1]).fit(table)
    assert encoder.kinds_ == {"zip": "categorical", "text": "numerical"}
    assert encoder.get_feature_names_out().tolist() == ["text", "zip_10115", "zip_53111"]


def test_declared_categories_are_the_same_in_any_number_type():
    encoder = TabularEncoder(categorical=[0]).fit(np.array([[1], [2]] * 20))
    for dtype in (np.int8, np.float64, object):
        assert encoder.transform(np.array([[2]], dtype)).tolist() == [[0.0, 1.0]]


def test_bins_stand_beside_the_numbers():
    x = np.random.default_rng(0).normal(size=(100, 1))
    names = TabularEncoder(encoding="ple", n_bins=4).fit(x).get_feature_names_out()
    assert names.tolist() == ["x0", "x0_bin0", "x0_bin1", "x0_bin2", "x0_bin3"]


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, pd.DataFrame.copy],
                         ids=["polars", "pyarrow", "pandas"])  # fmt: skip
def test_libraries_agree(convert):
    table, y = mixed()
    encoder = TabularEncoder(random_state=0).fit(table, y)
    np.testing.assert_array_equal(encoder.transform(convert(table)), encoder.transform(table))
    if convert is not pd.DataFrame.copy:
        table["size"] = table["size"].astype(str)
    again = TabularEncoder(random_state=0).fit(convert(table), y)
    expected = TabularEncoder(random_state=0).fit(table, y)
    assert again.kinds_ == expected.kinds_
    np.testing.assert_array_equal(again.transform(convert(table)), expected.transform(table))


def test_arrays_of_objects_and_lists_are_tables_too():
    rows = [[1.0, "a", True], [2.0, "b", False], [None, "a", True], [4.0, "b", False]] * 10
    expected = TabularEncoder().fit_transform(rows)
    assert expected.shape == (40, 5)
    np.testing.assert_array_equal(TabularEncoder().fit_transform(np.array(rows, object)), expected)


def test_it_stands_in_a_pipeline_and_can_be_cloned():
    table, y = mixed()
    pipeline = make_pipeline(TabularEncoder(random_state=0), Ridge())
    assert clone(pipeline).fit(table, y).score(table, y) > 0.9


def test_zero_weights_are_like_missing_rows():
    table, y = mixed()
    weights = (np.arange(len(y)) % 3 > 0).astype(float)
    weighted = TabularEncoder(max_one_hot=100).fit(table, sample_weight=weights)
    fewer = TabularEncoder(max_one_hot=100).fit(table[weights > 0])
    np.testing.assert_array_equal(weighted.transform(table), fewer.transform(table))


def test_constant_tables_become_a_column_of_zeros():
    encoder = TabularEncoder().fit(pd.DataFrame({"a": [1.0, 1.0], "b": ["x", "x"]}))
    assert encoder.get_feature_names_out().tolist() == ["constant"]
    assert encoder.transform(pd.DataFrame({"a": [3.0], "b": ["y"]})).tolist() == [[0.0]]


def test_its_result_can_be_a_data_frame():
    table, y = mixed()
    encoder = TabularEncoder(random_state=0).set_output(transform="pandas")
    frame = encoder.fit_transform(table, y)
    assert list(frame) == encoder.get_feature_names_out().tolist()
    assert list(encoder.transform(table)) == list(frame)


TABLE = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"categorical": ["c"]}, "categorical must list columns of X"),
        ({"numerical": [2]}, "numerical must list columns of X.*from 0 to 1; got 2"),
        ({"numerical": "a"}, "numerical must be a sequence of columns"),
        ({"categorical": ["a"], "numerical": ["a"]}, "column 'a' is declared categorical and"),
        ({"ordinal": ["a"]}, "ordinal must be a mapping"),
        ({"ordinal": {"b": []}}, "categories of the ordinal column 'b' must be present and differ"),
        ({"ordinal": {"b": ["x", "x"]}}, "must be present and differ"),
        ({"ordinal": {"b": 3}}, r"ordinal\['b'\] must be a sequence"),
        ({"max_one_hot": 0}, "max_one_hot"),
        ({"n_bins": 1}, "n_bins"),
        ({"encoding": "periodic"}, "encoding must be one of 'plain', 'ple'"),
        ({"dtype": "float16"}, "dtype"),
        ({"numerical": ["b"]}, "column 'b' must be numbers"),
        ({"table": TABLE.assign(a=1j)}, "column 'a' must hold numbers, text or dates; got complex"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        table = parameters.pop("table", TABLE)
        TabularEncoder(**parameters).fit(table)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (TABLE[["a"]], "now missing:\n- b"),
        (TABLE.assign(c=1), "unseen at fit time:\n- c"),
        (TABLE[["b", "a"]], "same order"),
        (TABLE.assign(a="x"), "column 'a' must be numbers, as in fit; got 'x' in row 0"),
        (TABLE.assign(a=np.inf), "infinity in column 'a', row 0"),
        (TABLE[:0], "at least one row"),
        (pl.from_pandas(TABLE).lazy(), "X.collect()"),
        (pd.concat([TABLE, TABLE], axis=1), "columns of the same name: a, b"),
    ],
)
def test_other_tables_are_refused_by_name(new, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TabularEncoder().fit(TABLE).transform(new)
