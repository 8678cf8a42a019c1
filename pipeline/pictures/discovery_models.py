"""From the recipe's ``discovery`` to what workers load: folders, fingerprints, devices, prompts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.extras import check_extra
from fairshards.generators.checkpoints.arguments import check_arguments
from fairshards.generators.checkpoints.model_files import fingerprint, library_versions
from fairshards.generators.checkpoints.pipeline_folder import read_pipeline_folder
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.checkpoints.transformers_model import load_preprocessing
from fairshards.generators.editing.inpainting import Inpainting
from fairshards.generators.editing.instruct_edit import InstructEdit
from fairshards.generators.language.captioner import own_instruction
from fairshards.generators.language.constrained import installed_version
from fairshards.generators.language.endpoint import EndpointSettings
from fairshards.generators.language.sampling import Decoding
from fairshards.pipeline.pictures.models import clip_folder, model_folder, segmenter_spec
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.discovery import (
    CaptionModel,
    Discovery,
    Editing,
    EndpointModel,
    ExtractionModel,
    Merging,
    TextModel,
)
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.transforms.edits.specs import EditorSpec, EditSpec, EditTestSpec
from fairshards.transforms.language.specs import CaptionerSpec, ExtractorSpec, TextModelSpec


@dataclass(frozen=True)
class MergeSpec:
    """What merges phrases by their embeddings: a folder with its fingerprint, where it runs, and from which cosine."""

    folder: str
    fingerprint: str
    device: str
    threshold: float

    @property
    def settings(self) -> dict[str, Any]:
        """What decides which phrases are one."""
        return {"fingerprint": self.fingerprint, "threshold": self.threshold}


@dataclass(frozen=True)
class DiscoverySpecs:
    """What captions, phrases, their groups and edits need."""

    captioner: CaptionerSpec
    extractor: ExtractorSpec
    edit: EditSpec
    merge: MergeSpec | None = None


def discovery_specs(recipe: Recipe, settings: Discovery, threads: int | None = None) -> DiscoverySpecs:
    """Return the specs of all stages before the edit test, whose reference classifier isn't trained yet.

    Raises:
        MissingExtra: a library isn't there.
        ModelFilesError: a model isn't there, or has no safe weights.
    """
    check_extra("discovery", "finding the nouns of phrases")
    cache = settings.cache or str(default_cache())
    describes, told = _text_model(settings.captioner, cache, threads), settings.captioner.instruction
    if describes.folder is not None:
        told = own_instruction(Path(describes.folder), told)  # what decides captions stands in their hash
    captioner = CaptionerSpec(describes, told, splits=settings.splits)
    labels = tuple(tuple(dict.fromkeys((*value.wordings, value.name))) for value in recipe.classes)
    extractor = ExtractorSpec(_text_model(settings.extractor, cache, threads), labels, settings.extractor.attempts)
    merge = _merge_spec(settings.merge) if settings.merge else None
    return DiscoverySpecs(captioner, extractor, _edit_spec(settings, threads), merge)


def edit_test_spec(
    recipe: Recipe, settings: Discovery, training: Path, training_hash: str, threads: int | None = None
) -> EditTestSpec:
    """Return what workers need to ask the reference classifier in ``training``, and the recipe's CLIP model."""
    folder = clip_folder(recipe)
    clip = fingerprint(folder, library_versions(("torch", "open_clip_torch", "pillow")))
    return EditTestSpec(
        str(training),
        training_hash,
        str(folder),
        clip,
        settings.device,
        recipe.scorer.batch_size,
        accelerator=settings.accelerator,
        min_ram=settings.min_ram,
        threads=threads,
        allow_pickle=recipe.scorer.allow_pickle,
    )


def default_cache() -> Path:
    """Return the user's folder of models' answers, which runs share."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fairshards" / "answers"


def _text_model(settings: TextModel, cache: str, threads: int | None) -> TextModelSpec:
    decoding = Decoding(settings.max_new_tokens, settings.temperature, settings.top_p)
    common: dict[str, Any] = {
        "decoding": decoding,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
        "threads": threads,
        "cache": None if isinstance(settings, CaptionModel) and settings.endpoint is None else cache,
        "accelerator": settings.accelerator,
        "min_ram": settings.min_ram,
    }
    if settings.endpoint:
        return TextModelSpec(settings.endpoint.model, endpoint=_endpoint(settings.endpoint), **common)
    assert settings.model is not None
    folder = model_folder(settings.model, settings.revision, settings.allow_pickle)
    dtype = resolve_dtype(settings.dtype, settings.device, folder)
    weights = fingerprint(folder, {"dtype": dtype, **library_versions(("torch", "transformers"))})
    if isinstance(settings, ExtractionModel):
        chats = not load_preprocessing("AutoConfig", folder).is_encoder_decoder
        common |= {"chats": chats, "constrained": installed_version() if chats else ""}
    return TextModelSpec(
        settings.model,
        weights,
        folder=str(folder),
        device=settings.device,
        dtype=dtype,
        allow_pickle=settings.allow_pickle,
        **common,
    )


def _merge_spec(settings: Merging) -> MergeSpec:
    check_extra("embeddings", "discovery.merge")
    folder = model_folder(settings.model, settings.revision)
    weights = fingerprint(folder, library_versions(("torch", "transformers", "sentence-transformers")))
    return MergeSpec(str(folder), weights, settings.device, settings.threshold)


def _endpoint(settings: EndpointModel) -> EndpointSettings:
    check_extra("llm", f"asking the endpoint {settings.base_url}")
    said = settings.model_dump(exclude={"extra"})
    return EndpointSettings(**said, extra=tuple(sorted(settings.extra.items())))


def _checked_editor(editor: Editing, folder: Path) -> dict[str, Any]:
    """Check what an editor's folder says against what is asked of it; return the settings that its scheduler gets.

    Raises:
        ModelFilesError: the folder holds no pipeline that edits so.
        RecipeError: the pipeline would leave out what is asked for, or can't be sampled so.
    """
    kind = Inpainting if editor.kind == "inpaint" else InstructEdit
    pipeline = read_pipeline_folder(folder, kind.pipeline_class)
    try:
        check_arguments(pipeline.name, pipeline.takes, editor.guidance_scale, bool(editor.negative), editor.eta)
        return pipeline.options(editor.scheduler or kind.default_scheduler)
    except ValueError as error:
        raise RecipeError(f"discovery.editor {editor.model}: {error}") from None


def _edit_spec(settings: Discovery, threads: int | None) -> EditSpec:
    editor = settings.editor
    folder = model_folder(editor.model, editor.revision, editor.allow_pickle)
    dtype = resolve_dtype(editor.dtype, settings.device, folder)
    options = _checked_editor(editor, folder)
    extra = {
        "scheduler": editor.scheduler,
        **({"scheduler_options": options} if options else {}),
        "dtype": dtype,
        **library_versions(),
    }
    names = (
        "scheduler",
        "height",
        "width",
        "feather",
        "strength",
        "image_guidance_scale",
        "batch_size",
        "allow_pickle",
    )
    return EditSpec(
        EditorSpec(
            editor.kind,
            str(folder),
            fingerprint(folder, extra),
            dtype,
            **{name: getattr(editor, name) for name in names},
        ),
        segmenter_spec(settings.segmenter),
        settings.device,
        settings.accelerator,
        settings.min_ram,
        threads,
    )
