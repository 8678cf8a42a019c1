"""What a training leaves behind: settings, weights, and the manifest that commits it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.catalogs.manifests.manifest import Head, encode, read_head, write_local
from fairshards.trainers.classifiers.models import other_normalisation, weights_file
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.classifiers.train import StageResult
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample, group_counts, group_names
from fairshards.trainers.evaluation.evaluate import GroupAccuracy
from fairshards.trainers.methods.mixes import Stage, shortcut_bits

VERSION = "train-1"
"""Bumped when the trainers' results change for the same settings and indexes."""

FINAL = "final"
MANIFEST, SETTINGS = "metrics.parquet", "settings.json"
MODEL = "model.safetensors"


@dataclass(frozen=True)
class TrainingResult:
    """A committed training. ``trained`` is False when it was committed before and nothing was done.

    ``metrics[stage][split]`` holds the figures of ``evaluate.Summary``; the stages are "final" and, of
    methods with several, the earlier ones (FFR's "stage1"), the splits "val" and "test". ``head`` is the manifest's.
    """

    training_id: str
    folder: Path
    trained: bool
    method: str
    loss: str
    seed: int
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]
    head: Head

    @property
    def name(self) -> str:
        """The method as tables call it."""
        return str(self.head.settings.get("name", self.method))

    @property
    def test(self) -> Mapping[str, Any]:
        """The final model's figures on test."""
        return self.metrics[FINAL]["test"]


def training_hash(settings: TrainSettings, inputs: Sequence[str]) -> str:
    """Return the 64 hex digits that stand for a training: its settings and its indexes' content hashes."""
    values = settings.identity()
    if settings.weights:
        values["weights"] = file_sha256(weights_file(Path(settings.weights).expanduser()))
        values.update(other_normalisation(settings.model, settings.weights))
    return task_hash("train", VERSION, (), inputs, values)


def training_folder(run_dir: Path, task: str) -> Path:
    """Return the folder of a training inside a run's folder."""
    return run_dir / "training" / task[:TASK_DIGITS]


def weights_name(stage: str) -> str:
    """Return the name of the file with the weights of a stage, "final" or an earlier one."""
    return MODEL if stage == FINAL else f"{stage}.safetensors"


def read_result(folder: Path, trained: bool = False) -> TrainingResult:
    """Return the result that the folder's manifest commits."""
    head = read_head(folder / MANIFEST)
    said = head.settings
    return TrainingResult(head.task, folder, trained, said["method"], said["loss"], said["seed"], said["metrics"], head)


def committed(folder: Path, task: str) -> bool:
    """Return whether the folder holds a committed training of this task, with its weights."""
    manifest = folder / MANIFEST
    return manifest.is_file() and (folder / MODEL).is_file() and read_head(manifest).task_hash == task


def commit(
    folder: Path,
    task: str,
    inputs: Sequence[str],
    said: Mapping[str, Any],
    groups: Mapping[tuple[str, str], Sequence[GroupAccuracy]],
    attempt: Mapping[str, Any],
) -> None:
    """Write the manifest, the one commit point: rows per (stage, split, group), all else in its head."""
    rows = [_row(task[:TASK_DIGITS], *key, group) for key, accuracies in groups.items() for group in accuracies]
    head = Head("train", task[:TASK_DIGITS], task, VERSION, tuple(inputs), None, said)
    data, _ = encode(head, rows, {**attempt, "host": platform.node(), "threads": torch.get_num_threads()})
    write_local(folder / MANIFEST, data)


def stage_record(stage: Stage, draws: str, result: StageResult) -> dict[str, Any]:
    """Return what the manifest says of one stage: its groups, its shortcut in bits, its epochs."""
    names = group_names(stage.samples)
    return {
        "samples": {names[group]: count for group, count in group_counts(stage.samples).items()},
        "synthetic": sum(sample.g for sample in stage.samples),
        "mutual_information_bits": shortcut_bits(stage.samples),
        "draws": draws,
        "selected_epoch": result.selected.epoch,
        "history": [asdict(metrics) for metrics in result.history],
    }


def shards_seen(run_dir: Path, use: str, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return the shards that ``samples`` lie in, with their checksums and how many samples of each were used.

    ``use`` is the stage that trained on them, or "val" or "test". Paths are relative to the run's folder.
    """
    counts = Counter((sample.shard, sample.g) for sample in samples)
    return [
        {
            "use": use,
            "shard": os.path.relpath(shard, run_dir.resolve()),
            "g": g,
            "sha256": file_sha256(shard),
            "samples": count,
        }
        for (shard, g), count in sorted(counts.items())
    ]


def versions() -> dict[str, str]:
    """Return the versions that decide a training's figures beside its settings."""
    return {name: importlib.metadata.version(name) for name in ("torch", "timm", "scikit-learn")}


def file_sha256(path: Path) -> str:
    """Return the 64 hex digits of a file's SHA-256, read again only when its size or time changed."""
    try:
        status = path.stat()
    except OSError as error:
        raise TrainerError(f"{path} can't be read: {error}") from error
    return _file_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_sha256(path: Path, _size: int, _time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(training_id: str, stage: str, split: str, group: GroupAccuracy) -> dict[str, Any]:
    class_name, bias_name = group.group_name.split("|", 1)
    return {
        **asdict(group),
        "training_id": training_id,
        "stage": stage,
        "split": split,
        "class_name": class_name,
        "bias_name": bias_name,
    }
