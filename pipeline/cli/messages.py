"""What a person reads on the terminal where a command fails."""

from __future__ import annotations

import builtins
import contextlib
import re
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.markup import escape

from fairshards.pipeline.run import interrupts

OURS = "fairshards"
_TRACEBACK = "Traceback (most recent call last):\n"
_STEP = re.compile(r"\s*\[while running '.*?'\]")
_NAMED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?:: (.*)|(?<=Error)$|(?<=Exception)$)", re.DOTALL)


@contextlib.contextmanager
def expected_errors(debug: bool) -> Iterator[None]:
    """Turn what can go wrong into one message on standard error and exit code 1; --debug shows tracebacks.

    After Ctrl-C the exit code is 130, after SIGTERM 143, whatever the interruption became on its way.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if interrupts.asked_by(error):
            Console(stderr=True).print(interrupts.SENTENCE, soft_wrap=True)
            raise typer.Exit(interrupts.exit_code()) from None
        if debug:
            raise
        Console(stderr=True).print(f"[red]error:[/] {escape(_message(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _message(error: BaseException) -> str:
    """Return the error's own sentence; of an error inside a Beam step, that of its root."""
    kind, text = _root(error)
    name = kind.rpartition(".")[2]
    if "No space left on device" in text:
        text += "; free some space and run the same command again, what is committed is kept"
    if kind.partition(".")[0] == OURS or _is_os_error(kind):
        return text or name
    return f"{name}: {text}".removesuffix(": ") + "\n(use --debug for the traceback)"


def _root(error: BaseException) -> tuple[str, str]:
    """Return the qualified name and the text of what was raised at first.

    Beam raises an error of a step again, with the step's name behind its text, or as a RuntimeError whose text is
    the error's name and text; of a worker process it hands over the whole traceback as text.
    """
    kind, text = f"{type(error).__module__}.{type(error).__qualname__}", str(error).strip()
    if _TRACEBACK in text:
        lines = text[text.rindex(_TRACEBACK) :].splitlines()[1:]
        start = next((number for number, line in enumerate(lines) if line and not line[0].isspace()), None)
        if start is not None:
            kind, _, text = "\n".join(lines[start:]).strip().partition(": ")
    elif "[while running " not in text:
        return kind, text
    text = _STEP.sub("", text).strip()
    named = _NAMED.match(text)
    return (named[1], (named[2] or "").strip()) if kind.endswith("RuntimeError") and named else (kind, text)


def _is_os_error(kind: str) -> bool:
    builtin = getattr(builtins, kind.removeprefix("builtins."), None)
    return isinstance(builtin, type) and issubclass(builtin, OSError)
