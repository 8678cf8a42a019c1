"""The shard task: the unit of work, retry, resume and commit, and all that a Beam element holds.

A newcomer reads this file and ``commit.py`` first. A task names its rows by reference (a plan manifest
and a range of its rows), never by value, and no pixels travel in it. Its hash decides whether it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash


@dataclass(frozen=True)
class ShardTask:
    """A few hundred samples of one stage, by reference.

    Attributes:
        stage: The stage whose work it is ("source", "caption", "extract", "generate", "score", "curate").
        name: A readable name, unique in its stage: "r0-landbird-water-0003".
        task_hash: 64 hex digits over all that decides its result (``manifests.identity.task_hash``).
        run: The run folder, a path that Beam's FileSystems knows.
        folder: Where in the run folder the task commits its shard and its manifest.
        manifest: The manifest, relative to the run folder, that holds the rows to work on.
        start, stop: The half-open range of those rows.
    """

    stage: str
    name: str
    task_hash: str
    run: str
    folder: str
    manifest: str
    start: int
    stop: int

    @property
    def stem(self) -> str:
        """The beginning of the task's file names: its name and 12 digits of its hash."""
        return f"{self.name}-{self.task_hash[:TASK_DIGITS]}"

    def __len__(self) -> int:
        """The number of samples; RunInference asks for it."""
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        """The row numbers; RunInference takes a task for its batch."""
        return iter(range(self.start, self.stop))


@dataclass(frozen=True)
class TaskRecord:
    """What a finished task sends on: the task, its manifest, and how many rows are good or rejected."""

    task: ShardTask
    manifest: str
    content_sha256: str
    samples: int
    rejects: int

    def __len__(self) -> int:
        """The number of samples; RunInference asks for it."""
        return len(self.task)

    def __iter__(self) -> Iterator[int]:
        """The row numbers; RunInference takes a record for its batch."""
        return iter(self.task)


def following(record: TaskRecord, stage: str, folder: str, stage_fingerprint: str) -> ShardTask:
    """Return the task of the stage after: it reads the same plan rows, and what the task before has committed."""
    hashed = task_hash(stage, stage_fingerprint, [record.task.task_hash], [record.content_sha256])
    return replace(record.task, stage=stage, folder=folder, task_hash=hashed)
