"""The contract of a source reader: list units of a few hundred images, and read one unit."""

from __future__ import annotations

import errno
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fairshards.plugins import identity
from fairshards.transforms.shards import storage

UNIT_SIZE = 500


class SourceError(ValueError):
    """The dataset as a whole can't be read: a missing folder, no shard, a table without its columns."""


@dataclass(frozen=True)
class SourceUnit:
    """A few hundred images by reference: a tar, or rows [start, stop) of a listing. ``digest`` covers their bytes.

    ``rules`` names what is read here by a rule that earlier versions didn't have, e.g. capital letters in extensions.
    They are part of the task's hash; a unit without any keeps the hash that it always had.
    """

    name: str
    path: str
    start: int
    stop: int
    digest: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One row of a listing: a file with what is known of it before it is read, or ``reason`` and why it can't be.

    ``where`` says where that stands ("metadata.csv, line 7"); ``metadata`` is JSON.
    """

    key: str
    split: str
    file: str = ""
    class_label: str | None = None
    bias_label: str | None = None
    where: str = ""
    metadata: str = "{}"
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Ignored:
    """What a rule left out: how many files or members, and the first of them."""

    count: int
    example: str


class Tally:
    """Counts what is ignored, by rule."""

    def __init__(self) -> None:
        self.found: dict[str, Ignored] = {}

    def add(self, rule: str, name: str, count: int = 1) -> None:
        """Count one more file or member that ``rule`` leaves out, or ``count`` of them."""
        known = self.found.get(rule)
        if known or count:
            self.found[rule] = Ignored(count + (known.count if known else 0), known.example if known else name)


@dataclass(frozen=True)
class Listing:
    """All that is known of a dataset before its pictures are read; made once, by the driver.

    Attributes:
        units: In a fixed order.
        entries: The rows that units refer to; none where a unit is a tar.
        ignored: By rule, what is neither a source nor a reject.
        class_labels, bias_labels: Every label that stands in the data.
    """

    units: list[SourceUnit]
    entries: list[Entry]
    ignored: Mapping[str, Ignored]
    class_labels: frozenset[str]
    bias_labels: frozenset[str]


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
    where: str = ""


@dataclass(frozen=True)
class SourceProblem:
    """Something that could not be read, with a short reason code and a sentence."""

    key: str
    split: str
    reason: str
    detail: str


class SourceReader(ABC):
    """Reads one dataset. A frozen dataclass of plain values, so that it travels to workers.

    Its fields are the recipe's ``source``; one named ``path`` is where the data lies, which decides nothing.

    Attributes:
        version: Bumped when the same files would be read otherwise.
    """

    version: ClassVar[str] = "1"

    @abstractmethod
    def listing(self) -> Listing:
        """Return what the dataset holds.

        Raises:
            SourceError: the dataset isn't there or isn't what the recipe says.
        """

    @abstractmethod
    def read(self, unit: SourceUnit, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
        """Yield every image of ``unit``, whose rows of the listing are ``entries``, or why there is none.

        Must not raise for one bad image.
        """

    def settings(self) -> dict[str, Any]:
        """Return what decides how the dataset is read: the reader's type and its fields, not where the data lies."""
        said = {name: value for name, value in vars(self).items() if name != "path"}
        return {"reader": type(self).__name__, **identity(type(self)), **said}


def guarded(
    key: str, split: str, read: Callable[..., SourceItem | SourceProblem], *given: Any
) -> SourceItem | SourceProblem:
    """Return ``read(*given)``; what one hostile sample raises there becomes the problem ``unreadable``.

    Raises:
        MemoryError, OSError: no memory or a full disk; then the machine is at fault, not the sample.
    """
    try:
        return read(*given)
    except Exception as error:
        return unreadable(key, split, error)


def unreadable(key: str, split: str, error: Exception) -> SourceProblem:
    """Return the problem that stands for ``error``, or raise it again when the machine is at fault."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        raise error
    return SourceProblem(key, split, "unreadable", f"{type(error).__name__}: {error}")


def digest_files(paths: Iterable[str], *, salt: str = "") -> str:
    """Return 64 hex digits over the bytes of files, in order; a file that can't be read counts as absent."""
    return _digest(((path, read_or_none(path)) for path in paths), salt)


def digest_bytes(files: Mapping[str, bytes | None], *, salt: str = "") -> str:
    """Return what ``digest_files`` would, for files whose bytes are at hand."""
    return _digest(files.items(), salt)


def _digest(files: Iterable[tuple[str, bytes | None]], salt: str) -> str:
    total = hashlib.sha256(salt.encode())
    for path, data in files:
        body = "unreadable" if data is None else hashlib.sha256(data).hexdigest()
        # a file's name need not be UTF-8; Python then holds its bytes as surrogates
        total.update(f"{path.rpartition('/')[2]}:{body}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def read_or_none(path: str) -> bytes | None:
    """Return a file's bytes, or None where it can't be read."""
    try:
        return storage.read(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None


def unsafe_key(key: str) -> str | None:
    """Return why a key can't be trusted as a relative path, or None."""
    if not key:
        return "the key is empty"
    if key.startswith(("/", "\\")) or "\\" in key or ".." in key.split("/"):
        return f"the key {key!r} points outside its dataset"
    if any(ord(character) < 32 for character in key):
        return f"the key {key!r} holds a control character"
    if any("\ud800" <= character <= "\udfff" for character in key):
        return f"the key {key!r} is no UTF-8 text"
    return None
