"""A tree of images whose folders are the labels: ``<split>/<class>/<bias>/<anything>.jpg``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from transforms import storage
from transforms.shards import IMAGE_EXTENSIONS
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

SUFFIXES = tuple(f".{extension}" for extension in (*IMAGE_EXTENSIONS, "bmp", "gif", "tif", "tiff"))


@dataclass(frozen=True)
class ImageFolderReader(SourceReader):
    """Reads ``<path>/<split>/<class>/<bias>/...``; ``layout`` names the levels in their order."""

    path: str
    layout: str = "split/class/bias"

    def units(self) -> list[SourceUnit]:
        """Return units of at most 500 images, sorted by path."""
        names = self._names()
        if not names:
            raise SourceError(f"no image below {self.path}; expected {self.layout}/<name>.png|jpg|jpeg|webp")
        return [self._unit(names, start) for start in range(0, len(names), UNIT_SIZE)]

    def read(self, unit: SourceUnit) -> Iterator[SourceItem | SourceProblem]:
        """Yield the unit's images with the labels that their folders give."""
        for name in self._names()[unit.start : unit.stop]:
            yield guarded(name, "", self._item, name)

    def _names(self) -> list[str]:
        if storage.is_local(self.path):
            return sorted(_walk(self.path))
        root = self.path.rstrip("/") + "/"
        found = storage.matching(root + "**")
        return sorted(path[len(root) :] for path in found if path.lower().endswith(SUFFIXES))

    def _unit(self, names: list[str], start: int) -> SourceUnit:
        chunk = names[start : start + UNIT_SIZE]
        digest = digest_files([storage.join(self.path, name) for name in chunk], salt=repr(chunk))
        return SourceUnit(f"files/{start:07d}", self.path, start, start + len(chunk), digest)

    def _item(self, name: str) -> SourceItem | SourceProblem:
        parts, levels = name.split("/"), self.layout.split("/")
        problem = unsafe_key(name)
        if problem:
            return SourceProblem(name, "", "bad_key", problem)
        if len(parts) <= len(levels):
            detail = f"{name} lies at level {len(parts) - 1}; expected {self.layout}/<name>"
            return SourceProblem(name, "", "missing_label", detail)
        labels = dict(zip(levels, parts, strict=False))
        try:
            data = storage.read(storage.join(self.path, name))
        except OSError as error:
            detail = f"{name} can't be read: {error.strerror or type(error).__name__}"
            return SourceProblem(name, labels.get("split", ""), "missing_image", detail)
        return SourceItem(name, labels.get("split", "train"), data, labels.get("class"), labels.get("bias"))


def _walk(root: str) -> Iterator[str]:
    for folder, _, files in os.walk(root):
        for file in files:
            if file.lower().endswith(SUFFIXES):
                yield os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/")
