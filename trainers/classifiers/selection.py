"""What chooses an epoch: which held-out samples, in which groups; the rule in words."""

from __future__ import annotations

from collections.abc import Sequence

from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.index import Sample, without_bias
from fairshards.trainers.methods.mixes import VALIDATION, equal_classes

_WHEN = "at the end of an epoch >= 1; ties by balanced accuracy, then the earliest"
SELECTION = f"worst-group accuracy on real validation {_WHEN}"
_RULES = {
    "worst-group": SELECTION,
    "worst-class": f"worst-class accuracy on real validation {_WHEN}",
    "synthetic-validation": f"worst-class accuracy on the generated balanced validation set {_WHEN}",
}


def rule(settings: TrainSettings) -> str:
    """Return what chooses the epoch, and the last layer where one is refit, as a clause of a sentence."""
    return "; ".join(filter(None, (_RULES[settings.selects_by], settings.training_method.also_selects)))


def chosen_on(settings: TrainSettings, val: Sequence[Sample], synthetic: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples on which an epoch is chosen by its worst group.

    ``val`` is the real validation split, ``synthetic`` the curated index. Without bias labels the samples
    come with their bias unknown, so that no figure can depend on it and the worst group is the worst class.
    "synthetic-validation" is SAGE's generated balanced validation set (arXiv 2609.01051).

    Raises:
        MixError: the curated index's split "validation" lacks a class, or has more of one than of another.
    """
    if settings.selects_by == "worst-group":
        return tuple(val)
    if settings.selects_by == "worst-class":
        return without_bias(val)
    return without_bias(equal_classes("selection synthetic-validation", val, synthetic, VALIDATION))
