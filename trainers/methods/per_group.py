"""USB, ASB and FFR: synthetic samples of every (class, bias) group (docs/methods.md#counts-of-synthetic-samples)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fairshards.trainers.core.errors import MixError
from fairshards.trainers.core.index import Group, Sample
from fairshards.trainers.methods.base import Adds, BiasLabels, TrainingMethod
from fairshards.trainers.methods.mixes import (
    BALANCED,
    BALANCED_AND_EXTRA,
    asb_counts,
    counts_with_synthetic,
    require_balance,
    table,
    take,
    usb_counts,
)


@dataclass(frozen=True)
class PerGroup(TrainingMethod):
    """Methods that add synthetic samples of known (class, bias) groups."""

    adds: ClassVar[Adds] = "groups"
    bias_labels: ClassVar[BiasLabels] = "needed"
    splits: ClassVar[tuple[str, ...]] = BALANCED


@dataclass(frozen=True)
class Usb(PerGroup):
    """All real samples, and M - n synthetic ones of every group, so that each is as large as the largest."""

    name: ClassVar[str] = "usb"
    title: ClassVar[str] = "USB"
    note: ClassVar[str] = "real, filled up with M − n synthetic a group"
    splits: ClassVar[tuple[str, ...]] = BALANCED_AND_EXTRA
    by_source: ClassVar[bool] = True

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return the real samples and those that fill their groups up."""
        counts = counts_with_synthetic(self.name, real, synthetic)
        mixed = (*real, *take(self.title, synthetic, usb_counts(counts), self.splits))
        require_balance("the USB mix", mixed, counts)
        return {"train": mixed}

    def needed(self, real: Mapping[Group, int]) -> Mapping[Group, int]:
        """Return M - n of every group."""
        return usb_counts(real)


@dataclass(frozen=True)
class EvenlyAdded(PerGroup):
    """Methods that take m synthetic samples of every group."""

    def added(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> tuple[Sample, ...]:
        """Return the m synthetic samples of every group.

        Raises:
            MixError: m is 0, or a group has fewer.
        """
        counts = counts_with_synthetic(self.name, real, synthetic)
        if not any(asb_counts(counts).values()):
            said = table(real, counts)
            raise MixError(f"{self.title} has no synthetic sample to add: m = 0 for {said}; train erm")
        added = take(self.title, synthetic, asb_counts(counts), self.splits)
        require_balance(f"the synthetic part of {self.title}", added, counts)
        return added

    def needed(self, real: Mapping[Group, int]) -> Mapping[Group, int]:
        """Return m of every group."""
        return asb_counts(real)

    def counts_problem(self, real: Mapping[Group, int]) -> str | None:
        """Return that there is nothing to add, where m is 0."""
        if any(self.needed(real).values()):
            return None
        return "has nothing to add where the groups have nearly the same number of training pictures (m = 0)"


@dataclass(frozen=True)
class Asb(EvenlyAdded):
    """All real samples, and as many synthetic ones of every group, as many in all as USB's."""

    name: ClassVar[str] = "asb"
    title: ClassVar[str] = "ASB"
    note: ClassVar[str] = "real, and m synthetic of every group"
    by_source: ClassVar[bool] = True

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return the real samples and the added ones together."""
        return {"train": (*real, *self.added(real, synthetic))}


@dataclass(frozen=True)
class Ffr(EvenlyAdded):
    """First balanced synthetic samples, then the real ones, from stage 1's weights (FFR)."""

    name: ClassVar[str] = "ffr"
    title: ClassVar[str] = "FFR"
    note: ClassVar[str] = "m synthetic of every group first, then real"
    stages: ClassVar[Mapping[str, str]] = {"stage1": "pretrain", "stage2": "finetune"}
    even: ClassVar[tuple[str, ...]] = ("stage1",)
    alone: ClassVar[Mapping[str, tuple[str, str]]] = {
        "stage1": ("stage 1 alone", "the synthetic images alone, before it sees a real one")
    }

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return the synthetic samples for stage 1, the real ones for stage 2."""
        return {"stage1": self.added(real, synthetic), "stage2": tuple(real)}
