"""Where a record lies among others: distances that mean the same for numbers, categories and what is missing.

A number counts by its quantile, so that the distance between two is the share of patients between them. Two categories
differ by 1 or not at all, as do a value and a missing one. Two rows' distance is the mean over columns, in [0, 1].

A record that at least ``LEAST`` people share is nobody's: nearness to it gives no one away (``told``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from fairshards.catalogs.cohorts.schema import LEAST
from fairshards.generators.tables.encoding import Encoded, TableEncoding

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


def told(rows: pd.DataFrame, people: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Return which rows tell of somebody, bool[n]: those whose whole record fewer than ``LEAST`` people have.

    In a table of a few yes/no columns most people share theirs with hundreds. Such a record is no one's, and the
    commonest rows would be the first to go if a distance to it counted.

    Args:
        people: int64[n], the number of the person whose row each is, where one has several.
    """
    records = pd.util.hash_pandas_object(rows, index=False).reset_index(drop=True)
    whose = pd.Series(np.arange(len(rows)) if people is None else people)
    found: NDArray[np.bool_] = (whose.groupby(records).transform("nunique") < LEAST).to_numpy(bool)
    return found


def neighbours(points: Points, others: Points, columns: int, count: int = 1) -> NDArray[np.float32]:
    """Return float32[n, k]: each point's distances to the nearest ``count`` of ``others``, in [0, 1], sorted.

    k is ``count``, or the number of others where there are fewer; without any the one distance is 1, the largest.
    """
    return _nearest(points, others, columns, count, None)


def other_neighbours(
    points: Points, columns: int, count: int = 1, among: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return float32[n, k] as ``neighbours``, to the nearest other ones of the points; of those in ``among``, bool[n],
    where it is given.
    """
    chosen = np.ones(len(points), bool) if among is None else among
    return _nearest(points, points[chosen], columns, count, np.where(chosen, np.cumsum(chosen) - 1, -1))


def _nearest(
    points: Points, others: Points, columns: int, count: int, itself: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """Return the distances; ``itself`` says which of the others each point is, -1: none of them."""
    count = min(count, len(others) - (itself is not None))
    if count < 1:
        return np.ones((len(points), 1), np.float32)
    found = [np.zeros((0, count))]
    for start in range(0, len(points), BLOCK):
        distances = cdist(points[start : start + BLOCK], others, "cityblock")
        if itself is not None:
            own = itself[start : start + BLOCK]
            distances[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
        found.append(np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1))
    return (np.concatenate(found) / columns).astype(np.float32)


def nearest(points: Points, others: Points, columns: int) -> NDArray[np.float32]:
    """Return float32[n]: each point's distance to the nearest of ``others``, in [0, 1]."""
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
