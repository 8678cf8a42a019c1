"""Training of the autoencoder: L1 on pixels and on their differences (edges), and a weak KL term."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.models import new_vae
from fairshards.pocket.scenes.pictures import to_unit, training_images
from fairshards.pocket.training.loop import Schedule, Training

LOGS = Path(__file__).parents[1] / "logs"
KL_WEIGHT = 1e-3


def edges(images: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences of neighbouring pixels."""
    return images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 of pixels plus L1 of edges, so that outlines stay sharp."""
    sides = zip(edges(output), edges(target), strict=True)
    return (output - target).abs().mean() + sum(((a - b).abs().mean() for a, b in sides), torch.zeros(()))


class Autoencode(nn.Module):
    """The autoencoder's training pass as one module."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        posterior = self.vae.encode(images).latent_dist
        output = self.vae.decode(posterior.mean + posterior.std * noise).sample
        value: Tensor = reconstruction_loss(output, images) + KL_WEIGHT * posterior.kl().mean() / noise[0].numel()
        return value


def train_vae(work: Path, steps: int = 5000, batch: int = 4, pictures: int = 6000) -> AutoencoderKL:
    """Train (or resume) the autoencoder; returns its EMA with unit-variance ``scaling_factor``."""
    torch.manual_seed(0)
    images = training_images("generator", pictures, work / "pictures")
    model = Autoencode(new_vae().to(memory_format=torch.channels_last))
    schedule = Schedule(steps, rate=1.5e-3, decay=1e-4, ema=0.995)
    training = Training("vae", model, schedule, work, LOGS / "vae.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        pixels = to_unit(images[rows]).contiguous(memory_format=torch.channels_last)
        if torch.rand((), generator=generator) < 0.5:
            pixels = pixels.flip(-1)
        noise = torch.randn(batch, 4, 16, 16, generator=generator)
        value: Tensor = model(pixels, noise)
        return value

    trained = training.run(loss)
    assert isinstance(trained, Autoencode)
    vae = trained.vae
    set_scaling(vae, images[:1000])
    vae.save_pretrained(work / "vae")
    return vae


@torch.no_grad()
def set_scaling(vae: AutoencoderKL, images: Tensor) -> None:
    """Register the factor that gives the latents' means unit standard deviation."""
    means = [vae.encode(to_unit(part)).latent_dist.mean for part in torch.split(images, 100)]
    vae.register_to_config(scaling_factor=round(1 / torch.cat(means).std().item(), 5))


def load_vae(work: Path) -> AutoencoderKL:
    """The trained autoencoder of a work folder; the committed one (float16 on disk) where none was trained there."""
    folder = work / "vae" if (work / "vae").is_dir() else checkpoint_path("pocket-diffusion") / "vae"
    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval().requires_grad_(False)
