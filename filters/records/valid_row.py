"""Valid rows: a generated record whose numbers are in their valid ranges and that breaks no rule of its schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import Filter, Verdict

SCORE = "violations"
"""How many ranges and rules a row breaks; its label names the first."""


@dataclass(frozen=True)
class ValidRow(Filter):
    """Keeps a row without violations. Reason code: ``invalid: <column or rule>``."""

    name: ClassVar[str] = "valid_row"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Keep what breaks nothing."""
        there = self.missing(scores)
        if there is not True:
            return there
        return True if scores[SCORE] == 0 else (False, f"invalid: {labels.get(SCORE) or '?'}")
