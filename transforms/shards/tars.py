"""WebDataset tars as bytes: deterministic writing, and reading by sample or by byte range.

A sample is ``<key>.cls`` (the class number), ``<key>.json`` (its facts), ``<key>.png|jpg|webp`` and
``<key>.txt`` (its prompt or caption), which webdataset and Hugging Face ``datasets`` both read. An edit also has
``<key>.mask.png``, where it had a mask: what of its source could change.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import webdataset as wds

from fairshards.catalogs.manifests.identity import canonical_json

MASK = "mask.png"


@dataclass(frozen=True)
class ShardSample:
    """One sample of a shard: its hex key, the encoded image, and what stands beside it."""

    key: str
    image: bytes
    extension: str
    y: int
    facts: Mapping[str, Any]
    text: str
    mask: bytes | None = None


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
                    **({MASK: sample.mask} if sample.mask else {}),
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
    """Yield each key of a WebDataset tar with its members by extension, in the order of the tar (``samples_in``).

    Raises:
        tarfile.ReadError: the tar is truncated or no tar; what came before it has been yielded.
    """
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for key, members in samples_in(info for info in archive if info.isfile()):
            yield key, {extension: body(archive, info) for extension, info in members.items()}


def samples_in(infos: Iterable[tarfile.TarInfo]) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield each key of a tar's files with its members by extension (lower case), in their order.

    A key is what stands before the first dot of a file's name (WebDataset's rule), so ``001.emb.npy`` belongs
    to ``001.jpg``. Where no member of a key has a plain extension, the key itself has a dot: it is yielded up
    to the last one, as it was meant, so that it can be rejected with a reason.
    """
    key, members = "", dict[str, tarfile.TarInfo]()
    for info in infos:
        stem, extension = _split_name(info.name)
        if members and (stem != key or extension in members):
            yield from _by_key(key, members)
            members = {}
        key, members[extension] = stem, info
    if members:
        yield from _by_key(key, members)


def body(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    """Return a member's bytes; those of a link are its target's, and none where that isn't in the tar.

    Raises:
        tarfile.ReadError: the tar ends within it.
    """
    try:
        file = archive.extractfile(info)
    except (KeyError, RecursionError):  # RecursionError: a link to itself
        return b""
    data = file.read() if file is not None else b""
    if info.isfile() and len(data) != info.size:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _split_name(name: str) -> tuple[str, str]:
    """Return a member's key and extension, split at the first dot of the file's name."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _by_key(key: str, members: dict[str, tarfile.TarInfo]) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield the members as one sample or, where every extension has a dot, by all that is before the last dot."""
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    dotted = all("." in extension for extension in members)
    for extension, info in members.items():
        more, _, last = extension.rpartition(".") if dotted else ("", "", extension)
        samples.setdefault(f"{key}.{more}" if dotted else key, {})[last] = info
    yield from samples.items()


def _members(tar: bytes) -> Iterator[tuple[str, str, tuple[int, int]]]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for info in archive:
            key, _, extension = info.name.partition(".")
            yield key, extension, (info.offset_data, info.size)
