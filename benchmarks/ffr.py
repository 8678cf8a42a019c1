"""FFR against ERM, USB and ASB on the pocket world: seeds x bias ratios x losses, at equal synthetic totals.

    python -m benchmarks.ffr                      # 5 seeds, r in {0.95, 0.97, 0.99}; resumes where it stood
    python -m benchmarks.ffr --tune               # the learning rates, on development seeds, the same grid for all
    python -m benchmarks.ffr --seeds 0 --ratios 0.97

A seed is the recipe's (pictures and noise) and the training's. Every seed has one run folder, so that the
pictures generated for one ratio are there for the next. A training that is committed isn't done again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.ffr_tables import report
from benchmarks.ffr_tuning import TUNING, settings_for, tune
from benchmarks.ffr_zero_shot import zero_shot
from catalogs.identity import digest
from catalogs.manifest import write_local
from pipeline.progress import Reporter
from trainers.settings import LOSSES, TrainSettings

RECIPE = "pocket-waterbirds"
RESULTS = Path("docs/results/ffr.json")
METHODS = ("erm", "usb", "asb", "ffr")


@dataclass(frozen=True)
class Cell:
    """One training of the grid; ``synthetic`` False is the reference on balanced real pictures."""

    seed: int
    ratio: float
    settings: TrainSettings


@dataclass(frozen=True)
class Indexes:
    """A run folder with its two indexes; ``curated`` is None for balanced real data."""

    run: Path
    source: Path
    curated: Path | None


def prepare(seed: int, ratio: float, runs: Path, curate: bool = True) -> Indexes:
    """Make the pictures of a seed at a bias ratio with ``fairshards run`` and return where the indexes lie."""
    run = runs / (f"seed-{seed}" if curate else f"seed-{seed}-balanced")
    command = [sys.executable, "-m", "fairshards", "run", RECIPE, "--output", str(run), "--set", f"seed={seed}",
               "--set", f"source.bias_ratio={ratio}", "--until", "curate" if curate else "source"]  # fmt: skip
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {finished.returncode}; run it by hand to see why")
    return Indexes(run, run / "source" / "index.parquet", curated_index(run) if curate else None)


def curated_index(run: Path) -> Path:
    """Return the curated index that the run's last command made (the first that run.json lists)."""
    names: list[str] = json.loads((run / "run.json").read_text())["manifests"]
    return run / next(name for name in names if name.startswith("curated/") and name.endswith("/index.parquet"))


def grid(seeds: Sequence[int], ratios: Sequence[float], tuning: Path) -> list[Cell]:
    """Return every training: methods x losses x ratios x seeds, and one balanced-real reference a seed and loss."""
    cells = []
    for seed in seeds:
        for ratio in ratios:
            for method in METHODS:
                cells += [Cell(seed, ratio, settings_for(method, loss, seed, tuning)) for loss in LOSSES]
        cells.append(Cell(seed, 0.5, replace(settings_for("erm", "erm", seed, tuning), method="balanced-real")))
    return cells


class Rows:
    """The results so far, in a JSON file that is written after every training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.by_key: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["cells"] if path.exists() else {}

    def add(self, cell: Cell, rows: list[dict[str, Any]]) -> None:
        """Keep a cell's rows."""
        self.by_key[cell_key(cell)] = rows
        data = json.dumps({"recipe": RECIPE, "cells": self.by_key}, indent=1, sort_keys=True)
        write_local(self.path, data.encode())

    def of(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Return the rows of the cells that are done."""
        return [row for cell in cells for row in self.by_key.get(cell_key(cell), [])]


def cell_key(cell: Cell) -> str:
    """Return the name under which a cell's rows are kept; changed settings are another cell."""
    settings = cell.settings
    mark = digest(settings.identity())[:8]
    return f"seed {cell.seed} r {cell.ratio:g} {settings.method} {settings.loss} {mark}"


def train_cell(cell: Cell, indexes: Indexes) -> list[dict[str, Any]]:
    """Train one cell and return its rows: the final model's, and for FFR stage 1 alone."""
    from trainers.run import run_training

    result = run_training(indexes.run, cell.settings, indexes.source, indexes.curated)
    stages = result.head.settings["stages"]
    first = next(iter(stages.values()))
    common = {
        "seed": cell.seed, "ratio": cell.ratio, "training": result.training_id,
        "synthetic": first["synthetic"], "bits": first["mutual_information_bits"]["I(Y;(B,G))"],
    }  # fmt: skip
    rows = [{**common, "method": result.method, "loss": result.loss, **result.test}]
    if "stage1" in result.metrics and result.loss == "erm":
        rows.append({**common, "method": "ffr-stage1", "loss": "", **result.metrics["stage1"]["test"]})
    return rows


def by_place(cells: Sequence[Cell]) -> Iterator[tuple[int, float, list[Cell]]]:
    """Yield (seed, ratio, its cells) in order, so that each place is prepared once."""
    for seed, ratio in dict.fromkeys((cell.seed, cell.ratio) for cell in cells):
        yield seed, ratio, [cell for cell in cells if (cell.seed, cell.ratio) == (seed, ratio)]


def run_grid(cells: Sequence[Cell], rows: Rows, runs: Path, report_to: Reporter) -> None:
    """Prepare and train what isn't done yet."""
    todo = [cell for cell in cells if cell_key(cell) not in rows.by_key]
    done = [len(cells) - len(todo)]
    with report_to.watch("FFR benchmark: trainings", len(cells), lambda: done[0]):
        for seed, ratio, here in by_place(todo):
            indexes = prepare(seed, ratio, runs, curate=ratio != 0.5)
            for cell in here:
                found = train_cell(cell, indexes)
                if cell.settings.method == "erm" and cell.settings.loss == "erm":
                    found.append({"seed": seed, "ratio": ratio, **zero_shot(indexes.source)})
                rows.add(cell, found)
                done[0] += 1


def command(
    seeds: Annotated[str, typer.Option(help="Seeds, with commas.")] = "0,1,2,3,4",
    ratios: Annotated[str, typer.Option(help="Bias ratios, with commas.")] = "0.95,0.97,0.99",
    runs: Annotated[Path, typer.Option("--run", help="Folder of the run folders, one a seed.")] = Path("runs/ffr"),
    results: Annotated[Path, typer.Option(help="Where the results go, and are taken up again.")] = RESULTS,
    tuning: Annotated[Path, typer.Option(help="The learning rates that --tune chose.")] = TUNING,
    tune_first: Annotated[bool, typer.Option("--tune", help="Choose learning rates on development seeds.")] = False,
    development_seeds: Annotated[str, typer.Option(help="Seeds of --tune, never those of the table.")] = "100,101",
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
) -> None:
    """FFR against ERM, USB and ASB. Example: python -m benchmarks.ffr --seeds 0,1 --ratios 0.97"""
    reporter = Reporter(quiet=quiet)
    if tune_first:
        print(tune(_numbers(development_seeds), prepare, runs, tuning, reporter))
        return
    cells, rows = grid(_numbers(seeds), [float(ratio) for ratio in ratios.split(",")], tuning), Rows(results)
    run_grid(cells, rows, runs, reporter)
    table = report(rows.of(cells))
    write_local(results.with_suffix(".md"), table.encode())
    print(table)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    typer.run(command)
