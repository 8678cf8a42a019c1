"""Calibration curves as SVG paths: the limit that would retain each share of a calibration set, and the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from fairshards.filters.limits import POOLED
from fairshards.pipeline.report.histograms import MOST_GROUPS, Axis, axis_of
from fairshards.pipeline.report.reader import Reader, Row
from fairshards.pipeline.report.scores import significant, tick_text, title_of

LEAST = 0.5
"""The smallest share that curves show."""
WIDTH, HEIGHT, ROOM = 520, 190, 170


@dataclass(frozen=True)
class Curve:
    """One group's curve in the chart's box, or that of all groups."""

    group: str
    path: str
    pooled: bool


@dataclass(frozen=True)
class Calibrated:
    """A score's calibration by one filter: the chart, and the limits by group, all groups' first.

    ``mark`` are x, y, and the ends of the interval of the pooled limit; None where it has none or is off the chart.
    """

    filter: str
    title: str
    keeps: str
    over: str
    retain: float
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    mark: tuple[float, float, float, float] | None
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT


def calibrations(reader: Reader) -> list[Calibrated]:
    """Return the calibrations of the curation that the report is about."""
    rows = reader.rows("calibrations")
    return [_calibrated(reader, list(own)) for _, own in groupby(rows, key=lambda row: (row["filter"], row["score"]))]


def _calibrated(reader: Reader, rows: list[Row]) -> Calibrated:
    first = rows[0]
    points = [
        row
        for row in reader.rows("calibration_curves", filter=first["filter"], least=LEAST)
        if row["score"] == first["score"]
    ]
    values = [row["threshold"] for row in points] or [0.0]
    title = title_of(first["score"], [first["filter"]])
    axis = axis_of(title, min(values), max(values), [])
    by_group = {name: list(own) for name, own in groupby(points, key=lambda row: str(row["group_name"]))}
    curves = tuple(_curve(name, own, axis) for name, own in list(by_group.items())[: MOST_GROUPS + 1])
    return Calibrated(
        first["filter"],
        title.title,
        first["keeps"],
        first["calibrated_on"],
        first["retain"],
        tuple(_told(row) for row in rows),
        curves,
        _mark(first, axis),
        tuple((round(_x(share), 1), f"{share:.0%}") for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        tuple((round(_y(tick, axis), 1), tick_text(tick)) for tick in axis.ticks(5)) if points else (),
    )


def _told(row: Row) -> Row:
    """Return a row of the table: numbers as people read them."""
    low, high = (significant(row[end]) if row[end] is not None else "?" for end in ("low", "high"))
    sure = f"{low} to {high}" if row["threshold"] is not None else ""
    name = "all groups" if row["group_name"] == POOLED else row["group_name"]
    return {
        "group": name,
        "n": row["n"],
        "dropped": row["dropped"],
        "note": row["note"] or "",
        "sure": sure,
        "limit": "" if row["threshold"] is None else significant(row["threshold"]),
    }


def _curve(name: str, points: Sequence[Row], axis: Axis) -> Curve:
    places = [f"{_x(row['share']):.1f} {_y(row['threshold'], axis):.1f}" for row in points]
    return Curve(name, f"M{'L'.join(places)}", name == POOLED)


def _mark(row: Row, axis: Axis) -> tuple[float, float, float, float] | None:
    if row["threshold"] is None or row["retain"] < LEAST:
        return None
    ends: list[Any] = [row["threshold"] if row[end] is None else row[end] for end in ("low", "high")]
    x, y, low, high = _x(row["retain"]), *(_y(value, axis) for value in (row["threshold"], *ends))
    return round(x, 1), round(y, 1), round(low, 1), round(high, 1)


def _x(share: float) -> float:
    return (share - LEAST) / (1 - LEAST) * WIDTH


def _y(value: float, axis: Axis) -> float:
    return ROOM * (1 - axis.share(value))
