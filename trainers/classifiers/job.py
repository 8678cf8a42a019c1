"""A training made ready: settings checked against indexes, samples chosen, device resolved; no image read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from fairshards.trainers.classifiers import record
from fairshards.trainers.classifiers.discovered import (
    discovered_groups,
    groups_hash,
    groups_without_phrase,
    read_groups,
    true_groups,
)
from fairshards.trainers.classifiers.last_layer import LastLayer
from fairshards.trainers.classifiers.mixes import BALANCED, Stage, build_mix, equal_classes
from fairshards.trainers.classifiers.selection import chosen_on
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Index, Sample, class_names, group_names, index_hash, read_index


class Placed(Protocol):
    """Settings that say where a training runs and in which precision; either may be "auto"."""

    @property
    def device(self) -> str:
        """A torch device."""

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""


@dataclass(frozen=True)
class Job:
    """A training about to run: its settings, place, samples and resolved device.

    ``chosen_on`` are the samples that choose an epoch by their worst group, ``last_layer`` what ASPIRE+DFR's
    last layer is refit on, None for every other method.
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
    device: torch.device
    precision: str

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

    def draws(self, stage: str) -> str:
        """How a stage draws: "uniform", "resample (y,b)" or, with mixed sources, "resample (y,b,g)".

        FFR's stage 1 is balanced, so plain cross-entropy; the loss setting is that of the last stage.
        """
        if self.settings.loss == "erm" or stage == "stage1":
            return "uniform"
        return "resample (y,b,g)" if self.settings.method in ("usb", "asb") else "resample (y,b)"


def input_hashes(
    settings: TrainSettings, real: Path, synthetic: Path | None, groups: Path | None = None
) -> tuple[str, ...]:
    """Return the content hashes of the manifests that the training reads, and of no other.

    Raises:
        TrainerError: one isn't there, or the training needs synthetic samples or groups and has none.
    """
    hashes = [index_hash(real)]
    if settings.needs_synthetic:
        if synthetic is None:
            raise TrainerError(f"method {settings.method!r} {_reason(settings)}; give the curated index")
        hashes.append(index_hash(synthetic))
    if settings.needs_groups:
        if groups is None:
            raise TrainerError(
                f"method {settings.method!r} balances discovered groups; give their manifest, or set dfr_groups to "
                "'true' where the real images have bias labels"
            )
        hashes.append(groups_hash(groups))
    return tuple(hashes)


def prepare_job(
    run_dir: Path,
    settings: TrainSettings,
    task: str,
    inputs: tuple[str, ...],
    real_index: Path,
    synthetic_index: Path | None,
    groups: Path | None = None,
) -> Job:
    """Return the training's job.

    Raises:
        TrainerError: the manifests don't fit the method or each other, or the device isn't there.
    """
    real = read_index(real_index, g=0)
    synthetic: tuple[Sample, ...] = ()
    if settings.needs_synthetic and synthetic_index is not None:
        synthetic = read_index(synthetic_index, g=1).samples
        _require_same_names(real.samples, synthetic)
    for split in ("val", "test"):
        real.of(split)
    stages = build_mix(settings.method, real.of("train"), synthetic)
    chosen = chosen_on(settings, real.of("val"), synthetic)
    last_layer = _last_layer(settings, real, synthetic, groups) if settings.method == "aspire-dfr" else None
    device, precision = resolve_device(settings)
    classes = class_names(real.samples)
    return Job(settings, run_dir, task, inputs, real, stages, chosen, last_layer, classes, device, precision)


def resolve_device(settings: Placed) -> tuple[torch.device, str]:
    """Return the device and the precision ("float32" or "bfloat16") that "auto" stands for here."""
    cuda = torch.cuda.is_available()
    device = torch.device(("cuda" if cuda else "cpu") if settings.device == "auto" else settings.device)
    if device.type == "cuda" and not cuda:
        raise TrainerError(f"device is {settings.device!r}, but torch finds no CUDA; use 'auto' or 'cpu'")
    if settings.precision != "auto":
        return device, settings.precision
    return device, "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _last_layer(settings: TrainSettings, real: Index, synthetic: Sequence[Sample], groups: Path | None) -> LastLayer:
    samples = real.of("train", "val")
    discovered = read_groups(groups) if settings.needs_groups and groups is not None else None
    placed = discovered_groups(discovered, samples) if discovered else true_groups(samples)
    added = equal_classes(settings.method, real.of("train"), synthetic, BALANCED)
    joined = groups_without_phrase(discovered, added) if discovered and settings.dfr_synthetic == "grouped" else {}
    return LastLayer(added, placed, joined)


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
