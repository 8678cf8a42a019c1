"""Libraries' messages may quote a patient's value; this is where they end.

"could not convert string to float: 'Dr Smith'" is what pandas, Arrow, DuckDB or scikit-learn say of a row that they
can't take. Such an error becomes one of ours, with its type and the place in our code, and without its text. Errors of
ours hold no value and pass, as do those of the machine: of files, memory and interrupts.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from fairshards.catalogs.cohorts.schema import CohortError

P = ParamSpec("P")
R = TypeVar("R")
ROOT = Path(__file__).parents[2]
OURS = ("catalogs", "filters", "generators", "pipeline", "trainers", "transforms")


def unquoted(doing: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator of what works on patients' rows; ``doing`` says what that is where a library fails.

    Such an error becomes a CohortError with neither cause nor context, which a traceback would show: it is raised after
    the other one was handled. A context manager can't do that.
    """

    def decorate(work: Callable[P, R]) -> Callable[P, R]:
        @wraps(work)
        def done(*given: P.args, **named: P.kwargs) -> R:
            try:
                return work(*given, **named)
            except (OSError, MemoryError):
                raise
            except Exception as error:
                if type(error).__module__.partition(".")[0] == "fairshards":
                    raise
                failed = f"{type(error).__name__} at {_place(error)}"
            raise CohortError(
                f"{doing} failed ({failed}); what the library says of it may quote a patient's value and "
                "isn't shown. Look for a column of an odd type or of extreme values, or report the place"
            )

        return done

    return decorate


def _place(error: Exception) -> str:
    """Return the last file of ours that the error came through, with the line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS and path != Path(__file__):
            return f"{path.relative_to(ROOT)}:{frame.lineno}"
    return "no place of ours"
