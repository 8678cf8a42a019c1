"""What somebody else would write: GroupDRO (arXiv 1911.08731) as a training method and as a loss, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fairshards.trainers.methods.base import BiasLabels, TrainingLoss, TrainingMethod


class WorstGroups(nn.Module):
    """A batch's mean loss by group, weighted by q, which grows with each group's loss; a checkpoint keeps it."""

    q: Tensor

    def __init__(self, groups: int, step_size: float) -> None:
        super().__init__()
        self.step_size = step_size
        self.register_buffer("q", torch.full((groups,), 1 / groups))

    def forward(self, logits: Tensor, y: Tensor, group: Tensor) -> Tensor:
        losses, present = cross_entropy(logits, y, reduction="none"), group.unique()
        means = torch.stack([losses[group == number].mean() for number in present])
        self.q[present] *= (self.step_size * means.detach()).exp()
        self.q /= self.q.sum()
        return (self.q[present] * means).sum()


@dataclass(frozen=True)
class GroupDroLoss(TrainingLoss):
    """The groups' mean losses, weighted by how badly each has fared so far."""

    name: ClassVar[str] = "group-dro"
    title: ClassVar[str] = "GroupDRO"
    bias_labels: ClassVar[bool] = True

    step_size: float = 0.01

    def criterion(self, groups: int) -> nn.Module:
        return WorstGroups(groups, self.step_size)


@dataclass(frozen=True)
class GroupDro(TrainingMethod):
    """Real samples under that loss."""

    name: ClassVar[str] = "group-dro"
    title: ClassVar[str] = "GroupDRO"
    note: ClassVar[str] = "real images, the worst groups weighted up"
    bias_labels: ClassVar[BiasLabels] = "needed"

    step_size: float = 0.01

    def criterion(self, loss: TrainingLoss, groups: int) -> nn.Module:
        return WorstGroups(groups, self.step_size)
