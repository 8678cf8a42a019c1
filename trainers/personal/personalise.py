"""Teach a text-to-image pipeline a class from a few spurious-free pictures (docs/methods.md#textual-inversion)."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.generators.checkpoints.loading import load_pipeline
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.loaders import stream_images
from fairshards.trainers.core.place import resolve_device
from fairshards.trainers.core.seeding import part_seed, seeded
from fairshards.trainers.personal import record
from fairshards.trainers.personal.denoising import check_trainable, encode_latents
from fairshards.trainers.personal.dreambooth_lora import new_lora
from fairshards.trainers.personal.learner import Learner, Lesson, StepCallback, mean_losses, teach
from fairshards.trainers.personal.record import Personalised
from fairshards.trainers.personal.settings import TEXTUAL_INVERSION, Concept, PersonaliseSettings, check_concept
from fairshards.trainers.personal.textual_inversion import new_token

CHECKPOINT = "steps.checkpoint.safetensors"


def personalise(
    run_dir: Path,
    model_folder: Path,
    model_fingerprint: str,
    settings: PersonaliseSettings,
    concept: Concept,
    pictures: Sequence[Sample],
    progress: StepCallback | None = None,
) -> Personalised:
    """Teach the pipeline in ``model_folder`` the concept and commit it under ``run_dir/personal/<personal-id>/``.

    ``model_fingerprint`` stands for the pipeline (``model_files.fingerprint``); ``pictures`` are read
    from their shards, in the order given. A committed personalisation is returned as it is; a killed one goes on
    from its last checkpoint and ends with the same bytes.

    Raises:
        TrainerError: the settings, the concept, a picture or the kind of model is at fault.
        generators.model_files.ModelFilesError: the model can't be loaded.
    """
    check_concept(concept, settings)
    _check_pictures(concept, pictures)
    task = record.personal_hash(settings, concept, model_fingerprint, pictures)
    folder = record.personal_folder(run_dir, task)
    if record.committed(folder, task):
        return record.read_personalised(folder)
    _train(folder, task, model_folder, model_fingerprint, settings, concept, pictures, progress)
    return record.read_personalised(folder, trained=True)


def _train(
    folder: Path,
    task: str,
    model_folder: Path,
    model_fingerprint: str,
    settings: PersonaliseSettings,
    concept: Concept,
    pictures: Sequence[Sample],
    progress: StepCallback | None,
) -> None:
    started = time.time()
    device, precision = resolve_device(settings)
    with seeded(part_seed(settings.seed, "init"), device):
        pipeline = frozen_pipeline(model_folder, settings, device)
        learner = new_learner(pipeline, concept, settings)
        learner.trained.to(device)
        latents = encode_latents(pipeline.vae, stream_images(pictures, settings.resolution), device)
        _write_settings(folder, settings, concept, model_fingerprint)
        lesson = Lesson(pipeline, latents, settings, device, precision, folder / CHECKPOINT, task)
        losses = teach(learner, lesson, progress)
    weights = learner.write(folder, {"task": task, "token": concept.token})
    said = record.account(settings, concept, model_fingerprint, mean_losses(losses), weights)
    attempt = {"started": started, "seconds": time.time() - started, "device": device.type, "precision": precision}
    record.commit(folder, task, concept, pictures, said, attempt)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def frozen_pipeline(model_folder: Path, settings: PersonaliseSettings, device: torch.device) -> Any:
    """Return the pipeline with float32 weights, none of which is trained.

    Raises:
        TrainerError: it is none that can be personalised.
    """
    pipeline = load_pipeline(model_folder, str(device), "float32", None, allow_pickle=False)
    check_trainable(pipeline)
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        part.requires_grad_(False).eval()  # no dropout, so that the seeded draws are all the chance there is
    if settings.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    return pipeline


def new_learner(pipeline: Any, concept: Concept, settings: PersonaliseSettings) -> Learner:
    """Return what the method trains in the pipeline."""
    new = new_token if settings.method == TEXTUAL_INVERSION else new_lora
    return new(pipeline, concept, settings)


def _check_pictures(concept: Concept, pictures: Sequence[Sample]) -> None:
    if not pictures:
        raise TrainerError(f"concept {concept.name!r} has no picture to learn from; give at least one (ASPIRE: 35)")
    twice = [name for name, times in Counter(picture.sample_id for picture in pictures).items() if times > 1]
    if twice:
        raise TrainerError(f"concept {concept.name!r} has {len(twice)} pictures twice, first {twice[0]}")


def _write_settings(folder: Path, settings: PersonaliseSettings, concept: Concept, model_fingerprint: str) -> None:
    said = {
        "personal_id": folder.name,
        "concept": asdict(concept),
        "settings": asdict(settings),
        "model_fingerprint": model_fingerprint,
    }
    write_local(folder / record.SETTINGS, json.dumps(said, indent=2).encode())
