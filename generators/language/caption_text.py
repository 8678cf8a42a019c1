"""Captions as text: cleaning what a model said, its words in any script, and what it says of the picture.

A caption is data that others wrote, in the end whoever made the picture: a model reads out the text in it.
``described`` keeps its description and leaves out what speaks to a reader or quotes something.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 1000
"""Characters of a caption that are kept."""
_READ = 10
"""Of an enormous text, this many times as many characters are looked at."""

# Scripts that put no spaces between words; each character counts as a word.
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_APOSTROPHES = "'\u2019"
_SPOKEN_TO = re.compile(
    r"""\b(?:ignore|disregard|forget|override)\b[^.!?]*
            \b(?:above|previous|prior|earlier|before|instructions?|prompts?|rules?|everything|all|that|this|what|system)\b
      | \b(?:answer|respond|reply|output)\s+(?:only|with|as|in|exactly|the\s+following)\b
      | \b(?:return|print|say|write)\s+(?:only|exactly|the\s+following)\b
      | \b(?:system|assistant|user|human)\s*:
      | \b(?:new|following|these|your)\s+instructions?\b
      | \byou\s+(?:must|should|shall)\b
      | \bjson\b
      | <\|""",
    re.IGNORECASE | re.VERBOSE,
)
_QUOTED = (
    re.compile(r"\{.*?(?:\}|$)|\[.*?(?:\]|$)|<[^<>]*>|```.*?(?:```|$)|`[^`]*`", re.DOTALL),
    re.compile('"[^"]*(?:"|$)|\u201c[^\u201d]*(?:\u201d|$)|\u00ab[^\u00bb]*(?:\u00bb|$)|\u300c[^\u300d]*(?:\u300d|$)'),
)


@dataclass(frozen=True)
class Word:
    """One word of a text: casefolded, and where it stands, ``text[start:stop]``."""

    key: str
    start: int
    stop: int


def clean(text: str, longest: int = LONGEST) -> tuple[str, str | None]:
    """Return a caption on one line, and a note where more than spaces was changed.

    Any script is kept as it is (Unicode NFC); control characters and lone surrogates go. What is longer than
    ``longest`` characters is cut after its last whole sentence, or else its last whole word. A text without a letter
    or digit becomes "".
    """
    said = text[: _READ * longest].encode(errors="ignore").decode()
    normal = unicodedata.normalize("NFC", said)
    line = " ".join("".join(" " if _is_control(character) else character for character in normal).split())
    kept = line if len(line) <= longest else _cut(line, longest)
    if not any(character.isalnum() for character in kept):
        return "", None
    return kept, None if kept == line else f"cut from {len(text)} characters to at most {longest}"


def to_its_end(caption: str) -> str:
    """Return a caption that a model was stopped in, up to its last whole sentence, or else its last whole word."""
    return caption if caption[-1:] in tuple(".!?\u3002\uff01\uff1f") else _cut(caption, len(caption))


@lru_cache(maxsize=1024)
def words(text: str) -> tuple[Word, ...]:
    """Return the words of a text in order: runs of letters, marks and digits, and apostrophes between them.

    A caption is asked for again with every phrase of it, so the last ones are kept.
    """
    return tuple(Word(text[start:stop].casefold(), start, stop) for start, stop in _spans(text))


def described(caption: str) -> str:
    """Return what a caption says of its picture: without quotations, and only up to where it speaks to a reader.

    Text in quotation marks, brackets, braces, tags or backticks is shown or cited, not described; from a quotation mark
    without a partner on, all is. From the first
    instruction on ("ignore the above", "answer with", "system:") nothing can be trusted to be a description, so all
    that follows is left out; the result is empty where nothing comes before it. English phrasings only are
    recognised; instructions in other languages are met by the checks on phrases alone.
    """
    found = _SPOKEN_TO.search(caption)
    text = caption[: found.start()] if found else caption
    if text.count('"') % 2:  # which of them opens a quotation isn't known
        text = text.partition('"')[0]
    for pattern in _QUOTED:
        text = pattern.sub(" ", text)
    return " ".join(text.split()).strip(" ,;:-") if words(text) else ""


def _is_control(character: str) -> bool:
    """Tell whether a character is a control or format character, joiners inside words apart."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in "\u200c\u200d"


def _cut(line: str, longest: int) -> str:
    """Return the first sentences of a line, or its first words, or, where these are too few, its first characters."""
    text = line[:longest]
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)|[\u3002\uff01\uff1f]", text)]
    if ends and ends[-1] > longest // 2:
        return text[: ends[-1]]
    head = line[: longest + 1].rpartition(" ")[0]
    return head if len(head) > longest // 2 else text


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start: int | None = None
    for index, character in enumerate(text):
        inside = _in_word(text, index)
        alone = inside and _SPACELESS.match(character) is not None
        if start is not None and (alone or not inside):
            yield start, index
            start = None
        if alone:
            yield index, index + 1
        elif inside and start is None:
            start = index
    if start is not None:
        yield start, len(text)


def _in_word(text: str, index: int) -> bool:
    if unicodedata.category(text[index])[0] in "LMN":
        return True
    between = 0 < index < len(text) - 1 and text[index - 1].isalpha() and text[index + 1].isalpha()
    return text[index] in _APOSTROPHES and between
