"""Nearest record: a generated row that lies closer to a patient than patients lie to one another gives one away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from filters.base import CalibratedFilter, Verdict
from filters.limits import Limit

SCORE = "nearest_record"
"""The distance to the nearest training row (``generators/record_space.py``), in [0, 1]."""
LIMIT = Limit(SCORE, "at least", "real")


@dataclass(frozen=True, kw_only=True)
class NearestRecord(CalibratedFilter):
    """Keeps a row whose nearest training row is at least ``min`` away, or as far as that of the share ``retain`` of
    training rows is from its nearest other one. Reason code: ``too near a patient``.
    """

    name: ClassVar[str] = "nearest_record"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    min: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min is None and self.retain is None and not self.limits:
            raise ValueError("nearest_record needs min (a distance in [0, 1], 0.001 for example), retain, or both")
        if self.min is not None and not 0 <= self.min <= 1:
            raise ValueError(f"nearest_record.min is {self.min}; a distance lies in [0, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare to 4 decimals."""
        there = self.missing(scores)
        if there is not True:
            return there
        value = scores[SCORE]
        assert value is not None
        return True if self.within(LIMIT, value, sample, self.min) else (False, "too near a patient")
