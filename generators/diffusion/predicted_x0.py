"""Predicted x0 of one sampling step, for any diffusers scheduler (docs/methods.md#predicted-x0).

A scheduler that reports ``pred_original_sample`` (DDIM, DDPM, Euler, Heun, KDPM2, LMS ...) is believed. For the
others x0 follows from the model's output and the noise level at which the model was asked, in the scaling of
the ``sample`` that ``step`` receives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FLOW_SCHEDULERS = ("FlowMatch", "LTXEulerAncestralRF")


def predicted_x0(
    scheduler: Any, reported: Any, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor | None:
    """Return predicted x0, shaped as ``sample``, or None for a scheduler that can't be followed.

    Call it right after ``step``: ``reported`` is what that returned, and ``scheduler.step_index`` has moved on.
    """
    x0 = getattr(reported, "pred_original_sample", None)
    if x0 is not None:
        return x0  # type: ignore[no-any-return]
    output = model_output
    if output.shape[1:2] == (2 * sample.shape[1],):
        output = output[:, : sample.shape[1]]  # the other half is a learned variance
    x0 = _from_noise_level(scheduler, output, timestep, sample)
    return None if x0 is None else _clipped(scheduler, x0)


def _from_noise_level(scheduler: Any, output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> Any:
    if hasattr(scheduler, "precondition_outputs"):  # EDM
        return scheduler.precondition_outputs(sample, output, _entry(scheduler.sigmas, scheduler))
    if type(scheduler).__name__.startswith(FLOW_SCHEDULERS):
        return sample.float() - _entry(scheduler.sigmas, scheduler) * output
    levels = _levels(scheduler, timestep)
    return None if levels is None else _convert(scheduler.config, output, sample, *levels)


def _levels(scheduler: Any, timestep: Any) -> tuple[float, float] | None:
    """Return (alpha, sigma) with sample = alpha * x0 + sigma * noise at the step just done."""
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # DPM-Solver, DEIS, UniPC, SA-Solver
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(_entry(scheduler.sigmas, scheduler).double())
        return float(alpha), float(sigma)
    if type(scheduler).__name__ == "IPNDMScheduler":
        return float(_entry(scheduler.alphas, scheduler)), float(_entry(scheduler.betas, scheduler))
    if hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "sigmas"):  # PNDM, LCM, TCD
        kept = float(scheduler.alphas_cumprod[int(timestep)])
        return kept**0.5, (1 - kept) ** 0.5
    return None


def _convert(config: Any, output: torch.Tensor, sample: torch.Tensor, alpha: float, sigma: float) -> Any:
    """Return x0 from a model output of the configured prediction type; None for an unknown one."""
    kind = getattr(config, "prediction_type", "v_prediction")  # IPNDM has no choice but v
    if kind == "epsilon":
        return (sample - sigma * output) / alpha if alpha else None
    if kind == "v_prediction":
        return alpha * sample - sigma * output
    if kind == "flow_prediction":
        return sample - sigma * output
    return output if kind == "sample" else None


def _clipped(scheduler: Any, x0: torch.Tensor) -> Any:
    """Return x0 as the scheduler itself uses it, where its config asks for thresholding or clipping."""
    config = scheduler.config
    if getattr(config, "thresholding", False):
        return scheduler._threshold_sample(x0)
    if getattr(config, "clip_sample", False):
        return x0.clamp(-config.clip_sample_range, config.clip_sample_range)
    return x0


def _entry(values: torch.Tensor, scheduler: Any) -> torch.Tensor:
    """Return the entry of the step just done; ``step_index`` already points at the next one."""
    return values[scheduler.step_index - 1]
