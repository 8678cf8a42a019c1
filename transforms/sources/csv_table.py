"""A CSV table as people write it: strict about quotes, with the line of every row, and errors that name it."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairshards.transforms.sources.base import SourceError
from fairshards.transforms.sources.files import is_picture

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class TableRow:
    """One row: where it begins, its values by column, and why it is no row where it has too many or too few of them."""

    line: int
    values: dict[str, str]
    problem: str = ""


def read_table(data: bytes, name: str, needed: Sequence[str], file_field: str) -> list[TableRow]:
    """Return the rows of a table; ``needed`` are columns that it must have, ``file_field`` the one with file names.

    Comma, semicolon, tab or bar: whichever splits the header into the needed columns.

    Raises:
        SourceError: it is no text, has no header, lacks a column or has it twice, has no row, or a quote isn't closed.
    """
    text = _text(data, name)
    lines = text.split("\n")
    delimiter = _delimiter(text, needed)
    records = _records(text, name, delimiter)
    header = [column.strip() for column in next(records, (1, 1, []))[2]]
    _check_header(header, name, needed)
    place, rows = header.index(file_field), []
    for line, last, fields in records:
        swallowed = _swallowed(lines[line:last], delimiter, place) if last > line else 0
        if swallowed:
            raise SourceError(
                f"{name}, line {line}: a quote that opens here closes in line {last}, and {swallowed} of the lines "
                "between look like rows; close the quote, or write it twice where it is meant as a character"
            )
        rows.append(_row(line, header, fields, name))
    if not rows:
        raise SourceError(f"{name} has a header and no row")
    return rows


def _text(data: bytes, name: str) -> str:
    if not data.strip():
        raise SourceError(f"{name} is empty")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise SourceError(f"{name} begins as UTF-16 and isn't it: {error}; save it as UTF-8") from error
    elif data.startswith((b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0")):
        raise SourceError(f"{name} is a compressed or an Excel file; save it as CSV in UTF-8")
    else:
        text = data.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise SourceError(f"{name}, line {line} holds NUL characters: is it UTF-16? Save it as UTF-8")
    return text.replace("\r", "\n") if "\r" in text and "\n" not in text else text


def _delimiter(text: str, needed: Sequence[str]) -> str:
    """Return the delimiter that splits the header into the needed columns, else a comma."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    for delimiter in DELIMITERS:
        try:
            columns = [column.strip() for column in next(csv.reader([first], delimiter=delimiter), [])]
        except csv.Error:
            continue
        if set(needed) <= set(columns):
            return delimiter
    return ","


def _records(text: str, name: str, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield (first line, last line, fields) of every record that isn't blank."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a caption may be long; a quote is closed or refused
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SourceError(
                f"{name}, line {begin}: {error}. A field that begins with a quote ends with one, and a quote inside it "
                "is written twice; look at the quotes of this line"
            ) from error
        if fields:
            yield begin, reader.line_num, fields


def _check_header(header: Sequence[str], name: str, needed: Sequence[str]) -> None:
    missing = sorted(set(needed) - set(header))
    if missing:
        raise SourceError(
            f"{name} has columns {list(header)}, and lacks {missing}; its first line names the columns, "
            "and source.file_field, class_field, split_field and bias_field say which they are"
        )
    twice = sorted({column for column in needed if header.count(column) > 1})
    if twice:
        raise SourceError(f"{name} has the column(s) {twice} twice; which one counts can't be told")


def _swallowed(lines: Sequence[str], delimiter: str, place: int) -> int:
    """Return how many lines have a picture's name where a row would have it."""
    cells = (line.split(delimiter) for line in lines)
    return sum(len(row) > place and is_picture(row[place].strip(' "\r')) for row in cells)


def _row(line: int, header: Sequence[str], fields: Sequence[str], name: str) -> TableRow:
    values = dict(zip(header, fields, strict=False))
    extra = fields[len(header) :]
    if len(fields) < len(header) or any(field.strip() for field in extra):
        problem = f"{name}, line {line} has {len(fields)} fields, and the header has {len(header)}"
        return TableRow(line, {**dict.fromkeys(header, ""), **values}, problem)
    return TableRow(line, values)
