"""The denoising loss of a latent diffusion pipeline on a few pictures: noise them, predict, compare.

Every draw of a step comes from one CPU generator that the step's number seeds, so that a step's batch is the
same on any device and after any resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from fairshards.generators.checkpoints.loading import is_stable_diffusion
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.seeding import part_seed
from fairshards.trainers.evaluation.evaluate import autocast
from fairshards.trainers.personal.settings import PersonaliseSettings

PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True)
class Latents:
    """The VAE's posteriors of N pictures and of their mirror images: float32 [2, N, C, h, w] each, on the CPU."""

    mean: Tensor
    std: Tensor

    @property
    def count(self) -> int:
        """The number of pictures."""
        return self.mean.shape[1]


@dataclass(frozen=True)
class Batch:
    """One step's draws: scaled latents and noise [B, C, h, w], timesteps int64 [B], B prompts."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    prompts: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.latents.to(device), self.noise.to(device), self.times.to(device), self.prompts)


def check_trainable(pipeline: Any) -> None:
    """Check that the pipeline's denoiser can be trained as this module does.

    Raises:
        TrainerError: no U-Net with one text encoder, a U-Net of another task, or an unknown prediction type.
    """
    name = type(pipeline).__name__
    if not is_stable_diffusion(pipeline) or not hasattr(pipeline, "vae"):
        raise TrainerError(
            f"{name} can't be personalised: it must be of the Stable Diffusion family, with a U-Net, "
            "a VAE and one text encoder"
        )
    taken, made = pipeline.unet.config.in_channels, pipeline.vae.config.latent_channels
    if taken != made:
        raise TrainerError(
            f"{name}'s U-Net takes {taken} channels and its VAE makes {made}; give a text-to-image "
            "model, not one for inpainting or editing"
        )
    kind = pipeline.scheduler.config.get("prediction_type")
    if kind not in PREDICTIONS:
        raise TrainerError(f"the scheduler's prediction_type is {kind!r}; expected one of {', '.join(PREDICTIONS)}")


def training_scheduler(pipeline: Any) -> Any:
    """Return the noise schedule that the pipeline samples with, as a ``DDPMScheduler``."""
    from diffusers import DDPMScheduler

    return DDPMScheduler.from_config(pipeline.scheduler.config)


@torch.no_grad()
def encode_latents(vae: Any, images: Tensor, device: torch.device) -> Latents:
    """Return the posteriors of ``images``, uint8 [N, 3, S, S], encoded one by one in float32.

    Raises:
        TrainerError: S isn't a multiple of the VAE's factor.
    """
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    if images.shape[-1] % factor:
        raise TrainerError(f"resolution is {images.shape[-1]}; the VAE needs a multiple of {factor}")
    sides = (images, images.flip(-1))
    pictures = [[picture[None].to(device).float() / 127.5 - 1 for picture in side] for side in sides]
    found = [[vae.encode(picture).latent_dist for picture in side] for side in pictures]
    mean = torch.stack([torch.cat([one.mean for one in side]) for side in found])
    std = torch.stack([torch.cat([one.std for one in side]) for side in found])
    return Latents(mean.float().cpu(), std.float().cpu())


def draw_batch(
    latents: Latents, prompts: Sequence[str], settings: PersonaliseSettings, step: int, factor: float, times: int
) -> Batch:
    """Return step ``step``'s batch, counted from 1.

    ``factor`` scales latents to the U-Net's range; timesteps are uniform in [0, ``times``).
    """
    size = settings.batch_size
    generator = torch.Generator().manual_seed(part_seed(settings.seed, "step", step))
    rows = picture_rows((step - 1) * size, size, latents.count, settings.seed)
    sides = (torch.rand(size, generator=generator) < settings.flip).long()
    said = torch.randint(len(prompts), (size,), generator=generator).tolist()
    mean, std = latents.mean[sides, rows], latents.std[sides, rows]
    drawn = (mean + std * torch.randn(mean.shape, generator=generator)) * factor
    noise = torch.randn(mean.shape, generator=generator)
    when = torch.randint(times, (size,), generator=generator)
    return Batch(drawn, noise, when, tuple(prompts[number] for number in said))


def picture_rows(start: int, size: int, count: int, seed: int) -> Tensor:
    """Return draws [start, start + size) of an endless sequence: pass after pass over all pictures, each shuffled."""
    places = range(start, start + size)
    passes = {number: _shuffled(count, part_seed(seed, "pass", number)) for number in {at // count for at in places}}
    return torch.tensor([passes[at // count][at % count] for at in places])


def denoising_loss(pipeline: Any, scheduler: Any, batch: Batch, precision: str) -> Tensor:
    """Return the mean squared error of what the U-Net predicts for the noised batch, float32.

    Prompts are encoded by the pipeline itself, as they are when it generates.
    """
    device = batch.latents.device
    noisy = scheduler.add_noise(batch.latents, batch.noise, batch.times)
    with autocast(device, precision):
        text = pipeline.encode_prompt(list(batch.prompts), device, 1, False)[0]
        predicted = pipeline.unet(noisy, batch.times, encoder_hidden_states=text).sample
    return mse_loss(predicted.float(), wanted(scheduler, batch).float())


def wanted(scheduler: Any, batch: Batch) -> Tensor:
    """Return what a perfect U-Net would predict, by the scheduler's prediction type."""
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        velocity: Tensor = scheduler.get_velocity(batch.latents, batch.noise, batch.times)
        return velocity
    return batch.noise if kind == "epsilon" else batch.latents


def _shuffled(count: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return order
