"""Noise that belongs to a row: a function of the row's seed and of a counter, whatever batch the row is drawn in.

SplitMix64 (Steele, Lea and Flood, 2014) over seed + counter, for all rows at once: a torch generator per row costs more
than a small network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_STEP, _FIRST, _SECOND = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_SHIFTS = tuple(np.uint64(value) for value in (30, 27, 31))
_TO_UNIT = 2.0**-23


def uniform(seeds: NDArray[np.uint64], first: int, count: int) -> NDArray[np.float32]:
    """Return float32[n, count] in (0, 1): numbers ``first`` to ``first + count`` of each row's sequence.

    Args:
        seeds: uint64[n].
    """
    with np.errstate(over="ignore"):
        mixed = seeds[:, None] + _STEP * np.arange(first + 1, first + count + 1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> _SHIFTS[0])) * _FIRST
        mixed = (mixed ^ (mixed >> _SHIFTS[1])) * _SECOND
        mixed ^= mixed >> _SHIFTS[2]
    # 23 bits, in the middle of their cells, which float32 holds exactly: never 0, never 1
    found: NDArray[np.float32] = ((mixed >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(_TO_UNIT)
    return found


def normal(seeds: NDArray[np.uint64], first: int, count: int) -> NDArray[np.float32]:
    """Return float32[n, count], standard normal, as ``uniform`` counts them."""
    values: NDArray[np.float32] = ndtri(uniform(seeds, first, count))
    return values
