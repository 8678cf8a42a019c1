"""Which pictures are off support, and which statistic of the trajectory tells them: the study of docs/purity.md.

    python -m pocket.train early --work /tmp/early            # a checkpoint that draws two-headed birds
    python -m benchmarks.purity make --model /tmp/early/early-diffusion --work /tmp/purity
    python -m benchmarks.purity sheets --work /tmp/purity     # pictures to label, in an order that says nothing
    python -m benchmarks.purity join --work /tmp/purity       # labels and statistics: docs/results/purity.csv
    python -m benchmarks.purity table

``make`` draws the samples of the recipe pocket-waterbirds with full prompts, scores them, and measures every statistic of
``benchmarks/purity_statistics.py`` over every window. ``sheets`` takes 400 that the recipe's filters keep and 400 that
they reject, shuffled; a label is one letter: g good, t two heads or beaks, n no head, m halves of both kinds of bird, o
other: a body or legs that no bird of the data has. One half of the labels, by the sample's id, chooses the
statistic, the other half tests it.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw

from benchmarks.purity_pictures import Bed, judged, make
from benchmarks.purity_statistics import every
from pipeline.progress import Reporter
from pipeline.recipe import Recipe, load_recipe
from pocket import checkpoint_path

RETAIN = 0.96
SHEET = (6, 4)
ZOOM = 3
LABELS = {"g": "good", "t": "two heads", "n": "no head", "m": "both kinds of bird", "o": "other"}
RESULTS = Path("docs/results/purity.csv")


def recipe_of(model: str | None, threads: int) -> Recipe:
    """Return the recipe pocket-waterbirds with another model and larger shards."""
    sets = ["quota.shard_size=128", f"runner.threads={threads}"]
    return load_recipe("pocket-waterbirds", sets + ([f"generator.model={model}"] if model else []))


def bird_masks(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return (n, 64, 64) in [0, 1]: where pocket-segmenter sees a bird."""
    from generators.clipseg import ClipSeg

    segmenter = ClipSeg.load(checkpoint_path("pocket-segmenter"))
    found = segmenter.segment(list(images), ["bird"] * len(images), 32)
    return torch.stack([torch.from_numpy(mask.astype(np.float32)) for mask in found])


def measure(bed: Bed, recipe: Recipe, work: Path, report: Reporter) -> dict[str, npt.NDArray[np.float64]]:
    """Return every statistic of every sample, kept in ``work``."""
    file = work / "statistics.npz"
    if file.is_file():
        with np.load(file) as found:
            return dict(found)
    vae = AutoencoderKL.from_pretrained(Path(recipe_folder(recipe)) / "vae", torch_dtype=torch.float32).eval()

    @torch.inference_mode()
    def decode(latents: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = vae.decode(latents / vae.config.scaling_factor).sample
        return made

    statistics = every(bed.x0, bird_masks(bed.images), decode, report)
    np.savez_compressed(file, **statistics)
    return statistics


def recipe_folder(recipe: Recipe) -> Path:
    """Return the folder of the recipe's generator."""
    from pipeline.models import generator_spec

    return Path(generator_spec(recipe).folder)


def kept_of(bed: Bed) -> npt.NDArray[np.bool_]:
    """Tell which samples CLIP's judge and the variance, at 96% of what the judge keeps of a group, keep."""
    passed, groups, variance = judged(bed), bed.column("group"), bed.column("trajectory_variance").astype(float)
    kept = passed.copy()
    for group in np.unique(groups):
        mine = passed & (groups == group)
        kept[mine] = variance[mine] <= np.quantile(variance[mine], RETAIN)
    return kept


def sheets(bed: Bed, class_name: str, work: Path, seed: int = 0) -> None:
    """Write sheets of all pictures of a class in a shuffled order, and ``order.csv``."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(bed.column("class_name") == class_name))
    columns, rows = SHEET
    for number, start in enumerate(range(0, len(order), columns * rows)):
        part = order[start : start + columns * rows]
        side, gap = 64 * ZOOM, 14
        sheet = Image.new("RGB", (columns * side, rows * (side + gap)), "white")
        pen = ImageDraw.Draw(sheet)
        for place, sample in enumerate(part):
            x, y = place % columns * side, place // columns * (side + gap)
            picture = Image.fromarray(bed.images[sample]).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(picture, (x, y + gap))
            pen.text((x + 2, y), f"{start + place}", fill="black")
        sheet.save(work / f"sheet-{number:02d}.png")
    with open(work / "order.csv", "w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["number", "sample_id"])
        writer.writerows([place, bed.rows[sample]["sample_id"]] for place, sample in enumerate(order))


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["make", "sheets", "join", "table"])
    options.add_argument("--model", help="the generator; default: pocket-diffusion")
    options.add_argument("--work", type=Path, default=Path("runs/purity"))
    options.add_argument("--shards", type=int, default=3, help="of 128 samples, of each of the four groups")
    options.add_argument("--class", dest="class_name", default="waterbird", help="whose pictures are labelled")
    options.add_argument("--threads", type=int, default=2)
    return options


def main() -> None:
    arguments, report = parser().parse_args(), Reporter()
    torch.set_num_threads(arguments.threads)
    recipe = recipe_of(arguments.model, arguments.threads)
    bed = make(recipe, arguments.shards, arguments.work, report)
    if arguments.what == "make":
        passed, kept, oracle = judged(bed), kept_of(bed), bed.column("oracle") == 1
        print(f"{len(bed.rows)} samples; the judge keeps {passed.mean():.3f}, judge and variance {kept.mean():.3f}; oracle's "
              f"purity {oracle.mean():.3f} of all, {oracle[passed].mean():.4f} of the judge's, {oracle[kept].mean():.4f} of kept")
        measure(bed.of_class(arguments.class_name), recipe, arguments.work, report)
    if arguments.what == "sheets":
        sheets(bed, arguments.class_name, arguments.work)


if __name__ == "__main__":
    main()
