"""Cutting the rows of a plan or an index into the pieces that tasks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of a manifest, which have one value of a column; ``part`` counts that value's pieces."""

    value: str
    part: int
    start: int
    stop: int
    rows: Sequence[Row]

    def column(self, name: str) -> list[Any]:
        """Return the rows' values of a column."""
        return [row[name] for row in self.rows]


def cut(rows: Sequence[Row], column: str, size: int | None = None) -> Iterator[Piece]:
    """Yield all rows, in their order, in pieces of one value of ``column`` and of at most ``size`` rows.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"a task has {size} rows; it must have at least 1")
    end = 0
    for value, run in groupby(rows, key=lambda row: str(row[column])):
        start, end = end, end + sum(1 for _ in run)
        for part, first in enumerate(range(start, end, size or end - start)):
            last = min(first + size, end) if size else end
            yield Piece(value, part, first, last, rows[first:last])
