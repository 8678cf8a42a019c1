"""Identity of samples, tasks and models: SHA-256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

ID_DIGITS = 32
TASK_DIGITS = 12

UNKNOWN_BIAS, UNKNOWN = -1, "unknown"
"""The number and the name of the bias attribute where nobody knows it: spurious-free synthetic samples, and datasets
without bias labels. Such a sample's group is "<class>|unknown"."""


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: ``value`` holds NaN or an infinity, which have no JSON form.
        TypeError: ``value`` holds something JSON doesn't know.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the 64 hex digits of SHA-256 over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sample_id(determinants: Mapping[str, Any], fingerprint: str) -> str:
    """Return a sample's id: 32 hex digits, safe as a WebDataset key.

    ``determinants`` is everything but the model that decides the pixels: prompt, negatives, form of
    guidance, group, replicate, the recipe's seed and the sampler's settings. ``fingerprint`` is the model's.
    """
    return digest({**determinants, "generator": fingerprint})[:ID_DIGITS]


def noise_seed(determinants: Mapping[str, Any]) -> int:
    """Return the seed of a sample's noise, in [0, 2**63).

    It doesn't depend on the model, so that two checkpoints can be compared on common noise.
    """
    return int(digest(dict(determinants))[:16], 16) >> 1


def task_hash(
    stage: str, fingerprint: str, sample_ids: Sequence[str], inputs: Sequence[str] = (), settings: Any = None
) -> str:
    """Return a shard task's hash: 64 hex digits over all that decides its result.

    ``fingerprint`` is the stage's (its declared version, its model, its settings), ``inputs`` the content
    hashes of the manifests that it reads. Whatever changes here is a new task, never a stale skip.
    """
    return digest(
        {
            "stage": stage,
            "fingerprint": fingerprint,
            "samples": list(sample_ids),
            "inputs": list(inputs),
            "settings": settings,
        }
    )
