"""From the recipe's model names to what workers load: folders, fingerprints, dtype."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.registry import scorers_of
from fairshards.filters.scorers.clip_model import Scale, resolve_clip, stored_scale
from fairshards.generators.checkpoints.arguments import check_arguments
from fairshards.generators.checkpoints.model_files import fingerprint, library_versions, resolve_model
from fairshards.generators.checkpoints.pipeline_folder import read_pipeline_folder
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.checkpoints.weights import ModelFilesError, variant_of
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.discovery import Segmenting
from fairshards.pipeline.recipe.pictures import LabelValue, Recipe
from fairshards.transforms.pictures.specs import GeneratorSpec, PruneSpec, ScorerSpec, SegmenterSpec

POCKET = "pocket:"


def model_folder(name: str, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """Return the local folder of a model: ``pocket:<name>``, a folder, or a hub id (downloaded once).

    Raises:
        generators.model_files.ModelFilesError: it isn't there, has no weights, or only pickled ones.
        RecipeError: no pocket checkpoint has this name.
    """
    if name.startswith(POCKET):
        from fairshards.pocket import checkpoint_path

        try:
            return checkpoint_path(name.removeprefix(POCKET))
        except KeyError as error:
            raise RecipeError(error.args[0]) from None
    return resolve_model(name, revision, allow_pickle=allow_pickle)


def is_here(name: str) -> bool:
    """Tell whether a model needs no hub: it is a pocket model, or a folder here."""
    return name.startswith(POCKET) or os.path.exists(os.path.expanduser(name))


def generator_spec(recipe: Recipe, threads: int | None = None) -> GeneratorSpec:
    """Return what workers need for the recipe's text-to-image model."""
    settings = recipe.generator
    folder = model_folder(settings.model, settings.revision, settings.allow_pickle)
    dtype = resolve_dtype(settings.dtype, settings.device, folder)
    options = _scheduler_options(folder, settings.scheduler)
    extra = {
        "scheduler": settings.scheduler,
        **({"scheduler_options": options} if options else {}),
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


def check_generator(recipe: Recipe) -> list[str]:
    """Check what the text-to-image model's folder says against what the recipe asks of it; load nothing.

    Returns:
        Sentences on how it will be loaded that somebody should know.

    Raises:
        ModelFilesError: it isn't there, its weights are lacking or cut short, or it is no text-to-image pipeline.
        RecipeError: the pipeline would leave out what the recipe asks for, or can't be sampled so.
    """
    settings = recipe.generator
    folder = model_folder(settings.model, settings.revision, settings.allow_pickle)
    pipeline = read_pipeline_folder(folder)
    try:
        pipeline.options(settings.scheduler)
        for negative in {bool(text) for text in _negative_prompts(recipe)}:
            check_arguments(pipeline.name, pipeline.takes, settings.guidance_scale, negative, settings.eta)
    except ValueError as error:
        raise RecipeError(f"generator.model {settings.model}: {error}") from None
    if _asks_for_perp_neg(recipe):
        if not pipeline.takes_perp_neg:
            raise RecipeError(
                f"generator.model {settings.model}: {pipeline.name} can't have Perp-Neg guidance, which "
                "spurious_free.guidance or negatives in prompts.by_class ask for; use negative prompts, "
                "or a model of the Stable Diffusion family with one text encoder"
            )
        if settings.guidance_scale <= 1:
            raise RecipeError(
                f"generator.guidance_scale is {settings.guidance_scale}, and Perp-Neg changes guidance, "
                "which 1 and below switches off: give a scale above 1, or no negatives"
            )
    if settings.height % pipeline.step or settings.width % pipeline.step:
        raise RecipeError(
            f"generator.model {settings.model}: {pipeline.name} makes pictures whose height and width "
            f"are multiples of {pipeline.step}, but generator.height and width are {settings.height} and "
            f"{settings.width}"
        )
    variant = variant_of(folder, allow_pickle=settings.allow_pickle)
    note = f"{settings.model} has weights of the variant {variant} alone; these are loaded"
    return [note] if variant else []


def _negative_prompts(recipe: Recipe) -> list[str]:
    """Return the negative prompt of every class; a phrase stands for what discovery will report."""
    own = [recipe.prompts.of_class(value.name).negative for value in recipe.classes]
    found = [recipe.prompts.negative if negative is None else negative for negative in own]
    return [*found, "phrase"] if _spurious_guidance(recipe) == "negative-prompt" else found


def _asks_for_perp_neg(recipe: Recipe) -> bool:
    by_class = any(own.negatives for own in recipe.prompts.by_class.values())
    return by_class or _spurious_guidance(recipe) == "perp-neg"


def _spurious_guidance(recipe: Recipe) -> str | None:
    """Return how pictures are led away from spurious phrases, where any are generated."""
    settings = recipe.spurious_free
    return settings.guidance if settings and settings.make != "edit" else None


def _scheduler_options(folder: Path, scheduler: str | None) -> dict[str, Any]:
    """Return the settings that another scheduler gets to fit the model; none where it can't be told or doesn't fit."""
    if scheduler is None:
        return {}
    try:
        return read_pipeline_folder(folder).options(scheduler)
    except (ModelFilesError, ValueError):
        return {}


def _prune_spec(recipe: Recipe, threads: int | None) -> PruneSpec | None:
    """Return how previews are judged: by the recipe's scorer, on the generator's device."""
    prune, device = recipe.generator.prune, recipe.generator.device
    if prune is None:
        return None
    scorer = replace(scorer_spec(recipe, threads), device=device, segmenter=None, objects=(), scorers=())
    return PruneSpec(prune.step, prune.limits, scorer, prune.pays_from)


def clip_folder(recipe: Recipe) -> Path:
    """Return the local folder of the recipe's CLIP model.

    Raises:
        ModelFilesError: see ``resolve_clip``.
    """
    name = recipe.scorer.model
    here = model_folder(name) if name.startswith(POCKET) else name
    return resolve_clip(here, allow_pickle=recipe.scorer.allow_pickle)


def scorer_spec(recipe: Recipe, threads: int | None = None) -> ScorerSpec:
    """Return what workers need for the recipe's CLIP scorer and judge."""
    settings, folder = recipe.scorer, clip_folder(recipe)
    scale = stored_scale(folder)
    own_scale = {} if scale == Scale() else {"scale": "its own"}  # scores were of a factor of 100
    return ScorerSpec(
        str(folder),
        fingerprint(folder, {**library_versions(("torch", "open_clip_torch", "pillow")), **own_scale}),
        settings.device,
        settings.batch_size,
        tuple(judge_prompts(value, settings.class_prompts, "class") for value in recipe.classes),
        tuple(judge_prompts(value, settings.bias_prompts, "bias") for value in recipe.bias.values),
        tuple(value.name for value in recipe.classes),
        tuple(value.name for value in recipe.bias.values),
        allow_pickle=settings.allow_pickle,
        scorers=scorers_of(recipe.filters),
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
    folders = [model_folder(name) for name in segmenter_models(chosen)]
    weights = digest([fingerprint(folder, library_versions(("torch", "transformers"))) for folder in folders])
    names = ("threshold", "text_threshold", "dilate", "min_share", "max_share", "batch_size")
    sam = str(folders[1]) if chosen.sam else None
    return SegmenterSpec(str(folders[0]), weights, sam, **{name: getattr(chosen, name) for name in names})


def segmenter_models(chosen: Segmenting | None) -> list[str]:
    """Return the models of a segmenter, by folder or hub id."""
    return [name for name in (chosen.model, chosen.sam) if name] if chosen else []


def discovery_models(recipe: Recipe) -> list[str]:
    """Return the models that discovery loads, by folder or hub id."""
    chosen = recipe.discovery
    if chosen is None:
        return []
    found = [one.model for one in (chosen.captioner, chosen.extractor) if one.model]
    found += [chosen.editor.model, *([chosen.merge.model] if chosen.merge else [])]
    return [*found, *segmenter_models(chosen.segmenter)]


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
