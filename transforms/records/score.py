"""Score drawn rows: broken rules, the discriminator's ratio, and the distance to training rows; a task a shard."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.checked import broken_rules, invalid
from fairshards.catalogs.cohorts.cohort import frame_of, own_column
from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.filters.records.discriminator import ACCEPTANCE, RATIO
from fairshards.filters.records.distance_ratio import SCORE as DISTANCE_RATIO
from fairshards.filters.records.nearest_record import SCORE as NEAREST
from fairshards.filters.records.valid_row import SCORE as VIOLATIONS
from fairshards.filters.scorers.base import own_scores
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.generators.tables.record_space import NEIGHBOURS, RecordSpace, distance_ratio, neighbours, told
from fairshards.transforms.records.shard import ID, read_frame, read_people
from fairshards.transforms.records.specs import RowScorerSpec
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.stage import LazyModels, ModelStage


class LazyRowScorer(LazyModels[RowScorerSpec]):
    """Holds the Bt-GAN's encoding and rejection, and the training rows as points."""

    @cached_property
    def model(self) -> BtGan:
        """The loaded model."""
        return BtGan.load_bytes(storage.read(self.spec.model))

    @cached_property
    def space(self) -> RecordSpace:
        """Where rows lie."""
        return RecordSpace(self.model.encoding)

    @cached_property
    def train(self) -> NDArray[np.float32]:
        """The points of the training rows that tell of somebody."""
        data, schema = storage.read(self.spec.train), self.model.encoding.schema
        rows = read_frame(data, schema)
        return self.space.points(rows[told(rows, read_people(data, schema))])


@unquoted("scoring rows")
def _score(todo: OpenTask, models: LazyRowScorer) -> Made:
    """Score the rows of one raw shard."""
    table, schema = pq.read_table(io.BytesIO(todo.shard_before)), models.model.encoding.schema
    ids = table[own_column(schema, ID)].to_pylist()
    ratios = table[own_column(schema, RATIO)].to_numpy().astype(np.float32)
    rows = frame_of(table, schema)
    counts, first = violations(schema, rows)
    columns = {VIOLATIONS: counts, **_model_scores(rows, ratios, models)}
    scores: list[dict[str, Any]] = [
        {
            "sample_id": name,
            "score": score,
            "value": float(values[number]),
            "status": "ok",
            "label": first[number] if score == VIOLATIONS else None,
        }
        for number, name in enumerate(ids)
        for score, values in columns.items()
    ]
    planned = {row["sample_id"]: row for row in todo.rows} if models.spec.scorers else {}
    brought = own_scores(models.spec.scorers, rows, [planned[name] for name in ids] if planned else [])
    scores += [{"sample_id": ids[number], **score} for number, score in brought]
    return Made(scores, attempt={"samples": len(ids), "device": models.spec.device})


def _model_scores(rows: pd.DataFrame, ratios: NDArray[np.float32], models: LazyRowScorer) -> dict[str, Sequence[float]]:
    """Return what the model and the training rows say of each row, by the score's name."""
    near = neighbours(models.space.points(rows), models.train, models.space.columns, NEIGHBOURS)
    scores: dict[str, Sequence[float]] = {
        RATIO: ratios.tolist(),
        NEAREST: near[:, 0].tolist(),
        DISTANCE_RATIO: distance_ratio(near).tolist(),
    }
    if models.model.rejection:
        scores[ACCEPTANCE] = models.model.rejection.acceptance(ratios).tolist()
    return scores


def violations(schema: Schema, rows: pd.DataFrame) -> tuple[list[int], list[str | None]]:
    """Return how many ranges and rules each row breaks, and the first one's name."""
    counts, first = np.zeros(len(rows), int), np.full(len(rows), None, dtype=object)

    def mark(broken: pd.Series, name: str) -> None:
        where = broken.to_numpy(bool)
        counts[where] += 1
        first[where & (first == None)] = name  # noqa: E711

    for column in schema.columns:
        mark(invalid(column, rows[column.name]), column.name)
    for name, broken in broken_rules(schema, rows).items():
        mark(broken, name)
    return counts.tolist(), first.tolist()


class ScoreRows(ModelStage[RowScorerSpec]):
    """PCollection[TaskRecord] of raw shards -> PCollection[TaskRecord] of their score manifests."""

    stage, folder, models = "score", "scores", LazyRowScorer
    elements, title = "shards", "Score rows"
    work = staticmethod(_score)
