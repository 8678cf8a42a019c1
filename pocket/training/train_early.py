"""A denoiser that was stopped early: the test bed for filters, since it really draws two-headed birds.

It has pocket-diffusion's autoencoder and text encoder and a U-Net of the same size after 1,000 steps. It isn't shipped:
``python -m fairshards.pocket.train early`` makes it again, with the same seeds, in a folder that recipes can name.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.export import halved
from fairshards.pocket.networks.models import assemble, new_text_encoder, new_unet, new_vae
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.training.loop import Schedule, Training
from fairshards.pocket.training.train_diffusion import (
    Denoiser,
    DiffusionData,
    all_captions,
    encode_chunk,
    tokenize,
    v_loss,
)

FOLDER = "early-diffusion"


def train_early(work: Path, steps: int = 1000, batch: int = 64, chunks: int = 4, rate: float = 1e-3) -> Path:
    """Train (or resume) the U-Net and write a StableDiffusionPipeline folder; returns its path."""
    torch.manual_seed(1)
    trained, tokenizer = checkpoint_path("pocket-diffusion"), new_tokenizer()
    vae = AutoencoderKL.from_pretrained(trained / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
    text = CLIPTextModel.from_pretrained(trained / "text_encoder", dtype=torch.float32).eval().requires_grad_(False)
    latents = torch.cat([encode_chunk(number, vae, work / "early") for number in range(chunks)], dim=1)
    captions, chosen = all_captions(latents.shape[1])
    data = DiffusionData(latents, tokenize(captions, tokenizer)[chosen], tokenize([""], tokenizer))
    denoiser = Denoiser(tokenizer)
    denoiser.text = text
    schedule = Schedule(steps, rate=rate, warmup=100, ema=0.99)
    training = Training("early", denoiser, schedule, work / "early", work / "early" / "early.csv")
    model = training.run(lambda generator: v_loss(training.model, *data.draw(batch, generator), generator))
    assert isinstance(model, Denoiser)
    small_vae = halved(vae, new_vae())
    small_vae.register_to_config(scaling_factor=vae.config.scaling_factor)
    written = assemble(small_vae, halved(model.unet, new_unet()), halved(text, new_text_encoder(tokenizer)), tokenizer)
    written.save_pretrained(work / FOLDER, safe_serialization=True)
    return work / FOLDER
