"""Committing a task: the tar first, under its checksum's name, then the manifest, the only commit point."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import Head, ManifestError, Shard
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.tars import sha256
from fairshards.transforms.shards.task import ShardTask, TaskRecord

EMBEDDINGS = "embeddings"
"""Under this key a score manifest's settings name the file of embeddings beside it."""


@dataclass(frozen=True)
class Made:
    """What a task's work gives to commit.

    Attributes:
        rows: The manifest's, of the stage's columns.
        shard: The published tar, where the stage writes one.
        settings: What the manifest's head says beside.
        inputs: The content hashes of the manifests that were read.
        attempt: What is kept of the attempt beside host, process and seconds.
    """

    rows: Sequence[Mapping[str, Any]]
    shard: Shard | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    attempt: Mapping[str, Any] = field(default_factory=dict)


def manifest_name(task: ShardTask) -> str:
    """Return where a task's manifest lies, relative to the run folder."""
    return f"{task.folder}/{task.stem}.parquet"


def find(task: ShardTask) -> TaskRecord | None:
    """Return the task's record when it is committed, else None.

    Committed means: a readable manifest with *this* hash, and what it names: the tar with the right size, embeddings.
    """
    name = manifest_name(task)
    path = storage.join(task.run, name)
    if not storage.exists(path):
        return None
    try:
        head, rows = manifest.read_rows(storage.read(path))
    except ManifestError:
        return None
    if head.task_hash != task.task_hash or not _shard_is_there(path, head.shard):
        return None
    beside = head.settings.get(EMBEDDINGS)
    if beside and not storage.exists(storage.join(path.rpartition("/")[0], beside["name"])):
        return None
    return _record(task, name, head, rows)


def publish_shard(task: ShardTask, tar: bytes, samples: int, name: str | None = None) -> Shard:
    """Publish a tar and return how the manifest names it: ``name``, or ``<task>-<sha256[:12]>.tar``."""
    checksum = sha256(tar)
    shard = Shard(name or f"{task.stem}-{checksum[:12]}.tar", checksum, len(tar), samples)
    storage.publish(storage.join(task.run, task.folder, shard.name), tar)
    return shard


def commit(task: ShardTask, made: Made, fingerprint: str, attempt: Mapping[str, Any]) -> TaskRecord:
    """Write the task's manifest, and so commit it; ``fingerprint`` is the stage's."""
    head = Head(task.stage, task.name, task.task_hash, fingerprint, made.inputs, made.shard, made.settings)
    data, sealed = manifest.encode(head, made.rows, attempt)
    name = manifest_name(task)
    storage.publish(storage.join(task.run, name), data)
    return _record(task, name, sealed, made.rows)


def attempt(started: float, **facts: Any) -> dict[str, Any]:
    """Return what is kept of an attempt outside the promise of equal bytes: host, process, seconds."""
    return {"host": platform.node(), "pid": os.getpid(), "started": started, "seconds": time.time() - started, **facts}


def read_task_rows(task: ShardTask) -> list[dict[str, Any]]:
    """Return the rows of the manifest that the task refers to, its own range only; a local file isn't read whole."""
    path = storage.join(task.run, task.manifest)
    source = Path(path) if storage.is_local(path) else storage.read(path)
    return manifest.read_range(source, task.start, task.stop)


def _shard_is_there(manifest_path: str, shard: Shard | None) -> bool:
    if shard is None:
        return True
    path = storage.join(manifest_path.rpartition("/")[0], shard.name)
    if not storage.exists(path):
        return False
    return not storage.is_local(path) or os.path.getsize(path) == shard.bytes


def _record(task: ShardTask, name: str, head: Head, rows: Sequence[Mapping[str, Any]]) -> TaskRecord:
    rejects = sum(row.get("status") == "reject" for row in rows)
    return TaskRecord(task, name, head.content_sha256, len(rows) - rejects, rejects)
