"""From a list of manifests to a catalog that holds exactly these: what is new, what must go, what stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fairshards.catalogs.database import ingest, uniqueness
from fairshards.catalogs.database.ingest import Listed
from fairshards.catalogs.manifests.manifest import ManifestError, read_head

Progress = Callable[[int, int], None]
"""Called as (manifests done, manifests in all) after each manifest that is ingested."""


@dataclass(frozen=True)
class SyncReport:
    """What a sync did: manifests ingested, removed, and left as they were; rows that were ingested."""

    ingested: int
    removed: int
    unchanged: int
    rows: int


def sync(con: duckdb.DuckDBPyConnection, listed: Sequence[Listed], progress: Progress | None) -> SyncReport:
    """Remove what isn't listed, ingest what is new in the order of the names, and check that ids are unique."""
    gone = stale(con, listed)
    ingest.remove(con, gone)
    known = {row[0] for row in con.execute("SELECT manifest FROM ingested").fetchall()}
    todo = sorted((one for one in listed if one.manifest not in known), key=lambda one: one.name)
    rows = 0
    for done, one in enumerate(todo, start=1):
        rows += ingest.ingest(con, one)
        if progress:
            progress(done, len(todo))
    uniqueness.check_unique(con)
    return SyncReport(len(todo), len(gone), len(listed) - len(todo), rows)


def stale(con: duckdb.DuckDBPyConnection, listed: Sequence[Listed]) -> list[str]:
    """Return the content hashes to remove: no longer listed, moved, or sources whose set has changed.

    Which of two sources with one id is the duplicate depends on all source manifests in their order.
    """
    held = con.execute("SELECT manifest, path, stage FROM ingested").fetchall()
    wanted = {one.manifest: one.name for one in listed}
    gone = {manifest for manifest, path, _ in held if wanted.get(manifest) != path}
    sources = {one.manifest for one in listed if one.head.stage == "source"}
    held_sources = {manifest for manifest, _, stage in held if stage == "source"}
    if sources != held_sources or held_sources & gone:
        gone |= held_sources
    return sorted(gone)


def is_current(con: duckdb.DuckDBPyConnection, run_dir: Path, names: Iterable[str], written: int) -> bool:
    """Return whether a catalog holds the manifests of these names, as they are now, and no others.

    Only those that were written since the catalog was, at ``written`` (nanoseconds), are opened.
    """
    rows = con.execute("SELECT path, manifest, checked FROM ingested").fetchall()
    held = {path: manifest for path, manifest, _ in rows}
    if held.keys() != set(names) or not all(checked for _, _, checked in rows):
        return False
    try:
        newer = [path for path in held if (run_dir / path).stat().st_mtime_ns >= written]
        return all(read_head(run_dir / path).content_sha256 == held[path] for path in newer)
    except (OSError, ManifestError):
        return False


def name_in(run_dir: Path, path: str | Path) -> str:
    """Return a manifest's name: its path relative to the run folder, with forward slashes."""
    given = Path(path)
    absolute = given.parent.resolve() / given.name if given.is_absolute() else run_dir / given
    return Path(os.path.relpath(absolute, run_dir)).as_posix()
