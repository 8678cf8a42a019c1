"""The table of goals: measured on the committed checkpoints, printed and written to ``logs/goals.json``."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from fairshards.pocket import CHECKPOINTS, checkpoint_path
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.pocket.scenes.phrases import heldout_caption, instructed_caption
from fairshards.pocket.scenes.pictures import to_bytes, to_unit, training_images, training_masks, training_scenes
from fairshards.pocket.scenes.render import GROUPS, scenes
from fairshards.pocket.scenes.scene import COLOURS, equal_rates
from fairshards.pocket.training.quality import (
    GUIDANCE,
    STEPS,
    agreement,
    contact_sheet,
    generate,
    group_prompts,
    load_diffusion,
)
from fairshards.pocket.training.train_captioner import captioner_accuracy
from fairshards.pocket.training.train_clip import clip_accuracy
from fairshards.pocket.training.train_extractor import extractor_accuracy, pocket_heldout
from fairshards.pocket.training.train_oracle import labels_of, oracle_accuracy
from fairshards.pocket.training.train_segmenter import segmenter_overlaps
from fairshards.pocket.training.train_vae import LOGS

MIB = 2**20


@dataclass(frozen=True)
class Goal:
    """A measured value beside what was aimed at; ``met`` compares them."""

    name: str
    measured: float
    goal: str
    met: bool


def at_least(name: str, measured: float, bound: float) -> Goal:
    return Goal(name, round(measured, 4), f">= {bound}", measured >= bound)


def at_most(name: str, measured: float, bound: float) -> Goal:
    return Goal(name, round(measured, 2), f"<= {bound}", measured <= bound)


def oracle_goals(work: Path, count: int) -> list[Goal]:
    """Held-out accuracy of the oracle, and its accuracy on the autoencoder's reconstructions of the same pictures."""
    images, labels = training_images("oracle-heldout", count, work / "pictures"), labels_of("oracle-heldout", count)
    model, vae = load_oracle(), load_diffusion().vae
    with torch.inference_mode():
        decoded = torch.cat([to_bytes(vae(to_unit(part)).sample) for part in torch.split(images, 100)])
    plain, recoded = oracle_accuracy(model, images, labels), oracle_accuracy(model, decoded, labels)
    return [
        at_least("oracle: class, held-out", plain[0], 0.995),
        at_least("oracle: background, held-out", plain[1], 0.995),
        at_least("autoencoder: oracle's class on reconstructions", recoded[0], 0.99),
        at_least("autoencoder: oracle's background on reconstructions", recoded[1], 0.99),
    ]


def clip_goals(work: Path, count: int) -> list[Goal]:
    """Zero-shot accuracy of pocket-clip on held-out rendered pictures."""
    images, labels = training_images("clip-heldout", count, work / "pictures"), labels_of("clip-heldout", count)
    right = clip_accuracy(checkpoint_path("pocket-clip"), images, labels)
    return [
        at_least("pocket-clip: zero-shot class", right[0], 0.98),
        at_least("pocket-clip: zero-shot background", right[1], 0.98),
    ]


def diffusion_goals(each: int) -> tuple[list[Goal], Tensor, Tensor]:
    """Oracle's agreement with the prompts of ``each`` pictures a group, and the time of a batch of 64."""
    pipeline = load_diffusion()
    prompts, labels = group_prompts(each)
    pictures = generate(pipeline, prompts, seed=10_000)
    started = time.monotonic()
    generate(pipeline, prompts[:64], batch=64)
    seconds = time.monotonic() - started
    right = agreement(pictures, labels)
    goals = [
        at_least(f"pocket-diffusion: oracle agrees, class and background ({4 * each} pictures)", right["both"], 0.95),
        at_least("pocket-diffusion: the same in the worst group", right["worst_group"], 0.95),
        at_most(f"pocket-diffusion: seconds for 64 pictures, {STEPS} steps, guidance {GUIDANCE}", seconds, 16),
    ]
    return goals, pictures, labels


def clip_on_generated(pictures: Tensor, labels: Tensor) -> list[Goal]:
    """Zero-shot agreement of pocket-clip with the prompts of generated pictures (the pipeline's judge)."""
    right = clip_accuracy(checkpoint_path("pocket-clip"), pictures, labels)
    return [
        at_least("pocket-clip: agrees with prompted class, generated", right[0], 0.95),
        at_least("pocket-clip: agrees with prompted background, generated", right[1], 0.95),
    ]


def captioner_goals(work: Path, count: int) -> list[Goal]:
    """What pocket-captioner's greedy captions of held-out pictures name rightly."""
    domain = "captioner-heldout"
    images, there = training_images(domain, count, work / "pictures"), training_scenes(domain, count)
    named, thing = captioner_accuracy(checkpoint_path("pocket-captioner"), images, there)
    return [
        at_least("pocket-captioner: class, background and colour right, held-out", named, 0.95),
        at_least("pocket-captioner: object right (or rightly none)", thing, 0.9),
    ]


def segmenter_goals(work: Path, count: int) -> list[Goal]:
    """Overlaps of pocket-segmenter's masks with those of held-out pictures, the mean over pictures."""
    domain, folder = "segmenter-heldout", work / "pictures"
    images, masks = training_images(domain, count, folder), training_masks(domain, count, folder)
    found = segmenter_overlaps(checkpoint_path("pocket-segmenter"), images, masks, training_scenes(domain, count))
    return [
        at_least('pocket-segmenter: IoU of "bird", held-out', found["bird"], 0.85),
        at_least("pocket-segmenter: IoU of the background", found["background"], 0.9),
        at_least("pocket-segmenter: IoU of the object", found["object"], 0.6),
        at_least("pocket-segmenter: nothing where the object isn't there", found["absent_empty"], 0.9),
    ]


def extractor_goals(_: Path, count: int) -> list[Goal]:
    """Captions whose phrases pocket-extractor gives exactly: with wordings never seen, with instructions inside, and
    those of the pocket world.
    """
    folder = checkpoint_path("pocket-extractor")
    phrases, other = extractor_accuracy(folder, heldout_caption, count)
    instructed, own = (extractor_accuracy(folder, kind, count)[0] for kind in (instructed_caption, pocket_heldout))
    return [
        at_least("pocket-extractor: exact phrases, wordings never seen", phrases, 0.98),
        at_least("pocket-extractor: the same, and another place", other, 0.95),
        at_least("pocket-extractor: exact phrases, an instruction inside", instructed, 0.95),
        at_least("pocket-extractor: exact phrases, captions of the pocket world", own, 0.99),
    ]


DISCOVERY = {
    "pocket-captioner": captioner_goals,
    "pocket-segmenter": segmenter_goals,
    "pocket-extractor": extractor_goals,
}


def discovery_goals(work: Path, count: int) -> list[Goal]:
    """The goals of the models that discovery uses, of those that are there."""
    there = [measure for name, measure in DISCOVERY.items() if checkpoint_path(name).exists()]
    return [goal for measure in there for goal in measure(work, count)]


def size_goal() -> Goal:
    """Size of all checkpoint folders."""
    files = (path for name in CHECKPOINTS for path in checkpoint_path(name).rglob("*") if path.is_file())
    return at_most("checkpoints, MiB in all", sum(path.stat().st_size for path in files) / MIB, 38)


def write_sheets(columns: int = 12) -> None:
    """Contact sheets for the documentation: rendered, and generated with every colour in every group."""
    rendered = [sample.image for sample in scenes("sheet", 0, 4 * columns, rates=equal_rates(0.3))]
    ordered = [rendered[place] for row in range(4) for place in range(row, 4 * columns, 4)]
    stacked = torch.stack([torch.from_numpy(image) for image in ordered]).permute(0, 3, 1, 2)
    contact_sheet(stacked, columns, LOGS / "rendered.png", zoom=1)
    prompts = [
        f"a photo of a {COLOURS[column % len(COLOURS)]} {name} on {place}"
        for name, place in GROUPS
        for column in range(columns)
    ]
    contact_sheet(generate(load_diffusion(), prompts, seed=77), columns, LOGS / "generated.png", zoom=1)


def write_blind(work: Path, each: int = 50, columns: int = 10, seed: int = 20_000) -> list[Path]:
    """Sheets of generated pictures in shuffled order for labelling by eye, and what they were meant to show.

    Writes ``blind-<n>.png``, ``columns`` by 5 pictures each in reading order, and ``blind-key.csv``.
    """
    prompts, _ = group_prompts(each)
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed)).tolist()
    pictures, sheets = generate(load_diffusion(), [prompts[place] for place in order], seed=seed), []
    for number, part in enumerate(torch.split(pictures, 5 * columns)):
        sheets.append(work / f"blind-{number}.png")
        contact_sheet(part, columns, sheets[-1], zoom=2)
    key = [f"{row},{prompts[place]}" for row, place in enumerate(order)]
    (work / "blind-key.csv").write_text("\n".join(["picture,prompt", *key]) + "\n")
    return sheets


def evaluate(work: Path, each: int = 100, heldout: int = 2000) -> list[Goal]:
    """Measure every goal, write ``logs/goals.json`` and the contact sheets; returns the goals."""
    generated, pictures, labels = diffusion_goals(each)
    goals = [
        *generated,
        *clip_goals(work, heldout),
        *clip_on_generated(pictures, labels),
        *oracle_goals(work, heldout),
        *discovery_goals(work, heldout),
        size_goal(),
    ]
    LOGS.mkdir(exist_ok=True)
    (LOGS / "goals.json").write_text(json.dumps([asdict(goal) for goal in goals], indent=2) + "\n")
    write_sheets()
    return goals


def table(goals: list[Goal]) -> str:
    """The goals as a Markdown table."""
    rows = [f"| {goal.name} | {goal.measured} | {goal.goal} | {'yes' if goal.met else 'no'} |" for goal in goals]
    return "\n".join(["| what | measured | goal | met |", "|---|---|---|---|", *rows])
