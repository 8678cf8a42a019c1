"""Phrases in groups: properties that hold whatever the phrases are, and ASPIRE's rule on examples."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from fairshards.generators.phrases.nouns import lemma, normal_form
from fairshards.generators.phrases.phrases import PhraseGroup, cosine, group_names, group_phrases, normalise

WORDS = ("red", "blue", "mug", "mugs", "reed", "lake", "the", "sky", "skies", "tree", "水", "Fluß", "old")


def some_phrases(rng: random.Random) -> dict[str, int]:
    return {" ".join(rng.choices(WORDS, k=rng.randint(1, 4))): rng.randint(1, 9) for _ in range(rng.randint(1, 25))}


def members(groups: Sequence[PhraseGroup]) -> list[tuple[str, ...]]:
    return [group.members for group in groups]


@pytest.mark.parametrize("seed", range(40))
def test_what_always_holds(seed: int) -> None:
    rng = random.Random(seed)
    counts = some_phrases(rng)
    groups = group_phrases(counts)
    # a partition, whose counts add up
    assert sorted(phrase for group in groups for phrase in group.members) == sorted(counts)
    assert all(group.count == sum(counts[phrase] for phrase in group.members) for group in groups)
    assert all(group.name in group.members for group in groups)
    assert len({group.name for group in groups}) == len(groups)
    # the same whatever the order
    shuffled = list(counts.items())
    rng.shuffle(shuffled)
    assert group_phrases(dict(shuffled)) == groups
    # phrases that are alike are together, and every member is like another one
    home = group_names(groups)
    for one in counts:
        for other in counts:
            if cosine(normalise(one), normalise(other)) >= 0.7:
                assert home[one] == home[other]
    for group in groups:
        for phrase in group.members if len(group.members) > 1 else ():
            others = [normalise(other) for other in group.members if other != phrase]
            assert any(cosine(normalise(phrase), o) >= 0.7 or normalise(phrase) == o for o in others)
    # counts decide the names only
    assert sorted(members(group_phrases(dict.fromkeys(counts, 1)))) == sorted(members(groups))
    # a higher threshold never makes a group larger
    finer = group_names(group_phrases(counts, threshold=0.9))
    assert all(home[one] == home[other] for one in counts for other in counts if finer[one] == finer[other])


def test_aspires_rule() -> None:
    groups = group_phrases({"a red mug": 3, "Red Mugs": 2, "calm blue lake": 4, "the lake": 1, "sky": 1, "skies": 1})
    assert members(groups) == [("Red Mugs", "a red mug"), ("calm blue lake",), ("skies", "sky"), ("the lake",)]
    assert [group.name for group in groups] == ["a red mug", "calm blue lake", "sky", "the lake"]


def test_the_threshold_is_reached_exactly() -> None:
    assert cosine(("red", "mug"), ("mug",)) == pytest.approx(0.5**0.5)
    assert len(group_phrases({"red mug": 1, "mug": 1}, threshold=0.7)) == 1
    assert len(group_phrases({"red mug": 1, "mug": 1}, threshold=0.71)) == 2
    assert len(group_phrases({"mug red": 1, "red mug": 1}, threshold=1.0)) == 1


def test_any_member_is_enough() -> None:
    """ "old red mug" and "red lamp" are unlike, but "red" is like enough to neither; "old red" links its own."""
    chain = {"old red mug": 1, "old red": 1, "old lamp": 1, "lamp": 1}
    assert cosine(normalise("old red mug"), normalise("lamp")) == 0
    assert members(group_phrases(chain)) == [("lamp", "old lamp"), ("old red", "old red mug")]
    assert len(group_phrases({**chain, "old": 1})) == 1


def test_phrases_without_words_stand_alone() -> None:
    groups = group_phrases({"...": 1, "!": 1, "the": 2, "a": 1, "mug": 1})
    assert len(groups) == 5
    assert cosine((), ()) == 0 and cosine((), ("mug",)) == 0


def test_other_scripts_are_kept_as_they_are() -> None:
    assert normalise("Красная Лодка") == ("красная", "лодка")
    assert normalise("水边的鸟") == ("水", "边", "的", "鸟")
    assert normalise("ﬁsh FLUSS Fluß") == ("fish", "fluss", "fluss")
    assert len(group_phrases({"水边": 1, "水边 ": 1, "птица": 1})) == 2


def test_sentence_embeddings_merge_what_words_do_not() -> None:
    table = {"couch": (1.0, 0.0), "sofa": (0.99, 0.05), "lake": (0.0, 3.0)}

    def embed(phrases: Sequence[str]) -> npt.NDArray[np.float64]:
        return np.array([table[phrase] for phrase in phrases])

    counts = {"couch": 1, "sofa": 2, "lake": 1}
    assert len(group_phrases(counts)) == 3
    assert members(group_phrases(counts, embed=embed)) == [("couch", "sofa"), ("lake",)]


def test_many_phrases() -> None:
    counts = {f"thing{number} with part{number % 50}": 1 for number in range(3000)}
    assert len(group_phrases(counts)) == 3000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"threshold": 0.0}, "threshold is 0.0"), ({"embedding_threshold": 1.5}, "embedding_threshold is 1.5")],
)
def test_thresholds_out_of_range(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        group_phrases({"mug": 1}, **arguments)  # type: ignore[arg-type]


def test_a_count_below_one() -> None:
    with pytest.raises(ValueError, match="phrase 'mug' has the count 0"):
        group_phrases({"mug": 0})
    assert group_phrases({}) == []


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("bird", "birds"),
        ("sky", "skies"),
        ("leaf", "leaves"),
        ("branch", "branches"),
        ("bus", "buses"),
        ("reed", "reeds"),
        ("buoy", "buoys"),
        ("lens", "lenses"),
        ("dress", "dresses"),
        ("box", "boxes"),
        ("fisherman", "fishermen"),
        ("woman", "women"),
        ("goose", "geese"),
        ("foot", "feet"),
        ("cave", "caves"),
        ("wolf", "wolves"),
        ("knife", "knives"),
        ("cookie", "cookies"),
        ("cherry", "cherries"),
        ("rose", "roses"),
        ("house", "houses"),
        ("potato", "potatoes"),
        ("cactus", "cactus"),
        ("grass", "grass"),
        ("person", "people"),
        ("canvas", "canvas"),
        ("tennis", "tennis"),
        ("glove", "gloves"),
        ("lily", "lilies"),
        ("beach", "beaches"),
    ],
)
def test_singular_and_plural_have_one_form(singular: str, plural: str) -> None:
    assert normal_form(singular) == normal_form(plural)
    assert lemma(singular) == singular


def test_forms_of_one_word() -> None:
    assert normal_form("running") == normal_form("runs") == normal_form("run")
    assert normal_form("Dog's") == normal_form("dogs") == "dog"
    assert normal_form("reed") == "reed" and normal_form("saw") == "saw"
