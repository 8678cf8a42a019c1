"""What is known of one caption's phrases while a language model is asked: what is missing, and what to ask next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from fairshards.generators.language.caption_text import described
from fairshards.generators.language.conversation import Conversation
from fairshards.generators.phrases.answer import BadAnswer, PhraseAnswer, parse_answer, parse_field
from fairshards.generators.phrases.checks import CheckedPhrase, check
from fairshards.generators.phrases.prompt import Field, conversation, corrected, narrower

KEPT_OF_RAW = 2000
"""Characters of a model's answer that a reject keeps."""
_NO_PLACE = "asked for that alone, the model finds no place in the caption"


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
class Fault:
    """Why there are no phrases: of a caption, or of one field."""

    reason: str
    detail: str


@dataclass(frozen=True)
class CaptionPhrases:
    """What is known of one caption so far; a new one after every answer.

    Attributes:
        text: What the caption says of its picture.
        answer: The fields that are known.
        fault: Why nothing could be read so far.
        unread: Why a field holds nothing.
        raws: The answer in which each field stands; None: the first.
        last: The last question for a field alone, and its answer.
        settled: Fields that aren't asked for again, whatever they hold.
    """

    request: ExtractionRequest
    text: str
    answer: PhraseAnswer = field(default_factory=PhraseAnswer)
    fault: Fault | None = None
    unread: Mapping[Field, Fault] = field(default_factory=dict)
    raws: Mapping[Field | None, str] = field(default_factory=dict)
    last: Mapping[Field, tuple[Conversation, str]] = field(default_factory=dict)
    settled: frozenset[Field] = frozenset()

    @classmethod
    def of(cls, request: ExtractionRequest) -> CaptionPhrases:
        """Return what is known before anything is asked."""
        text = described(request.caption)
        if text:
            return cls(request, text)
        detail = f"the caption {request.caption[:100]!r} describes nothing"
        return cls(request, text, fault=Fault("no_description", detail))

    @cached_property
    def found(self) -> list[CheckedPhrase]:
        """The known phrases, each with the reason why it isn't used, if there is one."""
        return check(self.answer, self.text, self.request.labels)

    def misses(self, name: Field) -> bool:
        """Tell whether a field is worth a question of its own; that there are no objects is an answer."""
        if not self.text or name in self.settled:
            return False
        if name == "foreground":
            return name in self.unread
        return not self._used(name) and (name == "background" or self._used("background"))

    def first_question(self) -> Conversation:
        """Return the request for all phrases."""
        return conversation(self.text, self.request.labels, self.request.seed)

    def question(self, name: Field) -> Conversation:
        """Return the request for one field, with what was wrong with the last answer to it."""
        if name in self.last:
            return corrected(*self.last[name], self._complaint(name))
        about = self.text if name != "alternative" else next(one.phrase for one in self.found if _is(one, "background"))
        return narrower(name, about, self.request.labels, self.request.seed)

    def after_first(self, answer: str | Exception) -> CaptionPhrases:
        """Return what is known after the answer to the first question; one that is refused is asked nothing more."""
        if isinstance(answer, Exception):
            fault = Fault("request_refused", str(answer)[:500])
            return replace(self, fault=fault, settled=frozenset(("foreground", "background", "alternative")))
        try:
            read = parse_answer(answer)
        except BadAnswer as error:
            fault = Fault(error.reason, error.detail)
            return replace(self, fault=fault, unread=_both(fault), raws={None: answer})
        unread = {name: Fault("wrong_schema", detail) for name, detail in read.unread.items()}
        return replace(self, answer=read, unread=unread, raws={None: answer})

    def after(self, name: Field, question: Conversation, answer: str | Exception) -> CaptionPhrases:
        """Return what is known after the answer to the question for one field."""
        if isinstance(answer, Exception):
            return self._without(name, Fault("request_refused", str(answer)[:500]), None, settled=True)
        known = replace(self, last={**self.last, name: (question, answer)})
        try:
            phrases = parse_field(answer, name)
        except BadAnswer as error:
            return known._without(name, Fault(error.reason, error.detail), answer)
        known = replace(known, fault=None)
        if name == "background" and not phrases:
            return known._without(name, Fault("no_background", _NO_PLACE), answer, settled=True)
        said: dict[str, Any] = {name: phrases if name == "foreground" else "".join(phrases)}
        return replace(
            known,
            answer=replace(known.answer, **said),
            raws={**known.raws, name: answer},
            unread={other: fault for other, fault in known.unread.items() if other != name},
        )

    def rows(self) -> list[PhraseRow]:
        """Return the caption's rows, at least one."""
        if self.fault is not None:
            return [self._reject(None, None, self.fault)]
        empty = {name: fault for name, fault in self.unread.items() if not self._of(name)}
        if not self.found and all(fault.reason == "no_background" for fault in empty.values()):
            return [self._reject(None, None, Fault("no_phrases", "the model finds no phrase in the caption"))]
        return [*map(self._row, self.found), *(self._reject(name, None, fault) for name, fault in empty.items())]

    def _of(self, name: Field) -> list[CheckedPhrase]:
        return [one for one in self.found if one.kind == name]

    def _used(self, name: Field) -> bool:
        return any(_is(one, name) for one in self.found)

    def _complaint(self, name: Field) -> str:
        if name in self.unread:
            return self.unread[name].detail
        return "; ".join(str(one.detail) for one in self._of(name) if one.reason is not None)

    def _without(self, name: Field, fault: Fault, answer: str | None, settled: bool = False) -> CaptionPhrases:
        """Return the same, a question for a field further; what was said before, and can't be used, stands."""
        closed = self.settled | {name} if settled else self.settled
        if self._of(name) and name not in self.unread:
            return replace(self, settled=closed)
        raws = self.raws if answer is None else {**self.raws, name: answer}
        return replace(self, unread={**self.unread, name: fault}, raws=raws, settled=closed)

    def _row(self, one: CheckedPhrase) -> PhraseRow:
        if one.reason is None:
            return PhraseRow(self.request.source_id, one.kind, one.phrase)
        return self._reject(one.kind, one.phrase[:500], Fault(one.reason, str(one.detail)))

    def _reject(self, kind: Field | None, phrase: str | None, fault: Fault) -> PhraseRow:
        raw = self.raws.get(kind, self.raws.get(None))
        kept = None if raw is None else raw[:KEPT_OF_RAW].encode(errors="replace").decode()
        return PhraseRow(self.request.source_id, kind, phrase, "reject", fault.reason, fault.detail, kept)


def _is(one: CheckedPhrase, name: Field) -> bool:
    return one.kind == name and one.reason is None


def _both(fault: Fault) -> dict[Field, Fault]:
    return {"foreground": fault, "background": fault}
