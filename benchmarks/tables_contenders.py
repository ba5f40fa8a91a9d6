"""Contenders of the comparison on tables: each is ``fit(X, y, classify, seed) -> predict``.

`predict` returns probabilities (n, n_classes) in the order of the sorted labels, or numbers (n,).
Everything that a contender learns from the data is inside `fit`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Predict = Callable[[pd.DataFrame], np.ndarray]


def dates_as_numbers(X: pd.DataFrame) -> pd.DataFrame:
    """Days since 1970 and the day of the year, for contenders that do not read dates."""
    X = X.copy()
    for name in X.select_dtypes("datetime"):
        X[f"{name}_day_of_year"] = X[name].dt.dayofyear
        X[name] = (X[name] - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return X


def text_columns(X: pd.DataFrame) -> list[str]:
    return [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def prepared(model: Any, X: pd.DataFrame, y: Any, classify: bool) -> Predict:
    """Scaled numbers and one-hot categories in front of an estimator; y scaled."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X = dates_as_numbers(X)
    text = text_columns(X)
    numbers = [name for name in X if name not in text]
    filled = SimpleImputer(strategy="median", add_indicator=True)
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    steps = make_column_transformer(
        (make_pipeline(filled, StandardScaler()), numbers), (one_hot, text)
    )
    pipeline = make_pipeline(steps, model)
    if not classify:
        pipeline = TransformedTargetRegressor(pipeline, transformer=StandardScaler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(_as_objects(X, text), y)
    call = pipeline.predict_proba if classify else pipeline.predict

    def predict(new: pd.DataFrame) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(_as_objects(dates_as_numbers(new), text))

    return predict


def _as_objects(X: pd.DataFrame, text: list[str]) -> pd.DataFrame:
    def filled(column: pd.Series) -> pd.Series:
        return column.astype(object).where(column.notna(), "missing").astype(str)

    return X.assign(**{name: filled(X[name]) for name in text})


def linear(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV

    if classify:
        model = LogisticRegressionCV(
            Cs=[0.01, 0.1, 1, 10], cv=3, max_iter=300, scoring="neg_log_loss", l1_ratios=(0,),
            use_legacy_attributes=False,
        )  # fmt: skip
    else:
        model = RidgeCV(np.logspace(-2, 4, 13))
    return prepared(model, X, y, classify)


def sklearn_mlp(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if classify else MLPRegressor
    return prepared(kind(random_state=seed), X, y, classify)


def fastmlp_mlp(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from fastmlp import MLPClassifier, MLPRegressor

    model = (MLPClassifier if classify else MLPRegressor)(random_state=seed, n_threads=1)
    return prepared(model, X, y, classify)


def fastmlp_careful(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from fastmlp import MLPClassifier, MLPRegressor

    model = (MLPClassifier if classify else MLPRegressor)(
        random_state=seed, n_threads=1, early_stopping=True, monitor="val_loss", dropout=0.2,
        solver="adamw", learning_rate="cosine", learning_rate_init=0.003, max_iter=100,
        n_iter_no_change=20,
    )  # fmt: skip
    return prepared(model, X, y, classify)


def tabular(**options: Any) -> Callable[..., Predict]:
    def fit(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
        from fastmlp.tables import TabularClassifier, TabularRegressor

        kind = TabularClassifier if classify else TabularRegressor
        model = kind(random_state=seed, n_threads=1, **options).fit(X, y)
        return model.predict_proba if classify else model.predict

    return fit


def lightgbm(tuned: bool) -> Callable[..., Predict]:
    def fit(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
        from lightgbm import LGBMClassifier, LGBMRegressor, early_stopping
        from sklearn.model_selection import train_test_split

        options: dict[str, Any] = dict(n_jobs=1, verbose=-1, random_state=seed)
        if tuned:
            options |= TUNED_CLASS if classify else TUNED_NUMBER
        X = dates_as_numbers(X)
        text = {
            name: pd.CategoricalDtype(sorted(set(X[name].dropna().astype(str))))
            for name in text_columns(X)
        }

        def as_kind(column: pd.Series, kind: Any) -> pd.Series:
            return column.astype(object).where(column.isna(), column.astype(str)).astype(kind)

        def categories(table: pd.DataFrame) -> pd.DataFrame:
            table = dates_as_numbers(table)
            return table.assign(**{n: as_kind(table[n], kind) for n, kind in text.items()})

        model = (LGBMClassifier if classify else LGBMRegressor)(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if tuned:
                train, held, y_train, y_held = train_test_split(
                    categories(X), np.asarray(y), test_size=0.2, random_state=seed,
                    stratify=y if classify else None,
                )  # fmt: skip
                stop = early_stopping(PATIENCE, verbose=False)
                model.fit(train, y_train, eval_set=[(held, y_held)], callbacks=[stop])
            else:
                model.fit(categories(X), np.asarray(y))
        call = model.predict_proba if classify else model.predict

        def predict(new: pd.DataFrame) -> np.ndarray:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return call(categories(new))

        return predict

    return fit


# Tuned defaults of pytabkit 1.7 (Holzmüller et al., 2024): the best of at most 1,000 trees for a
# held-out fifth, which stops after 300 that do not help.
TUNED = dict(
    n_estimators=1000, subsample=0.75, subsample_freq=1, colsample_bytree=1.0,
    min_sum_hessian_in_leaf=1e-7, max_bin=255,
)  # fmt: skip
TUNED_CLASS = TUNED | dict(learning_rate=0.04, num_leaves=50, min_child_samples=40)
TUNED_NUMBER = TUNED | dict(learning_rate=0.05, subsample=0.7, num_leaves=100, min_child_samples=3)
PATIENCE = 300


def boosting(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.preprocessing import OrdinalEncoder

    X = dates_as_numbers(X)
    text = text_columns(X)
    few = [name for name in text if X[name].nunique() < 200]
    encoder = (
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
        ).fit(_as_objects(X, text)[text])
        if text
        else None
    )

    def encoded(table: pd.DataFrame) -> pd.DataFrame:
        table = _as_objects(dates_as_numbers(table), text)
        return (
            table
            if encoder is None
            else table.assign(**dict(zip(text, encoder.transform(table[text]).T, strict=True)))
        )

    kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    model = kind(random_state=seed, categorical_features=few or None).fit(encoded(X), y)
    call = model.predict_proba if classify else model.predict
    return lambda new: call(encoded(new))


def catboost(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    from catboost import CatBoostClassifier, CatBoostRegressor

    X = dates_as_numbers(X)
    text = text_columns(X)
    kind = CatBoostClassifier if classify else CatBoostRegressor
    model = kind(
        verbose=False, random_seed=seed, thread_count=1, cat_features=text,
        allow_writing_files=False,
    )  # fmt: skip
    model.fit(_as_objects(X, text), np.asarray(y))
    call = model.predict_proba if classify else model.predict
    return lambda new: call(_as_objects(dates_as_numbers(new), text))


def realmlp(X: pd.DataFrame, y: Any, classify: bool, seed: int) -> Predict:
    """RealMLP with its tuned defaults (Holzmüller et al., 2024); numbers without gaps."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    X = dates_as_numbers(X)
    text = text_columns(X)
    numbers = X.drop(columns=text).astype(float)
    median, gaps = numbers.median(), numbers.columns[numbers.isna().any()]

    def complete(table: pd.DataFrame) -> pd.DataFrame:
        table = _as_objects(dates_as_numbers(table), text)
        given = table[numbers.columns].astype(float)
        marks = given[gaps].isna().astype(float).add_prefix("missing_")
        return pd.concat([given.fillna(median), marks, table[text].astype("category")], axis=1)

    kind = RealMLP_TD_Classifier if classify else RealMLP_TD_Regressor
    model = kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)
    model.fit(complete(X), np.asarray(y))
    call = model.predict_proba if classify else model.predict
    return lambda new: call(complete(new))


CONTENDERS: dict[str, Callable[..., Predict]] = {
    "Tabular*": tabular(),
    "Tabular*, fast": tabular(preset="fast"),
    "linear": linear,
    "fastmlp.MLP*, careful": fastmlp_careful,
    "fastmlp.MLP*, defaults": fastmlp_mlp,
    "scikit-learn MLP*": sklearn_mlp,
    "HistGradientBoosting": boosting,
    "LightGBM": lightgbm(tuned=False),
    "LightGBM, tuned defaults": lightgbm(tuned=True),
    "CatBoost": catboost,
    "RealMLP-TD": realmlp,
}
