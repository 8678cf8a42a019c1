"""Write curated shards: copy the kept samples' bytes out of the raw shards, balanced and in a fixed order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.cut import cut
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.tars import ShardSample, read_samples, sha256, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord

VERSION = "curate/2"
TWIN = "webdataset"
"""Under this key a curated shard of rows names its WebDataset twin."""
GROUP = ("y", "class_name", "b", "bias_name", "group_name")


def curate_tasks(
    run: str, curation_id: str, selection: str, rows: Sequence[Mapping[str, Any]], size: int
) -> list[ShardTask]:
    """Return one task per curated shard: at most ``size`` rows of one split of the selection."""
    tasks = []
    for piece in cut(rows, "split", size):
        ids = [f"{row['sample_id']}:{row['image_sha256']}" for row in piece.rows]
        hashed = task_hash("index", VERSION, ids, [curation_id])
        name, folder = f"{piece.value}-{piece.part:06d}", f"curated/{curation_id}"
        tasks.append(ShardTask("index", name, hashed, run, folder, selection, piece.start, piece.stop))
    return tasks


def write_curated(task: ShardTask) -> TaskRecord:
    """Write and commit one curated shard.

    Raises:
        ManifestError: a raw shard doesn't hold what its manifest says.
        OSError: the run folder can't be read or written.
    """
    return finish(OpenTask(task), VERSION, _copy)


def _copy(todo: OpenTask) -> Made:
    members = _collect(todo.task.run, {row["sample_id"]: row for row in todo.rows})
    samples = [_sample(row, members[row["sample_id"]]) for row in todo.rows]
    tar, places = write_shard(samples)
    shard = todo.publish(tar, len(samples), name=f"{todo.task.name}.tar")
    index = []
    for row in todo.rows:
        offset, size = places[row["sample_id"]]
        index.append({**row, "shard": shard.name, "offset": offset, "size": size})
    return Made(index, shard, attempt={"samples": len(index)})


def _collect(run: str, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, bytes]]:
    """Return the members of the wanted samples, reading each raw shard once."""
    found: dict[str, dict[str, bytes]] = {}
    for name in sorted({str(row["shard"]) for row in wanted.values()}):
        for key, members in read_samples(storage.read(storage.join(run, "raw", name))):
            if key in wanted:
                _check(key, members, wanted[key], name)
                found[key] = members
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise ManifestError(
            f"{len(missing)} kept samples are not in their raw shards, the first is {missing[0]}; "
            "run `fairshards verify` to find the damaged shard"
        )
    return found


def _check(key: str, members: Mapping[str, bytes], row: Mapping[str, Any], shard: str) -> None:
    if sha256(members["png"]) != row["image_sha256"]:
        raise ManifestError(
            f"sample {key} in raw/{shard} is not the picture that was committed; "
            "delete that shard's manifest and run again"
        )


def _sample(row: Mapping[str, Any], members: Mapping[str, bytes]) -> ShardSample:
    """Return the curated sample; its labels are the index row's, for a raw shard keeps the numbers of its day."""
    said = {name: row[name] for name in (*GROUP, "curation_id", "split")}
    facts = {**json.loads(members["json"]), **said}
    return ShardSample(row["sample_id"], members["png"], "png", row["y"], facts, members["txt"].decode())


@dataclass
class WriteCurated(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one curated shard a task."""

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        return tasks | "Spread the shards" >> beam.Reshuffle() | "Copy the kept" >> beam.Map(write_curated)
