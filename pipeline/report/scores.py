"""The scores by name: what each one says, its unit, and the thresholds that a curation set on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import POOLED
from fairshards.filters.registry import known_filter, reason_sentences, score_titles

OF_QUOTA = {
    "surplus": "passed every filter; over the quota",
    "pruned": "its preview half-way missed group or prompt",
    "balance": "passed every filter; dropped so that groups are equal",
}
"""Reasons that no filter gives."""
_AT_LEAST, _AT_MOST = ("min", "min_probability"), ("max",)


@dataclass(frozen=True)
class Threshold:
    """A bound on a score: kept is what is at least ("≥") or at most ("≤") ``value``, in a group or all (``POOLED``)."""

    score: str
    sign: str
    value: float
    group: str = POOLED


def rank(score: str, filters: Iterable[str] = ()) -> tuple[int, str]:
    """Return a sort key: the scores that filters declare first, in the order of these filters."""
    known = list(score_titles(filters))
    return (known.index(score) if score in known else len(known)), score


def title_of(score: str, filters: Iterable[str] = ()) -> ScoreTitle:
    """Return how a score is shown: as a filter of ours or one of ``filters`` declares it, or else by its name."""
    return score_titles(filters).get(score) or ScoreTitle(score.replace("_", " "))


def short_name(score: str, filters: Iterable[str] = ()) -> str:
    """Return the score's name as it stands under a thumbnail."""
    return title_of(score, filters).short or score.replace("_", " ")


def meanings(filters: Iterable[str] = ()) -> dict[str, str]:
    """Return what each reason code means: those of the quota, and those of filters of ours and of ``filters``."""
    return {**OF_QUOTA, **reason_sentences(filters)}


def thresholds(settings: Mapping[str, Any]) -> list[Threshold]:
    """Return the bounds that decided, from a curation's settings: of two on one side the stricter one."""
    found = []
    for name, said in (settings.get("thresholds") or {}).items():
        low = [said[key] for key in _AT_LEAST if said.get(key)]
        high = [said[key] for key in _AT_MOST if said.get(key) is not None]
        kind = known_filter(name)
        for score in kind.scores if kind else ():
            measured = (said.get("limits") or {}).get(score) or {}
            keeps = next((limit.keeps for limit in getattr(kind, "limits_on", ()) if limit.score == score), None)
            for group in dict.fromkeys((POOLED, *measured)):
                limit = [measured.get(group, measured.get(POOLED))] if measured else []
                lows, highs = low + (limit if keeps == "at least" else []), high + (limit if keeps == "at most" else [])
                found += [Threshold(score, "≥", max(lows), group)] if lows else []
                found += [Threshold(score, "≤", min(highs), group)] if highs else []
    return found


def of_group(bounds: Sequence[Threshold], group: str) -> list[Threshold]:
    """Return the bounds of one score that hold for a group: its own, or else those of all groups."""
    own = [bound for bound in bounds if bound.group == group]
    return own or [bound for bound in bounds if bound.group == POOLED]


def score_text(score: str, value: float | None) -> str:
    """Return a score as it stands under a thumbnail."""
    if value is None or score == "trajectory_variance" or not abs(value) < 1e4:
        return significant(value, 2)
    return f"{value:.3f}"


def decisive(name: str, score: str) -> bool:
    """Return whether the filter of this name decides by this score."""
    kind = known_filter(name)
    return kind is not None and score in kind.scores


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number for people: decimals on scales around 1, scientific where it is very small or large."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 10 ** (digits + 2):
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(digits, decimals)}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def tick_text(value: float) -> str:
    """Return a round number as it stands on an axis: 0.75, 5e-4, 2000."""
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
