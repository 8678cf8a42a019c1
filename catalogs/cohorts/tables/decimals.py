"""How precisely a column's numbers were measured: the decimals that hold every value, tiny and noisy ones too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

USUAL = 6
"""Decimals that noise is cut at where no value needs more."""
MOST = 300
"""Decimals and digits together at which numbers are still rounded without overflow."""
LEAST_DIGITS, USUAL_DIGITS = 4, 6
"""Significant digits that the smallest and the median number keep."""
MOST_DIGITS = 15
"""Significant digits of a large number (nine tenths are smaller): what a float64 holds."""
LARGE = 0.9


def decimals_of(values: NDArray[np.float64]) -> int:
    """Return the fewest decimals that hold every finite value; of noisy ones as many as keep their size.

    These are six or, where numbers are small, as many as leave the smallest four significant digits and the median six;
    never more than a float64 has of a large one. One number that is far from all others takes no decimals from these.
    """
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(size):
        return 0
    large = np.quantile(size, LARGE, method="lower")
    digits = np.floor(np.log10([size.min(), np.median(size), large, size.max()])).astype(int)
    most = max(USUAL, LEAST_DIGITS - 1 - int(digits[0]), USUAL_DIGITS - 1 - int(digits[1]))
    most = max(0, min(most, MOST_DIGITS - 1 - int(digits[2]), MOST - max(0, int(digits[3]))))
    for decimals in range(most):
        off = np.abs(size - np.round(size, decimals))
        if (off <= np.minimum(10.0 ** -(decimals + 4), 1e-6 * size)).all():
            return decimals
    return most
