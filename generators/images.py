"""Pictures as bytes: safe decoding of what others wrote, and PNG encoding that gives equal bytes."""

from __future__ import annotations

import functools
import io
import struct
import warnings
import zlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that are read. Others have decoders that run programs (EPS) or were never hardened."""
USUAL = ("png", "jpg", "jpeg", "webp")
"""Extensions in the order in which one is chosen where a sample has several pictures; the rarer ones follow."""
UNREAD = (
    *("arw", "avif", "avifs", "cr2", "cr3", "dds", "dng", "emf", "eps", "exr", "hdr", "heic", "heif", "icns", "ico"),
    *("j2c", "j2k", "jp2", "jpc", "jpf", "jpx", "jxl", "jxr", "nef", "orf", "pcx", "psd", "qoi", "raf", "ras", "rw2"),
    *("sgi", "svg", "svgz", "tga", "wmf", "xbm", "xcf", "xpm"),
)
"""Extensions of pictures that aren't read: each is a reject by name, never left out without a word."""
MAX_PIXELS = 8192 * 8192
COMPRESS_LEVEL = 6
ORIENTATION = 0x0112
"""EXIF's tag."""

BadReason = Literal["empty", "truncated", "corrupt", "decompression_bomb", "unsupported_mode"]
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)


class BadImage(ValueError):
    """Bytes that are no usable picture: a short ``reason`` and a sentence in ``detail``."""

    def __init__(self, reason: BadReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: BadReason = reason
        self.detail = detail


@functools.cache
def picture_extensions() -> tuple[str, ...]:
    """Return the lower-case extensions, without a dot, of all pictures that ``decode_image`` reads."""
    Image.init()
    known = {extension[1:] for extension, form in Image.EXTENSION.items() if form in FORMATS}
    known.add("mpo")  # a JPEG with more pictures behind the first one
    return (*USUAL, *sorted(known - set(USUAL)))


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the picture in ``data`` as 8-bit RGB, upright as its EXIF orientation says.

    Transparency is laid over white, 16-bit grey is scaled to 8 bits, palettes and CMYK are converted, and of
    an animation the first frame is taken.

    Raises:
        BadImage: empty, truncated or corrupt data, more than ``max_pixels`` pixels, or a pixel format
            with no fixed range (floats, 32-bit integers).
    """
    if not data:
        raise BadImage("empty", "the picture has 0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = _open(data, max_pixels)
            image.load()
            return _to_rgb(_upright(image))
        except BadImage:
            raise
        except Image.DecompressionBombError as error:
            raise BadImage("decompression_bomb", str(error)) from error
        except UnidentifiedImageError as error:
            detail = f"{len(data)} bytes that are no {', '.join(FORMATS)} file (they begin with {data[:8]!r})"
            raise BadImage("corrupt", detail) from error
        except _DAMAGE as error:
            raise _damage(error, len(data)) from error


def plain_format(data: bytes) -> str | None:
    """Return the format of a picture whose bytes show it as it is: upright, RGB or grey, opaque; else None.

    ``data`` is one that ``decode_image`` takes. Damaged EXIF is no reason against a picture, but not plain.
    """
    with warnings.catch_warnings(), _open(data, MAX_PIXELS) as image:
        warnings.simplefilter("ignore")
        try:
            upright = image.getexif().get(ORIENTATION, 1) == 1
        except _DAMAGE:
            return None
        return image.format if upright and image.mode in ("RGB", "L") and "transparency" not in image.info else None


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return ``pixels``, (height, width, 3) or grey (height, width), as PNG.

    Equal pixels give equal bytes: the level is fixed, and no time is written.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Open without decoding, and look at the size before a pixel is allocated."""
    Image.init()  # with formats given, Image.open doesn't load the plugins of the rarer ones itself
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage(
            "decompression_bomb", f"{width}x{height} pixels in {len(data)} bytes; at most {max_pixels} are read"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        return image  # damaged EXIF says nothing of the pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I"):
        return _from_integers(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, above).convert("RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Return a 16-bit picture that Pillow opened with 32-bit integers; other ranges have no meaning for us."""
    values: npt.NDArray[Any] = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise BadImage("unsupported_mode", f"pixel format {image.mode!r} has no fixed range; give 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")


def _damage(error: Exception, size: int) -> BadImage:
    text = str(error) or type(error).__name__
    if isinstance(error, ValueError) and "too large" in text:
        return BadImage("decompression_bomb", text)
    if isinstance(error, EOFError) or "truncated" in text.lower() or "unexpected end" in text.lower():
        return BadImage("truncated", f"the picture ends early, after {size} bytes: {text}")
    return BadImage("corrupt", f"the picture can't be decoded: {text}")
