"""Checkpoint folders: written as float16 safetensors under a temporary name, then swapped into place."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.clip_model import new_clip, save_clip
from fairshards.pocket.networks.models import assemble, new_text_encoder, new_unet, new_vae
from fairshards.pocket.networks.tokenizer import new_tokenizer


def swap_in(name: str, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a fresh folder, then put it in the checkpoint's place; returns the checkpoint's path."""
    target = checkpoint_path(name)
    fresh = target.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write(fresh)
    old = target.with_name(f".{name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)  # an export that was killed below leaves it
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def halved(model: nn.Module, fresh: Any) -> Any:
    """A float16 copy of a model in a newly built one of the same shape; the model itself stays float32."""
    fresh.load_state_dict(model.state_dict())
    return fresh.half().to(memory_format=torch.contiguous_format)


def export_diffusion(vae: AutoencoderKL, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> Path:
    """Write ``pocket-diffusion``, a StableDiffusionPipeline folder."""
    tokenizer = new_tokenizer()
    small_vae = halved(vae, new_vae())
    small_vae.register_to_config(scaling_factor=vae.config.scaling_factor)
    text = halved(text_encoder, new_text_encoder(tokenizer))
    pipeline = assemble(small_vae, halved(unet, new_unet()), text, tokenizer)
    return swap_in("pocket-diffusion", lambda folder: pipeline.save_pretrained(folder, safe_serialization=True))


def export_untrained() -> None:
    """Random weights of the final architectures, for code that is written before the training ends."""
    torch.manual_seed(0)
    tokenizer = new_tokenizer()
    export_diffusion(new_vae(), new_unet(), new_text_encoder(tokenizer))
    swap_in("pocket-clip", lambda folder: save_clip(new_clip(tokenizer), folder))
