"""What decides a training, as frozen dataclasses. Imports no torch, so that a recipe can hold these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainers.errors import TrainerError

METHODS = ("erm", "usb", "asb", "ffr", "balanced-real")
LOSSES = ("erm", "resample")
PRECISIONS = ("auto", "float32", "bfloat16")
# Settings that change how fast a training is, never what it gives: they are not part of its identity.
_SPEED = ("workers", "cache_bytes")
_STAGES = ("main", "pretrain", "finetune")


@dataclass(frozen=True)
class StageSettings:
    """One stage of training with Adam at a constant learning rate (methods 1.5).

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
            if getattr(self, name) <= 0:
                raise TrainerError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.weight_decay < 0:
            raise TrainerError(f"weight_decay is {self.weight_decay}; it must be 0 or more")


@dataclass(frozen=True)
class TrainSettings:
    """One training: its method (which samples), its loss (how they are drawn), its model and stages.

    ``method``: "erm" (real only; "none" in the tables), "usb", "asb", "ffr", or the reference row
    "balanced-real" (a real index whose train split is balanced). ``loss``: "erm" draws uniformly,
    "resample" with weight 1/frequency of the group. ``main`` is the one stage of every method but FFR,
    ``pretrain`` FFR's stage 1 and ``finetune`` its stage 2, which forgets stage 1 at a high learning rate.
    ``weights`` is a folder with ``model.safetensors`` for a timm backbone. ``device`` is "auto" or a torch
    device; ``precision`` "auto" means bfloat16 autocast on CUDA where it is supported and float32 elsewhere.
    ``cache_bytes`` bounds the images held in memory. A ``trial`` chooses settings: it never reads test.
    """

    method: str
    loss: str = "erm"
    seed: int = 0
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
        if self.image_size <= 0:
            raise TrainerError(f"image_size is {self.image_size}; it must be above 0")
        if self.weights and self.pretrained:
            raise TrainerError("weights and pretrained are both set; a model starts from one of them")

    @property
    def needs_synthetic(self) -> bool:
        """Whether the method trains on synthetic samples."""
        return self.method in ("usb", "asb", "ffr")

    @property
    def stages(self) -> dict[str, StageSettings]:
        """The settings of each stage that the method runs, in order, by the stage's name."""
        if self.method == "ffr":
            return {"stage1": self.pretrain, "stage2": self.finetune}
        return {"train": self.main}

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the result: no speed settings, and no stage that isn't run."""
        unused = {"main"} if self.method == "ffr" else {"pretrain", "finetune"}
        return {name: value for name, value in asdict(self).items() if name not in {*_SPEED, *unused}}


def settings_from(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings that ``identity()`` or ``dataclasses.asdict`` wrote."""
    stages = {name: StageSettings(**values[name]) for name in _STAGES if name in values}
    return TrainSettings(**{**values, **stages})


def check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check that the setting ``name`` has one of the allowed values.

    Raises:
        TrainerError: it hasn't.
    """
    if value not in allowed:
        raise TrainerError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
