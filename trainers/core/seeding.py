"""Seeds of a training's parts, and a scope in which torch is seeded and deterministic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fairshards.catalogs.manifests.identity import digest

_FILLING: Any = torch.utils.deterministic


def part_seed(seed: int, *part: str | int) -> int:
    """Return the seed of one part of a training ("init"; a stage's epoch), in [0, 2**63).

    Every epoch has its own, so that a resumed training draws what an uninterrupted one would.
    """
    return int(digest([seed, *part])[:16], 16) >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seed torch and choose deterministic kernels inside the scope; restore both after it.

    Yields a CPU generator with the same seed, for draws that must not depend on the model's own.
    """
    if device.type == "cuda":  # cuBLAS is deterministic only with a fixed workspace
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    algorithms = torch.are_deterministic_algorithms_enabled()
    fill = _FILLING.fill_uninitialized_memory
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        torch.use_deterministic_algorithms(True, warn_only=True)
        _FILLING.fill_uninitialized_memory = False  # filling costs time and changes no result here
        torch.manual_seed(seed)
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
            torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
            _FILLING.fill_uninitialized_memory = fill
