"""Rows of health records on Beam: sample a trained Bt-GAN, score the rows, copy the kept ones. A task is a shard."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.checked import broken_rules, invalid
from fairshards.catalogs.cohorts.cohort import frame_of, own_column, parquet_bytes
from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.filters.records.discriminator import ACCEPTANCE, RATIO
from fairshards.filters.records.distance_ratio import SCORE as DISTANCE_RATIO
from fairshards.filters.records.nearest_record import SCORE as NEAREST
from fairshards.filters.records.valid_row import SCORE as VIOLATIONS
from fairshards.generators.tables.bt_gan import BtGan, row_seeds
from fairshards.generators.tables.record_space import NEIGHBOURS, RecordSpace, distance_ratio, neighbours, told
from fairshards.transforms.pictures.curate import TWIN
from fairshards.transforms.pictures.score import score_task_of
from fairshards.transforms.pictures.specs import HasHints
from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.tars import ShardSample, sha256, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.stage import LazyModels, StageHandler, use_threads

SAMPLE_VERSION, ROW_SCORE_VERSION, ROW_CURATE_VERSION = "sample-rows/1", "score-rows/2", "curate-rows/1"
ID = "sample_id"
"""Of ours in a shard, as is RATIO; where the cohort has a column of that name, ours has another (``own_column``)."""


@dataclass(frozen=True)
class RowSpec(HasHints):
    """What a worker needs to sample a Bt-GAN. ``fingerprint`` is the model's."""

    model: str
    fingerprint: str
    device: str = "cpu"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's rows."""
        return digest({"version": SAMPLE_VERSION, "model": self.fingerprint})


@dataclass(frozen=True)
class RowScorerSpec(HasHints):
    """What a worker needs to score rows: the model, and the training rows that they are held against.

    ``shared`` is how many of these have a record that is nobody's (``record_space.told``), which no distance counts.
    """

    model: str
    fingerprint: str
    train: str
    train_sha256: str
    shared: int = 0
    device: str = "cpu"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's scores."""
        shared = {"shared": self.shared} if self.shared else {}
        return digest({"version": ROW_SCORE_VERSION, "model": self.fingerprint, "train": self.train_sha256, **shared})


class LazyRows(LazyModels[RowSpec]):
    """Holds the Bt-GAN."""

    @cached_property
    def model(self) -> BtGan:
        """The loaded model."""
        use_threads(self.spec.threads)
        return BtGan.load_bytes(storage.read(self.spec.model), self.spec.device)


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


@unquoted("drawing rows")
def sample_task(task: ShardTask, lazy: LazyRows) -> TaskRecord:
    """Draw and commit the rows of one task; a finished task is only looked up."""
    if found := commit.find(task):
        return found
    with lazy.lock:
        started = time.time()
        plan = commit.read_task_rows(task)
        y, s = (np.array([row[name] for row in plan], dtype=np.int64) for name in ("y", "b"))
        drawn = lazy.model.draw(y, s, row_seeds([row["noise_seed"] for row in plan]))
        rows, schema = drawn.rows, lazy.model.encoding.schema
        ids = [row["sample_id"] for row in plan]
        data = row_shard(ids, rows.assign(**{own_column(schema, RATIO): drawn.ratios.astype(np.float64)}), schema)
        shard = commit.publish_shard(task, data, len(ids), name=f"{task.stem}-{sha256(data)[:12]}.rows.parquet")
        checksums = row_digests(rows, schema)
        made = [
            {"sample_id": name, **place(shard.name, number), "image_sha256": checksum, "status": "ok"}
            for number, (name, checksum) in enumerate(zip(ids, checksums, strict=True))
        ]
        return commit.commit(
            task,
            made,
            fingerprint=lazy.spec.stage_fingerprint,
            shard=shard,
            attempt=commit.attempt(started, samples=len(ids), device=lazy.spec.device),
        )


@unquoted("scoring rows")
def score_task(made: TaskRecord, lazy: LazyRowScorer) -> TaskRecord:
    """Score and commit the rows of one raw shard; a finished task is only looked up."""
    task = score_task_of(made, lazy.spec)
    if found := commit.find(task):
        return found
    with lazy.lock:
        started = time.time()
        head, _ = manifest.read_rows(storage.read(storage.join(task.run, made.manifest)))
        assert head.shard is not None
        table = pq.read_table(io.BytesIO(storage.read(storage.join(task.run, made.task.folder, head.shard.name))))
        schema = lazy.model.encoding.schema
        ids = table[own_column(schema, ID)].to_pylist()
        ratios = table[own_column(schema, RATIO)].to_numpy().astype(np.float32)
        rows = frame_of(table, schema)
        counts, first = violations(schema, rows)
        near = neighbours(lazy.space.points(rows), lazy.train, lazy.space.columns, NEIGHBOURS)
        rejection = lazy.model.rejection
        columns: dict[str, Sequence[float]] = {
            VIOLATIONS: counts,
            RATIO: ratios.tolist(),
            NEAREST: near[:, 0].tolist(),
            DISTANCE_RATIO: distance_ratio(near).tolist(),
        }
        if rejection:
            columns[ACCEPTANCE] = rejection.acceptance(ratios).tolist()
        scores = [
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
        return commit.commit(
            task,
            scores,
            fingerprint=lazy.spec.stage_fingerprint,
            inputs=[made.content_sha256],
            attempt=commit.attempt(started, samples=len(ids), device=lazy.spec.device),
        )


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


@unquoted("copying rows")
def write_rows_task(task: ShardTask, schema: Schema, twin: bool) -> TaskRecord:
    """Copy one curated shard's rows out of their raw shards and commit it, with a WebDataset tar beside it if asked.

    Raises:
        ManifestError: a raw shard doesn't hold what its manifest says.
    """
    if found := commit.find(task):
        return found
    started = time.time()
    wanted = commit.read_task_rows(task)
    ids = [row["sample_id"] for row in wanted]
    rows = _collected(task.run, wanted, schema)
    data = row_shard(ids, rows, schema)
    shard = commit.publish_shard(task, data, len(ids), name=f"{task.name}.parquet")
    settings = {TWIN: vars(_twin(task, wanted, rows))} if twin else {}
    index = [{**row, **place(shard.name, number)} for number, row in enumerate(wanted)]
    return commit.commit(
        task,
        index,
        fingerprint=ROW_CURATE_VERSION,
        shard=shard,
        settings=settings,
        attempt=commit.attempt(started, samples=len(ids)),
    )


def _collected(run: str, wanted: Sequence[Mapping[str, Any]], schema: Schema) -> pd.DataFrame:
    """Return the wanted rows in order, reading each raw shard once."""
    parts = []
    for name in sorted({str(row["shard"]) for row in wanted}):
        table = pq.read_table(io.BytesIO(storage.read(storage.join(run, "raw", name))))
        parts.append(frame_of(table, schema).set_axis(table[own_column(schema, ID)].to_pylist()))
    together = pd.concat(parts)
    missing = [row["sample_id"] for row in wanted if row["sample_id"] not in together.index]
    if missing:
        raise ManifestError(
            f"{len(missing)} kept rows are not in their raw shards, the first is {missing[0]}; "
            "run `fairshards verify` to find the damaged shard"
        )
    found = together.loc[[row["sample_id"] for row in wanted]].reset_index(drop=True)
    for row, checksum in zip(wanted, row_digests(found, schema), strict=True):
        if row["image_sha256"] != checksum:
            raise ManifestError(
                f"row {row['sample_id']} in raw/{row['shard']} is not the one that was committed; "
                "delete that shard's manifest and run again"
            )
    return found


def _twin(task: ShardTask, wanted: Sequence[Mapping[str, Any]], rows: pd.DataFrame) -> Any:
    """Publish the rows as a WebDataset tar: a JSON of the row and its group beside the class number."""
    samples = [
        ShardSample(
            row["sample_id"],
            canonical_json(values).encode(),
            "row.json",
            row["y"],
            {"g": 1, **{name: row[name] for name in ("class_name", "b", "bias_name", "group_name")}},
            "",
        )
        for row, values in zip(wanted, plain_rows(rows), strict=True)
    ]
    tar, _ = write_shard(samples)
    return commit.publish_shard(task, tar, len(samples), name=f"{task.name}.tar")


def row_shard(ids: Sequence[str], rows: pd.DataFrame, schema: Schema) -> bytes:
    """Return a Parquet shard's bytes: the ids, then the columns; the schema is in its metadata."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.add_column(0, own_column(schema, ID), pa.array(ids, pa.string()))
    return parquet_bytes(table, schema)


def place(shard: str, number: int) -> dict[str, Any]:
    """Return where a row lies, as manifests say it: ``offset`` is its number in the shard, ``size`` 1."""
    return {"shard": shard, "offset": number, "size": 1}


def row_digests(rows: pd.DataFrame, schema: Schema) -> list[str]:
    """Return each row's checksum over the schema's columns."""
    return [sha256(canonical_json(values).encode()) for values in plain_rows(rows[schema.names])]


def plain_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values; missing is None."""
    return list(pa.Table.from_pandas(rows, preserve_index=False).to_pylist())


def read_frame(data: bytes, schema: Schema) -> pd.DataFrame:
    """Return the rows of a Parquet file as ``frame_of``."""
    return frame_of(pq.read_table(io.BytesIO(data)), schema)


def read_people(data: bytes, schema: Schema) -> NDArray[np.int64] | None:
    """Return whose row each is, int64[n], by the column of a cohort's file that its schema lacks; None without one."""
    table = pq.read_table(io.BytesIO(data))
    for name in table.column_names:
        if name not in schema.names:
            codes: NDArray[np.int64] = pd.factorize(table[name].to_pandas())[0].astype(np.int64)
            return codes
    return None


@dataclass
class SampleRows(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one raw shard a task."""

    spec: RowSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        handler = StageHandler(self.spec, LazyRows, sample_task)
        return tasks | "Spread the tasks" >> beam.Reshuffle() | "Sample rows" >> handler.step()


@dataclass
class ScoreRows(beam.PTransform):  # type: ignore[misc]
    """PCollection[TaskRecord] of raw shards -> PCollection[TaskRecord] of their score manifests."""

    spec: RowScorerSpec

    def expand(self, made: Any) -> Any:
        """Wire the step."""
        handler = StageHandler(self.spec, LazyRowScorer, score_task)
        return made | "Spread the shards" >> beam.Reshuffle() | "Score rows" >> handler.step()


@dataclass
class WriteCuratedRows(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one curated shard a task."""

    schema: str
    twin: bool

    def expand(self, tasks: Any) -> Any:
        """Wire the step; the schema travels as JSON."""
        schema, twin = Schema.from_json(self.schema), self.twin
        return (
            tasks
            | "Spread the shards" >> beam.Reshuffle()
            | "Copy the kept" >> beam.Map(lambda task: write_rows_task(task, schema, twin))
        )
