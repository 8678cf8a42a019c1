"""Finding the bad rows of a batch that fails, by trying it again at the same shape with rows masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

PER_SAMPLE = (ValueError, TypeError, LookupError)
"""What a prompt can cause. RuntimeError (CUDA, out of memory), OSError and MemoryError never are."""
MACHINE = (OSError, RuntimeError, MemoryError)


def run_rows(run: Callable[[frozenset[int]], Sequence[T]], rows: int) -> list[T | Exception]:
    """Return, for each of ``rows`` rows, its result, or the exception that this row alone causes.

    ``run`` takes the rows to show as they are, puts something neutral in place of the others, and returns the
    results of all rows. Rows don't influence each other at a fixed shape, so a good row's result is
    the same beside masked rows. One bad row costs at most 2 log2(rows) further runs.

    Raises:
        Exception: an error of machine or model: one of ``MACHINE``, or one that neutral rows cause as well.
    """
    found = _bisect(run, range(rows))
    results = [found[row] for row in range(rows)]
    errors = [result for result in results if isinstance(result, Exception)]
    if errors and len(errors) == rows:
        _blame_the_model(run, errors[0])
    return results


def _bisect(run: Callable[[frozenset[int]], Sequence[T]], rows: Sequence[int]) -> dict[int, T | Exception]:
    try:
        made = run(frozenset(rows))
    except PER_SAMPLE as error:
        if isinstance(error, MACHINE):
            raise
        if len(rows) == 1:
            return {rows[0]: error}
        half = len(rows) // 2
        return {**_bisect(run, rows[:half]), **_bisect(run, rows[half:])}
    return {row: made[row] for row in rows}


def _blame_the_model(run: Callable[[frozenset[int]], Sequence[T]], first: Exception) -> None:
    """Raise ``first`` when a batch of neutral rows fails as well: then no sample is to blame."""
    try:
        run(frozenset())
    except PER_SAMPLE:
        raise first from None
