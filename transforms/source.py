"""Job 0: read a dataset once, check every image, and write it as the run's own source shards."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from PIL import Image

from catalogs.identity import ID_DIGITS, canonical_json, digest, task_hash
from generators.images import BadImage, decode_image, encode_png
from transforms import commit
from transforms.shards import ShardSample, sha256, write_shard
from transforms.sources import SourceItem, SourceProblem, SourceReader, SourceUnit
from transforms.task import ShardTask, TaskRecord

VERSION = "source/1"
FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
ORIENTATION = 274


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
        return int(label) if not self.spellings and label.isdigit() and int(label) < len(self.names) else None


@dataclass(frozen=True)
class SourceTask:
    """A unit of the dataset with its shard task."""

    task: ShardTask
    unit: SourceUnit
    dataset: str


def plan_source(
    reader: SourceReader, run: str, dataset: str, classes: Labels, bias: Labels
) -> list[SourceTask]:
    """Return one task a unit; each one's hash covers the unit's bytes, the reader and the labels."""
    settings = {"reader": repr(reader), "dataset": dataset, "classes": repr(classes), "bias": repr(bias)}
    tasks = []
    for number, unit in enumerate(reader.units()):
        hashed = task_hash("source", VERSION, [unit.name], [unit.digest], settings)
        task = ShardTask("source", f"source-{number:05d}", hashed, run, "source", "", unit.start, unit.stop)
        tasks.append(SourceTask(task, unit, dataset))
    return tasks


def ingest_unit(work: SourceTask, reader: SourceReader, classes: Labels, bias: Labels) -> TaskRecord:
    """Read, check and commit one unit; what can't be read becomes a reject row.

    Raises:
        OSError: the run folder can't be written.
    """
    found = commit.find(work.task)
    if found:
        return found
    started = time.time()
    rows: list[dict[str, Any]] = []
    samples: list[ShardSample] = []
    seen: Counter[str] = Counter()
    for item in reader.read(work.unit):
        row, sample = _check(item, work, classes, bias, seen)
        rows.append(row)
        samples.extend([sample] if sample else [])
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


def _check(
    item: SourceItem | SourceProblem, work: SourceTask, classes: Labels, bias: Labels, seen: Counter[str]
) -> tuple[dict[str, Any], ShardSample | None]:
    """Return the row of one item and, when it is good, the sample for the shard."""
    identity = {"dataset": work.dataset, "split": item.split, "key": item.key}
    seen[item.split + "/" + item.key] += 1
    repeat = seen[item.split + "/" + item.key] - 1
    marked = {**identity, "unit": work.unit.name, "repeat": repeat}
    row: dict[str, Any] = {"source_id": digest(identity)[:ID_DIGITS], **identity}
    if isinstance(item, SourceProblem):
        return _reject({**row, "source_id": digest(marked)[:ID_DIGITS]}, item.reason, item.detail), None
    if repeat:
        detail = f"the key {item.key!r} is there {repeat + 1} times in {work.unit.name}; the first is kept"
        return _reject({**row, "source_id": digest(marked)[:ID_DIGITS]}, "duplicate_key", detail), None
    y, b, problem = _labels(item, classes, bias)
    if problem:
        return _reject(row, *problem), None
    try:
        image, extension, size = _image(item.data)
    except BadImage as error:
        return _reject(row, error.reason, error.detail), None
    group = {
        "y": y,
        "class_name": classes.names[y],
        "b": b,
        "bias_name": bias.names[b],
        "group_name": f"{classes.names[y]}|{bias.names[b]}",
    }
    row.update(
        group,
        image_sha256=sha256(image),
        width=size[0],
        height=size[1],
        caption=item.caption,
        metadata=_json(item.metadata),
        status="ok",
    )
    facts = {**group, "g": 0, "split": item.split, "key": item.key, "dataset": work.dataset}
    return row, ShardSample(row["source_id"], image, extension, y, facts, item.caption)


def _labels(item: SourceItem, classes: Labels, bias: Labels) -> tuple[int, int, tuple[str, str] | None]:
    if item.class_label is None or item.bias_label is None:
        which = "class" if item.class_label is None else "bias"
        return 0, 0, ("missing_label", f"the {which} label of {item.key!r} is missing")
    y, b = classes.number(item.class_label), bias.number(item.bias_label)
    if y is None:
        return 0, 0, ("unknown_class", f"class {item.class_label!r}; the recipe knows {list(classes.names)}")
    if b is None:
        return 0, 0, ("unknown_bias", f"bias value {item.bias_label!r}; the recipe knows {list(bias.names)}")
    return y, b, None


def _image(data: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """Return the bytes to store, their extension and (width, height).

    Upright RGB and grey pictures in a format that every reader knows keep their bytes; the rest becomes PNG,
    so that trainers need not know about orientation, transparency or 16 bits.
    """
    picture = decode_image(data)
    with Image.open(io.BytesIO(data)) as raw:
        plain = (
            raw.mode in ("RGB", "L")
            and raw.getexif().get(ORIENTATION, 1) == 1
            and not raw.info.get("transparency")
        )
        extension = FORMATS.get(raw.format or "") if plain else None
    if extension is None:
        data, extension = encode_png(np.asarray(picture)), "png"
    return data, extension, picture.size


def _reject(row: Mapping[str, Any], reason: str, detail: str) -> dict[str, Any]:
    return {**row, "status": "reject", "reason": reason, "detail": detail}


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return canonical_json(dict(metadata))
    except (TypeError, ValueError):
        return "{}"


@dataclass
class IngestSource(beam.PTransform):  # type: ignore[misc]
    """PCollection[SourceTask] -> PCollection[TaskRecord]; commits one source shard a unit."""

    reader: SourceReader
    classes: Labels
    bias: Labels

    def expand(self, tasks: Iterator[SourceTask]) -> Any:
        """Wire the step."""
        return (
            tasks
            | "Spread the units" >> beam.Reshuffle()
            | "Read, check, write" >> beam.Map(ingest_unit, self.reader, self.classes, self.bias)
        )
