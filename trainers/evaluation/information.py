"""Mutual information of counted pairs. Imports no torch, so that the driver can ask for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any


def shared_bits(joint: Mapping[tuple[Any, Any], int]) -> float:
    """Return the plug-in mutual information in bits of two variables' joint counts (docs/methods.md#shared-bits)."""
    total = sum(joint.values())
    left: Counter[Any] = Counter()
    right: Counter[Any] = Counter()
    for (first, second), count in joint.items():
        left[first] += count
        right[second] += count
    terms = (n / total * math.log2(n * total / (left[a] * right[b])) for (a, b), n in joint.items() if n)
    return max(0.0, sum(terms))
