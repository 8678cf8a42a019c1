"""CLIP embeddings beside the scores that were taken of them: float16, in safetensors, one file a score task.

They are what near-duplicates and the G-detector are found by, without loading a model again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from catalogs import manifest
from catalogs.identity import canonical_json
from transforms import storage
from transforms.commit import EMBEDDINGS
from transforms.shards import sha256
from transforms.task import ShardTask

KEY = EMBEDDINGS
Embeddings = npt.NDArray[np.float32]


def publish(task: ShardTask, found: Mapping[str, Embeddings]) -> dict[str, Any]:
    """Publish a task's embeddings (d,) by id; return what its manifest's settings say of the file."""
    rows = np.stack(list(found.values())).astype(np.float16) if found else np.zeros((0, 0), np.float16)
    data = save({KEY: rows})
    checksum = sha256(data)
    name = f"{task.stem}-{checksum[:12]}.safetensors"
    storage.publish(storage.join(task.run, task.folder, name), data)
    return {KEY: {"name": name, "sha256": checksum, "ids": canonical_json(list(found))}}


def of_manifest(path: Path, settings: Mapping[str, Any]) -> dict[str, Embeddings]:
    """Return the embeddings that lie beside a local score manifest, by id; none where it names none."""
    beside = settings.get(KEY)
    return read((path.parent / beside["name"]).read_bytes(), json.loads(beside["ids"])) if beside else {}


def of_manifests(paths: Iterable[Path]) -> dict[str, Embeddings]:
    """Return the embeddings that lie beside local score manifests, by id."""
    found: dict[str, Embeddings] = {}
    for path in paths:
        found |= of_manifest(path, manifest.read_head(path).settings)
    return found


def read(data: bytes, ids: Sequence[str]) -> dict[str, Embeddings]:
    """Return the embeddings of a file by id, float32, of length 1.

    Raises:
        ValueError: the file has another number of rows than there are ids.
    """
    rows = load(data)[KEY].astype(np.float32)
    if len(rows) != len(ids):
        raise ValueError(f"{len(rows)} embeddings for {len(ids)} pictures; delete the file and run again")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if len(rows) else 1
    return dict(zip(ids, rows / np.maximum(lengths, 1e-12), strict=True))
