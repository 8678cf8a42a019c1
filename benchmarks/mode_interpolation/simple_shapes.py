"""SimpleShapes of arXiv 2406.09358 (docs/methods.md#simpleshapes), and who is off support in it.

Three columns of 21 by 63 pixels, one kind of shape each: triangle, square, pentagon, of 60 pixels' area. Each is there
with probability 1/2, at a random place of its column; empty pictures are left out. So a shape that is there twice, or
in another's column, is in no picture of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

SHAPES = ("triangle", "square", "pentagon")
SIDE, COLUMN, HEIGHT, AREA = 64, 21, 63, 60.0
ALIKE = 0.75
"""Overlap with the best of the three shapes below which something isn't one of them."""
SURELY = 0.1
"""By how much more something must be like another shape than like its column's, to be that one: edges are ragged."""
Picture = npt.NDArray[np.uint8]


@cache
def outline(corners: int) -> tuple[tuple[float, float], ...]:
    """Return the corners (x, y) of a regular polygon of the area, a corner on top (a square stands on its side)."""
    radius = np.sqrt(AREA / (0.5 * corners * np.sin(2 * np.pi / corners)))
    turned = np.pi / 4 if corners == 4 else 0.0
    angles = turned + 2 * np.pi * np.arange(corners) / corners
    return tuple(zip((radius * np.sin(angles)).tolist(), (-radius * np.cos(angles)).tolist(), strict=True))


def stamp(kind: int, x: float, y: float, width: int = COLUMN, height: int = HEIGHT) -> Picture:
    """Return a canvas (height, width) of 0 and 1 with one shape around (x, y)."""
    canvas = Image.new("1", (width, height))
    ImageDraw.Draw(canvas).polygon([(x + dx, y + dy) for dx, dy in outline(kind + 3)], fill=1)
    return np.asarray(canvas, np.uint8)


def draw(count: int, seed: int) -> Picture:
    """Return ``count`` pictures (count, 64, 64) of 0 and 1."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, SIDE, SIDE), np.uint8)
    for picture in pictures:
        there = rng.random(3) < 0.5
        while not there.any():
            there = rng.random(3) < 0.5
        for kind in np.flatnonzero(there):
            corners = np.array(outline(int(kind) + 3))
            low, high = np.ceil(-corners.min(0)), np.floor(np.array([COLUMN, HEIGHT]) - 1 - corners.max(0))
            x, y = rng.integers(low.astype(int), high.astype(int) + 1)
            picture[:HEIGHT, kind * COLUMN : (kind + 1) * COLUMN] = stamp(int(kind), float(x), float(y))
    return pictures


@dataclass(frozen=True)
class Seen:
    """What is in a picture. ``repeated``: a shape there twice or more; ``misplaced``: one that is surely another
    column's; ``malformed``: something that is none of the shapes; ``empty``: nothing; ``shapes``: how many.
    """

    repeated: bool
    misplaced: bool
    malformed: bool
    empty: bool
    shapes: int

    @property
    def hallucinated(self) -> bool:
        """The paper's: a shape repeated or in the wrong column."""
        return self.repeated or self.misplaced


def look(picture: npt.NDArray[np.floating]) -> Seen:
    """Return what is in a picture (64, 64) of values in [0, 1]."""
    labels, count = ndimage.label(picture > 0.5, np.ones((3, 3)))
    found: list[int] = []
    misplaced = malformed = False
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        blob = labels[place] == number
        if blob.sum() < 4:  # a speck
            continue
        alike = likeness(blob)
        if max(alike) < ALIKE:
            malformed = True
            continue
        column = min(int((place[1].start + place[1].stop) / 2 // COLUMN), len(SHAPES) - 1)
        elsewhere = max(alike) > alike[column] + SURELY
        found.append(alike.index(max(alike)) if elsewhere else column)
        misplaced |= elsewhere
    return Seen(len(set(found)) < len(found), misplaced, malformed, not count, len(found))


def likeness(blob: npt.NDArray[np.bool_]) -> list[float]:
    """Return how like a blob (h, w) is to each shape: the overlap (intersection over union) at the best place."""
    found: list[float] = []
    height, width = blob.shape
    room = np.zeros((height + 2, width + 2), bool)
    room[1:-1, 1:-1] = blob
    for pattern in patterns():
        tall, wide = (max(a, b) for a, b in zip(room.shape, pattern.shape, strict=True))
        mine, other = np.zeros((tall, wide), bool), np.zeros((tall, wide), bool)
        mine[: room.shape[0], : room.shape[1]] = room
        other[: pattern.shape[0], : pattern.shape[1]] = pattern
        size = (2 * tall, 2 * wide)  # so that no shift wraps around
        common = np.fft.irfft2(np.fft.rfft2(mine, size) * np.fft.rfft2(other, size).conj(), size).max()
        found.append(float(common / (blob.sum() + pattern.sum() - common)))
    return found


@cache
def patterns() -> tuple[npt.NDArray[np.bool_], ...]:
    """Return the three shapes, cut out."""
    cut = []
    for kind in range(len(SHAPES)):
        whole = stamp(kind, 10.0, 10.0, 21, 21).astype(bool)
        rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
        cut.append(whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return tuple(cut)
