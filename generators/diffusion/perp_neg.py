"""Perp-Neg guidance (docs/methods.md#perp-neg): weighted negatives that don't harm what the prompt asks for.

With the model's outputs eps_u (unconditional), eps_c (the prompt) and eps_i (negative i), d+ = eps_c - eps_u and
d_i = eps_i - eps_u, guidance becomes

    eps = eps_u + s * (d+ + sum_i w_i * (d_i - <d_i, d+> / max(||d+||^2, 1e-6) * d+))        with w_i < 0,

so that of each negative only the part across the prompt's own direction is subtracted. "water" can be taken
out of a picture of a waterbird without taking the bird. The formula is linear in differences of outputs at one
noise level, which noise, velocity and x0 prediction only scale; so it holds for every prediction type.

No pipeline is forked: a pipeline computes eps_u + s * (eps_c - eps_u), so a hook on its U-Net that gives it
eps_c + sum_i w_i * (...) in place of eps_c makes it compute the formula above.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fairshards.generators.checkpoints.loading import is_guided, is_stable_diffusion
from fairshards.generators.diffusion.requests import ImageRequest, Negative

if TYPE_CHECKING:
    import torch

SMALLEST = 1e-6
"""The least ||d+||^2 that is divided by."""


def perpendicular(
    positive: torch.Tensor, negatives: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return sum_i w_i * (d_i - <d_i, d+> / max(||d+||^2, 1e-6) * d+), float32, shaped as ``positive``.

    Args:
        positive: d+, (rows, ...). Inner products are taken per row, over all its other dimensions.
        negatives: The d_i, each shaped as ``positive``.
        weights: The w_i, each (rows,); a row without an i-th negative has weight 0 there.
    """
    import torch

    towards = positive.float().flatten(1)
    length = towards.square().sum(1, keepdim=True).clamp_min(SMALLEST)
    total = torch.zeros_like(towards)
    for negative, weight in zip(negatives, weights, strict=True):
        away = negative.float().flatten(1)
        along = (away * towards).sum(1, keepdim=True) / length
        total += weight.view(-1, 1) * (away - along * towards)
    return total.view(positive.shape)


def check_perp_neg(pipeline: Any, requests: Iterable[ImageRequest]) -> None:
    """Refuse negatives that would be ignored in silence.

    Raises:
        ValueError: a request has negatives, but no guidance, or the pipeline is none of the Stable Diffusion family.
    """
    asked = [request for request in requests if request.negatives]
    if not asked:
        return
    if not is_stable_diffusion(pipeline):
        raise ValueError(
            f"sample {asked[0].sample_id} has negatives for Perp-Neg, but {type(pipeline).__name__} isn't "
            "of the Stable Diffusion family (a U-Net with one text encoder); use negative_prompt"
        )
    if not is_guided(pipeline):
        raise ValueError(
            f"sample {asked[0].sample_id} has negatives for Perp-Neg, but {type(pipeline).__name__}'s "
            "U-Net was distilled from guidance and is never called without the prompt; leave them out"
        )
    weak = [request for request in asked if request.guidance_scale <= 1]
    if weak:
        raise ValueError(
            f"sample {weak[0].sample_id} has negatives and guidance_scale {weak[0].guidance_scale}; "
            "Perp-Neg changes guidance, which 1 and below switches off: give a scale above 1, or no "
            "negatives"
        )


class PerpNeg:
    """Inside the ``with``, one call of a Stable Diffusion pipeline has Perp-Neg guidance.

    Each negative costs a U-Net call of half the guided batch's rows, at every step. These calls are made beside
    the pipeline's own, never joined to it, and they always have the same number of rows: so a row without
    negatives gets the very bytes that plain classifier-free guidance gives it, whatever stands in its batch, and
    without any negatives nothing is hooked at all.

    Attributes:
        negatives: The negatives of each row of the batch, padding included.
    """

    def __init__(self, pipeline: Any, negatives: Sequence[Sequence[Negative]]) -> None:
        self.pipeline = pipeline
        self.negatives = negatives
        self._hook: Any = None

    def __enter__(self) -> Self:
        """Encode the negatives and hook the U-Net."""
        slots = max(map(len, self.negatives), default=0)
        if slots:
            self._slots = [self._slot(number) for number in range(slots)]
            self._hook = self.pipeline.unet.register_forward_hook(self._guide, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unhook the U-Net, whatever happened."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _slot(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (rows, tokens, d) text embedding and the (rows,) weight of each row's negative ``number``."""
        import torch

        own = [row[number] if number < len(row) else None for row in self.negatives]
        device = self.pipeline._execution_device
        texts = [negative.prompt if negative else "" for negative in own]
        embedded = self.pipeline.encode_prompt(texts, device, 1, False)[0]
        weights = torch.tensor([negative.weight if negative else 0.0 for negative in own], device=device)
        return embedded, weights

    def _guide(self, unet: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """Add what Perp-Neg subtracts to the conditional half of a U-Net call's output.

        Raises:
            RuntimeError: the call doesn't hold an unconditional and a conditional row of each sample; no sample is to
                blame for that.
        """
        call = inspect.signature(unet.forward).bind(*args, **kwargs).arguments
        made = output[0] if isinstance(output, tuple) else output.sample
        rows = len(self.negatives)
        if len(made) != 2 * rows:
            raise RuntimeError(
                f"Perp-Neg got a U-Net call of {len(made)} rows for {rows} samples; it expects 2 of "
                "each, the unconditional ones first: use a Stable Diffusion pipeline with a guidance "
                "scale above 1"
            )
        bare, wanted = made[:rows].float(), made[rows:].float()
        away = [self._call(unet, call, embedded, rows) - bare for embedded, _ in self._slots]
        across = perpendicular(wanted - bare, away, [weights for _, weights in self._slots])
        guided = [index for index, row in enumerate(self.negatives) if row]
        changed = made.clone()
        changed[[rows + index for index in guided]] = (wanted + across)[guided].to(made.dtype)
        if isinstance(output, tuple):
            return (changed, *output[1:])
        output.sample = changed
        return output

    @staticmethod
    def _call(unet: Any, call: dict[str, Any], embedded: torch.Tensor, rows: int) -> torch.Tensor:
        """Return the model's output of the conditional rows under another text, (rows, ...) float32."""
        own = {**call, "sample": call["sample"][rows:], "encoder_hidden_states": embedded, "return_dict": False}
        made: torch.Tensor = unet.forward(**own)[0]
        return made.float()
