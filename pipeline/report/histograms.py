"""Score histograms as SVG paths: what passed stands up, what was rejected hangs down, thresholds are lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import POOLED
from fairshards.pipeline.report.reader import Reader, Row
from fairshards.pipeline.report.scores import (
    Threshold,
    decisive,
    of_group,
    rank,
    significant,
    thresholds,
    tick_text,
    title_of,
)

BINS = 48
MOST_GROUPS = 24
"""Groups with panels of their own; what they add to the page stays small."""
SPREAD = 20.0
"""A positive score whose highest value is this many times its lowest gets a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """A score's axis: [low, high] in its own unit, or in logarithms of it."""

    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        """Return where a value lies, 0 at the left end and 1 at the right end."""
        return ((math.log(value) if self.log else value) - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values on the axis, at most about ``most``."""
        if self.log:
            return _log_ticks(math.exp(self.low), math.exp(self.high), most)
        step = _round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 12) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Panel:
    """One histogram: its paths in a ``width`` x ``height`` box, and the counts behind them."""

    title: str
    width: int
    height: int
    base: float
    up: str
    down: str
    passed: int
    rejected: int
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Score:
    """A score's histogram over all groups, and one per group; ``rules`` say in words what is kept by it."""

    name: str
    title: str
    meaning: str
    n: int
    rules: tuple[str, ...]
    log: bool
    whole: Panel
    groups: tuple[Panel, ...]


def histograms(reader: Reader, settings: Mapping[str, Any], groups: Sequence[str]) -> list[Score]:
    """Return one Score per measured score, with what the curation of these settings decided by it."""
    bounds, filters = thresholds(settings), tuple(settings.get("filters") or ())
    measured = sorted(reader.rows("measured"), key=lambda row: rank(row["score"], filters))
    return [
        _score(reader, row, [bound for bound in bounds if bound.score == row["score"]], filters, groups)
        for row in measured
    ]


def axis_of(title: ScoreTitle, low: float, high: float, bounds: Sequence[Threshold]) -> Axis:
    """Return the axis of a score: its range, widened to a threshold that lies near it."""
    if title.probability:
        return Axis(0.0, 1.0, False)
    log = low > 0 and high / low > SPREAD
    ends = [math.log(low), math.log(high)] if log else [low, high]
    room = (ends[1] - ends[0]) or abs(ends[0]) * 0.1 or 1.0
    for bound in bounds:
        if not log or bound.value > 0:
            value = math.log(bound.value) if log else bound.value
            if ends[0] - room / 2 <= value <= ends[1] + room / 2:
                ends = [min(ends[0], value), max(ends[1], value)]
    return Axis(ends[0] - room * 0.02, ends[1] + room * 0.02, log)


def _score(
    reader: Reader, row: Row, bounds: Sequence[Threshold], filters: Sequence[str], groups: Sequence[str]
) -> Score:
    name = row["score"]
    title = title_of(name, filters)
    axis = axis_of(title, row["low"], row["high"], bounds)
    bins = reader.rows("bins", score=name, low=axis.low, high=axis.high, bins=BINS, log=axis.log)
    inside = [bound for bound in bounds if (not axis.log or bound.value > 0) and 0 <= axis.share(bound.value) <= 1]

    def lines(group: str) -> tuple[tuple[float, str], ...]:
        held = of_group(inside, group)
        return tuple((axis.share(bound.value), f"{bound.sign} {significant(bound.value)}") for bound in held)

    per_group = {name: [found for found in bins if found["group_name"] == name] for name in groups[:MOST_GROUPS]}
    return Score(
        name,
        title.title,
        title.sentence,
        row["n"],
        _rules((name, title), bounds, inside, filters),
        axis.log,
        _panel("all groups", bins, axis, lines(POOLED), (520, 170)),
        tuple(_panel(group, found, axis, lines(group), (260, 110)) for group, found in per_group.items() if found),
    )


def _rules(
    score: tuple[str, ScoreTitle], bounds: Sequence[Threshold], inside: Sequence[Threshold], filters: Sequence[str]
) -> tuple[str, ...]:
    """Return what a curation demands of a score; of the judge, its likeliest answer as well."""
    name, title = score
    if not any(decisive(used, name) for used in filters):
        return ("No filter decides by it.",) if filters else ()
    answer = ("The likeliest answer must be the one asked for.",) if title.probability else ()
    held, own = of_group(bounds, POOLED), {bound.group for bound in bounds} - {POOLED}
    off = ["" if bound in inside else ", off this axis" for bound in held]
    told = tuple(f"Keeps {b.sign} {significant(b.value)}{note}." for b, note in zip(held, off, strict=True))
    return answer + told + ((f"{len(own)} groups have limits of their own.",) if own else ())


def _panel(
    title: str, bins: Sequence[Row], axis: Axis, lines: tuple[tuple[float, str], ...], size: tuple[int, int]
) -> Panel:
    width, height = size
    passed, rejected = _counts(bins, True), _counts(bins, False)
    room = height - 22
    base = round(room * (0.62 if rejected and passed else 1.0 if passed else 0.12), 1)
    up, down = _bars(passed, width, base, 10 - base), _bars(rejected, width, base, room - base)
    ticks = tuple((round(axis.share(tick) * width, 1), tick_text(tick)) for tick in axis.ticks(5 if width > 300 else 3))
    marks = tuple((round(share * width, 1), label) for share, label in lines)
    return Panel(title, width, height, base, up, down, sum(passed.values()), sum(rejected.values()), ticks, marks)


def _counts(bins: Sequence[Row], accepted: bool) -> dict[int, int]:
    found: dict[int, int] = {}
    for row in bins:
        if row["accepted"] is accepted:
            found[row["bin"]] = found.get(row["bin"], 0) + row["n"]
    return found


def _bars(counts: Mapping[int, int], width: int, base: float, tall: float) -> str:
    """Return one path of bars from the base line; the highest one is ``tall`` (negative: upwards), none below 1.5."""
    most, step = max(counts.values(), default=1), width / BINS
    heights = {number: max(1.5, count / most * abs(tall)) for number, count in sorted(counts.items())}
    return "".join(
        f"M{number * step + 0.4:.1f} {base:.1f}h{step - 0.8:.1f}v{math.copysign(high, tall):.1f}h{0.8 - step:.1f}z"
        for number, high in heights.items()
    )


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten on the axis, with 2 and 5 between them where there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]
