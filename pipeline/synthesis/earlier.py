"""Samples that earlier runs made: decided over again without generating, or kept for the curations over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder, shell_path
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.decide import Decision
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import ROUND, Pool, Row, collect, commit_plan, decide_on, is_done
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.shards import commit


@dataclass(frozen=True)
class Round:
    """A round that was planned earlier: its manifest's name and content hash, and its rows."""

    name: str
    content_sha256: str
    rows: list[Row]


def planned_rounds(run: Run[RecipeBase], making: Making) -> list[Round]:
    """Return the rounds that the plan manifests of the run before hold.

    Raises:
        RecipeError: nothing was planned yet, or not with the recipe's seed, prompts, groups and generator.
    """
    folder = run.folder
    names = [name for name in run.previous if name.startswith(ROUND)]
    if not names:
        raise RecipeError(f"{folder.root} has no generated samples to decide over; make them with `fairshards run`")
    plans = ((name, *manifest.read_rows(folder.root / name)) for name in names)
    rounds = [Round(name, head.content_sha256, rows) for name, head, rows in plans]
    for planned in rounds:
        _check_plan(making, planned.rows, folder)
    return rounds


def existing_pool(run: Run[RecipeBase], making: Making, rounds: Sequence[Round]) -> tuple[Pool, Decision]:
    """Return the samples of earlier rounds that were made, and the decision on them; nothing is generated.

    What stands at the beginning is decided over too.

    Scores that another scorer gave are made anew. What was planned and never made is left out, and said.

    Raises:
        RecipeError: a filter needs a score that no picture has.
    """
    folder, pool, left = run.folder, making.begin, 0
    for planned in rounds:
        tasks = planning.tasks_of(folder.path, planned.name, planned.rows, making.generator.stage_fingerprint)
        made = [task for task in tasks if commit.find(task) is not None]
        left += sum(map(len, tasks)) - sum(map(len, made))
        pool.manifests[planned.name] = planned.content_sha256
        pool.tasks.extend(task.task_hash for task in made)
        run.launcher.map([task for task in made if not is_done(task, making.scorer)], *making.steps)
        collect(made, planned.rows, making.scorer, pool, folder)
    if left:
        command = f"fairshards generate {shell_path(folder.root)}"
        run.report.say(f"{left} planned samples were never made; `{command}` makes them")
    making.compare(pool)
    return pool, decide_on(making.recipe, pool)


def earlier_samples(run: Run[RecipeBase], making: Making, pool: Pool) -> dict[str, str]:
    """Return the manifests (name to content hash) of samples that the run had before and the pool doesn't need.

    A looser filter or a smaller quota needs fewer samples; curations over the others still stand. Their rows of
    the earlier plans become a plan manifest of their own, so that ids stay unique.
    """
    folder = run.folder
    plans = [name for name in run.previous if name.startswith(places.PLAN) and name not in pool.manifests]
    rows = {row["sample_id"]: row for name in plans for row in _left_over(making, folder, pool, name)}
    if not rows:
        return {}
    ordered = sorted(rows.values(), key=lambda row: (row["y"], row["b"], row["replicate"]))
    name, head = commit_plan(making.recipe.quota.shard_size, "earlier", ordered, folder)
    kept = {name: head.content_sha256}
    for task in planning.tasks_of(folder.path, name, ordered, making.generator.stage_fingerprint):
        made = commit.find(task)
        scored = commit.find(Score.task_of(made, making.scorer)) if made else None
        kept.update({record.manifest: record.content_sha256 for record in (made, scored) if record})
    return kept


def _left_over(making: Making, folder: RunFolder, pool: Pool, plan: str) -> Iterator[Row]:
    """Yield the rows of an earlier plan's shards that were made, that the recipe plans so, and that the pool lacks."""
    try:
        rows = manifest.read_rows(folder.root / plan)[1]
    except ManifestError:
        return
    asked, taken = _planned_now(making, rows), {candidate.sample["sample_id"] for candidate in pool.candidates}
    for task in planning.tasks_of(folder.path, plan, rows, making.generator.stage_fingerprint):
        own = rows[task.start : task.stop]
        left = all(row["sample_id"] not in taken and _agrees(row, asked, "y", "b", "task") for row in own)
        if left and commit.find(task):
            yield from own


def _planned_now(making: Making, rows: Sequence[Row]) -> dict[str, Row]:
    """Return what the recipe plans now where these rows stand, in whole shards, by sample id."""
    recipe = making.recipe
    size, groups = recipe.quota.shard_size, {recipe.group_name(*group): group for group in recipe.groups}
    known = [row for row in rows if row["group_name"] in groups]
    shards = {(groups[row["group_name"]], row["replicate"] // size) for row in known}
    planned = (row for shard in shards for row in making.shard_rows(*shard, 0))
    return {row["sample_id"]: row for row in planned}


def _agrees(row: Row, planned: Mapping[str, Row], *names: str) -> bool:
    """Tell whether a sample is planned, with the same values under these names."""
    other = planned.get(row["sample_id"])
    return other is not None and all(row[name] == other[name] for name in names)


def _check_plan(making: Making, rows: Sequence[Row], folder: RunFolder) -> None:
    """Compare every row of a plan with what the recipe plans in its place."""
    planned = _planned_now(making, rows)
    if not all(_agrees(row, planned, "y", "b") for row in rows):
        raise RecipeError(
            f"the samples in {folder.root} were made with another seed, prompt, generator or group than the recipe "
            "says now; this command only decides over what is there: make new ones with `fairshards run`"
        )
