"""Models trained on the samples of models: what a filter on trajectory variance keeps of the data.

Settings: docs/methods.md#recursive-training.

    python -m benchmarks.mode_interpolation.recursive 1d --seeds 3 --filters none,random,variance

Generation 1 is trained on the data, each later one from scratch on as many filtered samples of the one before.
Filters: ``none`` keeps all; ``variance`` draws a surplus and drops those of the highest variance of the predicted x0
over the last 10 steps; ``random`` draws the same surplus and drops as many at random. The surplus is the paper's 2.44%.
Measured of what each generation hands on: the share further than 6 sigmas from every true mode, how many modes have at
least half of their share, the samples' spread about their modes in sigmas, and the total variation between the modes'
shares and equal ones. ``drawn_off`` is the first of them before the filter.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.csv_rows import write_rows
from benchmarks.mode_interpolation.gaussian_sets import SETS, GaussianSet, Points
from benchmarks.mode_interpolation.study import POINTS, training_options
from benchmarks.mode_interpolation.toy_diffusion import Samples, Training, sample, train
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.core.seeding import part_seed

WINDOW = 10
LIMIT = 6
FILTERS = ("none", "random", "variance")
KEY = ("set", "steps", "batch", "lr", "anneal", "seed", "points", "surplus", "filter", "generation")


def generations(
    name: str, training: Training, points: int, kind: str, surplus: float, count: int, work: Path, report: Reporter
) -> Iterator[dict[str, Any]]:
    """Yield what each generation hands on."""
    world, dropped = SETS[name], math.ceil(points * surplus)
    data = world.draw(points, part_seed(training.seed, "data"))
    for number in range(1, count + 1):
        seed = part_seed(training.seed, "generation", number)
        report.say(f"{name}, seed {training.seed}, filter {kind}: generation {number} of {count}")
        said = [name, *asdict(training).values(), points, *((kind, surplus) if number > 1 else ()), number]
        file = work / f"recursive-{'-'.join(map(str, said))}.safetensors"  # generation 1 is the same for all filters
        net = train(data, replace(training, seed=seed), file)
        made = sample(net, points + (0 if kind == "none" else dropped), world.modes.shape[1], (WINDOW,), seed)
        drawn = state_of(world, made.points)
        data = made.points[kept(kind, made, points, seed)]
        yield {
            "set": name,
            **asdict(training),
            "points": points,
            "surplus": surplus,
            "filter": kind,
            "generation": number,
            "drawn_off": drawn["off"],
            **state_of(world, data),
        }


def kept(kind: str, made: Samples, count: int, seed: int) -> Any:
    """Return the numbers of the ``count`` samples that a filter keeps, in their order."""
    if kind == "variance":
        return np.sort(np.argsort(made.x0[WINDOW], kind="stable")[:count])
    return np.sort(np.random.default_rng(seed).permutation(len(made.points))[:count])


def state_of(world: GaussianSet, points: Points) -> dict[str, float]:
    """Return how points relate to the true modes."""
    nearest, distance = world.nearest(points)
    near = distance <= LIMIT
    shares = np.bincount(nearest[near], minlength=len(world.modes)) / max(1, near.sum())
    equal = 1 / len(world.modes)
    spread = np.sqrt((distance[near] ** 2).mean() / points.shape[1]) if near.any() else math.nan
    return {
        "off": float((~near).mean()),
        "modes": int((shares >= equal / 2).sum()),
        "spread": float(spread),
        "variation": float(abs(shares - equal).sum() / 2),
    }


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = training_options(__doc__)
    options.add_argument("--generations", type=int, default=5)
    options.add_argument("--filters", type=lambda text: text.split(","), default=list(FILTERS))
    options.add_argument("--surplus", type=float, default=0.0244, help="share drawn beyond what is kept")
    options.add_argument("--out", type=Path, default=Path("docs/results/mode-interpolation-recursive.csv"))
    return options


def main() -> None:
    """Train and filter generation after generation; add every one to the CSV as it ends."""
    options = parser()
    arguments, report = options.parse_args(), Reporter()
    if unknown := set(arguments.filters) - set(FILTERS):
        options.error(f"unknown filters {sorted(unknown)}; known: {', '.join(FILTERS)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    points = arguments.points or POINTS[arguments.set]
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        training = Training(arguments.steps, arguments.batch, arguments.lr, arguments.anneal, seed)
        for kind in arguments.filters:
            for row in generations(
                arguments.set, training, points, kind, arguments.surplus, arguments.generations, arguments.work, report
            ):
                write_rows(arguments.out, [row], KEY)
                print(
                    f"seed {seed}, {kind}, generation {row['generation']}: off {row['drawn_off']:.4f} drawn, "
                    f"{row['off']:.4f} kept; {row['modes']} modes, spread {row['spread']:.3f} sigmas, "
                    f"variation {row['variation']:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
