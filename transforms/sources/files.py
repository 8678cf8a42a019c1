"""What readers of single files share: units of 500 rows of a listing, and reading what a row names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairshards.generators.images import UNREAD, picture_extensions
from fairshards.transforms.shards import storage
from fairshards.transforms.sources.base import (
    UNIT_SIZE,
    Entry,
    Listing,
    SourceItem,
    SourceProblem,
    SourceUnit,
    Tally,
    digest_files,
    guarded,
)


@dataclass(frozen=True)
class ListedFile:
    """One row on its way into a unit.

    Attributes:
        entry: The row.
        salt: What of it the unit's digest covers beside the file's bytes.
        file: The file whose bytes it covers, relative to the dataset's folder; None: it names none that is safe.
        rules: As ``SourceUnit.rules``.
    """

    entry: Entry
    salt: Any
    file: str | None
    rules: frozenset[str] = frozenset()


def listing_of(kind: str, path: str, listed: Sequence[ListedFile], ignored: Tally) -> Listing:
    """Return the listing of rows, in units of at most 500 in their order; their bytes are read for the digests."""
    units = [_unit(kind, path, listed[start : start + UNIT_SIZE], start) for start in range(0, len(listed), UNIT_SIZE)]
    entries = [one.entry for one in listed]
    read = [entry for entry in entries if not entry.reason]
    return Listing(
        units,
        entries,
        ignored.found,
        frozenset(entry.class_label for entry in read if entry.class_label is not None),
        frozenset(entry.bias_label for entry in read if entry.bias_label is not None),
    )


def _unit(kind: str, path: str, chunk: Sequence[ListedFile], start: int) -> SourceUnit:
    files = [storage.join(path, one.file) for one in chunk if one.file is not None]
    rules = sorted(frozenset[str]().union(*(one.rules for one in chunk)))
    digest = digest_files(files, salt=repr([one.salt for one in chunk]))
    return SourceUnit(f"{kind}/{start:07d}", path, start, start + len(chunk), digest, tuple(rules))


def read_entries(path: str, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
    """Yield the image of every row, or why there is none."""
    for entry in entries:
        yield guarded(entry.key, entry.split, _read, path, entry)


def _read(path: str, entry: Entry) -> SourceItem | SourceProblem:
    if entry.reason:
        return SourceProblem(entry.key, entry.split, entry.reason, entry.detail)
    try:
        data = storage.read(storage.join(path, entry.file))
    except OSError as error:
        detail = f"{placed(entry.where)}{entry.key} can't be read: {error.strerror or type(error).__name__}"
        return SourceProblem(entry.key, entry.split, "missing_image", detail)
    return SourceItem(
        entry.key, entry.split, data, entry.class_label, entry.bias_label, "", json.loads(entry.metadata), entry.where
    )


def placed(where: str) -> str:
    """Return how a sentence about something that stands at ``where`` begins."""
    return f"{where}: " if where else ""


def extension(name: str) -> str:
    """Return the extension of a file's name, lower case and without its dot."""
    return os.path.splitext(name)[1][1:].lower()


def is_picture(name: str) -> bool:
    """Tell whether a file's extension is one of those that are read."""
    return extension(name) in picture_extensions()


def unread_format(name: str) -> str | None:
    """Return why a picture of this name isn't read, or None where its extension is none of the known others."""
    if extension(name) not in UNREAD:
        return None
    return f"{name} is a picture in a format that isn't read; convert it to PNG or JPEG"


def as_utf8(text: str) -> str:
    """Return ``text`` with a "?" for every lone surrogate, which UTF-8 can't hold."""
    return text.encode(errors="replace").decode()
