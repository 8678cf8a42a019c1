"""The order in which an epoch draws its samples: uniform shuffling, or Resample over groups. Seeded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from fairshards.trainers.core.index import Sample


def uniform_order(count: int, generator: torch.Generator) -> Tensor:
    """Return a permutation of 0 .. count - 1, int64 [count]."""
    return torch.randperm(count, generator=generator)


def resample_order(group_ids: Tensor, generator: torch.Generator) -> Tensor:
    """Return N draws with replacement, weight 1/frequency of the group, int64 [N] (docs/methods.md#stages-and-losses).

    A draw takes a group uniformly, then one of its members uniformly: the same distribution as one
    weighted draw, exact for groups of one sample and without a limit on N.
    """
    groups, counts = torch.unique(group_ids, return_counts=True)
    members = torch.argsort(group_ids, stable=True)
    starts = counts.cumsum(0) - counts
    chosen = torch.randint(len(groups), (len(group_ids),), generator=generator)
    within = torch.rand(len(group_ids), generator=generator, dtype=torch.float64) * counts[chosen]
    return members[starts[chosen] + within.long()]


def sampler_groups(samples: Sequence[Sample], by_source: bool = False) -> Tensor:
    """Return the group number of each sample, int64 [N]: of (y, b), or of (y, b, g) ``by_source``."""
    if by_source:
        return _number([(sample.y, sample.b, sample.g) for sample in samples])
    return _number([sample.group for sample in samples])


def _number(keys: Sequence[Hashable]) -> Tensor:
    numbers = {key: number for number, key in enumerate(sorted(set(keys), key=repr))}
    return torch.tensor([numbers[key] for key in keys], dtype=torch.int64)
