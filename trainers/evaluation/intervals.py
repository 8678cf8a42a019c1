"""Confidence intervals of counts, 95% unless told. Imports no torch, so that the driver can ask for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fairshards.trainers.core.errors import TrainerError

Z95 = 1.959963984540054


def wilson(correct: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct`` out of ``n``, inside [0, 1].

    Written out: scipy's ``binomtest`` gives another last bit, and manifests hold all of them.
    """
    if not 0 <= correct <= n or n == 0:
        raise TrainerError(f"{correct} correct of {n}: an interval needs 0 <= correct <= n and n > 0")
    share, square = correct / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return low, high


def auroc(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Return the area under the ROC curve of scores that should be high (``above``) and low, with DeLong's interval."""
    import numpy as np
    from scipy.stats import rankdata

    m, n = len(above), len(below)
    if not m or not n:
        raise TrainerError(f"{m} scores on one side and {n} on the other: an area needs some on both")
    ranks = rankdata(np.concatenate([above, below]))
    higher = (ranks[:m] - rankdata(above)) / n  # of each of above: the share of below that lies under it
    lower = 1 - (ranks[m:] - rankdata(below)) / m
    spread = sum(float(part.var(ddof=1)) / len(part) for part in (higher, lower) if len(part) > 1)
    area, half = float(higher.mean()), Z95 * math.sqrt(spread)
    return area, max(0.0, area - half), min(1.0, area + half)
