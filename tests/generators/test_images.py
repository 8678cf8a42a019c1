"""Decoding what others wrote, and PNG bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fairshards.generators.images import BadImage, decode_image, encode_png, plain_format

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(BadImage) as caught:
        decode_image(data, **options)
    assert caught.value.detail
    return caught.value.reason


def png_of_size(width: int, height: int) -> bytes:
    """A tiny file that says it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_their_pixels(kind: str) -> None:
    image = decode_image(encoded(Image.fromarray(PIXELS), kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), PIXELS)


def test_jpeg() -> None:
    smooth = np.repeat(np.arange(0, 240, 6, dtype=np.uint8)[None, :, None], 24, 0).repeat(3, 2)
    image = decode_image(encoded(Image.fromarray(smooth), "JPEG", quality=95))
    assert np.abs(np.asarray(image).astype(int) - smooth).max() < 8


def test_png_bytes_are_equal_and_decode_to_the_same_pixels() -> None:
    assert encode_png(PIXELS) == encode_png(PIXELS.copy())
    assert np.array_equal(np.asarray(decode_image(encode_png(PIXELS))), PIXELS)


def test_empty_and_no_picture() -> None:
    assert reason(b"") == "empty"
    assert reason(b"<html>not found</html>") == "corrupt"
    assert reason(b"\x89PNG\r\n\x1a\n") in ("truncated", "corrupt")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_truncation_is_bad_or_harmless(kind: str) -> None:
    """No cut raises anything else, and a file cut in its middle is bad."""
    data = encoded(Image.fromarray(PIXELS), kind)
    for length in range(1, len(data), max(1, len(data) // 60)):
        try:
            decode_image(data[:length])
        except BadImage as error:
            assert error.reason in ("truncated", "corrupt")
    assert reason(data[: len(data) // 2]) in ("truncated", "corrupt")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_picture_is_called_truncated(kind: str) -> None:
    data = encoded(Image.fromarray(PIXELS), kind)
    assert reason(data[: len(data) * 2 // 3]) == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_damage_never_raises_anything_else(kind: str) -> None:
    data, rng = encoded(Image.fromarray(PIXELS), kind), np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 4):
            damaged[place] = int(rng.integers(0, 256))
        try:
            assert decode_image(bytes(damaged)).mode == "RGB"
        except BadImage:
            continue


def test_bombs_are_refused_before_a_pixel_is_decoded() -> None:
    assert reason(png_of_size(30_000, 30_000)) == "decompression_bomb"
    assert reason(png_of_size(9_000, 9_000)) == "decompression_bomb"
    assert reason(encode_png(PIXELS), max_pixels=24 * 40 - 1) == "decompression_bomb"
    assert decode_image(encode_png(PIXELS), max_pixels=24 * 40).size == (40, 24)


def test_a_text_bomb_in_a_png() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "a" * 40_000_000, zip=True)
    assert reason(encoded(Image.fromarray(PIXELS), pnginfo=notes)) == "decompression_bomb"


def test_transparency_is_laid_over_white() -> None:
    alpha = np.dstack([np.zeros((2, 2, 3), np.uint8), np.array([[0, 255], [128, 0]], np.uint8)])
    levels = np.asarray(decode_image(encoded(Image.fromarray(alpha))))[..., 0]
    assert levels.tolist() == [[255, 0], [127, 255]]


def test_palettes_with_and_without_a_transparent_colour() -> None:
    palette = Image.fromarray(PIXELS).quantize(8)
    assert np.array_equal(np.asarray(decode_image(encoded(palette))), np.asarray(palette.convert("RGB")))
    clear = decode_image(encoded(palette, transparency=0))
    hidden = np.asarray(palette) == 0
    assert (np.asarray(clear)[hidden] == 255).all()


def test_sixteen_bits_grey_one_bit_and_cmyk() -> None:
    deep = np.array([[0, 256, 0xFFFF]], np.uint16)
    assert np.asarray(decode_image(encoded(Image.fromarray(deep))))[0, :, 0].tolist() == [0, 1, 255]
    assert np.asarray(decode_image(encoded(Image.fromarray(deep), "TIFF")))[0, :, 1].tolist() == [0, 1, 255]
    grey = Image.fromarray(PIXELS[..., 0])
    assert np.array_equal(np.asarray(decode_image(encoded(grey)))[..., 2], PIXELS[..., 0])
    assert np.asarray(decode_image(encoded(Image.new("1", (3, 3), 1)))).tolist() == [[[255] * 3] * 3] * 3
    cmyk = decode_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.asarray(cmyk)[4, 4, 0] > 200 and np.asarray(cmyk)[4, 4, 1] < 60


@pytest.mark.parametrize("values", [np.array([[0.0, 1.5]], np.float32), np.array([[0, 1 << 20]], np.int32)])
def test_pixel_formats_without_a_range_are_unsupported(values: Any) -> None:
    assert reason(encoded(Image.fromarray(values), "TIFF")) == "unsupported_mode"


def test_exif_orientation_turns_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_image(encoded(Image.fromarray(PIXELS), exif=exif))
    assert np.array_equal(np.asarray(image), np.rot90(PIXELS, -1))


def test_upright_opaque_rgb_and_grey_are_plain() -> None:
    rgb, grey = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0])
    assert [plain_format(encoded(image, kind)) for image in (rgb, grey) for kind in ("PNG", "JPEG")] == [
        "PNG",
        "JPEG",
        "PNG",
        "JPEG",
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = [encoded(rgb, kind, exif=exif) for kind in ("PNG", "JPEG")]
    others = [encoded(rgb.convert(mode)) for mode in ("RGBA", "P", "1")]
    see_through = [encoded(grey, transparency=0), encoded(rgb, transparency=(0, 0, 0))]
    assert {plain_format(data) for data in (*turned, *others, *see_through)} == {None}


@pytest.mark.parametrize("body", [b"", b"MM\0*\0", b"garbage!", b"II*\0\xff\xff\xff\xff"])
def test_damaged_exif_is_no_reason_against_a_picture_but_not_plain(body: bytes) -> None:
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = encode_png(PIXELS)[:33] + chunk + encode_png(PIXELS)[33:]
    assert np.array_equal(np.asarray(decode_image(data)), PIXELS)
    assert plain_format(data) in (None, "PNG")


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    image = decode_image(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert np.asarray(image)[0, 0].tolist() == [255, 0, 0]


def test_formats_whose_decoders_run_programs_are_not_read() -> None:
    assert reason(encoded(Image.fromarray(PIXELS), "EPS")) == "corrupt"
