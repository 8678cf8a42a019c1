"""Confidence intervals of counts, 95% unless told. Imports no torch, so that the driver can ask for them."""

from __future__ import annotations

import math

from trainers.errors import TrainerError

Z95 = 1.959963984540054


def wilson(correct: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct`` out of ``n``, inside [0, 1]."""
    if not 0 <= correct <= n or n == 0:
        raise TrainerError(f"{correct} correct of {n}: an interval needs 0 <= correct <= n and n > 0")
    share, square = correct / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == n else centre + half
    return low, high
