"""Decisions at the edges of their thresholds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from fairshards.filters.base import Verdict, rounded, significant
from fairshards.filters.pictures.clip_alignment import ClipAlignment
from fairshards.filters.pictures.edit_misplaced import EditMisplaced
from fairshards.filters.pictures.grey_scale import GreyScale, grey_difference
from fairshards.filters.pictures.group_judge import GroupJudge
from fairshards.filters.pictures.trajectory_variance import LIMIT, TrajectoryVarianceLimit
from fairshards.filters.registry import PICTURE_FILTERS, ROW_FILTERS, filter_class

SAMPLE = {"class_name": "landbird", "bias_name": "water"}
RIGHT = {"judge_class": "landbird", "judge_bias": "water"}
SURE = {"judge_class": 0.9, "judge_bias": 0.8}


def test_the_registry_holds_every_filter_under_its_name() -> None:
    known = {
        "clip_alignment",
        "group_judge",
        "variance",
        "grey_scale",
        "spurious_absence",
        "shortcut_left",
        "edit_misplaced",
        "near_duplicates",
        "silhouette",
    }
    assert set(PICTURE_FILTERS.names) == known
    assert set(ROW_FILTERS.names) == {
        "valid_row",
        "discriminator_score",
        "discriminator_rejection",
        "nearest_record",
        "distance_ratio",
    }
    for name in (*PICTURE_FILTERS.names, *ROW_FILTERS.names):
        kind = filter_class(name)
        assert kind.name == name and kind.scores and kind.version and set(kind.titles) <= set(kind.scores)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.2, True), (0.9, True), (0.19996, True), (0.19994, (False, "alignment")), (-1.0, (False, "alignment"))],
)
def test_clip_alignment_at_its_edge(value: float, verdict: Verdict) -> None:
    assert ClipAlignment(min=0.2).decide({"clip_alignment": value}, {}, SAMPLE) == verdict


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("clip_alignment", {"min": 0.2}), ("group_judge", {}), ("variance", {"max": 1.0}), ("grey_scale", {"min": 5.7})],
)
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_without_a_score_nothing_is_kept(kind: str, settings: dict[str, Any], value: float | None) -> None:
    chosen = filter_class(kind)(**settings)
    assert chosen.decide({}, {}, SAMPLE) == (False, f"{kind}: not scored")
    assert chosen.decide(dict.fromkeys(chosen.scores, value), RIGHT, SAMPLE) == (False, f"{kind}: not scored")


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        (RIGHT, True),
        ({**RIGHT, "judge_class": "waterbird"}, (False, "class")),
        ({**RIGHT, "judge_bias": "land"}, (False, "bias")),
        ({"judge_class": "waterbird", "judge_bias": "land"}, (False, "class")),
        ({"judge_bias": "water"}, (False, "class")),
    ],
)
def test_the_group_judge_wants_the_intended_group(labels: dict[str, str], verdict: Verdict) -> None:
    assert GroupJudge().decide(SURE, labels, SAMPLE) == verdict


@pytest.mark.parametrize(
    ("minimum", "scores", "verdict"),
    [
        (0.8, SURE, True),
        (0.85, SURE, (False, "bias_unsure")),
        (0.95, SURE, (False, "class_unsure")),
        (0.8, {**SURE, "judge_bias": 0.79996}, True),
        (0.8, {**SURE, "judge_bias": 0.79994}, (False, "bias_unsure")),
    ],
)
def test_the_group_judge_can_ask_for_more(minimum: float, scores: dict[str, float | None], verdict: Verdict) -> None:
    assert GroupJudge(min_probability=minimum).decide(scores, RIGHT, SAMPLE) == verdict


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_trajectory_variance_at_its_edge_on_any_scale(scale: float) -> None:
    limit = TrajectoryVarianceLimit(max=0.02 * scale)
    decide = [limit.decide({"trajectory_variance": value * scale}, {}, SAMPLE) for value in (0.02, 0.0200049, 0.02002)]
    assert decide == [True, True, (False, "trajectory")]


def measured(limit: TrajectoryVarianceLimit, **values: list[float | None]) -> TrajectoryVarianceLimit:
    """Return the filter calibrated on these values by group."""
    return limit.calibrated(limit.measure(LIMIT, values))


def test_the_limit_is_measured_on_a_calibration_set() -> None:
    pool = [None, float("nan"), *np.random.default_rng(0).permutation(np.arange(1, 101) / 1000).tolist()]
    limit = measured(TrajectoryVarianceLimit(retain=0.96), a=pool)
    assert limit.limits == {"trajectory_variance": {"*": 0.096, "a": 0.096}}
    kept = [limit.decide({"trajectory_variance": value}, {}, {"group_name": "b"}) is True for value in pool]
    assert sum(kept) == 96


def test_a_group_has_its_own_limit_where_it_has_enough_values() -> None:
    texture, plain = (np.arange(1, 201) / 10).tolist(), (np.arange(1, 201) / 1000).tolist()
    limit = measured(TrajectoryVarianceLimit(retain=0.95), texture=texture, plain=plain, rare=[0.1, 0.2])
    found = limit.limits["trajectory_variance"]
    assert found == {"*": pytest.approx(18.0), "texture": 19.0, "plain": 0.19}
    for group, kept in (("plain", False), ("texture", True), ("rare", True)):
        verdict = limit.decide({"trajectory_variance": 0.5}, {}, {"group_name": group})
        assert verdict == (True if kept else (False, "trajectory"))


def test_the_lower_of_both_limits_counts() -> None:
    limit = measured(TrajectoryVarianceLimit(max=0.05, retain=1.0), a=[0.01, 0.09] * 5)
    assert limit.decide({"trajectory_variance": 0.05}, {}, SAMPLE) is True
    assert limit.decide({"trajectory_variance": 0.06}, {}, SAMPLE) == (False, "trajectory")
    assert measured(limit, a=[0.01, 0.02] * 5).decide({"trajectory_variance": 0.03}, {}, SAMPLE) is not True


def test_too_few_values_limit_nothing() -> None:
    few = measured(TrajectoryVarianceLimit(retain=0.5), a=[1.0] * 9)
    assert few.limits == {} and few.decide({"trajectory_variance": 1e9}, {}, SAMPLE) is True
    assert few.decide({}, {}, SAMPLE) == (False, "variance: not scored")


def test_a_filter_without_retain_measures_nothing() -> None:
    assert TrajectoryVarianceLimit(max=1.0).to_calibrate() == () == GroupJudge().to_calibrate()
    assert [limit.score for limit in GroupJudge(retain=0.99).to_calibrate()] == ["judge_class", "judge_bias"]
    assert EditMisplaced().to_calibrate() == ()


def test_limits_may_be_known_beforehand() -> None:
    limit = ClipAlignment(limits={"clip_alignment": {"*": 0.2, "land": 0.3}})
    asked = [limit.decide({"clip_alignment": 0.25}, {}, {"group_name": group}) for group in ("water", "land")]
    assert asked == [True, (False, "alignment")]
    with pytest.raises(ValueError, match=r"clip_alignment.limits has \['grey_scale'\]; it limits \['clip_alignment'\]"):
        ClipAlignment(limits={"grey_scale": {"*": 1.0}})


def test_grey_scale_is_ffrs_rule_per_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    pixels[..., 0] //= 2
    sums = pixels.reshape(-1, 3).astype(np.int64).sum(axis=0)
    assert grey_difference(pixels) == pytest.approx(abs(sums.mean() - sums[0]) / 512**2)
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    assert grey_difference(grey) == 0
    faces = GreyScale(min=1_500_000 / 512**2)
    assert faces.decide({"grey_scale": grey_difference(pixels)}, {}, SAMPLE) is True
    assert faces.decide({"grey_scale": 0.0}, {}, SAMPLE) == (False, "grey")
    assert GreyScale(min=5.722).decide({"grey_scale": 5.722}, {}, SAMPLE) is True


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("clip_alignment", {"min": 1.5}),
        ("group_judge", {"min_probability": -0.1}),
        ("variance", {}),
        ("grey_scale", {}),
        ("variance", {"max": -1.0}),
        ("variance", {"retain": 0.0}),
        ("grey_scale", {"min": 300}),
        ("clip_alignment", {}),
        ("clip_alignment", {"retain": 1.5}),
        ("spurious_absence", {"max": 2.0}),
    ],
)
def test_settings_out_of_range_are_errors_that_name_the_setting(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=kind):
        filter_class(kind)(**settings)


def test_settings_name_what_decides_and_a_filter_is_frozen() -> None:
    chosen = ClipAlignment(min=0.2)
    assert chosen.settings == {"name": "clip_alignment", "version": "1", "min": 0.2, "retain": None, "limits": {}}
    with pytest.raises(FrozenInstanceError):
        chosen.min = 0.1  # type: ignore[misc]


def test_rounding() -> None:
    assert rounded(0.123449) == 0.1234
    assert significant(1.23456e-7) == 1.235e-7
    assert significant(0.0) == 0.0


def test_an_edit_must_take_more_from_its_class_than_the_classs_edits_on_average() -> None:
    """DDB prunes rho <= P: an edit right at the mean goes."""
    judge, edit = EditMisplaced(), {"kind": "edit"}
    for excess, verdict in ((0.3, True), (0.0, False), (0.00004, False), (-0.2, False)):
        assert judge.decide({"attribution_excess": excess}, {}, edit) == (verdict or (False, "edit_misplaced"))
    assert EditMisplaced(margin=-0.3).decide({"attribution_excess": -0.2}, {}, edit) is True
    assert judge.decide({}, {}, edit) == (False, "edit_misplaced: not scored")
    with pytest.raises(ValueError, match=r"margin is 3; it lies in \[-2, 2\]"):
        EditMisplaced(margin=3)


def test_filters_that_do_not_apply_to_a_kind_of_sample_keep_it() -> None:
    edit, generated = {"kind": "edit"}, {"kind": "text-to-image"}
    assert EditMisplaced().decide({}, {}, generated) is True and EditMisplaced.needs(generated) == ()
    limit = TrajectoryVarianceLimit(max=0.1)
    assert limit.decide({}, {}, edit) is True and limit.needs(edit) == ()
    assert limit.decide({}, {}, generated) == (False, "variance: not scored")
    assert measured(TrajectoryVarianceLimit(retain=0.9), a=[1.0, 2.0] * 9).decide({}, {}, edit) is True
