"""Training of the segmenter: each picture with several prompts, some of them for what isn't in it (an empty mask)."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from transformers import CLIPSegForImageSegmentation

from fairshards.pocket.networks.export import swap_in
from fairshards.pocket.networks.segmenter import mask_logits, new_segmenter, save_segmenter, segment, start_from_clip
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.captions import article
from fairshards.pocket.scenes.pictures import to_unit, training_images, training_masks, training_scenes
from fairshards.pocket.scenes.prompts import Prompt, all_prompts
from fairshards.pocket.scenes.scene import OBJECTS, Scene
from fairshards.pocket.training.loop import Schedule, Training, append_row
from fairshards.pocket.training.train_oracle import mirror, recolour
from fairshards.pocket.training.train_vae import LOGS

EACH = 4
PARTS = 4


def parts_of(masks: Tensor) -> Tensor:
    """Masks of nothing, bird, object and background, bool (n, 4, 64, 64), from those of bird and object."""
    bird, thing = masks.unbind(1)
    return torch.stack([torch.zeros_like(bird), bird, thing, ~bird], dim=1)


class PromptTable:
    """What every prompt shows of every picture, int64 (pictures, prompts), and the chance to draw it."""

    def __init__(self, scenes: list[Scene], prompts: list[Prompt]) -> None:
        kinds: dict[tuple[object, ...], list[int]] = {}
        keys = [(scene.class_name, scene.background, scene.colour, scene.object) for scene in scenes]
        for key, scene in zip(keys, scenes, strict=True):
            if key not in kinds:
                kinds[key] = [prompt.shows(scene) for prompt in prompts]
        self.shown = torch.tensor([kinds[key] for key in keys])

    def draw(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``EACH`` prompts for each row and what they show, int64 (n, EACH) each: nothing, the bird, the object (if
        there is one) and the background are drawn equally often.
        """
        shown = self.shown[rows]
        counts = one_hot(shown, PARTS).sum(1)
        chosen = torch.multinomial(1 / counts.gather(1, shown), EACH, replacement=True, generator=generator)
        return chosen, shown.gather(1, chosen)


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of pixels plus soft Dice, which small objects need, of masks (n, k, 64, 64)."""
    entropy = binary_cross_entropy_with_logits(logits, wanted)
    shares, there = logits.sigmoid().flatten(2), wanted.flatten(2)
    dice = 1 - (2 * (shares * there).sum(2) + 1) / (shares.sum(2) + there.sum(2) + 1)
    present = there.amax(2)
    return entropy + 0.5 * (dice * present).sum() / present.sum().clamp(min=1)


def overlap(found: Tensor, wanted: Tensor) -> Tensor:
    """Intersection over union of each mask (n, 64, 64), float32 (n,); 1 where both are empty."""
    both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def segmenter_overlaps(folder: Path, images: Tensor, masks: Tensor, scenes: list[Scene]) -> dict[str, float]:
    """Mean IoU over pictures for "bird", for the background by its own name, and for the object where one is seen;
    and the share of pictures in which the next kind of object, which isn't there, gets at most 4 of 4,096 pixels.
    """
    bird, thing = masks.unbind(1)
    seen = thing.sum((1, 2)) >= 20
    named = [article(scene.object) if scene.object else "a reed" for scene in scenes]
    absent = [article(OBJECTS[(OBJECTS.index(scene.object or "rock") + 1) % len(OBJECTS)]) for scene in scenes]
    empty = segment(folder, images, absent).sum((1, 2)) <= 4
    return {
        "bird": overlap(segment(folder, images, ["bird"] * len(images)), bird).mean().item(),
        "background": overlap(segment(folder, images, [s.background for s in scenes]), ~bird).mean().item(),
        "object": overlap(segment(folder, images, named), thing)[seen].mean().item(),
        "absent_empty": empty.float().mean().item(),
    }


def train_segmenter(work: Path, steps: int = 1300, batch: int = 24, pictures: int = 8000, heldout: int = 300) -> None:
    """Train (or resume) the segmenter; exports ``pocket-segmenter`` and logs its overlaps at every check."""
    torch.manual_seed(0)
    tokenizer, prompts = new_tokenizer(), all_prompts()
    model = new_segmenter(tokenizer)
    start_from_clip(model)
    images = training_images("segmenter", pictures, work / "pictures")
    parts = parts_of(training_masks("segmenter", pictures, work / "pictures"))
    table = PromptTable(training_scenes("segmenter", pictures), prompts)
    tokens = tokenizer([prompt.text for prompt in prompts], padding=True, return_tensors="pt").input_ids
    schedule = Schedule(steps, rate=1e-3, warmup=150, ema=0.99, check_every=400)
    training = Training("segmenter", model, schedule, work, LOGS / "segmenter.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        draws = torch.rand(batch, 5, 1, 1, 1, generator=generator)
        pixels = recolour(mirror(to_unit(images[rows]), draws), draws, generator)
        chosen, shown = table.draw(rows, generator)
        wanted = mirror(parts[rows[:, None], shown].float(), draws)
        return mask_loss(mask_logits(training.model, pixels, tokens, chosen), wanted)

    def check(trained: nn.Module, step: int) -> None:
        assert isinstance(trained, CLIPSegForImageSegmentation)
        folder = swap_in("pocket-segmenter", lambda fresh: save_segmenter(trained, fresh))
        unseen, masks = (
            make("segmenter-heldout", heldout, work / "pictures") for make in (training_images, training_masks)
        )
        found = segmenter_overlaps(folder, unseen, masks, training_scenes("segmenter-heldout", heldout))
        shares = {name: round(value, 4) for name, value in found.items()}
        row: dict[str, object] = {"step": step, "count": heldout, **shares}
        append_row(LOGS / "segmenter-quality.csv", row)
        print(f"segmenter {step}: {row}", flush=True)

    training.run(loss, check)
