"""Training of the denoiser and its text encoder on the latents of a balanced pocket world (v-prediction)."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import CLIPTextModel, CLIPTokenizer

from fairshards.pocket.networks.export import export_diffusion
from fairshards.pocket.networks.models import new_scheduler, new_text_encoder, new_unet
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.captions import full_caption, partial_caption
from fairshards.pocket.scenes.pictures import CHUNK, to_unit, training_images, training_scene
from fairshards.pocket.scenes.scene import stream
from fairshards.pocket.training.loop import Schedule, Training
from fairshards.pocket.training.quality import check_diffusion
from fairshards.pocket.training.train_text import train_text
from fairshards.pocket.training.train_vae import LOGS, load_vae

PHRASINGS = 5
DROPOUT = 0.1


class Denoiser(nn.Module):
    """U-Net and text encoder, trained together."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = new_unet().to(memory_format=torch.channels_last)
        self.text: CLIPTextModel = new_text_encoder(tokenizer)

    def forward(self, latents: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Predicted v, (n, 4, 16, 16), of noisy latents at timesteps (n,) under token ids (n, 24)."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        predicted: Tensor = self.unet(latents, times, self.text(tokens).last_hidden_state).sample
        return predicted


@torch.no_grad()
def encode_chunk(number: int, vae: AutoencoderKL, work: Path) -> Tensor:
    """Scaled latents, float32 (2, CHUNK, 4, 16, 16), of a chunk of pictures and of their mirror images; cached."""
    path = work / "latents" / f"{number:03d}.pt"
    if not path.exists():
        images = to_unit(training_images("generator", (number + 1) * CHUNK, work / "pictures")[-CHUNK:])
        sides = (images, images.flip(-1))
        means = [torch.cat([vae.encode(p).latent_dist.mean for p in torch.split(side, 100)]) for side in sides]
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.stack(means) * vae.config.scaling_factor, path)
    latents: Tensor = torch.load(path, weights_only=True)
    return latents


def phrase(index: int, number: int) -> str:
    """Phrasing ``number`` of a training picture: four full captions, then one that leaves something out."""
    scene = training_scene("generator", index)
    rng = stream("generator", 0, index, f"phrasing-{number}")
    return full_caption(scene, rng) if number < PHRASINGS - 1 else partial_caption(scene, rng)


def tokenize(texts: list[str], tokenizer: CLIPTokenizer) -> Tensor:
    """Token ids, int64 (n, 24), padded with the end token."""
    ids: Tensor = tokenizer(
        texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return ids


def all_captions(count: int) -> tuple[list[str], Tensor]:
    """The different captions of the first pictures, and which of them each phrasing is, int64 (count, PHRASINGS)."""
    texts = [[phrase(index, number) for number in range(PHRASINGS)] for index in range(count)]
    different = sorted({text for row in texts for text in row})
    place = {text: number for number, text in enumerate(different)}
    return different, torch.tensor([[place[text] for text in row] for row in texts])


class DiffusionData:
    """Draws batches (latents, token ids) from the encoded pictures; a tenth of the captions are empty."""

    def __init__(self, latents: Tensor, tokens: Tensor, empty: Tensor) -> None:
        self.latents, self.tokens, self.empty = latents, tokens, empty

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(self.latents.shape[1], (count,), generator=generator)
        sides = torch.randint(2, (count,), generator=generator)
        phrasings = torch.randint(PHRASINGS, (count,), generator=generator)
        dropped = torch.rand(count, 1, generator=generator) < DROPOUT
        return self.latents[sides, rows], torch.where(dropped, self.empty, self.tokens[rows, phrasings])


def v_loss(model: nn.Module, latents: Tensor, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of the predicted v at uniform timesteps."""
    scheduler = new_scheduler()
    noise = torch.randn(latents.shape, generator=generator)
    times = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
    noisy = scheduler.add_noise(latents, noise, times)
    return mse_loss(model(noisy, times, tokens), scheduler.get_velocity(latents, noise, times))


def train_diffusion(
    work: Path, steps: int = 4800, second: int = 2400, batch: int = 64, chunks: int = 12, rate: float = 1e-3
) -> None:
    """Train (or resume) the denoiser, in two cosine cycles of ``steps`` and of ``second`` steps.

    Exports ``pocket-diffusion`` with its EMA at every check and at the end.
    """
    torch.manual_seed(0)
    tokenizer, vae = new_tokenizer(), load_vae(work)
    latents = torch.cat([encode_chunk(number, vae, work) for number in range(chunks)], dim=1)
    captions, chosen = all_captions(latents.shape[1])
    tokens = tokenize(captions, tokenizer)
    data = DiffusionData(latents, tokens[chosen], tokenize([""], tokenizer))
    denoiser = Denoiser(tokenizer)
    denoiser.text.load_state_dict(train_text(work, tokenizer, captions, tokens).text.state_dict())
    schedule = Schedule(steps + second, rate=rate, warmup=300, ema=0.999, check_every=800, second=second)
    training = Training("diffusion", denoiser, schedule, work, LOGS / "diffusion.csv")

    def loss(generator: torch.Generator) -> Tensor:
        return v_loss(training.model, *data.draw(batch, generator), generator)

    def check(model: nn.Module, step: int) -> None:
        assert isinstance(model, Denoiser)
        export_diffusion(vae, model.unet, model.text)
        check_diffusion(step, work)

    training.run(loss, check)
