"""A table as it stands in a file: columns by name, texts not read as anything yet, and the lines that are no row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fairshards.catalogs.cohorts.cohort import Problem
from fairshards.catalogs.cohorts.schema import CohortError


@dataclass(frozen=True)
class RawTable:
    """Columns in the file's order.

    Attributes:
        names: Their names, each once.
        columns: Their cells; of a CSV all are text.
        rejects: Lines that are no rows.
        numbers: The number of each row in the file, from 0, where some are left out.
        remarks: What was done to the file, in sentences without a value of it.
    """

    names: tuple[str, ...]
    columns: tuple[pa.ChunkedArray, ...]
    rejects: tuple[Problem, ...] = ()
    numbers: tuple[int, ...] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns[0]) if self.columns else 0


def tidy(name: object) -> str:
    """Return a column's name without blanks around it, and in one line."""
    return " ".join(str(name).replace("\ufeff", "").split())


def nameless(number: int) -> str:
    """Return what a column without a name is called, by its place from 0."""
    return f"column_{number + 1}"


def missing_columns(where: Path | str, asked: Sequence[str], names: Sequence[str]) -> CohortError:
    """Return the refusal of a table without the columns that a recipe names.

    What stands where names are expected isn't quoted: without a header it is a patient's row.
    """
    missing = [name for name in asked if name not in names]
    alike = {_letters(name) for name in names}
    near = [name for name in missing if _letters(name) in alike]
    hint = "is there a header?"
    if near:
        hint = f"one of them is {_list(near)} but for case, blanks or signs: write it as the file does"
    elif len(names) == 1:
        hint = "columns are separated by commas, semicolons, tabs, bars or blanks, and the first line names them"
    return CohortError(
        f"{where} has no column {_list(missing, ' or ')} among its {len(names)} column{'s' * (len(names) != 1)}: {hint}"
    )


def check_names(where: Path | str, names: Sequence[str]) -> None:
    """Refuse a table that names a column twice; it has the recipe's columns, so its names are names."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CohortError(f"{where} names a column twice: {_list(twice)}. Give each column a name of its own")


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _list(names: Sequence[str], last: str = ", ") -> str:
    shown = [repr(name) for name in names]
    return last.join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
