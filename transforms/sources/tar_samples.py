"""Samples of a WebDataset tar that somebody else wrote: compressed, with twins of macOS, links, members of no use."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from generators.images import UNREAD, picture_extensions
from transforms.shards import read_samples, sample_members
from transforms.sources.base import Tally
from transforms.sources.walk import is_hidden

READ = ("cls", "json", "txt")
MOST_BYTES = 1 << 36
"""An unpacked tar of more than 64 GiB is refused."""
_CHUNK = 1 << 20

Sample = tuple[str, dict[str, bytes]]


def unpacked(data: bytes) -> bytes:
    """Return a tar's bytes, decompressed where they are gzip, bzip2, xz or zstd; of a damaged one, what can be had.

    Raises:
        tarfile.ReadError: it is too large.
    """
    stream = _decompressor(data)
    if stream is None:
        return data
    parts, size = [], 0
    read = getattr(stream, "read1", stream.read)  # read1 hands over all there is before it misses the end
    try:
        while part := read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise tarfile.ReadError(f"it unpacks to more than {MOST_BYTES} bytes")
    except (EOFError, OSError, zlib.error, lzma.LZMAError):
        pass  # the tar breaks off there, which its reader says
    return b"".join(parts)


def is_compressed(data: bytes) -> bool:
    """Tell whether a tar's bytes are compressed."""
    return _decompressor(data) is not None


def _decompressor(data: bytes) -> IO[bytes] | None:
    if data.startswith(b"\x1f\x8b"):
        return gzip.open(io.BytesIO(data))  # type: ignore[return-value]
    if data.startswith(b"BZh"):
        return bz2.open(io.BytesIO(data))
    if data.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(io.BytesIO(data))
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd")  # type: ignore[no-any-return]
    return None


def samples_of(tar: bytes, ignored: Tally, rules: set[str]) -> Iterator[Sample]:
    """Yield (key, members by extension) of every sample of an unpacked tar; what is left out is counted in ``ignored``.

    ``rules`` gets the names of rules that earlier versions didn't have and that decide something here. A sample whose
    members aren't next to each other is yielded once, with no members.

    Raises:
        tarfile.ReadError: the tar breaks off, or is none; what came before has been yielded.
    """
    apart = _apart(sample_members(tar, _is_file))
    if apart:
        rules.add("adjacent")

    def wanted(info: tarfile.TarInfo) -> bool:
        return _counted(info, ignored, rules)

    said: set[str] = set()
    for key, members in read_samples(tar, wanted):
        if key in apart:
            if key not in said:
                said.add(key)
                yield key, {}
            continue
        pictures = [name for name in picture_extensions() if name in members]
        if not pictures and not any(name in (*READ, *UNREAD) for name in members):
            ignored.add("no_picture", key, len(members))
            continue
        if pictures and pictures[0] not in ("png", "jpg", "jpeg", "webp"):
            rules.add("formats")
        extra = set(members) - {*READ, *pictures[:1], *([] if pictures else UNREAD)}
        ignored.add("extra_member", f"{key}.{min(extra, default='')}", len(extra))
        yield key, {name: data for name, data in members.items() if name not in extra}


def _is_file(info: tarfile.TarInfo) -> bool:
    return (info.isfile() or info.islnk() or info.issym()) and not is_hidden(info.name)


def _counted(info: tarfile.TarInfo, ignored: Tally, rules: set[str]) -> bool:
    """Tell whether a member may belong to a sample, and count one that may not; a folder is none."""
    if info.isdir():
        return False
    if is_hidden(info.name):
        ignored.add("hidden", info.name)
        rules.add("hidden")
        return False
    if not _is_file(info):
        ignored.add("no_file", info.name)
        return False
    if not info.isfile():
        rules.add("links")
    extension = info.name.rpartition("/")[2].partition(".")[2]
    if extension != extension.lower():
        rules.add("capitals")
    return True


def _apart(runs: list[tuple[str, list[str]]]) -> set[str]:
    """Return the keys that come in several runs of members with nothing in common: pieces of one sample.

    Runs with a member in common are a key that is there twice.
    """
    pieces = defaultdict[str, list[list[str]]](list)
    for key, members in runs:
        pieces[key].append(members)
    return {
        key for key, found in pieces.items()
        if len(found) > 1 and len(set().union(*found)) == sum(map(len, found))
    }  # fmt: skip
