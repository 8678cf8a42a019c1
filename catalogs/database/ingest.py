"""From committed manifests to catalog rows: one transaction each, whole tables at a time, never a row."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from fairshards.catalogs.database import connection, statements
from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.catalogs.manifests.manifest import Head, ManifestError, read_attempt, read_head
from fairshards.catalogs.manifests.schemas import SCHEMAS


@dataclass(frozen=True)
class Listed:
    """A manifest that the catalog must reflect; ``name`` is its path relative to the run folder."""

    name: str
    path: Path
    head: Head
    attempt: dict[str, Any]

    @property
    def manifest(self) -> str:
        """The content hash that stands for it in every row."""
        return self.head.content_sha256


def read_listed(run_dir: Path, names: Iterable[str]) -> list[Listed]:
    """Return the manifests with their heads; one whose content is listed already is left out.

    Raises:
        ManifestError: some can't be read; all of them are named.
    """
    found: dict[str, Listed] = {}
    problems = []
    for name in dict.fromkeys(names):
        try:
            listed = _read(run_dir, name)
        except ManifestError as error:
            problems.append(str(error))
        else:
            found.setdefault(listed.manifest, listed)
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise ManifestError(f"{len(problems)} of the run's manifests can't be read: {shown}")
    return list(found.values())


def ingest(con: duckdb.DuckDBPyConnection, listed: Listed) -> int:
    """Add a manifest's rows in one transaction and return how many it has.

    Raises:
        ManifestError: its rows can't be read, or lack a column.
    """
    with transaction(con):
        con.execute("SET VARIABLE head = $1", [_head(listed)])
        try:
            for name in ("manifest", *(["shards"] if _shards(listed.head) else []), listed.head.stage):
                con.execute(statements.read(f"ingest/{name}"))
        except duckdb.Error as error:
            if connection.unwritable(error) or (connection.damaged(error) and _readable(listed.path)):
                raise  # the catalog's fault, not the manifest's
            raise ManifestError(
                f"manifest {listed.name} can't be ingested: {error}; delete the file and run again"
            ) from error
        count = con.execute("SELECT row_count FROM ingested WHERE manifest = $1", [listed.manifest]).fetchone()
    return int(count[0]) if count else 0


def remove(con: duckdb.DuckDBPyConnection, manifests: Sequence[str]) -> None:
    """Remove all rows of the given content hashes in one transaction."""
    if not manifests:
        return
    with transaction(con):
        for table in manifest_tables(con):
            con.execute(f"DELETE FROM {table} WHERE manifest IN (SELECT unnest($1))", [list(manifests)])


def manifest_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the tables whose rows name their manifest, sorted."""
    rows = con.execute(
        "SELECT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
        "WHERE column_name = 'manifest' ORDER BY table_name"
    ).fetchall()
    return [row[0] for row in rows]


def _read(run_dir: Path, name: str) -> Listed:
    path = run_dir / name
    if not path.is_file():
        raise ManifestError(f"{name} is listed, but there is no file {path}; run the stage again")
    head = read_head(path)
    if head.stage not in SCHEMAS:
        raise ManifestError(f"{name} is of stage {head.stage!r}, which this catalog doesn't know")
    return Listed(name, path, head, read_attempt(path))


def _readable(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (pa.ArrowException, OSError):
        return False
    return True


def _head(listed: Listed) -> dict[str, Any]:
    """Return what the ingest SQL reads as ``getvariable('head')``."""
    head = listed.head
    return {
        "path": _literal(listed.path),
        "name": listed.name,
        "folder": listed.name.rpartition("/")[0],
        "manifest": head.content_sha256,
        "stage": head.stage,
        "task": head.task,
        "task_hash": head.task_hash,
        "fingerprint": head.fingerprint,
        "inputs": list(head.inputs),
        "settings": canonical_json(dict(head.settings)),
        "shards": _shards(head),
        "attempt": _attempt(listed.attempt),
    }


def _shards(head: Head) -> list[dict[str, Any]]:
    """Return the tars that a manifest names: its own, or those of an index, from its settings."""
    if head.stage != "index":
        return [asdict(head.shard)] if head.shard else []
    named = [asdict(head.shard)] if head.shard else head.settings.get("shards", [])
    return [{name: shard.get(name) for name in ("name", "sha256", "bytes", "samples")} for shard in named]


def _attempt(said: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: _number(said.get(name)) for name in ("pid", "started", "seconds", "samples")}
    return {**numbers, "host": str(said.get("host", "")), "details": canonical_json(said)}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _literal(path: Path) -> str:
    """Return the path as a glob pattern that matches itself only; read_parquet takes every path for one."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


@contextlib.contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or, when it raises, nothing of it."""
    con.begin()
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            con.rollback()
        raise
    con.commit()
