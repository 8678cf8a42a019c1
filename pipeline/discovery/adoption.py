"""Edits as samples: a real picture that a reported phrase was edited out of is itself a spurious-free picture.

Nothing is copied and nothing made. An edit's id is over all that determines its pixels, so it is the sample's id too; a
plan manifest says what the sample is, and a raw manifest of the driver's own names the bytes in the edits' shard. Then
scores, filters, curation and trainings take it for any other sample. Only training images are edited
(``pipeline/discovery/stage.py``), so none of val or test gets into a training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import UNKNOWN, UNKNOWN_BIAS, canonical_json, digest, task_hash
from fairshards.catalogs.manifests.manifest import Head
from fairshards.filters.base import EDIT
from fairshards.filters.pictures import edit_misplaced
from fairshards.pipeline.discovery.spurious_free import top_phrases
from fairshards.pipeline.discovery.stage import Discovered
from fairshards.pipeline.pictures.making import ADOPTED
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.spurious_free import SpuriousFree
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.pool import Pool, collect, commit_plan, is_done
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.pictures.specs import ScorerSpec
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.task import ShardTask, TaskRecord

Row = Mapping[str, Any]


def adopted(run: Run[Recipe], found: Discovered, scorer: ScorerSpec) -> Pool:
    """Return a pool of the edits that become samples, scored; what is committed is not done again.

    The run's recipe is the one that synthesis follows, with an unknown bias value; where it asks for no edits the pool
    is empty.

    Raises:
        RecipeError: a class has no such edit, and nothing else is to be made.
    """
    recipe, folder, settings = run.recipe, run.folder, run.recipe.spurious_free
    if settings is None or settings.make == "generate":
        return Pool()
    edits = {row["edit_id"]: row for row in adoptable(found, settings, len(recipe.classes))}
    rows = plan_rows(recipe, settings, list(edits.values()))
    if settings.make == "edit":
        _check_classes(recipe, rows)
    pool = Pool()
    if not rows:
        return pool
    name, head = commit_plan(recipe.quota.shard_size, "edits", rows, folder, [_said(row) for row in rows])
    pool.manifests[name] = head.content_sha256
    records = [_record(task, edits, heads) for task, heads in _tasks(name, rows, found, folder)]
    tasks = [record.task for record in records]
    pool.tasks.extend(task.task_hash for task in tasks)
    run.launcher.map([record for record in records if not is_done(record.task, scorer)], Score(scorer))
    collect(tasks, rows, scorer, pool, folder)
    excess = attribution_excess(list(edits.values()))
    pool.candidates = [
        replace(one, scores={**one.scores, edit_misplaced.SCORE: excess[one.sample["sample_id"]]})
        for one in pool.candidates
    ]
    return pool


def adoptable(found: Discovered, settings: SpuriousFree, classes: int) -> list[Row]:
    """Return the successful edits of the first reported phrases of every class, in the order of the edit plan."""
    reported = {(y, one.phrase) for y in range(classes) for one in top_phrases(found, settings, y)}
    return [row for row in found.edits if row["succeeded"] and (row["y"], row["phrase_group"]) in reported]


def attribution_excess(edits: Sequence[Row]) -> dict[str, float | None]:
    """Return by how much each edit's rho exceeds its class's mean (DDB); None where it wasn't measured."""
    measured: dict[int, list[float]] = {}
    for row in edits:
        if row["mask_attribution"] is not None:
            measured.setdefault(row["y"], []).append(row["mask_attribution"])
    means = {y: sum(values) / len(values) for y, values in measured.items()}
    return {
        row["edit_id"]: None if row["mask_attribution"] is None else row["mask_attribution"] - means[row["y"]]
        for row in edits
    }


def plan_rows(recipe: Recipe, settings: SpuriousFree, edits: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the plan rows of edits, in their order; the replicates of a class are numbered by hash."""
    ordered = sorted(edits, key=lambda row: digest(["adopt", row["edit_id"]]))
    counts, numbers = dict.fromkeys(range(len(recipe.classes)), 0), {}
    for row in ordered:
        numbers[row["edit_id"]] = counts[row["y"]]
        counts[row["y"]] += 1
    return [_plan_row(recipe, settings, row, numbers[row["edit_id"]]) for row in edits]


def _plan_row(recipe: Recipe, settings: SpuriousFree, edit: Row, replicate: int) -> dict[str, Any]:
    """Return what is true of an edit as a sample.

    Its prompt is the edit's, where that says what the picture shows; an instruction says what to do, and no CLIP can
    score a picture by it.
    """
    assert recipe.discovery is not None
    told = edit["editor"] == "instruct"
    shown = settings.templates[0].format(**{"class": edit["class_name"]}) if told else edit["prompt"]
    spurious = recipe.prompts.of_class(edit["class_name"]).spurious
    same = (
        "noise_seed",
        "task",
        "y",
        "class_name",
        "negative_prompt",
        "guidance_scale",
        "steps",
        "height",
        "width",
        "eta",
        "settings",
    )
    return {
        **{name: edit[name] for name in same},
        "sample_id": edit["edit_id"],
        "kind": EDIT,
        "round": 0,
        "replicate": replicate,
        "b": UNKNOWN_BIAS,
        "bias_name": UNKNOWN,
        "group_name": f"{edit['class_name']}|{UNKNOWN}",
        "prompt": shown,
        "generator": recipe.discovery.editor.model,
        "generator_fingerprint": edit["editor_fingerprint"],
        "negatives": None,
        "spurious": canonical_json(spurious) if spurious else None,
    }


def _said(row: Row) -> list[Any]:
    """Return what a plan row says that its id doesn't cover, and that scores rest on."""
    return [row["prompt"], row["spurious"], row["replicate"]]


def _tasks(
    plan: str, rows: list[dict[str, Any]], found: Discovered, folder: RunFolder
) -> Iterator[tuple[ShardTask, tuple[Head, Head]]]:
    """Yield a task for each shard of edits that holds some of the rows, with the heads of both its manifests."""
    heads: dict[tuple[str, str], Head] = {}
    for name in found.manifests:
        if name.startswith((places.EDITS, places.EDIT_SCORES)):
            head = manifest.read_head(folder.root / name)
            heads[head.stage, head.task] = head
    for task in planning.tasks_of(folder.path, plan, rows, ADOPTED):
        edits, scores = heads["edit", task.name], heads["edit_score", task.name]
        own = rows[task.start : task.stop]
        hashed = task_hash(
            "generate",
            ADOPTED,
            [row["sample_id"] for row in own],
            [edits.content_sha256, scores.task_hash],
            [_said(row) for row in own],
        )
        yield replace(task, task_hash=hashed), (edits, scores)


def _record(task: ShardTask, edits: Mapping[str, Row], heads: tuple[Head, Head]) -> TaskRecord:
    """Commit the raw manifest of a task, which names the edits' shard, or look it up."""
    return finish(OpenTask(task), ADOPTED, lambda todo: _adopted(todo, edits, heads))


def _adopted(todo: OpenTask, edits: Mapping[str, Row], heads: tuple[Head, Head]) -> Made:
    made, scored = heads
    assert made.shard is not None
    shard = replace(made.shard, name=f"../edits/{made.shard.name}")
    place = ("offset", "size", "image_sha256", "width", "height")
    rows = [
        {
            "sample_id": row["sample_id"],
            "shard": shard.name,
            "status": "ok",
            **{name: edits[row["sample_id"]][name] for name in place},
        }
        for row in todo.rows
    ]
    return Made(rows, shard, inputs=(made.content_sha256, scored.content_sha256), attempt={"samples": len(rows)})


def _check_classes(recipe: Recipe, rows: Sequence[Row]) -> None:
    without = [value.name for y, value in enumerate(recipe.classes) if not any(row["y"] == y for row in rows)]
    if without:
        raise RecipeError(
            f"spurious_free.make is edit, but no edit of a reported phrase succeeded for {', '.join(without)}: set "
            "spurious_free.make: both, which generates what is missing, or raise discovery.edits_per_phrase"
        )
