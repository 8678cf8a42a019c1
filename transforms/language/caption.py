"""Caption: an image-to-text model over source shards; the element is a shard task, which is its own batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.language.captions import CaptionRequest, CaptionResult
from fairshards.transforms.language.answers import answer_cache
from fairshards.transforms.language.specs import CaptionerSpec
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.cut import Piece, cut
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads

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
    return [
        _task(piece, wanted, run, index, spec)
        for piece in cut(rows, "shard", size)
        if (wanted := _wanted(piece.rows, spec))
    ]


def _task(piece: Piece, wanted: Sequence[Row], run: str, index: str, spec: CaptionerSpec) -> ShardTask:
    """Return the task of a piece of the index, named after its shard: "source-00003-002"."""
    content = [[row["image_sha256"], row["y"]] for row in wanted]
    hashed = task_hash("caption", spec.stage_fingerprint, [row["sample_id"] for row in wanted], settings=content)
    unit = piece.value.rpartition("/")[2].removesuffix(".tar").rsplit("-", 2)[0]
    name = f"{unit}-{piece.part:03d}"
    return ShardTask(Caption.stage, name, hashed, run, Caption.folder, index, piece.start, piece.stop)


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


def _caption(todo: OpenTask, models: LazyCaptioner) -> Made:
    """Describe the pictures of one task."""
    model = models.spec.model
    results = list(models.captioner.caption(_requests(todo, models.spec), model.batch_size))
    rows = [_manifest_row(result, model.name) for result in results]
    facts = {"samples": len(rows), "device": model.worker_device, "batch_size": model.batch_size}
    return Made(rows, attempt={**facts, "cut": sum(result.cut for result in results)})


def _requests(todo: OpenTask, spec: CaptionerSpec) -> list[CaptionRequest]:
    rows, task = _wanted(todo.rows, spec), todo.task
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


class Caption(ModelStage[CaptionerSpec]):
    """PCollection[ShardTask] of a source index -> PCollection[TaskRecord] of their caption manifests."""

    stage, folder, models = "caption", "captions", LazyCaptioner
    title = "Caption"
    work = staticmethod(_caption)
