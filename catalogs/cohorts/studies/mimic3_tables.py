"""The files of MIMIC-III: found, checked by their header, and never quoted in an error."""

from __future__ import annotations

import contextlib
import csv
import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairshards.catalogs.cohorts.schema import CohortError

COLUMNS = {
    "patients": "subject_id gender dob dod",
    "admissions": "subject_id hadm_id admittime dischtime deathtime insurance ethnicity hospital_expire_flag",
    "icustays": "subject_id hadm_id icustay_id first_careunit last_careunit first_wardid last_wardid intime outtime",
    "chartevents": "hadm_id icustay_id itemid charttime value valuenum valueuom error",
    "labevents": "hadm_id itemid charttime value valuenum valueuom",
    "diagnoses_icd": "hadm_id icd9_code",
}
"""The columns that are read of each table; the files have more."""

GET = "MIMIC-III v1.4 from physionet.org/content/mimiciii/1.4 has it"


def find_tables(folder: Path, tables: Sequence[str]) -> dict[str, Path]:
    """Return the file of each table: TABLE.csv or TABLE.csv.gz, in upper or lower case.

    Raises:
        CohortError: the folder is missing or MIMIC-IV's, or files are missing; it names them all.
    """
    if not folder.is_dir():
        raise CohortError(f"no folder {folder}: expected the folder with MIMIC-III's CSV files")
    files = {path.name.lower(): path for path in sorted(folder.iterdir())}
    _refuse_mimic4(folder, files)
    found = {name: files.get(f"{name}.csv", files.get(f"{name}.csv.gz")) for name in tables}
    missing = [name.upper() for name, path in found.items() if path is None]
    if missing:
        raise CohortError(
            f"{folder} lacks {len(missing)} of the {len(tables)} tables of MIMIC-III that are read: "
            f"{', '.join(missing)}. Expected e.g. {missing[0]}.csv or {missing[0]}.csv.gz; {GET}"
        )
    return {name: path for name, path in found.items() if path is not None}


def found_twice(folder: Path, read: Mapping[str, Path]) -> list[str]:
    """Return a sentence for each table that has a further file in the folder: which one is read."""
    said = []
    for table, path in read.items():
        others = [
            one
            for one in sorted(folder.iterdir())
            if one != path and one.name.lower() in (f"{table}.csv", f"{table}.csv.gz")
        ]
        if others:
            sizes = {_size(one) for one in (path, *others)}
            differ = "; they differ in size, so one of them may be cut short: remove it" if len(sizes) > 1 else ""
            said.append(f"{path.name} is read, and {', '.join(one.name for one in others)} beside it is not{differ}")
    return said


def _size(path: Path) -> int:
    """Return how many bytes the file holds, unpacked, modulo 2^32; -1 where that can't be told."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = file.seek(0, 2)
        if path.name.lower().endswith(".gz"):
            file.seek(max(0, size - 4))
            size = int.from_bytes(file.read(4), "little")
        return size % 2**32
    return -1


def _refuse_mimic4(folder: Path, files: dict[str, Path]) -> None:
    patients = files.get("patients.csv", files.get("patients.csv.gz"))
    folders = [name for name in ("hosp", "icu") if name in files and files[name].is_dir()]
    if folders or (patients is not None and "anchor_age" in _first_line(patients).lower()):
        sign = " and ".join(f"{one}/" for one in folders) or "anchor_age in patients"
        raise CohortError(
            f"{folder} holds MIMIC-IV ({sign}), which isn't read yet; expected MIMIC-III v1.4, whose "
            "tables are PATIENTS, ADMISSIONS, ICUSTAYS, CHARTEVENTS, ..."
        )


def header(table: str, path: Path) -> list[str]:
    """Return the column names of a table's file in lower case.

    Raises:
        CohortError: columns that are read are missing, or the file isn't comma-separated or can't be read.
    """
    line = _first_line(path)
    names = _names(path, line)
    expected = COLUMNS[table].split()
    missing = [name.upper() for name in expected if name not in names]
    if len(names) <= 1:
        hint = next((f"; it seems to be separated by {word}" for sign, word in SEPARATORS.items() if sign in line), "")
        raise CohortError(
            f"{path} has {len(names)} column{'s' * (not names)} in its first line, expected "
            f"{', '.join(expected).upper()} and more, separated by commas{hint}. Write it with commas, "
            "as PhysioNet's file is"
        )
    if missing:
        raise CohortError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: its first line has "
            f"{len(names)} names and should be {table.upper()}'s header; {GET}"
        )
    if len(set(names)) < len(names):
        raise CohortError(f"{path} names a column twice in its first line; {GET}")
    return names


SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars"}


def _names(path: Path, line: str) -> list[str]:
    try:
        return [name.strip().lower() for name in next(csv.reader([line]), [])]
    except csv.Error as error:
        problem = type(error).__name__
    raise _unreadable(path, problem)


def _first_line(path: Path) -> str:
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
            return file.readline(100_000).decode("utf-8-sig", "replace").strip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        problem = type(error).__name__
    raise _unreadable(path, problem)


def _unreadable(path: Path, problem: str) -> CohortError:
    return CohortError(
        f"{path} can't be read ({problem}): it seems to be cut short or damaged. Compare its SHA-256 "
        "with PhysioNet's, download it again"
    )
