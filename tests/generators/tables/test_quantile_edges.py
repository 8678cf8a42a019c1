"""Quantile functions at their ends: what nobody shares stays untold, few rows, one value, values outside."""

from __future__ import annotations

import numpy as np
import pytest

from fairshards.catalogs.cohorts.schema import LEAST
from fairshards.generators.tables.quantiles import Quantiles

GIVEN_AWAY = "quantiles._items: a run of fewer than LEAST rows at an end is its own mean, a patient's value"


def drawn(one: Quantiles) -> np.ndarray:
    """Return everything that a column can say, with both ends."""
    return one.decode(np.linspace(0, 1, 20_001))


def rare_ends(values: np.ndarray, decimals: int) -> set[float]:
    """Return the least and the largest value, where fewer than LEAST rows have it."""
    distinct, counts = np.unique(np.round(values, decimals), return_counts=True)
    return {float(distinct[end]) for end in (0, -1) if counts[end] < LEAST}


@pytest.mark.parametrize("decimals", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_ends_of_a_heavy_tail_are_not_told(seed: int, decimals: int) -> None:
    values = np.random.default_rng(seed).standard_cauchy(3000) * 100
    said = drawn(Quantiles.fit(values, decimals))
    assert not rare_ends(values, decimals) & set(said) and values.min() < said.min() and said.max() < values.max()


@pytest.mark.parametrize("decimals", [0, 2])
def test_the_least_and_the_largest_said_are_means_of_least_people(decimals: int) -> None:
    values = np.round(np.random.default_rng(0).lognormal(3, 2, 999), decimals)
    distinct, counts = np.unique(values, return_counts=True)
    said = drawn(Quantiles.fit(values, decimals))
    ordered = np.sort(values)
    assert said.max() <= ordered[-1] and said.max() == pytest.approx(ordered[-LEAST:].mean(), rel=0.6)
    assert said.max() < distinct[counts < LEAST].max()
    if decimals:
        assert said.min() > distinct[counts < LEAST].min()


@pytest.mark.parametrize(
    ("values", "few"),
    [
        ([*[0.0] * 100, 987654321.0], {987654321.0}),  # most have none, one patient has it
        ([*[0.0] * 100, 7.0, 7.0, 8.0, 9.0], {8.0, 9.0}),
        ([-50.0, *[0.0] * 100], {-50.0}),
        ([1.0, *[2.0] * 5, *[3.0] * 5, 4.0], {1.0, 4.0}),
    ],
)
def test_a_rare_value_beyond_a_point_mass_is_not_told(values: list[float], few: set[float]) -> None:
    """The run beyond the last atom has fewer than LEAST rows: its mean is one patient's value, or near it."""
    said = drawn(Quantiles.fit(np.array(values), 0))
    assert not few & set(said) and len(said) == 20_001


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("same", [False, True])
def test_few_rows_decode_between_their_ends_and_never_decrease(n: int, same: bool) -> None:
    values = np.full(n, 4.0) if same else np.arange(n) * 10.0
    one = Quantiles.fit(values, 0)
    said = drawn(one)
    low, high = one.encode(values)
    assert np.isfinite(said).all() and values.min() <= said.min() <= said.max() <= values.max()
    assert (np.diff(said) >= 0).all() and (low <= high).all() and one.edges[[0, -1]].tolist() == [0.0, 1.0]
    assert len(one.edges) == len(one.first) + 1 == len(one.last) + 1


def test_a_constant_column_is_one_interval_of_one_value() -> None:
    one = Quantiles.fit(np.full(50, 36.6), 1)
    low, high = one.encode(np.full(3, 36.6))
    assert (low == 0).all() and (high == 1).all() and set(drawn(one)) == {36.6}


def test_where_all_values_are_rare_quantiles_are_those_of_the_sample() -> None:
    values = np.random.default_rng(0).normal(0, 1, 2000)
    one = Quantiles.fit(values, 6)
    asked = np.linspace(0.01, 0.99, 99)
    assert not (one.first == one.last).any()
    assert np.abs(one.decode(asked) - np.quantile(values, asked)).max() < 0.05
    low, high = one.encode(values)
    assert (low == high).all() and np.abs(np.sort(low) - (np.arange(2000) + 0.5) / 2000).max() < 0.003


@pytest.mark.parametrize("decimals", [0, 1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_point_masses_come_back_from_anywhere_in_their_interval_and_keep_their_share(seed: int, decimals: int) -> None:
    draw = np.random.default_rng(seed)
    masses = np.unique(np.round(draw.uniform(-50, 50, 6), decimals))
    values = np.round(np.concatenate([draw.choice(masses, 1500), draw.normal(0, 40, 500)]), decimals)
    one = Quantiles.fit(values, decimals)
    distinct, counts = np.unique(values, return_counts=True)
    low, high = one.encode(distinct)
    for value, count, start, end in zip(distinct, counts, low, high, strict=True):
        if count < LEAST:
            assert start == end
            continue
        assert end - start == pytest.approx(count / len(values)), value
        inside = start + (end - start) * np.array([0.0, 1e-6, 0.5, 1 - 1e-6])
        assert (one.decode(inside) == value).all(), value


def test_integers_decode_to_integers_and_minus_zero_to_zero() -> None:
    values = np.round(np.random.default_rng(0).normal(0, 30, 500))
    said = drawn(Quantiles.fit(values, 0))
    assert (said == np.round(said)).all() and not np.signbit(said[said == 0]).any()
    small = drawn(Quantiles.fit(np.random.default_rng(0).normal(0, 0.3, 500), 0))
    assert (small == 0).any() and not np.signbit(small[small == 0]).any()


def test_encoding_never_decreases_and_what_lies_between_masses_lies_between_their_intervals() -> None:
    one = Quantiles.fit(np.array([1.0] * 20 + [5.0] * 20 + [9.0] * 20), 0)
    low, high = one.encode(np.array([-3.0, 1, 2, 3, 5, 7, 9, 11]))
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()
    assert low[0] == high[0] == 0 and low[-1] == high[-1] == 1
    assert low[2] == high[2] == pytest.approx(1 / 3) and low[5] == high[5] == pytest.approx(2 / 3)
    assert [low[1], low[4], low[6]] == [0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
