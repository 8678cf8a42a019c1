"""Backgrounds: water (sky, horizon, waves) and land (forest, trunks, ground), smooth enough for a small VAE."""

import numpy as np
from PIL import Image

from fairshards.pocket.scenes.scene import SIZE, Scene

Picture = np.ndarray
ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + np.float32(0.5)


def smooth_noise(rng: np.random.Generator, cells: int) -> Picture:
    """Low-frequency noise, (64, 64) float32 in about [-1, 1]: ``cells`` x ``cells`` values, upsampled."""
    grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    noise: Picture = np.asarray(Image.fromarray(grid).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return noise


def blend(under: Picture, over: Picture, cover: Picture) -> Picture:
    """Paint ``over`` (3,) or (64, 64, 3) on ``under`` where ``cover`` (64, 64) in [0, 1] says so."""
    painted: Picture = under + (np.asarray(over, np.float32) - under) * cover[..., None]
    return painted


def gradient(top: tuple[float, ...], bottom: tuple[float, ...], start: float) -> Picture:
    """Vertical colour ramp from row ``start`` down to the last row, (64, 64, 3)."""
    share = np.clip((ROWS - start) / (SIZE - start), 0, 1)[..., None]
    ramp: Picture = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share
    return ramp


def paint_water(scene: Scene, rng: np.random.Generator) -> Picture:
    """Sky above the horizon, blue to teal water with lighter waves below it."""
    sky = gradient((176, 208, 236), (226, 236, 242), 0.0) + 6 * smooth_noise(rng, 4)[..., None]
    green = 22 * scene.hue
    water = gradient((62, 128 + green, 202), (28, 82 + green, 166), scene.horizon)
    depth = (ROWS - scene.horizon) / SIZE
    period, phase, bend = rng.uniform(4.5, 6.5), rng.uniform(0, 6.3), rng.uniform(7, 11)
    swing = 1.1 * np.sin(COLUMNS * 6.283 / bend + rng.uniform(0, 6.3)) * (0.6 + depth)
    crest = np.clip(np.sin((ROWS + swing) * 6.283 / period + phase), 0, 1) ** 1.5
    water = water + (30 * crest * (0.5 + depth) + 7 * smooth_noise(rng, 5))[..., None]
    return blend(sky, water, np.clip(ROWS - scene.horizon + 0.5, 0, 1))


def paint_trunk(picture: Picture, rng: np.random.Generator, x: float, foot: float) -> Picture:
    """One vertical trunk from the top edge down to row ``foot``, lit from one side."""
    half, lean, shade = rng.uniform(1.6, 3.4), rng.uniform(-0.05, 0.05), rng.uniform(0.85, 1.1)
    across = (COLUMNS - x - lean * (ROWS - foot)) / half
    cover = np.clip((1 - np.abs(across)) * half + 0.5, 0, 1) * np.clip(foot - ROWS + 0.5, 0, 1)
    bark = np.float32(shade) * np.array((104, 72, 46), np.float32) * (1 - 0.16 * across[..., None])
    return blend(picture, bark, cover)


def paint_land(scene: Scene, rng: np.random.Generator) -> Picture:
    """Leafy wall with four to six trunks, and a lighter floor below."""
    warm = 18 * scene.hue
    wall = gradient((58 + warm, 112, 52), (84 + warm, 138, 62), 0.0) + 13 * smooth_noise(rng, 8)[..., None]
    foot = scene.horizon + 16
    picture, count = wall, int(rng.integers(4, 7))
    for slot in range(count):
        x = (slot + rng.uniform(0.2, 0.8)) * SIZE / count
        picture = paint_trunk(picture, rng, x, foot + rng.uniform(-1, 5))
    floor = gradient((124 + warm, 156, 74), (96 + warm, 126, 56), foot) + 9 * smooth_noise(rng, 6)[..., None]
    edge = foot + 1.5 * np.sin(COLUMNS * 6.283 / rng.uniform(18, 34) + rng.uniform(0, 6.3))
    return blend(picture, floor, np.clip((ROWS - edge) / 2 + 0.5, 0, 1))


def paint_backdrop(scene: Scene, rng: np.random.Generator) -> Picture:
    """The empty scene, (64, 64, 3) float32 in about [0, 255]."""
    return (paint_water if scene.background == "water" else paint_land)(scene, rng)
