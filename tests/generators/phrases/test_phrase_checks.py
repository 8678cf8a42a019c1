"""Phrases compared with their caption: its own words, not the class, not the same place."""

from __future__ import annotations

import pytest

from fairshards.generators.phrases.answer import PhraseAnswer
from fairshards.generators.phrases.checks import check

CAPTION = "A waterbird with two Red Mugs and a small dog bed beside the old pier on the calm Lake"


def found(
    foreground: tuple[str, ...] = (),
    background: str = "",
    alternative: str = "",
    caption: str = CAPTION,
    labels: tuple[str, ...] = ("waterbird", "dog"),
) -> list[tuple[str, str, str | None]]:
    answer = PhraseAnswer(foreground, background, alternative)
    return [(one.kind, one.phrase, one.reason) for one in check(answer, caption, labels)]


def test_phrases_come_in_the_captions_own_words() -> None:
    assert found(("red mugs", "a red mug", "the OLD pier"), "on a calm lake", "a desert") == [
        ("background", "calm Lake", None),
        ("foreground", "Red Mugs", None),
        ("foreground", "old pier", None),
        ("alternative", "desert", None),
    ]


@pytest.mark.parametrize("phrase", ["unicorn", "mugs red", "ake", "mug", "red pier", "", "the", "...", "with a"])
def test_what_the_caption_does_not_say_is_rejected(phrase: str) -> None:
    wanted = None if phrase == "mug" else "not_in_caption"
    assert [reason for _, _, reason in found((phrase,))] == [wanted]


@pytest.mark.parametrize(
    ("phrase", "label"),
    [
        ("waterbird", "waterbird"),
        ("waterbird with two red mugs", "waterbird"),
        ("A waterbird", "waterbirds"),
        ("small dog bed", "dog_bed"),
        ("calm lake", "lakes"),
    ],
)
def test_the_class_itself_is_left_out(phrase: str, label: str) -> None:
    assert [reason for _, _, reason in found((phrase,), labels=(label,))] == ["label_object"]


def test_a_thing_that_only_mentions_the_class_is_kept() -> None:
    assert found(("small dog bed",)) == [("foreground", "small dog bed", None)]


def test_a_background_that_is_the_class_has_no_alternative() -> None:
    assert found((), "patio", "a garage", "chairs on a patio", ("patio",)) == [("background", "patio", "label_object")]


@pytest.mark.parametrize("alternative", ["calm lake", "the calm lakes", "a Calm Lake", "on the calm lake"])
def test_an_alternative_that_is_the_background_again(alternative: str) -> None:
    assert found((), "calm lake", alternative)[1][2] == "alternative_is_background"


def test_a_background_without_an_alternative_and_the_other_way_round() -> None:
    assert found((), "calm lake", "")[1] == ("alternative", "", "no_alternative")
    assert found((), "", "a desert") == []


def test_repetitions_count_once_and_the_background_wins() -> None:
    assert found(("red mug", "Red Mugs", "calm lake", "lake"), "calm lake", "a bay") == [
        ("background", "calm Lake", None),
        ("foreground", "Red Mugs", None),
        ("alternative", "bay", None),
    ]


@pytest.mark.parametrize(
    ("thing", "place", "kept"),
    [
        ("lake", "calm lake", False),
        ("the calm lake", "lake", False),
        ("dog bed", "small dog bed beside the old pier", False),
        ("small dog bed", "old pier", True),
        ("old pier", "small dog bed beside the old pier", True),
        ("two red mugs", "dog bed", True),
    ],
)
def test_a_thing_that_is_the_background_in_other_words_is_no_thing(thing: str, place: str, kept: bool) -> None:
    assert ("foreground" in [kind for kind, _, _ in found((thing,), place, "a bay", labels=("waterbird",))]) is kept


@pytest.mark.parametrize("alternative", ["A dog could be in a desert", "it is the desert"])
def test_an_alternative_is_a_place_and_no_sentence(alternative: str) -> None:
    assert found((), "calm lake", alternative)[1][2] == "alternative_is_sentence"


def test_a_whole_caption_is_no_phrase() -> None:
    assert found((CAPTION,))[0][2] == "phrase_too_long"
    assert found((), "calm lake", "place " * 11)[1][2] == "phrase_too_long"


def test_captions_in_other_scripts() -> None:
    assert found(("桌子", "猫"), "红色的房间", "海滩", "红色的房间里有一张桌子", ("狗",)) == [
        ("background", "红色的房间", None),
        ("foreground", "桌子", None),
        ("foreground", "猫", "not_in_caption"),
        ("alternative", "海滩", None),
    ]
    assert found(("Красная лодка",), "", "", "птица и красная лодка", ("птица",)) == [
        ("foreground", "красная лодка", None)
    ]
