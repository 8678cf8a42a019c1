"""Items a second of each model stage through Beam against a bare loop of the same library calls.

    python -m benchmarks.speed.stages [--stages caption,edit] [--items N] [--repeats 5] [--wide] [--set KEY=VALUE]

Each stage works on pictures of the pocket world with the pocket checkpoints, as the recipe pocket-aspire has them. One
side is the stage as a Beam job on the in-process runner: its tasks read their manifests and shards, and commit theirs.
The other (``benchmarks/speed/bare_loops.py``) is what a script would do with the libraries over picture files: load,
preprocess, model, decode, PNG encoding. Same models, same batches; what both make is compared. Models are loaded
before the clock starts; answers of the language model are cached for one job only. The sides take turns. The table
gives medians in wall time and in CPU time (which other work on the machine hardly moves). Starting a job costs about a
third of a second, whatever it does; so each stage gets as many items as keep the bare loop busy for ten seconds or so,
and ``--items 128`` shows what the start costs a small job. ``--wide`` gives the models of caption, extract and score
MLPs that cost what those of models of usual size do (``benchmarks/speed/widened.py``); they say what they said before.
Goal for every stage: ratio >= 0.95 in wall time, and the same outputs; exits 1 when it isn't met.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed import widened
from benchmarks.speed.generation import GOAL, Side, Timing, interleave, median_ratio
from benchmarks.speed.stage_inputs import Inputs
from benchmarks.speed.stage_sides import STAGES
from fairshards.pipeline.run.progress import Reporter

ITEMS = {"caption": 2048, "extract": 4096, "generate": 64, "score": 4096, "edit": 64, "edit_test": 512}
WIDE_ITEMS = {"caption": 256, "extract": 512, "score": 512}
TOLERANCE = 1e-4
"""By which a score of one side may differ from the other's: they sum in another order."""


@dataclass(frozen=True)
class Measured:
    """One stage's result: how many items, whether both sides made the same of them, and each side's timings."""

    stage: str
    items: int
    equal: bool
    beam: Timing
    bare: Timing

    @property
    def ratio(self) -> float:
        """Beam's speed as a share of the bare loop's, in wall time."""
        return median_ratio(self.bare.wall, self.beam.wall)

    @property
    def cpu_ratio(self) -> float:
        """The same in CPU time."""
        return median_ratio(self.bare.cpu, self.beam.cpu)

    @property
    def missed(self) -> str | None:
        """How the stage misses the goal; None where it meets it."""
        if not self.equal:
            return f"{self.stage}: the sides' outputs differ"
        return f"{self.stage}: the ratio {self.ratio:.3f} misses the goal {GOAL}" if self.ratio < GOAL else None


def measure(
    stage: str, items: int, repeats: int, overrides: Sequence[str], report: Reporter, wide: bool = False
) -> Measured:
    """Prepare a stage's inputs in a temporary folder, compare both sides, and time them in turn."""
    with tempfile.TemporaryDirectory() as root:
        report.say(f"{stage}: preparing {items} items")
        models = widened.overrides(Path(root) / "models") if wide else []
        beam, bare = STAGES[stage](Inputs(Path(root), items, [*models, *overrides]))
        made = beam()
        equal = same(made, bare())
        sides: dict[str, Side] = {"beam": beam, "bare": bare}
        timings = interleave(sides, repeats, report)
    return Measured(stage, len(made), equal, timings["beam"], timings["bare"])


def same(first: Any, second: Any) -> bool:
    """Tell whether two sides made the same; numbers may differ by ``TOLERANCE``."""
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, abs_tol=TOLERANCE)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def table(measured: Sequence[Measured]) -> list[str]:
    """Return the lines of the table, one a stage."""
    lines = [
        "| stage | items | bare, items/s | Beam, items/s | ratio of wall time | of CPU time | same outputs |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for one in measured:
        rates = [one.items / statistics.median(side.wall) for side in (one.bare, one.beam)]
        lines.append(
            f"| {one.stage} | {one.items} | {rates[0]:.1f} | {rates[1]:.1f} | {one.ratio:.3f} | "
            f"{one.cpu_ratio:.3f} | {'yes' if one.equal else 'no'} |"
        )
    return lines


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stages", type=lambda text: text.split(","), help="default: all; those that --wide widens")
    options.add_argument("--items", type=int, help="a multiple of the batches, else they are padded; default: by stage")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--wide", action="store_true", help="models that cost what those of usual size do")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe pocket-aspire")
    options.add_argument("--out", type=Path, help="a JSON file for all timings")
    return options


def main() -> None:
    """Measure and print; exit 1 when the goal isn't met."""
    options, report = parser(), Reporter()
    arguments = options.parse_args()
    amounts = WIDE_ITEMS if arguments.wide else ITEMS
    stages = arguments.stages or list(amounts)
    if unknown := set(stages) - set(amounts):
        options.error(f"unknown stages {sorted(unknown)}; known here: {', '.join(amounts)}")
    measured = [
        measure(stage, arguments.items or amounts[stage], arguments.repeats, arguments.set, report, arguments.wide)
        for stage in stages
    ]
    print("\n".join(table(measured)))
    print(f"medians over {arguments.repeats} repeats; goal for the ratio: {GOAL} in wall time")
    if arguments.out:
        found = [{**asdict(one), "ratio": one.ratio, "cpu_ratio": one.cpu_ratio} for one in measured]
        arguments.out.write_text(json.dumps({"goal": GOAL, "stages": found}, indent=1) + "\n")
    sys.exit("\n".join(filter(None, (one.missed for one in measured))) or None)


if __name__ == "__main__":
    main()
