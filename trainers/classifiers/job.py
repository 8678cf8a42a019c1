"""A training made ready: settings checked against indexes, samples chosen, device resolved; no image read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairshards.trainers.classifiers import record
from fairshards.trainers.classifiers.selection import chosen_on
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Index, Sample, class_names, group_names, index_hash, read_index
from fairshards.trainers.core.place import Place, resolve_device
from fairshards.trainers.methods.base import LastLayer, TrainingLoss
from fairshards.trainers.methods.discovered import groups_hash
from fairshards.trainers.methods.losses import ErmLoss
from fairshards.trainers.methods.mixes import Stage

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Inputs:
    """The manifests that a training may read: indexes, or their folders, and the one of discovered groups."""

    real: Path
    synthetic: Path | None = None
    groups: Path | None = None


@dataclass(frozen=True)
class Job:
    """A training about to run: its settings, place, samples and resolved device.

    ``chosen_on`` are the samples that choose an epoch by their worst group, ``last_layer`` what the last layer is
    refit on, None where it stays as trained.
    """

    settings: TrainSettings
    run_dir: Path
    task: str
    inputs: tuple[str, ...]
    real: Index
    stages: tuple[Stage, ...]
    chosen_on: tuple[Sample, ...]
    last_layer: LastLayer | None
    classes: tuple[str, ...]
    place: Place

    @property
    def folder(self) -> Path:
        """Where the training writes."""
        return record.training_folder(self.run_dir, self.task)

    @property
    def measured(self) -> tuple[str, ...]:
        """The splits that the finished training is measured on."""
        return ("val",) if self.settings.trial else ("val", "test")

    def checkpoint(self, stage: str) -> Path:
        """Where a stage keeps its place until the training is committed."""
        return self.folder / f"{stage}.checkpoint.safetensors"

    def loss(self, stage: str) -> TrainingLoss:
        """The loss of a stage; one whose samples are balanced already has plain cross-entropy."""
        return ErmLoss() if stage in self.settings.training_method.even else self.settings.training_loss

    def criterion(self, stage: str, groups: int) -> nn.Module:
        """What a stage minimises over that many groups (``TrainingLoss.criterion``)."""
        loss = self.loss(stage)
        if stage in self.settings.training_method.even:
            return loss.criterion(groups)
        return self.settings.training_method.criterion(loss, groups)

    def measured_as(self, stage: str) -> str:
        """What the record calls a stage's weights: "final" for the last one's, else by the stage's name."""
        return record.FINAL if stage == self.stages[-1].name else stage

    def weights_name(self, stage: str) -> str:
        """The name of the file with a stage's weights."""
        return record.weights_name(self.measured_as(stage))

    def draws(self, stage: str) -> str:
        """How a stage draws: "uniform", "resample (y,b)" or, with mixed sources, "resample (y,b,g)"."""
        if not self.loss(stage).resamples:
            return "uniform"
        return "resample (y,b,g)" if self.settings.training_method.by_source else "resample (y,b)"


def input_hashes(settings: TrainSettings, inputs: Inputs) -> tuple[str, ...]:
    """Return the content hashes of the manifests that the training reads, and of no other.

    Raises:
        TrainerError: one isn't there, or the training needs synthetic samples or groups and has none.
    """
    hashes = [index_hash(inputs.real)]
    if settings.needs_synthetic:
        if inputs.synthetic is None:
            raise TrainerError(f"method {settings.method!r} {_reason(settings)}; give the curated index")
        hashes.append(index_hash(inputs.synthetic))
    if settings.training_method.needs_groups:
        if inputs.groups is None:
            option = settings.training_method.instead_of_groups
            instead = f", or set {option[0]} to {option[1]!r} where the real images have bias labels" if option else ""
            raise TrainerError(f"method {settings.method!r} balances discovered groups; give their manifest{instead}")
        hashes.append(groups_hash(inputs.groups))
    return tuple(hashes)


def prepare_job(run_dir: Path, settings: TrainSettings, inputs: Inputs, hashes: tuple[str, ...], task: str) -> Job:
    """Return the training's job; ``hashes`` are its inputs', ``task`` the hash that stands for it.

    Raises:
        TrainerError: the manifests don't fit the method or each other, or the device isn't there.
    """
    real = read_index(inputs.real, g=0)
    synthetic: tuple[Sample, ...] = ()
    if settings.needs_synthetic and inputs.synthetic is not None:
        synthetic = read_index(inputs.synthetic, g=1).samples
        _require_same_names(real.samples, synthetic)
    for split in ("val", "test"):
        real.of(split)
    return Job(
        settings=settings,
        run_dir=run_dir,
        task=task,
        inputs=hashes,
        real=real,
        stages=tuple(Stage(*stage) for stage in settings.training_method.mix(real.of("train"), synthetic).items()),
        chosen_on=chosen_on(settings, real.of("val"), synthetic),
        last_layer=settings.training_method.last_layer(real, synthetic, inputs.groups),
        classes=class_names(real.samples),
        place=Place(*resolve_device(settings), settings.workers),
    )


def _reason(settings: TrainSettings) -> str:
    if settings.selection == "synthetic-validation":
        return "with selection 'synthetic-validation' reads synthetic samples"
    return "trains on synthetic samples"


def _require_same_names(real: Sequence[Sample], synthetic: Sequence[Sample]) -> None:
    ours, theirs = group_names(real), group_names(synthetic)
    for group in sorted(ours.keys() & theirs.keys()):
        if ours[group] != theirs[group]:
            raise TrainerError(
                f"group {group} is {ours[group]!r} in the real index, {theirs[group]!r} in the other; "
                "both must come from recipes with the same classes and bias values in the same order"
            )
    classes = {sample.y: sample.class_name for sample in real}
    for sample in synthetic:  # of unknown bias, no group of theirs is one of ours
        if classes.get(sample.y, sample.class_name) != sample.class_name:
            raise TrainerError(
                f"class {sample.y} is {classes[sample.y]!r} in the real index, {sample.class_name!r} in the other; "
                "both must come from recipes with the same classes in the same order"
            )
