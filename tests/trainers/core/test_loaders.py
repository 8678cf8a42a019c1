"""Images from shards: exact pixels, exactly once, and clear errors where a shard isn't its index's."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairshards.trainers.core.errors import ShardError
from fairshards.trainers.core.index import Sample, read_index
from fairshards.trainers.core.loaders import CachedPictures, ShardPictures, batches, load_pictures, stream_images
from tests.trainers.shapes import Picture, shape_pictures, write_index

CPU = torch.device("cpu")


@pytest.fixture
def pictures() -> list[Picture]:
    return shape_pictures({"train": {(0, 0): 4, (0, 1): 3, (1, 0): 4, (1, 1): 3}})


@pytest.fixture
def samples(tmp_path: Path, pictures: list[Picture]) -> tuple[Sample, ...]:
    """Fourteen samples in three shards of at most five."""
    return read_index(write_index(tmp_path / "set", pictures, per_shard=5), g=0).samples


def expected(pictures: list[Picture]) -> torch.Tensor:
    return torch.from_numpy(np.stack([picture.image for picture in pictures])).permute(0, 3, 1, 2)


def test_streamed_pixels_are_exact_and_in_the_order_asked_for(
    samples: tuple[Sample, ...], pictures: list[Picture]
) -> None:
    assert torch.equal(stream_images(samples, 16), expected(pictures))
    assert torch.equal(stream_images(samples[::-1], 16), expected(pictures).flip(0))
    assert torch.equal(stream_images(samples[3:7], 16), expected(pictures)[3:7])


def test_reading_by_offset_gives_the_same_pixels(samples: tuple[Sample, ...], pictures: list[Picture]) -> None:
    by_offset = ShardPictures(samples, 16)
    assert len(by_offset) == 14
    assert torch.equal(by_offset[9], expected(pictures)[9])
    assert torch.equal(by_offset.__getitems__([9, 2, 9]), expected(pictures)[[9, 2, 9]])


def test_the_memory_budget_decides_between_cache_and_offsets(samples: tuple[Sample, ...]) -> None:
    needed = 14 * 3 * 16 * 16
    assert isinstance(load_pictures(samples, 16, needed), CachedPictures)
    assert isinstance(load_pictures(samples, 16, needed - 1), ShardPictures)


@pytest.mark.parametrize("budget", [0, 1 << 20])
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_follow_the_order_with_repeats(
    samples: tuple[Sample, ...], pictures: list[Picture], budget: int, workers: int
) -> None:
    order = torch.tensor([13, 0, 5, 5, 1])
    found = list(batches(load_pictures(samples, 16, budget), order, 2, CPU, workers))
    assert [positions.tolist() for _, positions in found] == [[13, 0], [5, 5], [1]]
    assert torch.equal(torch.cat([images for images, _ in found]), expected(pictures)[order])


def test_images_of_any_size_and_format_are_resized(tmp_path: Path) -> None:
    flat = [np.full((h, w, 3), (200, 100, 50), np.uint8) for h, w in ((40, 24), (16, 16), (9, 31))]
    pictures = [Picture(flat[0], 0, 0, "train", suffix="jpg")]
    pictures += [Picture(image, 1, 1, "train") for image in flat[1:]]
    samples = read_index(write_index(tmp_path, pictures), g=0).samples
    images = stream_images(samples, 16)
    assert images.shape == (3, 3, 16, 16)
    assert (images.int() - torch.tensor([200, 100, 50]).view(3, 1, 1)).abs().max() <= 2
    assert torch.equal(images, ShardPictures(samples, 16).__getitems__([0, 1, 2]))


def test_grey_and_transparent_pictures_become_rgb(tmp_path: Path) -> None:
    sink = io.BytesIO()
    Image.new("L", (16, 16), 77).save(sink, "PNG")
    sample = _single(tmp_path, "grey.png", sink.getvalue())
    assert set(stream_images([sample], 16).flatten().tolist()) == {77}


def test_other_files_in_a_tar_and_odd_keys_do_no_harm(tmp_path: Path) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(sink, "PNG")
    more = {"a.png": b"junk", "a.dotted.cls": b"0"}
    sample = _single(tmp_path, "a.dotted.key.png", sink.getvalue(), more)
    assert stream_images([sample], 16)[0, :, 0, 0].tolist() == [1, 2, 3]


def test_two_samples_with_the_same_picture_both_arrive(tmp_path: Path) -> None:
    picture = shape_pictures({"train": {(0, 0): 1}})[0]
    samples = read_index(write_index(tmp_path, [picture, picture]), g=0).samples
    images = stream_images(samples, 16)
    assert torch.equal(images[0], images[1])


def test_a_truncated_shard_is_named_with_what_is_missing(samples: tuple[Sample, ...]) -> None:
    second = samples[5].shard
    second.write_bytes(second.read_bytes()[: samples[7].offset + 10])
    with pytest.raises(ShardError, match=r"0001\.tar: 2 of 5 indexed images arrived.*ReadError.*restore"):
        stream_images(samples, 16)


def test_a_short_but_valid_shard_is_an_error_too(samples: tuple[Sample, ...]) -> None:
    """A crashed writer leaves a tar that ends properly: only the index knows that samples are missing."""
    shard = samples[0].shard
    with tarfile.open(shard) as tar:
        kept = [(member, tar.extractfile(member).read()) for member in tar.getmembers()[:8]]  # type: ignore[union-attr]
    with tarfile.open(shard, "w") as tar:
        for member, data in kept:
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(ShardError, match=r"2 of 5 indexed images arrived, \w{32} is the first missing;"):
        stream_images(samples, 16)


def test_a_shard_that_is_gone_is_named(samples: tuple[Sample, ...]) -> None:
    samples[0].shard.unlink()
    with pytest.raises(ShardError, match=r"train-0000\.tar: 0 of 5 .*FileNotFoundError"):
        stream_images(samples, 16)
    with pytest.raises(ShardError, match=r"train-0000\.tar can't be read"):
        ShardPictures(samples, 16)[0]


def test_bytes_that_are_not_the_indexed_image_are_an_error(samples: tuple[Sample, ...]) -> None:
    moved = replace(samples[0], offset=samples[0].offset + 1)
    with pytest.raises(ShardError, match="should be the image of"):
        ShardPictures([moved], 16)[0]
    changed = replace(samples[0], image_sha256="0" * 64)
    with pytest.raises(ShardError, match="0 of 1 indexed images arrived"):
        stream_images([changed], 16)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    sample = _single(tmp_path, "broken.png", b"\x89PNG not really")
    with pytest.raises(ShardError, match=r"one\.tar: can't decode s0"):
        stream_images([sample], 16)


def _single(folder: Path, name: str, data: bytes, more: dict[str, bytes] | None = None) -> Sample:
    """A sample whose image is the member ``name`` of a tar that holds ``more`` before it."""
    import hashlib

    with tarfile.open(folder / "one.tar", "w") as tar:
        for member, content in {**(more or {}), name: data}.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    sha256 = hashlib.sha256(data).hexdigest()
    return Sample("s0", "train", 0, "a", 0, "b", "a|b", 0, folder / "one.tar", 0, len(data), sha256)
