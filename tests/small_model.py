"""A scripted stand-in for a language model of half a billion parameters, behind a server on this machine.

It is no model, and what it reaches is no measurement of one. It makes the mistakes that such a model was seen to make:
asked for everything at once it names things, puts the place among them and leaves "background" empty; asked for one
thing it mostly answers right. It copies the form that the conversation shows, and now and then wraps, breaks or cuts
it. All of it follows from a hash of what it is asked, so that a test is the same every time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from tests.chat_server import Body, Reply, says

_PLACE = re.compile(r".*\b(?:on|in|at|amid|upon|within) ((?:the |a |an )?[\w' ]+?)[.!]?$")
_THINGS = re.compile(r"\b(?:with|next to|and|holding|near) ((?:a|an|the|two|three) [\w]+)")
_PLACES = ("a city street", "a mountain meadow", "a kitchen", "a car park", "a beach")


def small_model(number: int, body: Body) -> Reply:
    """Answer one request."""
    messages = body["messages"]
    asked = [turn["content"] for turn in messages if turn["role"] == "user"]
    question = next(text for text in reversed(asked) if not text.startswith("That answer"))
    luck = _luck(json.dumps(messages))
    shown = next(turn["content"] for turn in messages if turn["role"] == "assistant")
    fields = list(json.loads(shown))
    if len(fields) == 1:
        return _worded(fields[0], {fields[0]: _ALONE[fields[0]](_quoted(question), luck)}, luck)
    return _worded("all", _all(json.loads(question)["caption"], luck), luck)


def _all(caption: str, luck: Callable[[str], float]) -> dict[str, Any]:
    """Answer the question for everything: things and place in one list, and rarely a place of its own."""
    things, place = _things(caption), _place(caption)
    if luck("knows better") < 0.02:
        return {"foreground": things, "background": place, "alternative": _PLACES[0] if luck("offers") < 0.3 else ""}
    return {
        "foreground": [*things, place] if luck("lists the place") < 0.8 else things,
        "background": "",
        "alternative": "",
    }


def _where(caption: str, luck: Callable[[str], float]) -> Any:
    """Answer where it is: mostly the place, else the bird, nothing, or what the caption doesn't say."""
    right = luck("where")
    if right < 0.86:
        return _place(caption) if luck("string") < 0.9 else [_place(caption)]
    return caption.split(" with ")[0] if right < 0.92 else "" if right < 0.96 else "a quiet harbour"


def _elsewhere(place: str, luck: Callable[[str], float]) -> Any:
    """Name another place: mostly one, else the same, a sentence, or none."""
    right = luck("elsewhere")
    if right < 0.85:
        return _PLACES[int(luck("which") * len(_PLACES))]
    return place if right < 0.92 else "It could be in a tree" if right < 0.96 else ""


_ALONE: dict[str, Callable[[str, Callable[[str], float]], Any]] = {
    "foreground": lambda caption, luck: _things(caption),
    "background": _where,
    "alternative": _elsewhere,
}


def _worded(kind: str, answer: dict[str, Any], luck: Callable[[str], float]) -> Reply:
    """Say it as such models do: plain, in a fence, after a sentence, in Python's quotes, as prose, broken or cut."""
    text, form = json.dumps(answer), luck("form")
    if form < 0.60:
        return says(text)
    if form < 0.70:
        return says(f"```json\n{text}\n```")
    if form < 0.78:
        return says(f"Sure! Here is the answer:\n{text}")
    if form < 0.84:
        return says(repr(answer))
    if form < 0.88:
        return says(text.replace('"background"', '"Background"').replace("}", ",}"))
    if form < 0.93 and kind != "all":
        return says(str(next(iter(answer.values()))))
    return says(text[: len(text) // 2], finish="length" if form < 0.97 else "stop")


def _things(caption: str) -> list[str]:
    return _THINGS.findall(caption)


def _place(caption: str) -> str:
    found = _PLACE.match(caption)
    return found[1] if found else ""


def _quoted(question: str) -> str:
    return str(json.loads(question.partition(": ")[2].partition("\n")[0]))


def _luck(asked: str) -> Callable[[str], float]:
    """Return a number in [0, 1) for each name, which follows from what is asked."""
    return lambda name: int(hashlib.sha256(f"{name}|{asked}".encode()).hexdigest()[:8], 16) / 2**32
