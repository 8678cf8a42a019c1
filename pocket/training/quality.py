"""Quality of generated pictures: the oracle's agreement with the prompts, and contact sheets for the eye."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image
from PIL import Image
from torch import Tensor

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.pocket.scenes.render import GROUPS
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES
from fairshards.pocket.training.loop import append_row

LOGS = Path(__file__).parents[1] / "logs"
GUIDANCE = 2.0
ETA = 0.99
STEPS = 20


def group_prompts(each: int) -> tuple[list[str], Tensor]:
    """``each`` prompts a group, "a photo of a <class> on <background>", with labels int64 (4 * each, 2)."""
    prompts = [f"a photo of a {name} on {place}" for name, place in GROUPS for _ in range(each)]
    labels = [(CLASSES.index(name), BACKGROUNDS.index(place)) for name, place in GROUPS for _ in range(each)]
    return prompts, torch.tensor(labels)


def load_diffusion(folder: Path | None = None) -> Any:
    """The committed pipeline (or that of a folder) in float32, without a progress bar."""
    source = folder or checkpoint_path("pocket-diffusion")
    pipeline = AutoPipelineForText2Image.from_pretrained(source, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def generate(
    pipeline: Any,
    prompts: Sequence[str],
    guidance: float = GUIDANCE,
    steps: int = STEPS,
    seed: int = 0,
    batch: int = 50,
) -> Tensor:
    """uint8 (n, 3, 64, 64), each picture from its own noise: that of ``seed`` plus its place in the list."""
    pictures = []
    for first in range(0, len(prompts), batch):
        part = list(prompts[first : first + batch])
        noise = [torch.Generator().manual_seed(seed + first + place) for place in range(len(part))]
        settings = {"num_inference_steps": steps, "guidance_scale": guidance, "eta": ETA, "output_type": "pt"}
        made = pipeline(part, generator=noise, **settings).images
        pictures.append((made * 255).round().to(torch.uint8))
    return torch.cat(pictures)


def agreement(pictures: Tensor, labels: Tensor) -> dict[str, float]:
    """Oracle's agreement with the prompted class, background and both; and both in the worst group."""
    classes, backgrounds = load_oracle().judge(pictures)
    right = torch.stack([classes == labels[:, 0], backgrounds == labels[:, 1]], dim=1).float()
    both, group = right.prod(1), labels[:, 0] * 2 + labels[:, 1]
    worst = min(both[group == number].mean().item() for number in range(len(GROUPS)))
    means = {"class": right[:, 0], "background": right[:, 1], "both": both}
    return {name: round(value.mean().item(), 4) for name, value in means.items()} | {"worst_group": round(worst, 4)}


def contact_sheet(pictures: Tensor, columns: int, path: Path, zoom: int = 1) -> None:
    """Write (n, 3, 64, 64) uint8 pictures as a PNG of rows of ``columns``."""
    rows = torch.split(pictures.permute(0, 2, 3, 1), columns)
    sheet = torch.cat([torch.cat(list(row), dim=1) for row in rows], dim=0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).resize((sheet.shape[1] * zoom, sheet.shape[0] * zoom), Image.Resampling.NEAREST).save(path)


def check_diffusion(step: int, work: Path, each: int = 13) -> None:
    """Generate with the exported checkpoint, log the oracle's agreement, keep a contact sheet in the work folder."""
    started = time.monotonic()
    prompts, labels = group_prompts(each)
    pictures = generate(load_diffusion(), prompts)
    contact_sheet(pictures, each, work / f"generated-{step:05d}.png", zoom=2)
    row: dict[str, object] = {"step": step, "guidance": GUIDANCE, **agreement(pictures, labels)}
    append_row(LOGS / "diffusion-quality.csv", row)
    print(row, f"{time.monotonic() - started:.0f} s", flush=True)
