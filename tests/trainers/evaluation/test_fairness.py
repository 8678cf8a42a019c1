"""Fairness against fairlearn and against hand-made rates; its intervals, its floor, and groups too small to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)

from fairshards.trainers.evaluation.fairness import Measured, at_rate, compared_groups, fairness

Found = dict[tuple[str, str | None], Measured]


def table(*groups: tuple[str, int, int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y, predictions and s of (name, true positives, false negatives, false positives, true negatives)."""
    y = np.concatenate([np.repeat([1, 1, 0, 0], counts) for _, *counts in groups])
    predicted = np.concatenate([np.repeat([1, 0, 1, 0], counts) for _, *counts in groups])
    return y, predicted, np.concatenate([np.repeat(name, sum(counts)) for name, *counts in groups])


def found(given: tuple[np.ndarray, np.ndarray, np.ndarray], fewest: int = 5, draws: int = 0, seed: int = 0) -> Found:
    return {(one.metric, one.group): one for one in fairness(*given, fewest, draws, seed)}


FOUR = table(("a", 80, 20, 30, 170), ("b", 30, 20, 5, 45), ("c", 25, 5, 20, 20), ("d", 6, 6, 1, 19))


def test_differences_and_ratios_are_fairlearns_over_four_groups() -> None:
    y, predicted, s = FOUR
    given = {"y_true": y, "y_pred": predicted, "sensitive_features": s}
    measured = found(FOUR)
    for metric in (demographic_parity_difference, demographic_parity_ratio, equalized_odds_difference):
        assert measured[metric.__name__, None].value == pytest.approx(metric(**given)), metric.__name__
    rates = {"tpr": true_positive_rate, "fpr": false_positive_rate, "selection_rate": selection_rate}
    by_group = MetricFrame(metrics=rates, **given).by_group
    for group in "abcd":
        for metric in rates:
            assert measured[metric, group].value == pytest.approx(by_group[metric][group])


@pytest.mark.parametrize("seed", range(5))
def test_they_are_fairlearns_for_any_predictions(seed: int) -> None:
    draw = np.random.default_rng(seed)
    y, predicted, s = draw.integers(0, 2, 300), draw.integers(0, 2, 300), draw.choice(["p", "q", "r"], 300)
    given = {"y_true": y, "y_pred": predicted, "sensitive_features": s}
    measured = found((y, predicted, s))
    assert measured["equalized_odds_difference", None].value == pytest.approx(equalized_odds_difference(**given))
    assert measured["demographic_parity_ratio", None].value == pytest.approx(demographic_parity_ratio(**given))


def test_a_gap_is_positive_where_the_smaller_groups_positives_are_missed() -> None:
    measured = found(table(("large", 90, 10, 20, 80), ("small", 20, 20, 2, 38)))
    assert measured["tpr_gap", "small"].value == pytest.approx(0.9 - 0.5)
    assert measured["fpr_gap", "small"].value == pytest.approx(0.2 - 0.05)
    assert measured["tpr_gap", "small"].note == "against large" and ("tpr_gap", "large") not in measured
    assert measured["tpr_gap", "small"].n == 80 and measured["demographic_parity_difference", None].n == 280
    turned = found(table(("large", 50, 50, 5, 95), ("small", 36, 4, 8, 32)))
    assert turned["tpr_gap", "small"].value == pytest.approx(-0.4)


def test_the_reference_is_the_largest_group_whatever_its_name() -> None:
    measured = found(table(("a", 10, 10, 10, 10), ("z", 50, 10, 10, 80)))
    assert measured["tpr_gap", "a"].note == "against z" and ("tpr_gap", "z") not in measured


def test_fairness_of_equal_groups_is_perfect() -> None:
    measured = found(table(("a", 30, 10, 10, 30), ("b", 30, 10, 10, 30)))
    assert measured["demographic_parity_difference", None].value == 0
    assert measured["equalized_odds_difference", None].value == 0
    assert measured["demographic_parity_ratio", None].value == 1 and measured["tpr_gap", "b"].value == 0


def test_where_nobody_is_called_positive_the_ratio_is_not_the_worst() -> None:
    """fairlearn says NaN: no group is better off than another."""
    value = found(table(("a", 0, 30, 0, 30), ("b", 0, 30, 0, 30)))["demographic_parity_ratio", None].value
    assert math.isnan(value) or value == 1


def test_groups_with_too_few_of_a_class_are_named_with_a_note_and_left_out() -> None:
    given = table(("a", 50, 50, 50, 50), ("b", 40, 40, 40, 40), ("rare", 4, 0, 300, 300), ("none", 0, 0, 5, 5))
    measured = fairness(*given, 5, 0)
    noted = {one.group: one for one in measured if one.note and "needed" in one.note}
    assert set(noted) == {"rare", "none"} and all(math.isnan(one.value) for one in noted.values())
    assert noted["rare"].note == "4 people of a class; at least 5 are needed" and noted["rare"].n == 4
    assert noted["none"].n == 0
    plain = {(one.metric, one.group): one.value for one in measured if one.metric != "tpr_gap"}
    without = table(("a", 50, 50, 50, 50), ("b", 40, 40, 40, 40))
    assert plain == {(one.metric, one.group): one.value for one in fairness(*without, 5, 0) if one.metric != "tpr_gap"}
    assert compared_groups(given[0], given[2], 4)[0] == ["rare", "a", "b"]  # largest first


def test_one_group_alone_has_nothing_to_compare_and_says_so() -> None:
    for given in (table(("a", 9, 9, 9, 9)), table(("a", 9, 9, 9, 9), ("b", 1, 1, 1, 1))):
        last = fairness(*given, 5, 10)[-1]
        assert last.note == "fewer than two groups to compare" and math.isnan(last.value) and last.floor is None


def test_without_draws_there_is_no_interval_and_no_floor() -> None:
    assert all(one.low is None and one.high is None and one.floor is None for one in found(FOUR).values())


def test_intervals_hold_the_point_and_narrow_with_more_people() -> None:
    few = found(FOUR, draws=200)
    y, predicted, s = (np.tile(part, 16) for part in FOUR)
    many = found((y, predicted, s), draws=200)
    for key, one in few.items():
        assert one.low is not None and one.high is not None and one.low <= one.high
        other = many[key]
        assert other.low is not None and other.high is not None and other.value == pytest.approx(one.value)
        assert other.high - other.low < 0.5 * (one.high - one.low), key
        if key[0] in ("tpr", "fpr", "selection_rate", "tpr_gap", "fpr_gap"):  # those without a bias upward
            assert one.low <= one.value <= one.high, key


def test_the_interval_of_a_rate_is_about_the_binomials() -> None:
    one = found(FOUR, draws=500)["tpr", "a"]  # 80 of 100
    assert one.low is not None and one.high is not None
    assert (one.low, one.high) == pytest.approx((0.8 - 1.96 * 0.04, 0.8 + 1.96 * 0.04), abs=0.02)


def test_the_floor_of_an_attribute_that_says_nothing_covers_its_gaps() -> None:
    """S is drawn beside y and prediction: 95% of its gaps should lie under the floor; a true gap lies far above."""
    draw, covered = np.random.default_rng(0), 0
    for seed in range(20):
        y = draw.integers(0, 2, 400)
        predicted, s = np.where(draw.random(400) < 0.8, y, 1 - y), draw.choice(["a", "b"], 400, p=[0.8, 0.2])
        one = found((y, predicted, s), draws=60, seed=seed)["equalized_odds_difference", None]
        assert one.floor is not None and 0 < one.floor[0] < one.floor[1] < 0.4
        covered += one.value <= one.floor[1]
    assert covered >= 16
    unfair = found(table(("a", 180, 20, 20, 180), ("b", 30, 50, 8, 72)), draws=60)["tpr_gap", "b"]
    assert unfair.floor is not None and unfair.value > 2 * unfair.floor[1]


def test_the_floor_keeps_what_the_labels_explain() -> None:
    """Where one group is ill more often, a perfect prediction has a parity difference that chance can't be blamed for,
    and no equalised odds difference at all."""
    measured = found(table(("a", 20, 0, 0, 180), ("b", 60, 0, 0, 40)), draws=40)
    parity, odds = (measured[name, None] for name in ("demographic_parity_difference", "equalized_odds_difference"))
    assert parity.value == pytest.approx(0.5) and parity.floor == pytest.approx((0.5, 0.5))
    assert odds.value == 0 and odds.floor == (0, 0)


def test_a_seed_repeats_and_another_differs() -> None:
    one, again, other = (fairness(*FOUR, 5, 20, seed) for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.26, 26), (0.5, 50), (1.0, 100), (0.333, 33)])
def test_exactly_a_share_is_called_positive_from_the_top_also_among_ties(share: float, count: int) -> None:
    for scores in (np.random.default_rng(0).random(100), np.full(100, 0.3), np.repeat([0.2, 0.8], 50)):
        predicted = at_rate(scores, share)
        assert predicted.sum() == count and predicted.dtype == np.int64
        if 0 < count < 100:
            assert scores[predicted == 1].min() >= scores[predicted == 0].max()
    assert at_rate(np.zeros(0), 0.5).tolist() == []
