"""From a recipe's ``training`` to the trainers' settings. Imports no torch, so that a recipe is checked at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshards.pipeline.recipe.strict import check_fields, field_problems
from fairshards.trainers.classifiers.methods import ASPIRE
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings
from fairshards.trainers.classifiers.timm_config import input_side

if TYPE_CHECKING:
    from fairshards.pipeline.recipe.pictures import Method, Training

STAGES = ("main", "pretrain", "finetune")
FIXED = {"method", "loss", "seed", "trial"}


def train_settings(training: Training) -> list[TrainSettings]:
    """Return the settings of every training of a recipe, the first seed's first.

    Raises:
        ValueError: ``settings`` or ``by_method`` names something that trainers.settings doesn't know, or
            a value that it refuses.
    """
    return [
        TrainSettings(method=method, loss=loss, seed=seed, **_options(training, method))
        for seed in training.seeds
        for loss, method in _losses_and_methods(training)
    ]


def setting_problems(training: Training) -> list[str]:
    """Return what is wrong with ``settings`` and ``by_method``, those of methods that aren't trained included."""
    parts = {"training.settings": training.settings}
    parts |= {f"training.by_method.{method}": options for method, options in training.by_method.items()}
    found = [line for where, options in parts.items() for line in field_problems(TrainSettings, options, where, FIXED)]
    return found or list(dict.fromkeys(_refused(training)))


def _refused(training: Training) -> Iterator[str]:
    """Yield what the settings of a training refuse together."""
    for loss, method in _losses_and_methods(training):
        try:
            TrainSettings(method=method, loss=loss, **_options(training, method))
        except ValueError as error:
            own = f" with training.by_method.{method}" if method in training.by_method else ""
            yield f"training.settings{own}: {error}"


def reference_settings(training: Training, changes: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of discovery's reference classifier: the recipe's ERM with ``discovery.reference`` over it.

    Raises:
        ValueError: as ``train_settings``.
    """
    options = {**_options(training, "erm")}
    if options.get("selection") == "synthetic-validation":
        del options["selection"]  # nothing is generated yet
    own = _checked(changes, "discovery.reference")
    main = {**asdict(options.get("main", StageSettings())), **own.get("main", {})}
    return TrainSettings(
        "erm", seed=training.seeds[0], **{"selection": "worst-class", **options, **own, "main": StageSettings(**main)}
    )


def _losses_and_methods(training: Training) -> list[tuple[str, Method]]:
    """Return every pair to train; Resample draws by bias label, so ASPIRE's methods are trained once, with ERM."""
    pairs = [("erm" if method in ASPIRE else loss, method) for loss in training.losses for method in training.methods]
    return list(dict.fromkeys(pairs))


def _options(training: Training, method: Method) -> dict[str, Any]:
    """Return the settings of all methods with those of ``method`` laid over them, stage by stage."""
    common = _checked(training.settings, "training.settings")
    own = _checked(training.by_method.get(method, {}), f"training.by_method.{method}")
    options = {**common, **own}
    weights = options.get("weights")
    if weights and "image_size" not in options and (side := input_side(Path(str(weights)).expanduser())):
        options["image_size"] = side  # what the weights were trained at
    for stage in STAGES:
        if stage in options:
            options[stage] = StageSettings(**{**common.get(stage, {}), **own.get(stage, {})})
    return options


def _checked(options: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    check_fields(TrainSettings, options, where, FIXED)
    return options
