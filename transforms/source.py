"""Job 0: read a dataset once, check every image, and write it as the run's own source shards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np

from catalogs.identity import ID_DIGITS, UNKNOWN, UNKNOWN_BIAS, canonical_json, digest, task_hash
from generators.images import BadImage, decode_image, encode_png, plain_format
from transforms import commit
from transforms.shards import ShardSample, sha256, write_shard
from transforms.sources import SourceItem, SourceProblem, SourceReader, SourceUnit, unreadable
from transforms.task import ShardTask, TaskRecord

VERSION = "source/2"
EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
MOST_DIGITS = 9

Row = dict[str, Any]


@dataclass(frozen=True)
class Labels:
    """The names of one label's values, and what a dataset may write for each of them."""

    names: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...] = ()

    def number(self, label: str) -> int | None:
        """Return the value's number, or None for a label that isn't known."""
        if label in self.names:
            return self.names.index(label)
        found = [index for index, known in enumerate(self.spellings) if label in known]
        if found:
            return found[0]
        plain = not self.spellings and label.isascii() and label.isdecimal() and len(label) <= MOST_DIGITS
        return int(label) if plain and int(label) < len(self.names) else None


@dataclass(frozen=True)
class GroupLabels:
    """How classes and bias values are looked up, and the (y, b) pairs that exist; no pairs: all of them.

    Without ``bias`` no bias label is looked at: b is -1, its name "unknown".
    """

    classes: Labels
    bias: Labels | None
    pairs: tuple[tuple[int, int], ...] = ()

    def facts(self, y: int, b: int) -> Row:
        """Return a group's columns."""
        names = self.classes.names[y], self.bias.names[b] if self.bias else UNKNOWN
        return {"y": y, "class_name": names[0], "b": b, "bias_name": names[1], "group_name": "|".join(names)}


@dataclass(frozen=True)
class SourceTask:
    """A unit of the dataset with its shard task."""

    task: ShardTask
    unit: SourceUnit
    dataset: str


@dataclass(frozen=True)
class GoodImage:
    """What is stored of a good item: its group, the image as bytes with (width, height), caption and facts."""

    y: int
    b: int
    image: bytes
    extension: str
    size: tuple[int, int]
    caption: str
    metadata: str


def plan_source(reader: SourceReader, run: str, dataset: str, labels: GroupLabels) -> list[SourceTask]:
    """Return one task a unit; each one's hash covers the unit's bytes, how they are read, and the labels.

    Where the dataset lies isn't covered: a copy elsewhere gives the same tasks.
    """
    settings = {"reader": reader.settings(), "dataset": dataset, "labels": asdict(labels)}
    tasks = []
    for number, unit in enumerate(reader.units()):
        hashed = task_hash("source", VERSION, [unit.name], [unit.digest], settings)
        task = ShardTask("source", f"source-{number:05d}", hashed, run, "source", "", unit.start, unit.stop)
        tasks.append(SourceTask(task, unit, dataset))
    return tasks


def ingest_unit(work: SourceTask, reader: SourceReader, labels: GroupLabels) -> TaskRecord:
    """Read, check and commit one unit; what can't be read becomes a reject row.

    Raises:
        OSError: the run folder can't be written.
    """
    found = commit.find(work.task)
    if found:
        return found
    started = time.time()
    checked = list(_checked(reader.read(work.unit), work, labels))
    rows, samples = [row for row, _ in checked], [sample for _, sample in checked if sample]
    tar, places = write_shard(samples)
    shard = commit.publish_shard(work.task, tar, len(samples))
    for row in rows:
        if row["status"] == "ok":
            row["shard"], (row["offset"], row["size"]) = shard.name, places[row["source_id"]]
    return commit.commit(
        work.task,
        rows,
        fingerprint=VERSION,
        inputs=[work.unit.digest],
        shard=shard,
        attempt=commit.attempt(started, samples=len(rows)),
    )


def _checked(
    items: Iterable[SourceItem | SourceProblem], work: SourceTask, labels: GroupLabels
) -> Iterator[tuple[Row, ShardSample | None]]:
    """Yield each item's row and, when it is good, its sample for the shard; of one key the first good item."""
    accepted: set[str] = set()
    for number, item in enumerate(items):
        identity = {"dataset": work.dataset, "split": _utf8(item.split), "key": _utf8(item.key)}
        source_id = digest(identity)[:ID_DIGITS]
        found = _examined(item, labels, source_id in accepted)
        if isinstance(found, SourceProblem):
            marked = digest({**identity, "unit": work.unit.name, "number": number})[:ID_DIGITS]
            facts = {"status": "reject", "reason": found.reason, "detail": _utf8(found.detail)}
            yield {"source_id": marked, **identity, **facts}, None
        else:
            accepted.add(source_id)
            yield _accepted(source_id, identity, found, labels.facts(found.y, found.b))


def _accepted(
    source_id: str, identity: Mapping[str, str], good: GoodImage, group: Mapping[str, Any]
) -> tuple[Row, ShardSample]:
    row = {
        "source_id": source_id,
        **identity,
        **group,
        "image_sha256": sha256(good.image),
        "width": good.size[0],
        "height": good.size[1],
        "caption": good.caption,
        "metadata": good.metadata,
        "status": "ok",
    }
    facts = {**group, "g": 0, **identity}
    return row, ShardSample(source_id, good.image, good.extension, good.y, facts, good.caption)


def _examined(item: SourceItem | SourceProblem, labels: GroupLabels, repeated: bool) -> GoodImage | SourceProblem:
    """Return what is stored of an item, or what is wrong with it; no item's bytes make it raise."""
    if isinstance(item, SourceProblem):
        return item
    if repeated:
        detail = f"the key {item.key!r} is there again; the first good image of it is kept"
        return SourceProblem(item.key, item.split, "duplicate_key", detail)
    try:
        group = _group(item, labels)
        if isinstance(group, SourceProblem):
            return group
        image, extension, size = _image(item.data)
        return GoodImage(*group, image, extension, size, _utf8(item.caption), _json(item.metadata))
    except BadImage as error:
        return SourceProblem(item.key, item.split, error.reason, error.detail)
    except Exception as error:
        return unreadable(item.key, item.split, error)


def _group(item: SourceItem, labels: GroupLabels) -> tuple[int, int] | SourceProblem:
    """Return (y, b), or why the item has none."""
    if item.class_label is None or (labels.bias and item.bias_label is None):
        which = "class" if item.class_label is None else "bias"
        return SourceProblem(item.key, item.split, "missing_label", f"the {which} label of {item.key!r} is missing")
    y = labels.classes.number(item.class_label)
    if y is None:
        detail = f"class {item.class_label!r}; the recipe knows {list(labels.classes.names)}"
        return SourceProblem(item.key, item.split, "unknown_class", detail)
    if labels.bias is None:
        return y, UNKNOWN_BIAS
    b = labels.bias.number(str(item.bias_label))
    if b is None:
        detail = f"bias value {item.bias_label!r}; the recipe knows {list(labels.bias.names)}"
        return SourceProblem(item.key, item.split, "unknown_bias", detail)
    if labels.pairs and (y, b) not in labels.pairs:
        known = [labels.facts(*pair)["group_name"] for pair in labels.pairs]
        detail = f"group {labels.facts(y, b)['group_name']!r}; the recipe's groups are {known}"
        return SourceProblem(item.key, item.split, "unknown_group", detail)
    return y, b


def _image(data: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """Return the bytes to store, their extension and (width, height).

    Upright RGB and grey pictures in a format that every reader knows keep their bytes; the rest becomes PNG,
    so that trainers need not know about orientation, transparency or 16 bits.
    """
    picture = decode_image(data)
    extension = EXTENSIONS.get(plain_format(data) or "")
    if extension is None:
        data, extension = encode_png(np.asarray(picture)), "png"
    return data, extension, picture.size


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return _utf8(canonical_json(dict(metadata)))
    except (TypeError, ValueError):
        return "{}"


def _utf8(text: str) -> str:
    """Return ``text`` with a "?" for every lone surrogate, which UTF-8 can't hold."""
    return text.encode(errors="replace").decode()


@dataclass
class IngestSource(beam.PTransform):  # type: ignore[misc]
    """PCollection[SourceTask] -> PCollection[TaskRecord]; commits one source shard a unit."""

    reader: SourceReader
    labels: GroupLabels

    def expand(self, tasks: Iterator[SourceTask]) -> Any:
        """Wire the step."""
        return (
            tasks
            | "Spread the units" >> beam.Reshuffle()
            | "Read, check, write" >> beam.Map(ingest_unit, self.reader, self.labels)
        )
