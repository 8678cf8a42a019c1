"""From a model's float pictures to results: checks, conversion to 8 bits, PNG."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fairshards.generators.diffusion.requests import ImageResult, Reason
from fairshards.generators.images import encode_png

if TYPE_CHECKING:
    from fairshards.generators.diffusion.trajectory import TrajectoryVariance

FLAGS = ("nsfw_content_detected", "nsfw_detected", "watermark_detected")
"""Where pipelines report the pictures that their safety checkers blackened (the latter two: DeepFloyd IF)."""


@dataclass(frozen=True)
class RawPicture:
    """One picture as the model gave it.

    ``pixels`` is (height, width, 3), float32, in [0, 1]. ``finite`` tells whether the values were finite before
    the pipeline clamped them, ``flagged`` whether the safety checker blackened it. ``note`` says why there is no
    ``variance``, where one was asked for.
    """

    pixels: npt.NDArray[np.float32]
    finite: bool
    flagged: bool
    variance: float | None
    note: str | None = None


class WrongSize(RuntimeError):
    """A pipeline made pictures of another size than it was asked for: no sample is to blame."""


def check_size(made: Sequence[RawPicture], height: int, width: int, pipeline: str) -> None:
    """Raise ``WrongSize`` where a picture isn't of the size that was asked for."""
    for one in made:
        if one.pixels.shape[:2] != (height, width):
            found = "x".join(map(str, one.pixels.shape[:2]))
            raise WrongSize(
                f"{pipeline} was asked for pictures of {height}x{width} (height x width) and made {found}; "
                "set generator.height and width to a size that it keeps"
            )


def to_uint8(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return pixels of [0, 1] as grey levels, rounded half to even as diffusers' own "pil" output is."""
    levels: npt.NDArray[np.uint8] = (pixels * 255).round().astype(np.uint8)
    return levels


def raw_pictures(
    output: Any, count: int, finite: Sequence[bool], follower: TrajectoryVariance | None = None
) -> list[RawPicture]:
    """Return the first ``count`` rows of a pipeline's output; the rest is padding.

    ``finite`` is what ``FiniteRows`` saw, ``follower`` what was followed while the model sampled.
    """
    variances = follower.values() if follower else []
    note = follower.note if follower and not variances else None
    flagged = [any(flags) for flags in zip(*(_flags(output, name, count) for name in FLAGS), strict=True)]
    return [
        RawPicture(
            output.images[row],
            finite[row] if finite else True,
            flagged[row],
            variances[row] if variances else None,
            note,
        )
        for row in range(count)
    ]


def fault(picture: RawPicture) -> tuple[Reason, str] | None:
    """Return why the model's output is no picture, as a reason and a sentence; None where it is one."""
    if picture.flagged:
        return "safety_checker", "the model's safety checker blackened the picture"
    if not picture.finite or not np.isfinite(picture.pixels).all():
        return "nan_image", "the model gave NaN or infinite values; if many samples do, try dtype bfloat16 or float32"
    return None


def blank(levels: npt.NDArray[np.uint8]) -> tuple[Reason, str] | None:
    """Return why (height, width, 3) grey levels show nothing, as ``fault`` does; None where they show something."""
    if (levels != levels[0, 0]).any():
        return None
    return "blank_image", f"all pixels have the colour {tuple(int(level) for level in levels[0, 0])}"


def finish(sample_id: str, picture: RawPicture) -> ImageResult:
    """Return the result of one picture: its PNG, or the reason why it is none."""
    if wrong := fault(picture):
        return rejected(sample_id, *wrong)
    levels = to_uint8(picture.pixels)
    if wrong := blank(levels):
        return rejected(sample_id, *wrong)
    png = encode_png(levels)
    height, width = levels.shape[:2]
    checksum = hashlib.sha256(png).hexdigest()
    return ImageResult(sample_id, png, width, height, checksum, picture.variance, "ok", detail=picture.note)


def rejected(sample_id: str, reason: Reason, detail: str) -> ImageResult:
    """Return the result of a sample without a picture."""
    return ImageResult(sample_id, None, None, None, None, None, "reject", reason, detail)


def _flags(output: Any, name: str, count: int) -> list[bool]:
    """Return what a safety checker says of each picture; a pipeline without one says nothing."""
    found = getattr(output, name, None)
    return [False] * count if found is None else [bool(flag) for flag in found[:count]]
