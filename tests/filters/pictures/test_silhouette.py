"""Silhouettes don't depend on place, size or direction, and tell a second head from one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fairshards.filters.pictures import silhouette as module
from fairshards.filters.pictures.silhouette import SCORE, SIDE, Silhouette, nearest_silhouettes, silhouette
from tests.tolerance import float32_error

Mask = npt.NDArray[np.bool_]
ZERO = float32_error(4 * SIDE**2) ** 0.5
"""What a distance of 0 may come out as: the root of a^2 + b^2 - 2ab, whose terms are sums over all cells."""


def bird(heads: tuple[float, ...], size: int = 64, at: tuple[float, float] = (0.5, 0.5), scale: float = 0.25) -> Mask:
    """Return the mask of an oval body with a neck and a head at each of ``heads`` (-1 left end, 1 right end)."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    x, y = (x - at[0]) / scale, (y - at[1]) / scale
    found = x**2 + (y / 0.5) ** 2 < 1
    for side in heads:
        found |= (abs(x - 0.8 * side) < 0.12) & (y < 0) & (y > -1.1)
        found |= (x - 0.9 * side) ** 2 + (y + 1.1) ** 2 < 0.25**2
    return np.asarray(found)


def distance(one: Mask, *known: Mask) -> float:
    """Return how far a mask's silhouette is from the nearest of others."""
    others = np.stack([silhouette(mask) for mask in known])
    (found,) = nearest_silhouettes(silhouette(one)[None], others, [str(number) for number in range(len(known))])
    assert found is not None
    return found[0]


def test_the_same_shape_elsewhere_larger_mirrored_or_sharper_is_near_and_others_are_far() -> None:
    proper = bird((1,))
    assert distance(proper, proper) == pytest.approx(0, abs=ZERO)
    for same in (
        bird((1,), at=(0.4, 0.6)),
        bird((1,), scale=0.33),
        bird((-1,)),
        bird((1,), size=256),
        bird((1,), size=512, at=(0.45, 0.6), scale=0.2),
    ):
        assert distance(same, proper) < 0.1
    assert min(distance(bird(heads), proper) for heads in ((-1, 1), ())) > 0.15
    assert distance(bird((-1, 1)), proper, bird((-1, 1), scale=0.3)) < 0.1


def test_a_shape_that_runs_out_of_the_picture_is_no_error() -> None:
    cut = bird((1,), at=(0.05, 0.5))
    assert np.isfinite(silhouette(cut)).all() and distance(cut, bird((1,))) > 0.1


def test_nothing_and_everything_are_shapes_too() -> None:
    nothing, specks = silhouette(np.zeros((64, 64), bool)), np.zeros((512, 512), bool)
    specks[::170, ::170] = True
    assert (nothing == -1).all() and nothing.shape == (32, 32) and nothing.dtype == np.float32
    assert np.isfinite(silhouette(specks)).all()
    everything = silhouette(np.ones((64, 64), bool))
    assert np.isfinite(everything).all() and everything.max() > 0.9
    assert distance(np.zeros((64, 64), bool), bird((1,))) > 0.5


@pytest.mark.parametrize("block", [2, 512])
def test_blocks_and_labels(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    draws = np.random.default_rng(0)
    rows, others = (draws.uniform(-1, 1, (count, 32, 32)).astype(np.float32) for count in (5, 4))
    others[2] = rows[3, :, ::-1]
    found = list(nearest_silhouettes(rows, others, list("abcd")))
    assert found[3] == (pytest.approx(0, abs=ZERO), "c")
    for row, one in zip(rows, found, strict=True):
        apart = [np.sqrt(((way - other) ** 2).mean()) for other in others for way in (row, row[:, ::-1])]
        assert one is not None and one[0] ** 2 == pytest.approx(min(apart) ** 2, abs=ZERO**2)
    assert list(nearest_silhouettes(rows, others[:0], [])) == [None] * 5


def test_the_filter_compares_with_its_limits() -> None:
    judge, sample = Silhouette(max=0.2), {"group_name": "a|b"}
    assert judge.decide({SCORE: 0.2}, {}, sample) is True
    assert judge.decide({SCORE: 0.2001}, {}, sample) == (False, "silhouette")
    assert judge.decide({SCORE: None}, {}, sample) == (False, "silhouette: not scored")
    assert judge.decide({SCORE: float("nan")}, {}, sample) == (False, "silhouette: not scored")
    assert [limit.over for limit in Silhouette(retain=0.9).to_calibrate()] == ["samples"]
    for wrong, message in (({}, "needs retain"), ({"max": 2.5}, r"lies in \[0, 2\]"), ({"retain": 0}, "retain")):
        with pytest.raises(ValueError, match=message):
            Silhouette(**wrong)
