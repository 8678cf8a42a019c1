"""One training of a run: indexes in, weights and a committed manifest of group accuracies out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from catalogs.identity import TASK_DIGITS
from catalogs.manifest import write_local
from trainers import record
from trainers.checkpoint import save_weights
from trainers.errors import TrainerError
from trainers.evaluate import GroupAccuracy, group_accuracies, predict, summarise
from trainers.index import Index, Sample, class_names, group_counts, group_names, index_hash, read_index
from trainers.loaders import load_pictures
from trainers.mixes import Stage, build_mix
from trainers.models import Classifier, build_model
from trainers.record import TrainingResult
from trainers.samplers import sampler_groups
from trainers.seeding import part_seed, seeded
from trainers.settings import TrainSettings, settings_from
from trainers.train import SELECTION, Data, ProgressCallback, StageResult, StageRun, train_stage


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


def run_training(
    run_dir: Path,
    settings: TrainSettings,
    real_index: Path,
    synthetic_index: Path | None = None,
    progress: ProgressCallback | None = None,
) -> TrainingResult:
    """Train as ``settings`` say and commit the result under ``run_dir/training/<training-id>/``.

    ``real_index`` and ``synthetic_index`` are index manifests or their folders. A committed training is
    returned as it is; a killed one goes on from its last epoch and ends with the same weights.

    Raises:
        TrainerError: the settings, an index, a shard or a mix is at fault; the message says how to fix it.
    """
    inputs = _inputs(settings, real_index, synthetic_index)
    task = record.training_hash(settings, inputs)
    folder = record.training_folder(run_dir, task)
    if not record.committed(folder, task):
        _train(_job(run_dir, settings, task, inputs, real_index, synthetic_index), progress)
        return record.read_result(folder, trained=True)
    return record.read_result(folder)


def load_model(training_dir: Path, stage: str = record.FINAL) -> Classifier:
    """Return a training's model in evaluation mode, on the CPU: uint8 [B, 3, S, S] to logits.

    ``stage`` "stage1" gives FFR's stage-1 weights.
    """
    from safetensors.torch import load_file

    try:
        said = json.loads((training_dir / record.SETTINGS).read_text())
        weights = load_file(training_dir / (record.STAGE1 if stage == "stage1" else record.MODEL))
    except FileNotFoundError as error:
        raise TrainerError(f"{training_dir} holds no finished training: {error}") from error
    model = build_model(settings_from(said["settings"]).model, len(said["classes"]))
    model.load_state_dict(weights)
    return model.eval()


def _inputs(settings: TrainSettings, real: Path, synthetic: Path | None) -> tuple[str, ...]:
    if not settings.needs_synthetic:
        return (index_hash(real),)
    if synthetic is None:
        raise TrainerError(f"method {settings.method!r} trains on synthetic samples; give the curated index")
    return index_hash(real), index_hash(synthetic)


def _job(
    run_dir: Path, settings: TrainSettings, task: str, inputs: tuple[str, ...], real_path: Path,
    synthetic_path: Path | None,
) -> Job:
    real = read_index(real_path, g=0)
    synthetic: tuple[Sample, ...] = ()
    if settings.needs_synthetic and synthetic_path is not None:
        synthetic = read_index(synthetic_path, g=1).samples
        _require_same_names(real.samples, synthetic)
    stages = build_mix(settings.method, real.of("train"), synthetic)
    device, precision = resolve_device(settings)
    return Job(settings, run_dir, task, inputs, real, stages, class_names(real.samples), device, precision)


def resolve_device(settings: TrainSettings) -> tuple[torch.device, str]:
    """Return the device and the precision ("float32" or "bfloat16") that "auto" stands for here."""
    cuda = torch.cuda.is_available()
    device = torch.device(("cuda" if cuda else "cpu") if settings.device == "auto" else settings.device)
    if device.type == "cuda" and not cuda:
        raise TrainerError(f"device is {settings.device!r}, but torch finds no CUDA device here; use 'auto' or 'cpu'")
    if settings.precision != "auto":
        return device, settings.precision
    return device, "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _train(job: Job, progress: ProgressCallback | None) -> None:
    started = time.time()
    said = {"training_id": job.task[:TASK_DIGITS], "task_hash": job.task, "inputs": job.inputs,
            "classes": job.classes, "settings": asdict(job.settings)}  # fmt: skip
    write_local(job.folder / record.SETTINGS, json.dumps(said, indent=2).encode())
    with seeded(part_seed(job.settings.seed, "init"), job.device):
        model = build_model(job.settings.model, len(job.classes), job.settings.weights, job.settings.pretrained)
    val = _data(job, job.real.of("val"))
    results: dict[str, StageResult] = {}
    for stage in job.stages:
        results[stage.name] = train_stage(_stage_run(job, stage, val), model, progress)
        file = record.STAGE1 if stage.name == "stage1" else record.MODEL
        save_weights(job.folder / file, results[stage.name].weights, {"task": job.task, "stage": stage.name})
    groups = _evaluate(job, model, results, val)
    attempt = {"started": started, "seconds": time.time() - started}
    record.commit(job.folder, job.task, job.inputs, _said(job, results, groups), groups, attempt)
    for stage in job.stages:
        _checkpoint(job, stage).unlink(missing_ok=True)


def _data(job: Job, samples: Sequence[Sample]) -> Data:
    return Data(samples, load_pictures(samples, job.settings.image_size, job.settings.cache_bytes))


def _checkpoint(job: Job, stage: Stage) -> Path:
    return job.folder / f"{stage.name}.checkpoint.safetensors"


def _stage_run(job: Job, stage: Stage, val: Data) -> StageRun:
    """FFR's stage 1 is balanced, so plain cross-entropy; the loss setting is that of the last stage."""
    settings = job.settings
    resample = settings.loss == "resample" and stage.name != "stage1"
    return StageRun(
        name=stage.name,
        settings=settings.pretrain if stage.name == "stage1" else settings.main,
        train=_data(job, stage.samples),
        val=val,
        groups=sampler_groups(settings.method, stage.samples) if resample else None,
        seed=settings.seed,
        device=job.device,
        precision=job.precision,
        workers=settings.workers,
        checkpoint=_checkpoint(job, stage),
        task=job.task,
    )


def _evaluate(
    job: Job, model: Classifier, results: dict[str, StageResult], val: Data
) -> dict[tuple[str, str], tuple[GroupAccuracy, ...]]:
    """Measure the selected weights of every stage. Test is read here, once, when all is chosen."""
    found = {}
    test = _data(job, job.real.of("test"))
    for name, result in results.items():
        model.load_state_dict(result.weights)
        for split, data in (("val", val), ("test", test)):
            predicted = predict(model, data.pictures, job.device, job.precision, workers=job.settings.workers)
            stage = "stage1" if name == "stage1" else record.FINAL
            found[stage, split] = group_accuracies(predicted, data.samples)
    return found


def _said(
    job: Job, results: dict[str, StageResult], groups: dict[tuple[str, str], tuple[GroupAccuracy, ...]]
) -> dict[str, Any]:
    """Return the manifest's account of the training (no timings: these are the attempt's)."""
    training = group_counts(job.real.of("train"))
    metrics: dict[str, dict[str, Any]] = {}
    for (stage, split), found in groups.items():
        metrics.setdefault(stage, {})[split] = summarise(found, training).as_dict()
    used = [(stage.name, stage.samples) for stage in job.stages]
    used += [(split, job.real.of(split)) for split in ("val", "test")]
    files = [record.MODEL] + [record.STAGE1] * ("stage1" in results)
    return {
        "method": job.settings.method, "loss": job.settings.loss, "seed": job.settings.seed,
        "epochs": {name: len(result.history) - 1 for name, result in results.items()},
        "selection": SELECTION, "settings": job.settings.identity(), "metrics": metrics,
        "stages": {
            stage.name: record.stage_record(
                stage, _draws(job, stage), results[stage.name].history, results[stage.name].selected
            )
            for stage in job.stages
        },
        "shards": [row for use, samples in used for row in record.shards_seen(job.run_dir, use, samples)],
        "weights": {file: record.file_sha256(job.folder / file) for file in files},
        "device": job.device.type, "precision": job.precision, "versions": record.versions(),
    }  # fmt: skip


def _draws(job: Job, stage: Stage) -> str:
    if job.settings.loss == "erm" or stage.name == "stage1":
        return "uniform"
    return "resample (y,b,g)" if job.settings.method in ("usb", "asb") else "resample (y,b)"


def _require_same_names(real: Sequence[Sample], synthetic: Sequence[Sample]) -> None:
    ours, theirs = group_names(real), group_names(synthetic)
    other = {group: (ours[group], theirs[group]) for group in ours.keys() & theirs.keys() if ours[group] != theirs[group]}
    if other:
        group, (one, two) = sorted(other.items())[0]
        raise TrainerError(f"group {group} is {one!r} in the real index and {two!r} in the synthetic one")
