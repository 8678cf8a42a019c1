"""Generate: a diffusers model under RunInference; the element is a shard task, which is its own batch."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from fairshards import check_installation
from generators.requests import Negative
from generators.text_to_image import ImageRequest, ImageResult, TextToImage
from transforms import commit
from transforms.shards import ShardSample, write_shard
from transforms.specs import GeneratorSpec, resource_hints
from transforms.task import ShardTask, TaskRecord


class LazyGenerator:
    """Loads the model when a task needs it, so that a bundle of finished tasks loads nothing.

    The threads of a worker process share it. ``lock`` is held for a whole task, loading included: a scheduler
    follows one sampling run at a time. It is made by ``load_model`` on the worker and never pickled.
    """

    def __init__(self, spec: GeneratorSpec, loaded: TextToImage | None = None) -> None:
        self.spec = spec
        self.lock = threading.Lock()
        self._model = loaded

    @property
    def model(self) -> TextToImage:
        """The loaded model."""
        if self._model is None:
            if self.spec.threads:
                import torch

                torch.set_num_threads(self.spec.threads)
            self._model = TextToImage.load(
                self.spec.folder,
                device=self.spec.device,
                dtype=self.spec.dtype,
                scheduler=self.spec.scheduler,
                allow_pickle=self.spec.allow_pickle,
                personal=self.spec.personal,
            )
        return self._model


def generate_task(task: ShardTask, lazy: LazyGenerator) -> TaskRecord:
    """Make, encode and commit the samples of one task; a finished task is only looked up.

    Raises:
        Exception: whatever the machine or the model raises (memory, disk, weights); never a bad sample.
    """
    if found := commit.find(task):
        return found
    with lazy.lock:
        return _generate(task, lazy)


def _generate(task: ShardTask, lazy: LazyGenerator) -> TaskRecord:
    started = time.time()
    plan = commit.read_task_rows(task)
    window = lazy.spec.window
    results = list(lazy.model.generate([image_request(row, window) for row in plan], lazy.spec.batch_size))
    good = [(row, result) for row, result in zip(plan, results, strict=True) if result.png is not None]
    tar, places = write_shard(_sample(row, result) for row, result in good)
    shard = commit.publish_shard(task, tar, len(good))
    rows = [_manifest_row(result, shard.name, places) for result in results]
    facts = {
        "samples": len(rows),
        "device": lazy.spec.device,
        "batch_size": lazy.spec.batch_size,
        "threads": _threads(),
    }
    return commit.commit(
        task,
        rows,
        fingerprint=lazy.spec.stage_fingerprint,
        shard=shard,
        attempt=commit.attempt(started, **facts),
    )


def regenerate(task: ShardTask, lazy: LazyGenerator, wanted: Collection[str]) -> Iterator[ImageResult]:
    """Yield the wanted samples of a task again, in the same padded batches as when they were made.

    Only the batches that hold a wanted sample are run.
    """
    requests = [image_request(row, lazy.spec.window) for row in commit.read_task_rows(task)]
    size = lazy.spec.batch_size
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        if any(request.sample_id in wanted for request in batch):
            yield from (result for result in lazy.model.generate(batch, size) if result.sample_id in wanted)


def image_request(row: Mapping[str, Any], window: int) -> ImageRequest:
    """Return what a plan row asks of the model."""
    names = (
        "sample_id",
        "noise_seed",
        "prompt",
        "negative_prompt",
        "guidance_scale",
        "steps",
        "height",
        "width",
        "eta",
    )
    negatives = tuple(Negative(prompt, weight) for prompt, weight in json.loads(row.get("negatives") or "[]"))
    return ImageRequest(**{name: row[name] for name in names}, window=window, negatives=negatives)


def _sample(row: Mapping[str, Any], result: ImageResult) -> ShardSample:
    names = (
        "class_name",
        "b",
        "bias_name",
        "group_name",
        "replicate",
        "prompt",
        "negative_prompt",
        "noise_seed",
        "guidance_scale",
        "steps",
        "generator",
        "generator_fingerprint",
    )
    facts = {"g": 1, "y": row["y"], **{name: row[name] for name in names}}
    assert result.png is not None
    return ShardSample(row["sample_id"], result.png, "png", row["y"], facts, row["prompt"])


def _manifest_row(result: ImageResult, shard: str, places: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    row = {
        "sample_id": result.sample_id,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "trajectory_variance": result.trajectory_variance,
    }
    if result.sample_id not in places:
        return row
    offset, size = places[result.sample_id]
    return {
        **row,
        "shard": shard,
        "offset": offset,
        "size": size,
        "image_sha256": result.image_sha256,
        "width": result.width,
        "height": result.height,
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()


class GeneratorHandler(ModelHandler[ShardTask, TaskRecord, LazyGenerator]):  # type: ignore[misc]
    """Runs the generator on shard tasks; it writes its own output, since a hinted stage can't fuse."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec

    def load_model(self) -> LazyGenerator:
        """Return the model's holder; the weights are read at the first task that isn't done."""
        check_installation()
        return LazyGenerator(self.spec)

    def run_inference(
        self, batch: Sequence[Any], model: LazyGenerator, inference_args: dict[str, Any] | None = None
    ) -> Iterable[TaskRecord]:
        """Do the one task that the batch is."""
        assert isinstance(batch, ShardTask)
        return [generate_task(batch, model)]

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the hints for the workers of this stage, e.g. an accelerator."""
        return resource_hints(self.spec.device, self.spec.accelerator, self.spec.min_ram)


@dataclass
class Generate(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one raw shard a task."""

    spec: GeneratorSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        return (
            tasks
            | "Spread the tasks" >> beam.Reshuffle()
            | "Generate" >> RunInference(GeneratorHandler(self.spec).with_no_batching())
        )
