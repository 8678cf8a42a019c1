"""Inpainting: a mask is filled by any diffusers inpainting pipeline.

A checkpoint made for inpainting (a U-Net of 9 channels: latents, mask, masked picture) sees what is around the mask.
A plain text-to-image checkpoint (4 channels) does it by latent masking: after every step the latents outside the
mask are replaced by the source's own at that noise level, so that the fill grows together with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from PIL import Image

from fairshards.generators.editing.base import EditRequest
from fairshards.generators.editing.diffusion_editor import DiffusionEditor
from fairshards.generators.editing.masks import dilate, resized_mask


class Inpainting(DiffusionEditor):
    """Fills the mask of each request as its prompt says; the rest stays as it was, pixel for pixel.

    Attributes:
        strength: How much of the noise schedule a fill goes through, in (0, 1]; at 1 nothing of what was
            there is left to start from.
    """

    pipeline_class: ClassVar[str] = "AutoPipelineForInpainting"
    needed: ClassVar[tuple[str, ...]] = (
        "prompt",
        "image",
        "mask_image",
        "generator",
        "num_inference_steps",
        "output_type",
    )
    needs_mask = True

    def __init__(self, pipeline: Any, *, strength: float = 1.0, **settings: Any) -> None:
        super().__init__(pipeline, **settings)
        if not 0 < strength <= 1:
            raise ValueError(f"strength is {strength}; inpainting expects more than 0 and at most 1")
        self.strength = strength

    def inputs(self, requests: Sequence[EditRequest]) -> dict[str, Any]:
        """Return pictures and masks in the model's size, and how strong the fill is."""
        height, width = self.size
        return {
            "image": [self.picture(request) for request in requests],
            "mask_image": [self._mask(request) for request in requests],
            "height": height,
            "width": width,
            "strength": self.strength,
        }

    def calls(self, steps: int) -> int:
        """Return the steps to ask for so that at least ``steps`` are made: ``strength`` leaves the first ones out."""
        return math.ceil(steps / self.strength)

    def _mask(self, request: EditRequest) -> Image.Image:
        """Return what the model may fill: the mask, and around it what is blended afterwards; 255 where it is."""
        assert request.mask is not None
        mask = resized_mask(dilate(request.mask, self.radius(request)), *self.size)
        return Image.fromarray(mask).convert("L")
