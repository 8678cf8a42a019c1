"""What a folder of timm weights says of itself in ``config.json``: backbone, normalisation, size. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairshards.trainers.core.errors import TrainerError

FILE = "config.json"


def weights_config(folder: Path) -> Mapping[str, Any]:
    """Return what ``config.json`` says of the weights, as timm writes it on the hub; empty where there is none.

    Raises:
        TrainerError: it is no JSON mapping.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        said = json.loads(file.read_text())
        own = said.get("pretrained_cfg") or {}
        return {**{name: value for name, value in said.items() if name != "pretrained_cfg"}, **own}
    except (ValueError, AttributeError, TypeError) as error:
        raise TrainerError(f"{file} can't be read as timm's config: {error}; download the weights again") from error


def normalisation(folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Return the mean and deviation that the weights were trained with; the given ones where the folder says none.

    Raises:
        TrainerError: they aren't three numbers each, with deviations above 0.
    """
    said = weights_config(folder)
    given = (said.get("mean") or mean, said.get("std") or std)
    found = tuple(tuple(part) if isinstance(part, list | tuple) else (part,) for part in given)
    numbers = all(isinstance(value, int | float) for part in found for value in part)
    if [len(part) for part in found] != [3, 3] or not numbers or min(found[1]) <= 0:
        raise TrainerError(
            f"{folder / FILE} has mean {found[0]} and std {found[1]}; expected three numbers each, one "
            "a colour, with deviations above 0"
        )
    return found


def check_architecture(folder: Path, backbone: str) -> None:
    """Check that the weights are those of the backbone, where the folder says whose they are.

    Raises:
        TrainerError: they aren't.
    """
    said = weights_config(folder).get("architecture")
    if said and said != backbone.partition(".")[0]:
        raise TrainerError(
            f"weights in {folder} are of {said} ({FILE}), but the model is {backbone}; name "
            f"timm:{said}, or other weights"
        )


def input_side(folder: Path) -> int | None:
    """Return the pixels a side that the weights were trained at; None where the folder doesn't say."""
    size = weights_config(folder).get("input_size")
    return int(size[-1]) if isinstance(size, list) and size else None
