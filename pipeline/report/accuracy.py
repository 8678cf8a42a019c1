"""Accuracies for the report: one row a method, loss and stage, over its seeds; the worst group of each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.pipeline.report.reader import Reader, Row
from fairshards.trainers.methods.registry import METHODS, known_loss, known_method


@dataclass(frozen=True)
class Figure:
    """An accuracy in [0, 1]: the mean over seeds, its interval, n, and the value of every seed.

    [low, high] is the 95% interval of a single training, and the range over seeds of several.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: dict[int, float]


@dataclass(frozen=True)
class MethodRow:
    """One method's figures on test. ``group`` is the worst group; ``agree`` how many seeds name that one.

    ``settings`` is ``settings_key`` of its trainings.
    """

    label: str
    note: str
    method: str
    loss: str
    settings: str
    stage: str
    trainings: tuple[str, ...]
    worst: Figure
    group: str
    agree: int
    balanced: float
    average: float
    adjusted: float | None
    groups: dict[str, Figure]

    @property
    def span(self) -> str:
        """What [low, high] of the row's figures is."""
        count = len(self.trainings)
        return "95% interval of one training" if count == 1 else f"range of {count} seeds"


@dataclass(frozen=True)
class Accuracies:
    """All methods in order, ``best`` the one with the highest worst group, ``others`` trainings not shown.

    ``seeds`` is the largest number of them in a row; ``selections`` are the rules that chose the models' epochs.
    """

    rows: list[MethodRow]
    best: MethodRow | None
    others: int
    seeds: int
    selections: list[str]


def accuracies(reader: Reader) -> Accuracies:
    """Read the trainings of the current curation, and of none (ERM), and join their seeds."""
    trainings = reader.rows("trainings")
    current = {row["training_id"]: row for row in trainings if row["current"]}
    worst, groups = _seeded(reader.rows("worst"), current), _seeded(reader.rows("accuracy"), current)
    joined: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in worst:
        joined[_key(current[row["training_id"]], row["stage"])].append(row)
    rows = [_method_row(key, joined[key], groups, current) for key in sorted(joined, key=_order)]
    return Accuracies(
        _distinct(rows),
        max(rows, key=lambda row: row.worst.value, default=None),
        len(trainings) - len(current),
        max((len(row.trainings) for row in rows), default=0),
        list(dict.fromkeys(row["selection"] for row in current.values() if row["selection"])),
    )


def settings_key(identity: Mapping[str, Any]) -> str:
    """Return, as one text, the settings of a training that its method, loss and seed don't say."""
    return canonical_json({name: value for name, value in identity.items() if name not in ("seed", "method", "loss")})


def _seeded(rows: Iterable[Row], current: Mapping[str, Row]) -> list[Row]:
    """Return the rows of current trainings, with the training's seed."""
    return [{**row, "seed": current[row["training_id"]]["seed"]} for row in rows if row["training_id"] in current]


def _head(training: Row) -> Mapping[str, Any]:
    """Return what the training's manifest says of it."""
    head: Mapping[str, Any] = json.loads(training["settings"] or "{}")
    return head


def _key(training: Row, stage: str) -> tuple[str, str, str, str]:
    """Return what trainings share that differ by nothing but their seed."""
    return training["method"], training["loss"], settings_key(_head(training).get("settings") or {}), stage


def _order(key: tuple[str, str, str, str]) -> tuple[str, int, str, str, bool]:
    """Order by loss, then as the methods are introduced, then by settings; a stage 1 stands under its method."""
    method, loss, settings, stage = key
    shipped = list(METHODS.built_in)
    number = shipped.index(method) if method in shipped else len(shipped)
    return loss, number, method, settings, stage != "final"


def _label(name: str | None, key: tuple[str, str, str, str]) -> tuple[str, str]:
    """Return a row's label and note, as its method and its loss declare them, where these can be had here."""
    method, loss, settings, stage = key
    paths = json.loads(settings)  # of classes that don't ship
    declared = known_method(paths.get(f"{method}.class", method))
    title, note = (declared.title, declared.note) if declared else (method, "")
    title = name or title
    if stage != "final":
        alone, note = declared.alone.get(stage, (stage, "")) if declared else (stage, "")
        title = f"{title} {alone}"
    declared_loss = known_loss(paths.get(f"{loss}.class", loss))
    drawn = declared_loss.title if declared_loss else loss
    return (f"{title}, {drawn}" if drawn else title), note


def _method_row(
    key: tuple[str, str, str, str], worst: Sequence[Row], groups: Iterable[Row], current: Mapping[str, Row]
) -> MethodRow:
    method, loss, settings, stage = key
    label, note = _label(_head(current[worst[0]["training_id"]]).get("name"), key)
    mine = {row["training_id"] for row in worst}
    per_group: dict[str, list[Row]] = defaultdict(list)
    for row in groups:
        if row["training_id"] in mine and row["stage"] == stage:
            per_group[row["group_name"]].append(row)
    group, agree = Counter(row["group_name"] for row in worst).most_common(1)[0]
    adjusted = [row["adjusted_average"] for row in worst]
    return MethodRow(
        label,
        note,
        method,
        loss,
        settings,
        stage,
        tuple(sorted(mine)),
        _figure(worst),
        group,
        agree,
        fmean(row["balanced"] for row in worst),
        fmean(row["average"] for row in worst),
        None if None in adjusted else fmean(adjusted),
        {name: _figure(rows) for name, rows in per_group.items()},
    )


def _figure(rows: Sequence[Row]) -> Figure:
    values = [row["accuracy"] for row in rows]
    low, high = (rows[0]["low"], rows[0]["high"]) if len(rows) == 1 else (min(values), max(values))
    seeds = {row["seed"]: row["accuracy"] for row in rows}
    return Figure(fmean(values), low, high, min(row["n"] for row in rows), seeds)


def _distinct(rows: list[MethodRow]) -> list[MethodRow]:
    """Return the rows; where settings make two of one label, the label gets a training's id."""
    twice = {label for label, count in Counter(row.label for row in rows).items() if count > 1}
    return [
        row if row.label not in twice else MethodRow(**{**vars(row), "label": f"{row.label} ({row.trainings[0][:6]})"})
        for row in rows
    ]
