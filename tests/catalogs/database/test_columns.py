"""A column means the same in Parquet and in SQL: a manifest's values stand in the catalog under the same names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from fairshards.catalogs.database import ingest, statements
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import Head
from fairshards.catalogs.manifests.schemas import SCHEMAS

SQL_TYPES = {
    pa.string(): {"VARCHAR", "JSON"},
    pa.int64(): {"BIGINT"},
    pa.float64(): {"DOUBLE"},
    pa.bool_(): {"BOOLEAN"},
    pa.list_(pa.float64()): {"DOUBLE[]"},
    pa.list_(pa.string()): {"VARCHAR[]"},
}
NAMESAKES = {
    ("personalisations", "personal_id"),
    ("personalisations", "concept"),
    ("personalisations", "token"),
    ("row_models", "model_id"),
    ("training_runs", "training_id"),
    ("training_shards", "training_id"),
    ("calibration_curves", "threshold"),
}
"""What the catalog takes from a manifest's head, or from a list in its rows, under the name of another column."""
NOT_IN_THE_CATALOG = {
    "cohort": {"row"},
    "extract": {"raw"},
    "calibrate": {"shares", "limits"},
    "calibration_plan": {"y", "class_name", "b", "bias_name", "shard", "offset", "size", "image_sha256"},
    "edit_plan": {"source_shard", "source_offset", "source_size", "source_sha256"},
    "generate": {"preview_step", "preview_clip_alignment", "preview_judge_class", "preview_judge_bias"},
}
"""By stage, what has another name in the catalog, or stays in the manifest; so do status, reason and detail."""


def row_of(stage: str) -> dict[str, Any]:
    """Return a good row with another value in every column."""
    values = {}
    for number, field in enumerate(SCHEMAS[stage], start=1):
        text = json.dumps(f"{field.name} {number}")
        made: dict[pa.DataType, Any] = {
            pa.string(): text,
            pa.int64(): number,
            pa.float64(): number + 0.5,
            pa.bool_(): True,
            pa.list_(pa.float64()): [number + 0.25],
            pa.list_(pa.string()): [text],
        }
        values[field.name] = made[field.type]
    return {**values, **({"status": "ok"} if "status" in values else {})}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    for statement in statements.schema_statements():
        con.execute(statement)
    return con


@pytest.mark.parametrize("stage", SCHEMAS)
def test_a_name_has_one_value_and_one_type(stage: str, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    row, schema, name = row_of(stage), SCHEMAS[stage], f"{stage}.parquet"
    data, head = manifest.encode(Head(stage, "task", "0" * 64), [row], {})
    (tmp_path / name).write_bytes(data)
    ingest.ingest(con, ingest.read_listed(tmp_path, [name])[0])
    kept = set()
    for table in ingest.manifest_tables(con):
        if table in ("ingested", "task_attempts"):
            continue
        cursor = con.execute(f"SELECT * FROM {table} WHERE manifest = $1", [head.content_sha256])
        columns = [(str(column[0]), str(column[1])) for column in cursor.description or []]
        for stored in cursor.fetchall():
            for (column, kind), value in zip(columns, stored, strict=True):
                if column in row and (table, column) not in NAMESAKES:
                    kept.add(column)
                    assert kind in SQL_TYPES[schema.field(column).type], f"{table}.{column} is {kind}"
                    assert value == row[column], f"{table}.{column} is another column of stage {stage}"
    left = set(row) - kept - {"status", "reason", "detail"}
    assert left == NOT_IN_THE_CATALOG.get(stage, set()), f"columns of stage {stage} that the catalog doesn't name"
