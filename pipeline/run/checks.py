"""What a check before a run says: that something is right, wrong, worth knowing, or can't be told here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape

from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.run.progress import Reporter

State = Literal["ok", "problem", "note", "not checked"]
_COLOURS = {"ok": "green", "problem": "red", "note": "yellow", "not checked": "dim"}


class PreflightError(RecipeError):
    """Something that is known before anything is made would end the run later; the message names all of it."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: What, in a few words: "model of generator".
        state: "note" is a line worth reading that stops nothing.
        said: What is wrong and how to mend it, or what was found.
    """

    what: str
    state: State
    said: str = ""


@dataclass(frozen=True)
class Ready:
    """What was checked before a run; a kind adds what it found out of its models."""

    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Regenerated:
    """What came of making samples again: a sentence on each that differs, and one on all of them."""

    problems: Sequence[str]
    said: str


def attempted(what: str, check: Callable[[], object], good: str = "") -> Check:
    """Return what came of a check that raises where something is wrong."""
    try:
        check()
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        return Check(what, "problem", str(error))
    return Check(what, "ok", good)


def require(checks: Iterable[Check], report: Reporter) -> None:
    """Say what is worth knowing, and stop the run where anything is wrong.

    Raises:
        PreflightError: with every problem on a line.
    """
    found = list(checks)
    for one in found:
        if one.state == "note":
            report.say(f"[yellow]note[/]: {escape(f'{one.what}: {one.said}')}")
    if problems := list(dict.fromkeys(f"{one.what}: {one.said}" for one in found if one.state == "problem")):
        raise PreflightError(
            problems[0]
            if len(problems) == 1
            else "\n  ".join([f"{len(problems)} things would end the run later:", *problems])
        )


def print_checklist(checks: Sequence[Check], console: Console) -> bool:
    """Print one line a check; return whether none is a problem."""
    console.print("checks before a run:", highlight=False)
    for line in _lines(checks):
        console.print(line, highlight=False, soft_wrap=True)
    return not any(one.state == "problem" for one in checks)


def _lines(checks: Iterable[Check]) -> Iterator[str]:
    for one in dict.fromkeys(checks):
        said = f": {one.said}" if one.said else ""
        yield f"  [{_COLOURS[one.state]}]{one.state:<12}[/] {escape(one.what + said)}"
