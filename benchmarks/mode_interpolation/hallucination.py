"""How well a score tells hallucinations from samples in support: AUROC, and what is removed at 96% retained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairshards.trainers.evaluation.intervals import auroc, wilson

Values = npt.NDArray[np.float64]
RETAINED = 0.96


@dataclass(frozen=True)
class Separation:
    """``positives`` of ``samples`` are hallucinations; None where there are none, or nothing else.

    Attributes:
        auroc, auroc_low, auroc_high: With DeLong's 95% interval.
        removed, removed_low, removed_high: Share of hallucinations above the 96th percentile of the samples in
            support, with Wilson's 95% interval.
    """

    samples: int
    positives: int
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    removed: float | None = None
    removed_low: float | None = None
    removed_high: float | None = None


def separation(score: Values, positive: npt.NDArray[np.bool_]) -> Separation:
    """Return how a score (n,), high for hallucinations, separates those of ``positive`` (n,) from the others.

    Raises:
        ValueError: a score isn't finite.
    """
    if not np.isfinite(score).all():
        raise ValueError(f"{(~np.isfinite(score)).sum()} of {len(score)} scores aren't finite")
    above, below = score[positive], score[~positive]
    if not len(above) or not len(below):
        return Separation(len(score), len(above))
    gone = int((above > np.quantile(below, RETAINED, method="higher")).sum())
    return Separation(
        len(score), len(above), *auroc(above.tolist(), below.tolist()), gone / len(above), *wilson(gone, len(above))
    )
