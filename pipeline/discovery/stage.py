"""Discovery (docs/methods.md#aspire): captions and edits find what a classifier leans on, with no bias label.

Captions name what is in the pictures; a reference classifier is trained; phrases are edited out of pictures that it
gets right; phrases whose removal changes its mind, and that go together with the class, are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.pipeline.discovery.association import audit
from fairshards.pipeline.discovery.edit_success import SuccessRule
from fairshards.pipeline.discovery.edits import edit_rows
from fairshards.pipeline.discovery.language import language_stage
from fairshards.pipeline.discovery.phrases_found import Found, phrases_found
from fairshards.pipeline.discovery.ranking import EditOutcome, RankedPhrase, RankRule, rank
from fairshards.pipeline.discovery.reference import reference_answers, reference_training
from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs, MergeSpec, edit_test_spec
from fairshards.pipeline.pictures.source import SourceResult
from fairshards.pipeline.recipe.discovery import Discovery
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import reference_settings
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import finished
from fairshards.pipeline.run.progress import Reporter
from fairshards.transforms.edits.edit import Edit, edit_tasks
from fairshards.transforms.edits.edit_test import EditTest
from fairshards.transforms.edits.specs import EditTestSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask, TaskRecord

Row = dict[str, Any]
VERSION = "rank/1"


@dataclass(frozen=True)
class Discovered:
    """What discovery found: its manifests with content hashes, the ranked phrases, and what they rest on.

    Attributes:
        ranked: Of every class the top phrases, in order of class and rank.
        found: All captioned images, those of val too where these are captioned.
        edits: The edit plan's rows with what came of each: place of its picture, scores, success.
        training, training_sha256: The reference training's folder and content hash.
        means: The reference's mean probability of each class over its real training images.
    """

    manifests: dict[str, str]
    ranked: tuple[RankedPhrase, ...]
    found: Found
    edits: tuple[Row, ...]
    training: Path
    training_sha256: str
    means: tuple[float, ...]

    @property
    def spurious(self) -> tuple[RankedPhrase, ...]:
        """The phrases that are reported."""
        return tuple(phrase for phrase in self.ranked if phrase.spurious)


def discovery_stage(run: Run[Recipe], source: SourceResult, specs: DiscoverySpecs) -> Discovered:
    """Run discovery's steps; what is committed is not done again.

    Raises:
        RecipeError: no usable caption or phrase.
        TrainerError: the reference classifier can't be trained.
    """
    recipe, folder = run.recipe, run.folder
    settings = recipe.discovery
    assert settings is not None
    index = manifest.read_rows(folder.root / source.index)[1]
    manifests, captions, phrases = language_stage(run, source.index, index, specs)
    chosen = reference_settings(recipe.training, settings.reference)
    training = reference_training(run, chosen, source)
    name = (training.folder / "metrics.parquet").relative_to(folder.root).as_posix()
    manifests[name] = manifest.read_head(folder.root / name).content_sha256
    answers = reference_answers(training.folder, chosen, folder.root / source.index, settings.splits)
    found = phrases_found(index, captions, phrases, answers.right, specs.merge)
    test = edit_test_spec(recipe, settings, training.folder, manifests[name], run.launcher.threads)
    split = {row["sample_id"]: row["split"] for row in index}
    seen = replace(found, images=tuple(image for image in found.images if split[image.source_id] == "train"))
    plan = edit_rows(recipe, settings, seen, index, specs.edit)  # val and test are never edited, nor ranked over
    edited = _edits(run, plan, specs, test) if plan else ({}, [])
    manifests.update(edited[0])
    rule = SuccessRule(settings.ranking.min_phrase_drop, settings.ranking.min_replacement_rise)
    edits = [{**row, "succeeded": row["hit"] is not None and rule.succeeded(row["kind"], row)} for row in edited[1]]
    ranked = rank(seen.images, [_outcome(row) for row in edits if row["hit"] is not None], _rule(settings))
    manifests.update(_commit_rank(recipe, settings, folder, ranked, list(manifests.values()), specs.merge))
    _say(recipe, found, edits, ranked, run.report)
    return Discovered(manifests, tuple(ranked), found, tuple(edits), training.folder, manifests[name], answers.means)


def bits_before(found: Found) -> Mapping[str, float]:
    """Return I(phrase; class) of every phrase group over the real images, in bits: the audit before generation."""
    return audit(found.images)


def _rule(settings: Discovery) -> RankRule:
    chosen = settings.ranking
    return RankRule(chosen.top_k, chosen.min_count, chosen.floor, chosen.min_lift)


def _edits(
    run: Run[Recipe], plan: list[Row], specs: DiscoverySpecs, test: EditTestSpec
) -> tuple[dict[str, str], list[Row]]:
    """Make and test the planned edits in one job; return the manifests and each edit's row with what came of it."""
    folder = run.folder
    hashed = task_hash("edit_plan", "edit_plan/1", [row["edit_id"] for row in plan], [], [row["task"] for row in plan])
    name = f"{places.EDITS}plan-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "edit_plan", "edits", plan, task_hash=hashed)
    tasks = edit_tasks(folder.path, name, plan, specs.edit)
    todo = [task for task in tasks if _tested(task, test) is None]
    with run.report.watch("editing and testing", len(plan), lambda: _done(tasks)):
        run.launcher.map(todo, Edit(specs.edit), EditTest(test))
    manifests, facts = {name: head.content_sha256}, {row["edit_id"]: {**row, "hit": None} for row in plan}
    for task in tasks:
        for record in (finished(commit.find(task), task), finished(_tested(task, test), task)):
            manifests[record.manifest] = record.content_sha256
            for row in manifest.read_rows(folder.root / record.manifest)[1]:
                facts[row["edit_id"]].update(row)
    return manifests, list(facts.values())


def _tested(task: ShardTask, test: EditTestSpec) -> TaskRecord | None:
    made = commit.find(task)
    return commit.find(EditTest.task_of(made, test)) if made else None


def _done(tasks: Sequence[ShardTask]) -> int:
    return sum(len(task) for task in tasks if commit.find(task) is not None)


def _outcome(row: Row) -> EditOutcome:
    return EditOutcome(
        row["source_id"],
        row["y"],
        row["phrase"],
        row["phrase_group"],
        bool(row["hit"]),
        row["probability_shift"],
        row["succeeded"],
    )


def _commit_rank(
    recipe: Recipe,
    settings: Discovery,
    folder: RunFolder,
    ranked: Sequence[RankedPhrase],
    inputs: list[str],
    merge: MergeSpec | None,
) -> dict[str, str]:
    rows = [
        {
            **{name: value for name, value in asdict(phrase).items() if name != "lift"},
            "class_name": recipe.classes[phrase.y].name,
            "lift": phrase.lift.value,
            "lift_low": phrase.lift.low,
            "lift_high": phrase.lift.high,
        }
        for phrase in ranked
    ]
    said: Row = {"ranking": settings.ranking.model_dump(), "edits_per_phrase": settings.edits_per_phrase}
    if merge:
        said["merge"] = merge.settings
    hashed = task_hash("rank", VERSION, [], inputs, said)
    name = f"{places.DISCOVERY}rank-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "rank", "rank", rows, task_hash=hashed, inputs=inputs, settings=said)
    return {name: head.content_sha256}


def _say(recipe: Recipe, found: Found, edits: Sequence[Row], ranked: Sequence[RankedPhrase], report: Reporter) -> None:
    good = sum(row["succeeded"] for row in edits)
    names = [f"{recipe.classes[one.y].name}: {one.phrase}" for one in ranked if one.spurious]
    report.say(
        f"discovery: {len(found.images)} images captioned, {len(edits)} edits, {good} of them succeeded; "
        f"spurious: {', '.join(names) or 'nothing'}"
    )
