"""Extract: a language model takes the phrases out of captions, a task per caption manifest (ASPIRE step 2)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import apache_beam as beam

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.language.conversation import TextModel
from fairshards.generators.phrases.extraction import Asked, Extracted, ExtractionRequest, PhraseRow, extract
from fairshards.transforms.language.answers import answer_cache
from fairshards.transforms.language.specs import ExtractorSpec
from fairshards.transforms.shards import commit, storage
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.stage import LazyModels, StageHandler, use_threads


def extract_task_of(captioned: TaskRecord, spec: ExtractorSpec) -> ShardTask:
    """Return the extract task of a caption manifest; it reads the same index rows, for their classes."""
    hashed = task_hash("extract", spec.stage_fingerprint, [captioned.task.task_hash], [captioned.content_sha256])
    return replace(captioned.task, stage="extract", folder="phrases", task_hash=hashed)


class LazyExtractor(LazyModels[ExtractorSpec]):
    """Holds the language model, and the cache of its answers."""

    def __init__(self, spec: ExtractorSpec) -> None:
        super().__init__(spec)
        self.cache = answer_cache(spec.model.cache)

    @cached_property
    def model(self) -> TextModel:
        """The loaded language model, or the endpoint."""
        return _endpoint(self.spec) if self.spec.model.endpoint else _local(self.spec)


def _endpoint(spec: ExtractorSpec) -> TextModel:
    from fairshards.generators.language.endpoint import Endpoint

    assert spec.model.endpoint is not None
    return Endpoint(spec.model.endpoint, spec.model.decoding)


def _local(spec: ExtractorSpec) -> TextModel:
    from fairshards.generators.language.language_model import LanguageModel

    model = spec.model
    use_threads(model.threads)
    assert model.folder is not None
    return LanguageModel.load(
        model.folder,
        model.decoding,
        batch_size=model.batch_size,
        fingerprint=model.fingerprint,
        device=model.device,
        dtype=model.dtype,
        allow_pickle=model.allow_pickle,
        constrained=model.constrained,
    )


def extract_task(captioned: TaskRecord, lazy: LazyExtractor) -> TaskRecord:
    """Take the phrases out of one manifest's captions and commit them; a finished task is only looked up.

    Raises:
        Exception: whatever the machine, the model or the endpoint raises; never a bad caption or answer.
    """
    task = extract_task_of(captioned, lazy.spec)
    if found := commit.find(task):
        return found
    with lazy.lock:
        return _extract(task, captioned, lazy)


def _extract(task: ShardTask, captioned: TaskRecord, lazy: LazyExtractor) -> TaskRecord:
    started = time.time()
    spec = lazy.spec
    _, captions = manifest.read_rows(storage.read(storage.join(task.run, captioned.manifest)))
    classes = {row["sample_id"]: row["y"] for row in commit.read_task_rows(task)}
    requests = [_request(row, classes, spec) for row in captions if row["status"] == "ok"]
    nothing = Extracted([], Asked())
    found = extract(lazy.model, requests, attempts=spec.attempts, cache=lazy.cache) if requests else nothing
    rows = [_manifest_row(row, spec.model.name) for rows in found.rows for row in rows]
    facts = {**vars(found.asked), **({"answers": _form(lazy.model)} if requests else {})}
    return commit.commit(
        task,
        rows,
        fingerprint=spec.stage_fingerprint,
        inputs=[captioned.content_sha256],
        attempt=commit.attempt(started, samples=len(requests), device=spec.model.worker_device, **facts),
    )


def _form(model: TextModel) -> str:
    """Return what holds the answers to their schemas: the endpoint, a library here, or nothing; "" if nothing could."""
    taken = getattr(model, "takes_schemas", None)
    if taken is not None:
        return "held to a schema by the endpoint" if taken else "in any form: the endpoint refuses response_format"
    library = model.identity.get("constrained")
    return f"held to a schema by {library}" if library else ""


def _request(row: Mapping[str, Any], classes: Mapping[str, int], spec: ExtractorSpec) -> ExtractionRequest:
    source_id = row["source_id"]
    return ExtractionRequest(source_id, row["caption"], spec.labels[classes[source_id]], spec.model.seed_of(source_id))


def _manifest_row(row: PhraseRow, name: str) -> dict[str, Any]:
    return {**vars(row), "extractor": name}


@dataclass
class Extract(beam.PTransform):  # type: ignore[misc]
    """PCollection[TaskRecord] of caption manifests -> PCollection[TaskRecord] of their phrase manifests."""

    spec: ExtractorSpec

    def expand(self, captioned: Any) -> Any:
        """Wire the step; the Reshuffle lets this stage have other workers than the captioner."""
        handler = StageHandler(self.spec, LazyExtractor, extract_task)
        return captioned | "Spread the captions" >> beam.Reshuffle() | "Extract" >> handler.step()
