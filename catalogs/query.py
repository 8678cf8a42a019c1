"""Questions to a catalog: SQL or a named query, read-only, with the answer as table, CSV, JSON or Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

FORMATS = ("table", "csv", "json", "parquet")


def named_queries() -> dict[str, str]:
    """Return the named queries: name -> the question it answers."""
    raise NotImplementedError


def run_query(
    run_dir: str | Path, sql_or_name: str, params: Mapping[str, Any] | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Raises QueryError, CatalogError. A missing or stale catalog is made from run.json first."""
    raise NotImplementedError


def write_result(columns: Sequence[str], rows: Sequence[Sequence[Any]], format: str, stream: IO[Any]) -> None:
    """Write to a text stream (table, csv, json) or a binary one (parquet; ``.buffer`` of a text one)."""
    raise NotImplementedError
