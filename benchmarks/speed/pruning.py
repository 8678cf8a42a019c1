"""Kept samples a second: pruning in flight against generating all and filtering then, side by side.

    python -m fairshards.pocket.train early --work /tmp/early  # draws many bad pictures
    python -m benchmarks.speed.pruning --model /tmp/early/early-diffusion \\
        --set 'prompts.templates=["a photo of a {class}"]'
    python -m benchmarks.speed.pruning --easy

The first is an early checkpoint with prompts that say nothing of the background; 40 to 50% of its samples are kept,
goal 1.3. ``--easy`` is pocket-diffusion with full prompts, 95% or more: goal 0.98.

Each side is a Beam job on the in-process runner: generate (with pruning or without), write shards and manifests, score.
CLIP's judge decides over both. Models are loaded before the clock starts, and the sides
take turns. First the code of ``fairshards calibrate-pruning`` finds step and limits on samples of another seed; its
arithmetic is printed. Purity is the oracle's, which no side has seen: the share of kept samples that show the class and
the background that were asked for, with Wilson's 95% interval. Exits 1 when the goal isn't met, or where purity without
pruning lies above the interval of purity with it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.speed.beam_side import LOADED, LoadedHandler
from fairshards.generators.images import decode_image
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.pictures.pruning import calibrate_pruning, lines
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.decide import Candidate
from fairshards.pipeline.synthesis.pool import Pool, collect, commit_plan, decide_on
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.trainers.evaluation.intervals import wilson
from fairshards.transforms.pictures.generate import Generate, LazyGenerator
from fairshards.transforms.pictures.score import LazyScorer, Score

GOALS = {"hard": 1.3, "easy": 0.98}


@dataclass
class Side:
    """One way of making samples: its recipe, the seconds of each repeat, and what was kept."""

    recipe: Recipe
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    kept: list[Candidate] = field(default_factory=list)
    made: int = 0
    right: int = 0

    @property
    def rate(self) -> float:
        """Kept samples a second, in the median repeat."""
        return len(self.kept) / statistics.median(self.seconds)

    def repeat(self, shards: int, root: Path) -> None:
        """Make the samples once, in a new folder, and decide over them."""
        generator, scorer = generator_spec(self.recipe), scorer_spec(self.recipe)
        for spec, kind in ((generator, LazyGenerator), (scorer, LazyScorer)):
            if spec not in LOADED:
                LOADED[spec] = kind(spec)  # type: ignore[arg-type]
        generating, scoring = LOADED[generator], LOADED[scorer]
        _ = generating.model, scoring.scorer, generator.prune and generating.scorer  # type: ignore[attr-defined]
        folder = RunFolder(root)
        rows = [
            row
            for group in self.recipe.groups
            for shard in range(shards)
            for row in planning.shard_rows(self.recipe, generator, group, shard, 0)
        ]
        name, _head = commit_plan(self.recipe, "round-0", rows, folder)
        tasks = planning.tasks_of(folder.path, name, rows, generator.stage_fingerprint)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        Launcher().map(
            tasks,
            "Generate" >> LoadedHandler(Generate, generator).step(),
            "Score" >> LoadedHandler(Score, scorer).step(),
        )
        self.seconds.append(time.perf_counter() - begin)
        self.cpu_seconds.append(time.process_time() - begin_cpu)
        pool = Pool()
        collect(tasks, rows, scorer, pool, folder)
        decision = decide_on(self.recipe, pool)
        self.kept = [one for group in decision.passed.values() for one in group]
        self.made, self.right = len(pool.candidates), right(self.kept, folder)


def right(kept: Sequence[Candidate], folder: RunFolder) -> int:
    """Return how many kept samples show, to the oracle, the class and the background that were asked for."""
    images = []
    for one in kept:
        data = (folder.root / "raw" / one.sample["shard"]).read_bytes()
        place = one.sample["offset"]
        images.append(np.asarray(decode_image(data[place : place + one.sample["size"]])))
    classes, backgrounds = load_oracle().judge(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))
    seen = zip(classes.tolist(), backgrounds.tolist(), strict=True)
    return sum(found == one.group for found, one in zip(seen, kept, strict=True))


def calibrated(recipe: Recipe, samples: int, report: Reporter) -> dict[str, Any]:
    """Return step and limits, found on a run of another seed."""
    with tempfile.TemporaryDirectory() as root:
        each = samples // len(recipe.groups)
        few = {"per_group": each, "max_rounds": 1, "shard_size": recipe.generator.batch_size}
        other = recipe.model_copy(update={"seed": recipe.seed + 1000, "quota": recipe.quota.model_copy(update=few)})
        result = run(other, Launcher(), report, "curate", Path(root) / "run")
        found = calibrate_pruning(result.folder, other, samples, (), 0.02, report)
    print("\n".join(lines(found, recipe.generator.steps)))
    best = max(found, key=lambda one: one.gain)
    return {"step": best.step, **best.limits, "pays_from": best.pays_from(recipe.generator.steps)}


def _listed(seconds: Sequence[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in seconds)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, help="a checkpoint of whose samples about half are kept")
    options.add_argument("--easy", action="store_true", help="pocket-diffusion itself")
    options.add_argument("--shards", type=int, default=1, help="of each group; a shard has 256 samples")
    options.add_argument("--samples", type=int, default=256, help="to calibrate on")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--prune", type=yaml.safe_load, help="{step: 6, min_bias: 0.5} in place of calibrating")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    return options


def main() -> None:
    """Calibrate, measure both sides in turn, print, and exit 1 when the goal isn't met."""
    options, report = parser(), Reporter()
    arguments = options.parse_args()
    if bool(arguments.model) == arguments.easy:
        options.error("give --model, or --easy")
    sets = [
        "quota.shard_size=256",
        "quota.surplus=0",
        "quota.usb_extra=false",
        "filters={group_judge: {}}",
        "scorer.segmenter=null",
    ]
    sets += [f"generator.model={arguments.model}"] if arguments.model else []
    recipe = load_recipe("pocket-waterbirds", [*sets, *arguments.set])
    said = arguments.prune or calibrated(recipe, arguments.samples, report)
    pruned = recipe.model_dump(mode="json", by_alias=True)
    pruned["generator"]["prune"] = said
    sides = {"generate, then filter": Side(recipe), "pruned in flight": Side(Recipe.model_validate(pruned))}
    for number in range(arguments.repeats):
        for side in list(sides.values())[:: 1 if number % 2 else -1]:
            with tempfile.TemporaryDirectory() as root:
                side.repeat(arguments.shards, Path(root) / "run")
        report.say(f"repeat {number + 1} of {arguments.repeats} is done")
    plain, short = sides.values()
    print(f"of {recipe.generator.steps} steps: {said}")
    print("| side | made | kept | seconds | CPU seconds | kept/s | oracle's purity |\n|---|---:|---:|---|---|---:|---|")
    for name, side in sides.items():
        low, high = wilson(side.right, len(side.kept))
        print(
            f"| {name} | {side.made} | {len(side.kept)} | {_listed(side.seconds)} | {_listed(side.cpu_seconds)} | "
            f"{side.rate:.2f} | "
            f"{side.right / len(side.kept):.3f} [{low:.3f}, {high:.3f}] |"
        )
    ratio, goal = short.rate / plain.rate, GOALS["easy" if arguments.easy else "hard"]
    spent = [statistics.median(side.cpu_seconds) / len(side.kept) for side in (plain, short)]
    print(
        f"ratio {ratio:.3f} (in CPU time {spent[0] / spent[1]:.3f}), goal {goal}; accept rate without pruning "
        f"{len(plain.kept) / plain.made:.3f}"
    )
    if ratio < goal:
        sys.exit(f"the ratio {ratio:.3f} misses the goal {goal}")
    if wilson(short.right, len(short.kept))[1] < plain.right / len(plain.kept):
        sys.exit("purity is lower with pruning")


if __name__ == "__main__":
    main()
