"""Score: CLIP alignment and group judge of every generated sample, a task per raw shard."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairshards.filters.pictures import shortcut_left
from fairshards.filters.pictures.silhouette import Silhouettes, silhouette
from fairshards.filters.scorers.base import own_scores
from fairshards.filters.scorers.clip_scorer import ClipScorer, ScoreRequest
from fairshards.generators.checkpoints.loading import resolve_device
from fairshards.generators.diffusion.personal import in_plain_words
from fairshards.generators.images import decode_image
from fairshards.transforms.edits.models import load_segmenter_of
from fairshards.transforms.pictures.specs import ScorerSpec
from fairshards.transforms.shards import embeddings
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads

if TYPE_CHECKING:
    from fairshards.generators.editing.segmentation import Segmenter
    from fairshards.trainers.classifiers.reference import ReferenceClassifier


class LazyScorer(LazyModels[ScorerSpec]):
    """Holds the CLIP scorer and the reference classifier."""

    @cached_property
    def scorer(self) -> ClipScorer:
        """The loaded scorer."""
        use_threads(self.spec.threads)
        return load_scorer(self.spec)

    @cached_property
    def segmenter(self) -> Segmenter | None:
        """The loaded segmenter, where the stage has one."""
        return load_segmenter_of(self.spec.segmenter, self.spec.device) if self.spec.segmenter else None

    @cached_property
    def reference(self) -> ReferenceClassifier | None:
        """The loaded reference classifier, where the stage has one."""
        if not self.spec.training:
            return None
        from fairshards.trainers.classifiers.reference import ReferenceClassifier

        where = resolve_device(self.spec.device)
        return ReferenceClassifier.load(Path(self.spec.training), device=where, batch_size=self.spec.batch_size)


def load_scorer(spec: ScorerSpec) -> ClipScorer:
    """Return the scorer that a spec describes."""
    return ClipScorer.load(
        spec.model,
        device=spec.device,
        batch_size=spec.batch_size,
        class_prompts=spec.class_prompts,
        bias_prompts=spec.bias_prompts,
        class_names=spec.class_names,
        bias_names=spec.bias_names,
        contrasts=spec.contrasts,
        allow_pickle=spec.allow_pickle,
    )


def _score(todo: OpenTask, models: LazyScorer) -> Made:
    """Score the samples of one raw shard."""
    plan = {row["sample_id"]: row for row in todo.rows}
    good = [row for row in todo.rows_before if row["status"] == "ok"]
    images = [slice_of(todo.shard_before, row["offset"], row["size"]) for row in good]
    results, seen = models.scorer.scored(images, [request_of(plan[row["sample_id"]]) for row in good])
    pictures = {row["sample_id"]: (image, plan[row["sample_id"]]["y"]) for row, image in zip(good, images, strict=True)}
    outlines = silhouettes({name: pictures[name] for name in pictures if name in seen}, models)
    rows = [
        {"sample_id": row["sample_id"], **score}
        for row, scores in zip(good, results, strict=True)
        for score in map(score_row, scores)
    ]
    rows += _reference_rows([plan[row["sample_id"]] for row in good], images, models)
    rows += brought_rows("sample_id", [plan[row["sample_id"]] for row in good], images, seen, models.spec)
    facts = {"samples": len(good), "device": models.spec.device}
    return Made(rows, settings=embeddings.publish(todo.task, seen, outlines), attempt=facts)


def silhouettes(pictures: Mapping[str, tuple[bytes, int]], lazy: LazyScorer) -> dict[str, Silhouettes] | None:
    """Return the silhouettes of encoded pictures and their classes by id; None where the stage makes none."""
    if lazy.segmenter is None or lazy.spec.segmenter is None:
        return None
    opened = [np.array(decode_image(image)) for image, _ in pictures.values()]
    words = [lazy.spec.objects[y] for _, y in pictures.values()]
    masks = lazy.segmenter.segment(opened, words, lazy.spec.segmenter.batch_size)
    return {name: silhouette(mask) for name, mask in zip(pictures, masks, strict=True)}


def request_of(row: Mapping[str, Any]) -> ScoreRequest:
    """Return what a plan row asks of the scorer."""
    spurious = tuple(json.loads(row.get("spurious") or "[]"))
    prompt = in_plain_words(row["prompt"], row["class_name"])  # CLIP wasn't taught the generator's new words
    return ScoreRequest(row["sample_id"], prompt, row["y"], row["b"], spurious)


def _reference_rows(
    plan: Sequence[Mapping[str, Any]], images: Sequence[bytes], lazy: LazyScorer
) -> list[dict[str, Any]]:
    """Return by how much the reference is surer of each picture's class than of the class's real pictures."""
    if lazy.reference is None or not plan:
        return []
    found = lazy.reference.probabilities([decode_image(image) for image in images])
    means = lazy.spec.reference_means
    return [
        {
            "sample_id": row["sample_id"],
            "score": shortcut_left.SCORE,
            "label": None,
            "status": "ok",
            "value": float(shares[row["y"]]) - means[row["y"]],
        }
        for row, shares in zip(plan, found, strict=True)
    ]


def brought_rows(
    key: str, plan: Sequence[Mapping[str, Any]], images: Sequence[bytes], readable: Container[str], spec: ScorerSpec
) -> list[dict[str, Any]]:
    """Return the scores that filters bring along, of the readable ones of encoded pictures; ``key`` names their ids."""
    if not spec.scorers:
        return []
    rows, shown = [], []
    for row, image in zip(plan, images, strict=True):
        if row[key] in readable:
            rows.append(row)
            shown.append(np.array(decode_image(image)))
    return [{key: rows[number][key], **score} for number, score in own_scores(spec.scorers, shown, rows)]


def score_row(score: Any) -> dict[str, Any]:
    """Return a score as the manifest holds it, without the picture's id."""
    names = ("score", "value", "label", "status", "reason", "detail")
    return {name: getattr(score, name) for name in names}


class Score(ModelStage[ScorerSpec]):
    """PCollection[TaskRecord] of raw shards -> PCollection[TaskRecord] of their score manifests."""

    stage, folder, models = "score", "scores", LazyScorer
    elements, title = "shards", "Score"
    work = staticmethod(_score)
