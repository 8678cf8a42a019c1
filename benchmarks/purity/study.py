"""Which pictures are off support, and which statistic tells them: the study of docs/purity.md.

    python -m fairshards.pocket.train early --work /tmp/early            # a checkpoint that draws two-headed birds
    python -m benchmarks.purity.study make --model /tmp/early/early-diffusion --work /tmp/purity
    python -m benchmarks.purity.study sheets --work /tmp/purity     # pictures to label, in an order that says nothing
    python -m benchmarks.purity.study tables --work /tmp/purity     # docs/results/purity*.csv, and the page's tables

``make`` draws the samples of the recipe pocket-waterbirds, scores them, and measures every statistic of
``benchmarks/purity/statistics.py`` over every window, and the distance of silhouettes. ``sheets`` shuffles all pictures
of a class. A label is one letter: g good, t two heads, d a head that is joined to nothing, n no head, o another
malformation. ``--labels`` has those of two who saw nothing but the sheets, and a third one's where the two differ on
whether a picture is good. One half of the pictures, by the sample's id, chooses the statistic; the other tests it.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw

from benchmarks.csv_rows import read_rows, write_rows
from benchmarks.purity.pictures import Bed, judged, make
from benchmarks.purity.statistics import every
from benchmarks.purity.tables import Labelled, by_label, by_statistic, lines, ranking
from fairshards.filters.pictures.silhouette import nearest_silhouettes, silhouette
from fairshards.generators.editing.clipseg import ClipSeg
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.models import generator_spec
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.progress import Reporter
from fairshards.pocket import checkpoint_path
from fairshards.pocket.scenes.scene import CLASSES
from fairshards.pocket.world import biased_counts, samples, shuffled_groups

SHEET = (6, 4)
ZOOM, TITLE = 3, 14
RESULTS = Path("docs/results")
KINDS = {"t": "two heads", "d": "head joined to nothing", "n": "no head", "o": "other"}
SILHOUETTE = "silhouette: distance to the nearest real one"
VARIANCE = "latent: mean, steps 16 to 20"
"""The paper's, over the window of the recipe."""
KEPT = (
    VARIANCE,
    "latent: mean, steps 13 to 20",
    "latent: max of 3x3, steps 13 to 20",
    "latent: path, steps 16 to 20",
    "decoded: mean, steps 16 to 20",
    "decoded: max of 3x3, steps 18 to 20",
    SILHOUETTE,
)
"""The statistics whose values are kept picture by picture."""
Values = npt.NDArray[np.float64]


def recipe_of(model: str | None, threads: int, sets: Sequence[str] = ()) -> Recipe:
    """Return the recipe pocket-waterbirds with another model, larger shards and ``--set`` overrides."""
    given = ["quota.shard_size=128", f"runner.threads={threads}", *([f"generator.model={model}"] if model else [])]
    return load_recipe("pocket-waterbirds", [*given, *sets])


def masks_of(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return (n, 64, 64): where pocket-segmenter sees a bird."""
    segmenter = ClipSeg.load(checkpoint_path("pocket-segmenter"))
    return np.stack(list(segmenter.segment(list(images), ["bird"] * len(images), 32)))


def measure(bed: Bed, class_name: str, recipe: Recipe, work: Path, report: Reporter) -> dict[str, Values]:
    """Return every statistic of every sample, kept in ``work``."""
    file = work / f"statistics-{class_name}.npz"
    if file.is_file():
        with np.load(file) as found:
            return dict(found)
    folder = Path(generator_spec(recipe).folder)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()

    @torch.inference_mode()
    def decode(latents: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = vae.decode(latents / vae.config.scaling_factor).sample
        return made

    masks = masks_of(bed.images)
    statistics = every(bed.x0, torch.from_numpy(masks), decode, report)
    statistics[SILHOUETTE] = distances(masks, class_name, recipe)
    for name, score, sign in (("CLIP's alignment", "clip_alignment", -1), ("CLIP's class", "judge_class", -1)):
        statistics[f"{name}, from the lowest"] = sign * np.array([row["values"][score] for row in bed.rows])
    np.savez_compressed(file, **statistics)
    return statistics


def distances(masks: npt.NDArray[np.bool_], class_name: str, recipe: Recipe) -> Values:
    """Return how far each mask's silhouette is from the recipe's real training pictures of the class."""
    total, ratio = recipe.source.n_train, recipe.source.bias_ratio
    assert isinstance(total, int) and ratio is not None
    groups = shuffled_groups(biased_counts(total, ratio))
    label = CLASSES.index(class_name)
    real = [one.image for one in samples("train", recipe.seed, groups, None) if one.scene.label == label]
    known = np.stack([silhouette(mask) for mask in masks_of(np.stack(real))])
    own = np.stack([silhouette(mask) for mask in masks])
    nearest = nearest_silhouettes(own, known, [str(number) for number in range(len(known))])
    return np.array([found[0] for found in nearest if found is not None])


def sheets(bed: Bed, work: Path, seed: int = 0) -> None:
    """Write sheets of all pictures in a shuffled order, and ``order.csv``."""
    order = np.random.default_rng(seed).permutation(len(bed.rows))
    columns, rows = SHEET
    side = 64 * ZOOM
    for number, start in enumerate(range(0, len(order), columns * rows)):
        sheet = Image.new("RGB", (columns * side, rows * (side + TITLE)), "white")
        pen = ImageDraw.Draw(sheet)
        for place, sample in enumerate(order[start : start + columns * rows]):
            x, y = place % columns * side, place // columns * (side + TITLE)
            picture = Image.fromarray(bed.images[sample]).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(picture, (x, y + TITLE))
            pen.text((x + 2, y), f"{start + place}", fill="black")
        sheet.save(work / f"sheet-{number:02d}.png")
    with open(work / "order.csv", "w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["number", "sample_id"])
        writer.writerows([place, bed.rows[sample]["sample_id"]] for place, sample in enumerate(order))


def labels_of(file: Path) -> dict[str, str]:
    """Return the label of each sample: the third one's where there is one, else the first one's."""
    return {row["sample_id"]: row["third"] or row["first"] for row in read_rows(file)}


def joined(bed: Bed, statistics: Mapping[str, Values], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row for each labelled picture."""
    passed = judged(bed)
    return [
        {
            "sample_id": row["sample_id"],
            "group": row["group"],
            "label": labels[row["sample_id"]],
            "judged": int(passed[place]),
            "oracle": row["oracle"],
            **{name: f"{statistics[name][place]:.6g}" for name in KEPT},
        }
        for place, row in enumerate(bed.rows)
        if row["sample_id"] in labels
    ]


def labelled(rows: Sequence[Mapping[str, Any]]) -> Labelled:
    """Return what rows say of support: as they are joined, or read from their CSV."""
    halves = [int(str(row["sample_id"])[0], 16) % 2 == 0 for row in rows]
    return Labelled(
        np.array([row["group"] for row in rows]),
        np.array([int(row["judged"]) == 1 for row in rows]),
        np.array([row["label"] != "g" for row in rows]),
        np.array(halves),
    )


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["make", "sheets", "tables"])
    options.add_argument("--model", help="the generator; default: pocket-diffusion")
    options.add_argument("--work", type=Path, default=Path("runs/purity"))
    options.add_argument("--shards", type=int, default=3, help="of 128 samples, of each group")
    options.add_argument("--class", dest="class_name", default="waterbird", choices=CLASSES, help="who is labelled")
    options.add_argument("--labels", type=Path, default=RESULTS / "purity-labels.csv")
    options.add_argument("--out", type=Path, default=RESULTS / "purity.csv")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    options.add_argument("--threads", type=int, default=2)
    return options


def main() -> None:
    """Do one part of the study."""
    arguments, report = parser().parse_args(), Reporter()
    torch.set_num_threads(arguments.threads)
    recipe = recipe_of(arguments.model, arguments.threads, arguments.set)
    bed = make(recipe, arguments.class_name, arguments.shards, arguments.work, report)
    passed, oracle = judged(bed), bed.column("oracle") == 1
    print(
        f"{len(bed.rows)} samples of {arguments.class_name}; the judge keeps {passed.mean():.3f}; the oracle sees "
        f"what was asked for in {oracle.mean():.3f} of all, {oracle[passed].mean():.4f} of those"
    )
    if arguments.what == "sheets":
        sheets(bed, arguments.work)
        return
    statistics = measure(bed, arguments.class_name, recipe, arguments.work, report)
    if arguments.what == "tables":
        rows = joined(bed, statistics, labels_of(arguments.labels))
        have = {row["sample_id"] for row in rows}
        mine = np.array([row["sample_id"] in have for row in bed.rows])
        write_rows(arguments.out, rows, ["sample_id"])
        ranks = list(ranking({name: values[mine] for name, values in statistics.items()}, labelled(rows)))
        ranked = arguments.out.with_name(f"{arguments.out.stem}-statistics.csv")
        write_rows(ranked, ranks, ["statistic"])
        table = read_rows(arguments.out)
        print(*lines(table), "", *by_label(table, KINDS), "", *by_statistic(read_rows(ranked)), sep="\n")


if __name__ == "__main__":
    main()
