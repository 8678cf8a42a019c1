"""Bt-GAN's speed on SUPPORT2 beside CTGAN's (PyPI ``ctgan``), same rows, same threads, one run.

    python -m benchmarks.bt_gan.speed [--threads 1]

Ours is a tenth of the whole schedule, with all that belongs to it: encoding, classifier, both stages, rejection. Of
CTGAN's time that of one epoch is taken off, so that its preparation isn't counted; both have batches of 500. Sampling
is ``sample`` without and with rejection. Exits 1 when a goal is missed: 3 times CTGAN's rows, 50,000 sampled a second.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import replace
from statistics import median
from typing import Annotated

import torch
import typer

from benchmarks.bt_gan.peers import plain
from benchmarks.bt_gan.study import ARMS
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.settings import BtGanSettings

GOAL_RATIO, GOAL_SAMPLED = 3.0, 50_000
SAMPLED = 50_000


def ctgan_seconds(epochs: int) -> float:
    """Return how long CTGAN's ``fit`` takes."""
    import ctgan

    checked = ARMS["natural"].cohort(0)
    table, categories = plain(checked.schema, checked.train)
    model = ctgan.CTGAN(epochs=epochs)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table, categories)
    return time.perf_counter() - began


def main(
    threads: Annotated[int, typer.Option(min=1)] = 1,
    epochs: Annotated[int, typer.Option(min=2, help="Of CTGAN, beyond the first.")] = 20,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Print the figures; the two kinds of training take turns."""
    torch.set_num_threads(threads)
    checked = ARMS["natural"].cohort(0)
    settings = BtGanSettings(ARMS["natural"].attribute)
    ours, theirs, model = [], [], None
    share = 0.1  # of the schedule, so that repeats fit into minutes
    parts = ("steps", "stage2_steps", "window", "classifier_steps")
    short = replace(settings, **{name: round(share * getattr(settings, name)) for name in parts})
    for _ in range(repeats):
        began = time.perf_counter()
        model = fit(checked.schema, checked.train, short).model
        took = time.perf_counter() - began
        ours.append((short.steps + short.stage2_steps) * short.batch / took)
        theirs.append(epochs * len(checked.train) / (ctgan_seconds(epochs + 1) - ctgan_seconds(1)))
    assert model is not None
    sampled = {}
    for name, rejection in (("with rejection", model.rejection), ("without", None)):
        model.rejection = rejection
        times = []
        for seed in range(repeats):
            began = time.perf_counter()
            model.sample(SAMPLED, seed)
            times.append(time.perf_counter() - began)
        sampled[name] = SAMPLED / median(times)
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    print(
        f"training rows a second, {threads} threads: Bt-GAN {median(ours):,.0f}, CTGAN {median(theirs):,.0f}: "
        f"{ratio:.2f} times (goal {GOAL_RATIO:g})"
    )
    print(
        f"sampled rows a second: {sampled['without']:,.0f} (goal {GOAL_SAMPLED:,}); with rejection "
        f"{sampled['with rejection']:,.0f}"
    )
    sys.exit(0 if ratio >= GOAL_RATIO and sampled["without"] >= GOAL_SAMPLED else 1)


if __name__ == "__main__":
    typer.run(main)
