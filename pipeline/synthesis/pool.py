"""The pool: every sample that was made so far, with its scores; how rounds add to it, and the decision on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.catalogs.manifests.schemas import SCHEMAS
from fairshards.filters.base import is_edit
from fairshards.filters.registry import filter_class
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import finished
from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.calibrate import CalibrationSets
from fairshards.pipeline.synthesis.decide import Candidate, Decision, decide
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.pictures.specs import Staged
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask

Row = dict[str, Any]
ROUND = f"{places.PLAN}round-"
"""How the plan manifests of a run's own rounds are named; others hold samples that an earlier run left."""


@dataclass
class Pool:
    """All that was generated so far: manifests with content hashes, and the candidates.

    ``notes`` says, by the score's name, why a picture lacks a score, where one does. ``sets`` are what filters are
    calibrated on beside the candidates.
    """

    manifests: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    shards: Counter[Group] = field(default_factory=Counter)
    generated: int = 0
    tasks: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    sets: CalibrationSets = field(default_factory=CalibrationSets)

    def identity(self, scorer: Staged) -> list[str]:
        """What a curation's name rests on: the scorer and the tasks' hashes, not measured floats.

        Scores move by 1e-7 with the number of threads; a name over them would differ between runners that
        keep the same samples.
        """
        return [scorer.stage_fingerprint, *self.tasks, *self.sets.inputs]

    @property
    def decision_inputs(self) -> list[str]:
        """The content hashes that a curation rests on: the raw and the score manifests'."""
        return [value for name, value in self.manifests.items() if not name.startswith(places.PLAN)]

    @property
    def scores(self) -> dict[str, str]:
        """The score manifests, with content hashes."""
        return {name: value for name, value in self.manifests.items() if name.startswith(places.SCORES)}

    def made(self) -> Counter[Group]:
        """How many samples of each group the generator was asked for; edits aren't among them."""
        return Counter(candidate.group for candidate in self.candidates if not is_edit(candidate.sample))


def decide_on(recipe: Planned, pool: Pool) -> Decision:
    """Return the filters' decision on the pool, with limits measured on it or on its calibration sets.

    Raises:
        RecipeError: a filter needs a score that no picture has, so that it would reject all of them in every round.
    """
    pictures = [candidate for candidate in pool.candidates if candidate.sample["image_sha256"]]
    for name in recipe.filters if pictures else ():
        needed = dict.fromkeys(score for one in pictures for score in filter_class(name).needs(one.sample))
        for score in needed:
            if all(candidate.scores.get(score) is None for candidate in pictures):
                why = pool.notes.get(score, "the scorer gave none")
                raise RecipeError(
                    f"filters.{name} needs the score {score}, which none of {len(pictures)} pictures has: {why}. "
                    "Take the filter out, or name a generator.scheduler or scorer.model that gives the score"
                )
    return decide(pool.candidates, recipe.filters, pool.sets.real, pool.sets.borrowed)


def commit_plan(
    shard_size: int, title: str, rows: list[Row], folder: RunFolder, more: Sequence[Any] = ()
) -> tuple[str, manifest.Head]:
    """Commit plan rows; the hash covers what the ids don't: tasks, numbers of class and bias value, and ``more``."""
    facts = [[row["task"], row["y"], row["b"]] for row in rows] + list(more)
    hashed = task_hash("plan", "plan/2", [row["sample_id"] for row in rows], [], facts)
    name = f"{places.PLAN}{title}-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "plan", title, rows, task_hash=hashed, row_group=shard_size)
    return name, head


def is_done(task: ShardTask, scorer: Staged) -> bool:
    """Tell whether a task's samples are made and scored."""
    made = commit.find(task)
    return made is not None and commit.find(Score.task_of(made, scorer)) is not None


def collect(tasks: Sequence[ShardTask], rows: Sequence[Row], scorer: Staged, pool: Pool, folder: RunFolder) -> None:
    """Add the samples of finished tasks, whose plan rows are ``rows``, to the pool."""
    plan = {row["sample_id"]: row for row in rows}
    for task in tasks:
        made = finished(commit.find(task), task)
        scored = finished(commit.find(Score.task_of(made, scorer)), task)
        _, raw = manifest.read_rows(folder.root / made.manifest)
        _, scores = manifest.read_rows(folder.root / scored.manifest)
        pool.manifests.update({made.manifest: made.content_sha256, scored.manifest: scored.content_sha256})
        pool.candidates.extend(_candidates(plan, raw, scores))
        pool.notes.update(_notes(raw, scores))


def _notes(raw: list[Row], scores: list[Row]) -> dict[str, str]:
    """Return why pictures lack a score, by the score's name."""
    notes = {row["score"]: row["detail"] for row in scores if row["status"] == "reject"}
    unfollowed = [row["detail"] for row in raw if row["status"] == "ok" and row["detail"]]
    return {**notes, "trajectory_variance": unfollowed[0]} if unfollowed else notes


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
