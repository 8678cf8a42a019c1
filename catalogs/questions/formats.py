"""The answer of a query as a table for people, or as CSV, JSON or Parquet for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import date, time
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from fairshards.catalogs.errors import QueryError

Columns = Sequence[str]
Rows = Sequence[Sequence[Any]]
_FOLD = 24  # a terminal folds cells that are longer, and no shorter ones
_GAP = 2


def write_result(columns: Columns, rows: Rows, format: str, stream: IO[Any]) -> None:
    """Write an answer to ``stream``: a text stream, for parquet a binary one or one with a ``buffer``.

    CSV writes NULL as nothing and lists as JSON; JSON is a list with one object a row.

    Raises:
        QueryError: unknown format, or Parquet on a terminal.
    """
    require_format(format)
    _WRITERS[format](columns, rows, stream)


def require_format(format: str) -> None:
    """Raise QueryError for a format that isn't known."""
    if format not in _WRITERS:
        raise QueryError(f"format {format!r} is not known; it is one of: {', '.join(FORMATS)}")


def _table(columns: Columns, rows: Rows, stream: IO[Any]) -> None:
    """One row a line where it goes to a pipe or fits the terminal, else one column a line."""
    terminal = Console(file=stream)
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    if terminal.is_terminal and sum(min(width, _FOLD) + _GAP for width in widths) - _GAP > terminal.width:
        _records(columns, cells, terminal)
        return
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for position, name in enumerate(columns):
        numeric = any(isinstance(row[position], int | float) for row in rows)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", min_width=min(widths[position], _FOLD))
    for row in cells:
        table.add_row(*map(Text, row))
    whole = Console(file=stream, width=sum(widths) + _GAP * len(widths) + 1)
    (terminal if terminal.is_terminal else whole).print(table)


def _records(columns: Columns, cells: Sequence[Sequence[str]], console: Console) -> None:
    for number, row in enumerate(cells, start=1):
        console.rule(Text(f"row {number}"), align="left", style="dim")
        grid = Table.grid(padding=(0, 2))
        for name, cell in zip(columns, row, strict=True):
            grid.add_row(Text(name, style="cyan"), Text(cell, overflow="fold"))
        console.print(grid)


def _csv(columns: Columns, rows: Rows, stream: IO[Any]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_flat(value) for value in row] for row in rows)


def _json(columns: Columns, rows: Rows, stream: IO[Any]) -> None:
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    json.dump(objects, stream, indent=1, ensure_ascii=False, default=_jsonable)
    stream.write("\n")


def _parquet(columns: Columns, rows: Rows, stream: IO[Any]) -> None:
    if stream.isatty():
        raise QueryError("Parquet is binary and the output is a terminal; redirect it to a file")
    arrays = [_array([row[position] for row in rows]) for position in range(len(columns))]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), getattr(stream, "buffer", stream))


def _array(values: Sequence[Any]) -> pa.Array:
    """Return a column; as text where Arrow has no type for all of its values (a UUID, a sum beyond 64 bits)."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(_flat(value)) for value in values])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.0f}"
    return str(_flat(value))


def _flat(value: Any) -> Any:
    return _plain(value) if isinstance(value, list | dict) else value


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    if isinstance(value, date | time):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)


_WRITERS: dict[str, Callable[[Columns, Rows, IO[Any]], None]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
FORMATS = tuple(_WRITERS)
