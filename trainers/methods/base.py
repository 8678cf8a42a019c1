"""The contract of a training method and of a loss: frozen dataclasses whose fields are their options in a recipe.

A newcomer reads this first. A method says which samples it trains on, stage by stage, and what it asks for; a loss says
how these are drawn and what is minimised. All else (loop, checkpoints, selection, evaluation, tables) is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fairshards import plugins
from fairshards.trainers.core.index import Group, Index, Sample

if TYPE_CHECKING:
    from torch import nn

Adds = Literal["nothing", "groups", "classes"]
BiasLabels = Literal["needed", "used", "never"]


@dataclass(frozen=True)
class LastLayer:
    """What the last layer is refit on: spurious-free samples, and the group of every real train and val sample.

    ``joined`` has the groups that spurious-free samples share with real ones; without any they are a group of their
    own, which isn't balanced.
    """

    spurious_free: tuple[Sample, ...]
    groups: Mapping[str, str]
    joined: Mapping[str, str]


@dataclass(frozen=True)
class TrainingLoss:
    """How samples are drawn, and what is minimised over a batch: plain cross-entropy where a subclass says no other.

    Attributes:
        name: What a recipe calls it, and what a training's record says.
        title: What tables add to the method's title.
        bias_labels: Whether it reads them: such a loss is refused where none is known.
        resamples: Whether a draw has the weight 1/frequency of its group, in place of a uniform shuffle.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    bias_labels: ClassVar[bool] = False
    resamples: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Return what decides the result beside its name: its options."""
        return asdict(self)

    def criterion(self, groups: int) -> nn.Module:
        """Return a module of (logits float32 [B, C], y int64 [B], group int64 [B] below ``groups``) to a scalar.

        Its buffers are kept beside the model's weights, so that a killed training goes on with them.
        """
        from fairshards.trainers.core.criteria import CrossEntropy

        return CrossEntropy()


@dataclass(frozen=True)
class TrainingMethod:
    """Which samples a training takes, in which stages, and what it asks for: by default the real ones alone.

    Attributes:
        name: What a recipe calls it, and what a training's record says.
        title, note: Its row in tables, and what the row trains on.
        adds: The curated samples that it takes: as many of every (class, bias) group, spurious-free ones, as many of
            every class, or nothing.
        splits: The curated splits that these come from.
        bias_labels: "needed", refused where none is known; "used" to choose the epoch where there are any; "never".
        stages: By a stage's name, whose ``StageSettings`` it has: "main", "pretrain" or "finetune". The last one's
            weights are the training's.
        even: Stages whose samples are balanced as they are: drawn uniformly, under cross-entropy, whatever the loss.
        alone: Of an earlier stage, what tables add to the title where its weights are measured, and the row's note.
        by_source: Whether resampling balances (y, b, g), synthetic samples apart from real ones, and not (y, b).
        reference: Whether it is a row to compare with, which recipes can't ask for.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    note: ClassVar[str] = ""
    adds: ClassVar[Adds] = "nothing"
    splits: ClassVar[tuple[str, ...]] = ()
    bias_labels: ClassVar[BiasLabels] = "used"
    stages: ClassVar[Mapping[str, str]] = {"train": "main"}
    even: ClassVar[tuple[str, ...]] = ()
    alone: ClassVar[Mapping[str, tuple[str, str]]] = {}
    by_source: ClassVar[bool] = False
    reference: ClassVar[bool] = False

    @property
    def row_title(self) -> str:
        """The title with what the options change of it."""
        return self.title

    @property
    def selection(self) -> str:
        """What chooses the epoch where the settings don't say: "worst-group" or "worst-class"."""
        return "worst-class" if self.bias_labels == "never" else "worst-group"

    @property
    def reads_true_groups(self) -> bool:
        """Whether its options ask for bias labels, whatever ``bias_labels`` says."""
        return False

    @property
    def needs_groups(self) -> bool:
        """Whether it reads the manifest of discovered groups."""
        return False

    @property
    def instead_of_groups(self) -> tuple[str, str] | None:
        """The option and the value with which it reads bias labels in place of discovered groups; None: no such one."""
        return None

    @property
    def also_selects(self) -> str:
        """What is chosen beside the epoch, and by what, as the end of a sentence's clause; "" for nothing."""
        return ""

    def mix(self, real: Sequence[Sample], synthetic: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
        """Return every stage's samples, from the real train split and the whole curated index.

        Raises:
            MixError: the curated samples aren't those that it needs.
        """
        return dict.fromkeys(self.stages, tuple(real))

    def needed(self, real: Mapping[Group, int]) -> Mapping[Group, int]:
        """Return how many curated samples of every group it takes, from the real train split's counts."""
        return dict.fromkeys(real, 0)

    def counts_problem(self, real: Mapping[Group, int]) -> str | None:
        """Return why it can't train with these counts of the real train split, as a relative clause; None: it can."""
        return None

    def criterion(self, loss: TrainingLoss, groups: int) -> nn.Module:
        """Return what is minimised (``TrainingLoss.criterion``): the loss's, but of a method with an own one."""
        return loss.criterion(groups)

    def last_layer(self, real: Index, synthetic: Sequence[Sample], groups: Path | None) -> LastLayer | None:
        """Return what the last layer is refit on after each stage; None: it stays as trained.

        ``groups`` is the manifest of discovered groups, where the training has one.
        """
        return None

    def identity(self) -> dict[str, Any]:
        """Return what decides the result beside its name and the shared settings: its options."""
        return asdict(self)


def foreign_identity(declared: TrainingMethod | TrainingLoss) -> dict[str, str]:
    """Return what somebody else's class adds to a training's identity: its path and version, by keys of its own."""
    return {f"{declared.name}.{key}": value for key, value in plugins.identity(type(declared)).items()}
