"""Doing a task once: looked up where it is committed, else worked on, timed and committed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import Shard
from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.task import ShardTask, TaskRecord


@dataclass(frozen=True)
class OpenTask:
    """A task that isn't committed, with all that it refers to, each read when it is first asked for.

    ``before`` is the record of the stage before, where the task goes on with its manifest.
    """

    task: ShardTask
    before: TaskRecord | None = None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the plan manifest that the task is of."""
        return commit.read_task_rows(self.task)

    @cached_property
    def _made_before(self) -> tuple[manifest.Head, list[dict[str, Any]]]:
        assert self.before is not None
        return manifest.read_rows(storage.read(storage.join(self.task.run, self.before.manifest)))

    @property
    def rows_before(self) -> list[dict[str, Any]]:
        """The rows that the stage before committed."""
        return self._made_before[1]

    @cached_property
    def shard_before(self) -> bytes:
        """The shard that the stage before committed; empty where it committed none."""
        shard = self._made_before[0].shard
        if self.before is None or shard is None:
            return b""
        return storage.read(storage.join(self.task.run, self.before.task.folder, shard.name))

    def publish(self, data: bytes, samples: int, name: str | None = None) -> Shard:
        """Publish the task's shard (``commit.publish_shard``)."""
        return commit.publish_shard(self.task, data, samples, name)


def finish(
    task: OpenTask,
    fingerprint: str,
    work: Callable[[OpenTask], Made],
    lock: contextlib.AbstractContextManager[Any] | None = None,
) -> TaskRecord:
    """Return the task's record: as it is committed, or after ``work``, which is done holding ``lock``.

    Raises:
        Exception: whatever ``work`` raises; nothing is committed then.
        OSError: the run folder can't be read or written.
    """
    if record := commit.find(task.task):
        return record
    with lock or contextlib.nullcontext():
        started = time.time()
        made = work(task)
        if task.before:
            made = replace(made, inputs=(task.before.content_sha256, *made.inputs))
        return commit.commit(task.task, made, fingerprint, commit.attempt(started, **made.attempt))
