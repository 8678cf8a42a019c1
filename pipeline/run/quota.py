"""How many synthetic samples a group needs: FFR's counts (docs/methods.md#counts-of-synthetic-samples)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fairshards.trainers.core.index import Group
from fairshards.trainers.methods.mixes import asb_counts, usb_counts

__all__ = ["Group", "Quota", "biased_counts", "minority_kept", "per_group", "quotas", "usb_counts"]


@dataclass(frozen=True)
class Quota:
    """What one group must have after curation.

    ``balanced`` samples go into the balanced split, the same number for every group; ``extra`` ones stand
    beside them for the USB baseline alone, which needs M - n a group. ``validation`` ones, the same number for
    every group, are a generated validation set: no method trains on them.
    """

    balanced: int
    extra: int
    validation: int = 0

    @property
    def total(self) -> int:
        """All samples of the group that are kept."""
        return self.balanced + self.extra + self.validation


def per_group(real: Mapping[Group, int]) -> int:
    """Return m = floor(sum(M - n) / K): what FFR's first stage and ASB take of every group."""
    return next(iter(asb_counts(real).values()))


def quotas(
    real: Mapping[Group, int], m: int | None = None, usb_extra: bool = False, validation: int = 0
) -> dict[Group, Quota]:
    """Return every group's quota from the real training counts.

    ``m`` overrides FFR's rule. With ``usb_extra`` a group also gets what USB needs beyond m.
    """
    balanced = per_group(real) if m is None else m
    usb = usb_counts(real)
    extra = {group: max(0, count - balanced) if usb_extra else 0 for group, count in usb.items()}
    return {group: Quota(balanced, extra[group], validation) for group in real}


def minority_kept(majority: int, bias_ratio: float) -> int:
    """Return n_min = floor(n_maj (1 - r) / r) + 1, at most n_maj: FFR's rule for a bias ratio r in [0.5, 1).

    19 of the 24 published counts come out (docs/methods.md#bias-ratio). The others: the four at r = 0.9 are the floor
    without the 1, and SpuCo Animals at r = 0.95 has 500, where the rule gives 527.
    """
    return min(majority, math.floor(majority * (1 - bias_ratio) / bias_ratio + 1e-9) + 1)


def biased_counts(
    counts: Mapping[Group, int], aligned: Mapping[int, int], bias_ratio: float, least: int = 0
) -> dict[Group, int]:
    """Return how many samples of each group are kept so that a class's bias-aligned group is its majority.

    ``aligned`` gives b for y; that group is kept whole, and the class's other groups are cut to the rule over
    its count, but not below ``least``. A class that ``aligned`` lacks is kept whole.
    """
    kept = dict(counts)
    for (y, b), count in counts.items():
        if y in aligned and b != aligned[y]:
            kept[y, b] = min(count, max(least, minority_kept(counts.get((y, aligned[y]), 0), bias_ratio)))
    return kept
