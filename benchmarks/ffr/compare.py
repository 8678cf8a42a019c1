"""FFR against ERM, USB and ASB on the pocket world: seeds x bias ratios x losses, at equal synthetic totals.

    python -m benchmarks.ffr.compare --tune               # first: learning rates, on development seeds
    python -m benchmarks.ffr.compare                      # 5 seeds, r in {0.95, 0.97, 0.99}; resumes where it stood
    python -m benchmarks.ffr.compare --seeds 0 --ratios 0.97
    python -m benchmarks.ffr.compare --ratios 0.97 --artefacts    # ablation: synthetic pictures easy to tell
    python -m benchmarks.ffr.compare --set source.val_min_group=10 --results docs/results/ffr-val10.json   # ablation

A seed is the recipe's (pictures and noise) and the training's. Every seed has one run folder, so that the
pictures generated for one ratio are there for the next. A training that is committed isn't done again; another
recipe, generator or scorer is another result.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.ffr.artefacts import VERSION as ARTEFACTS_VERSION
from benchmarks.ffr.artefacts import degraded_copy
from benchmarks.ffr.tables import BALANCED, report
from benchmarks.ffr.tuning import LOSSES, TUNING, settings_for, tune, tuned_on
from benchmarks.ffr.zero_shot import zero_shot
from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.classifiers.settings import TrainSettings

RECIPE = "pocket-waterbirds"
RESULTS = Path("docs/results/ffr.json")
ARTEFACTS = Path("docs/results/ffr-artefacts.json")
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


def prepare(seed: int, ratio: float, runs: Path, sets: Sequence[str] = ()) -> Indexes:
    """Make the pictures of a seed at a bias ratio with ``fairshards run`` and return where the indexes lie.

    At r = 0.5 the real data are balanced and need no synthetic pictures.
    """
    balanced = ratio == BALANCED
    run = runs / (f"seed-{seed}-balanced" if balanced else f"seed-{seed}")
    overrides = (f"seed={seed}", f"source.bias_ratio={ratio}", *sets)
    command = [
        sys.executable,
        "-m",
        "fairshards",
        "run",
        RECIPE,
        "-q",
        "--output",
        str(run),
        "--until",
        "source" if balanced else "curate",
    ]
    command += [part for override in overrides for part in ("--set", override)]
    finished = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if finished.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {finished.returncode}; run it by hand to see why")
    return Indexes(run, current_index(run, "source/index-"), None if balanced else current_index(run, "curated/"))


def current_index(run: Path, begin: str) -> Path:
    """Return the index below ``begin`` that the run's last command made (the first that run.json lists)."""
    names: list[str] = json.loads((run / "run.json").read_text())["manifests"]
    wanted = (name for name in names if name.startswith(begin))
    return run / next(name for name in wanted if name.rpartition("/")[2].startswith("index"))


def grid(seeds: Sequence[int], ratios: Sequence[float], tuning: Path) -> list[Cell]:
    """Return every training: methods x losses x ratios x seeds, and the two reference rows that are trained.

    These are real data alone with as many optimiser steps as FFR takes, and balanced real data (r = 0.5).
    """
    cells = []
    for seed in seeds:
        for ratio in ratios:
            for method in METHODS:
                cells += [Cell(seed, ratio, settings_for(method, loss, seed, tuning)) for loss in LOSSES]
            cells.append(Cell(seed, ratio, twice_the_epochs(settings_for("erm", "erm", seed, tuning))))
        reference = replace(settings_for("erm", "erm", seed, tuning), method="balanced-real")
        cells.append(Cell(seed, BALANCED, reference))
    return cells


def twice_the_epochs(settings: TrainSettings) -> TrainSettings:
    """Return the settings with twice the epochs on real pictures."""
    return replace(settings, main=replace(settings.main, epochs=2 * settings.main.epochs))


def takes_longer(settings: TrainSettings) -> bool:
    """Tell the control row with twice the epochs from the others."""
    return settings.main.epochs > TrainSettings("erm").main.epochs


class Rows:
    """The results so far, in a JSON file that is written after every training; ``basis`` marks what they rest on."""

    def __init__(self, path: Path, basis: str) -> None:
        self.path, self.basis = path, basis
        self.by_key: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["cells"] if path.exists() else {}

    def key(self, cell: Cell) -> str:
        """Return the name under which a cell's rows are kept; changed settings or models are another cell."""
        settings = cell.settings
        mark = digest([self.basis, settings.identity()])[:8]
        return f"seed {cell.seed} r {cell.ratio:g} {settings.method} {settings.loss} {mark}"

    def add(self, cell: Cell, rows: list[dict[str, Any]]) -> None:
        """Keep a cell's rows."""
        self.by_key[self.key(cell)] = rows
        data = json.dumps({"recipe": RECIPE, "cells": self.by_key}, indent=1, sort_keys=True)
        write_local(self.path, data.encode())

    def of(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Return the rows of the cells that are done."""
        return [row for cell in cells for row in self.by_key.get(self.key(cell), [])]


def basis(sets: Sequence[str] = (), artefacts: bool = False) -> str:
    """Return a mark of all that decides the pictures: the recipe, both models' fingerprints, the trainers' version."""
    from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
    from fairshards.trainers.classifiers.record import VERSION

    recipe = load_recipe(RECIPE, sets)
    made = recipe.model_dump(mode="json", by_alias=True, exclude={"training", "runner", "output"})
    marks = [generator_spec(recipe).stage_fingerprint, scorer_spec(recipe).stage_fingerprint, VERSION]
    return digest([made, *marks, *([ARTEFACTS_VERSION] if artefacts else [])])


def train_cell(cell: Cell, indexes: Indexes) -> list[dict[str, Any]]:
    """Train one cell and return its rows: the final model's, and for FFR stage 1 alone."""
    from fairshards.trainers.classifiers.run import run_training

    result = run_training(indexes.run, cell.settings, indexes.source, indexes.curated)
    stages = result.head.settings["stages"]
    first = next(iter(stages.values()))
    common = {
        "seed": cell.seed,
        "ratio": cell.ratio,
        "training": result.training_id,
        "synthetic": first["synthetic"],
        "bits": first["mutual_information_bits"]["I(Y;(B,G))"],
        "steps": steps(cell.settings, stages),
        "selected_epochs": [s["selected_epoch"] for s in stages.values()],
    }
    method = "erm-longer" if takes_longer(cell.settings) else result.method
    rows = [{**common, "method": method, "loss": result.loss, **result.test}]
    if "stage1" in result.metrics and result.loss == "erm":
        rows.append({**common, "method": "ffr-stage1", "loss": "", **result.metrics["stage1"]["test"]})
    return rows


def steps(settings: TrainSettings, stages: Mapping[str, Any]) -> int:
    """Return the optimiser steps of all stages together."""
    taken = 0
    for name, stage in settings.stages.items():
        taken += stage.epochs * math.ceil(sum(stages[name]["samples"].values()) / stage.batch_size)
    return taken


def by_place(cells: Sequence[Cell]) -> Iterator[tuple[int, float, list[Cell]]]:
    """Yield (seed, ratio, its cells) in order, so that each place is prepared once."""
    for seed, ratio in dict.fromkeys((cell.seed, cell.ratio) for cell in cells):
        yield seed, ratio, [cell for cell in cells if (cell.seed, cell.ratio) == (seed, ratio)]


def run_grid(
    cells: Sequence[Cell],
    rows: Rows,
    runs: Path,
    report_to: Reporter,
    sets: Sequence[str] = (),
    artefacts: bool = False,
) -> None:
    """Prepare and train what isn't done yet; with ``artefacts`` on degraded synthetic pictures."""
    todo = [cell for cell in cells if rows.key(cell) not in rows.by_key]
    done = [len(cells) - len(todo)]
    with report_to.watch("FFR benchmark: trainings", len(cells), lambda: done[0]):
        for seed, ratio, here in by_place(todo):
            indexes = prepare(seed, ratio, runs, sets)
            if artefacts and indexes.curated:
                indexes = replace(indexes, curated=degraded_copy(indexes.curated, indexes.run / "artefacts"))
            for cell in here:
                found = train_cell(cell, indexes)
                if cell.settings.method == cell.settings.loss == "erm" and not takes_longer(cell.settings):
                    found.append({"seed": seed, "ratio": ratio, **zero_shot(indexes.source)})
                rows.add(cell, found)
                done[0] += 1


def command(
    seeds: Annotated[str, typer.Option(help="Seeds, with commas.")] = "0,1,2,3,4",
    ratios: Annotated[str, typer.Option(help="Bias ratios, with commas.")] = "0.95,0.97,0.99",
    runs: Annotated[Path, typer.Option("--run", help="Folder of the run folders, one a seed.")] = Path("runs/ffr"),
    results: Annotated[Path, typer.Option(help="Where the results go, and are taken up again.")] = RESULTS,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Override a key of the recipe.")] = None,
    artefacts: Annotated[bool, typer.Option("--artefacts", help="Degrade the synthetic pictures.")] = False,
    tuning: Annotated[Path, typer.Option(help="The learning rates that --tune chose.")] = TUNING,
    tune_first: Annotated[bool, typer.Option("--tune", help="Choose learning rates on development seeds.")] = False,
    development_seeds: Annotated[str, typer.Option(help="Seeds of --tune, never those of the table.")] = "100,101",
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
) -> None:
    """FFR against ERM, USB and ASB. Example: python -m benchmarks.ffr.compare --seeds 0,1 --ratios 0.97"""
    reporter = Reporter(quiet=quiet)
    if tune_first:
        print(tune(_numbers(development_seeds), prepare, runs, tuning, reporter))
        return
    if tuning.exists() and (both := set(_numbers(seeds)) & set(tuned_on(tuning))):
        sys.exit(f"error: seeds {sorted(both)} were used for tuning; the table needs others")
    cells = grid(_numbers(seeds), [float(ratio) for ratio in ratios.split(",")], tuning)
    results = ARTEFACTS if artefacts and results == RESULTS else results
    rows = Rows(results, basis(sets or (), artefacts))
    run_grid(cells, rows, runs, reporter, sets or (), artefacts)
    table = report(rows.of(cells))
    write_local(results.with_suffix(".md"), table.encode())
    print(table)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    typer.run(command)
