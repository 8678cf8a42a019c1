"""Grey-scale rejection (docs/methods.md#grey-scale-rejection): a grey picture's channels have equal means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fairshards.filters.declared import ScoreTitle
from fairshards.filters.least_score import LeastScore
from fairshards.filters.limits import Limit

SCORE = "grey_scale"
LIMIT = Limit(SCORE, "at least", "real")


def grey_difference(pixels: npt.NDArray[np.uint8]) -> float:
    """Return how far a picture's red channel is from grey, in grey levels of [0, 255].

    ``pixels`` is (height, width, 3), uint8. FFR compares |mean over channels of the pixel sums - sum of the
    red channel|; divided by the number of pixels, it no longer depends on the picture's size.
    """
    sums = pixels.reshape(-1, 3).sum(axis=0, dtype=np.int64)
    pixel_count = pixels.shape[0] * pixels.shape[1]
    return float(abs(int(sums.sum()) - 3 * int(sums[0])) / (3 * pixel_count))


@dataclass(frozen=True, kw_only=True)
class GreyScale(LeastScore):
    """Keeps a sample whose score is at least ``min``, in grey levels; reason code ``grey``.

    FFR's limits for 512x512 pictures, 1,500,000 (faces) and 200,000 (animals), are 5.7220 and 0.7629 here.
    ``retain`` takes a limit from real pictures instead.
    """

    name: ClassVar[str] = "grey_scale"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    titles: ClassVar[Mapping[str, ScoreTitle]] = {
        SCORE: ScoreTitle("Grey scale", "distance from grey", "grey levels", "grey")
    }
    reasons: ClassVar[Mapping[str, str]] = {"grey": "a grey picture"}
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)
    reason: ClassVar[str] = "grey"
    asks: ClassVar[str] = "min in grey levels, retain, or both"
    between: ClassVar[tuple[float, float, str] | None] = (0, 255, "it is in grey levels, [0, 255]")
