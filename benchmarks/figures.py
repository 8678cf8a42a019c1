"""The figures of docs/mode-interpolation.md and docs/purity.md.

pip install -e '.[figures]'
python -m benchmarks.figures 1d                                   # from the kept checkpoint
python -m benchmarks.figures shapes --work runs/mode-interpolation
python -m benchmarks.figures generations                          # from the CSV of the recursive trainings
python -m benchmarks.figures purity --work /tmp/purity --model /tmp/early/early-diffusion
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from benchmarks.csv_rows import read_rows
from benchmarks.mode_interpolation.gaussian_sets import SETS
from benchmarks.mode_interpolation.hallucination import RETAINED
from benchmarks.mode_interpolation.toy_diffusion import Net, sample

mpl.use("Agg")
from matplotlib import pyplot

FOLDER, RESULTS = Path("docs/figures"), Path("docs/results")
KEPT = Path("tests/data/mode-interpolation-1d.safetensors")
WRONG, RIGHT = "#c0392b", "#2c5f8a"


def of_1d(arguments: argparse.Namespace) -> None:
    """Draw each sample's variance over its place, on a model that the test suite keeps."""
    from safetensors.torch import load_file

    net = Net(1)
    net.load_state_dict({name: value.float() for name, value in load_file(KEPT).items()})
    made = sample(net.eval(), arguments.samples, 1, (10,), 0)
    _, distance = SETS["1d"].nearest(made.points)
    off, score = distance > 6, made.x0[10]
    figure, axes = pyplot.subplots(figsize=(8, 3.4))
    for which, colour, size, name in ((~off, RIGHT, 1, "in support"), (off, WRONG, 8, "further than 6 sigmas")):
        shown = f"{name}: {which.sum():,}"
        axes.scatter(made.points[which, 0], score[which], s=size, c=colour, label=shown, linewidths=0)
    limit = np.quantile(score[~off], RETAINED)
    axes.axhline(limit, color="black", linewidth=0.8, linestyle="--")
    axes.annotate(
        "96% of those in support lie below",
        (0.01, limit),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
    )
    axes.set(yscale="log", xlabel="sample", ylabel="variance of predicted x0, k = 10")
    axes.legend(markerscale=3, fontsize=8, loc="lower right")
    _save(figure, "mode-interpolation-1d.png")


def of_shapes(arguments: argparse.Namespace) -> None:
    """Show pictures that a model of SimpleShapes drew: in support, and with a shape repeated or misplaced."""
    from benchmarks.mode_interpolation.simple_shapes import look

    with np.load(arguments.work / "shapes-0.npz") as found:
        pictures = found["pictures"]
    seen = [look(picture / 255) for picture in pictures]
    wanted = [
        [place for place, one in enumerate(seen) if not (one.hallucinated or one.malformed or one.empty)],
        [place for place, one in enumerate(seen) if one.repeated],
        [place for place, one in enumerate(seen) if one.misplaced and not one.repeated],
    ]
    _sheet([[pictures[place] for place in row[:10]] for row in wanted if row], "simple-shapes.png", 2)


def of_purity(arguments: argparse.Namespace) -> None:
    """Show the pictures with the lowest and highest variance, and those with the nearest and farthest silhouettes."""
    from benchmarks.purity.pictures import judged, make
    from benchmarks.purity.study import SILHOUETTE, VARIANCE, recipe_of
    from fairshards.pipeline.run.progress import Reporter

    bed = make(recipe_of(arguments.model, 1), "waterbird", 3, arguments.work, Reporter(quiet=True))
    with np.load(arguments.work / "statistics-waterbird.npz") as found:
        passed = np.flatnonzero(judged(bed))
        order = [passed[np.argsort(found[name][passed])] for name in (VARIANCE, SILHOUETTE)]
    rows = [part for ranks in order for part in (ranks[:12], ranks[-12:])]
    _sheet([[bed.images[place] for place in row] for row in rows], "purity.png", 1.5)


def of_generations(arguments: argparse.Namespace) -> None:
    """Draw what trainings on a model's own samples do to the share off support, filter by filter."""
    rows = read_rows(RESULTS / "mode-interpolation-recursive.csv")
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for colour, kind in zip(("#7f8c8d", "#d68910", RIGHT), ("none", "random", "variance"), strict=True):
        mine = [row for row in rows if row["filter"] == kind]
        numbers = sorted({int(row["generation"]) for row in mine})
        for axes, what in zip(panels, ("drawn_off", "spread"), strict=True):
            values = [[float(row[what]) for row in mine if int(row["generation"]) == number] for number in numbers]
            axes.plot(
                numbers,
                [100 * np.mean(each) if what == "drawn_off" else np.mean(each) for each in values],
                color=colour,
                marker="o",
                label=f"filter: {kind}",
            )
            for number, each in zip(numbers, values, strict=True):
                axes.scatter(
                    [number] * len(each), [100 * one if what == "drawn_off" else one for one in each], color=colour, s=8
                )
    panels[0].set(xlabel="generation", ylabel="% drawn further than 6 sigmas")
    panels[1].set(xlabel="generation", ylabel="spread about the modes, sigmas")
    panels[0].legend(fontsize=8)
    _save(figure, "mode-interpolation-generations.png")


def _sheet(rows: list[list[Any]], name: str, zoom: float) -> None:
    height, width = rows[0][0].shape[:2]
    gap = 3
    sheet = Image.new("RGB", (max(map(len, rows)) * (width + gap), len(rows) * (height + gap)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (x * (width + gap), y * (height + gap)))
    FOLDER.mkdir(parents=True, exist_ok=True)
    sheet.resize((int(sheet.width * zoom), int(sheet.height * zoom)), Image.Resampling.BICUBIC).save(FOLDER / name)


def _save(figure: Any, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(FOLDER / name, dpi=110)


FIGURES: dict[str, Callable[[argparse.Namespace], None]] = {
    "1d": of_1d,
    "shapes": of_shapes,
    "purity": of_purity,
    "generations": of_generations,
}


def main() -> None:
    """Draw one figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("figure", choices=list(FIGURES))
    options.add_argument("--samples", type=int, default=20_000, help="of 1d")
    options.add_argument("--work", type=Path, default=Path("runs/mode-interpolation"))
    options.add_argument("--model", help="of purity")
    arguments = options.parse_args()
    FIGURES[arguments.figure](arguments)


if __name__ == "__main__":
    main()
