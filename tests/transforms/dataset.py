"""What tests of the readers share: pictures, tars, tables, and reading a dataset as a run does."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fairshards.catalogs.manifests import manifest
from fairshards.transforms.sources import SourceReader
from fairshards.transforms.sources.labels import GroupLabels, Labels
from fairshards.transforms.sources.stage import ingest_unit, plan_source, write_listing

LABELS = GroupLabels(Labels(("landbird", "waterbird")), Labels(("land", "water")))
TABLE = "img_filename,y,split,place,caption\n"


def picture(seed: int = 0, form: str = "PNG") -> bytes:
    """Return an encoded picture of 8 x 8 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=form)
    return buffer.getvalue()


def tree(folder: Path, files: Iterable[str] | Mapping[str, bytes]) -> Path:
    """Write files below a folder; those without bytes of their own are pictures."""
    given = files if isinstance(files, Mapping) else {name: picture() for name in files}
    for name, data in given.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tar_of(path: Path, members: Iterable[tuple[str, bytes]], mode: str = "w") -> Path:
    """Write a tar with these members, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def bird(key: str, y: str | None = "0", image: str = "png", **facts: object) -> list[tuple[str, bytes]]:
    """Return the members of one sample."""
    said = {"background": "land", **facts}
    cls = [] if y is None else [(f"{key}.cls", y.encode())]
    return [(f"{key}.{image}", picture()), *cls, (f"{key}.json", json.dumps(said).encode())]


class Read:
    """A dataset as a run reads it: rows, rejects by key, and what is ignored by rule."""

    def __init__(self, reader: SourceReader, run: Path, labels: GroupLabels = LABELS) -> None:
        listing = reader.listing()
        labels = labels.decided(listing.class_labels, listing.bias_labels)
        write_listing(listing, str(run))
        self.works = plan_source(reader, str(run), "data", labels, listing)
        self.rows: list[dict] = []
        for work in self.works:
            record = ingest_unit(work, reader, labels)
            self.rows += manifest.read_rows(run / record.manifest)[1]
        self.ignored = {rule: one.count for rule, one in listing.ignored.items()}

    @property
    def good(self) -> list[str]:
        """The keys of the sources."""
        return [row["key"] for row in self.rows if row["status"] == "ok"]

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of every reject, by key."""
        return {row["key"]: row["reason"] for row in self.rows if row["status"] == "reject"}

    def detail(self, key: str) -> str:
        """Return what is said of a reject."""
        return next(row["detail"] for row in self.rows if row["key"] == key and row["status"] == "reject")
