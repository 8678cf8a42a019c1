"""Score real pictures as generated ones are scored, to calibrate filters on them (docs/methods.md#measured-limits)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import apache_beam as beam

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.transforms.pictures.score import LazyScorer, request_of, score_row, silhouettes
from fairshards.transforms.pictures.specs import ScorerSpec
from fairshards.transforms.shards import commit, embeddings, storage
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.stage import StageHandler

Row = Mapping[str, Any]


def real_score_tasks(run: str, plan: str, rows: Sequence[Row], spec: ScorerSpec, size: int = 256) -> list[ShardTask]:
    """Return the tasks that score the pictures of a calibration plan: at most ``size`` rows, of one shard each.

    ``rows`` are all rows of the manifest ``plan``, those of a shard together.
    """
    tasks: list[ShardTask] = []
    start = 0
    for _, group in groupby(rows, key=lambda row: str(row["shard"])):
        end = start + len(list(group))
        for first in range(start, end, size):
            own = rows[first : min(first + size, end)]
            said = [[row["image_sha256"], row["prompt"], row["y"], row["b"], row["spurious"]] for row in own]
            hashed = task_hash("real_score", spec.stage_fingerprint, [row["source_id"] for row in own], settings=said)
            name = f"real-{len(tasks):05d}"
            tasks.append(ShardTask("real_score", name, hashed, run, "calibration", plan, first, first + len(own)))
        start = end
    return tasks


def real_score_task(task: ShardTask, lazy: LazyScorer) -> TaskRecord:
    """Score and commit the pictures of one task; a finished task is only looked up.

    A picture that can't be read or scored becomes a reject row.
    """
    if found := commit.find(task):
        return found
    with lazy.lock:
        return _score(task, lazy)


def _score(task: ShardTask, lazy: LazyScorer) -> TaskRecord:
    started = time.time()
    plan = commit.read_task_rows(task)
    tar = storage.read(storage.join(task.run, plan[0]["shard"]))
    images = [slice_of(tar, row["offset"], row["size"]) for row in plan]
    results, seen = lazy.scorer.scored(images, [request_of({**row, "sample_id": row["source_id"]}) for row in plan])
    rows = [
        {"source_id": row["source_id"], "group_name": row["group_name"], **score_row(score)}
        for row, scores in zip(plan, results, strict=True)
        for score in scores
    ]
    attempt = commit.attempt(started, samples=len(plan), device=lazy.spec.device)
    outlines = silhouettes(
        {
            row["source_id"]: (image, row["y"])
            for row, image in zip(plan, images, strict=True)
            if row["source_id"] in seen
        },
        lazy,
    )
    settings = embeddings.publish(task, seen, outlines)
    return commit.commit(task, rows, fingerprint=lazy.spec.stage_fingerprint, settings=settings, attempt=attempt)


@dataclass
class ScoreReal(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] of a calibration plan -> PCollection[TaskRecord] of their score manifests."""

    spec: ScorerSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        handler = StageHandler(self.spec, LazyScorer, real_score_task)
        return tasks | "Spread the tasks" >> beam.Reshuffle() | "Score real pictures" >> handler.step()
