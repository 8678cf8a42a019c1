"""A folder of images with a ``metadata.csv`` in the layout of the official Waterbirds release."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from transforms import storage
from transforms.sources.base import (
    UNIT_SIZE,
    SourceError,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    digest_files,
    guarded,
    unsafe_key,
)


@dataclass(frozen=True)
class MetadataCsvReader(SourceReader):
    """Reads ``<path>/metadata.csv`` (img_filename, y, split, place) and the images that it names.

    Attributes:
        path: The folder.
        file_field, class_field, split_field, bias_field: Column names; the defaults are Waterbirds'. Without a
            ``bias_field`` no bias label is read.
        splits: What each value of the split column means.
    """

    path: str
    file_field: str = "img_filename"
    class_field: str = "y"
    split_field: str = "split"
    bias_field: str | None = "place"
    splits: Mapping[str, str] = field(default_factory=lambda: {"0": "train", "1": "val", "2": "test"})

    def units(self) -> list[SourceUnit]:
        """Return units of at most 500 rows of the table, in its order."""
        rows = self._rows()
        return [self._unit(rows, start) for start in range(0, len(rows), UNIT_SIZE)]

    def read(self, unit: SourceUnit) -> Iterator[SourceItem | SourceProblem]:
        """Yield the images of the unit's rows."""
        for row in self._rows()[unit.start : unit.stop]:
            yield guarded(row[self.file_field] or "", "", self._item, row)

    def _rows(self) -> list[dict[str, str]]:
        table = storage.join(self.path, "metadata.csv")
        if not storage.exists(table):
            raise SourceError(f"{table} is not there; source.path must be the folder that holds metadata.csv")
        reader = csv.DictReader(io.StringIO(storage.read(table).decode("utf-8-sig", "surrogateescape")))
        fields = (self.file_field, self.class_field, self.split_field, self.bias_field)
        missing = {name for name in fields if name} - set(reader.fieldnames or [])
        if missing:
            raise SourceError(f"{table} has columns {reader.fieldnames}, and lacks {sorted(missing)}")
        return list(reader)

    def _unit(self, rows: list[dict[str, str]], start: int) -> SourceUnit:
        chunk = rows[start : start + UNIT_SIZE]
        names = [row[self.file_field] or "" for row in chunk]
        paths = [storage.join(self.path, name) for name in names if not unsafe_key(name)]
        digest = digest_files(paths, salt=repr([sorted(row.items(), key=str) for row in chunk]))
        return SourceUnit(f"rows/{start:07d}", self.path, start, start + len(chunk), digest)

    def _item(self, row: Mapping[str, str]) -> SourceItem | SourceProblem:
        key = row[self.file_field] or ""
        split = self.splits.get((row[self.split_field] or "").strip())
        if split is None:
            detail = f"split is {row[self.split_field]!r}; expected one of {sorted(self.splits)}"
            return SourceProblem(key, "", "unknown_split", detail)
        problem = unsafe_key(key)
        if problem:
            return SourceProblem(key, split, "bad_key", problem)
        try:
            data = storage.read(storage.join(self.path, key))
        except OSError as error:
            return SourceProblem(
                key, split, "missing_image", f"{key} can't be read: {error.strerror or type(error).__name__}"
            )
        return SourceItem(
            key,
            split,
            data,
            row[self.class_field] or None,
            (row[self.bias_field] or None) if self.bias_field else None,
            metadata={name: value for name, value in row.items() if isinstance(name, str)},
        )
