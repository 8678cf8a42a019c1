"""Trajectory variance: drop samples whose predicted x0 was still moving at the end.

See docs/methods.md#trajectory-variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import CalibratedFilter, Verdict, is_edit, significant
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import Limit

SCORE = "trajectory_variance"
LIMIT = Limit(SCORE, "at most", "samples")


@dataclass(frozen=True, kw_only=True)
class TrajectoryVarianceLimit(CalibratedFilter):
    """Keeps a sample whose variance is at most ``max``, and at most what ``retain`` of its group's samples have.

    There is no absolute threshold in the paper; ``retain`` is the way to use it, and 0.96 the share that the paper
    retains. The calibration set are the samples in support: those that passed the filters before this one. An edited
    picture has no trajectory of its own and is kept. Reason code: ``trajectory``.
    """

    name: ClassVar[str] = "variance"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        SCORE: ScoreTitle("Trajectory variance", "how much the predicted picture still moved at the end", short="traj")
    }
    reasons: ClassVar[Mapping[str, str]] = {"trajectory": "was still moving at the end of sampling"}
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    max: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max is None and self.retain is None and not self.limits:
            raise ValueError("variance needs retain (0.96 in the paper), max, or both")
        if self.max is not None and not self.max >= 0:
            raise ValueError(f"variance.max is {self.max}; a variance is at least 0")

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the score, for a generated sample."""
        return () if is_edit(sample) else cls.scores

    @staticmethod
    def compared(value: float) -> float:
        """Return a variance to 4 significant digits."""
        return significant(value)

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the variance, to 4 significant digits."""
        if is_edit(sample):
            return True
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(LIMIT, value, sample, self.max) else (False, "trajectory")
