"""One training of a run: indexes in, weights and a committed manifest of group accuracies out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from fairshards.catalogs.manifests.identity import TASK_DIGITS
from fairshards.catalogs.manifests.manifest import write_local
from fairshards.trainers.classifiers import last_layer, record, selection
from fairshards.trainers.classifiers.job import Inputs, Job, input_hashes, prepare_job
from fairshards.trainers.classifiers.models import Classifier, build_model
from fairshards.trainers.classifiers.record import FINAL, TrainingResult
from fairshards.trainers.classifiers.settings import TrainSettings, settings_from
from fairshards.trainers.classifiers.train import Data, ProgressCallback, StageResult, StageRun, train_stage
from fairshards.trainers.core.checkpoint import contiguous, save_weights
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample, group_counts
from fairshards.trainers.core.loaders import load_pictures
from fairshards.trainers.core.samplers import sampler_groups
from fairshards.trainers.core.seeding import part_seed, seeded
from fairshards.trainers.evaluation.evaluate import GroupAccuracy, group_accuracies, predict, summarise
from fairshards.trainers.methods.base import LastLayer
from fairshards.trainers.methods.mixes import Stage

Accuracies = Mapping[tuple[str, str], Sequence[GroupAccuracy]]
"""Group accuracies per (stage, split)."""


def run_training(
    run_dir: Path,
    settings: TrainSettings,
    real_index: Path,
    synthetic_index: Path | None = None,
    progress: ProgressCallback | None = None,
    groups: Path | None = None,
) -> TrainingResult:
    """Train as ``settings`` say and commit the result under ``run_dir/training/<training-id>/``.

    ``real_index`` and ``synthetic_index`` are index manifests or their folders, ``groups`` is a manifest of
    discovered groups, for methods that read them. A committed training is
    returned as it is; a killed one goes on from its last epoch and ends with the same weights.

    Raises:
        TrainerError: the settings, an index, a shard or a mix is at fault; the message says how to fix it.
    """
    inputs = Inputs(real_index, synthetic_index, groups)
    hashes = input_hashes(settings, inputs)
    task = record.training_hash(settings, hashes)
    folder = record.training_folder(run_dir, task)
    if record.committed(folder, task):
        return record.read_result(folder)
    job = prepare_job(run_dir, settings, inputs, hashes, task)
    _train(job, progress)
    return record.read_result(folder, trained=True)


def load_model(training_dir: Path, stage: str = FINAL) -> Classifier:
    """Return a training's model in evaluation mode, on the CPU: uint8 [B, 3, S, S] to logits.

    ``stage`` is an earlier stage, such as FFR's "stage1", for its weights.

    Raises:
        TrainerError: the folder holds no finished training, or no such stage.
    """
    try:
        said = json.loads((training_dir / record.SETTINGS).read_text())
        weights = load_file(training_dir / record.weights_name(stage))
    except FileNotFoundError as error:
        raise TrainerError(f"{training_dir} holds no finished stage {stage!r}: {error}") from error
    model = build_model(settings_from(said["settings"]).model, len(said["classes"]))
    model.load_state_dict(weights)
    return model.eval()


def _train(job: Job, progress: ProgressCallback | None) -> None:
    started = time.time()
    _write_settings(job)
    settings = job.settings
    with seeded(part_seed(settings.seed, "init"), job.place.device):
        model = build_model(settings.model, len(job.classes), settings.weights, settings.pretrained)
    val = _data(job, job.real.of("val"))
    chosen_on = _chosen_on(job, val)
    results: dict[str, StageResult] = {}
    refit: dict[str, Any] = {}
    for stage in job.stages:
        run = _stage_run(job, stage, chosen_on)
        results[stage.name] = result = train_stage(run, model, progress)
        if job.last_layer:
            refit = _refit(job, job.last_layer, model, run.train, val)
            results[stage.name] = result = replace(result, weights=contiguous(model.state_dict()))
        metadata = {"task": job.task, "stage": stage.name}
        save_weights(job.folder / job.weights_name(stage.name), result.weights, metadata)
    groups = _evaluate(job, model, results, val)
    attempt = {"started": started, "seconds": time.time() - started}
    record.commit(job.folder, job.task, job.inputs, {**_account(job, results, groups), **refit}, groups, attempt)
    for stage in job.stages:
        job.checkpoint(stage.name).unlink(missing_ok=True)


def _write_settings(job: Job) -> None:
    content = {
        "training_id": job.task[:TASK_DIGITS],
        "task_hash": job.task,
        "inputs": job.inputs,
        "classes": job.classes,
        "settings": job.settings.written(),
    }
    write_local(job.folder / record.SETTINGS, json.dumps(content, indent=2).encode())


def _data(job: Job, samples: Sequence[Sample]) -> Data:
    return Data(samples, load_pictures(samples, job.settings.image_size, job.settings.cache_bytes))


def _chosen_on(job: Job, val: Data) -> Data:
    """Return the samples that choose an epoch; real validation's pictures are in memory already."""
    if job.settings.selects_by == "synthetic-validation":
        return _data(job, job.chosen_on)
    return Data(job.chosen_on, val.pictures)


def _refit(job: Job, plan: LastLayer, model: Classifier, train: Data, val: Data) -> dict[str, Any]:
    """Refit the model's last layer and return what the manifest says of it."""
    data = last_layer.RefitData(train, val, _data(job, plan.spurious_free))
    return {"last_layer": last_layer.refit_last_layer(model, plan, data, job.settings.seed, job.place)}


def _stage_run(job: Job, stage: Stage, val: Data) -> StageRun:
    settings, loss = job.settings, job.loss(stage.name)
    groups = sampler_groups(stage.samples, settings.training_method.by_source)
    return StageRun(
        name=stage.name,
        settings=settings.stages[stage.name],
        train=_data(job, stage.samples),
        val=val,
        groups=groups,
        resamples=loss.resamples,
        criterion=job.criterion(stage.name, int(groups.max()) + 1),
        seed=settings.seed,
        place=job.place,
        checkpoint=job.checkpoint(stage.name),
        task=job.task,
    )


def _evaluate(job: Job, model: Classifier, results: Mapping[str, StageResult], val: Data) -> Accuracies:
    """Measure the selected weights of every stage. Test is read here, once, when all is chosen."""
    accuracies = {}
    place = replace(job.place, precision=last_layer.PRECISION) if job.last_layer else job.place
    splits = {split: val if split == "val" else _data(job, job.real.of(split)) for split in job.measured}
    for name, result in results.items():
        model.load_state_dict(result.weights)
        for split, data in splits.items():
            predicted = predict(model, data.pictures, place)
            accuracies[job.measured_as(name), split] = group_accuracies(predicted, data.samples)
    return accuracies


def _account(job: Job, results: Mapping[str, StageResult], groups: Accuracies) -> dict[str, Any]:
    """Return what the manifest's head says of the training (no timings: these are the attempt's)."""
    settings = job.settings
    used = [(stage.name, stage.samples) for stage in job.stages]
    used += [(last_layer.NAME, job.last_layer.spurious_free)] if job.last_layer else []
    used += [(split, job.real.of(split)) for split in job.measured]
    used += [("synthetic validation", job.chosen_on)] if settings.selects_by == "synthetic-validation" else []
    return {
        "method": settings.training_method.name,
        "name": settings.name,
        "loss": settings.training_loss.name,
        "seed": settings.seed,
        "epochs": {name: len(result.history) - 1 for name, result in results.items()},
        "selection": selection.rule(settings),
        "settings": settings.identity(),
        "metrics": _metrics(job, groups),
        "stages": {
            stage.name: record.stage_record(stage, job.draws(stage.name), results[stage.name]) for stage in job.stages
        },
        "shards": [row for use, samples in used for row in record.shards_seen(job.run_dir, use, samples)],
        "weights": {name: record.file_sha256(job.folder / name) for name in map(job.weights_name, results)},
        "device": job.place.device.type,
        "precision": job.place.precision,
        "versions": record.versions(),
    }


def _metrics(job: Job, groups: Accuracies) -> dict[str, dict[str, Any]]:
    training = group_counts(job.real.of("train"))
    metrics: dict[str, dict[str, Any]] = {}
    for (stage, split), accuracies in groups.items():
        metrics.setdefault(stage, {})[split] = summarise(accuracies, training).as_dict()
    return metrics
