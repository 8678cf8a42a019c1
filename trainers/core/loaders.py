"""Images of samples, from their shards: streamed once into memory, or read one by one by offset."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import webdataset as wds
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fairshards.trainers.core.errors import ShardError
from fairshards.trainers.core.index import Sample

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")


class CachedPictures(Dataset[Tensor]):
    """Images held in memory: uint8 [N, 3, H, W]. A batch is one indexing operation."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.images[torch.as_tensor(indices)]


class ShardPictures(Dataset[Tensor]):
    """Images read by (shard, offset, size), uint8 [3, H, W] each: weighted draws need no pass over tars."""

    def __init__(self, samples: Sequence[Sample], image_size: int) -> None:
        self.samples, self.image_size = samples, image_size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor:
        sample = self.samples[index]
        return decode(read_bytes(sample), self.image_size, sample)

    def __getitems__(self, indices: list[int]) -> Tensor:
        return torch.stack([self[index] for index in indices])


Pictures = CachedPictures | ShardPictures


def load_pictures(samples: Sequence[Sample], image_size: int, cache_bytes: int) -> Pictures:
    """Return the images of ``samples`` in their order, resized to ``image_size`` squared.

    They are cached in memory when they fit ``cache_bytes``, and read from the shards at need otherwise.
    """
    if len(samples) * 3 * image_size**2 <= cache_bytes:
        return CachedPictures(stream_images(samples, image_size))
    return ShardPictures(samples, image_size)


def stream_images(samples: Sequence[Sample], image_size: int) -> Tensor:
    """Return uint8 [N, 3, H, W], read in one pass over the shards that ``samples`` name.

    Every sample must arrive exactly once; what else lies in the tars is passed over.

    Raises:
        ShardError: a shard is missing or truncated, or lacks an image that the index names.
    """
    images = torch.empty((len(samples), 3, image_size, image_size), dtype=torch.uint8)
    by_shard: dict[Path, list[int]] = defaultdict(list)
    for position, sample in enumerate(samples):
        by_shard[sample.shard].append(position)
    for shard, positions in by_shard.items():
        for position, data in _arrivals(shard, samples, positions):
            images[position] = decode(data, image_size, samples[position])
    return images


def _arrivals(shard: Path, samples: Sequence[Sample], positions: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (position, image bytes) of one shard; an image is known by its SHA-256, whatever its key."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for position in reversed(positions):
        waiting[samples[position].image_sha256].append(position)
    problems: list[str] = []
    for data in _image_files(shard, problems):
        claimed = waiting.get(hashlib.sha256(data).hexdigest())
        if claimed:
            yield claimed.pop(), data
    missing = sorted(position for left in waiting.values() for position in left)
    if missing:
        raise ShardError(
            f"shard {shard}: {len(positions) - len(missing)} of {len(positions)} indexed images arrived, "
            f"{samples[missing[0]].sample_id} is the first missing"
            f"{' (' + problems[0] + ')' if problems else ''}; restore the shard, or run its stage again"
        )


def _image_files(shard: Path, problems: list[str]) -> Iterator[bytes]:
    """Yield the bytes of the tar's image files in order; what stops the reading goes to ``problems``."""

    def note(error: Exception) -> bool:
        problems.append(f"{type(error).__name__}: {error.args[0] if error.args else error}")
        return True

    try:
        stream = open(shard, "rb")  # noqa: SIM115 # webdataset's own opener leaves the closing to garbage collection
    except OSError as error:
        note(error)
        return
    with stream:
        for file in wds.tariterators.tar_file_expander(
            iter([{"url": str(shard), "stream": stream}]),
            handler=note,
            eof_value=None,
            select_files=lambda name: name.lower().endswith(IMAGE_SUFFIXES),
        ):
            yield file["data"]


def read_bytes(sample: Sample) -> bytes:
    """Return the sample's image file from its byte range in the shard, checked against its SHA-256."""
    try:
        with open(sample.shard, "rb") as file:
            file.seek(sample.offset)
            data = file.read(sample.size)
    except OSError as error:
        raise ShardError(f"shard {sample.shard} can't be read: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sample.image_sha256:
        raise ShardError(
            f"shard {sample.shard}: the {sample.size} bytes at {sample.offset} should be the image of "
            f"{sample.sample_id} (SHA-256 {sample.image_sha256[:12]}); got {len(data)} bytes ({found[:12]})"
        )
    return data


def decode(data: bytes, image_size: int, sample: Sample) -> Tensor:
    """Return the image as uint8 [3, S, S]: RGB, resized (bilinear, no crop) only where its size differs."""
    return to_tensor(decode_rgb(data, sample), image_size)


def decode_rgb(data: bytes, sample: Sample) -> Image.Image:
    """Return the image as RGB, in its own size.

    Raises:
        ShardError: it can't be decoded.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ShardError(f"shard {sample.shard}: can't decode {sample.sample_id}: {error}") from error


def to_tensor(picture: Image.Image, image_size: int) -> Tensor:
    """Return an RGB picture as uint8 [3, S, S], resized (bilinear, no crop) only where its size differs."""
    if picture.size != (image_size, image_size):
        picture = picture.resize((image_size, image_size), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(image_size, image_size, 3).permute(2, 0, 1)


def batches(
    pictures: Pictures, order: Tensor, batch_size: int, device: torch.device, workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images uint8 [B, 3, S, S] on ``device``, their positions int64 [B]) in the given order."""
    parts = [part.tolist() for part in torch.split(order, batch_size)]
    loader: DataLoader[Tensor] = DataLoader(
        pictures,
        batch_sampler=parts,
        collate_fn=_as_is,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # a loader without its own draws its workers' seed from the global one
    )
    for part, images in zip(parts, loader, strict=True):
        yield images.to(device, non_blocking=True), torch.as_tensor(part)


def _as_is(images: Any) -> Any:
    """The pictures come as whole batches already."""
    return images
