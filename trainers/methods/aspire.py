"""ASPIRE's methods, which read no bias label (docs/methods.md#aspire-erm-and-aspire-dfr).

They add spurious-free samples, as many of every class, whose bias attribute is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from fairshards.trainers.core.errors import TrainerError, check_one_of
from fairshards.trainers.core.index import Index, Sample
from fairshards.trainers.methods.base import Adds, BiasLabels, LastLayer, TrainingMethod
from fairshards.trainers.methods.discovered import discovered_groups, groups_without_phrase, read_groups, true_groups
from fairshards.trainers.methods.mixes import BALANCED, equal_classes


@dataclass(frozen=True)
class SpuriousFreeAdded(TrainingMethod):
    """Methods that add spurious-free samples of every class."""

    adds: ClassVar[Adds] = "classes"
    bias_labels: ClassVar[BiasLabels] = "never"
    splits: ClassVar[tuple[str, ...]] = BALANCED


@dataclass(frozen=True)
class AspireErm(SpuriousFreeAdded):
    """ERM on the real samples and the spurious-free ones together."""

    name: ClassVar[str] = "aspire-erm"
    title: ClassVar[str] = "ASPIRE+ERM"
    note: ClassVar[str] = "real, and as many spurious-free of every class; no bias label"

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return the real samples and the spurious-free ones."""
        return {"train": (*real, *equal_classes(self.name, real, synthetic, self.splits))}


@dataclass(frozen=True)
class AspireDfr(SpuriousFreeAdded):
    """ERM on the real samples, and then its last layer refit on balanced groups and spurious-free samples.

    Attributes:
        dfr_groups: What is balanced: "discovered" groups (class x its top phrase), or "true" ones by bias label, which
            the title then says, for these figures aren't those of a method without bias labels.
        dfr_synthetic: Where spurious-free samples go: "all" of them beside each balanced draw, as published, or
            "grouped" with the real samples of their class that lack its phrase, and drawn with these. The published way
            leads the head away from the phrase where there are many of them and few real ones.
    """

    name: ClassVar[str] = "aspire-dfr"
    title: ClassVar[str] = "ASPIRE+DFR"
    note: ClassVar[str] = "real; the last layer refit on balanced groups and spurious-free images"

    dfr_groups: Literal["discovered", "true"] = "discovered"
    dfr_synthetic: Literal["all", "grouped"] = "all"

    def __post_init__(self) -> None:
        check_one_of("dfr_groups", self.dfr_groups, ("discovered", "true"))
        check_one_of("dfr_synthetic", self.dfr_synthetic, ("all", "grouped"))
        if self.dfr_synthetic == "grouped" and self.reads_true_groups:
            raise TrainerError(
                "dfr_synthetic is 'grouped', but of spurious-free samples no true group is known; use 'all'"
            )

    @property
    def row_title(self) -> str:
        """The title, which names labelled groups where these are balanced."""
        return f"{self.title} (true groups)" if self.reads_true_groups else self.title

    @property
    def reads_true_groups(self) -> bool:
        """Whether labelled groups are balanced."""
        return self.dfr_groups == "true"

    @property
    def needs_groups(self) -> bool:
        """Whether discovered groups are balanced."""
        return not self.reads_true_groups

    @property
    def instead_of_groups(self) -> tuple[str, str]:
        """The option that balances labelled groups."""
        return "dfr_groups", "true"

    @property
    def also_selects(self) -> str:
        """What chooses the last layer."""
        return f"the last layer by worst-group accuracy over {self.dfr_groups} groups on real validation"

    def last_layer(self, real: Index, synthetic: Sequence[Sample], groups: Path | None) -> LastLayer:
        """Return the spurious-free samples, and the group of every real train and val sample."""
        samples = real.of("train", "val")
        discovered = read_groups(groups) if self.needs_groups and groups is not None else None
        placed = discovered_groups(discovered, samples) if discovered else true_groups(samples)
        added = equal_classes(self.name, real.of("train"), synthetic, self.splits)
        joined = groups_without_phrase(discovered, added) if discovered and self.dfr_synthetic == "grouped" else {}
        return LastLayer(added, placed, joined)

    def identity(self) -> dict[str, Any]:
        """Return the options; the published way of ``dfr_synthetic`` stands for itself."""
        unsaid = {"dfr_synthetic"} if self.dfr_synthetic == "all" else set()
        return {name: value for name, value in super().identity().items() if name not in unsaid}
