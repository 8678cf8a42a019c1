"""Opening the DuckDB file: its creation, its locks, and DuckDB's errors in words that say what to do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb

from fairshards.catalogs.database import statements
from fairshards.catalogs.errors import CatalogBusy, CatalogError, CatalogMissing, CatalogOutdated, CatalogUnreadable

# DuckDB must not try to download an extension for whatever file it is shown.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
# What reads a catalog sees nothing but it: no files, no network, no variables of this process, and (``close_off``) no
# way to ask for more. What doesn't fit into memory is refused, since what only reads leaves no files.
READ_CONFIG = {**CONFIG, "enable_external_access": False, "python_enable_replacements": False, "temp_directory": ""}
_MAGIC = slice(8, 12)
_DAMAGED = (
    "corrupt",
    "checksum",
    "not a valid duckdb",
    "could not read enough bytes",
    "version number",
    "replaying wal",
    "deserializ",
    "serialization error",
    "fatal error",
    "internal error",
)
_UNWRITABLE = ("no space left", "disk quota", "file too large", "could not write", "input/output error")


def connect(path: Path, read_only: bool, wait: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Return a connection to the catalog file, trying for ``wait`` seconds while another process holds it.

    One that is read-only sees nothing but the catalog (``READ_CONFIG``, ``close_off``).

    Raises:
        CatalogMissing: there is no such file.
        CatalogBusy: it is held elsewhere; the message names the holder's PID.
        CatalogUnreadable: it is damaged or no DuckDB file.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            return _connect(path, read_only)
        except CatalogBusy:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def as_closed_as(folder: Path) -> Iterator[None]:
    """Let DuckDB make files, its log among them, that others can't read where they can't look into the folder."""
    closed = folder.is_dir() and not folder.stat().st_mode & 0o077
    before = os.umask(0o077) if closed else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


def create(path: Path) -> None:
    """Make an empty catalog in one step: the file is there with its whole schema, or not at all.

    It never replaces a catalog that another process made meanwhile.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(temporary), config=CONFIG) as con:
            for statement in statements.schema_statements():
                con.execute(statement)
            con.execute("INSERT INTO catalog_info VALUES ($1)", [statements.schema_version()])
            con.execute("CHECKPOINT")  # closing does it too, but swallows a full disk
        if not path.exists():
            _wal(path).unlink(missing_ok=True)  # left by a catalog that was deleted
        _publish(temporary, path)
    except (OSError, duckdb.Error) as error:
        raise CatalogError(f"can't make the catalog {path}: {_first_line(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # on a read-only file system even what isn't there can't be deleted
            temporary.unlink(missing_ok=True)
            _wal(temporary).unlink(missing_ok=True)


def close_off(con: duckdb.DuckDBPyConnection) -> None:
    """Let an open connection touch no file any more, and lock its settings; closing off twice does nothing.

    Without external access DuckDB still allows SQL the file that is open, and its log: EXPLAIN ANALYZE COPY wrote over
    the catalog itself.
    """
    locked = con.execute("SELECT current_setting('lock_configuration')").fetchone()
    if locked != (True,):  # all connections of a process to one file share their settings
        con.execute("SET disabled_filesystems = 'LocalFileSystem'")
        con.execute("SET lock_configuration = true")


def delete(path: Path) -> None:
    """Delete a catalog with all that belongs to it; do it only while no other process holds it."""
    for file in (path, _wal(path), *path.parent.glob(f".{path.name}.*.tmp*")):
        file.unlink(missing_ok=True)


def copy(path: Path, to: Path) -> None:
    """Copy a catalog, with what its last writer has left beside it; do it only while no other process writes it."""
    if _wal(path).exists():
        shutil.copyfile(_wal(path), _wal(to))
    shutil.copyfile(path, to)


def version(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Return the schema version of an open catalog.

    Raises:
        CatalogUnreadable: it is a DuckDB file, but no catalog.
    """
    try:
        found = con.execute("SELECT schema_version FROM catalog_info").fetchone()
    except duckdb.CatalogException:
        found = None
    if not found:
        raise unreadable(path, "it is a DuckDB file, but not a fairshards catalog")
    return str(found[0])


def require_version(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise CatalogOutdated unless these very SQL files made the catalog."""
    found, expected = version(con, path), statements.schema_version()
    if found != expected:
        raise CatalogOutdated(
            f"{path} has schema {found}, this fairshards has {expected}; the next `fairshards run` or "
            "`fairshards query` makes it again from the manifests"
        )


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors about the file itself, which may come late, into ours; others pass."""
    try:
        yield
    except duckdb.Error as error:
        if unwritable(error):
            why = f"{_first_line(error)}. What was ingested before stays; make room and run again"
            raise CatalogError(f"can't write {path}: {why}") from error
        if damaged(error):
            raise unreadable(path, _first_line(error)) from error
        raise


def damaged(error: duckdb.Error) -> bool:
    """Return whether DuckDB says that the file's content is broken."""
    return any(word in str(error).lower() for word in _DAMAGED)


def unwritable(error: duckdb.Error) -> bool:
    """Return whether DuckDB says that the disk doesn't take what it writes."""
    return any(word in str(error).lower() for word in _UNWRITABLE)


def unreadable(path: Path, why: str) -> CatalogUnreadable:
    """Return the error for a file that can be thrown away, and say so."""
    return CatalogUnreadable(
        f"{path} can't be used as a catalog: {why}. Delete it (or move it away, if it's yours): the catalog "
        "is rebuilt from the run's manifests by the next `fairshards run` or `fairshards query`"
    )


def _connect(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    _require_magic(path)
    try:
        con = duckdb.connect(str(path), read_only=read_only, config=READ_CONFIG if read_only else CONFIG)
        if read_only:
            close_off(con)
        return con
    except duckdb.ConnectionException as error:
        if "different configuration" in str(error):
            raise CatalogBusy(
                f"{path} is open in this process already, in the other mode; close that first", os.getpid()
            ) from error
        raise CatalogError(f"can't open {path}: {_first_line(error)}") from error
    except duckdb.Error as error:
        raise _opening_error(path, error) from error


def _opening_error(path: Path, error: duckdb.Error) -> CatalogError:
    text = str(error)
    if "set lock" in text or "Conflicting lock" in text:
        pid = re.search(r"PID (\d+)", text)
        holder = f"process {pid[1]}" if pid else "another process"
        return CatalogBusy(
            f"{path} is held by {holder}; wait until it is done, or end it, and try again", int(pid[1]) if pid else None
        )
    if damaged(error):
        return unreadable(path, _first_line(error))
    return CatalogError(f"can't open {path}: {_first_line(error)}")


def _require_magic(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise CatalogMissing(f"there is no catalog at {path}") from None
    except OSError as error:
        raise CatalogError(f"can't open {path}: {error}") from error
    if head[_MAGIC] != b"DUCK":
        raise unreadable(path, "it is no DuckDB file")


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        os.replace(temporary, path)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
