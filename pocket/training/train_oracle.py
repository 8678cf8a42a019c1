"""Training of the oracle: cross-entropy on both heads, light colour and noise augmentation."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, cross_entropy

from fairshards.pocket.networks.export import swap_in
from fairshards.pocket.networks.oracle import Oracle, save_oracle
from fairshards.pocket.scenes.pictures import to_unit, training_images, training_scenes
from fairshards.pocket.training.loop import Schedule, Training, append_row
from fairshards.pocket.training.train_vae import LOGS


def labels_of(domain: str, count: int) -> Tensor:
    """Class and background index of a training set's scenes, int64 (count, 2)."""
    return torch.tensor([(scene.label, scene.place) for scene in training_scenes(domain, count)])


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, brightness, contrast, slight blur and noise, one draw a picture; (n, 3, 64, 64) in about [-1, 1]."""
    draws = torch.rand(len(images), 5, 1, 1, 1, generator=generator)
    return recolour(mirror(images, draws), draws, generator)


def mirror(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror the pictures (or masks) of which the first of five draws is below a half."""
    return torch.where(draws[:, 0] < 0.5, images.flip(-1), images)


def recolour(images: Tensor, draws: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, slight blur and noise by the other four draws."""
    images = images * (0.85 + 0.3 * draws[:, 1]) + 0.2 * (draws[:, 2] - 0.5)
    blurred = avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = images.lerp(blurred, (draws[:, 3] * 1.6 - 0.8).clamp(min=0))
    return images + 0.06 * draws[:, 4] * torch.randn(images.shape, generator=generator)


@torch.inference_mode()
def oracle_accuracy(model: Oracle, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Share of right classes and of right backgrounds."""
    classes, backgrounds = model.judge(images)
    return (classes == labels[:, 0]).float().mean().item(), (backgrounds == labels[:, 1]).float().mean().item()


def train_oracle(work: Path, steps: int = 800, batch: int = 64, pictures: int = 20_000, heldout: int = 2000) -> Oracle:
    """Train (or resume) the oracle, write its checkpoint and log its held-out accuracy."""
    torch.manual_seed(0)
    images = training_images("oracle", pictures, work / "pictures")
    labels = labels_of("oracle", pictures)
    training = Training("oracle", Oracle(), Schedule(steps, rate=2e-3, warmup=50, ema=0.99), work, LOGS / "oracle.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        logits = training.model(augment(to_unit(images[rows]), generator))
        return cross_entropy(logits.flatten(0, 1), labels[rows].flatten())

    model = training.run(loss)
    assert isinstance(model, Oracle)
    swap_in("oracle", lambda folder: save_oracle(model, folder))
    unseen = training_images("oracle-heldout", heldout, work / "pictures")
    right = oracle_accuracy(model, unseen, labels_of("oracle-heldout", heldout))
    row: dict[str, object] = {"step": steps, "heldout": heldout, "class": right[0], "background": right[1]}
    append_row(LOGS / "oracle-quality.csv", row)
    print(f"oracle held-out: class {right[0]:.4f}, background {right[1]:.4f}", flush=True)
    return model
