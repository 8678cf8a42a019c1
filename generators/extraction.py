"""Phrases of captions by a language model: foreground objects, the background, an alternative (ASPIRE step 2).

Captions are data. The model sees only what a caption says of its picture (``caption_text.described``), quoted as JSON;
and of what the model answers, only phrases that occur there are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from generators.answer_cache import AnswerCache
from generators.caption_text import described
from generators.conversation import Conversation, TextModel, ask
from generators.extraction_prompt import conversation, corrected
from generators.phrase_answer import BadAnswer, parse_answer
from generators.phrase_checks import CheckedPhrase, check

KEPT_OF_RAW = 2000
"""Characters of a model's answer that a reject keeps."""


@dataclass(frozen=True)
class ExtractionRequest:
    """A caption and the wordings of its picture's class; ``seed`` counts where the model samples."""

    source_id: str
    caption: str
    labels: tuple[str, ...]
    seed: int = 0


@dataclass(frozen=True)
class PhraseRow:
    """One phrase of a caption, or a reject.

    ``kind`` is "foreground", "background" or "alternative", and None where the caption as a whole has no phrases.
    ``phrase`` of a reject is what the model said, and ``raw`` its whole answer. ``status`` is "ok" or "reject"; a
    reject has a short ``reason`` and a sentence in ``detail``.
    """

    source_id: str
    kind: str | None
    phrase: str | None
    status: Literal["ok", "reject"] = "ok"
    reason: str | None = None
    detail: str | None = None
    raw: str | None = None


@dataclass(frozen=True)
class _Attempt:
    """The best that is known of one caption so far, and what would be asked next, if anything."""

    rows: tuple[PhraseRow, ...]
    again: Conversation | None = None
    rank: int = 0


def extract(
    model: TextModel, requests: Sequence[ExtractionRequest], *, attempts: int = 3, cache: AnswerCache | None = None
) -> list[list[PhraseRow]]:
    """Return the phrase rows of each caption, in order; a caption always has a row.

    A model that chats is told what was wrong and asked again, up to ``attempts`` times in all: after an answer that
    can't be read, a background that the caption doesn't name, or an alternative that is none. The attempt with the
    fewest faults counts. Without any readable answer the caption is a reject with the last raw text.

    Reasons beside those of ``phrase_checks.check``: ``invalid_json``, ``wrong_schema``, ``request_refused``,
    ``no_description`` (a caption that only speaks to a reader), ``no_phrases`` (the model finds none).

    Raises:
        ValueError: ``attempts`` below 1.
        Exception: an error of machine, endpoint or set-up, as ``conversation.ask``.
    """
    if attempts < 1:
        raise ValueError(f"attempts is {attempts}; it must be at least 1")
    texts = [described(request.caption) for request in requests]
    state = [_first(request, text) for request, text in zip(requests, texts, strict=True)]
    for _ in range(attempts if model.chats else 1):
        open_ones = [(index, again) for index, one in enumerate(state) if (again := one.again) is not None]
        answers = ask(model, [again for _, again in open_ones], cache)
        for (index, again), answer in zip(open_ones, answers, strict=True):
            made = _judged(requests[index], texts[index], again, answer)
            state[index] = made if made.rank >= state[index].rank else _Attempt(
                state[index].rows, made.again, state[index].rank
            )
    return [list(one.rows) for one in state]


def _first(request: ExtractionRequest, text: str) -> _Attempt:
    if text:
        return _Attempt((), conversation(text, request.labels, request.seed), -1000)
    detail = f"the caption {request.caption[:100]!r} describes nothing"
    return _Attempt((_rejected(request, None, None, "no_description", detail, None),))


def _judged(request: ExtractionRequest, text: str, asked: Conversation, answer: str | Exception) -> _Attempt:
    """Return what one answer is worth: readable ones above others, then the fewer faults the better."""
    if isinstance(answer, Exception):
        return _Attempt((_rejected(request, None, None, "request_refused", str(answer)[:500], None),), None, -999)
    try:
        found = check(parse_answer(answer), text, request.labels)
    except BadAnswer as error:
        row = _rejected(request, None, None, error.reason, error.detail, answer)
        return _Attempt((row,), corrected(asked, answer, error.detail), -999)
    rows = [_row(request, one, answer) for one in found]
    if not rows:
        rows = [_rejected(request, None, None, "no_phrases", "the model finds no phrase in the caption", answer)]
    faults = [one for one in found if one.reason is not None]
    complaint = "; ".join(str(one.detail) for one in faults if one.reason != "label_object")
    again = corrected(asked, answer, complaint) if any(map(_worth_asking, faults)) else None
    return _Attempt(tuple(rows), again, -len(faults))


def _worth_asking(fault: CheckedPhrase) -> bool:
    """Tell whether a fault costs more than the phrase: without its background no alternative can be tried."""
    return fault.kind != "foreground" and fault.reason != "label_object"


def _row(request: ExtractionRequest, one: CheckedPhrase, answer: str) -> PhraseRow:
    if one.reason is None:
        return PhraseRow(request.source_id, one.kind, one.phrase)
    return _rejected(request, one.kind, one.phrase[:500], one.reason, one.detail, answer)


def _rejected(
    request: ExtractionRequest, kind: str | None, phrase: str | None, reason: str, detail: str | None, raw: str | None
) -> PhraseRow:
    kept = None if raw is None else raw[:KEPT_OF_RAW].encode(errors="replace").decode()
    return PhraseRow(request.source_id, kind, phrase, "reject", reason, detail, kept)
