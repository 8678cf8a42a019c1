"""What an editor is asked for and answers: a picture with one thing changed (ASPIRE; docs/methods.md#edits).

Editors are ``inpainting.py`` (fill a mask) and ``instruct_edit.py`` (follow an instruction).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fairshards.generators.diffusion.requests import Reason
from fairshards.generators.editing.masks import Mask, Pixels
from fairshards.generators.editing.segmentation import Kind

EditReason = Reason | Literal["edit_failed"]


@dataclass(frozen=True, eq=False)
class EditRequest:
    """One edit to make.

    Attributes:
        sample_id: The edit's id.
        noise_seed: Seed of the edit's own noise generator, in [0, 2**63).
        image: The picture, (H, W, 3) uint8.
        mask: What may change, (H, W) bool; None: all of it, for editors that need no mask.
        prompt: What stands in the mask's place afterwards, or the instruction to follow.
        negative_prompt: What must not; None and "" are the same.
        guidance_scale: Classifier-free guidance; 1 and below switches it off.
        steps: Sampling steps, at least 1.
        eta: DDIM's share of fresh noise, in [0, 1].
    """

    sample_id: str
    noise_seed: int
    image: Pixels
    mask: Mask | None
    prompt: str
    negative_prompt: str | None = None
    guidance_scale: float = 7.5
    steps: int = 50
    eta: float = 0.0

    @property
    def settings(self) -> tuple[object, ...]:
        """What every row of a batch must share; pictures of any size can, since the model has one of its own."""
        return self.guidance_scale, self.steps, self.eta, bool(self.negative_prompt)


@dataclass(frozen=True)
class EditResult:
    """One edited picture, in the size of its source, or the reason why there is none.

    ``png`` holds the encoded picture and is None for a reject, as are ``width``, ``height`` and ``image_sha256``
    (64 hex digits over ``png``). A reject has a short ``reason`` and a sentence in ``detail``.
    """

    sample_id: str
    png: bytes | None
    width: int | None
    height: int | None
    image_sha256: str | None
    status: Literal["ok", "reject"]
    reason: EditReason | None = None
    detail: str | None = None


class Editor(Protocol):
    """Edits pictures."""

    needs_mask: bool

    def edit(self, requests: Sequence[EditRequest], batch_size: int) -> Iterator[EditResult]:
        """Yield one result a request, in order, made in padded batches of ``batch_size``."""


def instruction(kind: Kind, phrase: str, replacement: str | None) -> str:
    """Return what an instruction editor is told: ASPIRE's own words for a background, ours for an object.

    Raises:
        ValueError: a background without a replacement.
    """
    if kind == "foreground":
        return f"remove {phrase}." if not replacement else f"turn {phrase} into {replacement}."
    if not replacement:
        raise ValueError(f"background {phrase!r} has no replacement; name what to turn it into")
    return f"turn the background of {phrase} into {replacement}."
