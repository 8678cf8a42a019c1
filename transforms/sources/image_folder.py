"""A tree of images whose folders are the labels: ``<split>/<class>/<bias>/<anything>.jpg``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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
from fairshards.transforms.sources.files import (
    ListedFile,
    as_utf8,
    extension,
    is_picture,
    listing_of,
    read_entries,
    unread_format,
)
from fairshards.transforms.sources.labels import unplain
from fairshards.transforms.sources.splits import known_words, split_named
from fairshards.transforms.sources.walk import Found, walk


@dataclass(frozen=True)
class ImageFolderReader(SourceReader):
    """Reads ``<path>/<split>/<class>/<bias>/...``.

    Attributes:
        path: The folder.
        layout: The levels in their order.
        splits: What a folder of the level "split" means, where its name isn't one of the usual words.
    """

    path: str
    layout: str = "split/class/bias"
    splits: Mapping[str, str] = field(default_factory=dict)

    def listing(self) -> Listing:
        """Return units of at most 500 images, sorted by path."""
        found, ignored = walk(self.path), Tally()
        if "" in found.unlisted:
            raise SourceError(f"source.path {self.path} can't be listed: {found.unlisted['']}")
        listed = [self._listed(name, found) for name in [*found.files, *found.unlisted]]
        rows = sorted((one for one in listed if one), key=lambda one: str(one.salt))
        if not rows:
            raise SourceError(
                f"no image below {self.path}; expected {self.layout}/<name>.png|jpg|jpeg|webp|..." + _instead(found)
            )
        left_out = [("hidden", name) for name in sorted(found.hidden)]
        left_out += [("no_picture", name) for name, one in zip(found.files, listed, strict=False) if one is None]
        for rule, name in [*left_out, *sorted(found.ignored)]:
            ignored.add(rule, as_utf8(name))
        return listing_of("files", self.path, rows, ignored)

    def read(self, unit: SourceUnit, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
        """Yield the unit's images with the labels that their folders give."""
        return read_entries(self.path, entries)

    def settings(self) -> dict[str, Any]:
        """Return what decides how the dataset is read; no ``splits`` is as it was before they could be named."""
        return {name: value for name, value in super().settings().items() if name != "splits" or value}

    def _listed(self, name: str, found: Found) -> ListedFile | None:
        """Return a file's row; None for what is no picture."""
        if name in found.unlisted:
            detail = f"the folder {name or '.'} can't be listed: {found.unlisted[name]}"
            return ListedFile(Entry(as_utf8(name), "", reason="unreadable", detail=detail), name, None)
        if is_picture(name):
            entry, rules = self._entry(name)
            file = found.elsewhere.get(name, name)
            return ListedFile(replace(entry, file=file if entry.file else ""), name, file, rules)
        unread = unread_format(name)
        if unread:
            return ListedFile(Entry(as_utf8(name), "", reason="unsupported_format", detail=as_utf8(unread)), name, name)
        if name in found.broken:
            detail = f"{name} is a link to {os.readlink(os.path.join(self.path, name))}, which can't be reached"
            return ListedFile(Entry(as_utf8(name), "", reason="missing_image", detail=as_utf8(detail)), name, None)
        return None

    def _entry(self, name: str) -> tuple[Entry, frozenset[str]]:
        parts, levels = name.split("/"), self.layout.split("/")
        problem = unsafe_key(name)
        if problem:
            return Entry(as_utf8(name), "", reason="bad_key", detail=as_utf8(problem)), frozenset()
        if len(parts) <= len(levels):
            detail = f"{name} lies at level {len(parts) - 1}; expected {self.layout}/<name> (source.layout)"
            return Entry(name, "", reason="missing_label", detail=detail), frozenset()
        labels = dict(zip(levels, parts, strict=False))
        word = labels.get("split", "train")
        split = self.splits.get(word) or split_named(word)
        if split is None:
            detail = (
                f"{name} lies in a folder {word!r}, which is no split; known are {known_words()}; name others in "
                f"source.splits, e.g. {{{word}: test}}"
            )
            return Entry(name, "", reason="unknown_split", detail=detail), frozenset({"splits"})
        entry = Entry(name, split, name, labels.get("class"), labels.get("bias"))
        rules = {"labels"} if unplain(entry.class_label, entry.bias_label) else set()
        return entry, frozenset(rules | ({"splits"} if split != word else set()))


def _instead(found: Found) -> str:
    """Return what lies there in place of pictures."""
    kinds = Counter(extension(name) or "no extension" for name in found.files).most_common(3)
    there = ", ".join(f"{count} x {kind}" for kind, count in kinds)
    return f". {len(found.files)} other files lie there: {there}" if there else ""
