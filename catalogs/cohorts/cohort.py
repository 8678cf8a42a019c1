"""A cohort: a table of people with its schema, a train/test split by patient, and what could not be read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fairshards.catalogs.cohorts.schema import CohortError, Schema
from fairshards.catalogs.manifests.manifest import OWNER_ONLY, write_local

SCHEMA_KEY = b"fairshards.cohort"
SPLIT = "split"
"""The column that says train or test. It is no feature."""


@dataclass(frozen=True)
class Problem:
    """A row that isn't used: its number in the file (from 0), a short reason, and a sentence without its values."""

    row: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Cohort:
    """People, one row each: the schema's columns in order and, where the split is fixed, ``split``.

    Attributes:
        schema: What the columns are.
        rows: Categories as strings, integers as int64, numerics as float64; null is missing.
        rejects: Rows that were left out.
        counts: What the cohort's making counted, e.g. admissions left out by each rule; never a value of a person.
        patient: The column of ``rows`` that says whose row it is; it is no feature, and no patient is split.
        numbers: The number of each row in its file, from 0, where rows of it are missing here.
        notes: What each column was taken for beside its kind, by name, for people; never a value.
        remarks: Sentences that a run says of the reading; never a value.
    """

    schema: Schema
    rows: pa.Table
    rejects: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    patient: str | None = None
    numbers: tuple[int, ...] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the rows as Parquet with the schema in the file's metadata, for their owner alone."""
        write_local(path, parquet_bytes(self.rows, self.schema), OWNER_ONLY)


def own_column(schema: Schema, name: str) -> str:
    """Return what a column of ours is called beside the schema's: ``name``, or ``name_`` where they have that, ...

    Case makes no difference, since DuckDB sees none.
    """
    taken = {one.casefold() for one in schema.names}
    while name.casefold() in taken:
        name += "_"
    return name


def parquet_bytes(rows: pa.Table, schema: Schema) -> bytes:
    """Return a Parquet file of rows that says their schema in its metadata."""
    sink = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({SCHEMA_KEY: schema.to_json().encode()}), sink, compression="zstd")
    return sink.getvalue()


def frame_of(table: pa.Table, schema: Schema) -> pd.DataFrame:
    """Return the schema's columns: categories as str, integers as Int64, numerics as float64."""
    frame: pd.DataFrame = table.select(schema.names).to_pandas(integer_object_nulls=True)
    for column in schema.columns:
        kinds = {"integer": "Int64", "numeric": "float64", "category": "object"}
        frame[column.name] = frame[column.name].astype(kinds[column.kind])
    return frame


def read_cohort(path: Path) -> Cohort:
    """Return the cohort of a Parquet file that ``Cohort.write`` wrote.

    Raises:
        CohortError: there is no such file, or it has no schema.
    """
    if not path.is_file():
        raise CohortError(f"no cohort at {path}: expected a Parquet file that fairshards wrote")
    try:
        rows = pq.read_table(path)
    except pa.ArrowException as error:
        raise CohortError(f"{path} is no readable Parquet file") from error
    metadata = rows.schema.metadata or {}
    if SCHEMA_KEY not in metadata:
        raise CohortError(f"{path} is a Parquet file without a cohort's schema; make it with catalogs.cohorts")
    return Cohort(Schema.from_json(metadata[SCHEMA_KEY]), rows.replace_schema_metadata(None))
