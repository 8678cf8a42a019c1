"""Training methods and losses by the names that a recipe says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from fairshards.plugins import Family, PluginError
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.methods.base import TrainingLoss, TrainingMethod

_HERE = "fairshards.trainers.methods"

METHODS = Family[TrainingMethod](
    "trainers",
    f"{_HERE}.base.TrainingMethod",
    {
        "erm": f"{_HERE}.erm.Erm",
        "usb": f"{_HERE}.per_group.Usb",
        "asb": f"{_HERE}.per_group.Asb",
        "ffr": f"{_HERE}.per_group.Ffr",
        "aspire-erm": f"{_HERE}.aspire.AspireErm",
        "aspire-dfr": f"{_HERE}.aspire.AspireDfr",
        "balanced-real": f"{_HERE}.erm.BalancedReal",
    },
    ("name", "title"),
)
"""Training methods, in the order in which tables introduce them."""

LOSSES = Family[TrainingLoss](
    "losses",
    f"{_HERE}.base.TrainingLoss",
    {"erm": f"{_HERE}.losses.ErmLoss", "resample": f"{_HERE}.losses.Resample"},
    ("name", "title"),
)


def method_class(name: str) -> type[TrainingMethod]:
    """Return the method of a recipe's name.

    Raises:
        TrainerError: there is none, or it lacks what a method must have.
    """
    return _class_of(METHODS, "method", name)


def loss_class(name: str) -> type[TrainingLoss]:
    """Return the loss of a recipe's name.

    Raises:
        TrainerError: there is none, or it lacks what a loss must have.
    """
    return _class_of(LOSSES, "loss", name)


def known_method(name: str) -> type[TrainingMethod] | None:
    """Return the method; None where it can't be had here, e.g. in the report of a run from another machine."""
    try:
        return METHODS[name]
    except PluginError:
        return None


def known_loss(name: str) -> type[TrainingLoss] | None:
    """Return the loss; None where it can't be had here."""
    try:
        return LOSSES[name]
    except PluginError:
        return None


def options_of(kind: type[TrainingMethod] | type[TrainingLoss]) -> tuple[str, ...]:
    """Return the names of a method's or loss's options."""
    return tuple(field.name for field in fields(kind))


def shipped_options() -> dict[str, Any]:
    """Return the options of all methods that ship, with their defaults."""
    kinds = [METHODS[name] for name in METHODS.built_in]
    return {option.name: option.default for kind in kinds for option in fields(kind)}


def _class_of(family: Family[Any], what: str, name: str) -> type[Any]:
    try:
        return family[name]
    except PluginError as error:
        raise TrainerError(f"{what} is {error}") from error
