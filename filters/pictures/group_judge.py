"""Group judge: zero-shot class and bias value must be the intended ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fairshards.catalogs.manifests.identity import UNKNOWN_BIAS
from fairshards.filters.base import CalibratedFilter, Verdict
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import Limit

CLASS_SCORE = "judge_class"
BIAS_SCORE = "judge_bias"
_OF = "probability of the {} that was asked for"


def unknown_bias(sample: Mapping[str, Any]) -> bool:
    """Tell whether a sample was asked for without a bias value (b = -1), so that only its class can be judged."""
    return bool(sample.get("b") == UNKNOWN_BIAS)


@dataclass(frozen=True, kw_only=True)
class GroupJudge(CalibratedFilter):
    """Keeps a sample that the judge sees in its intended (class, bias) group.

    ``scores`` hold the probability of the *intended* value, ``labels`` the judge's answer, and the sample
    the intended ``class_name`` and ``bias_name``. ``min_probability`` in [0, 1] asks for more than the
    highest one; ``retain`` asks for as much as that share of real pictures has. Of a sample with an unknown bias value
    only the class is judged. Reason codes: ``class``, ``bias``, and ``class_unsure``, ``bias_unsure`` below the limit.
    """

    name: ClassVar[str] = "group_judge"
    scores: ClassVar[tuple[str, ...]] = (CLASS_SCORE, BIAS_SCORE)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        CLASS_SCORE: ScoreTitle("Judge: class", _OF.format("class"), short="class", probability=True),
        BIAS_SCORE: ScoreTitle("Judge: bias value", _OF.format("bias value"), short="bias", probability=True),
    }
    reasons: ClassVar[Mapping[str, str]] = {
        "class": "the judge saw another class",
        "bias": "the judge saw another bias value",
        "class_unsure": "the judge was not sure enough of the class",
        "bias_unsure": "the judge was not sure enough of the bias value",
    }
    limits_on: ClassVar[tuple[Limit, ...]] = (
        Limit(CLASS_SCORE, "at least", "real"),
        Limit(BIAS_SCORE, "at least", "real"),
    )

    min_probability: float = 0.0

    @classmethod
    def needs(cls, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the class's score, and that of the bias value where one was asked for."""
        return (CLASS_SCORE,) if unknown_bias(sample) else cls.scores

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"group_judge.min_probability is {self.min_probability}; it lies in [0, 1]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the judge's class, then its bias value, then both probabilities to 4 decimals."""
        if self.missing(scores, self.needs(sample)) is not True:
            return self.missing(scores, self.needs(sample))
        asked = [("class", CLASS_SCORE, "class_name"), ("bias", BIAS_SCORE, "bias_name")]
        asked = asked[:1] if unknown_bias(sample) else asked
        for reason, score, intended in asked:
            if labels.get(score) != sample[intended]:
                return False, reason
        for (reason, score, _), limit in zip(asked, self.limits_on, strict=False):
            if not self.within(limit, scores[score] or 0.0, sample, self.min_probability):
                return False, f"{reason}_unsure"
        return True
