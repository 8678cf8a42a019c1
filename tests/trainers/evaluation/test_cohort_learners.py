"""Learners that judge cohorts: what they see of a table, what they learn, and weights that make y and s independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.evaluation.cohort_learners import (
    LEARNERS,
    Learner,
    features,
    labels,
    predict,
    reweighing,
    train,
)
from tests.trainers.tables.test_bt_gan import SCHEMA, people

COLUMNS = ("dose", "visits", "ward", "sex")


def test_features_are_numbers_and_category_codes_in_the_asked_order() -> None:
    rows = pd.DataFrame(
        {
            "dose": [1.5, np.nan],
            "visits": pd.array([None, 3], "Int64"),
            "ward": ["s", None],
            "sex": ["f", "m"],
            "died": ["no", "yes"],
        },
        index=[7, 7],
    )
    found = features(SCHEMA, rows, ("ward", "visits", "dose", "sex"))
    assert list(found.columns) == ["ward", "visits", "dose", "sex"] and set(found.dtypes) == {np.dtype("float64")}
    assert found.index.tolist() == [0, 1]
    expected = [[1.0, np.nan, 1.5, 0.0], [np.nan, 3.0, np.nan, 1.0]]
    assert np.array_equal(found.to_numpy(), expected, equal_nan=True)
    assert labels(SCHEMA, rows).tolist() == [0, 1] and labels(SCHEMA, rows).dtype == np.int64


def test_a_category_that_the_schema_lacks_is_as_good_as_missing() -> None:
    assert features(SCHEMA, people(2).assign(ward="ZZPLANTED77"), ("ward",))["ward"].isna().all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_sees_its_columns_alone_and_repeats(learner: Learner) -> None:
    rows, asked = people(600), people(600).sample(frac=1, random_state=1)
    model, again = (train(learner, SCHEMA, rows, ("dose", "visits")) for _ in range(2))
    found = predict(model, SCHEMA, asked, ("dose", "visits"))
    assert np.array_equal(found, predict(again, SCHEMA, asked, ("dose", "visits")))
    assert np.array_equal(found, predict(model, SCHEMA, asked.assign(ward="n", sex="f"), ("dose", "visits")))
    assert found.dtype == np.float64 and ((found > 0) & (found < 1)).all() and found.shape == (600,)
    assert roc_auc_score(labels(SCHEMA, asked), found) > 0.9


@pytest.mark.parametrize("learner", LEARNERS)
def test_missing_itself_can_tell(learner: Learner) -> None:
    """A dose that is taken of those alone who die: the value says nothing, that it is there says all."""
    rows = people(800)
    dose = np.where(rows["died"] == "yes", np.random.default_rng(0).normal(0, 1, 800), np.nan)
    rows = rows.assign(dose=dose)
    found = predict(train(learner, SCHEMA, rows, ("dose",)), SCHEMA, rows, ("dose",))
    assert roc_auc_score(labels(SCHEMA, rows), found) > 0.99


@pytest.mark.parametrize(
    ("learner", "change"),
    [
        *((learner, change) for learner in LEARNERS for change in ({"ward": None}, {"ward": "n"}, {"dose": 3.0})),
        ("logistic regression", {"dose": np.nan}),
        pytest.param("gradient boosting", {"dose": np.nan}),
    ],
    ids=str,
)
def test_columns_without_values_or_without_change_are_no_error(learner: Learner, change: dict[str, Any]) -> None:
    rows = people(300).assign(**change)
    found = predict(train(learner, SCHEMA, rows, COLUMNS), SCHEMA, people(300), COLUMNS)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_numbers_alone_and_categories_alone_are_enough(learner: Learner) -> None:
    rows = people(300)
    for columns in (("dose",), ("ward", "sex")):
        assert np.isfinite(predict(train(learner, SCHEMA, rows, columns), SCHEMA, rows, columns)).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_weights_count(learner: Learner) -> None:
    """Rows that weigh nothing aren't learned from: with the others' labels turned round, they would mislead."""
    rows = people(800)
    wrong = rows.assign(died=np.where(rows["died"] == "yes", "no", "yes"))
    both = pd.concat([rows, wrong, wrong], ignore_index=True)
    weights = np.repeat([1.0, 1e-9, 1e-9], 800)
    for given, right in ((weights, True), (None, False)):
        found = predict(train(learner, SCHEMA, both, COLUMNS, weights=given), SCHEMA, rows, COLUMNS)
        assert (roc_auc_score(labels(SCHEMA, rows), found) > 0.9) == right


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("label", ["no", "yes"])
def test_one_class_alone_is_refused_with_its_name(learner: Learner, label: str) -> None:
    with pytest.raises(TrainerError, match="300 rows have one value of 'died' alone"):
        train(learner, SCHEMA, people(300).assign(died=label), COLUMNS)


def test_reweighing_is_kamiran_and_calders() -> None:
    draw = np.random.default_rng(0)
    s = draw.choice(["a", "b", "c"], 5000, p=[0.6, 0.3, 0.1])
    y = (draw.random(5000) < np.select([s == "a", s == "b"], [0.5, 0.2], 0.05)).astype(np.int64)
    weights = reweighing(y, s)
    for group in ("a", "b", "c"):
        for value in (0, 1):
            here = (s == group) & (y == value)
            assert np.allclose(weights[here], (y == value).mean() * (s == group).mean() / here.mean())
            assert weights[here].sum() / 5000 == pytest.approx((y == value).mean() * (s == group).mean())
    assert weights.sum() == pytest.approx(5000)  # every (y, s) is there
    assert np.allclose(reweighing(y, np.full(5000, "a")), 1)


def test_reweighing_without_one_of_the_pairs_is_no_error() -> None:
    found = reweighing(np.array([0, 1, 0]), np.array(["a", "a", "b"]))
    assert found == pytest.approx([2 / 3 * 2 / 3 * 3, 1 / 3 * 2 / 3 * 3, 2 / 3 * 1 / 3 * 3])


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("learner", LEARNERS)
def test_numbers_whose_squares_are_no_floats_are_cut(learner: Learner) -> None:
    rows = people(400)
    huge = rows.assign(dose=rows["dose"] * 1e250)
    found = predict(train(learner, SCHEMA, huge, COLUMNS), SCHEMA, huge, COLUMNS)
    assert np.isfinite(found).all() and features(SCHEMA, huge, ["dose"])["dose"].abs().max() == 1e100
    assert features(SCHEMA, rows, ["dose"])["dose"].equals(rows["dose"].astype(float))
