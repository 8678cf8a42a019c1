"""Source pictures out of their shards, for the stages that look at them again (caption, edit, test)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.tars import sha256, slice_of


def source_pictures(run: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield each row's encoded source picture, in order, checked against its SHA-256.

    A row names it by ``source_shard`` (relative to the run folder), ``source_offset``, ``source_size`` and
    ``source_sha256``. On a file system only these bytes are read; elsewhere a shard is read whole and kept while
    the rows that follow name it.

    Raises:
        ManifestError: a shard isn't there, or doesn't hold what the row says.
        OSError: it can't be read.
    """
    held: tuple[str, bytes] = ("", b"")
    for row in rows:
        shard = storage.join(run, row["source_shard"])
        if not storage.is_local(shard):
            held = held if held[0] == shard else (shard, _whole(shard))
            data = slice_of(held[1], row["source_offset"], row["source_size"])
        else:
            data = _range(shard, row["source_offset"], row["source_size"])
        if sha256(data) != row["source_sha256"]:
            raise ManifestError(
                f"source picture {row['source_id']} in {row['source_shard']} isn't the one that was planned "
                f"({len(data)} bytes, SHA-256 {sha256(data)[:12]}, expected {row['source_sha256'][:12]}); "
                "restore the shard, or make the plan again"
            )
        yield data


def _range(path: str, offset: int, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError as error:
        raise _missing(path) from error


def _whole(path: str) -> bytes:
    try:
        return storage.read(path)
    except FileNotFoundError as error:
        raise _missing(path) from error


def _missing(path: str) -> ManifestError:
    return ManifestError(f"source shard {path} isn't there; restore it, or run the source stage again")
