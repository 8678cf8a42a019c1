"""CLIP alignment: the picture must resemble its prompt (docs/methods.md#clip-scores)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fairshards.filters.declared import ScoreTitle
from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit

SCORE = "clip_alignment"
LIMIT = Limit(SCORE, "at least", "real")


@dataclass(frozen=True, kw_only=True)
class ClipAlignment(LeastScore):
    """Keeps a sample whose cosine with its prompt is at least ``min``, in [-1, 1].

    No paper gives a threshold: ``retain`` takes it from real pictures and their groups' prompts; 0.95 is usual, which
    cuts at their 5th percentile. Reason code: ``alignment``.
    """

    name: ClassVar[str] = "clip_alignment"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        SCORE: ScoreTitle("CLIP alignment", "cosine between picture and prompt", short="CLIP")
    }
    reasons: ClassVar[Mapping[str, str]] = {"alignment": "resembles its prompt too little"}
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)
    reason: ClassVar[str] = "alignment"
    asks: ClassVar[str] = "retain (0.95 keeps 95% of real pictures), min, or both"
    between: ClassVar[tuple[float, float, str] | None] = (-1, 1, "a cosine lies in [-1, 1]")
