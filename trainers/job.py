"""A training made ready: settings checked against indexes, samples chosen, device resolved; no image read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from trainers import record
from trainers.errors import TrainerError
from trainers.index import Index, Sample, class_names, group_names, index_hash, read_index
from trainers.mixes import Stage, build_mix
from trainers.settings import TrainSettings


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
    """A training about to run: its settings, place, samples and resolved device."""

    settings: TrainSettings
    run_dir: Path
    task: str
    inputs: tuple[str, ...]
    real: Index
    stages: tuple[Stage, ...]
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


def input_hashes(settings: TrainSettings, real: Path, synthetic: Path | None) -> tuple[str, ...]:
    """Return the content hashes of the indexes that the method reads, and of no other.

    Raises:
        TrainerError: an index isn't there, or the method needs synthetic samples and has none.
    """
    if not settings.needs_synthetic:
        return (index_hash(real),)
    if synthetic is None:
        raise TrainerError(f"method {settings.method!r} trains on synthetic samples; give the curated index")
    return index_hash(real), index_hash(synthetic)


def prepare_job(
    run_dir: Path, settings: TrainSettings, task: str, inputs: tuple[str, ...], real_index: Path,
    synthetic_index: Path | None,
) -> Job:
    """Return the training's job.

    Raises:
        TrainerError: the indexes don't fit the method or each other, or the device isn't there.
    """
    real = read_index(real_index, g=0)
    synthetic: tuple[Sample, ...] = ()
    if settings.needs_synthetic and synthetic_index is not None:
        synthetic = read_index(synthetic_index, g=1).samples
        _require_same_names(real.samples, synthetic)
    for split in ("val", "test"):
        real.of(split)
    stages = build_mix(settings.method, real.of("train"), synthetic)
    device, precision = resolve_device(settings)
    return Job(settings, run_dir, task, inputs, real, stages, class_names(real.samples), device, precision)


def resolve_device(settings: Placed) -> tuple[torch.device, str]:
    """Return the device and the precision ("float32" or "bfloat16") that "auto" stands for here."""
    cuda = torch.cuda.is_available()
    device = torch.device(("cuda" if cuda else "cpu") if settings.device == "auto" else settings.device)
    if device.type == "cuda" and not cuda:
        raise TrainerError(f"device is {settings.device!r}, but torch finds no CUDA; use 'auto' or 'cpu'")
    if settings.precision != "auto":
        return device, settings.precision
    return device, "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _require_same_names(real: Sequence[Sample], synthetic: Sequence[Sample]) -> None:
    ours, theirs = group_names(real), group_names(synthetic)
    for group in sorted(ours.keys() & theirs.keys()):
        if ours[group] != theirs[group]:
            raise TrainerError(
                f"group {group} is {ours[group]!r} in the real index, {theirs[group]!r} in the other; "
                "both must come from recipes with the same classes and bias values in the same order"
            )
