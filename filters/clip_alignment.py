"""CLIP alignment: the picture must resemble its prompt (methods section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from filters.base import CalibratedFilter, Verdict
from filters.limits import Limit

SCORE = "clip_alignment"
LIMIT = Limit(SCORE, "at least", "real")


@dataclass(frozen=True, kw_only=True)
class ClipAlignment(CalibratedFilter):
    """Keeps a sample whose cosine with its prompt is at least ``min``, in [-1, 1].

    No paper gives a threshold: ``retain`` takes it from real pictures and their groups' prompts; 0.95 is usual, which
    is the 5th percentile of methods 6. Reason code: ``alignment``.
    """

    name: ClassVar[str] = "clip_alignment"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    min: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min is None and self.retain is None and not self.limits:
            raise ValueError("clip_alignment needs retain (0.95 keeps 95% of real pictures), min, or both")
        if self.min is not None and not -1 <= self.min <= 1:
            raise ValueError(f"clip_alignment.min is {self.min}; a cosine lies in [-1, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the cosine, to 4 decimals."""
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(LIMIT, value, sample, self.min) else (False, "alignment")
