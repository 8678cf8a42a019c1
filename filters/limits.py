"""Limits that are measured, not guessed: a score's quantile over a calibration set, and how sure it is.

A filter with ``retain`` keeps that share of a calibration set: real pictures where the score can be taken of them too
(docs/methods.md#measured-limits), samples in support where only a generated one has it. Every prompt group has a limit
of its own where it has enough values, that is where both ends of the quantile's 95% interval lie inside them; the
others share the pooled one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

POOLED = "*"
"""Stands for all groups; no group name has a "*" alone, since it has a "|"."""
FEWEST = 10
"""Values below which there is no limit at all: each of them would decide what is usual."""
SHARES = (*(round(step / 50, 2) for step in range(1, 48)), 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 1.0)
"""The shares retained at which a curve is stored."""


@dataclass(frozen=True)
class Limit:
    """A limit that a filter may take from a calibration set.

    Attributes:
        score: The score that is limited.
        keeps: Which side of the limit is kept.
        over: The calibration set: "real" pictures of the training split, or the "samples" that passed the filters
            before this one.
    """

    score: str
    keeps: Literal["at most", "at least"]
    over: Literal["real", "samples"]


@dataclass(frozen=True)
class Threshold:
    """A limit that was measured, of one prompt group or of all (``POOLED``).

    Attributes:
        n, dropped: How many finite values there were, and how many others (NaN, infinite, not scored).
        value: The limit; None where there are too few values, which ``note`` says.
        low, high: The 95% interval of the quantile by order statistics; None where it goes beyond the values.
        curve: (share retained, limit) pairs.
    """

    score: str
    keeps: Literal["at most", "at least"]
    over: Literal["real", "samples"]
    group: str
    retain: float
    n: int
    dropped: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    note: str | None = None


def calibrate(
    limit: Limit, retain: float, values: Mapping[str, Sequence[float | None]], rounded: Callable[[float], float]
) -> list[Threshold]:
    """Return the pooled threshold, then that of every group that has enough values for its own.

    ``values`` holds the calibration set's scores by group; ``rounded`` is how the filter compares them.

    Raises:
        ValueError: ``retain`` isn't in (0, 1].
    """
    check_retain(retain, limit.score)
    together = [value for own in values.values() for value in own]
    found = [_threshold(limit, retain, POOLED, together, rounded)]
    for group, own in values.items():
        one = _threshold(limit, retain, group, own, rounded)
        if one.low is not None and one.high is not None and one.n >= FEWEST:
            found.append(one)
        else:
            note = f"{one.n} values are too few to tell the {retain:.3g} quantile: the limit of all groups holds"
            found.append(Threshold(limit.score, limit.keeps, limit.over, group, retain, one.n, one.dropped, note=note))
    return found


def check_retain(retain: float, name: str) -> None:
    """Raise ValueError for a share that isn't in (0, 1]."""
    if not 0 < retain <= 1:
        raise ValueError(f"{name}.retain is {retain}; it is a share of the calibration set, in (0, 1]")


def by_score(thresholds: Sequence[Threshold]) -> dict[str, dict[str, float]]:
    """Return the limits as filters take them: by score, then by group."""
    found: dict[str, dict[str, float]] = {}
    for one in thresholds:
        if one.value is not None:
            found.setdefault(one.score, {})[one.group] = one.value
    return found


def _threshold(
    limit: Limit, retain: float, group: str, values: Sequence[float | None], rounded: Callable[[float], float]
) -> Threshold:
    sign = 1 if limit.keeps == "at most" else -1
    finite = sorted(sign * rounded(value) for value in values if value is not None and math.isfinite(value))
    n, dropped = len(finite), len(values) - len(finite)
    if n < FEWEST:
        note = f"{n} values to calibrate on; at least {FEWEST} are needed, so nothing is limited"
        return Threshold(limit.score, limit.keeps, limit.over, group, retain, n, dropped, note=note)
    low, high = (None if rank is None else sign * finite[rank - 1] for rank in _interval(n, retain))
    return Threshold(
        limit.score,
        limit.keeps,
        limit.over,
        group,
        retain,
        n,
        dropped,
        sign * finite[_rank(n, retain) - 1],
        *((low, high) if sign > 0 else (high, low)),
        curve=tuple((share, sign * finite[_rank(n, share) - 1]) for share in SHARES),
    )


def _rank(n: int, share: float) -> int:
    """Return the number, from 1, of the smallest value that at least ``share`` of n values don't exceed."""
    return max(1, math.ceil(round(share * n, 9)))


def _interval(n: int, share: float) -> tuple[int | None, int | None]:
    """Return the ranks between which the quantile lies with 95% confidence; None for one beyond the values.

    The number of values below the quantile is binomial.
    """
    from scipy.stats import binom

    low, high = int(binom.ppf(0.025, n, share)), int(binom.ppf(0.975, n, share)) + 1
    return low if low >= 1 else None, high if high <= n else None
