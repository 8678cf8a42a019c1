"""Extract: a language model takes the phrases out of captions, a task per caption manifest (ASPIRE step 2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from fairshards.generators.language.conversation import TextModel
from fairshards.generators.phrases.extraction import Asked, Extracted, ExtractionRequest, PhraseRow, extract
from fairshards.transforms.language.answers import answer_cache
from fairshards.transforms.language.specs import ExtractorSpec
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads


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


def _extract(todo: OpenTask, models: LazyExtractor) -> Made:
    """Take the phrases out of one manifest's captions."""
    spec = models.spec
    classes = {row["sample_id"]: row["y"] for row in todo.rows}
    requests = [_request(row, classes, spec) for row in todo.rows_before if row["status"] == "ok"]
    nothing = Extracted([], Asked())
    extracted = extract(models.model, requests, attempts=spec.attempts, cache=models.cache) if requests else nothing
    rows = [_manifest_row(row, spec.model.name) for rows in extracted.rows for row in rows]
    facts = {"samples": len(requests), "device": spec.model.worker_device, **vars(extracted.asked)}
    return Made(rows, attempt={**facts, **({"answers": _form(models.model)} if requests else {})})


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


class Extract(ModelStage[ExtractorSpec]):
    """PCollection[TaskRecord] of caption manifests -> PCollection[TaskRecord] of their phrase manifests."""

    stage, folder, models = "extract", "phrases", LazyExtractor
    elements, title = "captions", "Extract"
    work = staticmethod(_extract)
