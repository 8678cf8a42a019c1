"""Discriminator rejection sampling (DRS): which rows to keep, by their log density ratio.

See docs/methods.md#rejection-sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

EPSILON = 1e-6
PERCENTILE = 80.0


@dataclass(frozen=True)
class Rejection:
    """What DRS needs beside a row's log density ratio (LDR): their maximum M over many rows, and the shift gamma."""

    maximum: float
    gamma: float

    @classmethod
    def fit(cls, ratios: NDArray[np.float32], percentile: float = PERCENTILE) -> Rejection:
        """Return M and gamma, that percentile of F without its shift, over the LDRs of generated rows, float32[n]."""
        maximum = float(ratios.max())
        return cls(maximum, float(np.percentile(_unshifted(ratios, maximum), percentile)))

    def acceptance(self, ratios: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64[n] in (0, 1): sigmoid(F), F = (LDR - M) - log(1 - exp(LDR - M - 1e-6)) - gamma."""
        shifted: NDArray[np.float64] = _unshifted(ratios, self.maximum) - self.gamma
        accepted: NDArray[np.float64] = expit(shifted)
        return accepted

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"maximum": self.maximum, "gamma": self.gamma}


def _unshifted(ratios: NDArray[np.float32], maximum: float) -> NDArray[np.float64]:
    below = np.minimum(ratios.astype(np.float64) - maximum, 0.0)
    return below - np.log1p(-np.exp(below - EPSILON))
