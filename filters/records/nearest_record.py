"""Nearest record: a generated row that lies closer to a patient than patients lie to one another gives one away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit

SCORE = "nearest_record"
"""The distance to the nearest training row (``generators/tables/record_space.py``), in [0, 1]."""
LIMIT = Limit(SCORE, "at least", "real")


@dataclass(frozen=True, kw_only=True)
class NearestRecord(LeastScore):
    """Keeps a row whose nearest training row is at least ``min`` away, or as far as that of the share ``retain`` of
    training rows is from its nearest other one. Reason code: ``too near a patient``.
    """

    name: ClassVar[str] = "nearest_record"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)
    reason: ClassVar[str] = "too near a patient"
    asks: ClassVar[str] = "min (a distance in [0, 1], 0.001 for example), retain, or both"
    between: ClassVar[tuple[float, float, str] | None] = (0, 1, "a distance lies in [0, 1]")
