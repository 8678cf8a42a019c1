"""Accuracies for the report: one row a method, loss and stage, over its seeds; the worst group of each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from catalogs.identity import canonical_json
from pipeline.report_catalog import Reader, Row

METHODS = {
    "erm": ("ERM", "real images only"),
    "usb": ("USB", "real, filled up with M − n synthetic a group"),
    "asb": ("ASB", "real, and m synthetic of every group"),
    "ffr": ("FFR", "m synthetic of every group first, then real"),
    "balanced-real": ("Balanced real", "reference: as many real images of every group"),
}
STAGE1 = ("FFR stage 1 alone", "the synthetic images alone, before it sees a real one")


@dataclass(frozen=True)
class Figure:
    """An accuracy in [0, 1]: the mean over seeds, its interval, n, and every seed's value.

    [low, high] is the 95% interval of a single training, and the range over seeds of several.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class MethodRow:
    """One method's figures on test. ``group`` is the worst group; ``agree`` how many seeds name that one."""

    label: str
    note: str
    method: str
    loss: str
    stage: str
    trainings: tuple[str, ...]
    worst: Figure
    group: str
    agree: int
    balanced: float
    average: float
    adjusted: float | None
    groups: dict[str, Figure]


@dataclass(frozen=True)
class Accuracies:
    """All methods in order, ``best`` the one with the highest worst group, ``others`` trainings not shown."""

    rows: list[MethodRow]
    best: MethodRow | None
    others: int
    seeds: int


def accuracies(reader: Reader) -> Accuracies:
    """Read the trainings of the current curation, and of none (ERM), and join their seeds."""
    trainings = reader.rows("trainings")
    current = {row["training_id"]: row for row in trainings if row["current"]}
    worst = [row for row in reader.rows("worst") if row["training_id"] in current]
    groups = [row for row in reader.rows("accuracy") if row["training_id"] in current]
    joined: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in worst:
        joined[_key(current[row["training_id"]], row["stage"])].append(row)
    rows = [_method_row(key, joined[key], groups) for key in sorted(joined, key=_order)]
    return Accuracies(
        _distinct(rows), max(rows, key=lambda row: row.worst.value, default=None),
        len(trainings) - len(current), max((len(row.trainings) for row in rows), default=0),
    )


def comparison(found: Accuracies) -> tuple[MethodRow, MethodRow] | None:
    """Return the first pair of FFR's and ERM's final rows with the same loss, if there is one."""
    final = [row for row in found.rows if row.stage == "final"]
    pairs = [(ffr, erm) for ffr in final for erm in final
             if (ffr.method, erm.method) == ("ffr", "erm") and ffr.loss == erm.loss]
    return next(iter(pairs), None)


def _key(training: Row, stage: str) -> tuple[str, str, str, str]:
    """Return what trainings share that differ by nothing but their seed."""
    said = json.loads(training["settings"] or "{}").get("settings") or {}
    rest = {name: value for name, value in said.items() if name not in ("seed", "method", "loss")}
    return training["method"], training["loss"], canonical_json(rest), stage


def _order(key: tuple[str, str, str, str]) -> tuple[str, str, int, str, bool]:
    """Order by loss, then by settings, then as the methods are introduced; a stage 1 stands under its method."""
    method, loss, rest, stage = key
    number = list(METHODS).index(method) if method in METHODS else len(METHODS)
    return loss, rest, number, method, stage != "final"


def _method_row(key: tuple[str, str, str, str], worst: Sequence[Row], groups: Iterable[Row]) -> MethodRow:
    method, loss, _, stage = key
    label, note = METHODS.get(method, (method, "")) if stage == "final" else STAGE1
    mine = {row["training_id"] for row in worst}
    per_group: dict[str, list[Row]] = defaultdict(list)
    for row in groups:
        if row["training_id"] in mine and row["stage"] == stage:
            per_group[row["group_name"]].append(row)
    group, agree = Counter(row["group_name"] for row in worst).most_common(1)[0]
    adjusted = [row["adjusted_average"] for row in worst]
    return MethodRow(
        label if loss == "erm" else f"{label}, {loss}", note, method, loss, stage, tuple(sorted(mine)), _figure(worst),
        group, agree, fmean(row["balanced"] for row in worst), fmean(row["average"] for row in worst),
        None if None in adjusted else fmean(adjusted), {name: _figure(rows) for name, rows in per_group.items()},
    )


def _figure(rows: Sequence[Row]) -> Figure:
    values = tuple(row["accuracy"] for row in rows)
    low, high = (rows[0]["low"], rows[0]["high"]) if len(rows) == 1 else (min(values), max(values))
    return Figure(fmean(values), low, high, min(row["n"] for row in rows), values)


def _distinct(rows: list[MethodRow]) -> list[MethodRow]:
    """Return the rows; where settings make two of one label, the label gets a training's id."""
    twice = {label for label, count in Counter(row.label for row in rows).items() if count > 1}
    return [
        row if row.label not in twice
        else MethodRow(**{**vars(row), "label": f"{row.label} ({row.trainings[0][:6]})"})
        for row in rows
    ]
