"""How long work will take, by how long its parts took: for the plan before a run and for the progress during it."""

from __future__ import annotations


def seconds_for(parts: float, seconds_each: float, workers: int = 1) -> float:
    """Return the seconds that ``parts`` equal parts take, ``workers`` of them at a time, at ``seconds_each`` a part."""
    return parts * seconds_each / workers
