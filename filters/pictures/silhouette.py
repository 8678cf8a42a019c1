"""Silhouette: drop samples whose object has a shape that no real picture of its class has.

A picture of two heads has the class, the background and the colours that were asked for, so neither CLIP nor the
trajectory tells (docs/purity.md); its outline does. A segmenter finds the class's object; its mask, moved and scaled to
one size, becomes a signed distance map, which is compared with those of the class's real training pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from fairshards.filters.base import CalibratedFilter, Verdict
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.limits import Limit

SCORE = "silhouette_distance"
LIMIT = Limit(SCORE, "at most", "samples")
SIDE = 32
"""Cells of a silhouette's side."""
SPAN = 3.2
"""Its side, in square roots of the object's area."""
REACH = 3.0
"""Distance from the outline, in cells, at which a cell counts as three quarters inside or outside."""
BLOCK = 512

Mask = npt.NDArray[np.bool_]
Silhouettes = npt.NDArray[np.float32]
Nearest = tuple[float, str]
"""The smallest distance, and whose it is."""


@dataclass(frozen=True, kw_only=True)
class Silhouette(CalibratedFilter):
    """Keeps a sample whose object's silhouette is at most ``max`` away from that of a real picture of its class.

    The score is the root mean square between the sample's signed distance map and the nearest one of the class's real
    training pictures, either way round: 0 for the same shape, at most 2; its label is that picture's id. ``retain``
    takes the limit from the samples in support, those that passed the filters before: generated outlines are softer
    than real ones, so real pictures would set it too low. Needs ``scorer.segmenter``. Reason code: ``silhouette``.
    """

    name: ClassVar[str] = "silhouette"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        SCORE: ScoreTitle(
            "Silhouette", "distance to the nearest silhouette of a real picture of its class", short="shape"
        )
    }
    reasons: ClassVar[Mapping[str, str]] = {
        "silhouette": "its object has a shape that no real picture of its class has"
    }
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    max: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max is None and self.retain is None and not self.limits:
            raise ValueError("silhouette needs retain (0.9 for example), max, or both")
        if self.max is not None and not 0 <= self.max <= 2:
            raise ValueError(f"silhouette.max is {self.max}; the distance lies in [0, 2]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the distance, to 4 decimals."""
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(LIMIT, value, sample, self.max) else (False, "silhouette")


def silhouette(mask: Mask) -> Silhouettes:
    """Return the signed distance map (32, 32) of an object's mask (H, W), in (-1, 1): above 0 inside, below outside.

    Its middle is the object's centre of mass, its side 3.2 square roots of the object's area, so that place, size and
    resolution don't count. An empty mask is outside everywhere.
    """
    from scipy.ndimage import distance_transform_edt

    area = int(mask.sum())
    if not area:
        return np.full((SIDE, SIDE), -1.0, np.float32)
    half = SPAN * area**0.5 / 2
    margin = int(half) + 1
    rows, columns = np.nonzero(mask)
    x, y = columns.mean() + 0.5 + margin, rows.mean() + 0.5 + margin
    padded = Image.fromarray(np.pad(np.where(mask, np.uint8(255), np.uint8(0)), margin))
    box = (x - half, y - half, x + half, y + half)
    inside = np.asarray(padded.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)) > 127
    if not inside.any():  # nothing is left of scattered specks
        return np.full((SIDE, SIDE), -1.0, np.float32)
    distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
    found: Silhouettes = np.tanh(distance / REACH).astype(np.float32)
    return found


def nearest_silhouettes(rows: Silhouettes, others: Silhouettes, names: Sequence[str]) -> Iterator[Nearest | None]:
    """Yield, for each map of (n, 32, 32), the nearest of ``others`` (m, 32, 32), mirrored or not; None where m is 0."""
    flat = others.reshape(len(others), SIDE * SIDE)
    squares = (flat**2).sum(1)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        if not len(others):
            yield from [None] * len(part)
            continue
        ways = [part.reshape(len(part), SIDE * SIDE), part[:, :, ::-1].reshape(len(part), SIDE * SIDE)]
        products = np.maximum(*(way @ flat.T for way in ways))
        found = (ways[0] ** 2).sum(1)[:, None] + squares[None] - 2 * products
        best = found.argmin(1)
        for number, place in enumerate(best):
            yield float(max(0.0, found[number, place]) / SIDE**2) ** 0.5, names[place]
