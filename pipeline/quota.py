"""How many synthetic samples a group needs: FFR's counts (methods 1.4; FFR, ECCV 2024)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Group = tuple[int, int]


@dataclass(frozen=True)
class Quota:
    """What one group must have after curation.

    ``balanced`` samples go into the balanced split, the same number for every group; ``extra`` ones stand
    beside them for the USB baseline alone, which needs M - n a group.
    """

    balanced: int
    extra: int

    @property
    def total(self) -> int:
        """All samples of the group that are kept."""
        return self.balanced + self.extra


def usb_counts(real: Mapping[Group, int]) -> dict[Group, int]:
    """Return M - n for every group: what Uniform Synthetic Balancing adds."""
    largest = max(real.values())
    return {group: largest - count for group, count in real.items()}


def per_group(real: Mapping[Group, int]) -> int:
    """Return m = floor(sum(M - n) / K): what FFR's first stage and ASB take of every group."""
    return math.floor(sum(usb_counts(real).values()) / len(real))


def quotas(real: Mapping[Group, int], m: int | None = None, usb_extra: bool = False) -> dict[Group, Quota]:
    """Return every group's quota from the real training counts.

    ``m`` overrides FFR's rule. With ``usb_extra`` a group also gets what USB needs beyond m.
    """
    balanced = per_group(real) if m is None else m
    usb = usb_counts(real)
    return {group: Quota(balanced, max(0, usb[group] - balanced) if usb_extra else 0) for group in real}


def minority_kept(majority: int, bias_ratio: float) -> int:
    """Return n_min = floor(n_maj (1 - r) / r), FFR's rule for a given bias ratio r in (0.5, 1)."""
    return math.floor(majority * (1 - bias_ratio) / bias_ratio + 1e-9)
