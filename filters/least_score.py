"""Filters over one score that has to be large enough: a fixed least, a measured one, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import CalibratedFilter, Verdict


@dataclass(frozen=True, kw_only=True)
class LeastScore(CalibratedFilter):
    """Keeps a sample whose score is at least ``min`` and at least the limit of its group, to 4 decimals.

    Attributes:
        reason: The reason code of what is dropped.
        asks: What a recipe may say, for the error where it says nothing.
        between: The least and the largest value of ``min``, and what it is; None where any number will do.
    """

    reason: ClassVar[str]
    asks: ClassVar[str]
    between: ClassVar[tuple[float, float, str] | None] = None

    min: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min is None and self.retain is None and not self.limits:
            raise ValueError(f"{self.name} needs {self.asks}")
        if self.between and self.min is not None:
            low, high, what = self.between
            if not low <= self.min <= high:
                raise ValueError(f"{self.name}.min is {self.min}; {what}")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the score."""
        (limit,) = self.limits_on
        value = scores.get(limit.score)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(limit, value, sample, self.min) else (False, self.reason)
