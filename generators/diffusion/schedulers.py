"""Another scheduler for a model: whether it reads the model's output as the model means it, and with which settings.

A model is trained to predict noise, velocity or the picture at noise levels of one kind. What it predicts stands in the
config of its own scheduler; a scheduler of another kind reads a flow's velocity as noise and gives pictures without a
word. So what a model was trained with must survive the change, or the scheduler is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairshards.generators.checkpoints.signatures import scheduler_takes

UNSEEDED_SCHEDULERS = ("DPMSolverSDEScheduler",)
"""Draw noise in ``step`` from a source that per-sample generators can't seed."""
FLOW_SCHEDULERS = ("FlowMatch", "LTXEulerAncestralRF", "Helios")
"""How the names of schedulers begin that know flow matching alone."""
TRAINED_WITH = (
    "prediction_type",
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
    "rescale_betas_zero_snr",
)
OF_FLOWS = ("use_dynamic_shifting", "shift_terminal", "invert_sigmas", "stochastic_sampling", "time_shift_type")
"""Settings of a flow's noise levels that a scheduler must know where they are used."""
_USUAL = {"prediction_type": "epsilon", "time_shift_type": "exponential"}
"""What a scheduler without the setting does."""


def check_scheduler(name: str) -> None:
    """Check that diffusers has a scheduler of that name, and that its noise can be seeded.

    Raises:
        ValueError: it hasn't, or it can't.
    """
    scheduler_takes(name)
    if name in UNSEEDED_SCHEDULERS:
        raise ValueError(
            f"scheduler {name!r} draws noise that can't be seeded per sample, so its pictures "
            "can't be made again; choose another, for example EulerAncestralDiscreteScheduler"
        )


def fitted(name: str, own: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with which scheduler ``name`` must be built from the ``config`` of a model's ``own`` one.

    Raises:
        ValueError: ``name`` would read the model's output as something else; see also ``check_scheduler``.
    """
    check_scheduler(name)
    if name == own:
        return {}
    kind = _kind(own, config)
    if kind == "flow":
        return _for_flow(name, own, config)
    if kind != _kind(name, {}) or kind not in ("noise", "EDM"):
        raise ValueError(
            f"scheduler {name!r} can't sample this model, whose own is {own}: it would read what the "
            f"model predicts as something else; {_advice(kind)}"
        )
    return _for_noise(name, own, config) if kind == "noise" else {}


def _kind(name: str, config: Mapping[str, Any]) -> str:
    """Return what a scheduler's model predicts: a "flow", EDM's scaled picture, "noise" at betas; else its name."""
    if name.startswith(FLOW_SCHEDULERS) or config.get("use_flow_sigmas") or _predicts(config) == "flow_prediction":
        return "flow"
    if name.startswith("EDM"):
        return "EDM"
    takes = scheduler_takes(name)
    return "noise" if {"prediction_type", "beta_schedule"} <= set(takes) else name


def _predicts(config: Mapping[str, Any]) -> str:
    return str(config.get("prediction_type", "epsilon"))


def _advice(kind: str) -> str:
    known = {
        "flow": "leave scheduler out, or name one that knows flow matching (FlowMatchHeunDiscreteScheduler, "
        "DPMSolverMultistepScheduler, UniPCMultistepScheduler)",
        "noise": "leave scheduler out, or name one such as DDIMScheduler or EulerDiscreteScheduler",
        "EDM": "leave scheduler out, or name EDMEulerScheduler or EDMDPMSolverMultistepScheduler",
    }
    return known.get(kind, "leave scheduler out")


def _for_flow(name: str, own: str, config: Mapping[str, Any]) -> dict[str, Any]:
    takes = scheduler_takes(name)
    options: dict[str, Any] = {}
    if not name.startswith(FLOW_SCHEDULERS):
        if "use_flow_sigmas" not in takes:
            raise ValueError(
                f"scheduler {name!r} reads the velocity that this model predicts (its own is {own}) as "
                f"noise; {_advice('flow')}"
            )
        options = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    for key in ("shift", "flow_shift"):  # the same setting under two names
        if key in takes:
            options[key] = config.get("shift", config.get("flow_shift", 1.0))
    for key in OF_FLOWS:
        value = config.get(key)
        if value and value != _USUAL.get(key) and key not in takes:
            raise ValueError(
                f"scheduler {name!r} has no {key}, which this model's own ({own}) sets to {value!r}: its "
                "noise levels would be others; leave scheduler out"
            )
    return options


def _for_noise(name: str, own: str, config: Mapping[str, Any]) -> dict[str, Any]:
    takes, own_takes = scheduler_takes(name), scheduler_takes(own)
    options: dict[str, Any] = {}
    for key in TRAINED_WITH:
        value = config.get(key, own_takes.get(key))
        if key in takes:
            if key not in config and key in own_takes and value != takes[key]:
                options[key] = value
        elif value and value != _USUAL.get(key):
            raise ValueError(
                f"scheduler {name!r} has no {key}, but this model was trained with {key}: {value!r} (its "
                f"own scheduler is {own}); leave scheduler out, or name one that has it"
            )
    if takes.get("clip_sample") and "clip_sample" not in {**own_takes, **config}:
        options["clip_sample"] = False  # the model's own never clips: latents go beyond 1
    return options
