"""WebDataset tars as bytes: deterministic writing, and reading by sample or by byte range.

A sample is ``<key>.cls`` (the class number), ``<key>.json`` (its facts), ``<key>.png|jpg|webp`` and
``<key>.txt`` (its prompt or caption), which webdataset and Hugging Face ``datasets`` both read.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import webdataset as wds

from catalogs.identity import canonical_json

IMAGE_EXTENSIONS = ("png", "jpg", "jpeg", "webp")


@dataclass(frozen=True)
class ShardSample:
    """One sample of a shard: its hex key, the encoded image, and what stands beside it."""

    key: str
    image: bytes
    extension: str
    y: int
    facts: Mapping[str, Any]
    text: str


def write_shard(samples: Iterable[ShardSample]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Return a tar's bytes and, per key, the (offset, size) of its image inside the tar.

    The same samples give the same bytes: members are sorted within a sample and carry no time.

    Raises:
        ValueError: a key is there twice, or has a character that WebDataset readers split at.
    """
    buffer = io.BytesIO()
    seen: dict[str, str] = {}
    with wds.TarWriter(buffer, mtime=0.0, encoder=False) as writer:
        for sample in samples:
            if not sample.key.isalnum() or sample.key in seen:
                raise ValueError(f"shard key {sample.key!r} is not alphanumeric, or there twice")
            seen[sample.key] = sample.extension
            writer.write(
                {
                    "__key__": sample.key,
                    "cls": str(sample.y).encode(),
                    "json": canonical_json(dict(sample.facts)).encode(),
                    sample.extension: sample.image,
                    "txt": sample.text.encode(),
                }
            )
    data = buffer.getvalue()
    return data, {key: place for key, extension, place in _members(data) if seen.get(key) == extension}


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def slice_of(tar: bytes, offset: int, size: int) -> bytes:
    """Return the ``size`` bytes at ``offset`` of a tar that was read whole."""
    return tar[offset : offset + size]


def read_samples(tar: bytes) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield each key of a WebDataset tar with its members by extension, in the order of the tar.

    A key is what stands before the *last* dot of a member's name here, so that a key with a dot is seen
    as it was meant and can be rejected with a reason, where webdataset would split it at the first one.

    Raises:
        tarfile.ReadError: the tar is truncated or no tar; what came before it has been yielded.
    """
    key, members = "", dict[str, bytes]()
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for info in archive:
            if not info.isfile():
                continue
            stem, _, extension = info.name.rpartition(".")
            if members and (stem != key or extension in members):
                yield key, members
                members = {}
            body = archive.extractfile(info)
            data = body.read() if body is not None else b""
            if len(data) != info.size:
                raise tarfile.ReadError("unexpected end of data")
            key, members[extension] = stem, data
    if members:
        yield key, members


def _members(tar: bytes) -> Iterator[tuple[str, str, tuple[int, int]]]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for info in archive:
            key, _, extension = info.name.partition(".")
            yield key, extension, (info.offset_data, info.size)
