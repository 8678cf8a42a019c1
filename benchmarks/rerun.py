"""A second run of a finished recipe: nothing is generated, in under 15 seconds.

python -m benchmarks.rerun pocket-waterbirds
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Annotated

import typer

GOAL = 15.0


def main(
    recipe: Annotated[str, typer.Argument(help="The recipe.")] = "pocket-waterbirds",
    times: Annotated[int, typer.Option(help="How often to repeat the second run.")] = 3,
) -> None:
    """Run the recipe to its end, then again, and print what the repeats took and generated."""
    command = [sys.executable, "-m", "fairshards", "run", recipe, "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, generated = [], []
    for _ in range(times):
        begin = time.monotonic()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds.append(time.monotonic() - begin)
        found = re.search(r"(\d+) generated in this run", done.stdout)
        generated.append(int(found.group(1)) if found else -1)
    median = sorted(seconds)[len(seconds) // 2]
    print(
        f"second run of {recipe}: {median:.1f} s (goal: under {GOAL:.0f} s; all: "
        f"{', '.join(f'{s:.1f}' for s in seconds)}), generated {generated}"
    )
    sys.exit(median >= GOAL or any(generated))


if __name__ == "__main__":
    typer.run(main)
