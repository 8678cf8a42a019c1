"""Small worlds for tests: coloured shapes in real WebDataset tars, with real index manifests."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import Head, encode, write_local
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings
from fairshards.trainers.core.index import Group, Sample
from fairshards.trainers.methods.mixes import Stage
from fairshards.trainers.methods.registry import method_class

CLASSES, BIASES = ("square", "cross"), ("red", "green")
Names = tuple[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """A picture to put into an index: uint8 (H, W, 3), and who it is."""

    image: np.ndarray
    y: int
    b: int
    split: str
    g: int = 0
    suffix: str = "png"


def shape_picture(y: int, b: int, rng: np.random.Generator, size: int = 16, g: int = 0) -> np.ndarray:
    """The class is a faint shape (square or cross), the bias attribute a loud background colour.

    A synthetic picture (g = 1) is duller, so that real and synthetic can be told apart.
    """
    image = rng.normal(110, 25, (size, size, 3))
    image[..., b] += 80
    x, top = rng.integers(1, size - 8, 2)
    shape = np.ones((7, 7), bool)
    if y:
        shape[:] = False
        shape[3, :] = shape[:, 3] = True
        shape[2, 2] = shape[4, 4] = shape[2, 4] = shape[4, 2] = True
    image[top : top + 7, x : x + 7, 2][shape] += 80
    if g:
        image = image * 0.9 + 5
    return np.clip(image, 0, 255).astype(np.uint8)


def shape_pictures(counts: Mapping[str, Mapping[Group, int]], g: int = 0, seed: int = 0) -> list[Picture]:
    """Pictures per split and group, the groups taken in turn."""
    found = []
    for split, groups in counts.items():
        rng = np.random.default_rng([seed, g, sum(split.encode())])
        for replicate in range(max(groups.values())):
            for (y, b), count in groups.items():
                if replicate < count:
                    found.append(Picture(shape_picture(y, b, rng, g=g), y, b, split, g))
    return found


def write_index(
    folder: Path, pictures: Iterable[Picture], per_shard: int = 64, names: Names = (CLASSES, BIASES)
) -> Path:
    """Write ``pictures`` as WebDataset tars and the index manifest over them; returns the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    by_split: dict[str, list[tuple[int, Picture]]] = {}
    for number, picture in enumerate(pictures):
        by_split.setdefault(picture.split, []).append((number, picture))
    for split, numbered in by_split.items():
        for part in range(0, len(numbered), per_shard):
            name = f"{split}-{part // per_shard:04d}.tar"
            rows += _write_tar(folder / name, numbered[part : part + per_shard], names)
    rows.sort(key=lambda row: row.pop("number"))
    head = Head("index", "test", digest([row["sample_id"] for row in rows]))
    data, _ = encode(head, rows, {})
    write_local(folder / "index.parquet", data)
    return folder / "index.parquet"


def _write_tar(path: Path, numbered: list[tuple[int, Picture]], names: Names) -> list[dict[str, Any]]:
    rows = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, picture in numbered:
            sink = io.BytesIO()
            Image.fromarray(picture.image).save(sink, {"jpg": "JPEG"}.get(picture.suffix, "PNG"))
            key = digest([path.name, str(path.parent), number])[:32]
            texts = {"cls": str(picture.y), "json": json.dumps({"b": picture.b}), "txt": "a shape"}
            members = {picture.suffix: sink.getvalue()}
            members |= {name: text.encode() for name, text in texts.items()}
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                if suffix == picture.suffix:
                    offset = tar.fileobj.tell() + tarfile.BLOCKSIZE
                tar.addfile(info, io.BytesIO(data))
            rows.append(_row(number, key, picture, names, path.name, offset, members[picture.suffix]))
    return rows


def _row(number: int, key: str, picture: Picture, names: Names, shard: str, offset: int, data: bytes) -> dict[str, Any]:
    class_name, bias_name = names[0][picture.y], names[1][picture.b]
    return {
        "number": number,
        "curation_id": "",
        "sample_id": key,
        "split": picture.split,
        "y": picture.y,
        "class_name": class_name,
        "b": picture.b,
        "bias_name": bias_name,
        "group_name": f"{class_name}|{bias_name}",
        "g": picture.g,
        "shard": shard,
        "offset": offset,
        "size": len(data),
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "width": picture.image.shape[1],
        "height": picture.image.shape[0],
    }


def bare_samples(counts: Mapping[Group, int], split: str = "train", g: int = 0) -> list[Sample]:
    """Samples without pictures, for what only counts them; ids say source, split, group and number."""
    return [
        Sample(
            f"{g}-{split}-{y}{b}-{number}",
            split,
            y,
            f"class{y}",
            b,
            f"bias{b}",
            f"class{y}|bias{b}",
            g,
            Path(f"/nowhere/{split}.tar"),
            0,
            0,
            "",
        )
        for (y, b), count in counts.items()
        for number in range(count)
    ]


BIASED: dict[Group, int] = {(0, 0): 60, (0, 1): 4, (1, 0): 4, (1, 1): 60}
EVEN: dict[Group, int] = {group: 20 for group in BIASED}


def quick(method: str, loss: str = "erm", seed: int = 0, epochs: int = 2, **more: Any) -> TrainSettings:
    """Settings of a training that takes a fraction of a second."""
    stage = StageSettings(epochs=epochs, batch_size=32)
    return TrainSettings(method, loss, seed, image_size=16, main=stage, pretrain=stage, finetune=stage, **more)


def build_mix(method: str, real: Sequence[Sample], synthetic: Sequence[Sample]) -> tuple[Stage, ...]:
    """The stages of a method over these samples."""
    return tuple(Stage(*stage) for stage in method_class(method)().mix(real, synthetic).items())
