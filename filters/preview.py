"""What is asked of a half-finished picture: is its sample worth finishing? (pruning in flight)

A preview is judged by the scores of finished pictures. Its group score is the probability of the intended class times
that of the intended bias value, in [0, 1]; the class's alone where no bias value was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from filters import clip_alignment, group_judge
from filters.base import rounded

SCORES = (clip_alignment.SCORE, group_judge.CLASS_SCORE, group_judge.BIAS_SCORE)


@dataclass(frozen=True)
class PreviewLimits:
    """A preview goes on where its group score is at least ``min_group`` and its cosine at least ``min_alignment``.

    Raises:
        ValueError: neither is given, or one is out of its range.
    """

    min_group: float | None = None
    min_alignment: float | None = None

    def __post_init__(self) -> None:
        if self.min_group is None and self.min_alignment is None:
            raise ValueError("prune needs min_group, min_alignment, or both; `fairshards calibrate-pruning` finds them")
        if self.min_group is not None and not 0 <= self.min_group <= 1:
            raise ValueError(f"prune.min_group is {self.min_group}; a probability lies in [0, 1]")
        if self.min_alignment is not None and not -1 <= self.min_alignment <= 1:
            raise ValueError(f"prune.min_alignment is {self.min_alignment}; a cosine lies in [-1, 1]")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides, for fingerprints."""
        return asdict(self)

    def verdict(self, scores: Mapping[str, float | None]) -> str | None:
        """Return why a preview isn't worth finishing; None where it is, or where a score is missing."""
        asked = (
            ("the probability that the preview shows its group", group_score(scores), self.min_group),
            ("the preview's cosine with its prompt", scores.get(clip_alignment.SCORE), self.min_alignment),
        )
        for what, value, least in asked:
            if least is not None and value is not None and rounded(value) < rounded(least):
                return f"{what} is {value:.4f}; at least {least:.4g} is asked for"
        return None


def group_score(scores: Mapping[str, float | None]) -> float | None:
    """Return the probability of the intended group; None where the class wasn't judged."""
    of_class, of_bias = scores.get(group_judge.CLASS_SCORE), scores.get(group_judge.BIAS_SCORE)
    if of_class is None:
        return None
    return of_class if of_bias is None else of_class * of_bias
