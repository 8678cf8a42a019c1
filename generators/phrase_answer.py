"""From a language model's text to {foreground, background, alternative}: JSON, or what can only mean one thing."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

LONGEST_ANSWER = 20_000
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_CURLY = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"'})
_LINE = re.compile(
    r"foreground:(?P<foreground>[^|\n]*)[|\n]\s*background:(?P<background>[^|\n]*)"
    r"(?:[|\n]\s*alternative:(?P<alternative>[^|\n]*))?",
    re.IGNORECASE,
)


class BadAnswer(ValueError):
    """An answer that holds no phrases for certain: a short ``reason`` and a sentence in ``detail``."""

    def __init__(self, reason: Literal["invalid_json", "wrong_schema"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class PhraseAnswer:
    """What a model answered, not yet compared with the caption."""

    foreground: tuple[str, ...]
    background: str
    alternative: str


def parse_answer(text: str) -> PhraseAnswer:
    """Return the phrases in a model's answer.

    Repaired is what has one reading: text or a code fence around the one object, trailing commas, curly or Python
    quotes, line breaks inside strings, null or a missing "alternative" for "", a single string for a list of one. A
    line ``foreground: a; b | background: c | alternative: d`` is read as well, for small models whose vocabulary
    lacks braces. An answer that ends early, has two different objects, or a key twice is not repaired.

    Raises:
        BadAnswer: it isn't JSON and can't safely be made so, or is JSON of another form.
    """
    if len(text) > LONGEST_ANSWER:
        raise BadAnswer("invalid_json", f"the answer has {len(text)} characters; at most {LONGEST_ANSWER} are read")
    body = _THOUGHTS.sub("", text).strip()
    line = _LINE.fullmatch(body)
    return _of_line(line) if line else _of_object(_the_object(body))


def _of_line(found: re.Match[str]) -> PhraseAnswer:
    names = tuple(name.strip() for name in found["foreground"].split(";") if name.strip())
    return PhraseAnswer(names, found["background"].strip(), (found["alternative"] or "").strip())


def _of_object(value: dict[str, Any]) -> PhraseAnswer:
    missing = [name for name in ("foreground", "background") if name not in value]
    if missing:
        raise BadAnswer("wrong_schema", f"the answer lacks {' and '.join(missing)}; it has {sorted(map(str, value))}")
    names = value["foreground"]
    listed = [names] if isinstance(names, str) else [] if names is None else names
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise BadAnswer("wrong_schema", f"foreground must be a list of strings, got {str(names)[:100]}")
    foreground = tuple(name for name in map(_utf8, listed) if name)
    return PhraseAnswer(foreground, _text(value, "background"), _text(value, "alternative"))


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise BadAnswer("wrong_schema", f"{name} must be a string, got {str(found)[:100]}")
    return _utf8(found or "")


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
        (_json, text), (_json, straight), (_literal, text), (_literal, straight),
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
