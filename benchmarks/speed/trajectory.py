"""Extra time of following the trajectory variance: sampling with the hook against sampling without it.

    python -m benchmarks.speed.trajectory [--model FOLDER] [--window 10] [--images 64] [--steps 20] [--rounds 5]

Both sides take turns in one process. Goal: less than 3% extra wall time; exits 1 when it isn't met.
"""

from __future__ import annotations

import sys

from benchmarks.speed.generation import interleave, load, median_ratio, ours, parser, requests
from fairshards.pipeline.run.progress import Reporter

GOAL = 0.03


def main() -> None:
    """Measure and print; exit 1 when the goal isn't met."""
    options = parser(__doc__)
    options.add_argument("--window", type=int, default=10)
    arguments = options.parse_args()
    model, size = load(arguments)
    plain = requests(arguments.images, arguments.steps, size)
    followed = requests(arguments.images, arguments.steps, size, window=arguments.window)
    sides = {
        "without": lambda: ours(model, plain, arguments.batch),
        "with": lambda: ours(model, followed, arguments.batch),
    }
    timings = interleave(sides, arguments.rounds, Reporter())
    wall = median_ratio(timings["with"].wall, timings["without"].wall) - 1
    cpu = median_ratio(timings["with"].cpu, timings["without"].cpu) - 1
    print(
        f"{arguments.images} pictures of {size}x{size}, {arguments.steps} steps, batch {arguments.batch}, window "
        f"{arguments.window}, {type(model.pipeline.scheduler).__name__}, {arguments.rounds} rounds"
    )
    print(f"extra time (median of rounds): {wall:+.2%} in wall time, {cpu:+.2%} in CPU time; goal < {GOAL:.0%}")
    sys.exit(wall >= GOAL)


if __name__ == "__main__":
    main()
