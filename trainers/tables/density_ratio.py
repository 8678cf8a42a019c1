"""Log density ratios of real rows: which of them the generator misses, and how often stage 2 therefore draws them.

The discriminator's logit is log p_data - log p_G at its optimum. After Self-Diagnosing GAN
(arXiv 2102.12033): see docs/methods.md#stage-2-weighted-sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

LEAST_SCORE, LARGEST_RATIO = 0.01, 50.0


@dataclass
class RatioRecord:
    """Mean and standard deviation of every real row's log density ratio over the snapshots of a window (Welford)."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(0))
    square: Tensor = field(default_factory=lambda: torch.zeros(0))

    def add(self, ratios: Tensor) -> None:
        """Take a snapshot, float32[n]: the logits of all real rows."""
        if not self.count:
            self.mean, self.square = torch.zeros_like(ratios), torch.zeros_like(ratios)
        self.count += 1
        step = ratios - self.mean
        self.mean = self.mean + step / self.count
        self.square = self.square + step * (ratios - self.mean)

    @property
    def deviation(self) -> Tensor:
        """float32[n], the population standard deviation over the snapshots."""
        return (self.square / max(1, self.count)).sqrt()


def sampling_scores(record: RatioRecord, k: float) -> Tensor:
    """Return s(x) = clip_max(clip_min(mean + k std, 0.01), 50 min s): float32[n] > 0, rows are drawn in proportion.

    A high mean is a region that the generator under-represents, a high deviation one that is unstable.
    """
    scores = (record.mean + k * record.deviation).clamp_min(LEAST_SCORE)
    return scores.clamp_max(LARGEST_RATIO * float(scores.min()))


def balance_groups(scores: Tensor, group: Tensor, share: float) -> Tensor:
    """Return the scores times (target / drawn share) of each row's group: the sub-group variant of stage 2.

    The target lies between what the rows have (``share`` 0) and equal shares of all groups (1), geometrically.

    Args:
        scores: float32[n] > 0.
        group: int64[n], the row's (y, s) as one number.
        share: How far towards equal shares, in [0, 1].
    """
    count = torch.bincount(group).float()
    real = count / count.sum()
    target = torch.where(count > 0, real ** (1 - share), torch.zeros_like(real))
    target = target / target.sum()
    drawn = torch.zeros_like(real).index_add_(0, group, scores) / scores.sum()
    return scores * (target / drawn.clamp_min(1e-12))[group]
