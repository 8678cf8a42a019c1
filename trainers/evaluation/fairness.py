"""How a prediction treats the groups of a protected attribute, with what chance alone would show.

Differences and ratios are defined as fairlearn's, which the tests hold them against; intervals, signed gaps and the
noise floor are ours (docs/methods.md#demographic-parity-and-equalised-odds). |gap| and max - min are biased upward:
with groups of a few dozen people they are large where nothing is unfair. The floor says how large: S is permuted
within y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.int64]
Names = NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """A number with its 95% interval, where it has one; ``floor`` is what permuted groups give (mean, 95%)."""

    metric: str
    value: float
    group: str | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    floor: tuple[float, float] | None = None
    note: str | None = None


def at_rate(scores: NDArray[np.float64], share: float) -> Flags:
    """Return int64[n]: 1 for the ``share`` of rows with the highest scores, the base-rate threshold."""
    predicted = np.zeros(len(scores), np.int64)
    predicted[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = 1
    return predicted


def compared_groups(y: Flags, s: Names, fewest: int) -> tuple[list[str], dict[str, int]]:
    """Return the groups with ``fewest`` people of either class, largest first, and the others' smaller class's size."""
    sizes = {str(group): int(min((y[s == group] == value).sum() for value in (0, 1))) for group in np.unique(s)}
    kept = sorted((group for group, size in sizes.items() if size >= fewest), key=lambda group: -(s == group).sum())
    return kept, {group: size for group, size in sizes.items() if size < fewest}


def fairness(y: Flags, predicted: Flags, s: Names, fewest: int, draws: int, seed: int = 0) -> list[Measured]:
    """Return demographic parity, equalised odds, and each group's signed gaps to the largest group.

    Args:
        y, predicted: int64[n] of 0 and 1. s: the protected attribute's values.
        fewest: People of either class that a group needs to be compared; others are named with a note.
        draws: Bootstrap resamples and permutations; 0: neither.
    """
    groups, small = compared_groups(y, s, fewest)
    few = f"people of a class; at least {fewest} are needed"
    notes = [Measured("tpr_gap", math.nan, group, n=size, note=f"{size} {few}") for group, size in small.items()]
    here = np.isin(s, groups)
    y, predicted, s = y[here], predicted[here], s[here]
    if len(groups) < 2:
        return [*notes, Measured("demographic_parity_difference", math.nan, note="fewer than two groups to compare")]
    reference = groups[0]
    point = _all(y, predicted, s, groups)
    generator = np.random.default_rng(seed)
    resampled = [
        _all(y[rows], predicted[rows], s[rows], groups) for rows in (_stratified(y, s, generator) for _ in range(draws))
    ]
    permuted = [_all(y, predicted, _within(y, s, generator), groups) for _ in range(draws)]
    found = []
    for (metric, group), value in point.items():
        low, high = _interval([one[metric, group] for one in resampled])
        floor = [abs(one[metric, group]) for one in permuted]
        found.append(
            Measured(
                metric,
                value,
                group,
                low,
                high,
                int((s == group).sum()) if group else len(y),
                (float(np.mean(floor)), float(np.quantile(floor, 0.95))) if floor else None,
                f"against {reference}" if group and metric.endswith("gap") else None,
            )
        )
    return [*found, *notes]


def _all(y: Flags, predicted: Flags, s: Names, groups: Sequence[str]) -> dict[tuple[str, str | None], float]:
    """Return every metric; gaps are the reference group's rate minus the group's, so positive is to its harm."""
    tpr, fpr, selected = (
        [_rate(predicted, (s == group) & condition) for group in groups]
        for condition in (y == 1, y == 0, np.ones(len(y), bool))
    )
    found: dict[tuple[str, str | None], float] = {
        ("demographic_parity_difference", None): max(selected) - min(selected),
        ("demographic_parity_ratio", None): min(selected) / max(selected) if max(selected) else math.nan,
        ("equalized_odds_difference", None): max(max(tpr) - min(tpr), max(fpr) - min(fpr)),
    }
    for number, group in enumerate(groups):
        found["selection_rate", group] = selected[number]
        found["tpr", group], found["fpr", group] = tpr[number], fpr[number]
        if number:
            found["tpr_gap", group] = tpr[0] - tpr[number]
            found["fpr_gap", group] = fpr[0] - fpr[number]
    return found


def _rate(predicted: Flags, where: NDArray[np.bool_]) -> float:
    return float(predicted[where].mean()) if where.any() else math.nan


def _stratified(y: Flags, s: Names, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return a bootstrap of row numbers within each (y, s), so that no group is ever empty."""
    parts = []
    for group in np.unique(s):
        for value in (0, 1):
            rows = np.flatnonzero((s == group) & (y == value))
            parts.append(generator.choice(rows, len(rows)))
    return np.concatenate(parts)


def _within(y: Flags, s: Names, generator: np.random.Generator) -> Names:
    """Return S permuted within y: what is left of a gap is chance."""
    found = s.copy()
    for value in (0, 1):
        rows = np.flatnonzero(y == value)
        found[rows] = s[generator.permutation(rows)]
    return found


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
