"""InstructPix2Pix: a picture is edited as an instruction says, without a mask (ASPIRE; docs/methods.md#edits).

ASPIRE's settings are the defaults: ancestral Euler, 100 steps, text guidance 7.5, picture guidance 1.5, and for a
background the words "turn the background of {b} into {alt}." (``fairshards.generators.editing.base.instruction``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fairshards.generators.editing.base import EditRequest
from fairshards.generators.editing.diffusion_editor import DiffusionEditor

STEPS = 100
GUIDANCE_SCALE = 7.5
IMAGE_GUIDANCE_SCALE = 1.5


class InstructEdit(DiffusionEditor):
    """Follows the instruction in each request's prompt; a mask, where there is one, says what may change.

    Attributes:
        image_guidance_scale: How closely the edit keeps to the picture, at least 1.
    """

    pipeline_class: ClassVar[str] = "StableDiffusionInstructPix2PixPipeline"
    needed: ClassVar[tuple[str, ...]] = (
        "prompt",
        "image",
        "image_guidance_scale",
        "generator",
        "num_inference_steps",
        "output_type",
    )
    default_scheduler: ClassVar[str | None] = "EulerAncestralDiscreteScheduler"
    needs_mask = False

    def __init__(self, pipeline: Any, *, image_guidance_scale: float = IMAGE_GUIDANCE_SCALE, **settings: Any) -> None:
        super().__init__(pipeline, **settings)
        if image_guidance_scale < 1:
            raise ValueError(
                f"image_guidance_scale is {image_guidance_scale}; below 1 diffusers would switch all "
                "guidance off, so give at least 1"
            )
        self.image_guidance_scale = image_guidance_scale

    def inputs(self, requests: Sequence[EditRequest]) -> dict[str, Any]:
        """Return the pictures in the model's size, and the guidance towards them."""
        return {
            "image": [self.picture(request) for request in requests],
            "image_guidance_scale": self.image_guidance_scale,
        }
