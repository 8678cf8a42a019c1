"""Does discovery find what was planted, and nothing where nothing was? Three seeds with cues, three without.

With cues: 75% of a class on its background, and an object beside 85% of its birds (reed, buoy); rocks and branches are
as frequent in both classes and innocent. The reference classifier is stopped after four epochs at a low rate:
pocket-convnet soon knows the birds by their shapes, and a cue that a classifier doesn't lean on isn't found by asking
it. Without cues: r = 0.5 and all objects alike.

Example: ``python -m benchmarks.discovery --seeds 0,1,2``
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.driver import run
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from pipeline.ranking import RankedPhrase
from pipeline.recipe import load_recipe

PLANTED = {0: ("land", "reed"), 1: ("water", "buoy")}
COMMON = ("spurious_free=null", "training.methods=[erm]", "discovery.splits=[train]", "filters={}")
WITH = (
    "source.bias_ratio=0.75",
    "source.objects={landbird: {reed: 0.85, rock: 0.05, branch: 0.05}, "
    "waterbird: {buoy: 0.85, rock: 0.05, branch: 0.05}}",
    "discovery.reference={main: {lr: 0.0003, epochs: 4}}",
)  # fmt: skip
WITHOUT = (
    "source.bias_ratio=0.5",
    "source.objects={landbird: {reed: 0.15, rock: 0.15, branch: 0.15, buoy: 0.15}, "
    "waterbird: {reed: 0.15, rock: 0.15, branch: 0.15, buoy: 0.15}}",
)
MOST_INNOCENT = 0.5


def discovered(root: Path, seed: int, changes: tuple[str, ...]) -> tuple[RankedPhrase, ...]:
    """Return the ranked phrases of one discovery in the pocket world of this seed."""
    recipe = load_recipe("pocket-aspire", [f"seed={seed}", *COMMON, *changes])
    found = run(recipe, Launcher(), Reporter(), "discover", root).discovered
    assert found is not None
    return found.ranked


def judged(ranked: tuple[RankedPhrase, ...]) -> dict[str, Any]:
    """Return, per class, each planted phrase's rank and score, and the highest score of an innocent one."""
    said: dict[str, Any] = {}
    for y, planted in PLANTED.items():
        own = [one for one in ranked if one.y == y]
        cues = {name: next((one for one in own if name in one.phrase.split()), None) for name in planted}
        innocent = max((one.score for one in own if one not in cues.values()), default=0.0)
        said[str(y)] = {
            "planted": {name: {"rank": one.rank, "score": one.score, "hits": one.hits, "edits": one.successes,
                               "reported": one.spurious} if one else None for name, one in cues.items()},
            "innocent": innocent,
            "met": all(one is not None and one.rank <= 2 and innocent <= MOST_INNOCENT * one.score and one.score > 0
                       for one in cues.values()),
        }  # fmt: skip
    return said


def main(
    seeds: Annotated[str, typer.Option(help="World and training seeds.")] = "0,1,2",
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/benchmark-discovery"),
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Run discovery with and without planted cues; exit 1 where a goal is missed."""
    found: dict[str, Any] = {"with": {}, "without": {}}
    for seed in map(int, seeds.split(",")):
        found["with"][seed] = judged(discovered(work / f"with-{seed}", seed, WITH))
        ranked = discovered(work / f"without-{seed}", seed, WITHOUT)
        found["without"][seed] = [f"{one.y}: {one.phrase}" for one in ranked if one.spurious]
        if out:
            out.write_text(json.dumps(found, indent=1) + "\n")
    Console().print_json(json.dumps(found))
    met = all(one["met"] for classes in found["with"].values() for one in classes.values())
    if not met or any(found["without"].values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
