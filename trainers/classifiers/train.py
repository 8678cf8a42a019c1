"""The one loop: draw, step, measure on validation, keep the best epoch. Fork it when a method needs more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fairshards.trainers.classifiers.settings import StageSettings
from fairshards.trainers.core.checkpoint import (
    EpochMetrics,
    Progress,
    State,
    contiguous,
    load_checkpoint,
    save_checkpoint,
)
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.loaders import Pictures, batches
from fairshards.trainers.core.place import Place
from fairshards.trainers.core.samplers import resample_order, uniform_order
from fairshards.trainers.core.seeding import part_seed, seeded
from fairshards.trainers.evaluation.evaluate import autocast, group_accuracies, predict, summarise

ProgressCallback = Callable[[str, int, int, Mapping[str, float]], None]
"""Called as (stage, epoch, epochs, metrics) after every epoch."""


@dataclass(frozen=True)
class Data:
    """Samples and their pictures, in the same order."""

    samples: Sequence[Sample]
    pictures: Pictures


@dataclass(frozen=True)
class StageRun:
    """What one stage runs with.

    ``val`` are the samples that choose the epoch, by their worst group. ``groups`` int64 [N] numbers the training
    samples' groups, which ``resamples`` draws alike often, and which ``criterion`` is told.
    """

    name: str
    settings: StageSettings
    train: Data
    val: Data
    groups: Tensor
    resamples: bool
    criterion: nn.Module
    seed: int
    place: Place
    checkpoint: Path
    task: str


@dataclass(frozen=True)
class StageResult:
    """A finished stage: its epochs, the selected one, and that one's weights."""

    history: tuple[EpochMetrics, ...]
    selected: EpochMetrics
    weights: State


def train_stage(run: StageRun, model: nn.Module, progress: ProgressCallback | None = None) -> StageResult:
    """Train ``model`` for the stage and leave it with the weights of the selected epoch.

    A checkpoint after every epoch lets a killed stage go on where it stood, to the same weights.

    Raises:
        TrainerError: an epoch's loss isn't finite.
    """
    # ---- set up, or take up where a killed training stood -------------------------------------------
    model.to(run.place.device)
    run.criterion.to(run.place.device)
    settings = run.settings
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    place = load_checkpoint(run.checkpoint, run.task, model, optimiser, run.criterion) or Progress([], {})
    if place.epoch < 0:
        place.history.append(measure(run, model, epoch=0, loss=None))
    # ---- epochs ------------------------------------------------------------------------------------
    for epoch in range(place.epoch + 1, settings.epochs + 1):
        with seeded(part_seed(run.seed, run.name, epoch), run.place.device) as generator:
            loss = train_epoch(run, model, optimiser, draw(run, generator))
        _check_loss(run, epoch, loss)
        place.history.append(measure(run, model, epoch, loss))
        if select(place.history).epoch == epoch:
            place.best = contiguous(model.state_dict())
        save_checkpoint(run.checkpoint, run.task, place, model, optimiser, run.criterion)
        if progress:
            progress(run.name, epoch, settings.epochs, _figures(place.history[-1]))
    # ---- keep the selected epoch --------------------------------------------------------------------
    model.load_state_dict(place.best)
    return StageResult(tuple(place.history), select(place.history), place.best)


def train_epoch(run: StageRun, model: nn.Module, optimiser: torch.optim.Optimizer, order: Tensor) -> float:
    """Take one step per batch of ``order`` and return the mean loss over its draws."""
    model.train(not run.settings.freeze_bn)
    labels = torch.tensor([sample.y for sample in run.train.samples])
    total = torch.zeros((), device=run.place.device, dtype=torch.float64)
    size = run.settings.batch_size
    for images, positions in batches(run.train.pictures, order, size, run.place.device, run.place.workers):
        with autocast(run.place.device, run.place.precision):
            y, group = labels[positions].to(run.place.device), run.groups[positions].to(run.place.device)
            loss = run.criterion(model(images).float(), y, group)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(positions)
    return float(total) / len(order)


def draw(run: StageRun, generator: torch.Generator) -> Tensor:
    """Return the epoch's draws: N of them, resampled over groups, or uniformly shuffled."""
    if run.resamples:
        return resample_order(run.groups, generator)
    return uniform_order(len(run.train.samples), generator)


def measure(run: StageRun, model: nn.Module, epoch: int, loss: float | None) -> EpochMetrics:
    """Return the model's figures on the samples that choose the epoch."""
    predicted = predict(model, run.val.pictures, run.place)
    groups = group_accuracies(predicted, run.val.samples)
    summary = summarise(groups, {})
    by_name = {group.group_name: group.accuracy for group in groups}
    return EpochMetrics(epoch, loss, summary.worst_group, summary.balanced, summary.average, by_name)


def select(history: Sequence[EpochMetrics]) -> EpochMetrics:
    """Return the epoch that ``selection.py`` names. Epoch 0, the stage's starting point, can't be chosen."""
    trained = [metrics for metrics in history if metrics.epoch >= 1]
    return max(trained, key=lambda metrics: (metrics.worst_group, metrics.balanced, -metrics.epoch))


def _check_loss(run: StageRun, epoch: int, loss: float) -> None:
    """Check an epoch's mean: it isn't finite if any batch's loss wasn't, and takes one transfer from the device."""
    if not math.isfinite(loss):
        raise TrainerError(
            f"stage {run.name}, epoch {epoch}: the loss is {loss}, so the weights are lost; "
            f"lower its learning rate, which is {run.settings.lr:g}"
        )


def _figures(metrics: EpochMetrics) -> dict[str, float]:
    return {
        "loss": metrics.loss or 0.0,
        "worst_group": metrics.worst_group,
        "balanced": metrics.balanced,
        "average": metrics.average,
    }
