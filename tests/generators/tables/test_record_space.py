"""Distances of records against the distance that the module promises, computed column by column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairshards.catalogs.cohorts.schema import LEAST
from fairshards.generators.tables import record_space
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.record_space import (
    RecordSpace,
    distance_ratio,
    nearest,
    neighbours,
    other_neighbours,
    told,
)
from tests.generators.tables.test_table_encoding import SCHEMA, rows
from tests.tolerance import float32_error

NUMBERS, CATEGORIES = ("dose", "visits"), ("ward", "sex", "died")
CLOSE = float32_error(2 * 13)
"""Of two distances: means over the columns, of 13 differences each."""


@pytest.fixture(scope="module")
def space() -> RecordSpace:
    return RecordSpace(TableEncoding.fit(SCHEMA, "sex", rows()))


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    given = rows()
    return given[given["dose"].notna() & given["ward"].notna()].reset_index(drop=True)


def between(space: RecordSpace, one: pd.DataFrame, other: pd.DataFrame) -> float:
    return float(nearest(space.points(one), space.points(other), space.columns)[0])


def promised(space: RecordSpace, one: pd.Series, other: pd.Series) -> float:
    """The share of patients between two numbers; 1 for another category, and for a value and a missing one."""
    total = 0.0
    for name in NUMBERS:
        if pd.isna(one[name]) or pd.isna(other[name]):
            total += float(pd.isna(one[name]) != pd.isna(other[name]))
            continue
        low, high = space.encoding.quantiles[name].encode(np.array([one[name], other[name]], np.float64))
        total += abs(float(np.diff((low + high) / 2)[0]))
    total += sum((one[name] or None) != (other[name] or None) for name in CATEGORIES)
    return total / 5


def test_distances_of_known_values_are_the_promised_ones(space: RecordSpace, known: pd.DataFrame) -> None:
    for i, j in np.random.default_rng(0).integers(0, len(known), (60, 2)):
        found = between(space, known.iloc[[i]], known.iloc[[j]])
        assert found == pytest.approx(promised(space, known.iloc[i], known.iloc[j]), abs=CLOSE)
        assert found == pytest.approx(between(space, known.iloc[[j]], known.iloc[[i]]), abs=CLOSE)
        assert 0 <= found <= 1


def test_the_same_row_is_at_no_distance_and_one_category_counts_one_column(
    space: RecordSpace, known: pd.DataFrame
) -> None:
    one = known.head(1)
    assert between(space, one, one) == 0 and space.columns == 5
    for name in CATEGORIES:
        states = space.encoding.schema[name].categories[:2]
        other = one.assign(**{name: states[1] if one[name].iloc[0] == states[0] else states[0]})
        assert between(space, one, other) == pytest.approx(1 / 5), name
    assert between(space, one, one.assign(ward=None)) == pytest.approx(1 / 5)


def test_missing_is_at_no_distance_from_missing(space: RecordSpace, known: pd.DataFrame) -> None:
    one = known.head(1).assign(dose=np.nan, ward=None)
    assert between(space, one, one) == 0
    assert between(space, one, one.assign(ward="north")) == pytest.approx(1 / 5)


@pytest.mark.parametrize("quantile", [0.02, 0.3, 0.9])
def test_a_number_and_a_missing_one_differ_by_one(quantile: float, space: RecordSpace, known: pd.DataFrame) -> None:
    one = known.head(1).assign(dose=float(known["dose"].quantile(quantile)))
    assert between(space, one, one.assign(dose=np.nan)) == pytest.approx(1 / 5, abs=1e-3)


def test_no_distance_exceeds_one(space: RecordSpace) -> None:
    high = pd.DataFrame(
        {
            "dose": [99.0],
            "visits": pd.array([99], "Int64"),
            "always": pd.array([7], "Int64"),
            "never": [np.nan],
            "ward": ["north"],
            "sex": ["f"],
            "died": ["no"],
        }
    )
    low = high.assign(dose=np.nan, visits=pd.array([0], "Int64"), ward="south", sex="m", died="yes")
    assert between(space, high, low) <= 1


def test_a_constant_column_has_no_say(space: RecordSpace, known: pd.DataFrame) -> None:
    one = known.head(1)
    assert between(space, one, one.assign(always=pd.array([8], "Int64"), never=1.0)) == 0


@pytest.mark.parametrize("block", [7, 50, 512])
def test_nearest_is_the_least_of_all_whatever_the_block(
    block: int, space: RecordSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_space, "BLOCK", block)
    points = space.points(rows(50))
    others = space.points(rows().tail(33))
    every = np.abs(points[:, None] - others[None]).sum(2) / space.columns
    found = nearest(points, others, space.columns)
    assert found.dtype == np.float32 and np.allclose(found, every.min(1), atol=CLOSE)
    among = np.abs(points[:, None] - points[None]).sum(2) / space.columns
    np.fill_diagonal(among, np.inf)
    assert np.allclose(other_neighbours(points, space.columns)[:, 0], among.min(1), atol=CLOSE)
    assert nearest(points[:0], others, space.columns).shape == (0,)


def test_nearest_other_leaves_out_the_row_itself_and_not_its_twin(space: RecordSpace, known: pd.DataFrame) -> None:
    apart = pd.concat([known.head(1), known.head(1).assign(sex="f" if known["sex"].iloc[0] == "m" else "m")])
    assert other_neighbours(space.points(apart), space.columns)[:, 0] == pytest.approx([1 / 5, 1 / 5])
    twins = pd.concat([known.head(1)] * 2)
    assert other_neighbours(space.points(twins), space.columns)[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("block", [1, 3, 512])
def test_neighbours_are_the_smallest_distances_in_order(
    block: int, space: RecordSpace, known: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_space, "BLOCK", block)
    points, others = space.points(known.head(7)), space.points(known.iloc[7:20])
    brute = np.sort(np.abs(points[:, None] - others[None]).sum(-1) / space.columns, axis=1)
    assert neighbours(points, others, space.columns, 4) == pytest.approx(brute[:, :4], abs=CLOSE)
    assert neighbours(points, others, space.columns, 99).shape == (7, 13)
    assert neighbours(points[:0], others, space.columns, 4).shape == (0, 4)
    among = np.abs(points[:, None] - points[None]).sum(-1) / space.columns
    np.fill_diagonal(among, np.inf)
    assert other_neighbours(points, space.columns, 99) == pytest.approx(np.sort(among, axis=1)[:, :6], abs=CLOSE)


def test_a_row_beside_one_patient_and_far_from_all_others_has_a_small_ratio() -> None:
    near = np.array([[0.01, 0.5, 0.5], [0.2, 0.2, 0.2], [0.0, 0.1, 0.3], [0.0, 0.0, 0.0]], np.float32)
    assert distance_ratio(near) == pytest.approx([0.02, 1.0, 0.0, 1.0])
    assert distance_ratio(near[:, :1]).tolist() == [1.0] * 4  # with a single patient there is no telling
    assert distance_ratio(near[:0]).shape == (0,)


def test_shadows_of_training_rows_are_told_from_rows_of_their_kind(space: RecordSpace) -> None:
    """Points that lie a little beside a training point have lower ratios than new ones of the same distribution."""
    draw = np.random.default_rng(0)
    train, fresh = draw.random((300, 8)).astype(np.float32), draw.random((300, 8)).astype(np.float32)
    shadows = train + 0.02 * draw.standard_normal(train.shape).astype(np.float32)
    limit = np.quantile(distance_ratio(other_neighbours(train, 8, 6)), 0.05)
    kept = {
        name: (distance_ratio(neighbours(points, train, 8, 6)) >= limit).mean()
        for name, points in (("fresh", fresh), ("shadows", shadows))
    }
    assert kept["fresh"] > 0.9 and kept["shadows"] < 0.05


@pytest.mark.parametrize("sharing", [1, LEAST - 1, LEAST, 3 * LEAST])
def test_a_record_is_nobodys_when_enough_people_share_all_of_it(sharing: int, known: pd.DataFrame) -> None:
    one = known.head(1)
    people = pd.concat(
        [*[one] * sharing, one.assign(sex="f" if one["sex"].iloc[0] == "m" else "m"), one.assign(dose=np.nan)]
    )
    assert told(people).tolist() == [sharing < LEAST] * sharing + [True, True]
    missing = pd.concat([one.assign(dose=np.nan, ward=None)] * LEAST)
    assert not told(missing).any() and told(people.head(0)).shape == (0,)


def test_distances_to_other_rows_count_those_of_somebody_alone(space: RecordSpace, known: pd.DataFrame) -> None:
    points = space.points(known.head(30))
    among = np.random.default_rng(0).random(30) < 0.5
    every = np.abs(points[:, None] - points[None]).sum(-1) / space.columns
    np.fill_diagonal(every, np.inf)
    found = other_neighbours(points, space.columns, 3, among)
    assert found == pytest.approx(np.sort(every[:, among], axis=1)[:, :3], abs=CLOSE)
    everybody = other_neighbours(points, space.columns, 3, np.ones(30, bool))
    assert np.array_equal(everybody, other_neighbours(points, space.columns, 3))


@pytest.mark.parametrize("others", [0, 1])
def test_where_nobody_else_is_told_the_distance_is_the_largest(
    others: int, space: RecordSpace, known: pd.DataFrame
) -> None:
    points = space.points(known.head(9))
    alone = np.arange(9) < others
    assert other_neighbours(points[:1], space.columns, 6, alone[:1]).tolist() == [[1.0]]
    near = neighbours(points, points[:0], space.columns, 6)
    assert near.tolist() == [[1.0]] * 9 and distance_ratio(near).tolist() == [1.0] * 9


def test_a_record_that_one_person_has_many_times_tells_of_somebody(known: pd.DataFrame) -> None:
    visits = pd.concat([known.head(1)] * 9)
    assert told(visits, np.zeros(9, np.int64)).all() and not told(visits, np.arange(9)).any()
