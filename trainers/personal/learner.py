"""The loop of a personalisation: one step a batch, a checkpoint now and then, the same weights after a kill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fairshards.trainers.core.checkpoint import load_steps, save_steps
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.personal.denoising import Latents, denoising_loss, draw_batch, training_scheduler
from fairshards.trainers.personal.settings import PersonaliseSettings

StepCallback = Callable[[int, int, float], None]
"""Called as (step, steps, loss) after every step."""


@dataclass(frozen=True)
class Learner:
    """What a method has put into a pipeline: its prompts, its parameters, and how they are written.

    ``write(folder, metadata)`` writes the trained weights into the folder and returns their file.
    """

    prompts: tuple[str, ...]
    trained: nn.ParameterList
    write: Callable[[Path, Mapping[str, str]], Path]


@dataclass(frozen=True)
class Lesson:
    """What a learner is trained with. ``task`` names the checkpoints at ``checkpoint`` that it may go on from."""

    pipeline: Any
    latents: Latents
    settings: PersonaliseSettings
    device: torch.device
    precision: str
    checkpoint: Path
    task: str


def teach(learner: Learner, lesson: Lesson, progress: StepCallback | None = None) -> tuple[float, ...]:
    """Train the learner's parameters, from its last checkpoint where there is one, and return each step's loss.

    Raises:
        TrainerError: a step's loss isn't finite.
    """
    settings, scheduler = lesson.settings, training_scheduler(lesson.pipeline)
    factor, times = lesson.pipeline.vae.config.scaling_factor, scheduler.config.num_train_timesteps
    optimiser = new_optimiser(learner, settings)
    losses = load_steps(lesson.checkpoint, lesson.task, learner.trained, optimiser)
    for step in range(len(losses) + 1, settings.steps + 1):
        batch = draw_batch(lesson.latents, learner.prompts, settings, step, factor, times)
        loss = denoising_loss(lesson.pipeline, scheduler, batch.to(lesson.device), lesson.precision)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(_finite(float(loss.detach()), step, settings))
        if step % settings.save_every == 0:
            save_steps(lesson.checkpoint, lesson.task, losses, learner.trained, optimiser)
        if progress:
            progress(step, settings.steps, losses[-1])
    return tuple(losses)


def new_optimiser(learner: Learner, settings: PersonaliseSettings) -> torch.optim.Optimizer:
    """Return AdamW over the learner's parameters at the settings' constant rate."""
    return torch.optim.AdamW(
        learner.trained.parameters(),
        lr=settings.rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        eps=settings.eps,
    )


def mean_losses(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean loss over the first and over the last tenth of the steps (one step's loss says little)."""
    part = max(1, len(losses) // 10)
    return math.fsum(losses[:part]) / part, math.fsum(losses[-part:]) / part


def _finite(loss: float, step: int, settings: PersonaliseSettings) -> float:
    if not math.isfinite(loss):
        raise TrainerError(
            f"step {step} of {settings.steps}: the loss is {loss}, so what was learnt is lost; lower "
            f"lr, which is {settings.lr:g} (a step's rate is {settings.rate:g})"
        )
    return loss
