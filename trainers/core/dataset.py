"""A split of a run as a dataset for training scripts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from fairshards.catalogs.manifests.manifest import read_rows
from fairshards.trainers.core.index import Sample, read_index
from fairshards.trainers.core.loaders import read_bytes


class ShardDataset(Dataset[tuple[Any, int, int]]):
    """(picture, y, b) of the samples of an index; every picture is checked against its SHA-256 when it is read.

    Args:
        samples: Who they are, and where their pictures lie.
        transform: Gets an RGB ``PIL.Image``; None: the item's picture is the image.
    """

    def __init__(self, samples: Sequence[Sample], transform: Callable[[Any], Any] | None = None) -> None:
        self.samples, self.transform = samples, transform

    @classmethod
    def of(cls, index: Path, split: str, transform: Callable[[Any], Any] | None = None) -> ShardDataset:
        """Return a split of an index manifest, of real or of synthetic samples."""
        rows = read_rows(index)[1]
        return cls(read_index(index, int(rows[0]["g"])).of(split), transform)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> tuple[Any, int, int]:
        sample = self.samples[position]
        with Image.open(io.BytesIO(read_bytes(sample))) as image:
            picture = image.convert("RGB")
        return self.transform(picture) if self.transform else picture, sample.y, sample.b
