"""ASPIRE's ranking on hand-made edits: scores, intervals, order, and when a phrase is reported as spurious."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fairshards.pipeline.discovery.association import CaptionedImage, Phrase
from fairshards.pipeline.discovery.edit_success import SuccessRule
from fairshards.pipeline.discovery.ranking import EditOutcome, RankedPhrase, RankRule, excess_low, innocents, rank
from fairshards.trainers.evaluation.intervals import wilson

Rates = dict[str, tuple[float, float, float]]
"""Per phrase: its share of class 0's images, its share of class 1's, and its edits' hit rate."""


def made(
    rates: Rates, size: int = 200, edits: int = 48, seed: int = 0
) -> tuple[list[CaptionedImage], list[EditOutcome]]:
    """Return images of two classes with each phrase in its share of them, and at most ``edits`` edits a phrase."""
    dice, images, tested = random.Random(seed), list[CaptionedImage](), list[EditOutcome]()
    for y in (0, 1):
        own = [
            [Phrase(text, text, "foreground") for text, shares in rates.items() if dice.random() < shares[y]]
            for _ in range(size)
        ]
        images += [CaptionedImage(f"{y}-{number}", y, tuple(phrases)) for number, phrases in enumerate(own)]
        for text, (*_, hits) in rates.items():
            holding = [image for image in images if image.y == y and text in image.groups]
            tested += [
                EditOutcome(image.source_id, y, text, text, dice.random() < hits, -0.1) for image in holding[:edits]
            ]
    return images, tested


def of(ranked: list[RankedPhrase], y: int, phrase: str) -> RankedPhrase:
    return next(found for found in ranked if (found.y, found.phrase) == (y, phrase))


def image(number: int, y: int, *texts: str, correct: bool = True) -> CaptionedImage:
    phrases = tuple(Phrase(text, text.split()[-1], "foreground") for text in texts)
    return CaptionedImage(f"s{number}", y, phrases, correct)


def edit(number: int, y: int, text: str, hit: bool, *, succeeded: bool = True, shift: float = 0.0) -> EditOutcome:
    return EditOutcome(f"s{number}", y, text, text.split()[-1], hit, shift, succeeded)


def test_scores_by_hand() -> None:
    """ "a reed": 4 occurrences, 3 edited, 2 with success, 1 hit. "tall reed": 1 occurrence, a hit. One group."""
    images = [*(image(n, 0, "a reed") for n in range(4)), image(4, 0, "tall reed"), image(5, 0, "a sky"), image(6, 1)]
    edits = [
        edit(0, 0, "a reed", True, shift=-0.5),
        edit(1, 0, "a reed", False, shift=-0.1),
        edit(2, 0, "a reed", True, succeeded=False, shift=-0.9),
        edit(4, 0, "tall reed", True, shift=-0.3),
    ]
    reed, sky = rank(images, edits)
    assert (reed.phrase, reed.rank, sky.phrase, sky.rank) == ("reed", 1, "sky", 2)
    assert reed.score == pytest.approx(1 / 2 + 1 / 1)
    assert reed.aspire_score == pytest.approx(1 / 4 + 1 / 1)
    assert (reed.occurrences, reed.edits, reed.successes, reed.hits) == (5, 4, 3, 2)
    assert (reed.rate, (reed.low, reed.high)) == (pytest.approx(2 / 3), wilson(2, 3))
    assert reed.mean_shift == pytest.approx(-0.3)
    assert (sky.score, sky.rate, sky.low, sky.high, sky.spurious) == (0, 0, 0, 1, False)


def test_with_every_occurrence_edited_with_success_the_score_is_aspires() -> None:
    images, edits = made({"reed": (0.3, 0.1, 0.6), "sky": (0.5, 0.5, 0.05)}, edits=10_000)
    for found in rank(images, edits):
        assert found.score == pytest.approx(found.aspire_score) and found.edits == found.occurrences


def test_an_image_that_the_reference_gets_wrong_is_no_occurrence_but_counts_for_the_lift() -> None:
    images = [image(0, 0, "a reed"), image(1, 0, "a reed", correct=False), image(2, 0), image(3, 1), image(4, 1)]
    (reed,) = rank(images, [])
    assert reed.occurrences == 1 and reed.lift.value == pytest.approx((2 / 3) / (2 / 5))


def test_the_order_is_score_then_count_then_the_alphabet_and_k_of_each_class() -> None:
    images = [image(n, 0, "a fern", *(["a moss"] if n else []), *(["a pine"] if n else [])) for n in range(3)]
    assert [found.phrase for found in rank(images, [])] == ["fern", "moss", "pine"]
    assert [found.phrase for found in rank(images, [edit(1, 0, "a pine", True)])] == ["pine", "fern", "moss"]
    many = [image(n, n % 2, *(f"a thing{m}" for m in range(12))) for n in range(4)]
    assert [(found.y, found.rank) for found in rank(many, [])] == [(y, k) for y in (0, 1) for k in range(1, 11)]
    assert len(rank(many, [], RankRule(top_k=3))) == 6


def test_the_order_of_the_input_changes_nothing() -> None:
    images, edits = made({"lake": (0.1, 0.9, 0.7), "sky": (0.5, 0.5, 0.05), "red": (0.3, 0.3, 0.02)})
    expected = rank(images, edits)
    for seed in range(3):
        dice = random.Random(seed)
        dice.shuffle(images)
        dice.shuffle(edits)
        assert rank(images, edits) == expected


def test_planted_cues_are_reported_in_their_own_class_and_innocent_phrases_nowhere() -> None:
    planted = {"lake": (0.03, 0.97, 0.7), "forest": (0.97, 0.03, 0.6), "buoy": (0.02, 0.4, 0.5)}
    innocent = {"sky": (0.5, 0.5, 0.08), "red": (0.25, 0.25, 0.05), "cloud": (0.1, 0.1, 0.08)}
    for seed in range(5):
        ranked = rank(*made({**planted, **innocent}, seed=seed))
        spurious = {(found.y, found.phrase) for found in ranked if found.spurious}
        assert spurious == {(0, "forest"), (1, "lake"), (1, "buoy")}
        for y, cues in ((0, {"forest"}), (1, {"lake", "buoy"})):
            top = [found for found in ranked if found.y == y and found.phrase in cues]
            rest = [found.score for found in ranked if found.y == y and found.phrase in innocent]
            assert max(rest) < min(found.score for found in top) / 2


def test_without_a_planted_cue_nothing_is_reported_whatever_the_classifier_answers() -> None:
    """r = 0.5; edits change half of all predictions, by their artefacts."""
    reported = 0
    for seed in range(60):
        shares = {f"phrase{n}": (0.1 + 0.1 * n, 0.1 + 0.1 * n, 0.5) for n in range(8)}
        reported += sum(found.spurious for found in rank(*made(shares, seed=seed)))
    assert reported == 0


def test_what_editing_itself_does_is_no_evidence() -> None:
    """A phrase that goes with the class, but whose edits hit no more than those of innocent phrases."""
    images, edits = made({"perch": (0.9, 0.1, 0.3), "sky": (0.5, 0.5, 0.3), "red": (0.5, 0.5, 0.3)}, size=300)
    perch = of(rank(images, edits), 0, "perch")
    assert perch.lift.low > 1 and perch.low > RankRule().floor and not perch.spurious
    assert perch.excess_low is not None and perch.excess_low < 0
    leaning = [replace(edit, hit=True) if edit.phrase == "perch" else edit for edit in edits]
    assert of(rank(images, leaning), 0, "perch").spurious


def test_too_few_edits_report_nothing_and_failed_ones_are_no_evidence() -> None:
    images, edits = made({"lake": (0.03, 0.97, 1.0)})
    few = [edit for edit in edits if edit.y == 1][:9]
    assert not of(rank(images, few), 1, "lake").spurious
    assert of(rank(images, few, RankRule(min_count=9)), 1, "lake").spurious
    failed = [replace(edit, succeeded=False) for edit in edits]
    lake = of(rank(images, failed), 1, "lake")
    assert (lake.successes, lake.score, lake.spurious) == (0, 0, False)


def test_innocent_phrases_are_pooled_and_few_of_their_edits_say_nothing() -> None:
    images, edits = made({"lake": (0.03, 0.97, 1.0), "sky": (0.5, 0.5, 0.2), "red": (0.4, 0.4, 0.0)})
    ranked = [found for found in rank(images, edits) if found.y == 1]
    pooled = [found for found in ranked if found.phrase != "lake"]
    expected = sum(found.hits for found in pooled), sum(found.successes for found in pooled)
    assert innocents(ranked) == expected and innocents([]) == (0, 0)
    assert of(ranked, 1, "lake").excess_low == pytest.approx(excess_low(48, 48, *expected))
    (lake, *_) = [found for found in rank(images, [edit for edit in edits if edit.phrase == "lake"]) if found.y == 1]
    assert (lake.excess_low, lake.spurious) == (None, True)


def test_the_excess_is_newcombes_interval() -> None:
    """The worked example of Newcombe (1998, method 10): 56/70 against 48/80 gives [0.0524, 0.3339]."""
    assert excess_low(56, 70, 48, 80) == pytest.approx(0.0524, abs=5e-5)
    assert excess_low(5, 10, 5, 10) < 0 < excess_low(10, 10, 0, 10)


def test_an_edit_of_a_phrase_that_was_never_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="no correctly predicted image of class 0"):
        rank([image(0, 0, "a reed", correct=False)], [edit(0, 0, "a reed", True)])


def scores(before: float, after: float, *replacement: float) -> dict[str, float | None]:
    pair = replacement or (None, None)
    return {"phrase_before": before, "phrase_after": after, "replacement_before": pair[0], "replacement_after": pair[1]}


def test_an_edit_succeeds_when_its_phrase_goes_and_its_replacement_comes() -> None:
    rule = SuccessRule(min_phrase_drop=0.02, min_replacement_rise=0.03)
    assert rule.succeeded("foreground", scores(0.30, 0.27))
    assert not rule.succeeded("foreground", scores(0.30, 0.29))
    assert not rule.succeeded("foreground", scores(0.30, 0.35))
    assert rule.succeeded("background", scores(0.30, 0.27, 0.20, 0.24))
    assert not rule.succeeded("background", scores(0.30, 0.27, 0.20, 0.22))
    assert not rule.succeeded("background", scores(0.30, 0.29, 0.20, 0.30))
    assert rule.succeeded("background", scores(0.30, 0.20))
    assert not rule.succeeded("foreground", {})
