"""A second run of a finished recipe: nothing is generated, in under 15 seconds.

python -m benchmarks.speed.rerun pocket-waterbirds
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Annotated

import typer

from fairshards.pipeline.run.progress import Reporter

GOAL = 15.0


def second_run(command: list[str]) -> tuple[float, int]:
    """Run the command again; return its seconds and how many samples it generated, -1 when it doesn't say."""
    begin = time.monotonic()
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run([*command, "-q"], check=True, capture_output=True, text=True, env=wide)
    return time.monotonic() - begin, generated_in(done.stdout)


def generated_in(output: str) -> int:
    """Return how many samples a run says that it generated, -1 when it doesn't say."""
    found = re.search(r"(\d+)\s+generated\s+in\s+this\s+run", output)
    return int(found.group(1)) if found else -1


def main(
    recipe: Annotated[str, typer.Argument(help="The recipe.")] = "pocket-waterbirds",
    times: Annotated[int, typer.Option(help="How often to repeat the second run.")] = 3,
) -> None:
    """Run the recipe to its end, then again, and print what the repeats took and generated."""
    report, command = Reporter(), [sys.executable, "-m", "fairshards", "run", recipe]
    report.say(f"{recipe}: to its end")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, generated = [], []
    for number in range(times):
        report.say(f"second run, {number + 1} of {times}")
        took, made = second_run(command)
        seconds.append(took)
        generated.append(made)
    median = sorted(seconds)[len(seconds) // 2]
    print(
        f"second run of {recipe}: {median:.1f} s (goal: under {GOAL:.0f} s; all: "
        f"{', '.join(f'{s:.1f}' for s in seconds)}), generated {generated}"
    )
    sys.exit(median >= GOAL or any(generated))


if __name__ == "__main__":
    typer.run(main)
