"""A preview goes on unless it is known to miss its group or its prompt."""

from __future__ import annotations

import pytest

from filters.preview import PreviewLimits, group_score

SEEN = {"clip_alignment": 0.25, "judge_class": 0.8, "judge_bias": 0.5}


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (PreviewLimits(min_group=0.4), None),
        (PreviewLimits(min_group=0.41), "the probability that the preview shows its group is 0.4000; at least 0.41"),
        (PreviewLimits(min_alignment=0.25), None),
        (PreviewLimits(0.1, 0.3), "the preview's cosine with its prompt is 0.2500; at least 0.3"),
    ],
)
def test_each_limit_is_compared_to_four_decimals(limits: PreviewLimits, says: str | None) -> None:
    found = limits.verdict(SEEN)
    assert found is None if says is None else str(found).startswith(says)


def test_without_a_bias_value_the_class_alone_counts_and_without_scores_nothing_is_pruned() -> None:
    assert group_score({"judge_class": 0.7}) == 0.7 and group_score({"judge_bias": 0.7}) is None
    assert PreviewLimits(1.0, 1.0).verdict({}) is None
    assert PreviewLimits(1.0, 1.0).verdict({"judge_class": None, "clip_alignment": None}) is None


@pytest.mark.parametrize("given", [{}, {"min_group": 1.5}, {"min_alignment": -2.0}])
def test_limits_out_of_range_are_errors(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prune"):
        PreviewLimits(**given)
