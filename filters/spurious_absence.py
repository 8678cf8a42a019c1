"""Absence of spurious phrases: none of those that a sample must be free of may be visible to CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from filters.base import Filter, Verdict, rounded

SCORE = "spurious_presence"


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
            raise ValueError(f"phrase {self.phrase!r} needs prompts of pictures with it and without it, got "
                             f"{list(self.present)} and {list(self.absent)}")


@dataclass(frozen=True)
class SpuriousAbsence(Filter):
    """Keeps a sample in which no phrase of its ``spurious`` list is likelier than ``max`` to be visible.

    The score is the highest such probability, in [0, 1]; its label is that phrase. A sample whose plan names no
    phrase passes. Reason code: ``spurious``.
    """

    name: ClassVar[str] = "spurious_absence"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)

    max: float = 0.5

    def __post_init__(self) -> None:
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
        return True if rounded(scores[SCORE] or 0.0) <= rounded(self.max) else (False, "spurious")
