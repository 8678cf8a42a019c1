"""What a filter says of its scores, once, for reports, cards and tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoreTitle:
    """How a score is shown to people.

    Attributes:
        title: Above its histogram.
        meaning: What it measures, in a few words.
        unit: What it is counted in, e.g. "grey levels"; "" for a plain number.
        short: Under a thumbnail; "" for the score's name.
        probability: Whether its axis is [0, 1], and the likeliest answer counts.
    """

    title: str
    meaning: str = ""
    unit: str = ""
    short: str = ""
    probability: bool = False

    @property
    def sentence(self) -> str:
        """Its meaning with its unit."""
        return f"{self.meaning}, in {self.unit}" if self.unit else self.meaning
