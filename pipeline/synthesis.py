"""The synthesis stage: plan, generate, score, decide, in rounds until every group has its quota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalogs import manifest
from catalogs.identity import task_hash
from catalogs.schemas import SCHEMAS
from pipeline import planning
from pipeline.curation import Candidate, Decision, decide
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from pipeline.quota import Group, Quota
from pipeline.recipe import Recipe
from pipeline.runfolder import RunFolder
from transforms import commit
from transforms.generate import Generate
from transforms.score import Score, score_task_of
from transforms.specs import GeneratorSpec, ScorerSpec
from transforms.task import ShardTask

Row = dict[str, Any]


@dataclass
class Pool:
    """All that was generated so far: manifests with content hashes, and the candidates."""

    manifests: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    shards: Counter[Group] = field(default_factory=Counter)
    generated: int = 0
    tasks: list[str] = field(default_factory=list)

    def identity(self, scorer: ScorerSpec) -> list[str]:
        """What a curation's name rests on: the scorer and the generate tasks' hashes, not measured floats.

        Scores move by 1e-7 with the number of threads; a name over them would differ between runners that
        keep the same samples.
        """
        return [scorer.stage_fingerprint, *self.tasks]

    @property
    def decision_inputs(self) -> list[str]:
        """The content hashes that a curation rests on: the raw and the score manifests'."""
        return [value for name, value in self.manifests.items() if not name.startswith("plan/")]

    def made(self) -> Counter[Group]:
        """How many samples of each group were asked for."""
        return Counter(candidate.group for candidate in self.candidates)


def synthesis_stage(
    recipe: Recipe,
    quotas: Mapping[Group, Quota],
    folder: RunFolder,
    specs: tuple[GeneratorSpec, ScorerSpec],
    launcher: Launcher,
    report: Reporter,
) -> tuple[Pool, Decision]:
    """Generate until the quotas are met or the rounds are used up; return the pool and the decision on it."""
    pool, decision = Pool(), Decision()
    wanted = planning.first_round(recipe, {group: quota.total for group, quota in quotas.items()})
    for number in range(recipe.quota.max_rounds):
        _round(recipe, number, wanted, pool, folder, specs, launcher, report)
        decision = decide(pool.candidates, recipe.filters)
        missing = decision.missing(quotas)
        passed = {group: len(decision.passed[group]) for group in recipe.groups}
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
) -> None:
    """Plan one round, run its one Beam job for what isn't done, and add its samples to the pool."""
    rows = [
        row
        for group in recipe.groups
        for offset in range(wanted.get(group, 0))
        for row in planning.shard_rows(recipe, specs[0], group, pool.shards[group] + offset, number)
    ]
    pool.shards.update(wanted)
    name, head = _commit_plan(recipe, number, rows, folder)
    pool.manifests[name] = head.content_sha256
    tasks = planning.tasks_of(folder.path, name, rows, specs[0].stage_fingerprint)
    todo = [task for task in tasks if not _is_done(task, specs[1])]
    generated = [task for task in tasks if commit.find(task) is None]
    pool.tasks.extend(task.task_hash for task in tasks)
    total = sum(map(len, tasks))
    with report.watch(f"round {number}: generating and scoring", total, lambda: _scored(tasks, folder)):
        launcher.map(todo, Generate(specs[0]), Score(specs[1]))
    pool.generated += sum(map(len, generated))
    _collect(tasks, rows, specs[1], pool, folder)


def _commit_plan(recipe: Recipe, number: int, rows: list[Row], folder: RunFolder) -> tuple[str, manifest.Head]:
    hashed = task_hash("plan", "plan/1", [row["sample_id"] for row in rows], [], [row["task"] for row in rows])
    name = f"plan/round-{number}-{hashed[:12]}.parquet"
    head = folder.commit(name, "plan", f"round-{number}", rows, task_hash=hashed, row_group=recipe.quota.shard_size)
    return name, head


def _is_done(task: ShardTask, scorer: ScorerSpec) -> bool:
    made = commit.find(task)
    return made is not None and commit.find(score_task_of(made, scorer)) is not None


def _scored(tasks: list[ShardTask], folder: RunFolder) -> int:
    """Count the samples of tasks that have a raw manifest; scoring is quick beside generating."""
    return sum(len(task) for task in tasks if (Path(folder.root) / commit.manifest_name(task)).exists())


def _collect(tasks: list[ShardTask], rows: list[Row], scorer: ScorerSpec, pool: Pool, folder: RunFolder) -> None:
    plan = {row["sample_id"]: row for row in rows}
    for task in tasks:
        made = commit.find(task)
        scored = commit.find(score_task_of(made, scorer)) if made else None
        if made is None or scored is None:
            raise RuntimeError(
                f"the runner finished, but task {task.name} is not committed in {folder.root}; "
                "if the run folder is on another machine, name one that workers and driver share"
            )
        _, raw = manifest.read_rows(folder.root / made.manifest)
        _, scores = manifest.read_rows(folder.root / scored.manifest)
        pool.manifests.update({made.manifest: made.content_sha256, scored.manifest: scored.content_sha256})
        pool.candidates.extend(_candidates(plan, raw, scores))


def _candidates(plan: Mapping[str, Row], raw: list[Row], scores: list[Row]) -> list[Candidate]:
    values: dict[str, dict[str, float | None]] = {row["sample_id"]: {} for row in raw}
    labels: dict[str, dict[str, str | None]] = {row["sample_id"]: {} for row in raw}
    failed: dict[str, str] = {}
    for score in scores:
        if score["status"] == "reject":
            failed[score["sample_id"]] = score["reason"]
            continue
        values[score["sample_id"]][score["score"]] = score["value"]
        labels[score["sample_id"]][score["score"]] = score["label"]
    names = set(SCHEMAS["index"].names)
    found = []
    for row in raw:
        key = row["sample_id"]
        values[key]["trajectory_variance"] = row["trajectory_variance"]
        place = {name: row[name] for name in row if name in names}
        reason = row["reason"] if row["status"] == "reject" else failed.get(key)
        found.append(Candidate({**plan[key], **place}, values[key], labels[key], reason))
    return found
