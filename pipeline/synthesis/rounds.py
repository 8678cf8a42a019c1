"""The synthesis stage: plan, generate, score, decide, in rounds until every group has its quota."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.decide import Decision
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.pool import Pool, collect, commit_plan, decide_on, is_done
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask


def synthesis_stage(run: Run[RecipeBase], making: Making, committed: Callable[[Pool], None]) -> tuple[Pool, Decision]:
    """Generate until the quotas are met or the rounds are used up; return the pool and the decision on it.

    ``committed`` is called with the pool after every round that made something. Of the samples that stand at the
    beginning, those that pass count towards the quotas.

    Raises:
        RecipeError: a filter needs a score that no picture has.
    """
    recipe, pool, quotas, report = making.recipe, making.begin, making.quotas, run.report
    making.compare(pool)
    decision = decide_on(recipe, pool)
    missing = decision.missing(quotas)
    if pool.candidates:
        kept, short = sum(map(len, decision.passed.values())), sum(missing.values())
        report.say(f"edits: {len(pool.candidates)} are samples, {kept} pass the filters, {short} missing")
    wanted = planning.first_round(recipe, {group: missing.get(group, 0) for group in quotas})
    for number in range(recipe.quota.max_rounds):
        if _round(run, making, number, wanted, pool):
            committed(pool)
        making.compare(pool)
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


def _round(run: Run[RecipeBase], making: Making, number: int, wanted: Mapping[Group, int], pool: Pool) -> bool:
    """Plan one round, run its one Beam job for what isn't done, and add its samples to the pool.

    Returns:
        Whether anything had to be made.
    """
    folder = run.folder
    rows = [
        row
        for group in making.recipe.groups
        for offset in range(wanted.get(group, 0))
        for row in making.shard_rows(group, pool.shards[group] + offset, number)
    ]
    pool.shards.update(wanted)
    name, head = commit_plan(making.recipe.quota.shard_size, f"round-{number}", rows, folder)
    pool.manifests[name] = head.content_sha256
    tasks = planning.tasks_of(folder.path, name, rows, making.generator.stage_fingerprint)
    todo = [task for task in tasks if not is_done(task, making.scorer)]
    generated = [task for task in tasks if commit.find(task) is None]
    pool.tasks.extend(task.task_hash for task in tasks)
    total = sum(map(len, tasks))
    with run.report.watch(f"round {number}: generating and scoring", total, lambda: _scored(tasks, folder)):
        run.launcher.map(todo, *making.steps)
    pool.generated += sum(map(len, generated))
    collect(tasks, rows, making.scorer, pool, folder)
    return bool(todo)


def _scored(tasks: list[ShardTask], folder: RunFolder) -> int:
    """Count the samples of tasks that have a raw manifest; scoring is quick beside generating."""
    return sum(len(task) for task in tasks if (Path(folder.root) / commit.manifest_name(task)).exists())
