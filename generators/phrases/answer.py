"""From a language model's text to {foreground, background, alternative}: JSON, or what can only mean one thing."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.phrases.prompt import Field

LONGEST_ANSWER = 20_000
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_CURLY = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"'})
_LINE = re.compile(
    r"foreground:(?P<foreground>[^|\n]*)[|\n]\s*background:(?P<background>[^|\n]*)"
    r"(?:[|\n]\s*alternative:(?P<alternative>[^|\n]*))?",
    re.IGNORECASE,
)


_FIELDS: tuple[Field, ...] = ("foreground", "background", "alternative")
_PROSE = re.compile(r"(?:(?:the )?(?:answer|background|alternative|place|surroundings)(?: is|:)|it(?: is|'s))\s+", re.I)
_QUOTED = re.compile(r"\"([^\"\n]+)\"")
_WORDS_OF_PROSE = 12
_NONE = frozenset(("none", "no", "nothing", "nowhere", "n/a", "null", "unknown", "not mentioned", "not specified"))


class BadAnswer(ValueError):
    """An answer that holds no phrases for certain: a short ``reason`` and a sentence in ``detail``."""

    def __init__(self, reason: Literal["invalid_json", "wrong_schema", "answer_cut"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class PhraseAnswer:
    """What a model answered, not yet compared with the caption. ``unread`` says why a field holds nothing usable."""

    foreground: tuple[str, ...] = ()
    background: str = ""
    alternative: str = ""
    unread: Mapping[Field, str] = field(default_factory=dict)


def parse_answer(text: str) -> PhraseAnswer:
    """Return the phrases in a model's answer.

    Repaired is what has one reading: text or a code fence around the one object, trailing commas, curly or Python
    quotes, line breaks inside strings, keys in other case, null or a missing "alternative" for "", one string for a
    list, and a list of one for a string. A line ``foreground: a; b | background: c | alternative: d`` is read
    as well, for small models whose vocabulary lacks braces. An answer that ends early, has two different objects, or a
    key twice is not repaired. Of the two fields "foreground" and "background" one may be missing or of another form;
    ``unread`` then says so.

    Raises:
        BadAnswer: it was cut, isn't JSON and can't safely be made so, or is JSON of another form.
    """
    body = _whole(text)
    line = _LINE.fullmatch(body)
    return _of_line(line) if line else _of_object(_the_object(body))


def parse_field(text: str, name: Field) -> tuple[str, ...]:
    """Return the phrases in the answer to a question for one field, none where the model says that there are none.

    Beside an object with the field, as ``parse_answer`` reads it, that is a string or list without its object, or the
    one phrase in quotation marks in a line of up to a dozen words; or such a line itself, but for an alternative: with
    no caption to compare it with, "Sorry, no" would be a place.

    Raises:
        BadAnswer: as ``parse_answer``.
    """
    body = _whole(text)
    try:
        value: Any = _lowered(_the_object(body))
        if name not in value:
            raise BadAnswer("wrong_schema", f"the answer lacks {name}; it has {sorted(value)}")
        value = value[name]
    except BadAnswer as error:
        value = _bare(body, name != "alternative")
        if error.reason != "invalid_json" or value is None:
            raise
    try:
        found = _names(value) if name == "foreground" else (_text(value, name),)
    except ValueError as error:
        raise BadAnswer("wrong_schema", str(error)) from None
    return tuple(one for one in found if one and one.strip(" .").casefold() not in _NONE)


def _whole(text: str) -> str:
    """Return an answer without the thoughts before it, if all of it is there."""
    if isinstance(text, CutAnswer):
        raise BadAnswer("answer_cut", "the answer was cut off by max_new_tokens; raise that setting")
    if len(text) > LONGEST_ANSWER:
        raise BadAnswer("invalid_json", f"the answer has {len(text)} characters; at most {LONGEST_ANSWER} are read")
    return _THOUGHTS.sub("", text).strip()


def _bare(body: str, lines: bool) -> Any:
    """Return what an answer that is no object can only mean: a string, a list, a short line; None for anything else."""
    whole = _read(body)
    if isinstance(whole, str | list):
        return whole
    line = body.strip("`* \n")
    if not line or "\n" in line or any(sign in line for sign in "{}[]") or len(line.split()) > _WORDS_OF_PROSE:
        return None
    quoted = _QUOTED.findall(line)
    if len(quoted) == 1:
        return quoted[0]
    opening = _PROSE.match(line)
    said = line[opening.end() if opening else 0 :].strip(" .\"'")
    return said if lines and not quoted and any(map(str.isalnum, said)) else None


def _of_line(found: re.Match[str]) -> PhraseAnswer:
    names = tuple(name.strip() for name in found["foreground"].split(";") if name.strip())
    return PhraseAnswer(names, found["background"].strip(), (found["alternative"] or "").strip())


def _of_object(value: dict[str, Any]) -> PhraseAnswer:
    known = _lowered(value)
    if not {"foreground", "background"} & set(known):
        raise BadAnswer("wrong_schema", f"the answer lacks foreground and background; it has {sorted(known)}")
    read: dict[str, Any] = {}
    unread: dict[Field, str] = {}
    for name in _FIELDS:
        try:
            read[name] = _names(known[name]) if name == "foreground" else _text(known.get(name), name)
        except KeyError:
            unread[name] = f"the answer lacks {name}"
        except ValueError as error:
            unread[name] = str(error)
    if "background" not in known:
        unread["background"] = "the answer lacks background"
    if {"foreground", "background"} <= set(unread):
        raise BadAnswer("wrong_schema", "; ".join(unread.values()))
    return PhraseAnswer(**read, unread=unread)


def _lowered(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its keys in lower case."""
    found = {str(key).strip().casefold(): each for key, each in value.items()}
    if len(found) < len(value):
        raise BadAnswer("invalid_json", f"a key is there twice: {sorted(map(str, value))}")
    return found


def _names(value: Any) -> tuple[str, ...]:
    listed = re.split("[,;]", value) if isinstance(value, str) else [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ValueError(f"foreground must be a list of strings, got {str(value)[:100]}")
    return tuple(name for name in map(_utf8, listed) if name)


def _text(value: Any, name: str) -> str:
    while isinstance(value, list) and len(value) < 2:
        value = value[0] if value else None
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {str(value)[:100]}")
    return _utf8(value or "")


def _utf8(text: str) -> str:
    """Return ``text`` trimmed, with a "?" for every lone surrogate, which an escape in JSON can make."""
    return text.encode(errors="replace").decode().strip()


def _the_object(body: str) -> dict[str, Any]:
    """Return the one object in ``body``."""
    whole = _read(body)
    if isinstance(whole, dict):
        return whole
    found = [value for value in map(_read, _objects(body)) if isinstance(value, dict)]
    different = [value for index, value in enumerate(found) if value not in found[:index]]
    if len(different) == 1:
        return different[0]
    count = "no JSON object" if not different else f"{len(different)} different JSON objects"
    raise BadAnswer("invalid_json", f"the answer holds {count}: {body[:120]!r}")


def _read(text: str) -> Any:
    """Return the value that ``text`` is, as JSON or after a repair; None where it is none."""
    straight = _TRAILING_COMMA.sub("", text.translate(_CURLY))
    readers: tuple[tuple[Callable[[str], Any], str], ...] = (
        (_json, text),
        (_json, straight),
        (_literal, text),
        (_literal, straight),
    )
    for read, form in readers:
        try:
            return read(form)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _json(text: str) -> Any:
    return json.loads(text, strict=False, object_pairs_hook=_each_key_once)


def _literal(text: str) -> Any:
    """Return the value of a Python literal, which holds no code."""
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            _each_key_once([(ast.dump(key) if key else "", None) for key in node.keys])
    return ast.literal_eval(tree)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _objects(text: str) -> Iterator[str]:
    """Yield the outermost {...} of a text whose braces are closed again; braces in double quotes don't count."""
    depth, start, quoted, escaped = 0, 0, False, False
    for index, character in enumerate(text):
        if depth and quoted:
            quoted, escaped = not (character == '"' and not escaped), character == "\\" and not escaped
        elif depth and character == '"':
            quoted = True
        elif character == "{":
            start = index if not depth else start
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if not depth:
                yield text[start : index + 1]
