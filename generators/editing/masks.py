"""Masks of pictures as bool arrays: growing, feathering, and putting a picture back outside its mask."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from fairshards.generators.images import encode_png

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
REFERENCE = 512
"""The short side, in pixels, that kernel sizes are given for; they are scaled to the picture's own."""


def scaled_radius(kernel: float, height: int, width: int) -> int:
    """Return the radius in pixels of a kernel given for a short side of 512 pixels, in a picture of this size."""
    return round(kernel / 2 * min(height, width) / REFERENCE)


def dilate(mask: Mask, radius: int) -> Mask:
    """Return the (H, W) mask grown by ``radius`` pixels in each direction, a square kernel of 2 radius + 1."""
    grown = mask
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (radius + 1, radius)
        counts = np.cumsum(np.pad(grown, margin), axis=axis, dtype=np.int64)
        length = mask.shape[axis]
        ends = np.take(counts, range(2 * radius + 1, 2 * radius + 1 + length), axis=axis)
        grown = ends > np.take(counts, range(length), axis=axis)
    return grown


def feathered(mask: Mask, radius: int) -> Pixels:
    """Return (H, W) weights of the edited picture, 0 to 255: 255 well inside the mask, 0 from ``radius`` outside on."""
    hard = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    soft = hard.filter(ImageFilter.BoxBlur(radius)) if radius else hard
    return np.asarray(soft)


def restored(source: Pixels, edited: Pixels, weights: Pixels) -> Pixels:
    """Return ``edited`` where the weights are 255, ``source`` exactly where they are 0, and a blend in between.

    Args:
        source, edited: (H, W, 3) uint8.
        weights: (H, W) uint8, as ``feathered`` gives them.
    """
    share = weights[..., None].astype(np.float64) / 255
    blend = np.rint(share * edited + (1 - share) * source).astype(np.uint8)
    kept: Pixels = np.where(weights[..., None] == 0, source, blend)
    return kept


def encode_mask(mask: Mask) -> bytes:
    """Return an (H, W) mask as a grey PNG, 255 where it is True."""
    return encode_png(np.where(mask, np.uint8(255), np.uint8(0)))


def decode_mask(data: bytes) -> Mask:
    """Return the (H, W) mask that ``encode_mask`` wrote."""
    mask: Mask = np.asarray(Image.open(io.BytesIO(data))) > 0
    return mask


def resized(picture: Pixels, height: int, width: int) -> Pixels:
    """Return an (H, W, 3) picture in another size, bicubic; of its own size it is returned as it is."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def resized_mask(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask in another size; a pixel is masked when any of what it stands for is."""
    if mask.shape == (height, width):
        return mask
    box = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).resize((width, height), Image.Resampling.BOX)
    masked: Mask = np.asarray(box) > 0
    return masked
