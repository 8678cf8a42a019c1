"""Generate: a diffusers model under RunInference; the element is a shard task, which is its own batch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fairshards.filters.pictures import preview
from fairshards.generators.diffusion.phases import Preview, Verdict, generate_pruned
from fairshards.generators.diffusion.requests import Negative
from fairshards.generators.diffusion.text_to_image import ImageRequest, ImageResult, TextToImage
from fairshards.transforms.pictures.score import load_scorer, request_of
from fairshards.transforms.pictures.specs import GeneratorSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import ShardSample, write_shard
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads

if TYPE_CHECKING:
    from fairshards.filters.scorers.clip_scorer import ClipScorer


class LazyGenerator(LazyModels[GeneratorSpec]):
    """Holds the text-to-image model."""

    def __init__(self, spec: GeneratorSpec, loaded: TextToImage | None = None) -> None:
        super().__init__(spec)
        if loaded:
            self.model = loaded

    @cached_property
    def model(self) -> TextToImage:
        """The loaded model."""
        use_threads(self.spec.threads)
        return TextToImage.load(
            self.spec.folder,
            device=self.spec.device,
            dtype=self.spec.dtype,
            scheduler=self.spec.scheduler,
            allow_pickle=self.spec.allow_pickle,
            personal=self.spec.personal,
        )

    @cached_property
    def scorer(self) -> ClipScorer:
        """The loaded scorer of previews."""
        assert self.spec.prune is not None
        return load_scorer(self.spec.prune.scorer)


def _generate(todo: OpenTask, models: LazyGenerator) -> Made:
    """Make and encode the samples of one task."""
    spec, plan = models.spec, todo.rows
    requests = [image_request(row, spec.window) for row in plan]
    made = _pruned(requests, plan, models) if spec.prune else _unpruned(requests, models)
    good = [(row, result) for row, (result, _) in zip(plan, made, strict=True) if result.png is not None]
    tar, places = write_shard(_sample(row, result) for row, result in good)
    shard = todo.publish(tar, len(good))
    rows = [{**_manifest_row(result, shard.name, places), **previewed} for result, previewed in made]
    facts = {"samples": len(rows), "device": spec.device, "batch_size": spec.batch_size, "threads": _threads()}
    return Made(rows, shard, attempt=facts)


def _unpruned(requests: Sequence[ImageRequest], lazy: LazyGenerator) -> list[tuple[ImageResult, dict[str, Any]]]:
    return [(result, {}) for result in lazy.model.generate(requests, lazy.spec.batch_size)]


def _pruned(
    requests: Sequence[ImageRequest], plan: Sequence[Mapping[str, Any]], lazy: LazyGenerator
) -> list[tuple[ImageResult, dict[str, Any]]]:
    """Return each request's result, and the columns of its preview."""
    prune, rows = lazy.spec.prune, {row["sample_id"]: row for row in plan}
    assert prune is not None
    limits = prune.limits

    def judge(shown: Sequence[ImageRequest], previews: Sequence[Preview]) -> list[Verdict]:
        scored = lazy.scorer.score(previews, [request_of(rows[request.sample_id]) for request in shown])
        found = [{one.score: one.value for one in scores} for scores in scored]
        return [Verdict(limits.verdict(scores), scores) for scores in found]

    made = generate_pruned(lazy.model, requests, lazy.spec.batch_size, prune.step, judge, prune.pays_from)
    return [(result, _preview_columns(prune.step, verdict)) for result, verdict in made]


def _preview_columns(step: int, verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    return {"preview_step": step, **{f"preview_{name}": verdict.scores.get(name) for name in preview.SCORES}}


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


def regenerate_alone(task: ShardTask, lazy: LazyGenerator, wanted: Collection[str]) -> Iterator[ImageResult]:
    """Yield the wanted samples of a task again, each in a batch of its own, whose pixels must be the same."""
    for row in commit.read_task_rows(task):
        if row["sample_id"] in wanted:
            yield from lazy.model.generate([image_request(row, lazy.spec.window)], lazy.spec.batch_size)


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


class Generate(ModelStage[GeneratorSpec]):
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one raw shard a task."""

    stage, folder, models = "generate", "raw", LazyGenerator
    title = "Generate"
    work = staticmethod(_generate)
