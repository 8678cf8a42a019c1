"""Training of the captioner: cross-entropy on full captions that always name the colour."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer, GitForCausalLM

from fairshards.pocket.networks.captioner import (
    captioner_tokenizer,
    describe,
    new_captioner,
    save_captioner,
    start_from_clip,
)
from fairshards.pocket.networks.export import swap_in
from fairshards.pocket.scenes.captions import full_caption
from fairshards.pocket.scenes.pictures import to_unit, training_images, training_scenes
from fairshards.pocket.scenes.scene import COLOURS, OBJECTS, Scene, stream
from fairshards.pocket.training.loop import Schedule, Training, append_row
from fairshards.pocket.training.train_clip import matches
from fairshards.pocket.training.train_oracle import augment
from fairshards.pocket.training.train_text import named
from fairshards.pocket.training.train_vae import LOGS

PHRASINGS = 4
IGNORED = -100


def captions_of(scene: Scene) -> list[str]:
    """A picture's captions, in several wordings: class, background and colour always, the object where there is one."""
    streams = [stream(scene.domain, scene.seed, scene.index, f"phrasing-{number}") for number in range(PHRASINGS)]
    return [full_caption(scene, rng, colour_rate=1.0) for rng in streams]


def caption_tokens(scenes: list[Scene], tokenizer: CLIPTokenizer) -> tuple[Tensor, Tensor]:
    """Token ids with begin and end, and labels that ignore the padding; int64 (n, PHRASINGS, longest) each."""
    texts = [text for scene in scenes for text in captions_of(scene)]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    labels = encoded.input_ids.masked_fill(encoded.attention_mask == 0, IGNORED)
    shape = (len(scenes), PHRASINGS, -1)
    return encoded.input_ids.view(shape), labels.view(shape)


def names_rightly(caption: str, scene: Scene) -> bool:
    """Whether a caption names class, background and colour of a scene, and nothing that contradicts them."""
    wanted = [scene.label, scene.place, COLOURS.index(scene.colour)]
    shown = [word for word in caption.split() if word not in OBJECTS]
    return named(caption)[:3] == wanted and matches(scene, " ".join(shown))


def names_object(caption: str, scene: Scene) -> bool:
    """Whether a caption names the scene's object, or none where there is none."""
    return {*caption.split()} & {*OBJECTS} == ({scene.object} if scene.object else set())


def captioner_accuracy(folder: Path, images: Tensor, scenes: list[Scene]) -> tuple[float, float]:
    """Share of captions with class, background and colour right, and with the object right."""
    pairs = list(zip(describe(folder, images), scenes, strict=True))
    right = [sum(judge(*pair) for pair in pairs) / len(pairs) for judge in (names_rightly, names_object)]
    return right[0], right[1]


def train_captioner(work: Path, steps: int = 1500, batch: int = 64, pictures: int = 10_000, heldout: int = 500) -> None:
    """Train (or resume) the captioner; exports ``pocket-captioner`` and logs its accuracy at every check."""
    torch.manual_seed(0)
    tokenizer = captioner_tokenizer()
    model = new_captioner(tokenizer)
    start_from_clip(model)
    images = training_images("captioner", pictures, work / "pictures")
    ids, labels = caption_tokens(training_scenes("captioner", pictures), tokenizer)
    schedule = Schedule(steps, rate=1e-3, warmup=100, ema=0.99, check_every=500)
    training = Training("captioner", model, schedule, work, LOGS / "captioner.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        texts = torch.randint(PHRASINGS, (batch,), generator=generator)
        pixels = augment(to_unit(images[rows]), generator)
        value: Tensor = training.model(input_ids=ids[rows, texts], pixel_values=pixels, labels=labels[rows, texts]).loss
        return value

    def check(trained: nn.Module, step: int) -> None:
        assert isinstance(trained, GitForCausalLM)
        folder = swap_in("pocket-captioner", lambda fresh: save_captioner(trained, fresh))
        unseen = training_images("captioner-heldout", heldout, work / "pictures")
        right = captioner_accuracy(folder, unseen, training_scenes("captioner-heldout", heldout))
        row: dict[str, object] = {"step": step, "count": heldout, "named": right[0], "object": right[1]}
        append_row(LOGS / "captioner-quality.csv", row)
        print(f"captioner {step}: named {right[0]:.4f}, object {right[1]:.4f}", flush=True)

    training.run(loss, check)
