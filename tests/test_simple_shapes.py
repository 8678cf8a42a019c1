"""SimpleShapes: its pictures, who is off support in them, and the model that draws them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.mode_interpolation import simple_shapes
from benchmarks.mode_interpolation.shapes import UNet, by_count, packed, rows_of, unpacked
from benchmarks.mode_interpolation.simple_shapes import Seen, draw, likeness, look, patterns, stamp
from benchmarks.mode_interpolation.toy_diffusion import Samples, Training

Picture = np.ndarray


def with_shapes(*shapes: tuple[int, int, float, float]) -> Picture:
    """Return a picture with shapes (kind, column, x, y)."""
    picture = np.zeros((64, 64))
    for kind, column, x, y in shapes:
        part = picture[:63, 21 * column : 21 * (column + 1)]
        part[stamp(kind, x, y) > 0] = 1
    return picture


def test_every_picture_of_the_data_is_in_support() -> None:
    pictures = draw(300, 1)
    assert pictures.shape == (300, 64, 64) and set(np.unique(pictures)) == {0, 1}
    seen = [look(picture.astype(float)) for picture in pictures]
    assert not any(one.hallucinated or one.malformed or one.empty for one in seen)
    there = pictures[:, :63, :63].reshape(300, 63, 3, 21).any((1, 3))
    assert there.any(1).all() and (abs(there.mean(0) - 4 / 7) < 0.1).all()
    assert [int(one.sum()) for one in patterns()] == [69, 64, 73]
    assert (draw(5, 1) == pictures[:5]).all() and not (draw(5, 2) == pictures[:5]).all()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (with_shapes((0, 0, 10, 10)), Seen(False, False, False, False, 1)),
        (with_shapes((1, 1, 10, 10), (1, 1, 10, 40)), Seen(True, False, False, False, 2)),
        (with_shapes((1, 0, 10, 10)), Seen(False, True, False, False, 1)),
        (with_shapes((1, 1, 10, 10), (1, 2, 10, 40)), Seen(True, True, False, False, 2)),
        (np.zeros((64, 64)), Seen(False, False, False, True, 0)),
        (np.pad(np.ones((2, 30)), ((20, 42), (10, 24))), Seen(False, False, True, False, 0)),
    ],
)
def test_what_is_repeated_misplaced_or_no_shape_is_seen(picture: Picture, expected: Seen) -> None:
    assert look(picture) == expected
    assert look(picture).hallucinated == (expected.repeated or expected.misplaced)


def test_shapes_are_told_apart_with_ragged_edges() -> None:
    draws = np.random.default_rng(0)
    for kind, pattern in enumerate(patterns()):
        assert likeness(pattern)[kind] == pytest.approx(1.0) and max([*likeness(pattern)[:kind], 0.0]) < 0.9
        ragged = np.pad(pattern, 2)
        edge = draws.random(ragged.shape) < 0.04
        assert max(likeness(ragged ^ edge)) == likeness(ragged ^ edge)[kind]


def test_packing_loses_nothing() -> None:
    pictures = draw(4, 0)
    assert packed(pictures).shape == (4, 16, 16, 16) and (unpacked(packed(pictures)) == pictures).all()


def test_the_model_sees_time_and_all_places() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet().eval()
        pictures = torch.randn(2, 16, 16, 16)
    with torch.inference_mode():
        early, late = net(pictures, torch.tensor([3])), net(pictures, torch.tensor([200]))
        assert early.shape == pictures.shape and not torch.allclose(early, late)
        moved = pictures.clone()
        moved[:, :, 0, 0] += 1
        assert (net(moved, torch.tensor([3])) - early).abs()[:, :, -1, -1].max() > 0


def test_rows_count_everything_and_leave_out_what_is_no_shape() -> None:
    """Two squares move most, a bar more still: the bar isn't counted against the metric."""
    pictures = [with_shapes((0, 0, 10, 10))] * 30 + [with_shapes((1, 1, 10, 10), (1, 1, 10, 40))]
    pictures.append(np.pad(np.ones((2, 30)), ((20, 42), (10, 24))))
    score = {5: np.arange(32.0), (10, 20): np.arange(32.0)[::-1].copy()}
    made = Samples(packed(np.stack(pictures).astype(np.uint8)), score, score, score)
    rows = {(row["metric"], row["window"]): row for row in rows_of(Training(), made)}
    assert len(rows) == 6 and {row["samples"] for row in rows.values()} == {32}
    row = rows["x0", "5"]
    seen = [look(picture) for picture in pictures]
    counted = {(one["shapes"], one["score"]): one for one in by_count(seen, {"still": np.zeros(32)}, 0)}
    assert counted["any", "number of shapes"]["auroc"] == 1 and counted["any", "still"]["auroc"] == 0.5
    assert (counted[2, "still"]["samples"], counted[2, "still"]["auroc"]) == (1, None)
    assert (row["repeated"], row["misplaced"], row["malformed"], row["positives"]) == (1, 0, 1, 1)
    assert (row["auroc"], row["removed"]) == (1, 1) and rows["x0 highest", "10-20"]["auroc"] == 0


def test_outlines_have_the_area() -> None:
    def area(corners: tuple[tuple[float, float], ...]) -> float:
        x, y = np.array(corners).T
        return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)

    measured: Callable[[int], float] = lambda kind: area(simple_shapes.outline(kind + 3))  # noqa: E731
    assert [measured(kind) for kind in range(3)] == pytest.approx([60.0] * 3)
