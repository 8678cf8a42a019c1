"""Libraries' messages may quote a patient's value; this is where they end.

"could not convert string to float: 'Dr Smith'" is what pandas, Arrow, DuckDB or scikit-learn say of a row that they
can't take. Such an error becomes one of ours, with its type and the place in our code, and without its text. Errors of
ours hold no value and pass, as do those of the machine: of files, memory and interrupts.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from catalogs.cohorts.schema import CohortError

OURS = ("catalogs", "filters", "generators", "pipeline", "trainers", "transforms", "fairshards")
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def unquoted(doing: str) -> Iterator[None]:
    """Do something with patients' rows; ``doing`` says what in the message of an error that isn't ours.

    Raises:
        CohortError: a library failed. It has neither cause nor context, which tracebacks would show.
    """
    failed = ""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] in OURS:
            raise
        failed = f"{type(error).__name__} at {_place(error)}"
    if failed:
        raise CohortError(f"{doing} failed ({failed}); what the library says of it may quote a patient's value and "
                          "isn't shown. Look for a column of an odd type or of extreme values, or report the place")


def _place(error: Exception) -> str:
    """Return the last file of ours that the error came through, with the line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS and path != Path(__file__):
            return f"{path.relative_to(ROOT)}:{frame.lineno}"
    return "no place of ours"
