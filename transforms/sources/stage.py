"""Job 0: read a dataset once, check every image, and write it as the run's own source shards."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairshards.catalogs.manifests.identity import (
    ID_DIGITS,
    TASK_DIGITS,
    UNKNOWN_BIAS,
    canonical_json,
    digest,
    task_hash,
)
from fairshards.generators.images import BadImage, decode_image, encode_png, plain_format
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.tars import ShardSample, sha256, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.sources import (
    Entry,
    Listing,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    unreadable,
)
from fairshards.transforms.sources.base import UNIT_SIZE
from fairshards.transforms.sources.files import as_utf8, placed
from fairshards.transforms.sources.labels import GroupLabels

VERSION = "source/2"
EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}

Row = dict[str, Any]


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


def plan_source(
    reader: SourceReader, run: str, dataset: str, labels: GroupLabels, listing: Listing | None = None
) -> list[SourceTask]:
    """Return one task a unit; each one's hash covers the unit's bytes, how they are read, and the labels.

    Where the dataset lies isn't covered: a copy elsewhere gives the same tasks. ``listing`` is the reader's, where it
    has been made. Tasks whose rows stand in a listing need its file (``write_listing``) before they can be done.
    """
    listing = listing or reader.listing()
    settings = {"reader": reader.settings(), "dataset": dataset, "labels": labels.identity()}
    file = listing_file(listing)
    tasks = []
    for number, unit in enumerate(listing.units):
        newer = {"rules": list(unit.rules)} if unit.rules else {}
        hashed = task_hash("source", VERSION, [unit.name], [unit.digest], {**settings, **newer})
        task = ShardTask("source", f"source-{number:05d}", hashed, run, "source", file, unit.start, unit.stop)
        tasks.append(SourceTask(task, unit, dataset))
    return tasks


def listing_file(listing: Listing) -> str:
    """Return where in the run folder the rows of a listing are written for workers; "" where there are none."""
    if not listing.entries:
        return ""
    hashed = task_hash("listing", VERSION, [], [unit.digest for unit in listing.units])
    return f"source/listing-{hashed[:TASK_DIGITS]}.parquet"


def write_listing(listing: Listing, run: str) -> None:
    """Write the rows of a listing, so that no worker lists the dataset again; a task reads its own 500 of them."""
    if listing.entries:
        columns = {one.name: [getattr(entry, one.name) for entry in listing.entries] for one in fields(Entry)}
        sink = io.BytesIO()
        # few row groups, for the list of them is read with each task
        pq.write_table(pa.table(columns), sink, compression="zstd", row_group_size=8 * UNIT_SIZE)
        storage.publish(storage.join(run, listing_file(listing)), sink.getvalue())


def _entries(todo: OpenTask) -> list[Entry]:
    return [Entry(**row) for row in todo.rows] if todo.task.manifest else []


def ingest_unit(work: SourceTask, reader: SourceReader, labels: GroupLabels) -> TaskRecord:
    """Read, check and commit one unit; what can't be read becomes a reject row.

    Raises:
        OSError: the run folder can't be written.
    """
    return finish(OpenTask(work.task), VERSION, lambda todo: _ingest(todo, work, reader, labels))


def _ingest(todo: OpenTask, work: SourceTask, reader: SourceReader, labels: GroupLabels) -> Made:
    checked = list(_checked(reader.read(work.unit, _entries(todo)), work, labels))
    rows, samples = [row for row, _ in checked], [sample for _, sample in checked if sample]
    tar, places = write_shard(samples)
    shard = todo.publish(tar, len(samples))
    for row in rows:
        if row["status"] == "ok":
            row["shard"], (row["offset"], row["size"]) = shard.name, places[row["source_id"]]
    return Made(rows, shard, inputs=(work.unit.digest,), attempt={"samples": len(rows)})


def _checked(
    items: Iterable[SourceItem | SourceProblem], work: SourceTask, labels: GroupLabels
) -> Iterator[tuple[Row, ShardSample | None]]:
    """Yield each item's row and, when it is good, its sample for the shard; of one key the first good item."""
    accepted: set[str] = set()
    for number, item in enumerate(items):
        identity = {"dataset": work.dataset, "split": as_utf8(item.split), "key": as_utf8(item.key)}
        source_id = digest(identity)[:ID_DIGITS]
        found = _examined(item, labels, source_id in accepted)
        if isinstance(found, SourceProblem):
            marked = digest({**identity, "unit": work.unit.name, "number": number})[:ID_DIGITS]
            facts = {"status": "reject", "reason": found.reason, "detail": as_utf8(found.detail)}
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
        metadata = as_utf8(canonical_json(dict(item.metadata)))
        return GoodImage(*group, image, extension, size, as_utf8(item.caption), metadata)
    except BadImage as error:
        return SourceProblem(item.key, item.split, error.reason, placed(item.where) + error.detail)
    except Exception as error:
        return unreadable(item.key, item.split, error)


def _group(item: SourceItem, labels: GroupLabels) -> tuple[int, int] | SourceProblem:
    """Return (y, b), or why the item has none."""

    def problem(reason: str, detail: str) -> SourceProblem:
        return SourceProblem(item.key, item.split, reason, placed(item.where) + detail)

    class_label, bias_label = ((label or "").strip() for label in (item.class_label, item.bias_label))
    if not class_label or (labels.bias and not bias_label):
        which = "bias" if class_label else "class"
        return problem("missing_label", f"the {which} label of {item.key!r} is missing")
    y = labels.classes.number(class_label)
    if y is None:
        return problem("unknown_class", f"class {labels.classes.unknown(class_label)}")
    if labels.bias is None:
        return y, UNKNOWN_BIAS
    b = labels.bias.number(bias_label)
    if b is None:
        return problem("unknown_bias", f"bias value {labels.bias.unknown(bias_label)}")
    if labels.pairs and (y, b) not in labels.pairs:
        known = [labels.facts(*pair)["group_name"] for pair in labels.pairs]
        return problem("unknown_group", f"group {labels.facts(y, b)['group_name']!r}; the recipe's groups are {known}")
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
