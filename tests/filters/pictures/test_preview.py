"""A preview goes on unless it is known to miss its group or its prompt."""

from __future__ import annotations

import pytest

from fairshards.filters.pictures.preview import PreviewLimits

SEEN = {"clip_alignment": 0.25, "judge_class": 0.8, "judge_bias": 0.5}


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (PreviewLimits(min_class=0.8), None),
        (PreviewLimits(min_class=0.81), "the probability that the preview shows its class is 0.8000; at least 0.81"),
        (PreviewLimits(min_bias=0.5001), "the probability that the preview shows its bias value is 0.5000; at least"),
        (PreviewLimits(min_alignment=0.25), None),
        (PreviewLimits(0.1, 0.1, 0.3), "the preview's cosine with its prompt is 0.2500; at least 0.3"),
    ],
)
def test_each_limit_is_compared_to_four_decimals(limits: PreviewLimits, says: str | None) -> None:
    found = limits.verdict(SEEN)
    assert found is None if says is None else str(found).startswith(says)


def test_without_scores_nothing_is_pruned() -> None:
    assert PreviewLimits(1.0, 1.0, 1.0).verdict({}) is None
    assert PreviewLimits(0.1, 1.0, 1.0).verdict({"judge_class": 0.2, "judge_bias": None}) is None


@pytest.mark.parametrize("given", [{}, {"min_class": 1.5}, {"min_bias": -0.1}, {"min_alignment": -2.0}])
def test_limits_out_of_range_are_errors(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prune"):
        PreviewLimits(**given)
