"""CLIP alignment: the picture must resemble its prompt (methods section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from filters.base import Filter, Verdict, rounded

SCORE = "clip_alignment"


@dataclass(frozen=True)
class ClipAlignment(Filter):
    """Keeps a sample whose cosine with its prompt is at least ``min``, in [-1, 1].

    No paper gives a threshold: calibrate it on real pictures. Reason code: ``alignment``.
    """

    name: ClassVar[str] = "clip_alignment"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)

    min: float

    def __post_init__(self) -> None:
        if not -1 <= self.min <= 1:
            raise ValueError(f"clip_alignment.min is {self.min}; a cosine lies in [-1, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the cosine, to 4 decimals."""
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if rounded(value) >= rounded(self.min) else (False, "alignment")
