"""DDB's second pruning condition: an edit that worked in the wrong place, or hardly at all.

See docs/methods.md#attribution-inside-the-mask.

DDB edits a picture x of class i inside a mask M into x' of class i', and prunes it where rho <= P_i'. There
rho = sum_k M_k IG_k(x'), IG are the integrated gradients of f_i' from x to x', and P_i' is a mean of class i': f_i'
should *rise* inside the mask. ASPIRE's edits go the other way: the class y stays, and what is edited out is what a
biased classifier took for it, so inside the mask p_y should *fall*. So f is 1 - p_y here, the probability of all other
classes: rho is what the change inside the mask takes from p_y. Of two classes, 1 - p_y is the other one's, DDB's f_i'.

Two choices are ours. P is the mean of rho over the class's edits that became samples, those that succeeded and are of a
reported phrase: other edits aren't candidates, and those of innocent phrases, with a rho near 0, would only lower the
bar. And f is a probability, not a logit, so that rho compares with the shift of the probability.

Like DDB's, the condition asks the classifier, not the picture: an edit that took the shortcut out cleanly goes too,
where the classifier knew the class by the object. A mean as the bar prunes some edits of every class, however good they
are; ``margin`` moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.filters.base import Filter, Verdict, is_edit, rounded

SCORE = "attribution_excess"


@dataclass(frozen=True)
class EditMisplaced(Filter):
    """Keeps an edited sample whose rho is above the mean of its class's edits, plus ``margin``.

    The score is rho minus that mean, in [-2, 2]. Generated samples have no mask and are kept. Reason code:
    ``edit_misplaced``.
    """

    name: ClassVar[str] = "edit_misplaced"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    reasons: ClassVar[Mapping[str, str]] = {
        "edit_misplaced": "the edit took less from its class inside the mask than the class's edits do on average"
    }

    margin: float = 0.0

    def __post_init__(self) -> None:
        if not -2 <= self.margin <= 2:
            raise ValueError(f"edit_misplaced.margin is {self.margin}; it lies in [-2, 2]")

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the score, for an edit."""
        return cls.scores if is_edit(sample) else ()

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare to 4 decimals; an edit right at the mean goes, as in DDB."""
        if not is_edit(sample):
            return True
        if self.missing(scores) is not True:
            return self.missing(scores)
        return True if rounded(scores[SCORE] or 0.0) > rounded(self.margin) else (False, "edit_misplaced")
