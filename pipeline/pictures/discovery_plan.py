"""What `fairshards plan` shows of a recipe that looks for spurious phrases: steps, amounts at most, downloads."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from fairshards.pipeline.pictures.models import discovery_models, is_here, segmenter_models
from fairshards.pipeline.recipe.pictures import Recipe


def steps_table(recipe: Recipe, images: int | None) -> Table:
    """Return the steps of discovery and spurious-free generation; ``images`` are the training images, if known."""
    table = Table(title=f"{recipe.name}: what would be done", title_justify="left")
    for column in ("step", "how much", "by"):
        table.add_column(column, overflow="fold")
    for row in _steps(recipe, images):
        table.add_row(*map(escape, row))
    return table


def downloads(recipe: Recipe) -> list[str]:
    """Return the models that a run would fetch from a hub: those that aren't pocket models or folders here."""
    models = [recipe.generator.model, recipe.scorer.model, *segmenter_models(recipe.scorer.segmenter)]
    models += discovery_models(recipe)
    settings = recipe.training.settings
    if settings.get("pretrained"):
        models.append(f"{settings['model']} (timm's weights)")
    return [name for name in dict.fromkeys(models) if not is_here(name)]


def _steps(recipe: Recipe, images: int | None) -> Iterator[tuple[str, str, str]]:
    many = f"{images:,} training images" if images is not None else "every training image"
    if recipe.discovery:
        chosen = recipe.discovery
        most, classes = chosen.edits_per_phrase, len(recipe.classes)
        yield "caption", many, _text(chosen.captioner)
        yield "extract phrases", "one answer a caption, more for what is missing", _text(chosen.extractor)
        yield "reference classifier", "one ERM training", str(recipe.training.settings.get("model", "pocket-convnet"))
        each = f"at most {most} edits of each" if most else "every occurrence of each"
        by = " + ".join([*segmenter_models(chosen.segmenter), chosen.editor.model])
        yield "edit and test", f"{each} of up to {chosen.max_phrases} phrases a class", by
        yield "rank", f"top {chosen.ranking.top_k} of each of {classes} classes", "hits of successful edits, lift"
    if recipe.spurious_free:
        free = recipe.spurious_free
        if free.make != "generate":
            yield "take edits", "those of reported phrases that succeeded", "the edits above; nothing is made again"
        if free.personalise is not None and free.make != "edit":
            steps = free.personalise.get("steps", 1000)
            yield "personalise", f"{len(recipe.classes) * len(free.seeds)} x {steps} steps", recipe.generator.model
        kept = free.per_class * len(recipe.classes)
        if free.make != "edit":
            limit = "at most " if free.make == "both" else ""
            each = f"{recipe.generator.steps} steps each"
            yield "generate", f"{limit}{kept} kept pictures, {each}", f"guidance {free.guidance}"
        yield "filter", ", ".join(recipe.filters) or "none", recipe.scorer.model
        yield "retrain", f"{len(recipe.training.seeds)} seed(s)", ", ".join(recipe.training.methods)


def _text(model: object) -> str:
    endpoint = getattr(model, "endpoint", None)
    return f"{endpoint.model} at {endpoint.base_url}" if endpoint else str(getattr(model, "model", ""))
