"""What is asked of a half-finished picture: is its sample worth finishing? (pruning in flight)

A preview is judged by the scores of finished pictures, each with a limit of its own: a background is settled long
before the object on it, so that the one can be told at a step at which the other is still a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fairshards.filters.base import rounded
from fairshards.filters.pictures import clip_alignment, group_judge

LIMITS = {
    "min_class": group_judge.CLASS_SCORE,
    "min_bias": group_judge.BIAS_SCORE,
    "min_alignment": clip_alignment.SCORE,
}
"""Each limit's score."""
SCORES = tuple(LIMITS.values())
_WHAT = {
    "min_class": "the probability that the preview shows its class",
    "min_bias": "the probability that the preview shows its bias value",
    "min_alignment": "the preview's cosine with its prompt",
}


@dataclass(frozen=True)
class PreviewLimits:
    """A preview goes on where each score that has a limit reaches it.

    ``min_class`` and ``min_bias`` are probabilities of the intended values, in [0, 1], ``min_alignment`` a cosine.

    Raises:
        ValueError: none is given, or one is out of its range.
    """

    min_class: float | None = None
    min_bias: float | None = None
    min_alignment: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not given:
            names = ", ".join(field.name for field in fields(self))
            raise ValueError(f"prune needs one of {names}; `fairshards calibrate-pruning` finds them")
        for name, value in given.items():
            low = -1 if name == "min_alignment" else 0
            if not low <= value <= 1:
                raise ValueError(f"prune.{name} is {value}; it lies in [{low}, 1]")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides, for fingerprints."""
        return asdict(self)

    def verdict(self, scores: Mapping[str, float | None]) -> str | None:
        """Return why a preview isn't worth finishing; None where it is, or where the scores aren't there."""
        for name, least in self.settings.items():
            value = scores.get(LIMITS[name])
            if least is not None and value is not None and rounded(value) < rounded(least):
                return f"{_WHAT[name]} is {value:.4f}; at least {least:.4g} is asked for"
        return None
