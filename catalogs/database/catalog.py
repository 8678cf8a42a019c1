"""The DuckDB catalog of a run: one short-lived writer or many readers, always what run.json lists.

Every row comes from a committed manifest, so the file can be deleted at any time: ``rebuild`` gives the
same rows again, and so does a ``sync`` after a writer was killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import duckdb

from fairshards.catalogs.database import connection, ingest
from fairshards.catalogs.database.sync import Progress, SyncReport, is_current, name_in, sync
from fairshards.catalogs.errors import CatalogMissing, CatalogOutdated, CatalogUnreadable

CATALOG = "catalog.duckdb"
RUN_JSON = "run.json"
Mode = Literal["read", "write"]


@dataclass
class Catalog:
    """An open catalog. ``con`` is its DuckDB connection; leaving the ``with`` block closes it.

    ``own`` is the file of a snapshot (``catalogs/database/current.py``), which isn't the run's.
    """

    run_dir: Path
    mode: Mode
    con: duckdb.DuckDBPyConnection
    own: Path | None = None

    @classmethod
    def open(cls, run_dir: str | Path, mode: Mode = "read", wait: float = 0.0) -> Catalog:
        """Open the run's catalog, trying for ``wait`` seconds while another process holds it.

        "write" makes the file where there is none, and makes it anew where another version of fairshards
        made it: call ``sync`` next. While it is open for writing, no other process can open it at all.

        Raises:
            CatalogMissing: "read", and there is no catalog.
            CatalogBusy: another process holds it; the message names its PID.
            CatalogUnreadable: the file is damaged or not ours; it may be deleted.
            CatalogOutdated: "read", and another version made it.
        """
        root = Path(run_dir).resolve()
        path = root / CATALOG
        if mode == "read":
            return cls(root, mode, _connect(path, True, wait))
        with connection.as_closed_as(root):
            if not path.exists():
                connection.create(path)
            try:
                return cls(root, mode, _connect(path, False, wait))
            except CatalogOutdated:
                connection.delete(path)
                connection.create(path)
                return cls(root, mode, _connect(path, False, wait))

    @property
    def path(self) -> Path:
        """The file that is open."""
        return self.own or self.run_dir / CATALOG

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self.con.close()

    def sync(self, manifest_paths: Iterable[str | Path], progress: Progress | None = None) -> SyncReport:
        """Make the catalog reflect exactly these manifests, given relative to the run folder (or absolute).

        New ones are ingested, each in its own transaction; rows of manifests that are no longer listed are
        removed. What is there already isn't read again.

        Raises:
            ManifestError: a manifest can't be read (then nothing is changed), or repeats an id that another
                has (then both are named, and the newer one is left out).
        """
        names = [name_in(self.run_dir, path) for path in manifest_paths]
        listed = ingest.read_listed(self.run_dir, names)
        with connection.explained(self.path), connection.as_closed_as(self.run_dir):
            return sync(self.con, listed, progress)

    def is_current(self, names: Iterable[str]) -> bool:
        """Return whether the catalog holds the manifests of these names, as they are now, and no others."""
        written = self.path.stat().st_mtime_ns
        return is_current(self.con, self.run_dir, [name_in(self.run_dir, name) for name in names], written)


def current_manifests(run_dir: str | Path) -> list[str]:
    """Return the manifests that the run's run.json lists, relative to the run folder.

    Raises:
        CatalogMissing: there is no run.json, or it can't be read.
    """
    path = Path(run_dir) / RUN_JSON
    try:
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["manifests"]]
    except FileNotFoundError:
        raise CatalogMissing(f"{run_dir} is no run folder: it has no {RUN_JSON}; `fairshards run` makes one") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogMissing(f"{path} can't be read: {error!r}; run again to write it anew") from error


def rebuild(run_dir: str | Path, progress: Progress | None = None) -> SyncReport:
    """Delete the catalog and make it again from the manifests that run.json lists.

    Raises:
        CatalogBusy: another process holds it.
    """
    names, path = current_manifests(run_dir), Path(run_dir).resolve() / CATALOG
    with contextlib.suppress(CatalogMissing, CatalogUnreadable):
        connection.connect(path, read_only=False).close()
    connection.delete(path)
    with Catalog.open(run_dir, "write") as catalog:
        return catalog.sync(names, progress)


def dump(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table's rows and the view ``samples``'s, sorted, to compare two catalogs.

    Attempts may differ and are left out.
    """
    tables = [table for table in ingest.manifest_tables(con) if table != "task_attempts"]
    return {table: con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in [*tables, "samples"]}


def _connect(path: Path, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    """Return a connection to a catalog that these SQL files made."""
    con = connection.connect(path, read_only, wait)
    try:
        with connection.explained(path):
            connection.require_version(con, path)
    except BaseException:
        con.close()
        raise
    return con


__all__ = ["CATALOG", "RUN_JSON", "Catalog", "Mode", "Progress", "SyncReport", "current_manifests", "dump", "rebuild"]
