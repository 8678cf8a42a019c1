"""Near-duplicates: a sample that repeats an earlier one of its group, or a real training picture (memorisation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fairshards.filters.base import CalibratedFilter, Verdict
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import Limit

GROUP_SCORE, REAL_SCORE = "duplicate_in_group", "duplicate_of_real"
LIMITS = (Limit(GROUP_SCORE, "at most", "real"), Limit(REAL_SCORE, "at most", "real"))
BLOCK = 2048
"""Rows that are compared at once."""

Embeddings = npt.NDArray[np.float32]
Nearest = tuple[float, str]
"""The highest cosine, and whose it is."""


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(CalibratedFilter):
    """Keeps a sample whose CLIP embedding has a cosine of at most ``max`` with those that it could repeat.

    Both scores are highest cosines, in [-1, 1]: with the samples of its group that have lower replicate numbers, and
    with the real training pictures of its class; their labels are the ids of the nearest. ``retain`` takes the limits
    from real pictures and their nearest real ones of the same group; 0.99 leaves little but copies. A sample without
    the score has nothing that it could repeat. Reason codes: ``duplicate``, ``memorised``.
    """

    name: ClassVar[str] = "near_duplicates"
    scores: ClassVar[tuple[str, ...]] = (GROUP_SCORE, REAL_SCORE)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        GROUP_SCORE: ScoreTitle("Nearest in its group", "highest cosine with an earlier sample of its group"),
        REAL_SCORE: ScoreTitle("Nearest real picture", "highest cosine with a real training picture of its class"),
    }
    reasons: ClassVar[Mapping[str, str]] = {
        "duplicate": "nearly the same as an earlier sample of its group",
        "memorised": "nearly the same as a real training picture",
    }
    limits_on: ClassVar[tuple[Limit, ...]] = LIMITS

    max: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max is None and self.retain is None and not self.limits:
            raise ValueError("near_duplicates needs max (a cosine, 0.98 for example), retain, or both")
        if self.max is not None and not -1 <= self.max <= 1:
            raise ValueError(f"near_duplicates.max is {self.max}; a cosine lies in [-1, 1]")

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return none: the first sample of a group has nothing that it could repeat."""
        return ()

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare both cosines to 4 decimals."""
        for limit, reason in zip(LIMITS, ("duplicate", "memorised"), strict=True):
            value = scores.get(limit.score)
            if value is not None and not self.within(limit, value, sample, self.max):
                return False, reason
        return True


def nearest_earlier(rows: Embeddings, names: Sequence[str]) -> Iterator[Nearest | None]:
    """Yield, for each row of (n, d) embeddings of length 1, the nearest one before it; None for the first."""
    for start in range(0, len(rows), BLOCK):
        stop = min(start + BLOCK, len(rows))
        cosines = rows[start:stop] @ rows[:stop].T
        cosines[np.arange(stop)[None] >= np.arange(start, stop)[:, None]] = -np.inf
        best = cosines.argmax(1)
        for number, place in enumerate(best):
            yield (float(cosines[number, place]), names[place]) if start + number else None


def nearest_of(rows: Embeddings, others: Embeddings, names: Sequence[str]) -> Iterator[Nearest | None]:
    """Yield, for each row of (n, d) embeddings of length 1, the nearest of ``others`` (m, d); None where m is 0."""
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        if not len(others):
            yield from [None] * len(part)
            continue
        cosines = part @ others.T
        best = cosines.argmax(1)
        yield from ((float(cosines[number, place]), names[place]) for number, place in enumerate(best))


def nearest_other(rows: Embeddings) -> list[float]:
    """Return, for each row of (n, d), the highest cosine with another row; empty for a single one."""
    found: list[float] = []
    for start in range(0, len(rows) if len(rows) > 1 else 0, BLOCK):
        cosines = rows[start : start + BLOCK] @ rows.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        found += cosines.max(1).tolist()
    return found
