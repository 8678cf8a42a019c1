"""The scores by name: what each one says, its unit, and the thresholds that a curation set on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.filters.limits import POOLED
from fairshards.filters.registry import FILTERS

SHORT = {
    "clip_alignment": "CLIP",
    "judge_class": "class",
    "judge_bias": "bias",
    "trajectory_variance": "traj",
    "grey_scale": "grey",
    "silhouette_distance": "shape",
}
LONG = {
    "clip_alignment": ("CLIP alignment", "cosine between picture and prompt"),
    "judge_class": ("Judge: class", "probability of the class that was asked for"),
    "judge_bias": ("Judge: bias value", "probability of the bias value that was asked for"),
    "trajectory_variance": ("Trajectory variance", "how much the predicted picture still moved at the end"),
    "grey_scale": ("Grey scale", "distance from grey, in grey levels"),
    "silhouette_distance": ("Silhouette", "distance to the nearest silhouette of a real picture of its class"),
    "duplicate_in_group": ("Nearest in its group", "highest cosine with an earlier sample of its group"),
    "duplicate_of_real": ("Nearest real picture", "highest cosine with a real training picture of its class"),
}
REASONS = {
    "alignment": "resembles its prompt too little",
    "class": "the judge saw another class",
    "bias": "the judge saw another bias value",
    "class_unsure": "the judge was not sure enough of the class",
    "bias_unsure": "the judge was not sure enough of the bias value",
    "grey": "a grey picture",
    "trajectory": "was still moving at the end of sampling",
    "surplus": "passed every filter; over the quota",
    "shortcut_left": "the reference classifier is as sure of its class as of real pictures",
    "edit_misplaced": "the edit took less from its class inside the mask than the class's edits do on average",
    "duplicate": "nearly the same as an earlier sample of its group",
    "silhouette": "its object has a shape that no real picture of its class has",
    "memorised": "nearly the same as a real training picture",
    "pruned": "its preview half-way missed group or prompt",
    "balance": "passed every filter; dropped so that groups are equal",
}
_AT_LEAST, _AT_MOST = ("min", "min_probability"), ("max",)


@dataclass(frozen=True)
class Threshold:
    """A bound on a score: kept is what is at least ("≥") or at most ("≤") ``value``, in a group or all (``POOLED``)."""

    score: str
    sign: str
    value: float
    group: str = POOLED


def rank(score: str) -> tuple[int, str]:
    """Return a sort key: the scores that have a name first, in the order in which they are introduced here."""
    return (list(LONG).index(score) if score in LONG else len(LONG)), score


def short_name(score: str) -> str:
    """Return the score's name as it stands under a thumbnail."""
    return SHORT.get(score, score.replace("_", " "))


def long_name(score: str) -> tuple[str, str]:
    """Return the score's title and what it says."""
    return LONG.get(score, (score.replace("_", " "), ""))


def thresholds(settings: Mapping[str, Any]) -> list[Threshold]:
    """Return the bounds that decided, from a curation's settings: of two on one side the stricter one."""
    found = []
    for name, said in (settings.get("thresholds") or {}).items():
        low = [said[key] for key in _AT_LEAST if said.get(key)]
        high = [said[key] for key in _AT_MOST if said.get(key) is not None]
        for score in FILTERS[name].scores if name in FILTERS else ():
            measured = (said.get("limits") or {}).get(score) or {}
            keeps = _side(name, score)
            for group in dict.fromkeys((POOLED, *measured)):
                limit = [measured.get(group, measured.get(POOLED))] if measured else []
                lows, highs = low + (limit if keeps == "at least" else []), high + (limit if keeps == "at most" else [])
                found += [Threshold(score, "≥", max(lows), group)] if lows else []
                found += [Threshold(score, "≤", min(highs), group)] if highs else []
    return found


def _side(name: str, score: str) -> str | None:
    """Return which side of a measured limit the filter keeps."""
    return next((limit.keeps for limit in getattr(FILTERS[name], "limits_on", ()) if limit.score == score), None)


def of_group(bounds: Sequence[Threshold], group: str) -> list[Threshold]:
    """Return the bounds of one score that hold for a group: its own, or else those of all groups."""
    own = [bound for bound in bounds if bound.group == group]
    return own or [bound for bound in bounds if bound.group == POOLED]


def is_probability(score: str) -> bool:
    """Return whether a score's axis is [0, 1]."""
    return score.startswith("judge_")


def score_text(score: str, value: float | None) -> str:
    """Return a score as it stands under a thumbnail."""
    if value is None or score == "trajectory_variance" or not abs(value) < 1e4:
        return significant(value, 2)
    return f"{value:.3f}"


def decisive(name: str, score: str) -> bool:
    """Return whether the filter of this name decides by this score."""
    return name in FILTERS and score in FILTERS[name].scores


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
