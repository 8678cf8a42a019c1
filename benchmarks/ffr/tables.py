"""Means with t intervals, paired differences, and the Markdown tables of the FFR benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.trainers.classifiers.selection import SELECTION

# Two-sided 95% quantiles of Student's t by degrees of freedom; the normal one beyond the table.
T95 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)
METHODS = {"erm": "none", "usb": "USB", "asb": "ASB", "ffr": "FFR"}
REFERENCES = {
    "ffr-stage1": "FFR stage 1 alone",
    "erm-longer": "none, twice the epochs",
    "balanced-real": "balanced real, same size",
    "zero-shot": "zero-shot CLIP",
}
BALANCED = 0.5
LOSSES = {"erm": "ERM", "resample": "Resample", "": ""}
FIGURES = {
    "worst_group": "worst group",
    "balanced": "balanced",
    "average": "average",
    "adjusted_average": "adjusted average",
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and the half-width of its 95% t interval; None with one seed."""

    mean: float
    half: float | None
    n: int

    def percent(self, signed: bool = False) -> str:
        """Return "74.1 ± 3.2" in percentage points."""
        mean = f"{100 * self.mean:+.1f}" if signed else f"{100 * self.mean:.1f}"
        return mean if self.half is None else f"{mean} ± {100 * self.half:.1f}"


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent ``values`` with its 95% t interval."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Interval(mean, None, n)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    quantile = T95[n - 2] if n - 2 < len(T95) else 1.96
    return Interval(mean, quantile * deviation / math.sqrt(n), n)


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    """Return the mean of ``one - other`` over the seeds that both have, with its paired t interval."""
    seeds = sorted(one.keys() & other.keys())
    return mean_interval([one[seed] - other[seed] for seed in seeds]) if seeds else None


def by_seed(rows: Iterable[Row], ratio: float, method: str, loss: str, figure: str = "worst_group") -> dict[int, float]:
    """Return a figure per seed for one cell of the grid."""
    key = (ratio, method, loss)
    return {row["seed"]: row[figure] for row in rows if (row["ratio"], row["method"], row["loss"]) == key}


def worst_table(rows: Sequence[Row]) -> str:
    """Return the Markdown table of worst groups alone: a line per method and loss, a column per bias ratio.

    Balanced real data have no bias ratio but 0.5: their value stands in every column.
    """
    ratios = sorted({row["ratio"] for row in rows} - {BALANCED})
    lines = [_line(["method", "loss", *(f"r = {ratio:g}" for ratio in ratios)])]
    lines.append(_line(["---", "---", *["---:"] * len(ratios)]))
    for method, name in {**METHODS, **REFERENCES}.items():
        for loss, loss_name in LOSSES.items():
            of = [BALANCED] * len(ratios) if method == "balanced-real" else ratios
            found = [list(by_seed(rows, ratio, method, loss).values()) for ratio in of]
            if any(found):
                cells = [mean_interval(values).percent() if values else "" for values in found]
                lines.append(_line([name, loss_name, *cells]))
    return "\n".join(lines)


def results_table(rows: Sequence[Row]) -> str:
    """Return the Markdown table of means and intervals, one line per ratio, method and loss."""
    head = ["r", "method", "loss", *FIGURES.values(), "synthetic", "steps", "I(Y;(B,G)) bits", "seeds"]
    lines = [_line(head), _line(["---"] * len(head))]
    for ratio in sorted({row["ratio"] for row in rows}):
        for method, name in {**METHODS, **REFERENCES}.items():
            for loss, loss_name in LOSSES.items():
                if by_seed(rows, ratio, method, loss):
                    lines.append(_line([f"{ratio:g}", name, loss_name, *_figures(rows, ratio, method, loss)]))
    return "\n".join(lines)


def differences_table(rows: Sequence[Row]) -> str:
    """Return the Markdown table of FFR's worst group minus the others', same loss and seed, whatever the sign."""
    others = {"erm": "none", "usb": "USB", "asb": "ASB", "ffr-stage1": "its stage 1 alone"}
    head = ["r", "loss", *(f"FFR − {name}" for name in others.values())]
    lines = [_line(head), _line(["---"] * len(head))]
    for ratio in sorted({row["ratio"] for row in rows}):
        for loss in ("erm", "resample"):
            ours = by_seed(rows, ratio, "ffr", loss)
            if ours:
                theirs = (by_seed(rows, ratio, method, "" if method == "ffr-stage1" else loss) for method in others)
                found = (paired_difference(ours, other) for other in theirs)
                cells = [difference.percent(signed=True) if difference else "" for difference in found]
                lines.append(_line([f"{ratio:g}", LOSSES[loss], *cells]))
    return "\n".join(lines)


def report(rows: Sequence[Row]) -> str:
    """Return the three tables with what they mean."""
    return (
        "Test accuracy in percent: mean over seeds ± half-width of the 95% t interval. Average is plain, adjusted "
        "average is weighted by the training set's group shares. Steps are optimiser steps over all stages.\n"
        f"Selection: {SELECTION}.\n\n"
        f"Worst group:\n\n{worst_table(rows)}\n\nEverything:\n\n"
        f"{results_table(rows)}\n\n"
        "Worst group, paired by seed: mean difference in points ± half-width of the 95% paired t interval.\n\n"
        f"{differences_table(rows)}\n"
    )


def _figures(rows: Sequence[Row], ratio: float, method: str, loss: str) -> list[str]:
    cells = [mean_interval(list(by_seed(rows, ratio, method, loss, figure).values())).percent() for figure in FIGURES]
    synthetic = by_seed(rows, ratio, method, loss, "synthetic")
    steps = max(by_seed(rows, ratio, method, loss, "steps").values())
    bits = [value for value in by_seed(rows, ratio, method, loss, "bits").values() if value is not None]
    return [
        *cells,
        f"{max(synthetic.values()):,}",
        f"{steps:,}" if steps else "",
        f"{max(bits):.2f}" if bits else "",
        str(len(synthetic)),
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
