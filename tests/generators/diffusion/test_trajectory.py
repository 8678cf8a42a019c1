"""The running trajectory variance against a reference that stores every predicted x0, scheduler by scheduler.

The reference doesn't come from the scheduler. A made-up model knows what x0 it predicts, and turns it into the
output of the wanted prediction type at the noise level of the timestep *it* is asked at. So the follower
is right only if it reads the same x0 out of what passes through ``step``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from fairshards.generators.diffusion.predicted_x0 import predicted_x0
from fairshards.generators.diffusion.text_to_image import TextToImage
from fairshards.generators.diffusion.trajectory import TrajectoryVariance
from tests.generators.image_requests import requests

SHAPE = (3, 4, 8, 8)
STEPS = 12
Noise = Callable[[float], tuple[float, float]]


@dataclass
class MadeUpModel:
    """Predicts an x0 that moves from call to call, and writes it down."""

    prediction_type: str
    noise: Noise
    amplitude: float = 1.0
    seen: list[np.ndarray] = field(default_factory=list)

    def __call__(self, model_input: torch.Tensor, timestep: Any) -> torch.Tensor:
        alpha, sigma = self.noise(float(timestep))
        rows = torch.arange(1.0, SHAPE[0] + 1)[:, None, None, None]
        x0 = self.amplitude * torch.tanh(0.5 * model_input + torch.sin(rows * (len(self.seen) + 1.0)))
        self.seen.append(x0.double().numpy())
        noise = (model_input.double() - alpha * x0.double()) / sigma
        outputs = {
            "epsilon": noise,
            "v_prediction": alpha * noise - sigma * x0,
            "sample": x0,
            "flow_prediction": noise - x0,
        }
        return outputs[self.prediction_type].float()

    def reference(self, window: int) -> np.ndarray:
        """What the follower should find with this window."""
        return variance(self.seen[-window:])


def variance(stored: list[np.ndarray]) -> np.ndarray:
    """Population variance over calls, then the mean over coordinates: (rows,)."""
    return np.asarray(np.stack(stored).var(axis=0).reshape(len(stored[0]), -1).mean(axis=1))


def variance_preserving(scheduler: Any, interpolate_log: bool = False) -> Noise:
    """(alpha, sigma) of a model trained on the scheduler's betas, between timesteps as k-diffusion does it."""
    kept = scheduler.alphas_cumprod.double().numpy()
    with np.errstate(divide="ignore"):
        sigmas = ((1 - kept) / kept) ** 0.5
    steps = np.arange(len(sigmas))

    def level(timestep: float) -> tuple[float, float]:
        if timestep.is_integer():  # also where a zero terminal SNR makes sigma infinite
            return float(kept[int(timestep)] ** 0.5), float((1 - kept[int(timestep)]) ** 0.5)
        values = np.log(sigmas) if interpolate_log else sigmas
        sigma = float(np.interp(timestep, steps, values))
        sigma = float(np.exp(sigma)) if interpolate_log else sigma
        alpha = 1 / (sigma**2 + 1) ** 0.5
        return alpha, sigma * alpha

    return level


def flow(timestep: float) -> tuple[float, float]:
    return 1 - timestep / 1000, timestep / 1000


def angle(timestep: float) -> tuple[float, float]:
    return float(np.cos(timestep * np.pi / 2)), float(np.sin(timestep * np.pi / 2))


def run(scheduler: Any, model: MadeUpModel, window: int | None, **extra: Any) -> tuple[Any, list[Any]]:
    """Sample as a diffusers pipeline does; return the follower and what every ``step`` returned."""
    scheduler.set_timesteps(extra.pop("steps", STEPS))
    noise = [torch.Generator().manual_seed(row) for row in range(SHAPE[0])]
    sample = torch.cat([torch.randn(1, *SHAPE[1:], generator=one) for one in noise])
    sample = sample * getattr(scheduler, "init_noise_sigma", 1.0)
    if "generator" in scheduler.step.__code__.co_varnames[: scheduler.step.__code__.co_argcount]:
        extra["generator"] = noise
    follower, returned = TrajectoryVariance(scheduler, window or 1), []
    if window:
        follower.__enter__()
    for timestep in scheduler.timesteps:
        scale = getattr(scheduler, "scale_model_input", lambda sample, timestep: sample)
        output = model(scale(sample, timestep), timestep)
        returned.append(scheduler.step(output, timestep, sample, **extra, return_dict=False))
        sample = returned[-1][0]
    if window:
        follower.__exit__(None, None, None)
    return follower, returned


BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
VP_KINDS = ("epsilon", "v_prediction", "sample")
K_KINDS = ("epsilon", "v_prediction")
VARIANCE_PRESERVING: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("DDIMScheduler", VP_KINDS, {"clip_sample": False}),
    (
        "DDIMScheduler",
        ("v_prediction",),
        {"clip_sample": False, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    ),
    ("DDIMParallelScheduler", VP_KINDS, {"clip_sample": False}),
    ("DDPMScheduler", VP_KINDS, {"clip_sample": False}),
    ("DDPMParallelScheduler", VP_KINDS, {"clip_sample": False}),
    ("PNDMScheduler", K_KINDS, {"skip_prk_steps": True}),
    ("PNDMScheduler", K_KINDS, {"skip_prk_steps": False}),
    ("LCMScheduler", VP_KINDS, {}),
    ("TCDScheduler", VP_KINDS, {}),
    ("DPMSolverMultistepScheduler", VP_KINDS, {}),
    ("DPMSolverMultistepScheduler", VP_KINDS, {"algorithm_type": "sde-dpmsolver++"}),
    ("DPMSolverMultistepScheduler", VP_KINDS, {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("DPMSolverSinglestepScheduler", VP_KINDS, {}),
    ("DEISMultistepScheduler", VP_KINDS, {}),
    ("UniPCMultistepScheduler", VP_KINDS, {}),
    ("SASolverScheduler", VP_KINDS, {}),
    ("EulerDiscreteScheduler", VP_KINDS, {}),
    ("EulerDiscreteScheduler", VP_KINDS, {"timestep_spacing": "trailing"}),
    ("EulerAncestralDiscreteScheduler", K_KINDS, {}),
    ("LMSDiscreteScheduler", VP_KINDS, {}),
    ("HeunDiscreteScheduler", VP_KINDS, {}),
    ("KDPM2DiscreteScheduler", K_KINDS, {}),
    ("KDPM2AncestralDiscreteScheduler", K_KINDS, {}),
]
CASES = [(name, kind, extra) for name, kinds, extra in VARIANCE_PRESERVING for kind in kinds]
LOG_INTERPOLATED = ("KDPM2", "Heun")


@pytest.mark.parametrize(("name", "kind", "config"), CASES, ids=lambda value: str(value))
def test_variance_preserving_schedulers(name: str, kind: str, config: dict[str, Any]) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind, **BETAS, **config)
    model = MadeUpModel(kind, variance_preserving(scheduler, name.startswith(LOG_INTERPOLATED)))
    follower, _ = run(scheduler, model, 5)
    assert len(model.seen) == len(scheduler.timesteps)
    np.testing.assert_allclose(follower.values(), model.reference(5), rtol=2e-3)


@pytest.mark.parametrize("name", ["DDIMScheduler", "TCDScheduler"])
def test_stochastic_eta(name: str) -> None:
    scheduler = getattr(diffusers, name)(**BETAS, **({"clip_sample": False} if name[:4] == "DDIM" else {}))
    model = MadeUpModel("epsilon", variance_preserving(scheduler))
    follower, _ = run(scheduler, model, 5, eta=0.7)
    np.testing.assert_allclose(follower.values(), model.reference(5), rtol=2e-3)


@pytest.mark.parametrize(
    "name",
    [
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "FlowMatchLCMScheduler",
        "LTXEulerAncestralRFScheduler",
    ],
)
def test_flow_matching_schedulers(name: str) -> None:
    scheduler = getattr(diffusers, name)()
    model = MadeUpModel("flow_prediction", flow)
    follower, _ = run(scheduler, model, 5)
    np.testing.assert_allclose(follower.values(), model.reference(5), rtol=2e-3)


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"])
def test_flow_prediction_of_multistep_schedulers(name: str) -> None:
    scheduler = getattr(diffusers, name)(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    model = MadeUpModel("flow_prediction", flow)
    follower, _ = run(scheduler, model, 4)
    np.testing.assert_allclose(follower.values(), model.reference(4), rtol=2e-2)  # timesteps are whole numbers


def test_ipndm() -> None:
    scheduler = diffusers.IPNDMScheduler()
    model = MadeUpModel("v_prediction", angle)
    follower, _ = run(scheduler, model, 5)
    np.testing.assert_allclose(follower.values(), model.reference(5), rtol=2e-3)


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_edm_schedulers(name: str) -> None:
    scheduler = getattr(diffusers, name)()
    seen: list[np.ndarray] = []

    def model(model_input: torch.Tensor, timestep: Any) -> torch.Tensor:
        """EDM's network: the input is scaled by c_in, the timestep is log(sigma) / 4."""
        sigma, data = float(torch.as_tensor(timestep).double().mul(4).exp()), scheduler.config.sigma_data
        sample = model_input.double() * (sigma**2 + data**2) ** 0.5
        x0 = torch.tanh(model_input.double() + np.sin(len(seen) + 1.0))
        seen.append(x0.numpy())
        scale = sigma**2 + data**2
        output: torch.Tensor = (x0 - data**2 / scale * sample) / (sigma * data / scale**0.5)
        return output.float()

    follower, _ = run(scheduler, model, 5)  # type: ignore[arg-type]
    np.testing.assert_allclose(follower.values(), variance(seen[-5:]), rtol=2e-3)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("DDIMScheduler", {"clip_sample": True}),
        ("DDPMScheduler", {"thresholding": True, "clip_sample": False}),
        ("LCMScheduler", {"clip_sample": True}),
        ("DPMSolverMultistepScheduler", {"thresholding": True}),
        ("UniPCMultistepScheduler", {"thresholding": True}),
        ("DEISMultistepScheduler", {"thresholding": True}),
    ],
    ids=lambda value: str(value),
)
def test_clipped_x0_is_followed_as_the_scheduler_uses_it(name: str, config: dict[str, Any]) -> None:
    scheduler = getattr(diffusers, name)(**BETAS, **config)
    model = MadeUpModel("epsilon", variance_preserving(scheduler), amplitude=3.0)
    follower, _ = run(scheduler, model, 5)
    model.seen = [x0.clip(-1, 1) for x0 in model.seen]
    np.testing.assert_allclose(follower.values(), model.reference(5), rtol=2e-3)


def test_learned_variance_channels_are_left_out() -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(variance_type="learned_range", **BETAS)
    scheduler.set_timesteps(3)
    torch.manual_seed(0)  # numbers near 0 would differ by more than any relative tolerance
    sample, output = torch.randn(2, 3, 4, 4), torch.randn(2, 6, 4, 4)
    result = scheduler.step(output, scheduler.timesteps[0], sample)
    x0 = predicted_x0(scheduler, result, output, scheduler.timesteps[0], sample)
    assert x0 is not None
    assert torch.allclose(x0, scheduler.model_outputs[-1], rtol=1e-4)


@pytest.mark.parametrize(("name", "kind", "config"), CASES[::3], ids=lambda value: str(value))
def test_the_hook_changes_nothing(name: str, kind: str, config: dict[str, Any]) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind, **BETAS, **config)
    plain = run(scheduler, MadeUpModel(kind, variance_preserving(scheduler)), None)[1]
    hooked = run(scheduler, MadeUpModel(kind, variance_preserving(scheduler)), 5)[1]
    for before, after in zip(plain, hooked, strict=True):
        assert len(before) == len(after)
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_step_is_restored_also_after_an_exception() -> None:
    scheduler = diffusers.DDIMScheduler()
    with pytest.raises(ZeroDivisionError), TrajectoryVariance(scheduler, 2):
        assert "step" in vars(scheduler)
        raise ZeroDivisionError
    assert "step" not in vars(scheduler)


def test_a_hook_that_was_there_before_is_restored() -> None:
    scheduler = diffusers.DDIMScheduler()
    own = scheduler.step
    scheduler.step = own
    with TrajectoryVariance(scheduler, 2):
        assert scheduler.step is not own
    assert scheduler.step is own


def test_a_scheduler_that_cannot_be_followed_gives_no_values_and_a_note() -> None:
    scheduler = diffusers.CMStochasticIterativeScheduler()
    model = MadeUpModel("sample", lambda timestep: (0.5, 0.5))
    follower, returned = run(scheduler, model, 2, steps=3)
    assert len(returned) == 3
    assert follower.values() == []
    assert follower.note == "CMStochasticIterativeScheduler doesn't tell its predicted x0"


def test_a_window_longer_than_the_run_takes_all_of_it() -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False, **BETAS)
    model = MadeUpModel("sample", variance_preserving(scheduler))
    scheduler.register_to_config(prediction_type="sample")
    follower, _ = run(scheduler, model, 100)
    np.testing.assert_allclose(follower.values(), model.reference(100), rtol=1e-4)


def test_a_nan_row_has_no_value_and_leaves_the_others() -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type="sample", **BETAS)
    model = MadeUpModel("sample", variance_preserving(scheduler))

    def poisoned(model_input: torch.Tensor, timestep: Any) -> torch.Tensor:
        output = model(model_input, timestep)
        output[1] = torch.nan
        return output

    values = run(scheduler, poisoned, 3)[0].values()  # type: ignore[arg-type]
    assert values[1] is None
    others = np.array([values[0], values[2]], np.float64)
    np.testing.assert_allclose(others, model.reference(3)[[0, 2]], rtol=1e-4)


def test_window_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TrajectoryVariance(diffusers.DDIMScheduler(), 0)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_inside_a_pipeline_with_guidance(model: TextToImage, guidance: float) -> None:
    """The follower sees the guided prediction of each sample, as DDIM itself reports it."""
    pipeline, stored = model.pipeline, []
    step = pipeline.scheduler.step

    def store(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **kwargs)
        stored.append((result[1] if isinstance(result, tuple) else result.pred_original_sample).numpy().copy())
        return result

    store.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    pipeline.scheduler.step = store
    try:
        with torch.inference_mode(), TrajectoryVariance(pipeline.scheduler, 3) as follower:
            generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
            pipeline(["a", "b"], num_inference_steps=6, guidance_scale=guidance, generator=generators)
    finally:
        del pipeline.scheduler.step
    np.testing.assert_allclose(follower.values(), variance(stored[-3:]), rtol=1e-3)


def test_a_picture_without_a_variance_says_why(tiny_folder: Path) -> None:
    unfollowed = TextToImage.load(tiny_folder, device="cpu")
    unfollowed.pipeline.scheduler = diffusers.CMStochasticIterativeScheduler()
    results = list(unfollowed.generate(requests(3), batch_size=2))
    note = "CMStochasticIterativeScheduler doesn't tell its predicted x0"
    assert [(one.status, one.trajectory_variance, one.detail) for one in results] == [("ok", None, note)] * 3
    assert all(one.detail is None for one in unfollowed.generate(requests(2, window=0), batch_size=2))
