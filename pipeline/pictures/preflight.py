"""What can be known of a run before it makes anything, so that nothing ends hours later for a reason that stood in the
recipe.

This is what the recipe, the models' folders and this machine tell; count_checks.py is what the dataset's counts tell.
Both report all that is wrong at once. ``plan`` prints the same checks, one a line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshards.filters.pictures.edit_misplaced import EditMisplaced
from fairshards.filters.pictures.shortcut_left import ShortcutLeft
from fairshards.filters.pictures.spurious_absence import SpuriousAbsence
from fairshards.generators.checkpoints.model_files import is_hub_id
from fairshards.pipeline.pictures.models import (
    check_generator,
    discovery_models,
    generator_spec,
    is_here,
    scorer_spec,
    segmenter_models,
)
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import reference_settings, train_settings
from fairshards.pipeline.run.checks import Check, Ready, attempted
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.place_checks import device_is_here, elsewhere, folder_checks
from fairshards.pipeline.run.stages import reaches
from fairshards.pipeline.synthesis.calibrate import stored_calibrations
from fairshards.trainers.classifiers.settings import POCKET as CONVNET
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec

if TYPE_CHECKING:
    from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs


@dataclass(frozen=True)
class PicturesReady(Ready):
    """What was checked, and what workers need of the models that the run uses."""

    specs: tuple[GeneratorSpec, ScorerSpec] | None = None
    looks: DiscoverySpecs | None = None


def before_source(
    recipe: Recipe, launcher: Launcher, root: Path, until: str, generate: bool = True, only_planned: bool = False
) -> PicturesReady:
    """Return the checks of a run of pictures up to a stage, and the specs of its models.

    Without ``generate`` no generator is loaded. A run that is ``only_planned`` fetches no model from a hub, and may
    begin on another machine, with other devices.
    """
    checks = [*folder_checks(root, "pictures"), attempted("runner", launcher.pipeline_options, launcher.runner)]
    threads, fetch = launcher.threads, not only_planned
    makes, discovers = reaches(until, "generate"), recipe.discovery is not None and reaches(until, "discover")
    specs: dict[str, Any] = {}
    if makes:
        checks += [
            attempted("what is made", lambda: _something_to_make(recipe)),
            *_sizes(recipe),
            *_idle_filters(recipe),
        ]
        named = [recipe.scorer.model, *segmenter_models(recipe.scorer.segmenter)]
        checks += _spec("generator", [recipe.generator.model], fetch, specs, lambda: generator_spec(recipe, threads))
        checks += _asked_of_generator(recipe) if generate and "generator" in specs else ()
        checks += _spec("scorer", named, fetch, specs, lambda: scorer_spec(recipe, threads))
        checks += _borrowed_limits(recipe)
    if discovers:
        checks += _spec("discovery", discovery_models(recipe), fetch, specs, lambda: _looks(recipe, threads))
    if generate:
        checks += elsewhere(_devices(recipe, launcher, makes, discovers), only_planned)
        checks += _prompts(recipe, specs, makes)
    if reaches(until, "train") and (balancing := _balancing_groups(recipe)):
        checks.append(
            attempted(f"groups for {balancing[0]}", lambda: check_groups(recipe, recipe.discovery is not None))
        )
    trainings = _trainings(recipe, reaches(until, "train"), discovers)
    checks += elsewhere(_training_devices(trainings), only_planned)
    checks += _trained_models(trainings, len(recipe.classes))
    pair = (specs["generator"], specs["scorer"]) if {"generator", "scorer"} <= specs.keys() else None
    return PicturesReady(tuple(checks), pair, specs.get("discovery"))


def check_groups(recipe: Recipe, discovered: bool) -> None:
    """Refuse a method over discovered groups in a run that discovers none.

    Raises:
        RecipeError: says how to mend the recipe.
    """
    if discovered:
        return
    for settings in train_settings(recipe.training):
        if settings.training_method.needs_groups:
            raise RecipeError(
                f"training.methods has {settings.method}, which balances discovered groups, but this run discovers "
                f"none: leave {settings.method} out of training.methods{_instead(settings)}"
            )


def _instead(settings: TrainSettings) -> str:
    option = settings.training_method.instead_of_groups
    if option is None:
        return ""
    labelled = replace(settings, options={**settings.options, option[0]: option[1]})
    return (
        f"; or, where the source has bias labels, set training.by_method.{settings.method}.{option[0]}: "
        f"{option[1]!r}, and the row is called {labelled.name}"
    )


def _balancing_groups(recipe: Recipe) -> list[str]:
    """Return the methods that balance groups, discovered ones or such as a bias label gives."""
    declared = ((settings.method, settings.training_method) for settings in train_settings(recipe.training))
    return [name for name, method in declared if method.needs_groups or method.instead_of_groups]


def _looks(recipe: Recipe, threads: int | None) -> DiscoverySpecs:
    from fairshards.pipeline.pictures.discovery_models import discovery_specs

    assert recipe.discovery is not None
    return discovery_specs(recipe, recipe.discovery, threads)


def _something_to_make(recipe: Recipe) -> None:
    if not (recipe.bias.known or recipe.spurious_free):
        raise RecipeError(
            "no bias label is known, so there are no groups to balance: add spurious_free, which makes "
            "pictures without what discovery reports; or stop at the table: fairshards discover"
        )


def _sizes(recipe: Recipe) -> Iterator[Check]:
    batch, shard = recipe.generator.batch_size, recipe.quota.shard_size
    if batch > shard:
        yield Check(
            "shard size",
            "note",
            f"quota.shard_size is {shard} and generator.batch_size {batch}: every batch "
            f"makes {batch} pictures, of which {batch - shard} are thrown away",
        )


def _idle_filters(recipe: Recipe) -> Iterator[Check]:
    """Check that filters which look for discovered phrases have some to look for."""
    free, names = recipe.spurious_free, recipe.filters
    if ShortcutLeft.name in names and free is None:
        yield Check(
            "filter shortcut_left",
            "problem",
            "it asks discovery's reference classifier, and this run has "
            "none, so that it would reject every picture: add spurious_free and discovery, or take it out",
        )
    if SpuriousAbsence.name in names and free is None and not any(p.spurious for p in recipe.prompts.by_class.values()):
        yield Check(
            "filter spurious_absence",
            "note",
            "no class has phrases to look for (prompts.by_class.*.spurious), so it lets every picture pass",
        )
    if EditMisplaced.name in names and (free is None or free.make == "generate"):
        yield Check("filter edit_misplaced", "note", "it looks at edits alone, and this run takes none as samples")


def _spec(what: str, names: list[str], fetch: bool, specs: dict[str, Any], build: Callable[[], Any]) -> Iterator[Check]:
    """Check that models are there, whole and fit for what the recipe asks; keep what workers need of them."""
    far = [name for name in names if not (fetch or is_here(name))]
    if lost := [name for name in far if not is_hub_id(name)]:
        yield Check(f"models of {what}", "problem", f"{', '.join(lost)}: no such folder, and no hub's id, owner/name")
        return
    if far:
        yield Check(f"models of {what}", "not checked", f"{', '.join(far)}: on a hub; looked at when the run begins")
        return
    yield attempted(f"models of {what}", lambda: specs.update({what: build()}), ", ".join(dict.fromkeys(names)))


def _asked_of_generator(recipe: Recipe) -> Iterator[Check]:
    """Check what the recipe asks of the pipeline against what its folder says of it."""
    what, notes = "what is asked of the generator", list[str]()
    yield attempted(what, lambda: notes.extend(check_generator(recipe)))
    yield from (Check(what, "note", note) for note in notes)


def _borrowed_limits(recipe: Recipe) -> Iterator[Check]:
    if recipe.calibration.run:
        root = Path(recipe.calibration.run)
        yield attempted("calibration.run", lambda: stored_calibrations(root, recipe.calibration.curation), str(root))


def _devices(recipe: Recipe, launcher: Launcher, makes: bool, discovers: bool) -> Iterator[Check]:
    """Check the workers' devices, where the workers are on this machine."""
    asked = {"generator.device": recipe.generator.device, "scorer.device": recipe.scorer.device} if makes else {}
    if discovers and (chosen := recipe.discovery):
        parts = {"captioner": chosen.captioner, "extractor": chosen.extractor, "merge": chosen.merge}
        asked |= {
            f"discovery.{name}.device": one.device
            for name, one in parts.items()
            if one and not getattr(one, "endpoint", None)
        }
        asked["discovery.device"] = chosen.device
        for name, one in (("captioner", chosen.captioner), ("extractor", chosen.extractor)):
            key = one.endpoint.key_variable if one.endpoint else None
            if key and launcher.runner == "local" and not os.environ.get(key):
                yield Check(
                    f"discovery.{name}.endpoint",
                    "problem",
                    f"the environment variable {key} isn't set, which "
                    "key_variable names for the endpoint's key: set it where the run begins",
                )
    for key, device in asked.items():
        if device != "cpu" and launcher.runner != "local":
            yield Check(key, "not checked", f"{device} is asked of the workers of runner {launcher.runner}")
        elif device != "cpu":
            yield attempted(key, partial(device_is_here, device), device)


def _prompts(recipe: Recipe, specs: Mapping[str, Any], makes: bool) -> Iterator[Check]:
    from fairshards.pipeline.pictures import prompt_checks

    made = prompt_checks.as_made(recipe)
    if makes:
        yield prompt_checks.distinct_prompts(made)
        yield prompt_checks.distinct_judges(made)
        if "generator" in specs:
            yield from prompt_checks.generator_prompts(made, specs["generator"].folder)
        if "scorer" in specs:
            yield from prompt_checks.scorer_texts(made, specs["scorer"].model)
    if "discovery" in specs:
        yield from prompt_checks.editor_prompts(recipe, specs["discovery"].edit.editor.model)


def _trainings(recipe: Recipe, trains: bool, discovers: bool) -> dict[str, TrainSettings]:
    """Return the trainings of a run by name, and discovery's reference."""
    found = {f"training {one.name}": one for one in (train_settings(recipe.training) if trains else ())}
    if discovers and recipe.discovery:
        found["discovery.reference"] = reference_settings(recipe.training, recipe.discovery.reference)
    return found


def _training_devices(trainings: Mapping[str, TrainSettings]) -> Iterator[Check]:
    for what, one in trainings.items():
        if one.device not in ("auto", "cpu"):
            from fairshards.trainers.core.place import resolve_device

            yield attempted(f"device of {what}", partial(resolve_device, one), one.device)


def _trained_models(trainings: Mapping[str, TrainSettings], classes: int) -> Iterator[Check]:
    """Check every model that is trained, once: its name, its weights, and that it takes pictures of the size."""
    for one in {(each.model, each.weights, each.image_size): each for each in trainings.values()}.values():
        what = f"trained model {one.model}"
        if one.model == CONVNET:
            yield Check(what, "ok")
            continue
        from fairshards.trainers.classifiers.models import check_backbone

        yield attempted(what, partial(check_backbone, one.model, classes, one.image_size, one.weights))
        if one.pretrained:
            yield Check(f"weights of {one.model}", "not checked", "timm's own, fetched when training begins")
