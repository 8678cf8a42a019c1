"""Where a training runs, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from fairshards.trainers.core.errors import TrainerError


@dataclass(frozen=True)
class Place:
    """A device, the precision there ("float32" or "bfloat16"), and how many processes read pictures for it."""

    device: torch.device
    precision: str = "float32"
    workers: int = 0


class Placed(Protocol):
    """Settings that say where a training runs and in which precision; either may be "auto"."""

    @property
    def device(self) -> str:
        """A torch device."""

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""


def resolve_device(settings: Placed) -> tuple[torch.device, str]:
    """Return the device and the precision ("float32" or "bfloat16") that "auto" stands for here."""
    cuda = torch.cuda.is_available()
    device = torch.device(("cuda" if cuda else "cpu") if settings.device == "auto" else settings.device)
    if device.type == "cuda" and not cuda:
        raise TrainerError(f"device is {settings.device!r}, but torch finds no CUDA; use 'auto' or 'cpu'")
    if settings.precision != "auto":
        return device, settings.precision
    return device, "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
