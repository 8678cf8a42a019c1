"""A CSV file as columns of text: its encoding, delimiter and header, and each line that is no row, with a reason.

Python's own parser reads it, strictly. What it finds wrong is told by line number and count, never by what is there.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from fairshards.catalogs.cohorts.cohort import Problem
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.raw_table import RawTable, check_names, missing_columns, nameless, tidy

DELIMITERS = (",", ";", "\t", "|", " ")
BEFORE_HEADER = 25
"""How many lines may stand before the header: titles, an empty line, Excel's sep=."""
FEW_BAD, BAD_SHARE = 5, 0.05
"""More bad lines than both, and the file isn't a table with a few faults."""
CHUNK = 20_000
MALFORMED = "malformed_row"
_PROBE = 1000
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_delimited(data: bytes, where: str, asked: Sequence[str], encoding: str | None = None) -> RawTable:
    """Return the columns of a delimited text with a header.

    Args:
        where: The file, for messages.
        asked: Columns that it must have: header and delimiter are known by them.
        encoding: What its text is where it is no Unicode.

    Raises:
        CohortError: there is no such header, or too many lines aren't as it says; no message holds a cell.
    """
    text, remarks = _decoded(data, where, encoding)
    lines = list(io.StringIO(text, newline=""))
    del text
    header = _header(lines, where, asked)
    if header.first:
        remarks.append(f"{header.first} line{'s' * (header.first > 1)} before the header left out")
    names = list(header.names)
    longer = _longer(lines, header)
    found = _rows(lines, header, len(names) + longer, where)
    if longer:
        names.insert(0, "")
    if not found.rows:
        raise CohortError(f"{where} has a header of {len(header.names)} columns and no rows")
    found = replace(found, names=tuple(names), remarks=(*remarks, *found.remarks))
    if longer and pc.count_distinct(found.columns[0]).as_py() < found.rows:
        raise CohortError(
            f"{where}: its lines have one field more than the {len(header.names)} names of its header, "
            "and the first one is no row name: give every column a name"
        )
    return _named(found, where, "row names" if longer else "")


def _decoded(data: bytes, where: str, encoding: str | None) -> tuple[str, list[str]]:
    known = next((name for mark, name in _BOMS.items() if data.startswith(mark)), None)
    zeros = data[:4000].count(0)
    if known is None and zeros > len(data[:4000]) / 5:  # every other byte of what is mostly ASCII
        known = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    tried = [known] if known else ["utf-8", *([encoding] if encoding else ["cp1252", "latin-1"])]
    for name in tried:
        text = None
        try:
            text = data.decode(name)
        except (UnicodeDecodeError, LookupError):  # its message quotes the bytes
            continue
        if text.count("\0"):
            break
        said = f"it is no Unicode and was read as {name}; cohort.encoding names another"
        return text, [said] if name in ("cp1252", "latin-1") else []
    raise CohortError(
        f"{where} is no text in {' or '.join(map(str, tried))}, or holds NUL bytes; expected CSV. "
        "cohort.encoding names the encoding"
    )


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    delimiter: str
    first: int
    """The line that it begins in."""
    end: int
    """The line after it."""


def _header(lines: Sequence[str], where: str, asked: Sequence[str]) -> _Header:
    """Return the first line that names all columns that are asked for, under the delimiter by which it does."""
    filled = [number for number, line in enumerate(lines[: BEFORE_HEADER * 2]) if line.strip()][:BEFORE_HEADER]
    if not filled:
        raise CohortError(f"{where} is empty; expected a header and rows")
    best: tuple[int, int, tuple[str, ...]] = (-1, -1, ())
    for number in filled:
        for delimiter in DELIMITERS:
            feed = _Feed(lines, number)
            fields = feed.next_record(delimiter)
            names = tuple(tidy(name) for name in fields or ())
            there = sum(name in names for name in asked)
            if there == len(asked):
                return _Header(names, delimiter, number, feed.at)
            if number == filled[0] and (there, len(names)) > best[:2] and (there or delimiter != " "):
                best = (there, len(names), names)
    raise missing_columns(where, asked, best[2])


class _Feed:
    """Lines from one on; it can be set back, which a parser that went wrong needs."""

    def __init__(self, lines: Sequence[str], at: int) -> None:
        self.lines, self.at = lines, at

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.at >= len(self.lines):
            raise StopIteration
        self.at += 1
        return self.lines[self.at - 1]

    def reader(self, delimiter: str) -> Iterator[list[str]]:
        return csv.reader(self, delimiter=delimiter, strict=True, skipinitialspace=delimiter == " ")

    def next_record(self, delimiter: str) -> list[str] | None:
        try:
            return next(self.reader(delimiter), None)
        except csv.Error:  # its message may quote a field
            return None


def _longer(lines: Sequence[str], header: _Header) -> bool:
    """Tell whether most lines have one field more than the header, as R's write.table makes them: row names."""
    widths: Counter[int] = Counter()
    feed = _Feed(lines, header.end)
    reader = feed.reader(header.delimiter)
    while sum(widths.values()) < _PROBE:
        try:
            fields = next(reader, None)
        except csv.Error:
            reader = feed.reader(header.delimiter)
            continue
        if fields is None:
            break
        widths[len(fields) - (len(fields) > len(header.names) and not fields[-1].strip())] += bool(fields)
    return bool(widths) and widths.most_common(1)[0][0] == len(header.names) + 1


def _rows(lines: Sequence[str], header: _Header, width: int, where: str) -> RawTable:
    """Return all rows of ``width`` fields; what else there is becomes a reject."""
    feed = _Feed(lines, header.end)
    reader = feed.reader(header.delimiter)
    chunks: list[list[pa.Array]] = [[] for _ in range(width)]
    rows: list[list[str]] = []
    numbers: list[int] = []
    rejects: list[Problem] = []
    broken: list[int] = []

    def flush() -> None:
        for column, cells in zip(chunks, zip(*rows, strict=True), strict=False):
            column.append(pa.array(cells, pa.string()))
        rows.clear()

    while True:
        begin, wrong = feed.at, ""
        try:
            fields = next(reader, None)
        except csv.Error:
            fields, wrong = [], f"the quotes of line {begin + 1} don't close, or stand inside a field"
        if fields is None:
            break
        if len(fields) > width and not any(map(str.strip, fields[width:])):
            fields = fields[:width]
        if not wrong and feed.at > begin + 1:
            if _are_rows(lines[begin + 1 : feed.at - 1], header.delimiter, width):
                fields, wrong = [], f"a quote of line {begin + 1} closes in line {feed.at}, with whole rows between"
            else:
                broken.append(begin + 1)
        again = fields[:1] == list(header.names[:1]) and tuple(map(tidy, fields)) == header.names
        if len(fields) == width and (fields[0] or any(map(str.strip, fields))) and not again:
            rows.append(fields)
            numbers.append(len(numbers) + len(rejects))
            if len(rows) == CHUNK:
                flush()
            continue
        if not wrong and not any(map(str.strip, fields)):
            continue  # an empty line
        if again:
            wrong = f"line {begin + 1} is the header again, as where files were put one after the other"
        wrong = wrong or f"line {begin + 1} has {len(fields)} field{'s' * (len(fields) != 1)}, the header {width}"
        rejects.append(Problem(len(numbers) + len(rejects), MALFORMED, wrong))
        if feed.at != begin + 1:  # a quote swallowed the lines after it
            feed.at = begin + 1
        reader = feed.reader(header.delimiter)
    flush()
    if len(rejects) > max(FEW_BAD, BAD_SHARE * (len(numbers) + len(rejects))):
        raise CohortError(
            f"{where}: {len(rejects)} of {len(numbers) + len(rejects)} lines aren't as its header of "
            f"{len(header.names)} columns says, the first: {rejects[0].detail}"
        )
    columns = tuple(pa.chunked_array(column, pa.string()) for column in chunks)
    return RawTable((), columns, tuple(rejects), tuple(numbers) if rejects else None, tuple(_line_breaks(broken)))


def _are_rows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Tell whether lines inside a field are rows: two or more, and nothing but such."""
    with contextlib.suppress(csv.Error):
        return len(lines) > 1 and all(len(next(csv.reader([line], delimiter=delimiter))) == width for line in lines)
    return False


def _line_breaks(begin: Sequence[int]) -> Iterator[str]:
    """Yield a sentence on rows of several lines, since a quote that isn't closed makes one of two."""
    if begin:
        many = len(begin) > 1
        yield (
            f"{len(begin)} row{'s have' if many else ' has'} line breaks inside a field (the first begins in line "
            f"{begin[0]}); where none should be, a quote isn't closed there, and a row is lost"
        )


def _named(found: RawTable, where: str, first: str) -> RawTable:
    """Return the table with a name for every column; nameless ones that are empty or count rows are left out."""
    names, columns, remarks = [], [], list(found.remarks)
    for number, (name, cells) in enumerate(zip(found.names, found.columns, strict=True)):
        bare = not name or name.startswith("Unnamed: ")
        if bare and not pc.any(pc.not_equal(pc.utf8_trim_whitespace(cells), "")).as_py():
            remarks.append(f"column {number + 1} has no name and is empty: left out")
        elif bare and number == 0 and (first or counts_rows(cells)):
            remarks.append(f"the first column has no name and holds {first or 'row numbers'}: left out")
        else:
            if not name:
                remarks.append(f"column {number + 1} has no name: it is called {nameless(number)}")
            names.append(name or nameless(number))
            columns.append(cells)
    check_names(where, names)
    return replace(found, names=tuple(names), columns=tuple(columns), remarks=tuple(remarks))


def counts_rows(cells: pa.ChunkedArray) -> bool:
    """Tell whether texts are whole numbers one after the other."""
    if not pc.all(pc.match_substring_regex(cells, r"^\d{1,15}$")).as_py():
        return False
    found = pc.cast(cells, pa.int64()).to_numpy()
    return bool((found[1:] - found[:-1] == 1).all())
