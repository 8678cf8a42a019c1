"""Distance ratio: a generated row that stands beside one patient and far from all others tells of that patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit

SCORE = "distance_ratio"
"""The distance to the nearest training row over the mean of that to the next five.

``generators/tables/record_space.py`` measures it.
"""
LIMIT = Limit(SCORE, "at least", "real")


@dataclass(frozen=True, kw_only=True)
class DistanceRatio(LeastScore):
    """Keeps a row whose nearest-neighbour distance ratio (NNDR) is at least ``min``, or that of the share ``retain`` of
    training rows among one another. Reason code: ``shadows a patient``.

    Dense regions, where nearness gives no one away, lose no more than others, as they would to ``nearest_record``.
    """

    name: ClassVar[str] = "distance_ratio"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)
    reason: ClassVar[str] = "shadows a patient"
    asks: ClassVar[str] = "min (a ratio in [0, 1], 0.5 for example), retain, or both"
    between: ClassVar[tuple[float, float, str] | None] = (0, 1, "a ratio of distances lies in [0, 1]")
