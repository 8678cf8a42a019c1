"""Phrases of captions by a language model: foreground objects, the background, an alternative (ASPIRE step 2).

Captions are data. The model sees only what a caption says of its picture (``caption_text.described``), quoted as JSON;
and of what the model answers, only phrases that occur there are used.

A model that chats is asked for all phrases at once, and then for each field that is missing by itself: small models put
the background among the objects, or leave it out, but name it when they are asked where the picture is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.generators.language.conversation import TextModel, ask
from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.phrases.caption_phrases import CaptionPhrases, ExtractionRequest, PhraseRow
from fairshards.generators.phrases.prompt import Field

__all__ = ["Asked", "Extracted", "ExtractionRequest", "PhraseRow", "extract"]

_IN_ORDER: tuple[tuple[Field, ...], ...] = (("foreground", "background"), ("alternative",))
"""An alternative is asked for once its background is known."""


@dataclass(frozen=True)
class Asked:
    """How often the model was asked; equal questions, which are sent once, and kept answers count as well.

    Attributes:
        captions: Questions for all phrases of a caption: one a caption that describes something.
        further: Narrower questions for what was missing.
        cut: Answers of both kinds that ``max_new_tokens`` cut off.
    """

    captions: int = 0
    further: int = 0
    cut: int = 0


@dataclass(frozen=True)
class Extracted:
    """The phrase rows of each caption, in order, and how often the model was asked for them."""

    rows: list[list[PhraseRow]]
    asked: Asked


def extract(
    model: TextModel, requests: Sequence[ExtractionRequest], *, attempts: int = 3, cache: AnswerCache | None = None
) -> Extracted:
    """Return the phrase rows of each caption, in order; a caption always has a row.

    A model that chats is asked again for each field that is missing: foreground phrases where the first answer can't
    be read, the background where it is empty or the caption doesn't name it, an alternative where there is none to a
    known background. That question is a narrower one, asked up to ``attempts - 1`` times, from the second on with what
    was wrong with the last answer. What it names as the background is no object any more. With ``attempts`` of 1, and
    of a model that doesn't chat, the first answer is all.

    Reasons beside those of ``phrase_checks.check``: ``invalid_json``, ``wrong_schema``, ``answer_cut``,
    ``request_refused``, ``no_description`` (a caption that only speaks to a reader), ``no_phrases`` (the model finds
    none), ``no_background`` (it names no place, asked for that alone).

    Raises:
        ValueError: ``attempts`` below 1.
        Exception: an error of machine, endpoint or set-up, as ``conversation.ask``.
    """
    if attempts < 1:
        raise ValueError(f"attempts is {attempts}; it must be at least 1")
    known = [CaptionPhrases.of(request) for request in requests]
    first = {index: one.first_question() for index, one in enumerate(known) if one.text}
    answers = ask(model, list(first.values()), cache)
    for index, answer in zip(first, answers, strict=True):
        known[index] = known[index].after_first(answer)
    asked = Asked(len(first), 0, _cut(answers))
    for names in _IN_ORDER if model.chats else ():
        for _ in range(attempts - 1):
            asked = _ask_for_missing(model, known, names, cache, asked)
    return Extracted([one.rows() for one in known], asked)


def _ask_for_missing(
    model: TextModel, known: list[CaptionPhrases], names: Sequence[Field], cache: AnswerCache | None, asked: Asked
) -> Asked:
    """Ask for the fields of ``names`` that captions lack, put what is answered into ``known``, and count."""
    missing = [(index, name) for index, one in enumerate(known) for name in names if one.misses(name)]
    questions = [known[index].question(name) for index, name in missing]
    answers = ask(model, questions, cache)
    for (index, name), question, answer in zip(missing, questions, answers, strict=True):
        known[index] = known[index].after(name, question, answer)
    return Asked(asked.captions, asked.further + len(questions), asked.cut + _cut(answers))


def _cut(answers: Sequence[str | Exception]) -> int:
    return sum(isinstance(answer, CutAnswer) for answer in answers)
