"""What the report reads from the catalog: one .sql file a question, and which curation is the current one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fairshards.catalogs.database import connection, statements
from fairshards.catalogs.database.catalog import RUN_JSON, current_manifests
from fairshards.catalogs.database.current import open_current
from fairshards.catalogs.manifests import places
from fairshards.catalogs.questions.query import answer

Row = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """An open catalog with the curation that the report is about, if there is one."""

    con: duckdb.DuckDBPyConnection
    curation: str | None

    def rows(self, name: str, **params: Any) -> list[Row]:
        """Return what ``catalogs/sql/report/<name>.sql`` answers; ``$curation`` is filled in where it is asked."""
        sql = statements.read(f"report/{name}")
        if "$curation" in sql:
            params["curation"] = self.curation
        columns, rows = answer(self.con, sql, params)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def row(self, name: str, **params: Any) -> Row:
        """Return the first row, or an empty one."""
        return next(iter(self.rows(name, **params)), {})


@contextlib.contextmanager
def open_reader(root: Path) -> Iterator[Reader]:
    """Open the run's catalog read-only, brought up to date first; a folder without a run reads as an empty one.

    Raises:
        CatalogError, ManifestError: the catalog can't be opened, nor made from the manifests.
    """
    if not (root / RUN_JSON).exists():
        with duckdb.connect(config=connection.READ_CONFIG) as con:
            connection.close_off(con)
            for statement in statements.schema_statements():
                con.execute(statement)
            yield Reader(con, None)
        return
    with open_current(root) as catalog, connection.explained(catalog.path):
        yield Reader(catalog.con, _current_curation(root))


def curation_settings(reader: Reader) -> dict[str, Any]:
    """Return what the curation's manifest says: filters, thresholds, quotas, shortfall; empty without one."""
    found = reader.row("settings")
    return dict(json.loads(found["settings"])) if found else {}


def _current_curation(root: Path) -> str | None:
    """Return the id of the newest curation: the driver lists it before earlier ones that still stand."""
    names = [Path(name) for name in current_manifests(root)]
    ids = [name.parent.name for name in names if name.match(f"{places.CURATED}*/decisions.parquet")]
    return ids[0] if ids else None
