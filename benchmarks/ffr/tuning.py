"""Equal tuning: one grid of learning rates for every method and loss, on development seeds, by validation alone.

The rate is that of the stage that sees real pictures: the one stage of none, USB and ASB, and FFR's stage 2.
FFR's stage 1 keeps its default, so that no method has more trials than another. Epochs are fixed: the
selection rule picks among the ends of 12 for every stage, and of 24 for the control row that takes as many
optimiser steps as FFR. Trials never read test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.classifiers.settings import TrainSettings

TUNING = Path("docs/results/ffr-tuning.json")
RATES = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
RATIO = 0.97
METHODS = ("erm", "usb", "asb", "ffr")
LOSSES = ("erm", "resample")

Scores = dict[str, dict[str, list[float]]]
"""Validation worst groups, one a seed, per "<method> <loss>" and learning rate."""


def settings_for(method: str, loss: str, seed: int, tuning: Path) -> TrainSettings:
    """Return a training's settings: the defaults with the learning rate that ``--tune`` chose.

    Raises:
        FileNotFoundError: the tuning hasn't run; a table of untuned methods would compare defaults.
    """
    settings = TrainSettings(method, loss, seed)
    if not tuning.exists():
        raise FileNotFoundError(
            f"no tuned learning rates in {tuning}: run `python -m benchmarks.ffr.compare --tune` first"
        )
    return with_rate(settings, json.loads(tuning.read_text())["chosen"][_name(settings)])


def tuned_on(tuning: Path) -> list[int]:
    """Return the development seeds."""
    return [int(seed) for seed in json.loads(tuning.read_text())["seeds"]]


def with_rate(settings: TrainSettings, rate: float) -> TrainSettings:
    """Return the settings with another learning rate where real pictures are seen."""
    if settings.method == "ffr":
        return replace(settings, finetune=replace(settings.finetune, lr=rate))
    return replace(settings, main=replace(settings.main, lr=rate))


def tune(seeds: Sequence[int], prepare: Callable[..., Any], runs: Path, tuning: Path, report: Reporter) -> str:
    """Train the grid on development seeds, write the choice to ``tuning``, and return it as a Markdown table."""
    from fairshards.trainers.classifiers.run import run_training

    scores: Scores = {}
    trials = [TrainSettings(method, loss, trial=True) for method in METHODS for loss in LOSSES]
    done = [0]
    with report.watch("tuning: trainings", len(seeds) * len(trials) * len(RATES), lambda: done[0]):
        for seed in seeds:
            indexes = prepare(seed, RATIO, runs)
            for trial in trials:
                for rate in RATES:
                    settings = with_rate(replace(trial, seed=seed), rate)
                    synthetic = indexes.curated if settings.needs_synthetic else None
                    result = run_training(indexes.run, settings, indexes.source, synthetic)
                    worst = result.metrics["final"]["val"]["worst_group"]
                    scores.setdefault(_name(trial), {}).setdefault(f"{rate:g}", []).append(worst)
                    done[0] += 1
    return save(scores, seeds, tuning)


def save(scores: Scores, seeds: Sequence[int], tuning: Path) -> str:
    """Write scores and choice, and return the table."""
    chosen = {name: choose(by_rate) for name, by_rate in scores.items()}
    said = {"seeds": list(seeds), "ratio": RATIO, "rates": RATES, "worst_group_on_val": scores, "chosen": chosen}
    write_local(tuning, json.dumps(said, indent=1).encode())
    head = ["method and loss", *(f"{rate:g}" for rate in RATES), "chosen"]
    lines = [head, ["---"] * len(head)]
    for name, by_rate in scores.items():
        lines.append([name, *(f"{100 * _mean(by_rate[f'{rate:g}']):.1f}" for rate in RATES), f"{chosen[name]:g}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def choose(by_rate: Mapping[str, Sequence[float]]) -> float:
    """Return the rate with the best mean worst group on validation; of equal ones the lowest."""
    return max(sorted(map(float, by_rate)), key=lambda rate: _mean(by_rate[f"{rate:g}"]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _name(settings: TrainSettings) -> str:
    return f"{settings.method} {settings.loss}"
