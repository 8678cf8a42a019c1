"""The Parquet manifest: the one commit point of every stage.

A manifest is a Parquet file whose rows follow the stage's schema and whose key-value metadata says which
task it commits, which shard it names, and the hash of its own content. Timings and hosts travel in a
second metadata entry outside that hash, so that a repeated task commits the same content.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.catalogs.manifests.schemas import SCHEMAS

FORMAT = 1
OWNER_ONLY = 0o600
"""The permissions of files that are made from patients."""
HEAD_KEY = b"fairshards"
ATTEMPT_KEY = b"fairshards.attempt"
# What pyarrow, JSON and our own types raise for damaged bytes
_DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError)


class ManifestError(ValueError):
    """A file that should be a manifest isn't one, or doesn't hold what it says."""


@dataclass(frozen=True)
class Shard:
    """A published tar: its file name beside the manifest, its SHA-256, its size and what it holds."""

    name: str
    sha256: str
    bytes: int
    samples: int


@dataclass(frozen=True)
class Head:
    """What a manifest says of itself. ``content_sha256`` covers all of it and the rows."""

    stage: str
    task: str
    task_hash: str
    fingerprint: str = ""
    inputs: tuple[str, ...] = ()
    shard: Shard | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    content_sha256: str = ""


def to_table(stage: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return ``rows`` as a table of the stage's schema.

    Raises:
        ManifestError: a row has a column that the schema lacks.
    """
    schema = SCHEMAS[stage]
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise ManifestError(f"stage {stage!r} has no column {sorted(unknown)}; it has {schema.names}")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def content_hash(head: Head, table: pa.Table) -> str:
    """Return the 64 hex digits that stand for a manifest's rows and head, timings apart."""
    rows = hashlib.sha256()
    for row in table.to_pylist():
        rows.update(canonical_json(row).encode())
        rows.update(b"\n")
    return digest({**asdict(head), "content_sha256": "", "format": FORMAT, "rows": rows.hexdigest()})


def encode(
    head: Head, rows: Sequence[Mapping[str, Any]], attempt: Mapping[str, Any], row_group: int = 4096
) -> tuple[bytes, Head]:
    """Return the manifest file's bytes and its head with the content hash filled in.

    ``row_group`` rows go into each Parquet row group, so that a worker can read only the rows of its task.
    """
    table = to_table(head.stage, rows)
    sealed = Head(**{**_shallow(head), "content_sha256": content_hash(head, table)})
    metadata = {
        HEAD_KEY: canonical_json({**asdict(sealed), "format": FORMAT}).encode(),
        ATTEMPT_KEY: canonical_json(dict(attempt)).encode(),
    }
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", row_group_size=max(1, row_group))
    return sink.getvalue(), sealed


def write_local(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write ``data`` to ``path`` so that a reader sees all of it or nothing (temporary name, fsync, rename).

    The file has the permissions ``mode``, less the umask, from its first byte on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_head(source: Path | bytes) -> Head:
    """Return the head of the manifest in ``source`` (a local path or the file's bytes).

    Raises:
        ManifestError: it is missing, damaged, no Parquet file, or a Parquet file that fairshards didn't write.
    """
    metadata = _metadata(source)
    with _intact(source):
        return _parse_head(metadata, source)


def read_attempt(source: Path | bytes) -> dict[str, Any]:
    """Return the timings and host of the attempt that wrote the manifest.

    Raises:
        ManifestError: as ``read_head``.
    """
    metadata = _metadata(source)
    with _intact(source):
        return dict(json.loads(metadata.get(ATTEMPT_KEY, b"{}")))


def read_rows(source: Path | bytes) -> tuple[Head, list[dict[str, Any]]]:
    """Return the head and the rows of a manifest, and check them against its content hash.

    A column that was added after the manifest was written is None in every row.

    Raises:
        ManifestError: as ``read_head``, or the rows are damaged or aren't those that were committed.
    """
    head = read_head(source)
    with _intact(source):
        table = pq.read_table(_open(source)).replace_schema_metadata(None)
        schema = SCHEMAS[head.stage]
        found = content_hash(head, table.cast(pa.schema([schema.field(name) for name in table.column_names])))
        rows = [{**dict.fromkeys(schema.names), **row} for row in table.to_pylist()]
    if found != head.content_sha256:
        raise ManifestError(
            f"manifest {_name(source)} was changed after its commit: content {found[:12]}, "
            f"committed {head.content_sha256[:12]}; delete the file and run again"
        )
    return head, rows


def read_range(source: Path | bytes, start: int, stop: int) -> list[dict[str, Any]]:
    """Return rows [start, stop) of a manifest; only the Parquet row groups that hold them are read and decoded.

    Raises:
        FileNotFoundError: there is no such file.
        ManifestError: it is damaged or no Parquet file.
    """
    with _intact(source), pq.ParquetFile(_open(source)) as file:
        return _range(file, start, stop)


def _range(file: pq.ParquetFile, start: int, stop: int) -> list[dict[str, Any]]:
    groups: list[int] = []
    first = position = 0
    for number in range(file.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if position < stop and position + count > start:
            first = first if groups else position
            groups.append(number)
        position += count
    if not groups:
        return []
    table = file.read_row_groups(groups)  # sliced before it becomes Python objects, which is the dear part
    return list(table.slice(start - first, max(0, stop - start)).to_pylist())


def _shallow(head: Head) -> dict[str, Any]:
    return {name: getattr(head, name) for name in head.__dataclass_fields__}


def _open(source: Path | bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _name(source: Path | bytes) -> str:
    return "(bytes)" if isinstance(source, bytes) else str(source)


@contextlib.contextmanager
def _intact(source: Path | bytes) -> Iterator[None]:
    """Turn what damage inside ``source`` raises into a ManifestError with its name; a missing file stays one."""
    try:
        yield
    except (FileNotFoundError, ManifestError):
        raise
    except _DAMAGE as error:
        raise ManifestError(f"manifest {_name(source)} is damaged: {error}; delete the file and run again") from error


def _metadata(source: Path | bytes) -> dict[bytes, bytes]:
    try:
        return dict(pq.read_metadata(_open(source)).metadata or {})
    except _DAMAGE as error:
        raise ManifestError(f"{_name(source)} is not a readable Parquet file: {error}") from error


def _parse_head(metadata: Mapping[bytes, bytes], source: Path | bytes) -> Head:
    if HEAD_KEY not in metadata:
        raise ManifestError(f"{_name(source)} is a Parquet file, but not a fairshards manifest")
    raw = json.loads(metadata[HEAD_KEY])
    if raw.pop("format", None) != FORMAT:
        raise ManifestError(f"{_name(source)} has another manifest format than {FORMAT}; delete it and run again")
    shard = Shard(**raw.pop("shard")) if raw.get("shard") else raw.pop("shard", None)
    return Head(**{**raw, "shard": shard, "inputs": tuple(raw["inputs"])})
