"""A split of a run as a dataset for training scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import Dataset

from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.loaders import decode_rgb, read_bytes


class ShardDataset(Dataset[tuple[Any, int, int]]):
    """(picture, y, b) of the samples of an index; every picture is checked against its SHA-256 when it is read.

    Args:
        samples: Who they are, and where their pictures lie.
        transform: Gets an RGB ``PIL.Image``; None: the item's picture is the image.
    """

    def __init__(self, samples: Sequence[Sample], transform: Callable[[Any], Any] | None = None) -> None:
        self.samples, self.transform = samples, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> tuple[Any, int, int]:
        sample = self.samples[position]
        picture = decode_rgb(read_bytes(sample), sample)
        return self.transform(picture) if self.transform else picture, sample.y, sample.b
