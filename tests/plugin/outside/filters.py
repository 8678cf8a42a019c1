"""Filters of somebody's own, each with a score of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fairshards.filters.base import Verdict
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit
from fairshards.filters.scorers.base import Scorer


@dataclass(frozen=True)
class BlueShare(Scorer):
    """Takes the share of a picture's light that is blue, of every ``step``-th pixel."""

    scores: ClassVar[tuple[str, ...]] = ("blue_share",)

    step: int = 1

    def score(self, samples: Any, plan: Sequence[Mapping[str, Any]]) -> list[dict[str, float | None]]:
        return [{"blue_share": float(self._share(pixels[:: self.step, :: self.step]))} for pixels in samples]

    @staticmethod
    def _share(pixels: Any) -> Any:
        return pixels[..., 2].sum() / max(1, pixels.sum(dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class Blue(LeastScore):
    """Keeps pictures that are blue enough."""

    name: ClassVar[str] = "blue"
    scores: ClassVar[tuple[str, ...]] = ("blue_share",)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        "blue_share": ScoreTitle("Blue", "share of the light that is blue", "parts of one", "blue", probability=True)
    }
    limits_on: ClassVar[tuple[Limit, ...]] = (Limit("blue_share", "at least", "real"),)
    reason: ClassVar[str] = "not_blue"
    reasons: ClassVar[Mapping[str, str]] = {"not_blue": "has too little blue for water"}
    asks: ClassVar[str] = "min (a share in [0, 1]), retain, or both"
    between: ClassVar[tuple[float, float, str] | None] = (0, 1, "a share lies in [0, 1]")

    step: int = 1

    def scorer(self) -> BlueShare:
        return BlueShare(self.step)


@dataclass(frozen=True)
class YearsLeft(Scorer):
    """Takes how far each patient's age is from a hundred."""

    scores: ClassVar[tuple[str, ...]] = ("years_left",)

    def score(self, samples: Any, plan: Sequence[Mapping[str, Any]]) -> list[dict[str, float | None]]:
        return [{"years_left": 100.0 - float(age)} for age in samples["age"]]


@dataclass(frozen=True, kw_only=True)
class Young(LeastScore):
    """Keeps patients who are young enough."""

    name: ClassVar[str] = "young"
    scores: ClassVar[tuple[str, ...]] = ("years_left",)
    limits_on: ClassVar[tuple[Limit, ...]] = (Limit("years_left", "at least", "real"),)
    reason: ClassVar[str] = "too old"
    asks: ClassVar[str] = "min (in years), retain, or both"

    def scorer(self) -> YearsLeft:
        return YearsLeft()


class Unfinished(LeastScore):
    """Says neither its name nor its scores."""


@dataclass(frozen=True, kw_only=True)
class Unscored(Blue):
    """Decides over a score that nobody takes."""

    scores: ClassVar[tuple[str, ...]] = ("clip_alignmnt",)

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        return True
