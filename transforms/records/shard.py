"""The Parquet shard of rows: its bytes, the checksums of its rows, and reading it again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.cohort import frame_of, own_column, parquet_bytes
from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.transforms.shards.tars import sha256

ID = "sample_id"
"""Of ours in a shard, as is RATIO; where the cohort has a column of that name, ours has another (``own_column``)."""


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
