"""Where a record lies among others: distances that mean the same for numbers, categories and what is missing.

A number counts by its quantile, so that the distance between two is the share of patients between them. Two categories
differ by 1 or not at all, as do a value and a missing one. Two rows' distance is the mean over columns, in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from generators.table_encoding import Encoded, TableEncoding

Points = NDArray[np.float32]
BLOCK = 512
"""Rows that are compared at once."""
NEIGHBOURS = 6
"""Records that a distance ratio is taken over: the nearest one and the next five."""


@dataclass(frozen=True)
class RecordSpace:
    """The space of an encoding's rows; label and protected attribute are columns of it like others."""

    encoding: TableEncoding

    def points(self, rows: pd.DataFrame) -> Points:
        """Return float32[n, d]: the L1 distance of two points, divided by ``columns``, is the distance of the rows."""
        return self.of_encoded(self.encoding.encode(rows))

    def of_encoded(self, encoded: Encoded) -> Points:
        """Return the points of rows that are encoded already."""
        quantile, there = (encoded.low + encoded.high) / 2, encoded.present
        # two values differ by their quantiles, a value and a missing one by 1, two missing ones by nothing
        parts = [0.5 * quantile * there, 0.5 * (1 - quantile) * there, 0.5 * ~there]
        for number, block in enumerate(self.encoding.blocks):
            if block.column not in self.encoding.quantiles:
                parts.append(0.5 * np.eye(len(block.states), dtype=np.float32)[encoded.states[:, number]])
        parts.append(0.5 * np.eye(len(self.encoding.classes), dtype=np.float32)[encoded.y])
        parts.append(0.5 * np.eye(len(self.encoding.groups), dtype=np.float32)[encoded.s])
        return np.concatenate(parts, 1).astype(np.float32)

    @property
    def columns(self) -> int:
        """How many columns a row has that vary; a number that may be missing is one."""
        blocks = {block.column for block in self.encoding.blocks}
        return len(blocks | set(self.encoding.numerics)) + 2


def neighbours(points: Points, others: Points, columns: int, count: int = 1) -> NDArray[np.float32]:
    """Return float32[n, k]: each point's distances to the nearest ``count`` of ``others`` (m >= 1), in [0, 1], sorted.

    k is ``count``, or m where there are fewer.
    """
    return _nearest(points, others, columns, count, itself=False)


def other_neighbours(points: Points, columns: int, count: int = 1) -> NDArray[np.float32]:
    """Return float32[n, k] as ``neighbours``, to the nearest other ones of the points (n >= 2)."""
    return _nearest(points, points, columns, min(count, len(points) - 1), itself=True)


def _nearest(points: Points, others: Points, columns: int, count: int, *, itself: bool) -> NDArray[np.float32]:
    count = min(count, len(others))
    found = [np.zeros((0, count))]
    for start in range(0, len(points), BLOCK):
        distances = cdist(points[start : start + BLOCK], others, "cityblock")
        if itself:
            distances[np.arange(len(distances)), np.arange(start, start + len(distances))] = np.inf
        found.append(np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1))
    return (np.concatenate(found) / columns).astype(np.float32)


def nearest(points: Points, others: Points, columns: int) -> NDArray[np.float32]:
    """Return float32[n]: each point's distance to the nearest of ``others`` (m >= 1), in [0, 1]."""
    return neighbours(points, others, columns)[:, 0]


def distance_ratio(near: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32[n] in [0, 1]: how much nearer a point's nearest neighbour is than the next ones (NNDR).

    ``near`` is float32[n, k] as ``neighbours`` gives it: the ratio is that of the first distance to the mean of the
    others. Near 0 a point stands beside one single other, far from the rest; where k is 1, or many are at no distance,
    no one stands out and the ratio is 1.
    """
    if near.shape[1] < 2:
        return np.ones(len(near), np.float32)
    others = near[:, 1:].mean(1)
    ratio: NDArray[np.float32] = np.divide(near[:, 0], others, out=np.ones(len(near), np.float32), where=others > 0)
    return ratio
