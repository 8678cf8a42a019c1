"""Caption: an image-to-text model over source shards; the element is a shard task, which is its own batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from catalogs.identity import task_hash
from fairshards import check_installation
from generators.captions import CaptionRequest, CaptionResult
from transforms import commit, storage
from transforms.answers import answer_cache
from transforms.language_specs import CaptionerSpec
from transforms.shards import slice_of
from transforms.specs import resource_hints
from transforms.task import ShardTask, TaskRecord

if TYPE_CHECKING:
    from generators.captioner import Captioner
    from generators.vision_endpoint import VisionEndpoint

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


class LazyCaptioner:
    """Loads the model when a task needs it; ``lock`` is held for a whole task, as ``LazyGenerator``'s is."""

    def __init__(self, spec: CaptionerSpec) -> None:
        self.spec = spec
        self.lock = threading.Lock()
        self._captioner: AnyCaptioner | None = None

    @property
    def captioner(self) -> AnyCaptioner:
        """The loaded captioner."""
        if self._captioner is None:
            self._captioner = _endpoint(self.spec) if self.spec.model.endpoint else _local(self.spec)
        return self._captioner


def _endpoint(spec: CaptionerSpec) -> AnyCaptioner:
    from generators.endpoint import Endpoint
    from generators.vision_endpoint import VisionEndpoint

    assert spec.model.endpoint is not None
    endpoint = Endpoint(spec.model.endpoint, spec.model.decoding)
    cache = answer_cache(spec.model.cache)
    return VisionEndpoint(endpoint, instruction=spec.instruction, longest=spec.longest, cache=cache)


def _local(spec: CaptionerSpec) -> AnyCaptioner:
    import torch

    from generators.captioner import Captioner

    model = spec.model
    if model.threads:
        torch.set_num_threads(model.threads)
    assert model.folder is not None
    return Captioner.load(
        model.folder, model.decoding, instruction=spec.instruction, longest=spec.longest, device=model.device,
        dtype=model.dtype, allow_pickle=model.allow_pickle,
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
    results = lazy.captioner.caption(requests, model.batch_size)
    rows = [_manifest_row(result, model.name) for result in results]
    facts = {"samples": len(rows), "device": model.worker_device, "batch_size": model.batch_size}
    return commit.commit(
        task, rows, fingerprint=lazy.spec.stage_fingerprint, attempt=commit.attempt(started, **facts)
    )


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


class CaptionerHandler(ModelHandler[ShardTask, TaskRecord, LazyCaptioner]):  # type: ignore[misc]
    """Runs the captioner on shard tasks, one at a time."""

    def __init__(self, spec: CaptionerSpec) -> None:
        super().__init__()
        self.spec = spec

    def load_model(self) -> LazyCaptioner:
        """Return the model's holder; the weights are read at the first task that isn't done."""
        check_installation()
        return LazyCaptioner(self.spec)

    def run_inference(
        self, batch: Sequence[Any], model: LazyCaptioner, inference_args: dict[str, Any] | None = None
    ) -> Iterable[TaskRecord]:
        """Do the one task that the batch is."""
        assert isinstance(batch, ShardTask)
        return [caption_task(batch, model)]

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the hints for the workers of this stage, e.g. an accelerator."""
        return resource_hints(self.spec.model.worker_device, self.spec.model.accelerator, self.spec.model.min_ram)


@dataclass
class Caption(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] of a source index -> PCollection[TaskRecord] of their caption manifests."""

    spec: CaptionerSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        return (
            tasks
            | "Spread the tasks" >> beam.Reshuffle()
            | "Caption" >> RunInference(CaptionerHandler(self.spec).with_no_batching())
        )
