"""A numeric column as a quantile function whose point masses are atoms: reversible, and no rare value is given away.

A value that at least ``LEAST`` people share is an atom: it owns an interval of the quantiles, and a row that has it is
encoded anywhere inside (dequantised), so that a network sees a smooth normal score and never the spikes. Decoding puts
every quantile of the interval back on exactly that value. Rarer values are joined in runs of about ``LEAST`` people,
along which the quantile function is linear; its end points are means of such runs, so that no patient's value is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.schema import LEAST

Floats = NDArray[np.float64]
Sharing = Callable[[Sequence[int]], int]
"""How many people have one of the distinct values at these positions."""


@dataclass(frozen=True)
class Quantiles:
    """A quantile function in segments: on [edges[i], edges[i+1]] values go linearly from ``first[i]`` to ``last[i]``.

    Attributes:
        edges: float64[k+1], from 0 to 1, increasing.
        first, last: float64[k]; equal in an atom. Never decreasing along the segments.
        decimals: Values are rounded to this precision.
    """

    edges: Floats
    first: Floats
    last: Floats
    decimals: int

    @classmethod
    def fit(cls, values: Floats, decimals: int, people: NDArray[np.int64] | None = None) -> Quantiles:
        """Return the quantile function of ``values`` (float64[n], n >= 1, finite).

        ``people`` are int64[n], the number of the person whose value each is, where one has several.
        """
        distinct, where, counts = np.unique(np.round(values, decimals), return_inverse=True, return_counts=True)
        means, rows, atoms = _items(distinct, counts, _sharing(counts, where, people))
        lower, upper = _ends(means, atoms, 0.5 * 10.0**-decimals)
        edges = np.concatenate([[0.0], np.cumsum(rows) / rows.sum()])
        edges[-1] = 1.0
        return cls(edges, lower, upper, decimals)

    def encode(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper quantile of each value; they are equal where the value is no atom.

        Values beyond the ends get the quantile 0 or 1.
        """
        values = np.round(values, self.decimals)
        atoms = self.first == self.last
        segment = np.clip(np.searchsorted(self.last, values, side="left"), 0, len(self.last) - 1)
        width = np.where(atoms, 1.0, self.last - self.first)[segment]
        share = np.clip((values - self.first[segment]) / width, 0.0, 1.0)
        low, high = self.edges[segment], self.edges[segment + 1]
        inside = low + share * (high - low)
        hit = atoms[segment] & (np.abs(values - self.first[segment]) < 0.5 * 10.0**-self.decimals)
        return np.where(hit, low, inside), np.where(hit, high, inside)

    def decode(self, quantiles: Floats) -> Floats:
        """Return the values of quantiles in [0, 1], rounded to the column's decimals."""
        segment = np.clip(np.searchsorted(self.edges, quantiles, side="right") - 1, 0, len(self.first) - 1)
        low, high = self.edges[segment], self.edges[segment + 1]
        share = np.clip((quantiles - low) / (high - low), 0.0, 1.0)
        values: Floats = self.first[segment] + share * (self.last[segment] - self.first[segment])
        return np.round(values, self.decimals) + 0.0  # no -0.0


def _sharing(counts: NDArray[np.int64], where: NDArray[np.int64], people: NDArray[np.int64] | None) -> Sharing:
    """Return how people are counted: by rows, or, where one person may have several, by who has them."""
    if people is None:
        return lambda part: int(counts[part].sum())
    whose: list[set[int]] = [set() for _ in counts]
    for position, person in zip(where.tolist(), people.tolist(), strict=True):
        whose[position].add(person)
    return lambda part: len(set().union(*(whose[position] for position in part)))


def _items(distinct: Floats, counts: NDArray[np.int64], sharing: Sharing) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the means, the row counts, and which are atoms, of atoms and of runs of rare values."""
    means: list[float] = []
    rows: list[float] = []
    atoms: list[bool] = []
    short: list[bool] = []
    run: list[int] = []

    def close() -> None:
        for part in _parts(run, sharing):
            means.append(float(np.average(distinct[part], weights=counts[part])))
            rows.append(float(counts[part].sum()))
            atoms.append(False)
            short.append(sharing(part) < LEAST)
        run.clear()

    for position, count in enumerate(counts):
        if count >= LEAST and sharing([position]) >= LEAST:
            close()
            means.append(float(distinct[position]))
            rows.append(float(count))
            atoms.append(True)
            short.append(False)
        else:
            run.append(position)
    close()
    for end, inner in ((0, 1), (-1, -2)):  # a short run at an end would end at one person's value
        if len(rows) > 1 and short[end]:
            rows[inner] += rows[end]
            del means[end], rows[end], atoms[end], short[end]
    return np.array(means), np.array(rows), np.array(atoms)


def _parts(run: Sequence[int], sharing: Sharing) -> list[list[int]]:
    """Cut a run of rare values into parts of at least LEAST people each; a short run is one part."""
    parts: list[list[int]] = [[]]
    for position in run:
        if sharing(parts[-1]) >= LEAST:
            parts.append([])
        parts[-1].append(position)
    if len(parts) > 1 and sharing(parts[-1]) < LEAST:
        short = parts.pop()
        parts[-1] += short
    return [part for part in parts if part]


def _ends(means: Floats, atoms: NDArray[np.bool_], half_step: float) -> tuple[Floats, Floats]:
    """Return where each item begins and ends: an atom at itself, a run half-way to its neighbouring run.

    Beside an atom a run stops half a step of the column's precision before it, so that it never rounds to the atom. At
    the ends of the column it stops at its own mean.
    """
    middle = (means[:-1] + means[1:]) / 2
    lower = np.concatenate([means[:1], np.where(atoms[:-1], np.minimum(means[:-1] + half_step, means[1:]), middle)])
    upper = np.concatenate([np.where(atoms[1:], np.maximum(means[1:] - half_step, means[:-1]), middle), means[-1:]])
    return np.where(atoms, means, lower), np.where(atoms, means, upper)
