"""Does reading a dataset of many small files take time in proportion to their number?

    python -m benchmarks.speed.source_listing                     10,000, 30,000 and 100,000 files: about 8 minutes
    python -m benchmarks.speed.source_listing --sizes 1000,3000   a quick look

Each size is a tree ``train/<class>/<bias>/*.png`` of 8 x 8 pixels. Timed are a bare loop (os.walk, read each file), and
the source stage in one process: list, hash, decode, check, write shards and manifests; then a second run, which finds
everything done. CPU time, which other work on the machine moves less, for each file. Goal: the largest size costs at
most 1.3 times the smallest, a file. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from fairshards.generators.images import encode_png
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.source import source_stage
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter

GOAL = 1.3
GROUPS = [(y, b) for y in ("landbird", "waterbird") for b in ("land", "water")]


@dataclass(frozen=True)
class Timing:
    """CPU seconds of a dataset of ``files`` files."""

    files: int
    bare: float
    first: float
    again: float


def main() -> None:
    """Measure every size, print the table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,30000,100000")
    parser.add_argument("--folder", help="Where the trees are written. Default: the system's temporary folder.")
    options = parser.parse_args()
    timings = []
    for size in map(int, options.sizes.split(",")):
        Reporter().say(f"{size:,} files")
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            timings.append(measure(Path(folder), size))
    print_table(timings)
    ratio = growth(timings)
    print(f"a file of {timings[-1].files:,} costs {ratio:.2f} times one of {timings[0].files:,} (goal: at most {GOAL})")
    sys.exit(ratio > GOAL)


def growth(timings: list[Timing]) -> float:
    """Return how many times the CPU time of a file of the smallest dataset one of the largest costs."""
    return (timings[-1].first / timings[-1].files) / (timings[0].first / timings[0].files)


def measure(folder: Path, files: int) -> Timing:
    """Write a dataset, and time the bare loop and two runs of the source stage."""
    data, run = write_tree(folder / "data", files), RunFolder(folder / "run")
    recipe = load_recipe("pocket-waterbirds", [f"source={{reader: image_folder, path: {data}}}"])

    def stage() -> None:
        found = source_stage(Run(recipe, run, report=Reporter(quiet=True)))
        assert (found.samples, found.rejects) == (files, 0)

    (folder / "run").mkdir()
    return Timing(files, timed(lambda: read_bare(data)), timed(stage), timed(stage))


def write_tree(folder: Path, files: int) -> Path:
    """Write small pictures, each another one, in four groups."""
    for y, b in GROUPS:
        (folder / "train" / y / b).mkdir(parents=True)
    pixels = np.zeros((8, 8, 3), np.uint8)
    for number in range(files):
        pixels[0, :4, 0] = list(number.to_bytes(4, "big"))
        y, b = GROUPS[number % 4]
        (folder / "train" / y / b / f"{number:07d}.png").write_bytes(encode_png(pixels))
    return folder


def read_bare(folder: Path) -> None:
    """Read every file, as the shortest loop would."""
    for place, _, names in os.walk(folder):
        for name in names:
            Path(place, name).read_bytes()


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def print_table(timings: list[Timing]) -> None:
    """Print seconds and milliseconds a file."""
    table = Table(title="CPU seconds (milliseconds a file)")
    for column in ("files", "bare loop", "source", "source / bare", "run again"):
        table.add_column(column, justify="right")
    for one in timings:
        cells = [f"{spent:.1f} ({1000 * spent / one.files:.3f})" for spent in (one.bare, one.first, one.again)]
        table.add_row(f"{one.files:,}", cells[0], cells[1], f"{one.first / one.bare:.1f}", cells[2])
    Console().print(table)


if __name__ == "__main__":
    main()
