"""Schedulers by name: what the model was trained with survives, or they are refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fairshards.generators.checkpoints.loading import load_pipeline
from fairshards.generators.diffusion.schedulers import fitted
from fairshards.generators.diffusion.text_to_image import TextToImage
from tests.generators.image_requests import requests
from tests.tiny_models import write_tiny_diffusion

FLOW = {"shift": 3.0, "num_train_timesteps": 1000}
V = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "clip_sample": False,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "trained_betas": None,
}


@cache
def flow_picture(folder: Path, scheduler: str | None, steps: int) -> npt.NDArray[np.int16]:
    """Return a picture of the tiny SD3, whose velocity is made strong enough to matter."""
    model = TextToImage.load(folder, device="cpu", scheduler=scheduler)
    model.pipeline.transformer.proj_out.weight.data.mul_(15.0)
    asked = [replace(one, steps=steps, window=0, guidance_scale=1.0) for one in requests(1)]
    (made,) = model.generate(asked, 1)
    return np.asarray(Image.open(io.BytesIO(made.png or b"")), np.int16)


@pytest.mark.parametrize(
    "scheduler", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "FlowMatchHeunDiscreteScheduler"]
)
def test_a_flow_is_sampled_as_a_flow(sd3_folder: Path, scheduler: str) -> None:
    """Read as noise, its velocity gave pictures that were 166 to 194 grey levels off."""
    exact = flow_picture(sd3_folder, None, 150)
    assert np.abs(flow_picture(sd3_folder, scheduler, 30) - exact).max() <= 20
    assert np.abs(flow_picture(sd3_folder, None, 5) - exact).max() > 30  # the pictures do depend on the way there


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "EulerDiscreteScheduler", "LCMScheduler", "IPNDMScheduler"])
def test_a_scheduler_that_knows_no_flow_is_refused(sd3_folder: Path, scheduler: str) -> None:
    with pytest.raises(ValueError, match=f"scheduler '{scheduler}' reads the velocity that this model predicts"):
        TextToImage.load(sd3_folder, device="cpu", scheduler=scheduler)


@pytest.mark.parametrize(
    "scheduler",
    ["FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "CMStochasticIterativeScheduler", "IPNDMScheduler"],
)
def test_a_scheduler_of_another_kind_is_refused_for_a_noise_model(tiny_folder: Path, scheduler: str) -> None:
    with pytest.raises(ValueError, match=f"scheduler '{scheduler}' can't sample this model, whose own is DDIM"):
        TextToImage.load(tiny_folder, device="cpu", scheduler=scheduler)


@pytest.mark.parametrize(
    ("name", "own", "config", "options"),
    [
        ("DDIMScheduler", "DDIMScheduler", V, {}),
        ("EulerDiscreteScheduler", "DDIMScheduler", V, {}),
        (
            "UniPCMultistepScheduler",
            "FlowMatchEulerDiscreteScheduler",
            FLOW,
            {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0},
        ),
        (
            "FlowMatchEulerDiscreteScheduler",
            "DPMSolverMultistepScheduler",
            {"use_flow_sigmas": True, "flow_shift": 2.0, "prediction_type": "flow_prediction"},
            {"shift": 2.0},
        ),
        (
            "DDIMScheduler",
            "EulerDiscreteScheduler",
            {name: value for name, value in V.items() if name not in ("clip_sample", "rescale_betas_zero_snr")},
            {"clip_sample": False},
        ),
        ("HeunDiscreteScheduler", "DDIMScheduler", {"clip_sample": False}, {"beta_start": 0.0001, "beta_end": 0.02}),
        (
            "EulerDiscreteScheduler",
            "PNDMScheduler",  # of Stable Diffusion 1.5, which says no more
            {
                name: V[name]
                for name in ("beta_schedule", "beta_start", "beta_end", "num_train_timesteps", "trained_betas")
            },
            {},
        ),
    ],
)
def test_what_the_model_was_trained_with_is_set(
    name: str, own: str, config: dict[str, Any], options: dict[str, Any]
) -> None:
    assert fitted(name, own, config) == options


@pytest.mark.parametrize(
    ("name", "own", "config", "message"),
    [
        ("PNDMScheduler", "DDIMScheduler", V, "has no rescale_betas_zero_snr, but this model was trained with"),
        (
            "FlowMatchHeunDiscreteScheduler",
            "FlowMatchEulerDiscreteScheduler",
            {"use_dynamic_shifting": True},
            "has no use_dynamic_shifting, which this model's own",
        ),
        ("DDIMScheduler", "EDMEulerScheduler", {}, "name EDMEulerScheduler or EDMDPMSolverMultistepScheduler"),
        ("DDIMSchedular", "DDIMScheduler", V, "did you mean DDIMScheduler"),
    ],
)
def test_what_a_scheduler_does_not_know_is_refused(name: str, own: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(name, own, config)


def chosen(folder: Path, scheduler: str) -> Any:
    """Return the config of a scheduler by name, as it is loaded with the model."""
    return load_pipeline(folder, "cpu", "float32", scheduler, allow_pickle=False).scheduler.config


def test_velocity_of_noise_stays_velocity(tmp_path: Path) -> None:
    folder = write_tiny_diffusion(tmp_path / "v", prediction_type="v_prediction")
    for scheduler in ("EulerDiscreteScheduler", "PNDMScheduler", "LCMScheduler"):
        assert chosen(folder, scheduler).prediction_type == "v_prediction"
    with pytest.raises(ValueError, match="EDMEulerScheduler"):
        chosen(folder, "EDMEulerScheduler")


def test_what_the_model_does_not_say_is_the_other_schedulers_own(own_folder: Path) -> None:
    """As ``from_config`` has it: a default of the model's own scheduler is nothing that the model was trained with."""
    file = own_folder / "scheduler" / "scheduler_config.json"
    said = {name: value for name, value in json.loads(file.read_text()).items() if name != "timestep_spacing"}
    file.write_text(json.dumps({**said, "steps_offset": 1}))
    config = chosen(own_folder, "EulerDiscreteScheduler")
    assert (config.timestep_spacing, config.steps_offset) == ("linspace", 1)  # DDIM's own is "leading"
