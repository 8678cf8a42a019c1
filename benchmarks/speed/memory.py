"""Memory of generate + score + curate: at 10 times the samples against the small run, and as a run goes on.

    python -m benchmarks.speed.memory                 512 and 5,120 samples, about 3 minutes on two quiet cores

Goals: at most 1.1 times the small run's peak, and at most 3 KiB held of every further sample. A peak stands where
the models are loaded and differs by 5% between equal runs, so it hides what is held: a picture's 12 KiB (64 x 64 x 3)
are 4% at 5,120. That is measured inside the large run, by how its private memory grows between batches (the level
that a quarter of the readings stay below) from 20-40% to 75-95% of its shards. Linux only; exits 1 when a goal is
missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fairshards.pipeline.run.progress import Reporter

GOAL, GOAL_KIB = 1.1, 3.0
GROUPS = 4
EARLY, LATE = (0.2, 0.4), (0.75, 0.95)
"""The two stretches of a run that are compared, as shares of its shards."""


@dataclass(frozen=True)
class Reading:
    """A run's memory in MiB at one moment: its private part, its resident peak so far; and the shards it has made."""

    private: float
    peak: float
    shards: int


def run_arguments(per_group: int, run: Path, steps: int) -> list[str]:
    """Return the arguments of a run that makes and keeps ``per_group`` samples for each of the four groups."""
    sets = [
        f"quota.per_group={per_group}",
        "quota.usb_extra=false",
        "quota.surplus=0",
        "filters={}",
        f"generator.steps={steps}",
        "generator.window=2",
    ]
    command = ["run", "pocket-waterbirds", "--until", "curate", "-o", str(run)]
    return [*command, *(word for pair in sets for word in ("--set", pair))]


def watch(arguments: list[str], folder: Path) -> list[Reading]:
    """Run ``fairshards``, whose run folder is ``folder``, and read its memory ten times a second."""
    readings = []
    with subprocess.Popen([sys.executable, "-m", "fairshards", *arguments], stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            memory = memory_of(run.pid)
            if "RssAnon" in memory:  # a process that is ending has none
                readings.append(Reading(memory["RssAnon"], memory["VmHWM"], len(list(folder.glob("raw/*.parquet")))))
            time.sleep(0.1)
    if run.returncode:
        sys.exit(f"fairshards {' '.join(arguments)} ended with {run.returncode}")
    return readings


def memory_of(pid: int) -> dict[str, float]:
    """Return what the kernel says of a process's memory, in MiB by the kernel's names."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith(" kB")}


def held_kib(readings: Sequence[Reading], samples: int) -> float:
    """Return by how many KiB a sample the private memory between batches grows in a run of ``samples``."""
    early, late = (between_batches(readings, *stretch) for stretch in (EARLY, LATE))
    return 1024 * (late - early) / (samples * (LATE[0] - EARLY[0]))


def between_batches(readings: Sequence[Reading], start: float, stop: float) -> float:
    """Return the MiB that a quarter of the readings stay below, from one share of the run's shards to another."""
    made = readings[-1].shards
    return statistics.quantiles([r.private for r in readings if start < r.shards / made <= stop])[0]


def verdict(samples: int, small: Sequence[Reading], large: Sequence[Reading]) -> tuple[str, bool]:
    """Return the table of both runs and whether the goals are met; ``samples`` is the small run's number."""
    low, high = small[-1].peak, large[-1].peak
    ratio, kib = high / low, held_kib(large, 10 * samples)
    text = (
        f"| run | samples | peak MiB |\n|---|---:|---:|\n| small | {samples} | {low:.0f} |\n"
        f"| 10 times | {10 * samples} | {high:.0f} |\n\nratio {ratio:.3f} (goal: at most {GOAL}); "
        f"{kib:.2f} KiB held of every further sample (goal: at most {GOAL_KIB:.0f})"
    )
    return text, ratio <= GOAL and kib <= GOAL_KIB


def main(
    small: Annotated[int, typer.Option(help="Samples a group in the small run.")] = 128,
    steps: Annotated[int, typer.Option(help="Sampling steps; they don't change the memory.")] = 2,
) -> None:
    """Print both peaks and what the large run holds of a sample; exit 1 when a goal isn't met."""
    runs, report = [], Reporter()
    with tempfile.TemporaryDirectory() as name:
        for count in (small, 10 * small):
            report.say(f"a run of {GROUPS * count} samples")
            run = Path(name) / f"run-{count}"
            runs.append(watch(run_arguments(count, run, steps), run))
    text, met = verdict(GROUPS * small, *runs)
    print(text)
    sys.exit(not met)


if __name__ == "__main__":
    typer.run(main)
