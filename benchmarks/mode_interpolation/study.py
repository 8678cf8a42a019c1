"""Does trajectory variance tell hallucinations? The Gaussian experiments of arXiv 2406.09358.

Settings: docs/methods.md#gaussian-experiments.

    python -m benchmarks.mode_interpolation.study 1d --seeds 5 --samples 50000
    python -m benchmarks.mode_interpolation.study 2d --steps 60000 --batch 2048 --anneal --samples 50000 --work DIR

Trains a model of a Gaussian mixture from scratch for every seed, draws samples by 1,000 DDPM steps, and calls those
hallucinations that are further than 6, 8 or 12 sigmas from every mode. The metric is the population variance of the
predicted x0 over the last k steps, for several k; the control is the same of the noisy points x_t. Every row of the CSV
says how it was made. A seed's model and rows are kept in ``--work``, so a killed run goes on. Claim of the paper: over
95% of hallucinations are above the 96th percentile of the samples in support.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.csv_rows import plain, write_rows
from benchmarks.mode_interpolation.gaussian_sets import SETS, GaussianSet
from benchmarks.mode_interpolation.hallucination import separation
from benchmarks.mode_interpolation.toy_diffusion import Samples, Training, sample, train
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.core.seeding import part_seed

WINDOWS = (5, 10, 15, 25, 50, 100)
SIGMAS = (6, 8, 12)
POINTS = {"1d": 20_000, "1d-gap": 50_000, "2d": 100_000, "2d-rotated": 100_000}
"""Training points a set, as in the paper."""
Row = dict[str, Any]


def experiment(name: str, training: Training, samples: int, points: int, work: Path, report: Reporter) -> list[Row]:
    """Return the rows of one seed: how each metric and window separates hallucinations of each limit."""
    world = SETS[name]
    said = {"set": name, **asdict(training), "points": points, "samples": samples}
    stem = "-".join(str(value) for value in said.values())
    done = work / f"{stem}.json"
    if done.is_file():
        return list(json.loads(done.read_text()))
    data = world.draw(points, part_seed(training.seed, "data"))
    state = [0]
    with report.watch(f"{name}, seed {training.seed}: training", training.steps, lambda: state[0]):
        net = train(
            data,
            training,
            work / f"{stem.removesuffix(f'-{samples}')}.safetensors",
            lambda step: state.__setitem__(0, step),
        )
    report.say(f"{name}, seed {training.seed}: drawing {samples} samples")
    made = sample(net, samples, world.modes.shape[1], WINDOWS, training.seed)
    rows = [{**said, **row} for row in separations(world, made)]
    done.write_text(json.dumps(rows))
    return rows


def separations(world: GaussianSet, made: Samples) -> Iterator[Row]:
    """Yield a row for each limit, metric and window."""
    _, distance = world.nearest(made.points)
    for sigmas in SIGMAS:
        for metric, found in (("x0", made.x0), ("x_t", made.x_t)):
            for window, score in found.items():
                yield {
                    "sigmas": sigmas,
                    "metric": metric,
                    "window": window,
                    **asdict(separation(score, distance > sigmas)),
                }


def training_options(description: str | None) -> argparse.ArgumentParser:
    """Return the options that all of these experiments have: the set, the seeds, and how models are trained."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("set", choices=list(SETS))
    options.add_argument("--seeds", type=int, default=1, help="how many")
    options.add_argument("--first", type=int, default=0, help="the first of them")
    options.add_argument("--steps", type=int, default=5000)
    options.add_argument("--batch", type=int, default=512)
    options.add_argument("--lr", type=float, default=1e-3)
    options.add_argument("--anneal", action="store_true", help="let the rate fall to 0 along a cosine")
    options.add_argument("--points", type=int, help="training points; default: the paper's")
    options.add_argument("--threads", type=int, help="of torch; which moves results a little")
    options.add_argument("--work", type=Path, default=Path("runs/mode-interpolation"), help="models, to go on from")
    return options


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = training_options(__doc__)
    options.add_argument("--samples", type=int, default=50_000)
    options.add_argument("--out", type=Path, default=Path("docs/results/mode-interpolation.csv"))
    return options


def main() -> None:
    """Train, sample, measure; print the rows for the paper's window and add all to the CSV."""
    arguments = parser().parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    report = Reporter()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        training = Training(arguments.steps, arguments.batch, arguments.lr, arguments.anneal, seed)
        points = arguments.points or POINTS[arguments.set]
        rows = experiment(arguments.set, training, arguments.samples, points, arguments.work, report)
        write_rows(arguments.out, rows, [name for name in rows[0] if name in KEY])
        for row in rows:
            if row["window"] == 10:
                print(
                    f"seed {seed}, {row['metric']}, k = 10, > {row['sigmas']} sigmas: {row['positives']} of "
                    f"{row['samples']}; AUROC {plain(row['auroc'])}, removed {plain(row['removed'])}",
                    flush=True,
                )


KEY = ("set", "steps", "batch", "lr", "anneal", "seed", "points", "samples", "sigmas", "metric", "window")
"""The columns that name a row."""


if __name__ == "__main__":
    main()
