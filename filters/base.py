"""The contract of a filter: a small frozen dataclass that keeps a sample or says why not.

A newcomer reads this file first. A filter sees scores, never pixels or models, so that a changed threshold
costs no model call. Raw scores are all kept in the catalog; a filter only decides over them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import POOLED, Limit, Threshold, by_score, calibrate, check_retain
from fairshards.filters.scorers.base import Scorer

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
        titles: What people are told of these scores, by name.
        reasons: What people are told of each reason code.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    scores: ClassVar[tuple[str, ...]]
    titles: ClassVar[Mapping[str, ScoreTitle]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}

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

    def scorer(self) -> Scorer | None:
        """Return what takes its scores of each sample, where no stage of ours does (``filters/scorers/base.py``)."""
        return None

    def to_calibrate(self) -> tuple[Limit, ...]:
        """Return the limits that its settings leave to a calibration set."""
        return ()

    def calibrated(self, thresholds: Sequence[Threshold]) -> Self:
        """Return the filter with the limits that were measured."""
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


@dataclass(frozen=True, kw_only=True)
class CalibratedFilter(Filter):
    """A filter whose limits can be measured (``filters/limits.py``).

    ``retain`` is the share of the calibration set that each limit keeps, in (0, 1]; without it nothing is measured.
    ``limits`` are what was measured, or what is known beforehand: by score, then by group or "*" for all others.
    """

    limits_on: ClassVar[tuple[Limit, ...]]

    retain: float | None = None
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.retain is not None:
            check_retain(self.retain, self.name)
        known = [limit.score for limit in self.limits_on]
        if unknown := set(self.limits) - set(known):
            raise ValueError(f"{self.name}.limits has {sorted(unknown)}; it limits {known}")

    def to_calibrate(self) -> tuple[Limit, ...]:
        """Return its limits, where a share to retain is set."""
        return self.limits_on if self.retain is not None else ()

    def measure(self, limit: Limit, values: Mapping[str, Sequence[float | None]]) -> list[Threshold]:
        """Return the thresholds of one limit over a calibration set's scores by group."""
        assert self.retain is not None
        return calibrate(limit, self.retain, values, self.compared)

    def calibrated(self, thresholds: Sequence[Threshold]) -> Self:
        """Return the filter with the limits that were measured."""
        return replace(self, limits=by_score(thresholds))

    @staticmethod
    def compared(value: float) -> float:
        """Return a score as it is compared."""
        return rounded(value)

    def within(self, limit: Limit, value: float, sample: Mapping[str, Any], fixed: float | None = None) -> bool:
        """Tell whether a score is inside the limit of its sample's group, and inside ``fixed``."""
        known = self.limits.get(limit.score, {})
        bounds = [fixed, known.get(str(sample.get("group_name")), known.get(POOLED))]
        mine, numbers = self.compared(value), [self.compared(bound) for bound in bounds if bound is not None]
        return all(mine <= bound if limit.keeps == "at most" else mine >= bound for bound in numbers)


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
