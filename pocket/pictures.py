"""Rendered training sets, cached as .npy in the work folder: balanced over the four groups, 30% with an object."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocket.render import GROUPS, render
from pocket.scene import Scene, draw_scene, equal_rates

CHUNK = 1000
OBJECT_RATE = 0.3
DOMAINS = ("train", "val", "test", "generator", "clip", "clip-heldout", "oracle", "oracle-heldout")


def training_scene(domain: str, index: int, seed: int = 0) -> Scene:
    """Scene ``index`` of a model's training set."""
    class_name, background = GROUPS[index % len(GROUPS)]
    return draw_scene(domain, seed, index, class_name, background, equal_rates(OBJECT_RATE))


def training_scenes(domain: str, count: int) -> list[Scene]:
    """The first ``count`` scenes of a model's training set."""
    return [training_scene(domain, index) for index in range(count)]


def _chunk(domain: str, number: int, cache: Path) -> np.ndarray:
    path = cache / f"{domain}-{number:03d}.npy"
    if not path.exists():
        first = number * CHUNK
        images = np.stack([render(training_scene(domain, index))[0] for index in range(first, first + CHUNK)])
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.npy")
        np.save(fresh, images)
        fresh.replace(path)
    loaded: np.ndarray = np.load(path)
    return loaded


def training_images(domain: str, count: int, cache: Path) -> Tensor:
    """The first ``count`` pictures, uint8 (count, 3, 64, 64); rendered at the first call."""
    chunks = [_chunk(domain, number, cache) for number in range(-(-count // CHUNK))]
    return torch.from_numpy(np.concatenate(chunks)[:count]).permute(0, 3, 1, 2).contiguous()


def to_unit(images: Tensor) -> Tensor:
    """uint8 [0, 255] to float32 [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Float [-1, 1] to uint8 [0, 255]."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
