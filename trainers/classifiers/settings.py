"""What decides a training, as frozen dataclasses. Imports no torch, so that a recipe can hold these."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fairshards.trainers.classifiers.methods import (
    ASPIRE,
    DFR_GROUPS,
    DFR_SYNTHETIC,
    METHODS,
    PER_GROUP,
    SELECTIONS,
    method_name,
)
from fairshards.trainers.core.errors import TrainerError

POCKET = "pocket-convnet"
TIMM = "timm:"
LOSSES = ("erm", "resample")
PRECISIONS = ("auto", "float32", "bfloat16")
# Settings that change how fast a training is, never what it gives: they are not part of its identity.
_SPEED = ("workers", "cache_bytes")
_STAGES = ("main", "pretrain", "finetune")


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

    ``method``: "erm" (real only; "none" in the tables), "usb", "asb", "ffr", "aspire-erm" and "aspire-dfr"
    (real and spurious-free samples: docs/methods.md#aspire-erm-and-aspire-dfr), or the reference row
    "balanced-real" (a real index whose train split is balanced). ``loss``: "erm" draws uniformly, "resample"
    with weight 1/frequency of the group; ASPIRE's methods take "erm" alone. ``selection`` is what chooses the epoch
    (``selection.py``): "auto" is "worst-class" for ASPIRE's methods and "worst-group" for the others. ``dfr_groups``
    are what "aspire-dfr" balances: "discovered" ones (class x its top phrase), or "true" ones by bias label. Its
    ``dfr_synthetic`` says where spurious-free samples go: "all" of them beside each balanced draw, as published, or
    "grouped" with the real samples of their class that lack its phrase, and drawn with these. The published way
    leads the head away from the phrase where there are many of them and few real ones.
    ``main`` is the one stage of every method but FFR, ``pretrain`` FFR's stage 1 and ``finetune`` its stage 2,
    which forgets stage 1 at a high learning rate.
    ``weights`` is a folder with ``model.safetensors`` for a timm backbone. ``device`` is "auto" or a torch
    device; ``precision`` "auto" means bfloat16 autocast on CUDA where it is supported and float32 elsewhere.
    ``cache_bytes`` bounds the images held in memory. A ``trial`` chooses settings: it never reads test.
    """

    method: str
    loss: str = "erm"
    seed: int = 0
    selection: str = "auto"
    dfr_groups: str = "discovered"
    dfr_synthetic: str = "all"
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
        check_one_of("method", self.method, METHODS)
        check_one_of("loss", self.loss, LOSSES)
        check_one_of("precision", self.precision, PRECISIONS)
        check_one_of("selection", self.selection, SELECTIONS)
        check_one_of("dfr_groups", self.dfr_groups, DFR_GROUPS)
        check_one_of("dfr_synthetic", self.dfr_synthetic, DFR_SYNTHETIC)
        if self.dfr_synthetic == "grouped" and self.dfr_groups == "true":
            raise TrainerError(
                "dfr_synthetic is 'grouped', but of spurious-free samples no true group is known; use 'all'"
            )
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

    def _require_no_bias_label(self) -> None:
        """Refuse settings by which an ASPIRE training would read a bias label, which its name says it doesn't."""
        if self.method not in ASPIRE:
            return
        if self.loss != "erm":
            raise TrainerError(
                f"{self.method} with loss {self.loss!r} would draw by bias label; its loss must be 'erm'"
            )
        if self.selection == "worst-group" and not self.uses_true_groups:
            raise TrainerError(
                f"{self.method} uses no bias label, but selection is 'worst-group', which needs them; "
                "use 'worst-class' (what 'auto' is here) or 'synthetic-validation'"
            )

    @property
    def name(self) -> str:
        """The method as tables call it."""
        return method_name(self.method, self.dfr_groups)

    @property
    def selects_by(self) -> str:
        """What chooses the epoch, "auto" resolved: "worst-group", "worst-class" or "synthetic-validation"."""
        return self._own_selection if self.selection == "auto" else self.selection

    @property
    def uses_true_groups(self) -> bool:
        """Whether it is ASPIRE+DFR over labelled groups."""
        return self.method == "aspire-dfr" and self.dfr_groups == "true"

    @property
    def needs_groups(self) -> bool:
        """Whether the training reads a manifest of discovered groups."""
        return self.method == "aspire-dfr" and self.dfr_groups == "discovered"

    @property
    def needs_synthetic(self) -> bool:
        """Whether the training reads synthetic samples, to train on or to choose its epoch by."""
        return self.method in (*PER_GROUP, *ASPIRE) or self.selection == "synthetic-validation"

    @property
    def stages(self) -> dict[str, StageSettings]:
        """The settings of each stage that the method runs, in order, by the stage's name."""
        if self.method == "ffr":
            return {"stage1": self.pretrain, "stage2": self.finetune}
        return {"train": self.main}

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the result: no speed settings, and nothing that isn't used.

        The selection stands there only where it isn't the method's own, so that naming that one changes nothing.
        """
        unused = {"main"} if self.method == "ffr" else {"pretrain", "finetune"}
        unused |= {"selection"} if self.selects_by == self._own_selection else set()
        unused |= {"dfr_groups", "dfr_synthetic"} if self.method != "aspire-dfr" else set()
        unused |= {"dfr_synthetic"} if self.dfr_synthetic == "all" else set()  # as if there were no other way
        return {name: value for name, value in asdict(self).items() if name not in {*_SPEED, *unused}}

    @property
    def _own_selection(self) -> str:
        return "worst-class" if self.method in ASPIRE else "worst-group"


def settings_from(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings that ``identity()`` or ``dataclasses.asdict`` wrote."""
    stages = {name: StageSettings(**values[name]) for name in _STAGES if name in values}
    return TrainSettings(**{**values, **stages})


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


def check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check that the setting ``name`` has one of the allowed values.

    Raises:
        TrainerError: it hasn't.
    """
    if value not in allowed:
        raise TrainerError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
