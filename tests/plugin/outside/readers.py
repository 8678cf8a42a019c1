"""Readers of somebody's own: pictures in one NumPy file, and a cohort in a CSV file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from fairshards.catalogs.cohorts.cohort import Cohort
from fairshards.catalogs.cohorts.readers import CohortReader, Support2
from fairshards.transforms.sources.base import (
    Entry,
    Listing,
    SourceError,
    SourceItem,
    SourceProblem,
    SourceReader,
    SourceUnit,
    digest_files,
)


@dataclass(frozen=True)
class ArrayReader(SourceReader):
    """Reads a .npz file: ``pictures`` (n, h, w, 3), and ``split``, ``class`` and ``bias`` of each; one unit in all."""

    path: str
    times: int = 1

    def listing(self) -> Listing:
        if not Path(self.path).is_file():
            raise SourceError(f"source.path {self.path} is no file")
        with np.load(self.path) as arrays:
            classes, biases = (frozenset(map(str, arrays[name])) for name in ("class", "bias"))
            unit = SourceUnit("arrays", self.path, 0, len(arrays["pictures"]), digest_files([self.path]))
        return Listing([unit], [], {}, classes, biases)

    def read(self, unit: SourceUnit, entries: Sequence[Entry]) -> Iterator[SourceItem | SourceProblem]:
        with np.load(unit.path) as arrays:
            pictures = arrays["pictures"]
            labels = zip(*(map(str, arrays[name]) for name in ("split", "class", "bias")), strict=True)
            for number, (pixels, (split, kind, bias)) in enumerate(zip(pictures, labels, strict=True)):
                yield SourceItem(f"{number}", split, _png(pixels), kind, bias)


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class FirstPatients(CohortReader):
    """The first patients of SUPPORT2."""

    count: int

    def read(self, path: Path | None) -> Cohort:
        whole = Support2().read(None)
        rows: pa.Table = whole.rows.slice(0, self.count)
        return Cohort(whole.schema, rows, patient=whole.patient)
