"""A folder of images with a ``metadata.csv`` in the layout of the official Waterbirds release."""

from __future__ import annotations

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fairshards.transforms.shards import storage
from fairshards.transforms.sources.base import (
    Entry,
    Listing,
    SourceError,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    Tally,
    unsafe_key,
)
from fairshards.transforms.sources.csv_table import TableRow, read_table
from fairshards.transforms.sources.files import ListedFile, as_utf8, is_picture, listing_of, read_entries
from fairshards.transforms.sources.labels import plain_label, unplain
from fairshards.transforms.sources.splits import known_words, split_named
from fairshards.transforms.sources.walk import walk

TABLE = "metadata.csv"
NUMBERED = {"0": "train", "1": "val", "2": "test"}


@dataclass(frozen=True)
class MetadataCsvReader(SourceReader):
    """Reads ``<path>/metadata.csv`` (img_filename, y, split, place) and the images that it names.

    Attributes:
        path: The folder.
        file_field, class_field, split_field, bias_field: Column names; the defaults are Waterbirds'. Without a
            ``bias_field`` no bias label is read.
        splits: What values of the split column mean that aren't the usual words.
    """

    path: str
    file_field: str = "img_filename"
    class_field: str = "y"
    split_field: str = "split"
    bias_field: str | None = "place"
    splits: Mapping[str, str] = field(default_factory=lambda: dict(NUMBERED))

    def listing(self) -> Listing:
        """Return units of at most 500 rows of the table, in its order."""
        table = storage.join(self.path, TABLE)
        if not storage.exists(table):
            raise SourceError(f"{table} is not there; source.path must be the folder that holds {TABLE}")
        columns = (self.file_field, self.class_field, self.split_field, self.bias_field)
        rows = read_table(storage.read(table), TABLE, [name for name in columns if name], self.file_field)
        listed = _told_apart([self._listed(row) for row in rows])
        return listing_of("rows", self.path, listed, self._ignored(listed))

    def read(self, unit: SourceUnit, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
        """Yield the images of the unit's rows."""
        return read_entries(self.path, entries)

    def _listed(self, row: TableRow) -> ListedFile:
        given = row.values[self.file_field]
        name = given.replace("\\", "/")
        rules = {"separators"} if name != given else set()
        if name != name.strip() and not unsafe_key(name) and not storage.exists(storage.join(self.path, name)):
            name = name.strip()  # "a.jpg, 0, 1" has a space before each value
            rules.add("spaces")
        if row.problem:
            rules.add("fields")
        word = row.values[self.split_field].strip()
        if self._split(word) and word not in self.splits:
            rules.add("splits")
        entry = self._entry(row, name)
        if unplain(entry.class_label, entry.bias_label):
            rules.add("labels")
        file = None if unsafe_key(name) else name
        return ListedFile(entry, sorted(row.values.items(), key=str), file, frozenset(rules))

    def _entry(self, row: TableRow, name: str) -> Entry:
        where, word = f"{TABLE}, line {row.line}", row.values[self.split_field].strip()
        split = self._split(word)
        if row.problem:
            return Entry(as_utf8(name or where), split or "", reason="malformed_row", detail=row.problem)
        if split is None:
            known = ", ".join(dict.fromkeys([*self.splits, *known_words().split(", ")]))
            detail = f"{where}: split is {word!r}; expected one of {known}; say what others mean in source.splits"
            return Entry(as_utf8(name), "", reason="unknown_split", detail=as_utf8(detail))
        problem = unsafe_key(name)
        if problem:
            detail = f"{where}: {problem}; names are relative to source.path, in UTF-8"
            return Entry(as_utf8(name), split, reason="bad_key", detail=as_utf8(detail))
        return Entry(
            name,
            split,
            name,
            _label(row.values[self.class_field]),
            _label(row.values[self.bias_field]) if self.bias_field else None,
            where,
            json.dumps(row.values),
        )

    def _split(self, word: str) -> str | None:
        return self.splits.get(word) or self.splits.get(plain_label(word)) or split_named(word)

    def _ignored(self, listed: Sequence[ListedFile]) -> Tally:
        """Count what lies in the folder and stands in no row."""
        named = {posixpath.normpath(one.file) for one in listed if one.file is not None}
        found, ignored = walk(self.path), Tally()
        rules = list(found.ignored) + [("unreadable_folder", name) for name in found.unlisted]
        rules += [("hidden", name) for name in sorted(found.hidden) if name not in named]
        for name in found.files:
            if name not in named:
                rules.append(("index" if name == TABLE else "unnamed" if is_picture(name) else "no_picture", name))
        for rule, name in rules:
            ignored.add(rule, as_utf8(name))
        return ignored


def _label(value: str) -> str | None:
    return as_utf8(value) if value.strip() else None


def _told_apart(listed: list[ListedFile]) -> list[ListedFile]:
    """Return the rows with a problem in each that names a file again: repeated, or with another label or split.

    Which of two labels is right can't be known, so that none of such rows is used.
    """
    places = defaultdict[str, list[int]](list)
    for number, one in enumerate(listed):
        if not one.entry.reason:
            places[posixpath.normpath(one.entry.file)].append(number)
    told = list(listed)
    for numbers in (numbers for numbers in places.values() if len(numbers) > 1):
        entries = [listed[number].entry for number in numbers]
        lines = "; ".join(f"{entry.where.rpartition(', ')[2]} says {_said(entry)}" for entry in entries[:4])
        splits = {entry.split for entry in entries}
        labels = {(_plain(entry.class_label), _plain(entry.bias_label)) for entry in entries}
        reason = "conflicting_split" if len(splits) > 1 else "conflicting_label" if len(labels) > 1 else "duplicate_key"
        for number in numbers[1:] if reason == "duplicate_key" else numbers:
            entry = listed[number].entry
            detail = f"{entry.where}: {entry.key} is there {len(numbers)} times: {lines}"
            problem = Entry(entry.key, entry.split, reason=reason, detail=detail)
            told[number] = replace(listed[number], entry=problem, rules=listed[number].rules | {"repeated"})
    return told


def _said(entry: Entry) -> str:
    return f"{entry.split}, class {entry.class_label!r}" + (f", {entry.bias_label!r}" if entry.bias_label else "")


def _plain(label: str | None) -> str | None:
    return None if label is None else plain_label(label)
