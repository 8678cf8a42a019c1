"""Write curated shards of rows: copy the kept rows out of their raw shards, with a WebDataset tar beside if asked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pandas as pd
import pyarrow.parquet as pq

from fairshards.catalogs.cohorts.cohort import frame_of, own_column
from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.catalogs.manifests.manifest import ManifestError, Shard
from fairshards.transforms.pictures.curate import TWIN
from fairshards.transforms.records.shard import ID, place, plain_rows, row_digests, row_shard
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.tars import ShardSample, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord

VERSION = "curate-rows/1"


def write_curated_rows(task: ShardTask, schema: Schema, twin: bool) -> TaskRecord:
    """Write and commit one curated shard of rows, with a WebDataset ``twin`` of it if asked.

    Raises:
        ManifestError: a raw shard doesn't hold what its manifest says.
    """
    return finish(OpenTask(task), VERSION, lambda todo: _copy(todo, schema, twin))


@unquoted("copying rows")
def _copy(todo: OpenTask, schema: Schema, twin: bool) -> Made:
    ids = [row["sample_id"] for row in todo.rows]
    rows = _collected(todo.task.run, todo.rows, schema)
    shard = todo.publish(row_shard(ids, rows, schema), len(ids), name=f"{todo.task.name}.parquet")
    settings = {TWIN: vars(_twin(todo, rows))} if twin else {}
    index = [{**row, **place(shard.name, number)} for number, row in enumerate(todo.rows)]
    return Made(index, shard, settings, attempt={"samples": len(ids)})


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
    rows = together.loc[[row["sample_id"] for row in wanted]].reset_index(drop=True)
    for row, checksum in zip(wanted, row_digests(rows, schema), strict=True):
        if row["image_sha256"] != checksum:
            raise ManifestError(
                f"row {row['sample_id']} in raw/{row['shard']} is not the one that was committed; "
                "delete that shard's manifest and run again"
            )
    return rows


def _twin(todo: OpenTask, rows: pd.DataFrame) -> Shard:
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
        for row, values in zip(todo.rows, plain_rows(rows), strict=True)
    ]
    tar, _ = write_shard(samples)
    return todo.publish(tar, len(samples), name=f"{todo.task.name}.tar")


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
            | "Copy the kept" >> beam.Map(write_curated_rows, schema, twin)
        )
