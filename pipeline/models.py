"""From the recipe's model names to what workers load: folders, fingerprints, dtype."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from catalogs.identity import digest
from filters.clip_model import resolve_clip
from generators.model_files import fingerprint, library_versions, resolve_model
from generators.precision import resolve_dtype
from pipeline.discovery_settings import Segmenting
from pipeline.recipe import LabelValue, Recipe, RecipeError
from transforms.specs import GeneratorSpec, PruneSpec, ScorerSpec, SegmenterSpec

POCKET = "pocket:"


def model_folder(name: str, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """Return the local folder of a model: ``pocket:<name>``, a folder, or a hub id (downloaded once).

    Raises:
        generators.model_files.ModelFilesError: it isn't there, has no weights, or only pickled ones.
    """
    if name.startswith(POCKET):
        from pocket import checkpoint_path

        return checkpoint_path(name.removeprefix(POCKET))
    return resolve_model(name, revision, allow_pickle=allow_pickle)


def generator_spec(recipe: Recipe, threads: int | None = None) -> GeneratorSpec:
    """Return what workers need for the recipe's text-to-image model."""
    settings = recipe.generator
    folder = model_folder(settings.model, settings.revision, settings.allow_pickle)
    dtype = resolve_dtype(settings.dtype, settings.device, folder)
    extra = {
        "scheduler": settings.scheduler,
        "dtype": dtype,
        **library_versions(),
    }
    return GeneratorSpec(
        str(folder),
        fingerprint(folder, extra),
        settings.device,
        dtype,
        settings.scheduler,
        settings.batch_size,
        settings.window,
        settings.allow_pickle,
        settings.accelerator,
        settings.min_ram,
        threads,
        prune=_prune_spec(recipe, threads),
    )


def _prune_spec(recipe: Recipe, threads: int | None) -> PruneSpec | None:
    """Return how previews are judged: by the recipe's scorer, on the generator's device."""
    prune, device = recipe.generator.prune, recipe.generator.device
    if prune is None:
        return None
    scorer = replace(scorer_spec(recipe, threads), device=device, segmenter=None, objects=())
    return PruneSpec(prune.step, prune.limits, scorer, prune.pays_from)


def scorer_spec(recipe: Recipe, threads: int | None = None) -> ScorerSpec:
    """Return what workers need for the recipe's CLIP scorer and judge."""
    settings = recipe.scorer
    pocket = settings.model.startswith(POCKET)
    folder = model_folder(settings.model) if pocket else resolve_clip(settings.model)
    return ScorerSpec(
        str(folder),
        fingerprint(folder, library_versions(("torch", "open_clip_torch", "pillow"))),
        settings.device,
        settings.batch_size,
        tuple(judge_prompts(value, settings.class_prompts, "class") for value in recipe.classes),
        tuple(judge_prompts(value, settings.bias_prompts, "bias") for value in recipe.bias.values),
        tuple(value.name for value in recipe.classes),
        tuple(value.name for value in recipe.bias.values),
        threads=threads,
        segmenter=segmenter_spec(settings.segmenter),
        objects=tuple(object_words(recipe, settings.segmenter, y) for y in range(len(recipe.classes)))
        if settings.segmenter
        else (),
    )


def segmenter_spec(chosen: Segmenting | None) -> SegmenterSpec | None:
    """Return what workers need for a segmenter."""
    if chosen is None:
        return None
    folders = [model_folder(name) for name in (chosen.model, chosen.sam) if name]
    weights = digest([fingerprint(folder, library_versions(("torch", "transformers"))) for folder in folders])
    names = ("threshold", "text_threshold", "dilate", "min_share", "max_share", "batch_size")
    sam = str(folders[1]) if chosen.sam else None
    return SegmenterSpec(str(folders[0]), weights, sam, **{name: getattr(chosen, name) for name in names})


def object_words(recipe: Recipe, chosen: Segmenting | None, y: int) -> str:
    """Return what the segmenter looks for to find the object of class ``y``."""
    given = chosen.object_words if chosen else ()
    return given[y % len(given)] if given else f"a {recipe.classes[y].wordings[0]}"


def judge_prompts(value: LabelValue, templates: tuple[str, ...], field: str) -> tuple[str, ...]:
    """Return the prompts with which the judge knows one value: its own, or the templates with its wordings."""
    if value.judge:
        return value.judge
    try:
        return tuple(t.format(**{field: word}) for t in templates for word in value.wordings)
    except KeyError as error:
        raise RecipeError(f"scorer.{field}_prompts: {templates} has a field {error}; known is {{{field}}}") from None
