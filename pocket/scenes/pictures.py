"""Rendered training sets, cached as .npy in the work folder: balanced over the four groups, 30% with an object.

The captioner's sets have an object in half of their pictures and the segmenter's in four of five, since they learn
to name and to find it.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairshards.pocket.scenes.render import GROUPS, Layers, render_layers
from fairshards.pocket.scenes.scene import Scene, draw_scene, equal_rates

CHUNK = 1000
OBJECT_RATE = 0.3
OBJECT_RATES = {"captioner": 0.5, "captioner-heldout": 0.5, "segmenter": 0.8, "segmenter-heldout": 0.8}
DOMAINS = ("train", "val", "test", "generator", "clip", "clip-heldout", "oracle", "oracle-heldout", *OBJECT_RATES)
Draw = Callable[[Layers], np.ndarray]


def training_scene(domain: str, index: int, seed: int = 0) -> Scene:
    """Scene ``index`` of a model's training set."""
    class_name, background = GROUPS[index % len(GROUPS)]
    rates = equal_rates(OBJECT_RATES.get(domain, OBJECT_RATE))
    return draw_scene(domain, seed, index, class_name, background, rates)


def training_scenes(domain: str, count: int) -> list[Scene]:
    """The first ``count`` scenes of a model's training set."""
    return [training_scene(domain, index) for index in range(count)]


def _picture(layers: Layers) -> np.ndarray:
    return layers.image


def _masks(layers: Layers) -> np.ndarray:
    return np.stack([layers.bird, layers.object])


def _chunk(domain: str, number: int, cache: Path, draw: Draw) -> np.ndarray:
    path = cache / f"{domain}{'' if draw is _picture else draw.__name__.replace('_', '-')}-{number:03d}.npy"
    if not path.exists():
        first = number * CHUNK
        drawn = [draw(render_layers(training_scene(domain, index))) for index in range(first, first + CHUNK)]
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.npy")
        np.save(fresh, np.stack(drawn))
        fresh.replace(path)
    loaded: np.ndarray = np.load(path)
    return loaded


def _cached(domain: str, count: int, cache: Path, draw: Draw) -> Tensor:
    chunks = [_chunk(domain, number, cache, draw) for number in range(-(-count // CHUNK))]
    return torch.from_numpy(np.concatenate(chunks)[:count])


def training_images(domain: str, count: int, cache: Path) -> Tensor:
    """The first ``count`` pictures, uint8 (count, 3, 64, 64); rendered at the first call."""
    return _cached(domain, count, cache, _picture).permute(0, 3, 1, 2).contiguous()


def training_masks(domain: str, count: int, cache: Path) -> Tensor:
    """What is seen of bird and object in the same pictures, bool (count, 2, 64, 64); rendered at the first call."""
    return _cached(domain, count, cache, _masks)


def to_unit(images: Tensor) -> Tensor:
    """uint8 [0, 255] to float32 [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Float [-1, 1] to uint8 [0, 255]."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
