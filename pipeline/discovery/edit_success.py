"""Did an edit succeed? Only then is the classifier's answer to it evidence. Decided over raw scores, after the fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SuccessRule:
    """When an edit counts, by CLIP's cosines before and after it.

    The thresholds are ours (none is published), and small: they ask that CLIP sees a change the right way, not
    how large it is, since the size of a cosine's change depends on the CLIP model.

    Attributes:
        min_phrase_drop: The phrase's cosine with the picture must fall by at least this.
        min_replacement_rise: Of a background with a replacement, that one's must rise by at least this.
    """

    min_phrase_drop: float = 0.01
    min_replacement_rise: float = 0.01

    def succeeded(self, kind: str, scores: Mapping[str, Any]) -> bool:
        """Tell whether an edit of this kind succeeded; one without the scores that are asked for didn't.

        ``scores`` holds ``phrase_before``, ``phrase_after``, ``replacement_before`` and ``replacement_after``.
        """
        drop = _change(scores, "phrase")
        if drop is None or -drop < self.min_phrase_drop:
            return False
        rise = _change(scores, "replacement")
        return kind != "background" or rise is None or rise >= self.min_replacement_rise


def _change(scores: Mapping[str, Any], name: str) -> float | None:
    before, after = scores.get(f"{name}_before"), scores.get(f"{name}_after")
    return None if before is None or after is None else float(after) - float(before)
