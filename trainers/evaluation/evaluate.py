"""Accuracy per group with its interval, the worst group, and both meanings of average accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Group, Sample, group_names
from fairshards.trainers.core.loaders import Pictures, batches
from fairshards.trainers.core.place import Place
from fairshards.trainers.evaluation.intervals import wilson

__all__ = ["GroupAccuracy", "Summary", "autocast", "evaluating", "group_accuracies", "predict", "summarise", "wilson"]


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy of one (y, b) group of a split, with the 95% Wilson interval [low, high]."""

    y: int
    b: int
    group_name: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A split's figures, all in [0, 1].

    ``worst_group`` is the lowest accuracy (not the smallest group's), ``worst_n`` its number of samples.
    ``average`` is plain over the split; ``adjusted_average`` weights groups by their share of the real
    training set, None when the split lacks one of these; ``balanced`` is the mean over groups.
    """

    worst_group: float
    worst_group_name: str
    worst_n: int
    smallest_n: int
    average: float
    adjusted_average: float | None
    balanced: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


def predict(model: nn.Module, pictures: Pictures, place: Place, batch_size: int = 256) -> Tensor:
    """Return the predicted class of every picture, int64 [N]; the model is in evaluation mode meanwhile."""
    predicted = torch.empty(len(pictures), dtype=torch.int64)
    order = torch.arange(len(pictures))
    with evaluating(model), torch.inference_mode(), autocast(place.device, place.precision):
        for images, positions in batches(pictures, order, batch_size, place.device, place.workers):
            predicted[positions] = model(images).argmax(1).cpu()
    return predicted


def group_accuracies(predicted: Tensor, samples: Sequence[Sample]) -> tuple[GroupAccuracy, ...]:
    """Return one GroupAccuracy per (y, b) that ``samples`` holds, in the order of (y, b)."""
    n: dict[Group, int] = {}
    correct: dict[Group, int] = {}
    for sample, answer in zip(samples, predicted.tolist(), strict=True):
        n[sample.group] = n.get(sample.group, 0) + 1
        correct[sample.group] = correct.get(sample.group, 0) + int(answer == sample.y)
    names = group_names(samples)
    return tuple(
        GroupAccuracy(
            *group, names[group], n[group], correct[group], correct[group] / n[group], *wilson(correct[group], n[group])
        )
        for group in sorted(n)
    )


def summarise(groups: Sequence[GroupAccuracy], training: Mapping[Group, int]) -> Summary:
    """Return the summary of a split's groups; ``training`` holds the real training set's group counts."""
    if not groups:
        raise TrainerError("no group to summarise: the split is empty")
    worst = min(groups, key=lambda group: group.accuracy)
    return Summary(
        worst_group=worst.accuracy,
        worst_group_name=worst.group_name,
        worst_n=worst.n,
        smallest_n=min(group.n for group in groups),
        average=sum(group.correct for group in groups) / sum(group.n for group in groups),
        adjusted_average=_adjusted(groups, training),
        balanced=math.fsum(group.accuracy for group in groups) / len(groups),
    )


def _adjusted(groups: Sequence[GroupAccuracy], training: Mapping[Group, int]) -> float | None:
    accuracy = {(group.y, group.b): group.accuracy for group in groups}
    seen = {group: count for group, count in training.items() if count}
    if not seen or not seen.keys() <= accuracy.keys():
        return None
    return math.fsum(accuracy[group] * count for group, count in seen.items()) / sum(seen.values())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode inside the scope, and back into its own mode after it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the autocast scope of a resolved precision ("float32" has none)."""
    return nullcontext() if precision == "float32" else torch.autocast(device.type, torch.bfloat16)
