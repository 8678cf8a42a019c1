"""Where pruning in flight pays: previews of a run's samples at several steps, against what its filters decided.

Samples that were generated to the end are made again, and looked at half-way. For every step the limit is sought below
which at most a given share of the samples that passed the filters lie; what else lies below it needn't be finished. A
step then costs

    cost = (p + survival * (N - p) + judging) / N

of a whole run a sample, with the judging in steps, and yields (1 - lost) / cost samples for the same time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fairshards.catalogs.database.current import open_current
from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.filters.pictures.preview import LIMITS, PreviewLimits
from fairshards.generators.diffusion.phases import Preview, glimpses
from fairshards.generators.diffusion.requests import batches
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.evaluation.intervals import wilson
from fairshards.transforms.pictures.generate import LazyGenerator, image_request
from fairshards.transforms.pictures.score import load_scorer, request_of
from fairshards.transforms.stage import use_threads

FILE = f"{places.CALIBRATION}pruning.json"
Row = Mapping[str, Any]


SPLITS = tuple((a / 4, b / 4, (4 - a - b) / 4) for a in range(5) for b in range(5 - a))
"""How what may be lost can be split among the three limits."""


@dataclass(frozen=True)
class Glimpsed:
    """One sample: did it pass the filters, and its preview's scores by step."""

    accepted: bool
    scores: Mapping[int, Mapping[str, float | None]]


@dataclass(frozen=True)
class Choice:
    """Limits at one step, and what they would have done to the samples looked at.

    ``lost`` is the share of accepted samples that they prune, ``lost_high`` the upper end of its 95% interval,
    ``survival`` the share of all that is finished. ``gain`` is kept samples for the same time, 1 without pruning.
    """

    step: int
    limits: Mapping[str, float]
    lost: float
    lost_high: float
    survival: float
    judging: float
    cost: float
    gain: float

    def pays_from(self, steps: int) -> float:
        """Return the share that must be pruned for judging to pay: its cost over the steps that a pruned one saves."""
        return min(0.99, math.ceil(100 * self.judging / (steps - self.step)) / 100)


def calibrate_pruning(
    folder: RunFolder, recipe: Recipe, samples: int, steps: Sequence[int], most_lost: float, report: Reporter
) -> list[Choice]:
    """Return the best limits at each step, and write them with their arithmetic into the run folder.

    Raises:
        RecipeError: the run has no curation or was pruned itself, or a step lies outside the sampling run.
    """
    settings = recipe.generator
    if settings.prune:
        raise RecipeError(
            "the run was pruned in flight, so what it lost isn't known: take generator.prune out of the "
            "recipe, run it into another folder, and calibrate on that"
        )
    last = settings.steps - settings.window
    steps = sorted(steps or {max(1, round(last * share / 10)) for share in range(2, 9)})
    if not steps or steps[0] < 1 or steps[-1] > last:
        raise RecipeError(f"steps are {list(steps)}; previews can be judged at steps 1 to {last}")
    drawn = _drawn(folder, samples)
    if not drawn:
        raise RecipeError(f"{folder.root} has no curation of generated samples; make one with `fairshards run`")
    seen, judging = _glimpse(recipe, drawn, steps, report)
    choices = [best_limits(seen, step, settings.steps, judging, most_lost) for step in steps]
    said = {
        "samples": len(seen),
        "accepted": sum(one.accepted for one in seen),
        "most_lost": most_lost,
        "steps": settings.steps,
        "choices": [asdict(one) for one in choices],
    }
    manifest.write_local(folder.root / FILE, canonical_json(said).encode())
    return choices


def best_limits(seen: Sequence[Glimpsed], step: int, steps: int, judging: float, most_lost: float) -> Choice:
    """Return the limits at a step that prune most while at most ``most_lost`` of the accepted samples are lost."""
    known = [(one.accepted, one.scores[step]) for one in seen if step in one.scores]
    found = [
        _choice(known, len(seen), step, steps, judging, _limits(known, [part * most_lost for part in split]))
        for split in SPLITS
    ]
    return max((one for one in found if one.lost <= most_lost), key=lambda one: one.gain)


def _limits(seen: Sequence[tuple[bool, Row]], shares: Sequence[float]) -> dict[str, float]:
    """Return the limits of which each loses at most its share of the accepted samples."""
    found = {}
    for (name, score), share in zip(LIMITS.items(), shares, strict=True):
        values = sorted(scores[score] for accepted, scores in seen if accepted and scores.get(score) is not None)
        if share and values:
            found[name] = _between(
                values[math.floor(share * len(values))],
                [value for _, scores in seen if (value := scores.get(score)) is not None],
            )
    return found


def _between(least: float, values: Sequence[float]) -> float:
    """Return a limit half-way between the least value that goes on and the next one below it, to 4 decimals.

    Where scores lie at 0 and at 1, a limit right at the lowest good one would lose the next good sample.
    """
    below = max((value for value in values if value < least), default=least)
    return math.floor((least + below) / 2 * 1e4) / 1e4


def _choice(
    seen: Sequence[tuple[bool, Row]], total: int, step: int, steps: int, judging: float, limits: Mapping[str, float]
) -> Choice:
    bound = PreviewLimits(**limits) if limits else None
    gone = [accepted for accepted, scores in seen if bound and bound.verdict(scores)]
    accepted = sum(accepted for accepted, _ in seen)
    survival, lost = 1 - len(gone) / total, sum(gone) / accepted if accepted else 0.0
    cost = (step + survival * (steps - step) + judging) / steps
    high = wilson(sum(gone), accepted)[1] if accepted else 1.0
    return Choice(step, limits, lost, high, survival, judging, cost, (1 - lost) / cost)


def _drawn(folder: RunFolder, samples: int) -> list[tuple[Row, bool]]:
    """Return plan rows of samples, drawn by hash, and whether the newest curation's filters accepted each."""
    newest = next((name.split("/")[1] for name in folder.current() if name.endswith("/decisions.parquet")), None)
    with open_current(folder.root) as catalog:
        found = dict(
            catalog.con.execute(
                "SELECT sample_id, accepted FROM verdicts JOIN samples USING (sample_id) "
                "WHERE curation_id = $1 AND kind = 'text-to-image'",
                [newest],
            ).fetchall()
        )
    rows = [
        row
        for name in folder.current()
        if name.startswith(places.PLAN)
        for row in manifest.read_rows(folder.root / name)[1]
        if row["sample_id"] in found
    ]
    ordered = sorted(rows, key=lambda row: digest(["glimpse", row["sample_id"]]))[:samples]
    return [(row, found[row["sample_id"]]) for row in ordered]


def _glimpse(
    recipe: Recipe, drawn: Sequence[tuple[Row, bool]], steps: Sequence[int], report: Reporter
) -> tuple[list[Glimpsed], float]:
    """Make the samples again and judge their previews; return them, and what judging costs, in steps."""
    spec, scores = generator_spec(recipe), scorer_spec(recipe)
    use_threads(spec.threads)
    model, scorer = LazyGenerator(spec).model, load_scorer(scores)
    rows = {row["sample_id"]: (row, accepted) for row, accepted in drawn}
    seen: list[Glimpsed] = []
    making = judging = 0.0
    with report.watch("looking at samples half-way", len(drawn), lambda: len(seen)):
        for batch in batches([image_request(row, 0) for row, _ in drawn], spec.batch_size):
            begin = time.perf_counter()
            with glimpses(model, steps) as previews:
                list(model.generate(batch.requests, batch.size))
                between = time.perf_counter()  # previews are decoded when the `with` ends: that is judging
            own = [rows[request.sample_id] for request in batch.requests]
            judged = {step: _scores(scorer, previews[step][: len(own)], own) for step in previews}
            making, judging = making + between - begin, judging + time.perf_counter() - between
            seen += [_seen(number, accepted, judged) for number, (_, accepted) in enumerate(own)]
    return seen, judging / len(steps) / (making / recipe.generator.steps)


def _scores(scorer: Any, previews: Sequence[Preview | None], own: Sequence[tuple[Row, bool]]) -> list[Any]:
    """Return each preview's scores by name; None where there is no preview."""
    shown = [number for number, preview in enumerate(previews) if preview is not None]
    found = scorer.score([previews[number] for number in shown], [request_of(own[number][0]) for number in shown])
    by_row = {number: {one.score: one.value for one in scores} for number, scores in zip(shown, found, strict=True)}
    return [by_row.get(number) for number in range(len(previews))]


def _seen(number: int, accepted: bool, judged: Mapping[int, Sequence[Any]]) -> Glimpsed:
    return Glimpsed(accepted, {step: scores[number] for step, scores in judged.items() if scores[number] is not None})


def lines(choices: Sequence[Choice], steps: int) -> Iterator[str]:
    """Yield the table, the arithmetic of the best choice, and the recipe's lines for it."""
    head = [f"{name:>{len(name)}}" for name in LIMITS]
    yield f"step   {'   '.join(head)}   lost (95% up to)   finished   judging    cost   gain"
    for one in choices:
        limits = [f"{one.limits[name]:.4f}" if name in one.limits else "-" for name in LIMITS]
        shown = "   ".join(f"{text:>{len(name)}}" for text, name in zip(limits, LIMITS, strict=True))
        lost = f"{one.lost:.1%} ({one.lost_high:.1%})"
        yield (
            f"{one.step:>4}   {shown}   {lost:>16}   {one.survival:>8.1%}   {one.judging:>7.2f}   {one.cost:.3f}"
            f"   {one.gain:.2f}"
        )
    best = max(choices, key=lambda one: one.gain)
    spent = f"({best.step} + {best.survival:.3f} x {steps - best.step} + {best.judging:.2f}) / {steps}"
    yield f"cost at step {best.step}: {spent} = {best.cost:.3f}"
    yield f"gain: (1 - {best.lost:.3f}) / {best.cost:.3f} = {best.gain:.2f} kept samples for the time of one"
    if best.gain <= 1:
        yield "pruning in flight doesn't pay here: leave generator.prune out"
        return
    yield "generator:"
    said = {"step": best.step, **best.limits, "pays_from": best.pays_from(steps)}
    yield "  prune: {" + ", ".join(f"{name}: {value:.6g}" for name, value in said.items()) + "}"
