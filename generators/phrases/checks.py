"""Checks of the phrases that a model took out of a caption: in the caption, not the label, not the same place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairshards.generators.language.caption_text import Word, words
from fairshards.generators.phrases.answer import PhraseAnswer
from fairshards.generators.phrases.nouns import normal_form
from fairshards.generators.phrases.prompt import Field

Kind = Field
LONGEST_PHRASE = 10
"""Words."""
_LEADING = frozenset(
    (
        "a",
        "an",
        "the",
        "some",
        "its",
        "his",
        "her",
        "their",
        "this",
        "that",
        "these",
        "in",
        "on",
        "at",
        "with",
        "by",
        "near",
        "of",
        "and",
    )
)
_PREPOSITIONS = frozenset(
    ("with", "in", "on", "at", "by", "near", "of", "under", "over", "behind", "beside", "next", "from", "to", "and")
)
_VERBS = frozenset(("is", "are", "be", "can", "could", "would", "should", "might", "may", "will"))


@dataclass(frozen=True)
class CheckedPhrase:
    """One phrase of a caption; ``reason`` and ``detail`` say why it isn't used, where it isn't.

    A foreground or background phrase that is used stands in the caption's own words.
    """

    kind: Kind
    phrase: str
    reason: str | None = None
    detail: str | None = None


def check(answer: PhraseAnswer, caption: str, labels: Sequence[str]) -> list[CheckedPhrase]:
    """Return the phrases of an answer, each with the reason why it isn't used, if there is one.

    Reasons: ``not_in_caption`` (its words don't follow each other in the caption, not even in another number),
    ``label_object`` (its head is the class itself, in one of the wordings ``labels``), ``phrase_too_long``, and for the
    alternative ``no_alternative``, ``alternative_is_background`` and ``alternative_is_sentence``. A phrase that is
    there twice counts once, a foreground phrase that is the background too only there: the same words, or words inside
    it with the same head, as "lake" in "calm lake".
    """
    spoken = words(caption)
    background = [_in_caption("background", answer.background, caption, spoken, labels)] if answer.background else []
    seen = {_forms(found.phrase) for found in background}
    found = list(background)
    for name in answer.foreground:
        one = _in_caption("foreground", name, caption, spoken, labels)
        if _forms(one.phrase) not in seen and not any(_same_place(one, place) for place in background):
            seen.add(_forms(one.phrase))
            found.append(one)
    used = [one for one in background if one.reason is None]
    return [*found, *(_alternative(answer.alternative, used[0].phrase) if used else [])]


def _in_caption(kind: Kind, phrase: str, caption: str, spoken: Sequence[Word], labels: Sequence[str]) -> CheckedPhrase:
    named = _without_leading(words(phrase))
    if len(named) > LONGEST_PHRASE:
        return CheckedPhrase(kind, phrase, "phrase_too_long", f"{len(named)} words; at most {LONGEST_PHRASE} are used")
    place = _find([word.key for word in named], [word.key for word in spoken])
    if place is None:
        place = _find([normal_form(word.key) for word in named], [normal_form(word.key) for word in spoken])
    if place is None:
        return CheckedPhrase(kind, phrase, "not_in_caption", f"the caption doesn't say {phrase[:100]!r}")
    own = caption[spoken[place].start : spoken[place + len(named) - 1].stop]
    if label := _label_of([word.key for word in named], labels):
        return CheckedPhrase(kind, own, "label_object", f"{own!r} is the class {label!r} itself")
    return CheckedPhrase(kind, own)


def _alternative(phrase: str, background: str) -> Iterator[CheckedPhrase]:
    named = _without_leading(words(phrase))
    if not named:
        yield CheckedPhrase("alternative", phrase, "no_alternative", f"nothing to put in place of {background!r}")
    elif len(named) > LONGEST_PHRASE:
        detail = f"{len(named)} words; at most {LONGEST_PHRASE} are used"
        yield CheckedPhrase("alternative", phrase, "phrase_too_long", detail)
    elif sentence := _VERBS.intersection(word.key for word in named):
        detail = f"a place is wanted in a few words; {phrase[:100]!r} has the verb {min(sentence)!r}"
        yield CheckedPhrase("alternative", phrase, "alternative_is_sentence", detail)
    elif _forms(phrase) == _forms(background):
        yield CheckedPhrase(
            "alternative",
            phrase,
            "alternative_is_background",
            f"the alternative {phrase!r} is the background {background!r} again",
        )
    else:
        yield CheckedPhrase("alternative", phrase[named[0].start : named[-1].stop])


def _same_place(thing: CheckedPhrase, place: CheckedPhrase) -> bool:
    """Tell whether a foreground phrase is the background in fewer or more words, with the same head."""
    if thing.reason or place.reason:
        return False
    fewer, more = sorted(([*_forms(one.phrase)] for one in (thing, place)), key=len)
    heads = [[*_head([word.key for word in _without_leading(words(one.phrase))])][-1:] for one in (thing, place)]
    return heads[0] == heads[1] and _find(fewer, more) is not None


def _without_leading(named: Sequence[Word]) -> Sequence[Word]:
    """Return a phrase's words without the articles and prepositions before the first other word."""
    first = next((index for index, word in enumerate(named) if word.key not in _LEADING), len(named))
    return named[first:]


def _find(wanted: Sequence[str], among: Sequence[str]) -> int | None:
    """Return where ``wanted`` first stands in ``among``, as one run of words; None where it doesn't."""
    starts = range(len(among) - len(wanted) + 1) if wanted else ()
    return next((start for start in starts if list(among[start : start + len(wanted)]) == list(wanted)), None)


def _label_of(named: Sequence[str], labels: Sequence[str]) -> str | None:
    """Return the label that a phrase's head is: what stands before its first preposition ends with the label."""
    head = [normal_form(key) for key in _head(named)]
    for label in labels:
        own = [normal_form(word.key) for word in words(label.replace("_", " "))]
        if own and head[-len(own) :] == own:
            return label
    return None


def _head(named: Sequence[str]) -> Sequence[str]:
    end = next((index for index, key in enumerate(named) if index and key in _PREPOSITIONS), len(named))
    return named[:end]


def _forms(phrase: str) -> tuple[str, ...]:
    return tuple(normal_form(word.key) for word in _without_leading(words(phrase)))
