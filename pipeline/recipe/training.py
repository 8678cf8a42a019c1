"""A recipe's ``training``: what it may say, and the trainers' settings that come of it.

Imports no torch, so that a recipe is checked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from fairshards.nearest import nearest
from fairshards.pipeline.recipe.base import Seed
from fairshards.pipeline.recipe.strict import Strict, check_fields, field_problems, type_problem
from fairshards.plugins import Family
from fairshards.trainers.classifiers.settings import STAGES, StageSettings, TrainSettings
from fairshards.trainers.classifiers.timm_config import input_side
from fairshards.trainers.methods.base import TrainingLoss, TrainingMethod
from fairshards.trainers.methods.registry import LOSSES, METHODS, loss_class, method_class, options_of

FIXED = {"method", "loss", "seed", "trial", "options"}
"""Fields of ``TrainSettings`` that ``settings`` and ``by_method`` don't have: others of the recipe say them."""
Declared = type[TrainingMethod] | type[TrainingLoss]


class _Names:
    """The names of a family in the JSON Schema, where a dotted path may stand too."""

    def __init__(self, family: Family[Any]) -> None:
        self.family = family

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        names = [name for name in self.family.names if not getattr(self.family[name], "reference", False)]
        dotted = {"type": "string", "pattern": "[.]", "description": "A class of your own, by its dotted path."}
        return {"anyOf": [{"type": "string", "enum": names}, dotted]}


def _method(name: str) -> str:
    """Return the name of a method that a recipe can ask for."""
    if method_class(name).reference:
        raise ValueError(f"method {name!r} is a row to compare with, of a data set of its own; leave it out")
    return name


def _loss(name: str) -> str:
    loss_class(name)
    return name


def _settings_schema(schema: dict[str, Any]) -> None:
    """Add the fields of ``TrainSettings``, and the options of all methods and losses."""
    shared = {name: kind for name, kind in get_type_hints(TrainSettings).items() if name not in FIXED}
    schema["properties"] = _properties({**shared, **_option_types(_every_declaration())})


def _by_method_schema(schema: dict[str, Any]) -> None:
    """Add the options that a method of ours has of its own."""
    own = {name: _option_types([METHODS[name]]) for name in METHODS.names}
    schema["properties"] = {name: {"properties": _properties(kinds)} for name, kinds in own.items() if kinds}


def _properties(kinds: Mapping[str, Any]) -> dict[str, Any]:
    properties = {}
    for name, kind in kinds.items():
        properties[name] = {key: value for key, value in TypeAdapter(kind).json_schema().items() if key != "$defs"}
    return properties


MethodName = Annotated[str, AfterValidator(_method), _Names(METHODS)]
LossName = Annotated[str, AfterValidator(_loss), _Names(LOSSES)]


class Training(Strict):
    """What is trained on the real and the curated samples."""

    methods: tuple[MethodName, ...] = ("erm", "usb", "asb", "ffr")
    losses: tuple[LossName, ...] = Field(
        ("erm",),
        min_length=1,
        description="Every method is trained with each; ASPIRE's with erm alone, which reads no bias label.",
    )
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    settings: Mapping[str, Any] = Field(
        default_factory=dict,
        description="Fields of TrainSettings that differ from their defaults, and options of methods and losses.",
        json_schema_extra=_settings_schema,
    )
    by_method: Mapping[MethodName, Mapping[str, Any]] = Field(
        default_factory=dict,
        description="The same for one method, e.g. its tuned learning rate; goes before settings.",
        json_schema_extra=_by_method_schema,
    )

    @model_validator(mode="after")
    def _none_twice(self) -> Training:
        for name, values in (("methods", self.methods), ("losses", self.losses), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"training.{name} has one twice: {list(values)}; each is trained once")
        return self


def train_settings(training: Training) -> list[TrainSettings]:
    """Return the settings of every training of a recipe, the first seed's first.

    Raises:
        ValueError: ``settings`` or ``by_method`` names something that neither ``TrainSettings`` nor a method or loss
            knows, or a value that one of them refuses.
    """
    return [
        TrainSettings(method, loss, seed, **_fields(training, method, loss))
        for seed in training.seeds
        for loss, method in _losses_and_methods(training)
    ]


def setting_problems(training: Training) -> list[str]:
    """Return what is wrong with ``settings`` and ``by_method``, those of methods that aren't trained included."""
    problems = list(_field_problems(training.settings, "training.settings", _every_declaration(training)))
    for method, options in training.by_method.items():
        declared: list[Declared] = [method_class(method), *map(loss_class, training.losses)]
        problems += _field_problems(options, f"training.by_method.{method}", declared)
    return problems or list(dict.fromkeys(_refused(training)))


def reference_settings(training: Training, changes: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of discovery's reference classifier: the recipe's ERM with ``discovery.reference`` over it.

    Raises:
        ValueError: as ``train_settings``.
    """
    check_fields(TrainSettings, changes, "discovery.reference", FIXED)
    chosen = {**_fields(training, "erm", "erm")}
    if chosen.get("selection") == "synthetic-validation":
        del chosen["selection"]  # nothing is generated yet
    main = {**asdict(chosen.get("main", StageSettings())), **changes.get("main", {})}
    merged = {"selection": "worst-class", **chosen, **changes, "main": StageSettings(**main)}
    return TrainSettings("erm", seed=training.seeds[0], **merged)


def curation_misfits(
    training: Training, trainings: Sequence[TrainSettings], spurious_free: bool, splits: Sequence[str] | None
) -> Iterator[str]:
    """Yield where methods don't go together with what is curated.

    ``spurious_free`` tells whether spurious-free pictures are; ``splits`` are those that discovery describes, None
    where nothing is discovered.
    """
    per_group = [method for method in training.methods if method_class(method).adds == "groups"]
    if spurious_free and per_group:
        yield (
            f"training.methods has {per_group}, which need pictures of every (class, bias) group, but "
            "spurious_free makes them by class alone; use another recipe for these methods"
        )
    per_class = [method for method in training.methods if method_class(method).adds == "classes"]
    if per_class and not spurious_free:
        yield f"training.methods has {per_class}, which train on spurious-free pictures: add spurious_free"
    for settings in trainings:
        if settings.training_method.needs_groups and splits and "val" not in splits:
            option = settings.training_method.instead_of_groups
            instead = f", or training.by_method.{settings.method}.{option[0]}: {option[1]!r}" if option else ""
            yield f"{settings.method} chooses by discovered groups on val: set discovery.splits: [train, val]{instead}"
            return


def asking_for_bias(training: Training, trainings: Sequence[TrainSettings]) -> Iterator[str]:
    """Yield what of a recipe's training asks for bias labels, as parts of a sentence."""
    if asking := [method for method in training.methods if method_class(method).bias_labels == "needed"]:
        shipped = [method_class(name) for name in METHODS.built_in]
        *others, last = (kind.name for kind in shipped if kind.bias_labels != "needed" and not kind.reference)
        yield f"training.methods has {asking} ({', '.join(others)} and {last} ask for none)"
    for loss in training.losses:
        if loss_class(loss).bias_labels:
            yield f"training.losses has {loss!r}"
    for settings in trainings:
        if settings.training_method.reads_true_groups:
            option, value = settings.training_method.instead_of_groups or ("options", "bias labels")
            yield f"training has {option} {value!r}"
            return


def _losses_and_methods(training: Training) -> list[tuple[str, str]]:
    """Return every pair to train; a method that reads no bias label has ERM's loss in place of one that does."""
    pairs = [
        ("erm" if method_class(method).bias_labels == "never" and loss_class(loss).bias_labels else loss, method)
        for loss in training.losses
        for method in training.methods
    ]
    return list(dict.fromkeys(pairs))


def _fields(training: Training, method: str, loss: str) -> dict[str, Any]:
    """Return the fields of a training: the settings of all methods with its own laid over them, stage by stage."""
    common, own = training.settings, training.by_method.get(method, {})
    if problems := [*_field_problems(common, "training.settings", _every_declaration(training))]:
        raise ValueError("\n".join(problems))
    written = {**common, **own}
    shared = {name: value for name, value in written.items() if name in {field.name for field in fields(TrainSettings)}}
    weights = shared.get("weights")
    if weights and "image_size" not in shared and (side := input_side(Path(str(weights)).expanduser())):
        shared["image_size"] = side  # what the weights were trained at
    for stage in STAGES:
        if stage in shared:
            shared[stage] = StageSettings(**{**common.get(stage, {}), **own.get(stage, {})})
    known = _option_types([method_class(method), loss_class(loss)])
    return {**shared, "options": {name: written[name] for name in known if name in written}}


def _field_problems(options: Mapping[str, Any], where: str, declared: Iterable[Declared]) -> Iterator[str]:
    """Yield what is wrong with fields of ``TrainSettings`` and with options of the methods and losses ``declared``."""
    kinds = _option_types(declared)
    names = sorted({field.name for field in fields(TrainSettings)} - FIXED | kinds.keys())
    shared = {}
    for name, value in options.items():
        if name not in names:
            yield f"{where} has an unknown key {name!r}{nearest(str(name), names)}"
        elif name in kinds:
            if problem := type_problem(kinds[name], value):
                yield f"{where}.{name}: {problem}"
        else:
            shared[name] = value
    yield from field_problems(TrainSettings, shared, where, FIXED)


def _refused(training: Training) -> Iterator[str]:
    """Yield what the settings of a training refuse together."""
    for loss, method in _losses_and_methods(training):
        try:
            TrainSettings(method, loss, **_fields(training, method, loss))
        except ValueError as error:
            own = f" with training.by_method.{method}" if method in training.by_method else ""
            yield f"training.settings{own}: {error}"


def _every_declaration(training: Training | None = None) -> list[Declared]:
    """Return the methods and losses that are known by name, and those that a recipe names by path."""
    methods, losses = (training.methods, training.losses) if training else ((), ())
    named = [method_class(name) for name in dict.fromkeys((*METHODS.names, *methods))]
    return [*named, *(loss_class(name) for name in dict.fromkeys((*LOSSES.names, *losses)))]


def _option_types(declared: Iterable[Declared]) -> dict[str, Any]:
    """Return the types of the options of methods and losses, by name."""
    return {name: get_type_hints(kind)[name] for kind in declared for name in options_of(kind)}
