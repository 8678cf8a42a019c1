"""Contrastive training of pocket-clip on rendered pictures, half of them through the autoencoder.

Pictures whose captions say the same are no negatives of each other: the targets are shared among equal captions.
"""

from pathlib import Path

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn.functional import log_softmax

from fairshards.pocket.networks.clip_model import load_clip, new_clip, save_clip
from fairshards.pocket.networks.export import swap_in
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.captions import full_caption, partial_caption
from fairshards.pocket.scenes.pictures import to_bytes, to_unit, training_images, training_scene
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, OBJECTS, Scene, stream
from fairshards.pocket.training.loop import Schedule, Training, append_row
from fairshards.pocket.training.train_diffusion import tokenize
from fairshards.pocket.training.train_oracle import augment, labels_of
from fairshards.pocket.training.train_vae import LOGS, load_vae

PHRASINGS = 6


def phrasing(scene: Scene, number: int) -> str:
    """Half of a picture's phrasings are full, half leave something out."""
    rng = stream(scene.domain, scene.seed, scene.index, f"phrasing-{number}")
    return full_caption(scene, rng) if number % 2 else partial_caption(scene, rng)


def matches(scene: Scene, caption: str) -> bool:
    """Whether a caption is true of a scene: nothing in it contradicts class, background, colour or object."""
    words = set(caption.split())
    water, land = {"water", "lake", "sea"}, {"land", "forest", "woods"}
    named = words & {*CLASSES} or {scene.class_name}
    colour = words & {"white", "black", "red", "orange", "yellow", "pink"} or {scene.colour}
    thing = words & {*OBJECTS}
    other = land if scene.background == "water" else water
    return named == {scene.class_name} and colour == {scene.colour} and not words & other and thing <= {scene.object}


class CaptionBank:
    """Every different caption of a training set once, which each picture draws, and what each contradicts."""

    def __init__(self, domain: str, count: int) -> None:
        self.scenes = [training_scene(domain, index) for index in range(count)]
        texts = [[phrasing(scene, number) for number in range(PHRASINGS)] for scene in self.scenes]
        self.captions = sorted({text for row in texts for text in row})
        place = {text: number for number, text in enumerate(self.captions)}
        self.chosen = torch.tensor([[place[text] for text in row] for row in texts])
        self.tokens = tokenize(self.captions, new_tokenizer())
        self.kinds, self.kind_of = self._kinds()

    def _kinds(self) -> tuple[Tensor, Tensor]:
        """Truth (kinds of scene, captions) bool, and each scene's kind: pictures differ in four attributes only."""
        kinds: dict[tuple[object, ...], int] = {}
        rows, of = [], []
        for scene in self.scenes:
            key = (scene.class_name, scene.background, scene.colour, scene.object)
            if key not in kinds:
                kinds[key] = len(kinds)
                rows.append([matches(scene, caption) for caption in self.captions])
            of.append(kinds[key])
        return torch.tensor(rows), torch.tensor(of)


def contrastive_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Symmetric cross-entropy; ``truth`` bool (n, n) says which captions are true of which pictures.

    The own caption keeps its place on the diagonal; other true captions are left out of the negatives.
    """
    others = truth & ~torch.eye(len(truth), dtype=torch.bool)
    masked = logits.masked_fill(others, -1e4)
    return -(log_softmax(masked, 1).diagonal().mean() + log_softmax(masked, 0).diagonal().mean()) / 2


@torch.no_grad()
def reconstructions(images: Tensor, work: Path, count: int) -> Tensor:
    """The first ``count`` pictures through the autoencoder, uint8; cached in the work folder."""
    path = work / f"reconstructions-{count}.pt"
    if not path.exists():
        vae = load_vae(work)
        parts = [to_bytes(vae(to_unit(part)).sample) for part in torch.split(images[:count], 100)]
        torch.save(torch.cat(parts), path)
    result: Tensor = torch.load(path, weights_only=True)
    return result


@torch.inference_mode()
def zero_shot(folder: Path, images: Tensor, prompts: list[str]) -> Tensor:
    """Index of the best prompt for each uint8 picture, through the folder's model (its mean and std are 0.5)."""
    model, _, tokenizer = load_clip(folder)
    texts = model.encode_text(tokenizer(prompts), normalize=True)
    parts = [model.encode_image(to_unit(part), normalize=True) @ texts.T for part in torch.split(images, 250)]
    return torch.cat(parts).argmax(1)


def clip_accuracy(folder: Path, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Zero-shot accuracy of class ("a photo of a waterbird") and background ("a bird on water")."""
    classes = zero_shot(folder, images, [f"a photo of a {name}" for name in CLASSES])
    places = zero_shot(folder, images, [f"a bird on {name}" for name in BACKGROUNDS])
    return (classes == labels[:, 0]).float().mean().item(), (places == labels[:, 1]).float().mean().item()


def train_clip(work: Path, steps: int = 500, batch: int = 128, pictures: int = 10_000, recoded: int = 3000) -> None:
    """Train (or resume) pocket-clip; exports and logs its held-out accuracy at every check."""
    torch.manual_seed(0)
    images, bank = training_images("clip", pictures, work / "pictures"), CaptionBank("clip", pictures)
    decoded = reconstructions(images, work, recoded)
    schedule = Schedule(steps, rate=1e-3, warmup=100, ema=0.99, check_every=500)
    training = Training("clip", new_clip(new_tokenizer()), schedule, work, LOGS / "clip.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (batch,), generator=generator)
        swap = (rows < recoded) & (torch.rand(batch, generator=generator) < 0.7)
        pixels = torch.where(swap[:, None, None, None], decoded[rows.clamp(max=recoded - 1)], images[rows])
        texts = bank.chosen[rows, torch.randint(PHRASINGS, (batch,), generator=generator)]
        features, words, scale = training.model(augment(to_unit(pixels), generator), bank.tokens[texts])[:3]
        return contrastive_loss(scale.clamp(max=50) * features @ words.T, bank.kinds[bank.kind_of[rows]][:, texts])

    def check(model: torch.nn.Module, step: int) -> None:
        assert isinstance(model, CLIP)
        folder = swap_in("pocket-clip", lambda fresh: save_clip(model, fresh))
        unseen = training_images("clip-heldout", 1000, work / "pictures")
        right = clip_accuracy(folder, unseen, labels_of("clip-heldout", 1000))
        append_row(LOGS / "clip-quality.csv", {"step": step, "class": right[0], "background": right[1]})
        print(f"clip {step}: class {right[0]:.4f}, background {right[1]:.4f}", flush=True)

    training.run(loss, check)
