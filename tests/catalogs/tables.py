"""Small tables of patients for the tests of reader table, with values that no message may hold."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshards.catalogs.cohorts.cohort import Cohort
from fairshards.catalogs.cohorts.tables.inferred import read_table
from fairshards.catalogs.cohorts.tables.settings import TableSettings

PLANTED = "ZZPLANTED77"
ROWS = 300


def people(rows: int = ROWS, **columns: Any) -> pd.DataFrame:
    """Return age, sex, lab (one decimal), ward and died of so many people, and further columns."""
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": draw.integers(20, 90, rows),
            "sex": draw.choice(["female", "male"], rows),
            "lab": [f"{one:.1f}" for one in draw.lognormal(0, 0.5, rows)],
            "ward": draw.choice(["icu", "north"], rows),
            "died": np.where(draw.random(rows) < 0.3, "yes", "no"),
            **columns,
        }
    )


def labs(word: str, count: int = 5) -> list[str]:
    """Return laboratory values, of which some are a word."""
    return [word if number < count else one for number, one in enumerate(people()["lab"])]


def read(path: Path, **settings: Any) -> Cohort:
    """Read a table whose label is died and whose attribute is sex."""
    return read_table(path, TableSettings(**{"label": "died", "protected": ("sex",), **settings}))


def read_text(folder: Path, text: str | bytes, **settings: Any) -> Cohort:
    """Write a CSV and read it."""
    path = folder / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **settings)


def read_rows(folder: Path, rows: pd.DataFrame, **settings: Any) -> Cohort:
    """Write rows as CSV and read them."""
    return read_text(folder, rows.to_csv(index=False), **settings)


def told(error: BaseException) -> str:
    """Return all that an exception says, its traceback's causes and contexts too."""
    return "".join(traceback.format_exception(error, limit=0)) + repr(error)


def of(cohort: Cohort, name: str = "lab") -> tuple[str, int, int]:
    """Return a column's kind, decimals and how many cells are missing."""
    column = cohort.schema[name]
    return column.kind, column.decimals, cohort.rows[name].null_count


def lines(rows: Sequence[Sequence[object]], sign: str = ",") -> str:
    """Return rows as lines of text."""
    return "\n".join(sign.join(map(str, row)) for row in rows) + "\n"
