"""The reference classifier of discovery: ERM on the real images, chosen by its worst class, so by no bias label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairshards.pipeline.pictures.judge import Epochs
from fairshards.pipeline.pictures.source import SourceResult
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.trainers.classifiers.settings import TrainSettings

if TYPE_CHECKING:
    from fairshards.trainers.classifiers.record import TrainingResult

BATCH = 256


def reference_training(run: Run[Recipe], chosen: TrainSettings, source: SourceResult) -> TrainingResult:
    """Train the reference, or look it up; return the training's result."""
    from fairshards.trainers.classifiers.run import run_training

    state = Epochs(chosen.main.epochs)
    with run.report.watch("training the reference classifier", state.total, state.done):
        result = run_training(run.root, chosen, run.root / source.index, None, state.on_epoch)
        state.finish()
    return result


@dataclass(frozen=True)
class ReferenceAnswers:
    """What the reference says of real images: which ones it gets right, and how sure it is of each class on train.

    ``means[y]`` is its mean probability of class y over that class's training images.
    """

    right: Mapping[str, bool]
    means: tuple[float, ...]


def reference_answers(training: Path, chosen: TrainSettings, index: Path, splits: Sequence[str]) -> ReferenceAnswers:
    """Ask the reference about every image of these splits, of which "train" is one."""
    import torch

    from fairshards.trainers.classifiers.run import load_model
    from fairshards.trainers.core.index import read_index
    from fairshards.trainers.core.loaders import batches, load_pictures
    from fairshards.trainers.core.place import resolve_device
    from fairshards.trainers.evaluation.evaluate import autocast

    samples = read_index(index, g=0).of(*splits)
    device, precision = resolve_device(chosen)
    model = load_model(training).to(device)
    pictures = load_pictures(samples, chosen.image_size, chosen.cache_bytes)
    shares: list[list[float]] = []
    with torch.inference_mode(), autocast(device, precision):
        for images, _ in batches(pictures, torch.arange(len(samples)), BATCH, device, chosen.workers):
            shares += model(images).float().softmax(1).tolist()
    pairs = list(zip(samples, shares, strict=True))
    right = {sample.sample_id: own.index(max(own)) == sample.y for sample, own in pairs}
    sure: dict[int, list[float]] = {}
    for sample, own in pairs:
        if sample.split == "train":
            sure.setdefault(sample.y, []).append(own[sample.y])
    return ReferenceAnswers(right, tuple(sum(sure[y]) / len(sure[y]) for y in sorted(sure)))
