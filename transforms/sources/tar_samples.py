"""Samples of a WebDataset tar that somebody else wrote: compressed, with twins of macOS, links, members of no use."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import pyarrow as pa

from fairshards.generators.images import UNREAD, USUAL, picture_extensions
from fairshards.transforms.shards.tars import body, samples_in
from fairshards.transforms.sources.base import Tally
from fairshards.transforms.sources.walk import is_hidden

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
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        infos, broken = _headers(archive, tar, rules)
        found = list(samples_in(info for info in infos if _counted(info, ignored, rules)))
        if broken:
            found = found[:-1]  # the last one may lack members
        else:
            broken = _after_end(tar[archive.offset :], rules)
        apart, said = _apart(found), set[str]()
        if apart:
            rules.add("adjacent")
        for key, members in found:
            if key not in apart:
                used = _used(key, list(members), ignored, rules)
                if used:
                    yield key, {name: body(archive, members[name]) for name in used}
            elif key not in said:
                said.add(key)
                yield key, {}
        if broken:
            raise broken


def _headers(archive: tarfile.TarFile, tar: bytes, rules: set[str]) -> tuple[list[tarfile.TarInfo], Exception | None]:
    """Return what a tar's headers say, and what is wrong where it breaks off.

    Of a damaged header that isn't the first tarfile says nothing: it takes it for the end.
    """
    infos: list[tarfile.TarInfo] = []
    try:
        for info in archive:
            infos.append(info)  # what came before an error counts
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        return infos, error
    end = archive.offset
    if any(tar[end : end + tarfile.BLOCKSIZE]):
        rules.add("end")
        return infos, tarfile.ReadError(f"no member's header at byte {end}, and {len(tar) - end} bytes from there on")
    return infos, None


def _after_end(rest: bytes, rules: set[str]) -> tarfile.ReadError | None:
    """Return what is wrong with what follows a tar's last member; nothing where it is the empty blocks of its end."""
    more = rest.lstrip(b"\0")
    if more or not rest:
        rules.add("end")
    if not rest:
        return tarfile.ReadError("it ends without the empty blocks that close a tar, so that members may be lacking")
    if more:
        return tarfile.ReadError(
            f"{len(more)} bytes stand behind its end and aren't read; if they are another tar, "
            "give each a file of its own"
        )
    return None


def _used(key: str, members: Sequence[str], ignored: Tally, rules: set[str]) -> list[str]:
    """Return which members of a sample are read, none where it is no sample; the others are counted."""
    pictures = [name for name in picture_extensions() if name in members]
    if not pictures and not any(name in (*READ, *UNREAD) for name in members):
        ignored.add("no_picture", key, len(members))
        return []
    if pictures and pictures[0] not in USUAL:
        rules.add("formats")
    taken = {*READ, *pictures[:1], *([] if pictures else UNREAD)}
    extra = [name for name in members if name not in taken]
    ignored.add("extra_member", f"{key}.{extra[0] if extra else ''}", len(extra))
    return [name for name in members if name in taken]


def _counted(info: tarfile.TarInfo, ignored: Tally, rules: set[str]) -> bool:
    """Tell whether a member may belong to a sample, and count one that may not; a folder is none."""
    if info.isdir():
        return False
    if is_hidden(info.name):
        ignored.add("hidden", info.name)
        rules.add("hidden")
        return False
    if not (info.isfile() or info.islnk() or info.issym()):
        ignored.add("no_file", info.name)
        return False
    if not info.isfile():
        rules.add("links")
    extension = info.name.rpartition("/")[2].partition(".")[2]
    if extension != extension.lower():
        rules.add("capitals")
    return True


def _apart(found: Sequence[tuple[str, Mapping[str, object]]]) -> set[str]:
    """Return the keys that come in several runs of members with nothing in common: pieces of one sample.

    Runs with a member in common are a key that is there twice.
    """
    pieces = defaultdict[str, list[Mapping[str, object]]](list)
    for key, members in found:
        pieces[key].append(members)
    return {key for key, runs in pieces.items() if len(runs) > 1 and len(set().union(*runs)) == sum(map(len, runs))}
