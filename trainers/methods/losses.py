"""The losses that ship (docs/methods.md#stages-and-losses)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fairshards.trainers.methods.base import TrainingLoss


@dataclass(frozen=True)
class ErmLoss(TrainingLoss):
    """Cross-entropy over uniformly shuffled samples."""

    name: ClassVar[str] = "erm"
    title: ClassVar[str] = ""


@dataclass(frozen=True)
class Resample(TrainingLoss):
    """Cross-entropy over samples that are drawn with the weight 1/frequency of their group."""

    name: ClassVar[str] = "resample"
    title: ClassVar[str] = "resample"
    bias_labels: ClassVar[bool] = True
    resamples: ClassVar[bool] = True
