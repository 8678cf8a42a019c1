"""Limits are quantiles with honest intervals; groups with too few values share the pooled one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairshards.filters.limits import POOLED, SHARES, Limit, Threshold, by_score, calibrate

AT_MOST = Limit("variance", "at most", "samples")
AT_LEAST = Limit("cosine", "at least", "real")


def one(limit: Limit, retain: float, values: list[float | None]) -> Threshold:
    """Return the pooled threshold."""
    return calibrate(limit, retain, {"a": values}, lambda value: value)[0]


@pytest.mark.parametrize("retain", [0.5, 0.9, 0.96, 1.0])
def test_the_wanted_share_is_retained_on_either_side(retain: float) -> None:
    values = np.random.default_rng(0).normal(size=500).tolist()
    high, low = one(AT_MOST, retain, values), one(AT_LEAST, retain, values)
    assert high.value is not None and low.value is not None
    assert sum(value <= high.value for value in values) == math.ceil(retain * 500)
    assert sum(value >= low.value for value in values) == math.ceil(retain * 500)


@pytest.mark.parametrize("limit", [AT_MOST, AT_LEAST])
def test_the_interval_covers_the_true_quantile_as_often_as_it_says(limit: Limit) -> None:
    """Of 400 sets of 300 uniform values, about 95% hold the quantile in their interval; 90% is 5 deviations away."""
    draws = np.random.default_rng(1)
    true = 0.9 if limit is AT_MOST else 0.1
    found = [one(limit, 0.9, draws.uniform(size=300).tolist()) for _ in range(400)]
    covered = [each.low <= true <= each.high for each in found if each.low is not None and each.high is not None]
    assert len(covered) == 400 and sum(covered) > 360
    assert all(each.low <= each.value <= each.high for each in found)  # type: ignore[operator]


def test_a_group_needs_both_ends_of_its_interval() -> None:
    values = np.arange(1.0, 1001.0).tolist()
    for count, own in ((90, False), (91, True)):  # 0.96 ** n falls below 0.025 at 91
        found = calibrate(AT_MOST, 0.96, {"a": values[:count], "b": values}, lambda value: value)
        by_group = {each.group: each for each in found}
        assert (by_group["a"].value is not None) is own
        assert by_group["b"].value == 960 and by_group[POOLED].value is not None
    assert "90 values are too few" in str(calibrate(AT_MOST, 0.96, {"a": values[:90]}, float)[1].note)


def test_values_that_are_no_numbers_are_counted_and_left_out() -> None:
    found = one(AT_MOST, 0.5, [None, math.nan, math.inf, -math.inf, *map(float, range(10))])
    assert (found.n, found.dropped, found.value) == (10, 4, 4.0)


def test_fewer_than_ten_values_give_no_limit_and_say_so() -> None:
    found = calibrate(AT_MOST, 0.96, {"a": [1.0] * 5, "b": [math.nan] * 50}, lambda value: value)
    assert [each.value for each in found] == [None, None, None]
    assert found[0].note == "5 values to calibrate on; at least 10 are needed, so nothing is limited"
    assert by_score(found) == {}
    assert calibrate(AT_MOST, 0.96, {}, lambda value: value)[0].n == 0


def test_the_curve_says_what_other_shares_would_take() -> None:
    values = np.random.default_rng(2).normal(size=300).tolist()
    curve = dict(one(AT_MOST, 0.9, values).curve)
    assert tuple(curve) == SHARES and list(curve.values()) == sorted(curve.values())
    assert curve[0.96] == one(AT_MOST, 0.96, values).value and curve[1.0] == max(values)
    falling = list(dict(one(AT_LEAST, 0.9, values).curve).values())
    assert falling == sorted(falling, reverse=True)


def test_limits_are_told_by_score_and_group() -> None:
    values = np.arange(200.0).tolist()
    found = calibrate(AT_LEAST, 0.9, {"a": values, "b": [1.0] * 3}, lambda value: value)
    assert by_score(found) == {"cosine": {POOLED: 17.0, "a": 20.0}}


@pytest.mark.parametrize("retain", [0.0, -1.0, 1.1, math.nan])
def test_a_share_outside_its_range_is_an_error(retain: float) -> None:
    with pytest.raises(ValueError, match=r"cosine.retain is .*; it is a share"):
        calibrate(AT_LEAST, retain, {"a": [1.0]}, lambda value: value)
