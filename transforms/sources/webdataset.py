"""WebDataset tars: ``<key>.png|jpg|jpeg|webp``, ``.cls`` (class), ``.json`` (bias label, facts), ``.txt`` (caption)."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms import storage
from transforms.shards import IMAGE_EXTENSIONS, read_samples
from transforms.sources.base import (
    SourceError,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    digest_files,
    guarded,
    unsafe_key,
)

SPLITS = {"train": "train-*.tar", "val": "val-*.tar", "test": "test-*.tar"}


@dataclass(frozen=True)
class WebDatasetReader(SourceReader):
    """Reads tars of a folder.

    Attributes:
        path: The folder.
        splits: For each split, the glob pattern of its tars.
        class_field: The json field with the class, when there is no ``.cls``.
        bias_field: The json field with the bias label; None: no bias label is read.
    """

    path: str
    splits: Mapping[str, str] = field(default_factory=lambda: dict(SPLITS))
    class_field: str = "class"
    bias_field: str | None = "background"

    def units(self) -> list[SourceUnit]:
        """Return one unit a tar, split by split."""
        found = [
            self._unit(split, path)
            for split, pattern in self.splits.items()
            for path in storage.matching(storage.join(self.path, pattern))
        ]
        if not found:
            raise SourceError(
                f"no shard found in {self.path}: looked for {', '.join(self.splits.values())}; "
                "set source.path to the folder of the tars and source.splits to their patterns"
            )
        return found

    def read(self, unit: SourceUnit) -> Iterator[SourceItem | SourceProblem]:
        """Yield the samples of one tar; a truncated tar yields what came before the break, and a problem."""
        split, _, name = unit.name.partition("/")
        try:
            for key, members in read_samples(storage.read(unit.path)):
                yield guarded(key, split, self._item, split, key, members)
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            yield SourceProblem(name, split, "truncated_tar", f"{name} breaks off or is no tar: {error}")

    def _unit(self, split: str, path: str) -> SourceUnit:
        name = path.replace("\\", "/").rpartition("/")[2]
        return SourceUnit(f"{split}/{name}", path, 0, 0, digest_files([path], salt=split))

    def _item(self, split: str, key: str, members: Mapping[str, bytes]) -> SourceItem | SourceProblem:
        problem = unsafe_key(key)
        if problem is None and "." in key.rpartition("/")[2]:
            problem = f"the key {key!r} holds a dot; WebDataset readers split a key at its first dot"
        if problem:
            return SourceProblem(key, split, "bad_key", problem)
        image = next((members[name] for name in IMAGE_EXTENSIONS if name in members), None)
        if image is None:
            return SourceProblem(
                key, split, "missing_image", f"only {sorted(members)}, no {IMAGE_EXTENSIONS}"
            )
        facts = _facts(members)
        if facts is None:
            return SourceProblem(key, split, "corrupt_metadata", "the .json member is no JSON object")
        label = (
            members["cls"].decode(errors="replace").strip()
            if "cls" in members
            else _text(facts, self.class_field)
        )
        caption = members.get("txt", b"").decode(errors="replace")
        bias = _text(facts, self.bias_field) if self.bias_field else None
        return SourceItem(key, split, image, label, bias, caption, facts)


def _facts(members: Mapping[str, bytes]) -> dict[str, Any] | None:
    if "json" not in members:
        return {}
    try:
        facts = json.loads(members["json"])
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    return None if facts.get(name) is None else str(facts[name])
