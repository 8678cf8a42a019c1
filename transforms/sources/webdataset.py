"""WebDataset tars: ``<key>.png|jpg|...``, ``.cls`` (class), ``.json`` (bias label, facts), ``.txt`` (caption)."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fairshards.generators.images import UNREAD, picture_extensions
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
    digest_bytes,
    guarded,
    read_or_none,
    unsafe_key,
)
from fairshards.transforms.sources.facts import facts_of, text_of
from fairshards.transforms.sources.files import as_utf8
from fairshards.transforms.sources.labels import unplain
from fairshards.transforms.sources.shard_patterns import USUAL, Patterns, shards_of
from fairshards.transforms.sources.tar_samples import is_compressed, samples_of, unpacked
from fairshards.transforms.sources.walk import walk

SHARD_IN_KEY = "shard in key"
USUAL_FIELD = "class"


@dataclass(frozen=True)
class WebDatasetReader(SourceReader):
    """Reads tars of a folder.

    Attributes:
        path: The folder.
        splits: For each split, the patterns of its tars (``shard_patterns.py``).
        class_field: The json field with the class, when there is no ``.cls``.
        bias_field: The json field with the bias label; None: no bias label is read.
        field_first: The field goes before ``.cls``: the recipe names it.
    """

    path: str
    splits: Mapping[str, Patterns] = field(default_factory=lambda: dict(USUAL))
    class_field: str = USUAL_FIELD
    bias_field: str | None = "background"
    field_first: bool = False

    def listing(self) -> Listing:
        """Return one unit a tar, split by split. Every tar is read through once, for its keys, labels and digest."""
        found, ignored = walk(self.path), Tally()
        if "" in found.unlisted:
            raise SourceError(f"source.path {self.path} can't be listed: {found.unlisted['']}")
        shards = shards_of(self.path, self.splits, found.files)
        looked = [_Look(self, split, name, ignored) for split, names in shards.items() for name in names]
        repeated = _in_several(looked)
        taken = {name for names in shards.values() for name in names}
        left_out = [("hidden", name) for name in sorted(found.hidden) if name not in taken]
        left_out += [("other_tar" if ".tar" in name else "no_shard", name) for name in found.files if name not in taken]
        left_out += [*sorted(found.ignored), *(("unreadable_folder", name) for name in found.unlisted)]
        for rule, name in left_out:
            ignored.add(rule, as_utf8(name))
        return Listing(
            [look.unit(repeated) for look in looked],
            [],
            ignored.found,
            frozenset[str]().union(*(look.class_labels for look in looked)),
            frozenset[str]().union(*(look.bias_labels for look in looked)),
        )

    def read(self, unit: SourceUnit, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
        """Yield the samples of one tar; a truncated tar yields what came before the break, and a problem."""
        split, _, name = unit.name.partition("/")
        try:
            data = storage.read(unit.path)
        except OSError as error:
            detail = f"{name} can't be read: {error.strerror or type(error).__name__}"
            yield SourceProblem(name, split, "missing_shard", detail)
        else:
            yield from self.samples(unit, data, Tally(), set())

    def settings(self) -> dict[str, Any]:
        """Return what decides how the dataset is read; where ``field_first`` counts, units say so in their rules."""
        return {name: value for name, value in super().settings().items() if name != "field_first"}

    def samples(
        self, unit: SourceUnit, data: bytes, ignored: Tally, rules: set[str]
    ) -> Iterator[SourceItem | SourceProblem]:
        """Yield the samples of a tar with the bytes ``data``; count what is left out, and name newer rules."""
        split, _, name = unit.name.partition("/")
        try:
            for key, members in samples_of(unpacked(data), ignored, rules):
                item = guarded(key, split, self._item, split, key, members, name, rules)
                in_shard = SHARD_IN_KEY in unit.rules
                yield replace(item, key=f"{_shard(self.path, unit.path)}/{item.key}") if in_shard else item
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            yield SourceProblem(name, split, "truncated_tar", f"{name} breaks off or is no tar: {error}")

    def _item(
        self, split: str, key: str, members: Mapping[str, bytes], tar: str, rules: set[str]
    ) -> SourceItem | SourceProblem:
        problem = unsafe_key(key)
        if problem is None and "." in key.rpartition("/")[2]:
            problem = f"the key {key!r} holds a dot; WebDataset readers split a key at its first dot"
        if problem:
            return SourceProblem(key, split, "bad_key", problem)
        if not members:
            return SourceProblem(key, split, "not_adjacent", _sort_it(key, tar))
        image = next((members[name] for name in picture_extensions() if name in members), None)
        if image is None:
            return _no_image(key, split, members)
        facts = facts_of(members, rules)
        if facts is None:
            return SourceProblem(key, split, "corrupt_metadata", "the .json member is no JSON object")
        label = self._class(members, facts, rules)
        caption = members.get("txt", b"").decode(errors="replace")
        bias = text_of(facts, self.bias_field) if self.bias_field else None
        return SourceItem(key, split, image, label, bias, caption, facts, tar)

    def _class(self, members: Mapping[str, bytes], facts: Mapping[str, Any], rules: set[str]) -> str | None:
        """Return the class label: the field that the recipe names, else ``.cls``, else the usual field."""
        said = text_of(facts, self.class_field)
        if "cls" not in members:
            return said
        cls = members["cls"].decode(errors="replace").strip()
        if self.field_first and (said is not None or self.class_field != USUAL_FIELD) and said != cls:
            rules.add("class field")
            return said
        return cls


class _Look:
    """What one look through a tar finds: its digest, keys, labels, and the newer rules that it needs."""

    def __init__(self, reader: WebDatasetReader, split: str, name: str, ignored: Tally) -> None:
        path = storage.join(reader.path, name)
        data, rules = read_or_none(path), set[str]()
        self.keys, self.class_labels, self.bias_labels = set[tuple[str, str]](), set[str](), set[str]()
        digest = digest_bytes({path: data}, salt=split)
        self._unit = SourceUnit(f"{split}/{name.rpartition('/')[2]}", path, 0, 0, digest)
        for item in reader.samples(self._unit, data, ignored, rules) if data is not None else ():
            if isinstance(item, SourceItem):
                self.keys.add((split, item.key))
                self.class_labels |= {item.class_label} - {None}  # type: ignore[arg-type]
                self.bias_labels |= {item.bias_label} - {None}  # type: ignore[arg-type]
        if unplain(*self.class_labels, *self.bias_labels):
            rules.add("labels")
        if data is not None and is_compressed(data):
            rules.add("compressed")
        self._rules = rules

    def unit(self, repeated: set[tuple[str, str]]) -> SourceUnit:
        """Return the tar's unit; where another tar of its split has one of its keys, its name goes before each key."""
        own = set() if repeated.isdisjoint(self.keys) else {SHARD_IN_KEY}
        return replace(self._unit, rules=tuple(sorted(self._rules | own)))


def _in_several(looks: Sequence[_Look]) -> set[tuple[str, str]]:
    """Return each (split, key) that stands in more than one tar; WebDataset asks for unique keys within a tar only."""
    seen, repeated = set[tuple[str, str]](), set[tuple[str, str]]()
    for look in looks:
        repeated |= seen & look.keys
        seen |= look.keys
    return repeated


def _shard(root: str, path: str) -> str:
    """Return how a key begins that its tar's name belongs to."""
    folder = storage.join(root, "x")[:-1]
    name = path[len(folder) :] if path.startswith(folder) else path.rpartition("/")[2]
    return as_utf8(re.sub(r"\.(tar|tgz)(\.\w+)?$", "", name))


def _no_image(key: str, split: str, members: Mapping[str, bytes]) -> SourceProblem:
    unread = sorted(set(members) & set(UNREAD))
    if unread:
        detail = f"{key}.{unread[0]} is a picture in a format that isn't read; convert it to PNG or JPEG"
        return SourceProblem(key, split, "unsupported_format", detail)
    detail = f"only {sorted(members)}, none of {', '.join(picture_extensions())}"
    return SourceProblem(key, split, "missing_image", detail)


def _sort_it(key: str, tar: str) -> str:
    return (
        f"the members of the sample {key!r} aren't next to each other in {tar}, as WebDataset asks; sort the tar: "
        f"mkdir sorted && tar -xf {tar} -C sorted && (cd sorted && tar --sort=name -cf ../{tar} *)"
    )
