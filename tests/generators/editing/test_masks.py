"""Masks: growing, feathering, restoring what isn't masked, and which masks an edit may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fairshards.generators.editing.masks import (
    Mask,
    Pixels,
    dilate,
    feathered,
    resized,
    resized_mask,
    restored,
    scaled_radius,
)
from fairshards.generators.editing.segmentation import MaskRequest, MaskSettings, mask_of, masks

SIZE = (40, 60)
RANDOM = np.random.default_rng(0)


def box(top: int, left: int, height: int, width: int) -> Mask:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def picture() -> Pixels:
    return RANDOM.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def by_hand(mask: Mask, radius: int) -> Mask:
    grown = np.zeros_like(mask)
    for row, column in zip(*np.nonzero(mask), strict=True):
        grown[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1] = True
    return grown


@pytest.mark.parametrize("radius", [0, 1, 3, 100])
def test_dilation_is_a_square_kernel(radius: int) -> None:
    mask = RANDOM.random(SIZE) > 0.99
    mask[0, 0] = mask[-1, -1] = True
    assert np.array_equal(dilate(mask, radius), by_hand(mask, radius))


def test_kernels_are_scaled_to_the_picture() -> None:
    assert [scaled_radius(10, side, side) for side in (64, 224, 512, 1024)] == [1, 2, 5, 10]
    assert scaled_radius(10, 512, 2048) == 5 and scaled_radius(0, 512, 512) == 0


@pytest.mark.parametrize("radius", [0, 2, 5])
def test_pixels_outside_the_feathered_mask_are_the_sources_own(radius: int) -> None:
    mask, source, edited = box(10, 20, 15, 20), picture(), picture()
    weights = feathered(mask, radius)
    made = restored(source, edited, weights)
    outside, inside = ~dilate(mask, radius), ~dilate(~mask, radius)
    assert np.array_equal(made[outside], source[outside])
    assert np.array_equal(made[inside], edited[inside])
    assert (weights[outside] == 0).all() and (weights[inside] == 255).all()


def test_a_mask_keeps_all_that_it_touches_in_another_size() -> None:
    assert np.array_equal(resized_mask(box(10, 20, 1, 1), 20, 30), box(5, 10, 1, 1)[:20, :30])
    assert resized_mask(box(10, 20, 15, 20), 80, 120).mean() == pytest.approx(box(10, 20, 15, 20).mean())
    assert resized(picture(), 20, 30).shape == (20, 30, 3)


class Found:
    """A segmenter that finds what it is told, to test what is made of it."""

    def __init__(self, *found: Mask) -> None:
        self.found = found

    def segment(self, images: Sequence[Pixels], phrases: Sequence[str], batch_size: int) -> Iterator[Mask]:
        yield from self.found


def test_a_foreground_is_grown_and_a_background_is_the_complement() -> None:
    bird, settings = box(10, 20, 8, 10), MaskSettings(dilate=26)
    of_bird = MaskRequest(picture(), "a bird")
    behind = MaskRequest(picture(), "a bird", "background")
    foreground, background = masks(Found(bird, bird), [of_bird, behind], 2, settings)
    assert foreground.mask is not None and np.array_equal(foreground.mask, dilate(bird, 1))
    assert background.mask is not None and np.array_equal(background.mask, ~bird)
    assert background.share == pytest.approx(1 - bird.mean())


def test_a_new_background_leaves_other_objects_alone() -> None:
    bird, reed, nothing = box(10, 20, 8, 10), box(2, 6, 20, 4), np.zeros(SIZE, bool)
    behind = MaskRequest(picture(), "a bird", "background", ("a reed", "a crane"))
    alone = MaskRequest(picture(), "a bird", "background")
    both, one = masks(Found(bird, reed, nothing, bird), [behind, alone], 2, MaskSettings(dilate=26))
    assert both.mask is not None and np.array_equal(both.mask, ~(bird | dilate(reed, 1)))
    assert one.mask is not None and np.array_equal(one.mask, ~bird)


def test_objects_that_leave_no_background_are_a_reject() -> None:
    left, right = box(0, 0, 40, 30), box(0, 30, 40, 30)
    behind = MaskRequest(picture(), "a bird", "background", ("a wall",))
    (result,) = masks(Found(left, right), [behind], 2)
    assert (result.mask, result.reason) == (None, "mask_empty") and "'a wall'" in (result.detail or "")


@pytest.mark.parametrize(
    ("kind", "covered", "reason"),
    [
        ("foreground", 0.0, "mask_empty"),
        ("foreground", 0.002, "mask_empty"),
        ("foreground", 1.0, "mask_full"),
        ("foreground", 0.97, "mask_full"),
        ("foreground", 0.5, None),
        ("background", 0.0, "mask_full"),
        ("background", 0.002, "mask_full"),
        ("background", 1.0, "mask_empty"),
        ("background", 0.97, "mask_empty"),
        ("background", 0.5, None),
    ],
)
def test_objects_that_are_not_there_or_everywhere_are_rejects(kind: str, covered: float, reason: str | None) -> None:
    found = np.zeros(SIZE, bool)
    found.reshape(-1)[: round(covered * found.size)] = True
    request = MaskRequest(picture(), "a reed", kind)  # type: ignore[arg-type]
    result = mask_of(request, found, MaskSettings(min_share=0.01))
    assert (result.reason, result.mask is None) == (reason, reason is not None)
    if reason:
        edited = covered if kind == "foreground" else 1 - covered
        assert result.share == pytest.approx(edited, abs=1e-3) and "'a reed' covers" in (result.detail or "")


def test_even_without_limits_nothing_and_everything_are_no_masks() -> None:
    settings = MaskSettings(min_share=0.0, max_share=1.0)
    for found, reason in ((np.zeros(SIZE, bool), "mask_empty"), (np.ones(SIZE, bool), "mask_full")):
        assert mask_of(MaskRequest(picture(), "sky"), found, settings).reason == reason


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_share 0\.5 and max_share 0\.1"):
        MaskSettings(min_share=0.5, max_share=0.1)
    with pytest.raises(ValueError, match="kernel of -1"):
        MaskSettings(dilate=-1)
