"""Peak memory of generate + score + curate at 10 times the samples, against the small run. Goal: at most 1.1.

python -m benchmarks.memory
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

GOAL = 1.1


def peak_mib(samples_per_group: int, folder: Path, steps: int) -> float:
    """Return the peak resident memory, in MiB, of a run that makes ``samples_per_group`` for each of four groups.

    The run is a process of its own below a small one that only waits, so that ``ru_maxrss`` is the run's.
    """
    run = [
        "run",
        "pocket-waterbirds",
        "--until",
        "curate",
        "-q",
        "-o",
        str(folder / f"run-{samples_per_group}"),
        "--set",
        f"quota.per_group={samples_per_group}",
        "--set",
        "quota.usb_extra=false",
        "--set",
        "quota.surplus=0",
        "--set",
        "filters={}",
        "--set",
        f"generator.steps={steps}",
        "--set",
        "generator.window=2",
    ]
    code = (
        f"import resource, subprocess, sys; subprocess.run([sys.executable, '-m', 'fairshards', *{run!r}], check=True, "
        "stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


def main(
    small: Annotated[int, typer.Option(help="Samples a group in the small run.")] = 32,
    steps: Annotated[int, typer.Option(help="Sampling steps; they don't change the memory.")] = 2,
) -> None:
    """Print both peaks and their ratio; exit 1 when the goal isn't met."""
    with tempfile.TemporaryDirectory() as name:
        low, high = (peak_mib(count, Path(name), steps) for count in (small, 10 * small))
    ratio = high / low
    print("| run | samples | peak MiB |\n|---|---:|---:|")
    print(f"| small | {4 * small} | {low:.0f} |\n| 10 times | {40 * small} | {high:.0f} |")
    print(f"\nratio {ratio:.3f} (goal: at most {GOAL})")
    sys.exit(ratio > GOAL)


if __name__ == "__main__":
    typer.run(main)
