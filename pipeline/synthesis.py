"""The synthesis stage: plan, generate, score, decide, in rounds until every group has its quota."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline import planning
from pipeline.compared import add_compared_scores
from pipeline.curation import Decision
from pipeline.jobs import Launcher
from pipeline.pool import Pool, collect, commit_plan, decide_on, is_done
from pipeline.progress import Reporter
from pipeline.quota import Group, Quota
from pipeline.recipe import Recipe
from pipeline.runfolder import RunFolder
from transforms import commit
from transforms.generate import Generate
from transforms.score import Score
from transforms.specs import GeneratorSpec, ScorerSpec
from transforms.task import ShardTask


def synthesis_stage(
    recipe: Recipe,
    quotas: Mapping[Group, Quota],
    folder: RunFolder,
    specs: tuple[GeneratorSpec, ScorerSpec],
    launcher: Launcher,
    report: Reporter,
    committed: Callable[[Pool], None],
    begin: Pool | None = None,
) -> tuple[Pool, Decision]:
    """Generate until the quotas are met or the rounds are used up; return the pool and the decision on it.

    ``committed`` is called with the pool after every round that made something. ``begin`` is a pool of edits, of which
    those that pass count towards the quotas.

    Raises:
        RecipeError: a filter needs a score that no picture has.
    """
    pool = begin or Pool()
    add_compared_scores(recipe, pool, folder)
    decision = decide_on(recipe, pool)
    missing = decision.missing(quotas)
    if pool.candidates:
        kept, short = sum(map(len, decision.passed.values())), sum(missing.values())
        report.say(f"edits: {len(pool.candidates)} are samples, {kept} pass the filters, {short} missing")
    wanted = planning.first_round(recipe, {group: missing.get(group, 0) for group in quotas})
    for number in range(recipe.quota.max_rounds):
        if _round(recipe, number, wanted, pool, folder, specs, launcher, report):
            committed(pool)
        add_compared_scores(recipe, pool, folder)
        decision = decide_on(recipe, pool)
        missing = decision.missing(quotas)
        passed = {group: decision.generated(group) for group in recipe.groups}
        report.say(
            f"round {number}: {pool.made().total()} made, {sum(passed.values())} pass the filters, "
            f"{sum(missing.values())} missing"
        )
        if not missing:
            break
        wanted = planning.next_round(recipe, pool.made(), passed, missing)
    return pool, decision


def _round(
    recipe: Recipe,
    number: int,
    wanted: Mapping[Group, int],
    pool: Pool,
    folder: RunFolder,
    specs: tuple[GeneratorSpec, ScorerSpec],
    launcher: Launcher,
    report: Reporter,
) -> bool:
    """Plan one round, run its one Beam job for what isn't done, and add its samples to the pool.

    Returns:
        Whether anything had to be made.
    """
    rows = [
        row
        for group in recipe.groups
        for offset in range(wanted.get(group, 0))
        for row in planning.shard_rows(recipe, specs[0], group, pool.shards[group] + offset, number)
    ]
    pool.shards.update(wanted)
    name, head = commit_plan(recipe, f"round-{number}", rows, folder)
    pool.manifests[name] = head.content_sha256
    tasks = planning.tasks_of(folder.path, name, rows, specs[0].stage_fingerprint)
    todo = [task for task in tasks if not is_done(task, specs[1])]
    generated = [task for task in tasks if commit.find(task) is None]
    pool.tasks.extend(task.task_hash for task in tasks)
    total = sum(map(len, tasks))
    with report.watch(f"round {number}: generating and scoring", total, lambda: _scored(tasks, folder)):
        launcher.map(todo, Generate(specs[0]), Score(specs[1]))
    pool.generated += sum(map(len, generated))
    collect(tasks, rows, specs[1], pool, folder)
    return bool(todo)


def _scored(tasks: list[ShardTask], folder: RunFolder) -> int:
    """Count the samples of tasks that have a raw manifest; scoring is quick beside generating."""
    return sum(len(task) for task in tasks if (Path(folder.root) / commit.manifest_name(task)).exists())
