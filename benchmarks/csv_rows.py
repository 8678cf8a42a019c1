"""Results in CSV files that runs add to: a row that is measured again goes in place of the old one."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def plain(value: Any) -> str:
    """Return a value as text: numbers from 0.01 on to four decimals, nothing for None."""
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) and abs(value) >= 0.01 else str(value)


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def write_rows(
    file: Path, rows: Sequence[Mapping[str, Any]], key: Sequence[str], text: Callable[[Any], str] = plain
) -> None:
    """Write rows into a CSV; rows that are there stay, unless one of the new ones has the same values of ``key``.

    Columns that only some rows have are empty in the others.
    """
    texts = [{name: text(value) for name, value in row.items()} for row in rows]
    new = {tuple(row[name] for name in key) for row in texts}
    kept = [row for row in read_rows(file) if tuple(row[name] for name in key) not in new] if file.is_file() else []
    names = dict.fromkeys(name for row in (*texts, *kept) for name in row)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", newline="") as opened:
        writer = csv.DictWriter(opened, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *texts])
