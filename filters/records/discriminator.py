"""The discriminator's confidence in a generated record: rejection sampling, or a plain limit.

See docs/methods.md#rejection-sampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import Filter, Verdict
from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit

RATIO, ACCEPTANCE = "log_density_ratio", "drs_acceptance"
LIMIT = Limit(RATIO, "at least", "real")
_DRAW_DIGITS = 13


@dataclass(frozen=True)
class DiscriminatorRejection(Filter):
    """Keeps a row with its acceptance probability sigmoid(F), by a draw that its id fixes for ever.

    So a stored score decides the same way in every run. Reason code: ``discriminator``.
    """

    name: ClassVar[str] = "discriminator_rejection"
    scores: ClassVar[tuple[str, ...]] = (ACCEPTANCE,)

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the probability with the draw."""
        value = scores.get(ACCEPTANCE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if draw_of(sample["sample_id"]) < value else (False, "discriminator")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorScore(LeastScore):
    """Keeps a row whose log density ratio is at least ``min``, or that of the share ``retain`` of real training rows.

    Reason code: ``unlike real rows``.
    """

    name: ClassVar[str] = "discriminator_score"
    scores: ClassVar[tuple[str, ...]] = (RATIO,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)
    reason: ClassVar[str] = "unlike real rows"
    asks: ClassVar[str] = "min (a log density ratio, -3 for example), retain, or both"


def draw_of(sample_id: str) -> float:
    """Return the number in [0, 1) that a sample's id stands for."""
    return float(int(sample_id[-_DRAW_DIGITS:], 16) / 16**_DRAW_DIGITS)
