"""The artefact ablation: make synthetic pictures easy to tell from real ones, and leave the real ones alone.

After FFR's own ablation (pixelate, defocus blur, Gaussian noise on synthetic images only): it widens the gap
between G = real and G = synthetic, which a mix of both can use as a shortcut and FFR's stages can't. The
severity is ours, chosen by eye on 64 x 64 pictures so that class and background stay plain.
"""

from __future__ import annotations

import io
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.catalogs.manifests.manifest import Head, encode, read_head, read_rows, write_local
from fairshards.trainers.core.index import read_index
from fairshards.trainers.core.loaders import read_bytes
from fairshards.transforms.shards.tars import ShardSample, sha256, write_shard

VERSION = "artefacts/1"
PIXEL, BLUR, NOISE = 2, 0.6, 6.0
"""Side of a pixelated block, radius of the blur (both in pixels) and the noise's deviation in grey levels."""


def degrade(picture: Image.Image, seed: int) -> Image.Image:
    """Return the RGB picture pixelated, blurred and with noise that ``seed`` decides."""
    width, height = picture.size
    blocks = picture.resize((width // PIXEL, height // PIXEL), Image.Resampling.BOX)
    blurred = blocks.resize((width, height), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(BLUR))
    noise = np.random.default_rng(seed).normal(0.0, NOISE, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(blurred, np.float64) + noise, 0, 255).round().astype(np.uint8))


def degraded_copy(index: Path, folder: Path) -> Path:
    """Write the index's shards with every picture degraded below ``folder`` and return the new index.

    A copy that is there already is taken as it is.
    """
    head, rows = read_rows(index)
    named = {sample.sample_id: sample for sample in read_index(index, g=1).samples}
    task = task_hash("index", f"{VERSION} {PIXEL} {BLUR} {NOISE}", (), [head.content_sha256])
    target = folder / task[:12] / "index.parquet"
    if target.is_file() and read_head(target).task_hash == task:
        return target
    placed: list[dict[str, Any]] = []
    for shard, members in groupby(rows, key=lambda row: str(row["shard"])):
        here = list(members)
        samples = [_sample(row, read_bytes(named[row["sample_id"]])) for row in here]
        tar, places = write_shard(samples)
        write_local(target.parent / shard, tar)
        for row, sample in zip(here, samples, strict=True):
            offset, size = places[sample.key]
            placed.append({**row, "offset": offset, "size": size, "image_sha256": sha256(sample.image)})
    data, _ = encode(Head("index", "artefacts", task, VERSION, (head.content_sha256,)), placed, {})
    write_local(target, data)
    return target


def _sample(row: dict[str, Any], png: bytes) -> ShardSample:
    with Image.open(io.BytesIO(png)) as picture:
        degraded = degrade(picture.convert("RGB"), int(row["sample_id"][:15], 16))
    buffer = io.BytesIO()
    degraded.save(buffer, "PNG")
    facts = {name: row[name] for name in ("class_name", "bias_name", "split")}
    return ShardSample(row["sample_id"], buffer.getvalue(), "png", row["y"], facts, "")
