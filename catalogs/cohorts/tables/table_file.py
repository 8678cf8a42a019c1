"""A file of a table, whatever its format: CSV (also compressed), Parquet, Arrow or ORC; others are refused by name.

A file is what its first bytes say. What a library finds wrong with it stays here: its message may quote a row.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.delimited import read_delimited
from fairshards.catalogs.cohorts.tables.raw_table import RawTable, check_names, missing_columns, nameless, tidy

_Got = TypeVar("_Got")
EXPECTED = "expected a CSV with a header (also .gz, .bz2, .xz, .zst, or alone in a .zip), Parquet, Arrow or ORC"
COLUMNAR: dict[bytes, Callable[[io.BytesIO], pa.Table]] = {
    b"PAR1": lambda file: pq.ParquetFile(file).read(),
    b"ARROW1": pyarrow.feather.read_table,
    b"FEA1": pyarrow.feather.read_table,
    b"ORC": lambda file: pyarrow.orc.ORCFile(file).read(),
}
COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ": lzma.decompress,
    b"\x28\xb5\x2f\xfd": lambda data: pa.input_stream(pa.py_buffer(data), compression="zstd").read(),
}
OTHERS = {
    ".xlsx": ("an Excel workbook", "read_excel"),
    ".xls": ("an Excel workbook", "read_excel"),
    ".xlsm": ("an Excel workbook", "read_excel"),
    ".ods": ("an OpenDocument spreadsheet", "read_excel"),
    ".sas7bdat": ("a SAS data set", "read_sas"),
    ".xpt": ("a SAS transport file", "read_sas"),
    ".sav": ("an SPSS file", "read_spss"),
    ".dta": ("a Stata file", "read_stata"),
    ".json": ("JSON", "read_json"),
    ".jsonl": ("JSON", "read_json"),
    ".ndjson": ("JSON", "read_json"),
    ".h5": ("HDF5", "read_hdf"),
    ".pkl": ("a pickle", "read_pickle"),
    ".html": ("HTML", "read_html"),
    ".xml": ("XML", "read_xml"),
    ".rds": ("an R file", ""),
    ".rdata": ("an R file", ""),
    ".db": ("a database", ""),
}
"""By the end of a file's name: what it is, and pandas' function that reads it."""
SIGNS = {
    b"\xd0\xcf\x11\xe0": ".xls",
    b"$FL": ".sav",
    b"<stata_dta>": ".dta",
    b"SQLite format 3": ".db",
    b"\x89HDF": ".h5",
    b"HEADER RECORD***": ".xpt",
    b"\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60": ".sas7bdat",
    b"{": ".json",
    b"[{": ".json",
    b"<!DOCTYPE": ".html",
    b"<html": ".html",
    b"<?xml": ".xml",
    b"RDX": ".rdata",
}


def read_raw(path: Path, asked: Sequence[str], encoding: str | None = None) -> RawTable:
    """Return the table of a file.

    Args:
        asked: Columns that it must have.
        encoding: Of a CSV that is no Unicode.

    Raises:
        CohortError: it can't be read, or has no such columns. No message holds a value.
    """
    if path.is_dir():
        raise CohortError(
            f"{path} is a folder; {EXPECTED}. Many Parquet files are made one by python -c "
            f"\"import pandas; pandas.read_parquet('{path.name}').to_parquet('table.parquet')\""
        )
    if not path.is_file():
        raise CohortError(f"no table at {path}: {EXPECTED}")
    failed, data = "", b""
    try:
        data = path.read_bytes()
    except OSError as error:
        failed = error.strerror or type(error).__name__
    if failed:
        raise CohortError(f"{path} can't be read: {failed}")
    return _read(data, path, path.name.lower(), asked, encoding)


def _read(data: bytes, path: Path, name: str, asked: Sequence[str], encoding: str | None) -> RawTable:
    if not data.strip():
        raise CohortError(f"{path} is empty; {EXPECTED}")
    for sign, expand in COMPRESSED.items():
        if data.startswith(sign):
            return _read(_tried(expand, data, path), path, name.rpartition(".")[0], asked, encoding)
    if data.startswith(b"PK\x03\x04"):
        return _read(_tried(lambda given: _only_member(given, path, name), data, path), path, "", asked, encoding)
    for sign, read in COLUMNAR.items():
        if data.startswith(sign):
            return _columns(_tried(partial(_arrow, read), data, path), path, asked)
    _refuse_others(data, path, name)
    return read_delimited(data, str(path), asked, encoding)


def _arrow(read: Callable[[io.BytesIO], pa.Table], data: bytes) -> pa.Table:
    return read(io.BytesIO(data))


def _tried(work: Callable[[bytes], _Got], data: bytes, path: Path) -> _Got:
    """Return what a library makes of a file; only the kind of its complaint goes further."""
    try:
        return work(data)
    except CohortError:
        raise
    except Exception as error:  # each library has errors of its own, and each may quote a row
        failed = type(error).__name__
    raise CohortError(f"{path} can't be read ({failed}): it seems to be cut short or damaged; {EXPECTED}")


def _only_member(data: bytes, path: Path, name: str) -> bytes:
    """Return the one file of a zip."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = [one for one in archive.namelist() if not one.endswith("/") and not one.startswith("__MACOSX/")]
    if "[Content_Types].xml" in members or "content.xml" in members:
        _refuse(path, name if Path(name).suffix in OTHERS else ".xlsx")
    if len(members) != 1:
        raise CohortError(f"{path} is a zip of {len(members)} files, expected one: unpack it and name the table")
    return archive.read(members[0])


def _refuse_others(data: bytes, path: Path, name: str) -> None:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((kind for sign, kind in SIGNS.items() if data.startswith(sign) or start.startswith(sign)), None)
    suffix = Path(name).suffix
    if kind or suffix in OTHERS:
        _refuse(path, suffix if suffix in OTHERS else str(kind), lines=b"}\n{" in data or b"}\r\n{" in data)
    if suffix in (".parquet", ".pq", ".feather", ".arrow", ".orc"):
        raise CohortError(f"{path} can't be read: it isn't what the end of its name says; {EXPECTED}")


def _refuse(path: Path, name: str, lines: bool = False) -> None:
    what, reader = OTHERS[Path(name).suffix or name]
    option = ", lines=True" if what == "JSON" and lines else ""
    how = (
        (
            f". Convert it: python -c \"import pandas; pandas.{reader}('{path.name}'{option})"
            f".to_parquet('{path.name.split('.')[0]}.parquet')\""
        )
        if reader
        else ". Write the table as CSV"
    )
    raise CohortError(f"{path} is {what}, which isn't read; {EXPECTED}{how}")


def _columns(table: pa.Table, path: Path, asked: Sequence[str]) -> RawTable:
    """Return the columns of a typed table; pandas' own row numbers are none."""
    kept = [number for number, name in enumerate(table.column_names) if not name.startswith("__index_level_")]
    names = tuple(tidy(table.column_names[number]) or nameless(number) for number in kept)
    if set(asked) - set(names):
        raise missing_columns(path, asked, names)
    check_names(path, names)
    if not table.num_rows:
        raise CohortError(f"{path} has {len(names)} columns and no rows")
    return RawTable(names, tuple(table.column(number) for number in kept))
