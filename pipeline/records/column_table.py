"""What each column of a table was taken for, in lines for people: kind, precision, what is missing; never a value."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from fairshards.catalogs.cohorts.checked import Checked
from fairshards.catalogs.cohorts.schema import Column

HEAD = ("column", "kind", "", "missing", "notes")


def column_lines(checked: Checked, attribute: str) -> Iterator[str]:
    """Yield a line per column of a cohort whose schema was made from its rows; none for other cohorts.

    The recipe's ``cohort.columns`` corrects what is wrong.
    """
    if not checked.notes:
        return
    rows = pd.concat([checked.train, checked.test])
    cells = [HEAD, *(_cells(checked, column, rows[column.name], attribute) for column in checked.schema.columns)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cells(checked: Checked, column: Column, values: pd.Series, attribute: str) -> tuple[str, ...]:
    label = checked.schema.label
    kind = {label: "label", attribute: "attribute"}.get(column.name, column.kind)
    missing = f"{100 * values.isna().mean():.1f}%"
    return (column.name, kind, _precision(column), missing, checked.notes.get(column.name, ""))


def _precision(column: Column) -> str:
    if column.kind == "category":
        return f"{len(column.categories)} value{'s' * (len(column.categories) != 1)}"
    return f"{column.decimals} decimal{'s' * (column.decimals != 1)}" if column.decimals else ""
