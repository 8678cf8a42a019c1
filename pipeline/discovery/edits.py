"""The plan of edits (ASPIRE; docs/methods.md#edits): which phrase is edited out of which picture, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import canonical_json, digest, noise_seed, sample_id
from fairshards.generators.phrases.phrases import normalise
from fairshards.pipeline.discovery.association import CaptionedImage, Phrase
from fairshards.pipeline.discovery.phrases_found import Found
from fairshards.pipeline.pictures.models import object_words
from fairshards.pipeline.recipe.discovery import Discovery, Editing
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.transforms.edits.specs import EditSpec

Row = dict[str, Any]


def edit_rows(recipe: Recipe, settings: Discovery, found: Found, index: Sequence[Row], spec: EditSpec) -> list[Row]:
    """Return the rows of the edit plan, task by task: at most ``edits_per_phrase`` of each class and phrase group.

    Only images that the reference classifier gets right are edited, and phrases that occur in at least
    ``ranking.min_count`` of them: rarer ones couldn't be reported. Which images is drawn by hash, so that a larger
    number only adds some. A background without another one to replace it isn't edited.
    """
    places = {row["sample_id"]: row for row in index}
    models = digest([spec.editor.fingerprint, spec.segmenter.fingerprint if spec.segmenter else None])
    rows: list[Row] = []
    for y in range(len(recipe.classes)):
        own = [image for image in found.images if image.y == y and image.correct]
        for group in _tested(own, settings):
            chosen = _chosen(recipe, settings, found, own, group)
            rows += [_row(recipe, settings, *pair, found, places[pair[0].source_id], models) for pair in chosen]
    size = settings.editor.task_size
    return [{**row, "task": f"edits-{number // size:05d}"} for number, row in enumerate(rows)]


def _tested(images: Sequence[CaptionedImage], settings: Discovery) -> list[str]:
    """Return the phrase groups of a class that are frequent enough to be tested, the most frequent first."""
    counts = Counter(group for image in images for group in image.groups)
    enough = [group for group, count in counts.items() if count >= settings.ranking.min_count]
    return sorted(enough, key=lambda group: (-counts[group], group))[: settings.max_phrases]


def _chosen(
    recipe: Recipe, settings: Discovery, found: Found, images: Sequence[CaptionedImage], group: str
) -> list[tuple[CaptionedImage, Phrase]]:
    """Return which images are edited for a phrase group, and the phrase of each that stands for it."""
    can = [pair for pair in _holding(images, group) if pair[1].kind == "foreground" or _replacement(found, *pair)]
    ordered = sorted(can, key=lambda pair: digest([recipe.seed, group, pair[0].source_id]))
    return ordered[: settings.edits_per_phrase]


def _holding(images: Sequence[CaptionedImage], group: str) -> Iterator[tuple[CaptionedImage, Phrase]]:
    for image in images:
        phrase = next((phrase for phrase in image.phrases if phrase.group == group), None)
        if phrase:
            yield image, phrase


def _replacement(found: Found, image: CaptionedImage, phrase: Phrase) -> str | None:
    """Return the background to edit in, None where the model offers none, or the same one in other words."""
    offered = found.alternatives.get(image.source_id)
    return offered if offered and normalise(offered) != normalise(phrase.text) else None


def _row(
    recipe: Recipe,
    settings: Discovery,
    image: CaptionedImage,
    phrase: Phrase,
    found: Found,
    place: Mapping[str, Any],
    models: str,
) -> Row:
    editor, y = settings.editor, image.y
    replacement = found.alternatives.get(image.source_id) if phrase.kind == "background" else None
    asked = {
        "source_id": image.source_id,
        "y": y,
        "class_name": recipe.classes[y].name,
        "kind": phrase.kind,
        "phrase": phrase.text,
        "phrase_group": phrase.group,
        "replacement": replacement,
        "mask_phrase": phrase.text if phrase.kind == "foreground" else object_words(recipe, settings.segmenter, y),
        "keep_phrases": _kept(image) if phrase.kind == "background" else [],
        "editor": editor.kind,
        "prompt": _prompt(recipe, editor, image, phrase, replacement),
        "negative_prompt": editor.negative,
        "steps": editor.steps,
        "guidance_scale": editor.guidance_scale,
        "eta": editor.eta,
    }
    determinants = {**asked, "seed": recipe.seed, "image": place["image_sha256"]}
    sampler = {"strength": editor.strength, "scheduler": editor.scheduler}
    return {
        "edit_id": sample_id(determinants, models),
        "noise_seed": noise_seed(determinants),
        **asked,
        "editor_fingerprint": models,
        "settings": canonical_json(sampler),
        "source_shard": f"{places.SOURCE}{place['shard']}",
        "source_offset": place["offset"],
        "source_size": place["size"],
        "source_sha256": place["image_sha256"],
    }


def _kept(image: CaptionedImage) -> list[str]:
    """Return the objects of a picture, which a new background leaves alone."""
    return list(dict.fromkeys(phrase.text for phrase in image.phrases if phrase.kind == "foreground"))


def _prompt(recipe: Recipe, editor: Editing, image: CaptionedImage, phrase: Phrase, replacement: str | None) -> str:
    """Return what the editor is told: what the mask shows afterwards, or, of kind instruct, what to do."""
    behind = next((other.text for other in image.phrases if other.kind == "background"), "")
    words = {
        "class": recipe.classes[image.y].wordings[0],
        "phrase": phrase.text,
        "replacement": replacement or "",
        "background": behind,
    }
    form = "instruction" if editor.kind == "instruct" else "prompt"
    template: str = getattr(editor, f"{phrase.kind}_{form}")
    return template.format(**words)
