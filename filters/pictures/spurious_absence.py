"""Absence of spurious phrases: none of those that a sample must be free of may be visible to CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import CalibratedFilter, Verdict
from fairshards.filters.limits import Limit

SCORE = "spurious_presence"
LIMIT = Limit(SCORE, "at most", "real")


@dataclass(frozen=True)
class PhraseContrast:
    """How CLIP is asked whether a phrase is visible: prompts of pictures with it, against prompts of those without.

    Raises:
        ValueError: no prompt on one of both sides.
    """

    phrase: str
    present: tuple[str, ...]
    absent: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.present or not self.absent:
            raise ValueError(
                f"phrase {self.phrase!r} needs prompts of pictures with it and without it, got "
                f"{list(self.present)} and {list(self.absent)}"
            )


@dataclass(frozen=True, kw_only=True)
class SpuriousAbsence(CalibratedFilter):
    """Keeps a sample in which no phrase of its ``spurious`` list is likelier than ``max`` to be visible.

    The score is the highest such probability, in [0, 1]; its label is that phrase. A sample whose plan names no
    phrase passes. ``retain`` takes a limit from real pictures whose captions have none of their class's phrases; 0.5
    is their median. Reason code: ``spurious``.
    """

    name: ClassVar[str] = "spurious_absence"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    max: float = 0.5

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the score where the sample must be free of phrases."""
        return cls.scores if sample.get("spurious") else ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.max <= 1:
            raise ValueError(f"spurious_absence.max is {self.max}; it lies in [0, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the probability to 4 decimals."""
        if not sample.get("spurious"):
            return True
        if self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(LIMIT, scores[SCORE] or 0.0, sample, self.max) else (False, "spurious")
