"""Methods on real samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fairshards.trainers.core.index import Sample
from fairshards.trainers.methods.base import TrainingMethod
from fairshards.trainers.methods.mixes import require_balance


@dataclass(frozen=True)
class Erm(TrainingMethod):
    """Empirical risk minimisation: the real samples as they are ("none" in FFR's tables)."""

    name: ClassVar[str] = "erm"
    title: ClassVar[str] = "ERM"
    note: ClassVar[str] = "real images only"


@dataclass(frozen=True)
class BalancedReal(TrainingMethod):
    """ERM on a real index whose train split is balanced over (class, bias): what balance could give at best."""

    name: ClassVar[str] = "balanced-real"
    title: ClassVar[str] = "Balanced real"
    note: ClassVar[str] = "reference: as many real images of every group"
    reference: ClassVar[bool] = True

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return the real samples, which must be balanced."""
        require_balance("the train split of the balanced real index", real)
        return {"train": tuple(real)}
