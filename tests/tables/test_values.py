"""Kinds of columns, and their values as numbers, categories and dates."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from fastmlp.tables.values import (
    as_codes,
    as_dates,
    as_numbers,
    categories_of,
    date_numbers,
    find_kind,
    is_missing,
    key,
)

OBJECTS = {
    "boolean": [True, None, False],
    "numerical": [1, 2.5, None, decimal.Decimal("3"), pd.NA],
    "categorical": ["a", 1, None],
    "date": [datetime.date(2020, 1, 1), None, datetime.datetime(2020, 1, 1, 12)],
}


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_have_the_kind_of_what_is_present(kind):
    assert find_kind(objects(OBJECTS[kind])) == kind


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("bool", "boolean"), ("int8", "numerical"), ("float32", "numerical"), ("uint64", "numerical"),
     ("datetime64[D]", "date"), ("timedelta64[s]", "numerical"), ("U3", "categorical")],
)  # fmt: skip
def test_arrays_have_the_kind_of_their_dtype(dtype, kind):
    assert find_kind(np.ones(3).astype("i8").astype(dtype)) == kind


@pytest.mark.parametrize(
    ("texts", "kind"),
    [(["2020-01-01", None, "2021-12-31T10:30"], "date"), (["2020-01-01", "x"], "categorical"),
     (["2020-13-45"], "categorical"), (["1", "2"], "categorical")],
)  # fmt: skip
def test_text_is_a_date_only_where_all_of_it_is(texts, kind):
    assert find_kind(objects(texts)) == kind


def test_a_column_without_any_value_is_numerical():
    assert find_kind(objects([None, np.nan])) == "numerical"


@pytest.mark.parametrize("value", [None, np.nan, np.float32("nan"), pd.NA, pd.NaT,
                                   np.datetime64("NaT")])  # fmt: skip
def test_missing_values_of_all_libraries_are_missing(value):
    assert is_missing(value)
    assert key(value) is None


@pytest.mark.parametrize("value", [0, "", False, "nan", 1.5, pd.Timestamp(0)])
def test_other_values_are_present(value):
    assert not is_missing(value)


def test_numbers_of_any_type_have_the_same_category():
    assert {key(v) for v in (3, 3.0, np.int8(3), np.float32(3))} == {"3"}
    assert key(1.5) == "1.5"


def test_numbers_come_with_nan_where_they_are_missing():
    found = as_numbers(objects([1, None, "2.5", pd.NA, True]), "a")
    np.testing.assert_array_equal(found, [1, np.nan, 2.5, np.nan, 1])
    days = as_numbers(np.array([36, "NaT"], "timedelta64[h]"), "a")
    np.testing.assert_array_equal(days, [1.5, np.nan])


def test_text_among_numbers_is_named_with_column_and_row():
    with pytest.raises(ValueError, match="'a' must be numbers, as in fit; got 'x' in row 1"):
        as_numbers(objects([1.0, "x"]), "a")


def test_infinity_is_named_with_column_and_row():
    with pytest.raises(ValueError, match="infinity in column 'a', row 2"):
        as_numbers(np.array([1.0, np.nan, -np.inf]), "a")


def test_dates_of_all_types_are_the_same_moment():
    there = datetime.timezone(datetime.timedelta(hours=2))
    values = [
        datetime.datetime(2020, 1, 2, 12),
        datetime.datetime(2020, 1, 2, 14, tzinfo=there),
        np.datetime64("2020-01-02T12"),
        "2020-01-02 12:00",
        pd.Timestamp("2020-01-02T12:00"),
    ]
    assert set(as_dates(objects(values), "a")) == {np.datetime64("2020-01-02T12:00", "us")}
    assert np.isnat(as_dates(objects([None, "2020-01-01"]), "a"))[0]


def test_what_is_no_date_is_named_with_its_column():
    for value in ("soon", 5):
        with pytest.raises(ValueError, match="column 'a' must be dates"):
            as_dates(objects(["2020-01-01", value]), "a")


def test_date_numbers_are_days_and_phases():
    dates = pd.date_range("1970-01-01", periods=30, freq="6h")
    numbers = date_numbers(dates.to_numpy("datetime64[us]"))
    days = np.arange(30) / 4
    np.testing.assert_allclose(numbers[:, 0], days)
    np.testing.assert_allclose(numbers[:, 1], np.sin(2 * np.pi * days / 365.2425))
    np.testing.assert_allclose(numbers[:, 4], np.cos(2 * np.pi * days / 7))
    np.testing.assert_allclose(numbers[:, 5], np.sin(2 * np.pi * days), atol=1e-12)


def test_the_same_weekday_has_the_same_bits():
    dates = np.arange("1969-01-01", "2030-01-01", dtype="datetime64[D]").astype("datetime64[us]")
    assert len(np.unique(date_numbers(dates)[:, 3:5], axis=0)) == 7


def test_the_phase_of_the_day_is_constant_for_dates_without_a_time():
    dates = np.array(["2020-01-01", "2021-05-06", "NaT"], "datetime64[us]")
    numbers = date_numbers(dates)
    np.testing.assert_array_equal(numbers[:2, 5:], [[0, 1], [0, 1]])
    assert np.isnan(numbers[2]).all()


@pytest.mark.parametrize("values", [[3.0, 1.0, np.nan, 1.0], ["b", None, "a", "b"]])
def test_codes_are_places_among_the_categories(values):
    array = np.array(values) if isinstance(values[0], float) else objects(values)
    categories = categories_of(array)
    assert categories[-1] is None and categories[:-1] == sorted(categories[:-1])
    lookup = {category: i for i, category in enumerate(categories)}
    assert [categories[code] for code in as_codes(array, lookup, 99)] == [key(v) for v in values]


def test_unknown_categories_get_the_code_for_them():
    assert as_codes(objects(["a", "z", None]), {"a": 0}, 7).tolist() == [0, 7, 7]


def test_values_that_cannot_be_hashed_are_categories_by_their_text():
    assert categories_of(objects([[1], [2], [1]])) == ["[1]", "[2]"]
