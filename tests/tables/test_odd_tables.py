"""Tables and targets as people have them: what is odd is learned, or refused by name."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.model_selection import KFold, PredefinedSplit, StratifiedKFold

from fastmlp.tables import TabularClassifier, TabularEncoder, TabularRegressor

N = 120
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, N))
Y = (A + 0.3 * B > 0).astype(int)
WORDS = np.where(Y, "yes", "no")
FRAME = pd.DataFrame({"a": A, "b": B})
QUICK = {"n_members": 2, "network": {"max_epochs": 3}, "size": 8, "random_state": 0, "n_threads": 1}


def classifier(**parameters):
    return TabularClassifier(**QUICK | parameters)


def regressor(**parameters):
    return TabularRegressor(**QUICK | parameters)


@pytest.mark.parametrize(
    "names", [[2019, 2020], pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])], ids=["int", "tuple"]
)
def test_columns_whose_names_are_no_strings_are_compared_too(names):
    table = pd.DataFrame(FRAME.to_numpy(), columns=names)
    model = classifier().fit(table, Y)
    with pytest.raises(ValueError, match="columns of fit, in the same order; got"):
        model.predict(table[table.columns[::-1]])
    renamed = table.copy()
    renamed.columns = (
        [names[0], "new"] if isinstance(names, list) else names.set_levels([[7, 9], [1, 2]])
    )
    with pytest.raises((ValueError, TypeError), match=r"unknown|Feature names"):
        model.predict(renamed)
    assert model.predict(table.to_numpy()).tolist() == model.predict(table).tolist()


def test_missing_and_unknown_numbers_of_columns_are_named():
    table = pd.DataFrame({2019: A, 2020: B})
    with pytest.raises(ValueError, match=r"missing 2020; unknown 2021"):
        classifier().fit(table, Y).predict(table.rename(columns={2020: 2021}))


def test_columns_without_any_value_are_dropped():
    table = FRAME.assign(empty=np.nan, none=None)
    model = classifier().fit(table, Y)
    assert model.members_[0].network.sizes[0] == 2
    np.testing.assert_array_equal(
        model.predict_proba(table), model.predict_proba(table.assign(empty=1.0))
    )


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical(WORDS, ["no", "yes", "unused"]),
        pd.Series(pd.arrays.SparseArray(np.where(Y, A, 0))),
        pd.array([True, False, None] * (N // 3), dtype="boolean"),
        pd.Series(["", None, "word"] * (N // 3)),
        pd.array([10**30 * i for i in range(N)], dtype=object),
        pd.date_range("2020-01-01", periods=N, freq="h", tz="Europe/Berlin"),
        pd.interval_range(0, N),
        [0.5] * N,
    ],
    ids=["unused", "sparse", "boolean", "empty", "huge", "zone", "interval", "constant"],
)
def test_odd_columns_are_learned(column):
    table = pd.DataFrame({"odd": column})
    model = classifier().fit(table, Y)
    assert np.isfinite(model.predict_proba(table)).all()
    assert np.isfinite(model.encoder_.transform(table)).all()
    assert len(model.encoder_.get_feature_names_out()) == model.encoder_.transform(table).shape[1]


def test_dictionaries_and_enumerations_are_categories_in_all_libraries():
    words = pa.array([None, *WORDS[1:].tolist()]).dictionary_encode()
    table = pa.table({"word": words, "b": B})
    model = classifier().fit(table, Y)
    assert model.encoder_.kinds_ == {"word": "categorical", "b": "numerical"}
    frame = pl.from_arrow(table)
    enum = frame.with_columns(pl.col("word").cast(pl.Enum(["no", "yes", "maybe"])))
    for same in (table.to_pandas(), frame, enum):
        np.testing.assert_array_equal(model.predict_proba(same), model.predict_proba(table))


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("dtype", ["Int64", "UInt64", "int64[pyarrow]"])
def test_long_codes_are_not_rounded(dtype, gap):
    codes = pd.Series([2**53 + i % 2 for i in range(N)], dtype=dtype)
    if gap:
        codes[0] = None
    table = pd.DataFrame({"code": codes, "none": pd.Series([None] * N, dtype=dtype)})
    model = classifier(categorical=["code"]).fit(table, np.arange(N) % 2)
    found = model.encoder_.reader_.columns[0].categories
    assert found == (str(2**53), str(2**53 + 1), *([None] if gap else []))
    assert len(np.unique(model.predict_proba(table[1:]), axis=0)) == 2


def test_dates_declared_categories_are_the_same_in_any_unit():
    dates = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=4)[np.arange(N) % 4]})
    model = classifier(categorical=["day"]).fit(dates.astype("datetime64[ns]"), np.arange(N) % 4)
    probabilities = model.predict_proba(dates.astype("datetime64[ns]"))
    assert np.ptp(probabilities, axis=0).min() > 0
    for same in (dates.astype("datetime64[s]"), pl.from_pandas(dates)):
        np.testing.assert_array_equal(model.predict_proba(same), probabilities)


def test_text_in_lists_is_text_even_where_all_of_it_is_digits():
    rows = [["01" if y else "1x"] for y in Y]
    model = classifier().fit(rows, Y)
    probabilities = model.predict_proba(rows)[Y == 1]
    np.testing.assert_allclose(model.predict_proba([["01"]] * 2), probabilities[:2])
    assert classifier().fit([["1"], ["2"]] * 60, Y).encoder_.kinds_ == {"x0": "categorical"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1, 2]] * N, "must hold numbers, text or dates; got a list or the like in row 0: .1, 2."),
        ([{"k": 1}] * N, "got a list or the like in row 0.*Make a column of each of its parts"),
        ([10**400, *range(N - 1)], r"column 'odd' has a number above 1.8e308 in row 0; divide"),
        ([np.inf, *A[1:]], "contains infinity in column 'odd', row 0; replace it, for example by"),
    ],
)
def test_columns_that_are_no_values_are_refused_by_name(column, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(FRAME.assign(odd=pd.Series(column, dtype=object)), A)


def test_lists_of_polars_are_refused_by_name():
    with pytest.raises(ValueError, match="column 'odd' must hold numbers, text or dates; got a l"):
        regressor().fit(pl.DataFrame({"odd": [[1, 2]] * N}), A)
    with pytest.raises(ValueError, match="column 'odd' must hold numbers, text or dates; got"):
        regressor().fit(pl.DataFrame({"odd": [{"k": 1, "l": 2}] * N}), A)


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_dates_where_fit_had_numbers_are_refused(unit):
    model = classifier().fit(FRAME, Y)
    later = pd.Series(pd.date_range("2020-01-01", periods=N)).astype(f"datetime64[{unit}]")
    with pytest.raises(ValueError, match=f"column 'b' must be numbers, as in fit; got .*{unit}"):
        model.predict(FRAME.assign(b=later))


@pytest.mark.parametrize(
    "odd",
    [["unused"] * 20 + ["x", "y"] * 50, [str(i) for i in range(20)] + ["x", "y"] * 50,
     ["text"] * 20 + A[20:].tolist(), [[1]] * 20 + ["x", "y"] * 50],
    ids=["category", "many", "kind", "list"],
)  # fmt: skip
def test_rows_of_weight_zero_are_never_read(odd):
    table = FRAME.assign(odd=pd.Series(odd, dtype=object))
    weights = (np.arange(N) >= 20).astype(float)
    weighted = classifier().fit(table, Y, sample_weight=weights)
    fewer = classifier().fit(table[20:], Y[20:])
    assert weighted.encoder_.kinds_ == fewer.encoder_.kinds_
    np.testing.assert_array_equal(
        weighted.predict_proba(table[20:]), fewer.predict_proba(table[20:])
    )


@pytest.mark.parametrize(
    ("validation", "held"),
    [
        ([(np.arange(80), np.arange(80, N))], np.arange(80, N)),
        ([(np.arange(N) < 80, np.arange(N) >= 80)], np.arange(80, N)),
        (PredefinedSplit(np.where(np.arange(N) < 60, -1, 0)), np.arange(60, N)),
    ],
    ids=["indices", "masks", "splitter"],
)
def test_splits_are_about_the_rows_that_were_given_also_where_some_have_weight_zero(
    validation, held
):
    weights = (np.arange(N) % 3 > 0).astype(float)
    model = classifier(validation=validation).fit(FRAME, Y, sample_weight=weights)
    predicted = np.flatnonzero(~np.isnan(model.oof_prediction_[:, 0]))
    assert predicted.tolist() == [row for row in held if row % 3]


def test_splitters_get_the_most_probable_classes_of_soft_labels():
    soft = np.column_stack([1 - Y, Y]) * 0.8 + 0.1
    model = classifier(n_members=3, validation=StratifiedKFold(3)).fit(FRAME, soft)
    assert not np.isnan(model.oof_prediction_).any()


@pytest.mark.parametrize(
    ("arguments", "validation", "message"),
    [
        ({}, [(np.arange(N), np.arange(5, 9))], "validation must not hold out rows .*; row 5 is"),
        ({"groups": np.arange(N) // 50}, [(np.arange(60), np.arange(60, N))],
         "validation has rows of group 1 on both sides .* GroupKFold"),
        ({"X_val": FRAME, "y_val": Y}, 0.3, "validation must be None with X_val"),
    ],
)  # fmt: skip
def test_splits_that_leak_are_refused(arguments, validation, message):
    with pytest.raises(ValueError, match=message):
        classifier(validation=validation).fit(FRAME, Y, **arguments)


def test_splitters_that_ignore_groups_are_refused():
    with (
        pytest.warns(UserWarning, match="ignored by KFold"),
        pytest.raises(ValueError, match="validation has rows of group 'g0' on both sides"),
    ):
        classifier(validation=KFold(3)).fit(FRAME, Y, groups=[f"g{i % 4}" for i in range(N)])


@pytest.mark.parametrize(
    "labels",
    [Y > 0, pd.Series(Y, dtype="Int64"), pd.Series(Y > 0, dtype="boolean"),
     pd.Categorical(WORDS, ["no", "yes", "unused"]), pd.Series(WORDS, dtype="string"),
     pl.Series(WORDS, dtype=pl.Enum(["no", "yes"])), pa.array(WORDS).dictionary_encode(),
     WORDS.tolist(), pd.Index(WORDS)],
    ids=["bool", "Int64", "boolean", "categories", "string", "enum", "arrow", "list", "index"],
)  # fmt: skip
def test_labels_of_all_types_are_predicted_as_they_were(labels):
    model = classifier(network={"max_epochs": 60}).fit(FRAME, labels)
    assert model.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert model.score(FRAME, labels) > 0.9


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (WORDS, "y must be numbers: .*'(yes|no)'.*TabularClassifier learns labels"),
        (pd.Series(pd.date_range("2020-01-01", periods=N)), "y must be numbers; got datetime64"),
        (pd.Series(pd.to_timedelta(np.arange(N), "h")), "y must be numbers; got timedelta64"),
        ([10**400] * N, "y cannot be read"),
        (np.where(A > 2, np.nan, A), "y contains NaN"),
    ],
)
def test_targets_that_are_no_numbers_are_named(y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        regressor().fit(FRAME, y)


def test_two_columns_of_labels_are_refused():
    with pytest.raises(TypeError, match="y must be one column of labels, or hold a probab"):
        classifier().fit(FRAME, pd.DataFrame({"one": WORDS, "two": WORDS}))


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7])
def test_fewer_rows_than_members_are_learned(n_rows):
    x, y = FRAME[:n_rows], np.arange(n_rows) % 2
    model = classifier(n_members=9).fit(x, y)
    assert model.predict_proba(x).shape == (n_rows, len(set(y)))
    assert regressor(n_members=9).fit(x, y).predict(x).shape == (n_rows,)


@pytest.mark.parametrize("n_rare", [1, 2])
def test_a_class_with_fewer_rows_than_folds_is_learned(n_rare):
    labels = np.where(np.arange(N) < n_rare, 2, Y)
    model = classifier(n_members=5, class_weight="balanced").fit(FRAME, labels)
    assert model.predict_proba(FRAME).shape == (N, 3)
    assert np.isfinite(model.oof_prediction_).all()


def test_names_of_inputs_are_different():
    words = ["other"] * 30 + ["missing"] * 30 + [None] * 30 + ["a"] * 25 + list("bcdef")
    encoder = TabularEncoder().set_output(transform="polars")
    columns = encoder.fit_transform(pd.DataFrame({"t": words})).columns
    assert columns == ["t_a", "t_missing", "t_other", "t_missing_2", "t_other_2"]


def test_pickles_name_the_room_and_none_of_its_files():
    model = classifier().fit(FRAME.assign(word=WORDS), Y)
    interval = regressor(quantiles=[0.1, 0.9]).fit(FRAME, A)
    for thing in (model, interval, model.summary()):
        text = pickle.dumps(thing, 2)
        names = {name for code, name, _ in pickletools.genops(text) if code.name == "GLOBAL"}
        assert not [name for name in names if name.startswith("fastmlp.tables.")]
        assert str(pickle.loads(text)) == str(thing)


@pytest.mark.parametrize(("make", "y"), [(classifier, WORDS), (regressor, A)])
def test_validation_targets_of_another_length_are_named(make, y):
    with pytest.raises(ValueError, match="X_val has 120 rows and y_val has 119"):
        make().fit(FRAME, y, X_val=FRAME, y_val=y[1:])


class Unprintable:
    def __repr__(self):
        raise RuntimeError("this object cannot be printed")


def test_what_is_no_table_is_named_without_printing_it():
    with pytest.raises(TypeError, match="X must be a table or an array of two axes; got a Unprint"):
        classifier().fit(Unprintable(), Y)
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"X: Found array with dim (32|64)"):
        classifier().fit(endless, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"random_state": Unprintable()}, "random_state must be None, an integer"),
        ({"random_state": 2**63}, "random_state: Seed must be between"),
        ({"size": [[1], [2, 3]]}, r"size\[0\] must be an integer; got \[1\]"),
    ],
    ids=["object", "large", "ragged"],
)
def test_odd_parameters_are_refused_by_name(parameters, message):
    with pytest.raises((TypeError, ValueError), match=message):
        classifier(**parameters).fit(FRAME, Y)
