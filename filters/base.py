"""The contract of a filter: a small frozen dataclass that keeps a sample or says why not.

A newcomer reads this file first. A filter sees scores, never pixels or models, so that a changed threshold
costs no model call. Raw scores are all kept in the catalog; a filter only decides over them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

Verdict = Literal[True] | tuple[Literal[False], str]
"""``True``, or ``(False, reason)`` with a short reason code."""

DECIMALS = 4
EDIT = "edit"
"""The plan's ``kind`` of a sample that is an edited real picture."""


@dataclass(frozen=True)
class Filter(ABC):
    """Decides over one sample. A subclass's fields are its settings, named as in the recipe.

    Attributes:
        name: The key in the recipe and in the catalog's ``decisions``.
        version: Bumped when the same settings would decide differently.
        scores: The names of the scores that ``decide`` needs.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    scores: ClassVar[tuple[str, ...]]

    @abstractmethod
    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Return ``True`` to keep the sample, else ``(False, reason)``.

        Args:
            scores: Score name to value; None or missing where there is none.
            labels: Score name to the judge's answer, where the score has one.
            sample: The sample's row of the plan (``class_name``, ``bias_name``, ...).
        """

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the scores that deciding over this sample takes."""
        return cls.scores

    def resolve(self, pool: Mapping[str, Sequence[float | None]]) -> Self:
        """Return the filter with relative thresholds made absolute over ``pool`` (score name to all values)."""
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What decides, for the curation's identity: name, version and the fields."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def missing(self, scores: Mapping[str, float | None], needed: Sequence[str] | None = None) -> Verdict:
        """Return ``True`` when every needed score is there and finite, else ``(False, "<name>: not scored")``."""
        for score in self.scores if needed is None else needed:
            value = scores.get(score)
            if value is None or not math.isfinite(value):
                return False, f"{self.name}: not scored"
        return True


def is_edit(sample: Mapping[str, Any]) -> bool:
    """Tell whether a sample is an edited real picture, not one that was generated from a prompt alone."""
    return bool(sample.get("kind") == EDIT)


def rounded(value: float) -> float:
    """Return ``value`` to 4 decimals, as scores on a fixed scale are compared.

    Another machine or batch shape moves a score by some 1e-7; rounding keeps decisions equal but for the few
    scores that lie right at a rounding edge.
    """
    return round(value, DECIMALS)


def significant(value: float, digits: int = DECIMALS) -> float:
    """Return ``value`` to 4 significant digits, as scores without a fixed scale are compared.

    A trajectory variance may be 3e-2 in one model and 3e-6 in another: four decimals would make
    every value of the second one 0.
    """
    return float(f"{value:.{digits - 1}e}")
