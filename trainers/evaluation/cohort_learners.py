"""The learners that judge a cohort, trained on one table, asked of another: gradient boosting, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.trainers.core.errors import TrainerError

Learner = Literal["gradient boosting", "logistic regression"]
LEARNERS: tuple[Learner, ...] = ("gradient boosting", "logistic regression")
Scores = NDArray[np.float64]
LARGEST = 1e100
"""The largest number that learners see; its square, of many rows, is a float64 still."""


def features(schema: Schema, rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return float64 columns: numbers as they are, categories by their number in the schema; missing is NaN.

    Numbers beyond ``LARGEST`` are cut to it: learners square them.
    """
    found = {}
    for name in columns:
        column = schema[name]
        if column.kind == "category":
            codes = {value: number for number, value in enumerate(column.categories)}
            found[name] = rows[name].map(codes).astype("float64")
        else:
            values = rows[name].astype("Float64").to_numpy(np.float64, na_value=np.nan)
            found[name] = np.clip(values, -LARGEST, LARGEST)
    return pd.DataFrame(found).reset_index(drop=True)


def labels(schema: Schema, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return int64[n]: 1 where the label has its second value."""
    found: NDArray[np.int64] = (rows[schema.label] == schema[schema.label].categories[1]).to_numpy(np.int64)
    return found


def model_of(learner: Learner, schema: Schema, columns: Sequence[str], seed: int = 0) -> Any:
    """Return an untrained learner of these columns."""
    categories = [name for name in columns if schema[name].kind == "category"]
    if learner == "gradient boosting":
        return HistGradientBoostingClassifier(
            categorical_features=[name in categories for name in columns],
            learning_rate=0.05,
            max_iter=150,
            min_samples_leaf=20,
            early_stopping=False,
            random_state=seed,
        )
    numbers = [name for name in columns if name not in categories]
    prepare = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler()),
                numbers,
            ),
            (
                "categories",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value=-1.0), OneHotEncoder(handle_unknown="ignore")
                ),
                categories,
            ),
        ]
    )
    return make_pipeline(prepare, LogisticRegression(max_iter=2000))


def train(
    learner: Learner,
    schema: Schema,
    rows: pd.DataFrame,
    columns: Sequence[str],
    seed: int = 0,
    weights: Scores | None = None,
) -> Any:
    """Return a learner trained on rows; ``weights`` are float64[n].

    Raises:
        TrainerError: the rows have one class alone.
    """
    y = labels(schema, rows)
    if len(np.unique(y)) < 2:
        raise TrainerError(f"{len(rows)} rows have one value of {schema.label!r} alone; a learner needs both")
    model = model_of(learner, schema, columns, seed)
    name = "sample_weight" if learner == "gradient boosting" else "logisticregression__sample_weight"
    given = {} if weights is None else {name: weights}
    return model.fit(without_empty(features(schema, rows, columns)), y, **given)


def without_empty(x: pd.DataFrame) -> pd.DataFrame:
    """Return features to train on: a column that nobody has, of which gradient boosting can't make bins, is 0."""
    return x.fillna({column: 0.0 for column in x if x[column].isna().all()})


def predict(model: Any, schema: Schema, rows: pd.DataFrame, columns: Sequence[str]) -> Scores:
    """Return float64[n], the probability of y = 1."""
    found: Scores = model.predict_proba(features(schema, rows, columns))[:, 1]
    return found


def reweighing(y: NDArray[np.int64], s: NDArray[Any]) -> Scores:
    """Return float64[n], the weights p(y) p(s) / p(y, s) of Kamiran and Calders (2012): y and s independent."""
    weights = np.ones(len(y))
    for group in np.unique(s):
        for value in np.unique(y):
            here = (y == value) & (s == group)
            if here.any():
                weights[here] = (y == value).mean() * (s == group).mean() / here.mean()
    return weights
