"""A phrase becomes a mask of a picture (ASPIRE; docs/methods.md#edits), or the reason why it can't.

Two segmenters, both of transformers: CLIPSeg (``generators/editing/clipseg.py``), and Grounding DINO with SAM
(``generators/editing/grounded_sam.py``), which ASPIRE used. They say where a phrase is; this file makes the mask of an
edit of that.

A *foreground* phrase is masked itself, and the mask grown a little, so that no rim of the object stays. The
mask of a *background* is the complement of the class object's: segmenters know a bird far better than "a
forest", and what is no bird is background. It isn't grown, so that the object stays whole. Other objects that the
caption names are kept too, grown as if they were to be removed: an edit tests one phrase, and a background that
took the reeds with it would be blamed for what the reeds do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fairshards.generators.editing.masks import Mask, Pixels, dilate, scaled_radius

Kind = Literal["foreground", "background"]
MaskReason = Literal["mask_empty", "mask_full"]


@dataclass(frozen=True)
class MaskSettings:
    """What makes a mask of a segmentation.

    Attributes:
        dilate: Kernel that a foreground mask is grown with, in pixels of a picture with a short side of 512
            (ASPIRE: 10); it is scaled to the picture.
        min_share, max_share: A segmented object that covers less or more of the picture isn't believed. The
            limits are those of the object, for a background too, before it is grown.

    Raises:
        ValueError: shares that aren't 0 <= min_share < max_share <= 1, or a kernel below 0.
    """

    dilate: float = 10.0
    min_share: float = 0.001
    max_share: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.min_share < self.max_share <= 1:
            raise ValueError(
                f"a mask's shares are min_share {self.min_share} and max_share {self.max_share}; "
                "give 0 <= min_share < max_share <= 1"
            )
        if self.dilate < 0:
            raise ValueError(f"a mask can't be grown by a kernel of {self.dilate} pixels; give 0 or more")

    def believes(self, share: float) -> bool:
        """Return whether an object that covers this share of a picture is believed."""
        return self.min_share <= share <= self.max_share and 0 < share < 1


@dataclass(frozen=True, eq=False)
class MaskRequest:
    """One mask to make.

    Attributes:
        image: (H, W, 3) uint8.
        phrase: What to look for; for a background the class object, for example "a bird".
        kind: Whether the phrase is masked or all the rest.
        keep: Of a background: the objects that stay as well.
    """

    image: Pixels
    phrase: str
    kind: Kind = "foreground"
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MaskResult:
    """One mask, or the reason why there is none.

    ``mask`` is (H, W) bool, True where the picture is to be edited, None for a reject. ``share`` is the part of
    the picture that is (or would be) masked, in [0, 1].
    """

    mask: Mask | None
    share: float
    reason: MaskReason | None = None
    detail: str | None = None


class Segmenter(Protocol):
    """Says where phrases are in pictures."""

    def segment(self, images: Sequence[Pixels], phrases: Sequence[str], batch_size: int) -> Iterator[Mask]:
        """Yield an (H, W) bool mask for each picture and its phrase, made in padded batches of ``batch_size``."""


def masks(
    segmenter: Segmenter, requests: Sequence[MaskRequest], batch_size: int, settings: MaskSettings | None = None
) -> Iterator[MaskResult]:
    """Yield the mask of each request, in order.

    An object that isn't there, or that covers (nearly) all, is a reject: ``mask_empty`` where nothing would be
    edited, ``mask_full`` where nothing would be kept.

    Raises:
        ValueError: ``batch_size`` is below 1.
    """
    asked = [(request.image, phrase) for request in requests for phrase in (request.phrase, *request.keep)]
    found = segmenter.segment([image for image, _ in asked], [phrase for _, phrase in asked], batch_size)
    for request in requests:
        where, *kept = islice(found, 1 + len(request.keep))
        yield mask_of(request, where, settings or MaskSettings(), kept)


def mask_of(request: MaskRequest, found: Mask, settings: MaskSettings, kept: Iterable[Mask] = ()) -> MaskResult:
    """Return the mask that an edit gets where the segmenter found the phrase in ``found``, (H, W) bool.

    ``kept`` are where it found the objects that stay; one that isn't believed doesn't count.
    """
    covered = float(found.mean())
    behind = request.kind == "background"
    share = 1 - covered if behind else covered
    if settings.believes(covered):
        radius = scaled_radius(settings.dilate, *found.shape)
        staying = [dilate(other, radius) for other in kept if settings.believes(float(other.mean()))]
        mask = ~np.logical_or.reduce([found, *staying]) if behind else dilate(found, radius)
        if mask.any():
            return MaskResult(mask, float(mask.mean()))
        return MaskResult(None, 0.0, "mask_empty", f"{request.phrase!r} and {list(request.keep)} cover all of it")
    reason: MaskReason = "mask_empty" if (covered < settings.min_share or covered == 0) != behind else "mask_full"
    detail = (
        f"{request.phrase!r} covers {covered:.2%} of the picture; believed is {settings.min_share:.2%} to "
        f"{settings.max_share:.2%}, so {'nothing' if reason == 'mask_empty' else 'all'} would be edited"
    )
    return MaskResult(None, share, reason, detail)


def load_segmenter(
    model: str | Path,
    sam: str | Path | None = None,
    *,
    device: str = "auto",
    threshold: float | None = None,
    text_threshold: float | None = None,
) -> Segmenter:
    """Load CLIPSeg, or, where ``sam`` is named, Grounding DINO (``model``) with SAM; folders or hub ids.

    ``threshold`` and ``text_threshold`` replace the segmenter's own defaults.

    Raises:
        ModelFilesError: a model isn't there, has no safe weights, or isn't of its kind.
        ValueError: a device that this machine doesn't have, or a threshold outside (0, 1).
    """
    from fairshards.generators.editing.clipseg import ClipSeg
    from fairshards.generators.editing.grounded_sam import GroundedSam

    given = {"threshold": threshold, "text_threshold": text_threshold}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, value in changed.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}; a probability between 0 and 1 is expected")
    if sam is not None:
        return GroundedSam.load(model, sam, device=device, **changed)
    if text_threshold is not None:
        raise ValueError("CLIPSeg has no text_threshold; leave it out, or name a SAM model beside Grounding DINO")
    return ClipSeg.load(model, device=device, **changed)
