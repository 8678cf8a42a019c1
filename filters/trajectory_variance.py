"""Trajectory variance: drop samples whose predicted x0 was still moving at the end (methods section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from filters.base import Filter, Verdict, is_edit, significant

SCORE = "trajectory_variance"


def quantile_threshold(values: Sequence[float | None], quantile: float) -> float:
    """Return the smallest pool value that at least ``quantile`` of the finite values don't exceed.

    "Keep the N lowest" of the paper's code, as a threshold: 0.96 keeps 96% of the pool, ties included. It is
    0 for a pool without a finite value, which keeps nothing that moved at all.

    Raises:
        ValueError: ``quantile`` isn't in (0, 1].
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"trajectory_variance.quantile is {quantile}; it lies in (0, 1]")
    finite = sorted(significant(value) for value in values if value is not None and math.isfinite(value))
    if not finite:
        return 0.0
    rank = math.ceil(round(quantile * len(finite), 9))
    return finite[rank - 1]


@dataclass(frozen=True)
class TrajectoryVarianceLimit(Filter):
    """Keeps a sample whose variance is at most ``max``, and at most the pool's ``quantile``.

    There is no absolute threshold in the paper; ``quantile`` is the way to use it, and ``resolve`` turns it
    into the number ``threshold`` once per curation. An edited picture has no trajectory of its own and is kept.
    Reason code: ``trajectory``.
    """

    name: ClassVar[str] = "trajectory_variance"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)

    max: float | None = None
    quantile: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.max is None and self.quantile is None and self.threshold is None:
            raise ValueError("trajectory_variance needs max, quantile or both")
        if self.max is not None and not self.max >= 0:
            raise ValueError(f"trajectory_variance.max is {self.max}; a variance is at least 0")
        if self.quantile is not None and not 0 < self.quantile <= 1:
            raise ValueError(f"trajectory_variance.quantile is {self.quantile}; it lies in (0, 1]")

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the score, for a generated sample."""
        return () if is_edit(sample) else cls.scores

    def resolve(self, pool: Mapping[str, Sequence[float | None]]) -> Self:
        """Return the filter with ``threshold`` set from the pool's values; unchanged without a quantile."""
        if self.quantile is None:
            return self
        return replace(self, threshold=quantile_threshold(pool.get(SCORE, ()), self.quantile))

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the variance with the lower of both limits, to 4 significant digits.

        Raises:
            ValueError: a quantile was asked for and ``resolve`` wasn't called.
        """
        if self.quantile is not None and self.threshold is None:
            raise ValueError("trajectory_variance.quantile is not resolved: call resolve(pool) before decide")
        if is_edit(sample):
            return True
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        limit = min(number for number in (self.max, self.threshold) if number is not None)
        return True if significant(value) <= significant(limit) else (False, "trajectory")
