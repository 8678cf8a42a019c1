"""What decides a training, as frozen dataclasses. Imports no torch, so that a recipe can hold these."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from fairshards.trainers.core.errors import TrainerError, check_one_of
from fairshards.trainers.methods.base import TrainingLoss, TrainingMethod, foreign_identity
from fairshards.trainers.methods.registry import loss_class, method_class, options_of, shipped_options

POCKET = "pocket-convnet"
TIMM = "timm:"
SELECTIONS = ("auto", "worst-group", "worst-class", "synthetic-validation")
PRECISIONS = ("auto", "float32", "bfloat16")
# Settings that change how fast a training is, never what it gives: they are not part of its identity.
_SPEED = ("workers", "cache_bytes")
STAGES = ("main", "pretrain", "finetune")


@dataclass(frozen=True)
class StageSettings:
    """One stage of training with Adam at a constant learning rate (docs/methods.md#stages-and-losses).

    ``epochs`` are passes of N draws, N the stage's number of samples. ``freeze_bn`` keeps the model in
    evaluation mode while it trains, so that batch statistics don't move. The defaults suit pocket-convnet.
    """

    epochs: int = 12
    lr: float = 3e-3
    weight_decay: float = 1e-5
    batch_size: int = 32
    freeze_bn: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "lr", "batch_size"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainerError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise TrainerError(f"weight_decay is {self.weight_decay}; it must be 0 or more")


@dataclass(frozen=True)
class TrainSettings:
    """One training: its method (which samples), its loss (how they are drawn), its model and stages.

    ``method`` and ``loss`` are names of ``methods/registry.py``, or dotted paths of somebody's own; ``options`` are
    fields of these two. ``selection`` is what chooses the epoch (``selection.py``): "auto" is the method's own,
    "worst-class" for those that read no bias label and "worst-group" for the others.
    ``main`` is the one stage of every shipped method but FFR, ``pretrain`` FFR's stage 1 and ``finetune`` its stage 2,
    which forgets stage 1 at a high learning rate.
    ``weights`` is a folder with ``model.safetensors`` for a timm backbone. ``device`` is "auto" or a torch
    device; ``precision`` "auto" means bfloat16 autocast on CUDA where it is supported and float32 elsewhere.
    ``cache_bytes`` bounds the images held in memory. A ``trial`` chooses settings: it never reads test.
    """

    method: str
    loss: str = "erm"
    seed: int = 0
    selection: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = "pocket-convnet"
    weights: str | None = None
    pretrained: bool = False
    image_size: int = 64
    main: StageSettings = field(default_factory=StageSettings)
    pretrain: StageSettings = field(default_factory=StageSettings)
    finetune: StageSettings = field(default_factory=lambda: StageSettings(lr=1e-5))
    device: str = "auto"
    precision: str = "auto"
    workers: int = 0
    cache_bytes: int = 2 << 30
    trial: bool = False

    def __post_init__(self) -> None:
        self._check_options()
        check_one_of("precision", self.precision, PRECISIONS)
        check_one_of("selection", self.selection, SELECTIONS)
        self._require_no_bias_label()
        if self.image_size <= 0:
            raise TrainerError(f"image_size is {self.image_size}; it must be above 0")
        for name in _SPEED:
            if getattr(self, name) < 0:
                raise TrainerError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if self.weights and self.pretrained:
            raise TrainerError("weights and pretrained are both set; a model starts from one of them")
        check_model_name(self.model, bool(self.weights or self.pretrained))
        check_device_name(self.device)

    def _check_options(self) -> None:
        own = {*options_of(method_class(self.method)), *options_of(loss_class(self.loss))}
        pair = f"method {self.method!r} with loss {self.loss!r}"
        if unknown := sorted(self.options.keys() - own):
            raise TrainerError(f"{pair} has no option {unknown[0]!r}; known: {', '.join(sorted(own)) or 'none'}")
        if taken := sorted(own & {setting.name for setting in fields(self)}):
            raise TrainerError(f"{pair} declares an option {taken[0]!r}, a setting of every training; rename it")
        _ = self.training_method, self.training_loss  # these check their options themselves

    def _require_no_bias_label(self) -> None:
        """Refuse settings by which a training would read a bias label although its method says that it doesn't."""
        if self.training_method.bias_labels != "never":
            return
        if self.training_loss.bias_labels:
            raise TrainerError(
                f"{self.method} with loss {self.loss!r} would draw by bias label; its loss must be 'erm'"
            )
        if self.selection == "worst-group" and not self.training_method.reads_true_groups:
            raise TrainerError(
                f"{self.method} uses no bias label, but selection is 'worst-group', which needs them; "
                "use 'worst-class' (what 'auto' is here) or 'synthetic-validation'"
            )

    @cached_property
    def training_method(self) -> TrainingMethod:
        """The method with its options."""
        kind = method_class(self.method)
        return kind(**{name: self.options[name] for name in options_of(kind) if name in self.options})

    @cached_property
    def training_loss(self) -> TrainingLoss:
        """The loss with its options."""
        kind = loss_class(self.loss)
        return kind(**{name: self.options[name] for name in options_of(kind) if name in self.options})

    @property
    def name(self) -> str:
        """The method as tables call it."""
        return self.training_method.row_title

    @property
    def selects_by(self) -> str:
        """What chooses the epoch, "auto" resolved: "worst-group", "worst-class" or "synthetic-validation"."""
        return self.training_method.selection if self.selection == "auto" else self.selection

    @property
    def needs_synthetic(self) -> bool:
        """Whether the training reads synthetic samples, to train on or to choose its epoch by."""
        return self.training_method.adds != "nothing" or self.selection == "synthetic-validation"

    @property
    def stages(self) -> dict[str, StageSettings]:
        """The settings of each stage that the method runs, in order, by the stage's name."""
        return {name: getattr(self, stage) for name, stage in self.training_method.stages.items()}

    def written(self) -> dict[str, Any]:
        """Return all settings for a training's folder: options beside the shared ones, those that ship by default."""
        values = asdict(self)
        options = {**shipped_options(), **values.pop("options")}
        before = list(values).index("selection") + 1
        entries = list(values.items())
        return {**dict(entries[:before]), **options, **dict(entries[before:])}

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the result: no speed settings, and nothing that isn't used.

        The selection stands there only where it isn't the method's own, so that naming that one changes nothing.
        Methods and losses stand there by name, their options beside the shared settings.
        """
        unused = {*_SPEED, "options", *STAGES} - set(self.training_method.stages.values())
        unused |= {"selection"} if self.selects_by == self.training_method.selection else set()
        shared = {name: value for name, value in asdict(self).items() if name not in unused}
        options = {**self.training_method.identity(), **self.training_loss.identity()}
        foreign = {**foreign_identity(self.training_method), **foreign_identity(self.training_loss)}
        return {**shared, "method": self.training_method.name, "loss": self.training_loss.name, **options, **foreign}


def settings_from(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings that ``identity()``, ``written()`` or ``dataclasses.asdict`` gave.

    What is no setting and no option of the training's method or loss has no meaning for it, and is left out.
    """
    shared = {setting.name for setting in fields(TrainSettings)} - {"options"}
    stages = {name: StageSettings(**values[name]) for name in STAGES if name in values}
    own = (*options_of(method_class(values["method"])), *options_of(loss_class(values.get("loss", "erm"))))
    written = {**values, **values.get("options", {})}
    options = {name: written[name] for name in own if name in written}
    return TrainSettings(**{name: value for name, value in values.items() if name in shared} | stages, options=options)


def check_model_name(model: str, taught: bool) -> None:
    """Check the form of a model's name; ``taught`` tells whether it is to start from given weights.

    Raises:
        TrainerError: it is neither pocket-convnet nor timm:<backbone>, or the former is to have weights.
    """
    if model == POCKET and taught:
        raise TrainerError(f"{POCKET} starts from fresh weights; unset weights and pretrained")
    if model != POCKET and not model.startswith(TIMM):
        hint = f"; did you mean {TIMM + model!r}?" if re.fullmatch(r"[\w.]+", model) else ""
        raise TrainerError(f"no model {model!r}; expected {POCKET!r} or a timm name such as 'timm:resnet50'{hint}")


def check_device_name(device: str) -> None:
    """Check that a text names a torch device, or "auto".

    Raises:
        TrainerError: it doesn't.
    """
    if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d+)?", device):
        hint = "did you mean 'cuda'? " if device.lower() in ("gpu", "nvidia") else ""
        raise TrainerError(f"device is {device!r}; {hint}it must be auto, cpu, cuda, cuda:<number>, mps or xpu")
