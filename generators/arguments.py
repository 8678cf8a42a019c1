"""What every diffusers pipeline is called with for a padded batch: prompts, noise, steps, guidance."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from generators.requests import Batch, Request


class Sampled(Request, Protocol):
    """A request that a diffusion sampler answers."""

    @property
    def prompt(self) -> str:
        """What to draw."""

    @property
    def negative_prompt(self) -> str | None:
        """What not to draw; None and "" are the same."""

    @property
    def noise_seed(self) -> int:
        """The seed of the sample's own noise."""

    @property
    def steps(self) -> int:
        """Sampling steps."""

    @property
    def guidance_scale(self) -> float:
        """Strength of classifier-free guidance."""

    @property
    def eta(self) -> float:
        """DDIM's share of fresh noise, in [0, 1]."""


S = TypeVar("S", bound=Sampled)


def sampling_arguments(batch: Batch[S], shown: frozenset[int]) -> dict[str, Any]:
    """Return a pipeline's arguments for a batch, with an entry for every padded row.

    Rows that aren't in ``shown`` get an empty prompt; every row has its own seeded noise, made on the CPU.
    """
    import torch

    first = batch.requests[0]
    rows = [(row, batch.requests[row]) for row in batch.rows()]
    arguments = {
        "prompt": [request.prompt if row in shown else "" for row, request in rows],
        "generator": [torch.Generator("cpu").manual_seed(request.noise_seed) for _, request in rows],
        "num_inference_steps": first.steps,
        "guidance_scale": first.guidance_scale,
        "eta": first.eta,
        "output_type": "np",
    }
    if first.negative_prompt:
        arguments["negative_prompt"] = [request.negative_prompt if row in shown else "" for row, request in rows]
    return arguments
