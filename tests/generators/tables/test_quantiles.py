"""A numeric column as a quantile function: point masses come back exactly, and no single person's value is told."""

from __future__ import annotations

import numpy as np
import pytest

from fairshards.catalogs.cohorts.schema import LEAST
from fairshards.generators.tables.quantiles import Quantiles


def spiky(n: int = 4000) -> np.ndarray:
    """Half a normal to one decimal, a third zeros, a tail of rare large values."""
    draw = np.random.default_rng(0)
    values = np.round(draw.normal(10, 3, n), 1)
    values[: n // 3] = 0.0
    values[-20:] = np.round(draw.uniform(100, 900, 20), 1)
    return values


def dequantised(one: Quantiles, values: np.ndarray) -> np.ndarray:
    low, high = one.encode(values)
    return low + (high - low) * np.random.default_rng(1).random(len(values))


def test_a_value_that_enough_rows_share_comes_back_exactly() -> None:
    values = spiky()
    one = Quantiles.fit(values, 1)
    back = one.decode(dequantised(one, values))
    counts = dict(zip(*np.unique(values, return_counts=True), strict=True))
    shared = np.array([counts[value] >= LEAST for value in values])
    assert (back[shared] == values[shared]).all() and shared.mean() > 0.9
    inner = ~shared & (values > one.first[0]) & (values < one.last[-1])
    assert np.abs(back[inner] - values[inner]).max() <= 0.1


def test_dequantised_quantiles_are_uniform_and_decoded_ones_have_the_masses() -> None:
    values = spiky()
    one = Quantiles.fit(values, 1)
    found = np.sort(dequantised(one, values))
    assert np.abs(found - np.linspace(0, 1, len(found))).max() < 0.01
    drawn = one.decode(np.random.default_rng(2).random(40_000))
    assert abs((drawn == 0).mean() - (values == 0).mean()) < 0.01
    assert np.allclose(drawn, np.round(drawn, 1))


def test_quantiles_never_decrease() -> None:
    one = Quantiles.fit(spiky(), 1)
    drawn = one.decode(np.linspace(0, 1, 10_001))
    assert (np.diff(drawn) >= 0).all() and one.edges[0] == 0 and one.edges[-1] == 1 and (np.diff(one.edges) > 0).all()


def test_no_rare_value_is_given_away_at_the_ends() -> None:
    """The largest drawn value is a mean of at least LEAST people's, not anyone's own."""
    values = spiky()
    one = Quantiles.fit(values, 1)
    assert one.decode(np.array([1.0]))[0] < np.sort(values)[-2]
    assert one.last[-1] == pytest.approx(np.sort(values)[-LEAST:].mean(), rel=0.2)


def test_integers_stay_integers_and_halves_never_round_to_an_atom() -> None:
    values = [*np.repeat([1.0, 2.0, 4.0], 50).tolist(), 3.0, 3.0, 9.0]
    one = Quantiles.fit(np.array(values), 0)
    drawn = one.decode(np.random.default_rng(0).random(100_000))
    assert set(drawn) <= {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0}
    for value in (1.0, 2.0, 4.0):
        assert abs((drawn == value).mean() - 50 / 153) < 0.01


@pytest.mark.parametrize("values", [[3.0], [3.0, 4.0], [1.0, 1.0, 1.0], list(range(7)), [5.0] * 9])
def test_few_rows_are_no_error(values: list[float]) -> None:
    given = np.array(values)
    one = Quantiles.fit(given, 0)
    back = one.decode(dequantised(one, given))
    assert np.isfinite(back).all() and back.min() >= given.min() and back.max() <= given.max()


def test_values_beyond_the_ends_get_the_ends() -> None:
    one = Quantiles.fit(np.arange(100.0), 0)
    low, high = one.encode(np.array([-50.0, 500.0]))
    assert low.tolist() == high.tolist() == [0.0, 1.0]


def test_a_value_that_one_person_has_many_times_is_no_value_of_several() -> None:
    """Of a patient with twenty visits: neither the weight that is always the same, nor a mean of his own weights."""
    draw = np.random.default_rng(0)
    others = np.round(draw.normal(70, 5, 200), 1)
    always, varied = np.full(20, 120.3), np.round(np.linspace(140, 141.9, 20), 1)
    values, people = np.concatenate([others, always, varied]), np.concatenate([np.arange(200), [200] * 20, [201] * 20])
    one = Quantiles.fit(values, 1, people.astype(np.int64))
    assert 120.3 not in one.first[one.first == one.last] and 120.3 in Quantiles.fit(values, 1).first
    assert one.last[-1] < 130 and Quantiles.fit(values, 1).last[-1] > 140
    alone = Quantiles.fit(others, 1, np.arange(200))
    assert np.array_equal(alone.first, Quantiles.fit(others, 1).first)
