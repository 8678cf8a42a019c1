"""The contract of a source reader: list units of a few hundred images, and read one unit."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms import storage

UNIT_SIZE = 500


class SourceError(ValueError):
    """The dataset as a whole can't be read: a missing folder, no shard, a table without its columns."""


@dataclass(frozen=True)
class SourceUnit:
    """A few hundred images by reference: a tar, or rows [start, stop) of a listing. ``digest`` covers their bytes."""

    name: str
    path: str
    start: int
    stop: int
    digest: str


@dataclass(frozen=True)
class SourceItem:
    """One image as its dataset gives it; labels are what stands there, not yet looked up."""

    key: str
    split: str
    data: bytes
    class_label: str | None
    bias_label: str | None
    caption: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceProblem:
    """Something that could not be read, with a short reason code and a sentence."""

    key: str
    split: str
    reason: str
    detail: str


class SourceReader(ABC):
    """Reads one dataset. A frozen dataclass of plain values, so that it travels to workers."""

    @abstractmethod
    def units(self) -> list[SourceUnit]:
        """Return the units in a fixed order.

        Raises:
            SourceError: the dataset isn't there or isn't what the recipe says.
        """

    @abstractmethod
    def read(self, unit: SourceUnit) -> Iterator[SourceItem | SourceProblem]:
        """Yield every image of ``unit``, or why there is none. Must not raise for one bad image."""


def digest_files(paths: Iterable[str], *, salt: str = "") -> str:
    """Return 64 hex digits over the bytes of files, in order; a file that can't be read counts as absent."""
    total = hashlib.sha256(salt.encode())
    for path in paths:
        try:
            body = hashlib.sha256(storage.read(path)).hexdigest()
        except OSError:
            body = "unreadable"
        total.update(f"{path.rpartition('/')[2]}:{body}\n".encode())
    return total.hexdigest()


def unsafe_key(key: str) -> str | None:
    """Return why a key can't be trusted as a relative path, or None."""
    if not key:
        return "the key is empty"
    if key.startswith(("/", "\\")) or "\\" in key or ".." in key.split("/"):
        return f"the key {key!r} points outside its dataset"
    if any(ord(character) < 32 for character in key):
        return f"the key {key!r} holds a control character"
    return None
