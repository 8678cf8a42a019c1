"""Filters of rows at their limits: four decimals, groups' own limits, settings that can't be, shares kept."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from fairshards.filters.records.discriminator import DiscriminatorRejection, DiscriminatorScore, draw_of
from fairshards.filters.records.distance_ratio import DistanceRatio
from fairshards.filters.records.nearest_record import NearestRecord
from fairshards.filters.records.valid_row import ValidRow

ROW = {"sample_id": "0" * 32, "group_name": "yes|x"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs min"),
        ({"min": -0.1}, r"a distance lies in \[0, 1\]"),
        ({"min": 1.1}, r"min is 1\.1"),
        ({"retain": 0.0}, "retain"),
        ({"retain": 1.5}, "retain"),
        ({"limits": {"other": {"*": 1.0}}}, "it limits"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NearestRecord(**settings)


def test_a_copy_of_a_patient_is_never_kept_by_a_positive_limit() -> None:
    judge = NearestRecord(min=0.0001)
    assert judge.decide({"nearest_record": 0.0}, {}, ROW) == (False, "too near a patient")
    assert judge.decide({"nearest_record": 0.0001}, {}, ROW) is True
    assert NearestRecord(min=0.0).decide({"nearest_record": 0.0}, {}, ROW) is True


def test_scores_are_compared_to_four_decimals() -> None:
    judge = NearestRecord(min=0.1)
    assert judge.decide({"nearest_record": 0.09996}, {}, ROW) is True
    assert judge.decide({"nearest_record": 0.09994}, {}, ROW) == (False, "too near a patient")


@pytest.mark.parametrize("kind", [NearestRecord, DistanceRatio, DiscriminatorScore])
def test_the_fixed_limit_and_the_groups_own_hold_both(kind: Any) -> None:
    score = kind.scores[0]
    judge = kind(min=0.3, limits={score: {"yes|x": 0.5, "*": 0.1}})
    decided = {value: judge.decide({score: value}, {}, ROW) is True for value in (0.2, 0.4, 0.5)}
    assert decided == {0.2: False, 0.4: False, 0.5: True}
    other = {**ROW, "group_name": "no|x"}
    assert {value: judge.decide({score: value}, {}, other) is True for value in (0.2, 0.4)} == {0.2: False, 0.4: True}


@pytest.mark.parametrize("kind", [NearestRecord, DistanceRatio, DiscriminatorScore, DiscriminatorRejection, ValidRow])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_has_no_score_is_not_kept(kind: Any, value: float | None) -> None:
    judge = kind(min=0.0) if kind in (NearestRecord, DistanceRatio, DiscriminatorScore) else kind()
    assert judge.decide({kind.scores[0]: value}, {}, ROW) == (False, f"{kind.name}: not scored")


@pytest.mark.parametrize("kind", [NearestRecord, DistanceRatio, DiscriminatorScore])
@pytest.mark.parametrize("retain", [0.8, 1.0])
def test_a_measured_limit_keeps_its_share_of_each_group_of_real_rows(kind: Any, retain: float) -> None:
    judge = kind(retain=retain)
    values = {
        "yes|x": [number / 100 for number in range(100)],
        "no|x": [number / 50 for number in range(100)],
        "yes|y": [0.7, 0.8],
    }
    (limit,) = judge.to_calibrate()
    ready = judge.calibrated(judge.measure(limit, values))
    for group in ("yes|x", "no|x"):
        kept = [ready.decide({limit.score: value}, {}, {"group_name": group}) is True for value in values[group]]
        assert sum(kept) >= retain * 100 and kept == sorted(kept)  # the highest are kept
        assert retain < 1 or sum(kept) == 100
    pooled = ready.limits[limit.score]["*"]  # two rows are too few for a limit of their own
    assert ready.decide({limit.score: pooled}, {}, {"group_name": "yes|y"}) is True and "yes|y" not in ready.limits


def test_acceptance_is_compared_with_the_draw_of_the_id() -> None:
    judge = DiscriminatorRejection()
    half = {"sample_id": "f" * 19 + "8" + "0" * 12}
    assert draw_of(half["sample_id"]) == 0.5
    assert judge.decide({"drs_acceptance": 0.5}, {}, half) == (False, "discriminator")
    assert judge.decide({"drs_acceptance": 0.5000001}, {}, half) is True
    assert judge.decide({"drs_acceptance": 0.0}, {}, ROW) == (False, "discriminator")  # not even a draw of 0
    assert judge.decide({"drs_acceptance": 1.0}, {}, {"sample_id": "f" * 32}) is True


def test_filters_say_what_decides_and_cannot_change() -> None:
    assert ValidRow().settings == {"name": "valid_row", "version": "1"}
    assert DiscriminatorScore(min=-3.0).settings == {
        "name": "discriminator_score",
        "version": "1",
        "retain": None,
        "limits": {},
        "min": -3.0,
    }
    with pytest.raises(FrozenInstanceError):
        NearestRecord(min=0.1).min = 0.0  # type: ignore[misc]
