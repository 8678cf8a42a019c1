"""CLIP embeddings, and silhouettes, beside the scores: float16, in safetensors, one file a score task.

They are what near-duplicates, the G-detector and shapes off support are found by, without loading a model again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import EMBEDDINGS
from fairshards.transforms.shards.tars import sha256
from fairshards.transforms.shards.task import ShardTask

KEY = EMBEDDINGS
SILHOUETTES = "silhouettes"
Embeddings = npt.NDArray[np.float32]


def publish(
    task: ShardTask, found: Mapping[str, Embeddings], silhouettes: Mapping[str, Embeddings] | None = None
) -> dict[str, Any]:
    """Publish a task's embeddings (d,) by id, and silhouettes of the same ids where they were made.

    Returns:
        What the manifest's settings say of the file.
    """
    kinds = {KEY: found}
    if silhouettes is not None:
        kinds[SILHOUETTES] = {name: silhouettes[name] for name in found}
    data = save({kind: _stacked(rows) for kind, rows in kinds.items()})
    checksum = sha256(data)
    name = f"{task.stem}-{checksum[:12]}.safetensors"
    storage.publish(storage.join(task.run, task.folder, name), data)
    return {KEY: {"name": name, "sha256": checksum, "ids": canonical_json(list(found))}}


def _stacked(rows: Mapping[str, Embeddings]) -> npt.NDArray[np.float16]:
    return np.stack(list(rows.values())).astype(np.float16) if rows else np.zeros((0, 0), np.float16)


def of_manifest(path: Path, settings: Mapping[str, Any], kind: str = KEY) -> dict[str, Embeddings]:
    """Return the embeddings (or silhouettes) beside a local score manifest, by id; none where it names none."""
    beside = settings.get(KEY)
    return read((path.parent / beside["name"]).read_bytes(), json.loads(beside["ids"]), kind) if beside else {}


def of_manifests(paths: Iterable[Path], kind: str = KEY) -> dict[str, Embeddings]:
    """Return the embeddings (or silhouettes) that lie beside local score manifests, by id."""
    found: dict[str, Embeddings] = {}
    for path in paths:
        found |= of_manifest(path, manifest.read_head(path).settings, kind)
    return found


def read(data: bytes, ids: Sequence[str], kind: str = KEY) -> dict[str, Embeddings]:
    """Return the embeddings of a file by id, float32, of length 1; or its silhouettes as they are, none without any.

    Raises:
        ValueError: the file has another number of rows than there are ids.
    """
    tensors = load(data)
    if kind not in tensors:
        return {}
    rows = tensors[kind].astype(np.float32)
    if len(rows) != len(ids):
        raise ValueError(f"{len(rows)} {kind} for {len(ids)} pictures; delete the file and run again")
    if kind == SILHOUETTES:
        return dict(zip(ids, rows, strict=True))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if len(rows) else 1
    return dict(zip(ids, rows / np.maximum(lengths, 1e-12), strict=True))
