"""DDB's first pruning condition: the shortcut is still there when ERM is as sure as on real pictures.

See docs/methods.md#shortcut-left.


DDB edits a picture of class i into class i' and prunes it where ERM's probability of the *source* class is at least
its mean over that class: the edit changed nothing that ERM looks at. A spurious-free picture keeps its class, and what
was to change is what ERM takes it for; so it is pruned where ERM's probability of its own class is at least that
class's mean over real training pictures. Pictures that ERM knows by the object alone go with them: the condition asks
for pictures that teach ERM something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import Filter, Verdict, rounded

SCORE = "reference_excess"


@dataclass(frozen=True)
class ShortcutLeft(Filter):
    """Keeps a sample whose class the reference classifier gives less than that class's mean, plus ``margin``.

    The score is the probability minus the mean over the class's real training pictures, in [-1, 1].
    Reason code: ``shortcut_left``.
    """

    name: ClassVar[str] = "shortcut_left"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    reasons: ClassVar[Mapping[str, str]] = {
        "shortcut_left": "the reference classifier is as sure of its class as of real pictures"
    }

    margin: float = 0.0

    def __post_init__(self) -> None:
        if not -1 <= self.margin <= 1:
            raise ValueError(f"shortcut_left.margin is {self.margin}; it lies in [-1, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare to 4 decimals."""
        if self.missing(scores) is not True:
            return self.missing(scores)
        return True if rounded(scores[SCORE] or 0.0) < rounded(self.margin) else (False, "shortcut_left")
