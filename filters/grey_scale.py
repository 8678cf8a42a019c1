"""Grey-scale rejection, FFR's rule (methods 1.2): a grey picture's channels have equal means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from filters.base import CalibratedFilter, Verdict
from filters.limits import Limit

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
class GreyScale(CalibratedFilter):
    """Keeps a sample whose score is at least ``min``, in grey levels; reason code ``grey``.

    FFR's limits for 512x512 pictures, 1,500,000 (faces) and 200,000 (animals), are 5.7220 and 0.7629 here.
    ``retain`` takes a limit from real pictures instead.
    """

    name: ClassVar[str] = "grey_scale"
    scores: ClassVar[tuple[str, ...]] = (SCORE,)
    limits_on: ClassVar[tuple[Limit, ...]] = (LIMIT,)

    min: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min is None and self.retain is None and not self.limits:
            raise ValueError("grey_scale needs min in grey levels, retain, or both")
        if self.min is not None and not 0 <= self.min <= 255:
            raise ValueError(f"grey_scale.min is {self.min}; it is in grey levels, [0, 255]")

    def decide(
        self, scores: Mapping[str, float | None], labels: Mapping[str, str | None], sample: Mapping[str, Any]
    ) -> Verdict:
        """Compare the difference, to 4 decimals."""
        value = scores.get(SCORE)
        if value is None or self.missing(scores) is not True:
            return self.missing(scores)
        return True if self.within(LIMIT, value, sample, self.min) else (False, "grey")
