"""From a model's float pictures to results: checks, conversion to 8 bits, PNG."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generators.images import encode_png
from generators.requests import ImageResult, Reason


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


def to_uint8(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return pixels of [0, 1] as grey levels, rounded half to even as diffusers' own "pil" output is."""
    levels: npt.NDArray[np.uint8] = (pixels * 255).round().astype(np.uint8)
    return levels


def finish(sample_id: str, picture: RawPicture) -> ImageResult:
    """Return the result of one picture: its PNG, or the reason why it is none."""
    if picture.flagged:
        return rejected(sample_id, "safety_checker", "the model's safety checker blackened the picture")
    if not picture.finite or not np.isfinite(picture.pixels).all():
        detail = "the model gave NaN or infinite values; if many samples do, try dtype bfloat16 or float32"
        return rejected(sample_id, "nan_image", detail)
    levels = to_uint8(picture.pixels)
    if (levels == levels[0, 0]).all():
        colour = tuple(int(level) for level in levels[0, 0])
        return rejected(sample_id, "blank_image", f"all pixels have the colour {colour}")
    png = encode_png(levels)
    height, width = levels.shape[:2]
    checksum = hashlib.sha256(png).hexdigest()
    return ImageResult(sample_id, png, width, height, checksum, picture.variance, "ok", detail=picture.note)


def rejected(sample_id: str, reason: Reason, detail: str) -> ImageResult:
    """Return the result of a sample without a picture."""
    return ImageResult(sample_id, None, None, None, None, None, "reject", reason, detail)
