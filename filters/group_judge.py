"""Group judge: zero-shot class and bias value must be the intended ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from catalogs.identity import UNKNOWN_BIAS
from filters.base import Filter, Verdict, rounded

CLASS_SCORE = "judge_class"
BIAS_SCORE = "judge_bias"


def unknown_bias(sample: Mapping[str, Any]) -> bool:
    """Tell whether a sample was asked for without a bias value (b = -1), so that only its class can be judged."""
    return bool(sample.get("b") == UNKNOWN_BIAS)


@dataclass(frozen=True)
class GroupJudge(Filter):
    """Keeps a sample that the judge sees in its intended (class, bias) group.

    ``scores`` hold the probability of the *intended* value, ``labels`` the judge's answer, and the sample
    the intended ``class_name`` and ``bias_name``. ``min_probability`` in [0, 1] asks for more than the
    highest one. Of a sample with an unknown bias value only the class is judged. Reason codes:
    ``class``, ``bias``, and ``class_unsure``, ``bias_unsure`` below the minimum.
    """

    name: ClassVar[str] = "group_judge"
    scores: ClassVar[tuple[str, ...]] = (CLASS_SCORE, BIAS_SCORE)

    min_probability: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"group_judge.min_probability is {self.min_probability}; it lies in [0, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the judge's class, then its bias value, then both probabilities to 4 decimals."""
        if self.missing({BIAS_SCORE: 0.0, **scores} if unknown_bias(sample) else scores) is not True:
            return self.missing(scores)
        asked = [("class", CLASS_SCORE, "class_name"), ("bias", BIAS_SCORE, "bias_name")]
        asked = asked[:1] if unknown_bias(sample) else asked
        for reason, score, intended in asked:
            if labels.get(score) != sample[intended]:
                return False, reason
        for reason, score, _ in asked:
            if rounded(scores[score] or 0.0) < rounded(self.min_probability):
                return False, f"{reason}_unsure"
        return True
