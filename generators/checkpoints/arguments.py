"""What every diffusers pipeline is called with for a padded batch: prompts, noise, steps, guidance."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from fairshards.generators.checkpoints.signatures import Signature
from fairshards.generators.diffusion.requests import Batch, Request


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


def guidance_argument(takes: Signature) -> str | None:
    """Return the argument that is a pipeline's classifier-free guidance; None where it takes none.

    Where a pipeline has both, ``guidance_scale`` is fed to a model that was distilled from guidance. One whose own
    default is true guidance (Qwen-Image) has no such model.
    """
    if (takes.get("true_cfg_scale") or 0) > 1 or ("true_cfg_scale" in takes and "guidance_scale" not in takes):
        return "true_cfg_scale"
    return "guidance_scale" if "guidance_scale" in takes else None


def check_arguments(pipeline: str, takes: Signature, guidance_scale: float, negative: bool, eta: float) -> None:
    """Refuse what a pipeline of that class would leave out in silence, though the catalog would say it was done.

    ``takes`` are its call's arguments; ``negative`` tells whether there is a negative prompt.

    Raises:
        ValueError: it takes no guidance scale, no negative prompt, or no eta; or nothing guides away from the negative.
    """
    argument = guidance_argument(takes)
    if argument is None:
        raise ValueError(
            f"{pipeline} takes no guidance_scale, so a picture wouldn't be made with the one that the "
            "catalog names; use another model"
        )
    if negative and ("negative_prompt" not in takes or ("true_cfg_scale" in takes and argument != "true_cfg_scale")):
        raise ValueError(f"{pipeline} ignores negative prompts; leave them out (prompts.negative and by_class)")
    if negative and guidance_scale <= 1:
        raise ValueError(
            f"a negative prompt was asked for with guidance_scale {guidance_scale}, and 1 and below "
            "switches guidance off, which alone heeds it: give a scale above 1, or leave it out"
        )
    if eta and "eta" not in takes:
        raise ValueError(f"{pipeline} takes no eta, but {eta} was asked for; set eta to 0")


def sampling_arguments(batch: Batch[S], shown: frozenset[int], takes: Signature) -> dict[str, Any]:
    """Return a pipeline's arguments for a batch, with an entry for every padded row; ``takes`` are those it has.

    Rows that aren't in ``shown`` get an empty prompt; every row has its own seeded noise, made on the CPU.
    """
    import torch

    first = batch.requests[0]
    rows = [(row, batch.requests[row]) for row in batch.rows()]
    guidance = guidance_argument(takes) or "guidance_scale"
    arguments = {
        "prompt": [request.prompt if row in shown else "" for row, request in rows],
        "generator": [torch.Generator("cpu").manual_seed(request.noise_seed) for _, request in rows],
        "num_inference_steps": first.steps,
        guidance: first.guidance_scale,
        "eta": first.eta,
        "output_type": "np",
    }
    if first.negative_prompt:
        arguments["negative_prompt"] = [request.negative_prompt if row in shown else "" for row, request in rows]
    elif guidance == "true_cfg_scale" and first.guidance_scale > 1:
        arguments["negative_prompt"] = [" "] * len(rows)  # without any there would be no guidance
    return {name: value for name, value in arguments.items() if name in takes}
