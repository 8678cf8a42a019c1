"""Score real pictures as generated ones are scored, to calibrate filters on them (docs/methods.md#measured-limits)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.transforms.pictures.score import LazyScorer, brought_rows, request_of, score_row, silhouettes
from fairshards.transforms.pictures.specs import ScorerSpec
from fairshards.transforms.shards import embeddings, storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.cut import Piece, cut
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.stage import ModelStage

Row = Mapping[str, Any]


def real_score_tasks(run: str, plan: str, rows: Sequence[Row], spec: ScorerSpec, size: int = 256) -> list[ShardTask]:
    """Return the tasks that score the pictures of a calibration plan: at most ``size`` rows, of one shard each.

    ``rows`` are all rows of the manifest ``plan``, those of a shard together.
    """
    return [_task(number, piece, run, plan, spec) for number, piece in enumerate(cut(rows, "shard", size))]


def _task(number: int, piece: Piece, run: str, plan: str, spec: ScorerSpec) -> ShardTask:
    said = [[row["image_sha256"], row["prompt"], row["y"], row["b"], row["spurious"]] for row in piece.rows]
    hashed = task_hash("real_score", spec.stage_fingerprint, piece.column("source_id"), settings=said)
    name = f"real-{number:05d}"
    return ShardTask(ScoreReal.stage, name, hashed, run, ScoreReal.folder, plan, piece.start, piece.stop)


def _score(todo: OpenTask, models: LazyScorer) -> Made:
    """Score the pictures of one task; one that can't be read or scored becomes a reject row."""
    plan = todo.rows
    tar = storage.read(storage.join(todo.task.run, plan[0]["shard"]))
    images = [slice_of(tar, row["offset"], row["size"]) for row in plan]
    results, seen = models.scorer.scored(images, [request_of({**row, "sample_id": row["source_id"]}) for row in plan])
    rows = [
        {"source_id": row["source_id"], "group_name": row["group_name"], **score_row(score)}
        for row, scores in zip(plan, results, strict=True)
        for score in scores
    ]
    groups = {row["source_id"]: row["group_name"] for row in plan}
    brought = brought_rows("source_id", plan, images, seen, models.spec)
    rows += [{**row, "group_name": groups[row["source_id"]]} for row in brought]
    pictures = {row["source_id"]: (image, row["y"]) for row, image in zip(plan, images, strict=True)}
    outlines = silhouettes({name: pictures[name] for name in pictures if name in seen}, models)
    facts = {"samples": len(plan), "device": models.spec.device}
    return Made(rows, settings=embeddings.publish(todo.task, seen, outlines), attempt=facts)


class ScoreReal(ModelStage[ScorerSpec]):
    """PCollection[ShardTask] of a calibration plan -> PCollection[TaskRecord] of their score manifests."""

    stage, folder, models = "real_score", "calibration", LazyScorer
    title = "Score real pictures"
    work = staticmethod(_score)
