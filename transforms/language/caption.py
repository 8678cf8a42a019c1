"""Caption: an image-to-text model over source shards; the element is a shard task, which is its own batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.language.captions import CaptionRequest, CaptionResult
from fairshards.transforms.language.answers import answer_cache
from fairshards.transforms.language.specs import CaptionerSpec
from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.stage import LazyModels, StageHandler, use_threads

if TYPE_CHECKING:
    from fairshards.generators.language.captioner import Captioner
    from fairshards.generators.language.vision_endpoint import VisionEndpoint

    AnyCaptioner = Captioner | VisionEndpoint

Row = Mapping[str, Any]


def caption_tasks(run: str, index: str, rows: Sequence[Row], spec: CaptionerSpec, size: int = 256) -> list[ShardTask]:
    """Return the tasks that describe a source index's pictures: at most ``size`` rows, of one shard each.

    ``rows`` are all rows of the manifest ``index``, in order. A task's hash covers its pictures and their classes, not
    the whole index, so that an index with other rows elsewhere leaves it done. Ranges without a picture of the spec's
    splits have no task.
    """
    tasks = []
    for name, start, stop in _ranges(rows, size):
        wanted = _wanted(rows[start:stop], spec)
        if not wanted:
            continue
        ids = [row["sample_id"] for row in wanted]
        content = [[row["image_sha256"], row["y"]] for row in wanted]
        hashed = task_hash("caption", spec.stage_fingerprint, ids, settings=content)
        tasks.append(ShardTask("caption", name, hashed, run, "captions", index, start, stop))
    return tasks


def _ranges(rows: Sequence[Row], size: int) -> Iterator[tuple[str, int, int]]:
    """Yield (name, start, stop) of runs of at most ``size`` rows of one shard."""
    if size < 1:
        raise ValueError(f"a caption task has {size} rows; it must have at least 1")
    start = 0
    for shard, group in groupby(rows, key=lambda row: str(row["shard"])):
        end = start + len(list(group))
        unit = shard.rpartition("/")[2].removesuffix(".tar").rsplit("-", 2)[0]
        for part, first in enumerate(range(start, end, size)):
            yield f"{unit}-{part:03d}", first, min(first + size, end)
        start = end


class LazyCaptioner(LazyModels[CaptionerSpec]):
    """Holds the captioner."""

    @cached_property
    def captioner(self) -> AnyCaptioner:
        """The loaded captioner, or the endpoint."""
        return _endpoint(self.spec) if self.spec.model.endpoint else _local(self.spec)


def _endpoint(spec: CaptionerSpec) -> AnyCaptioner:
    from fairshards.generators.language.endpoint import Endpoint
    from fairshards.generators.language.vision_endpoint import VisionEndpoint

    assert spec.model.endpoint is not None
    endpoint = Endpoint(spec.model.endpoint, spec.model.decoding)
    cache = answer_cache(spec.model.cache)
    return VisionEndpoint(endpoint, instruction=spec.instruction, longest=spec.longest, cache=cache)


def _local(spec: CaptionerSpec) -> AnyCaptioner:
    from fairshards.generators.language.captioner import Captioner

    model = spec.model
    use_threads(model.threads)
    assert model.folder is not None
    return Captioner.load(
        model.folder,
        model.decoding,
        instruction=spec.instruction,
        longest=spec.longest,
        device=model.device,
        dtype=model.dtype,
        allow_pickle=model.allow_pickle,
    )


def caption_task(task: ShardTask, lazy: LazyCaptioner) -> TaskRecord:
    """Describe and commit the pictures of one task; a finished task is only looked up.

    Raises:
        Exception: whatever the machine, the model or the endpoint raises; never a bad picture.
    """
    if found := commit.find(task):
        return found
    with lazy.lock:
        return _caption(task, lazy)


def _caption(task: ShardTask, lazy: LazyCaptioner) -> TaskRecord:
    started = time.time()
    model = lazy.spec.model
    requests = _requests(task, lazy.spec)
    results = list(lazy.captioner.caption(requests, model.batch_size))
    rows = [_manifest_row(result, model.name) for result in results]
    facts = {
        "samples": len(rows),
        "device": model.worker_device,
        "batch_size": model.batch_size,
        "cut": sum(result.cut for result in results),
    }
    return commit.commit(task, rows, fingerprint=lazy.spec.stage_fingerprint, attempt=commit.attempt(started, **facts))


def _requests(task: ShardTask, spec: CaptionerSpec) -> list[CaptionRequest]:
    rows = _wanted(commit.read_task_rows(task), spec)
    folder = task.manifest.rpartition("/")[0]
    tar = storage.read(storage.join(task.run, *([folder] if folder else []), rows[0]["shard"]))
    return [
        CaptionRequest(
            row["sample_id"], slice_of(tar, row["offset"], row["size"]), spec.model.seed_of(row["sample_id"])
        )
        for row in rows
    ]


def _wanted(rows: Sequence[Row], spec: CaptionerSpec) -> list[Row]:
    return [row for row in rows if row["split"] in spec.splits]


def _manifest_row(result: CaptionResult, name: str) -> dict[str, Any]:
    return {
        "source_id": result.source_id,
        "captioner": name,
        "caption": result.caption,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
    }


@dataclass
class Caption(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] of a source index -> PCollection[TaskRecord] of their caption manifests."""

    spec: CaptionerSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        handler = StageHandler(self.spec, LazyCaptioner, caption_task)
        return tasks | "Spread the tasks" >> beam.Reshuffle() | "Caption" >> handler.step()
