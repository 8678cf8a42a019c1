"""Lift and mutual information of phrases with classes, against hand-made numbers and the formulas."""

from __future__ import annotations

import math
import random

import pytest

from fairshards.pipeline.discovery.association import CaptionedImage, Phrase, Presence, audit, bits, lift, presences

WATER, SKY = Phrase("a lake", "lake", "background"), Phrase("the sky", "sky", "background")


def images(counts: dict[tuple[int, bool], int]) -> list[CaptionedImage]:
    """Images of class y with and without water; all have sky."""
    return [
        CaptionedImage(f"{y}{held}{number}", y, (SKY, WATER) if held else (SKY,))
        for (y, held), count in counts.items()
        for number in range(count)
    ]


BIASED = {(0, False): 90, (0, True): 10, (1, False): 20, (1, True): 80}


def test_presence_counts_each_image_once() -> None:
    twice = CaptionedImage("s", 1, (WATER, Phrase("the lake", "lake", "foreground")))
    found = presences([*images(BIASED), twice])
    assert list(found) == ["lake", "sky"]
    assert (found["lake"].images, found["lake"].holding) == ({0: 100, 1: 101}, {0: 10, 1: 81})


def test_lift_by_hand() -> None:
    found = presences(images(BIASED))
    assert lift(found["lake"], 1).value == pytest.approx(0.8 / 0.45)
    assert lift(found["lake"], 0).value == pytest.approx(0.1 / 0.45)
    assert lift(found["sky"], 0).value == lift(found["sky"], 1).value == 1


def test_lift_intervals_hold_the_lift_and_narrow_with_more_images() -> None:
    widths = []
    for factor in (1, 4, 16):
        found = lift(presences(images({key: n * factor for key, n in BIASED.items()}))["lake"], 1)
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]
    narrow, wide = (lift(presences(images(BIASED))["lake"], 1, z) for z in (1.0, 3.0))
    assert wide.low < narrow.low and wide.high > narrow.high


def test_the_lifts_interval_covers_1_where_phrase_and_class_are_independent() -> None:
    dice, covered = random.Random(0), 0
    for _ in range(300):
        counts = {(y, held): 0 for y in (0, 1) for held in (False, True)}
        for y, n in ((0, 150), (1, 250)):
            counts[y, True] = sum(dice.random() < 0.3 for _ in range(n))
            counts[y, False] = n - counts[y, True]
        found = lift(presences(images(counts))["lake"], 1)
        covered += found.low <= 1 <= found.high
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.parametrize("counts", [{(0, True): 5, (1, False): 5}, {(0, True): 1, (1, False): 300}])
def test_counts_of_zero_have_an_interval(counts: dict[tuple[int, bool], int]) -> None:
    found = lift(presences(images(counts))["lake"], 0)
    assert 0 < found.low <= found.value <= found.high < math.inf


def test_a_single_class_has_lift_1() -> None:
    assert lift(presences(images({(0, True): 3, (0, False): 9}))["lake"], 0).value == 1


def test_lift_needs_images_and_occurrences() -> None:
    with pytest.raises(ValueError, match="class 7 has 0 images"):
        lift(presences(images(BIASED))["lake"], 7)
    with pytest.raises(ValueError, match="0 occurrences"):
        lift(Presence({0: 3}, {}), 0)


def test_bits_by_hand() -> None:
    both = {(0, True): 10, (1, False): 10}
    assert bits(presences(images(both))["lake"]) == pytest.approx(1)
    assert bits(presences(images(both))["sky"]) == 0
    expected = sum(n / 200 * math.log2(n * 200 / (100 * (90 if held else 110))) for (_, held), n in BIASED.items())
    assert bits(presences(images(BIASED))["lake"]) == pytest.approx(expected)


def test_bits_are_those_of_the_catalogs_view_for_two_classes() -> None:
    """docs/methods.md#shared-bits: CelebA 0.90 shares 0.515 bits."""
    counts = {(0, False): 592, (0, True): 5335, (1, False): 7797, (1, True): 866}
    assert bits(presences(images(counts))["lake"]) == pytest.approx(0.515, abs=0.0006)


def test_balance_brings_the_bits_to_0_and_never_below() -> None:
    after = audit([*images(BIASED), *images({(0, True): 80, (1, False): 70, (1, True): 10})])
    assert audit(images(BIASED))["lake"] > 0.3 and after["lake"] == 0
    dice = random.Random(1)
    for _ in range(100):
        counts = {(y, held): dice.randrange(1, 40) for y in (0, 1, 2) for held in (False, True)}
        assert all(0 <= value <= 1 for value in audit(images(counts)).values())
