"""The Gaussian mixtures of arXiv 2406.09358 (docs/methods.md#gaussian-experiments)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GaussianSet:
    """Equal Gaussians of one standard deviation ``sigma`` at ``modes`` (m, d); ``spacing`` lies between neighbours."""

    name: str
    modes: Points
    sigma: float
    spacing: float

    def draw(self, count: int, seed: int) -> Points:
        """Return ``count`` points (count, d), the modes taken in turn."""
        noise = np.random.default_rng(seed).standard_normal((count, self.modes.shape[1]))
        return self.modes[np.arange(count) % len(self.modes)] + self.sigma * noise

    def nearest(self, points: Points) -> tuple[npt.NDArray[np.int64], Points]:
        """Return the number of each point's nearest mode and its distance from it in sigmas."""
        squares = ((points[:, None, :] - self.modes[None]) ** 2).sum(-1)
        return squares.argmin(1), np.sqrt(squares.min(1)) / self.sigma


def _grid() -> Points:
    """Return the 25 points of {-2 .. 2} squared."""
    side = np.arange(-2.0, 3.0)
    return np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)


_UNIT = math.sqrt(0.05**2 + 8)
"""The 2D sets are divided by the standard deviation of the first one's points before that."""
_TURNED = np.array([[0.5, 0.5], [-0.5, 0.5]])

SETS = {
    one.name: one
    for one in (
        GaussianSet("1d", np.array([[1.0], [2.0], [3.0]]), 0.05, 1.0),
        GaussianSet("1d-gap", np.array([[1.0], [2.0], [4.0], [5.0]]), 0.05, 1.0),
        GaussianSet("2d", 2 * _grid() / _UNIT, 0.05 / _UNIT, 2 / _UNIT),
        GaussianSet("2d-rotated", 2 * _grid() @ _TURNED.T / _UNIT, 0.05 / _UNIT, math.sqrt(2) / _UNIT),
    )
}
