"""Does discovery find what was planted, and nothing where nothing was? Four pocket worlds, three seeds each.

* background: 97% of a class on its background; reeds, buoys, branches and rocks are as frequent in both classes.
* reed, buoy: a reed beside 97% of landbirds (a buoy beside 97% of waterbirds) and 3% of the others, backgrounds even.
* nothing: backgrounds even, objects as frequent in both classes.

A classifier leans on the easiest cue that serves it, and a cue that it doesn't lean on isn't found by asking it. So
each world plants one kind: with a background of r = 0.75 beside the object, or with an object in both classes, the
reference leans on one of them and hardly on the other (``--together`` measures that world; it meets no goal).

Example: ``python -m benchmarks.discovery --seeds 0,1,2``
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from fairshards.pipeline.discovery.ranking import RankedPhrase
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter

CLASSES = ("landbird", "waterbird")
ALIKE = {name: dict.fromkeys(("reed", "branch", "buoy", "rock"), 0.15) for name in CLASSES}
COMMON = ("spurious_free=null", "training.methods=[erm]", "discovery.splits=[train]", "filters={}")
MOST_INNOCENT = 0.5
"""Of a planted phrase's score: what an innocent phrase of its class may have at most."""


@dataclass(frozen=True)
class World:
    """The bias ratio of backgrounds, the rates of objects, and what was planted in each class (by class number)."""

    bias_ratio: float
    objects: Mapping[str, Mapping[str, float]]
    planted: Mapping[int, tuple[str, ...]]

    @property
    def changes(self) -> tuple[str, ...]:
        """The recipe's overrides."""
        objects = yaml.safe_dump({name: dict(rates) for name, rates in self.objects.items()}, default_flow_style=True)
        return (f"source.bias_ratio={self.bias_ratio}", f"source.objects={objects.strip()}")


def beside(cue: str, of: str) -> dict[str, dict[str, float]]:
    """Return rates of objects that put ``cue`` beside 97% of one class and 3% of the other."""
    return {name: {cue: 0.97 if name == of else 0.03, "rock": 0.03} for name in CLASSES}


WORLDS = {
    "background": World(0.97, ALIKE, {0: ("land",), 1: ("water",)}),
    "reed": World(0.5, beside("reed", "landbird"), {0: ("reed",)}),
    "buoy": World(0.5, beside("buoy", "waterbird"), {1: ("buoy",)}),
    "nothing": World(0.5, ALIKE, {}),
}
TOGETHER = World(
    0.75, {"landbird": {"reed": 0.97}, "waterbird": {"buoy": 0.97}}, {0: ("land", "reed"), 1: ("water", "buoy")}
)


def discovered(root: Path, seed: int, world: World) -> tuple[RankedPhrase, ...]:
    """Return the ranked phrases of one discovery in the pocket world of this seed."""
    recipe = load_recipe("pocket-aspire", [f"seed={seed}", *COMMON, *world.changes])
    found = run(recipe, Launcher(), Reporter(), "discover", root).discovered
    assert found is not None
    return found.ranked


def judged(ranked: tuple[RankedPhrase, ...], planted: Mapping[int, tuple[str, ...]]) -> dict[str, Any]:
    """Return each planted phrase's figures, the highest score of an innocent one beside it, and whether goals are met.

    Goals: a planted phrase is in its class's top 2, no innocent phrase of that class has more than half its score, and
    nothing else is reported in any class.
    """
    cues, strangers = [], []
    for y, name in enumerate(CLASSES):
        own = [one for one in ranked if one.y == y]
        known = {cue: next((one for one in own if cue in one.phrase.split()), None) for cue in planted.get(y, ())}
        innocent = max((one.score for one in own if one not in known.values()), default=0.0)
        strangers += [f"{name}: {one.phrase}" for one in own if one.spurious and one not in known.values()]
        for cue, one in known.items():
            met = one is not None and one.rank <= 2 and one.score > 0 and innocent <= MOST_INNOCENT * one.score
            figures = (
                {
                    "rank": one.rank,
                    "score": round(one.score, 4),
                    "hits": one.hits,
                    "edits": one.successes,
                    "reported": one.spurious,
                }
                if one
                else {}
            )
            cues.append({"class": name, "cue": cue, **figures, "innocent": round(innocent, 4), "met": met})
    return {"cues": cues, "others_reported": strangers, "met": not strangers and all(cue["met"] for cue in cues)}


def table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the figures, a line a planted cue."""
    shown = Table(title="discovery against what was planted", title_justify="left")
    for column in ("world", "seed", "cue", "rank", "hits of edits", "innocent at most", "reported", "met"):
        shown.add_column(column)
    for world, seeds in found.items():
        for seed, said in seeds.items():
            for cue in said["cues"] or [{}]:
                hits = f"{cue['hits']} of {cue['edits']}" if "hits" in cue else "-"
                also = ", ".join(said["others_reported"])
                shown.add_row(
                    world,
                    seed,
                    f"{cue['class']}: {cue['cue']}" if cue else "none",
                    str(cue.get("rank", "-")),
                    hits,
                    f"{cue['innocent']:.2f}" if cue else "-",
                    also or ("yes" if cue.get("reported") else "nothing"),
                    "yes" if (cue.get("met", True) and not also) else "no",
                )
    return shown


def main(
    seeds: Annotated[str, typer.Option(help="World and training seeds.")] = "0,1,2",
    worlds: Annotated[str, typer.Option(help="Which worlds.")] = ",".join(WORLDS),
    together: Annotated[bool, typer.Option(help="Background and objects planted at once, instead.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/benchmark-discovery"),
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Run discovery in every world; exit 1 where a goal is missed."""
    chosen = {"together": TOGETHER} if together else {name: WORLDS[name] for name in worlds.split(",")}
    found: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for seed in seeds.split(","):
        for name, world in chosen.items():
            found[name][seed] = judged(discovered(work / f"{name}-{seed}", int(seed), world), world.planted)
            if out:
                out.write_text(json.dumps(found, indent=1) + "\n")
    Console().print(table(found))
    if not all(said["met"] for seeds_ in found.values() for said in seeds_.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
