"""MIMIC-III: the first 48 hours of adults' ICU stays, and who of them died in hospital, from the original CSV files.

``read_mimic3`` makes the cohort, ``read_mimic3_outcomes`` also what became of each stay. The questions are the SQL
files of ``catalogs/sql/cohorts/mimic3``; they say which rules of mimic3-benchmarks (Harutyunyan et al., Scientific Data
6:96, 2019) are followed. MIMIC-III is for credentialed people: the cohort and DuckDB's temporary files hold patients'
rows; errors, counts and rejects hold none.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from fairshards.catalogs.cohorts.cohort import Cohort, Problem
from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.statements import cohort_sql
from fairshards.catalogs.cohorts.studies.mimic3_schema import CHANNELS, ROWS, SCHEMA
from fairshards.catalogs.cohorts.studies.mimic3_tables import COLUMNS, find_tables, found_twice, header

DETAILS = {
    "missing_id": "ICUSTAY_ID, HADM_ID or SUBJECT_ID is missing or no number",
    "duplicate_stay": "an earlier row has the same ICUSTAY_ID",
    "missing_intime": "INTIME is missing or no time",
    "missing_outtime": "OUTTIME is missing or no time",
    "out_before_in": "OUTTIME is before INTIME",
    "no_admission": "ADMISSIONS has no row with its HADM_ID and SUBJECT_ID",
    "no_patient": "PATIENTS has no row with its SUBJECT_ID",
    "missing_admittime": "the admission's ADMITTIME is missing or no time",
    "missing_dischtime": "the admission's DISCHTIME is missing or no time",
    "missing_dob": "the patient's DOB is missing or no time",
    "death_before_admission": "DEATHTIME is before ADMITTIME, or DOD before its day",
    "death_before_stay": "DEATHTIME is before INTIME",
}
"""What each reason of stays.sql means."""

MALFORMED_LIMIT = 1000
"""table.sql's rejects_limit: from here on a file isn't MIMIC's usual dirt but damaged."""

FEATURES = ("measurements", "coma_scale", "capillary_refill", "mortality", "protected", "split", "features")
STATES = ("valid", "unreadable", "out_of_range", "marked_wrong")


@dataclass(frozen=True)
class Mimic3:
    """The cohort, and its outcomes row by row: ``los_days`` and 25 phenotypes (bool). They aren't features."""

    cohort: Cohort
    outcomes: pa.Table


def read_mimic3(folder: Path, *, memory: str = "3GB", threads: int | None = None, work: Path | None = None) -> Cohort:
    """Return the cohort of a folder with PATIENTS, ADMISSIONS, ICUSTAYS, CHARTEVENTS and LABEVENTS as .csv or .csv.gz.

    A row is an ICU stay with 30 means, minima and maxima, height, weight, the coma scale and capillary refill of its
    first 48 hours, four protected attributes, the label ``in_hospital_death`` and ``split``, which is by patient.

    Args:
        folder: Where the files are; names in upper or lower case.
        memory: What DuckDB may use; the process needs some 0.5 GB more.
        threads: How many threads DuckDB uses; None is one a core.
        work: Where DuckDB may write temporary files, which hold patients' rows and are removed; None is the system's.

    Raises:
        CohortError: files or columns are missing, a file is damaged, or no stay is left. No message holds a value.
    """
    return _Reading(folder, memory, threads, outcomes=False).run(work).cohort


def read_mimic3_outcomes(
    folder: Path, *, memory: str = "3GB", threads: int | None = None, work: Path | None = None
) -> Mimic3:
    """Return the cohort with length of stay and phenotypes; also reads DIAGNOSES_ICD. Otherwise as ``read_mimic3``."""
    return _Reading(folder, memory, threads, outcomes=True).run(work)


@dataclass(frozen=True)
class _Reading:
    """One reading of a folder."""

    folder: Path
    memory: str
    threads: int | None
    outcomes: bool

    def run(self, work: Path | None) -> Mimic3:
        tables = [name for name in COLUMNS if self.outcomes or name != "diagnoses_icd"]
        files = find_tables(self.folder, tables)
        names = {table: header(table, path) for table, path in files.items()}
        if work is not None:
            work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fairshards-mimic3-", dir=work) as temporary:
            con = self.connect(temporary)
            try:
                return self.read(con, files, names)
            finally:
                con.close()

    def connect(self, temporary: str) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {"memory_limit": self.memory, "temp_directory": temporary}
        if self.threads is not None:
            config["threads"] = self.threads
        try:
            return duckdb.connect(config=config)
        except duckdb.Error as error:
            problem = type(error).__name__
        raise CohortError(
            f"DuckDB doesn't start with memory={self.memory!r} and threads={self.threads} ({problem}); "
            "expected e.g. memory='3GB', threads=4"
        )

    def read(self, con: duckdb.DuckDBPyConnection, files: dict[str, Path], names: dict[str, list[str]]) -> Mimic3:
        self.declare(con, files, names)
        for question in ("items", "words", "stays", "cohort", "events"):
            self.ask(con, question)
        for question in FEATURES:
            self.ask(con, question)
        outcomes = self.became(con)
        counts = self.malformed(con, files) | dict(self.ask(con, "counts")) | self.event_counts(con)
        if not counts["stays"]:
            raise CohortError(
                f"no stay of {self.folder} is left: {_sentence(counts)}. Expected adults' ICU stays of "
                "48 hours or longer, with measurements in CHARTEVENTS or LABEVENTS"
            )
        rejects = tuple(Problem(row, reason, DETAILS[reason]) for row, reason in self.ask(con, "rejects"))
        rows = self.table(con, "rows").select(ROWS.names).cast(ROWS)
        remarks = tuple(found_twice(self.folder, files))
        return Mimic3(Cohort(SCHEMA, rows, rejects, counts, remarks=remarks), outcomes)

    def declare(self, con: duckdb.DuckDBPyConnection, files: dict[str, Path], names: dict[str, list[str]]) -> None:
        channels = [(one.name, one.decimals, 10**one.decimals, one.low, one.high) for one in CHANNELS]
        self.ask(con, "channels")
        con.executemany("INSERT INTO channels VALUES ($1, $2, $3, $4, $5)", channels)
        for table, path in files.items():
            variable = {"path": str(path), "columns": dict.fromkeys(names[table], "VARCHAR")}
            con.execute(f"SET VARIABLE {table} = $1", [variable])
            self.ask(con, "table", table)

    def ask(self, con: duckdb.DuckDBPyConnection, question: str, table: str = "") -> list[Any]:
        """Run the file of a question; what DuckDB says of a failure may quote rows, so it goes no further."""
        try:
            answer: list[Any] = con.execute(cohort_sql(f"mimic3/{question}").replace("{table}", table)).fetchall()
            return answer
        except duckdb.Error as error:
            problem = type(error)
        raise self.failure(question, problem)

    def table(self, con: duckdb.DuckDBPyConnection, question: str) -> pa.Table:
        try:
            return con.sql(cohort_sql(f"mimic3/{question}")).to_arrow_table()
        except duckdb.Error as error:
            problem = type(error)
        raise self.failure(question, problem)

    def failure(self, question: str, problem: type[duckdb.Error]) -> CohortError:
        if problem is duckdb.OutOfMemoryException:
            return CohortError(f"memory={self.memory!r} isn't enough for {question}.sql; give more, or fewer threads")
        return CohortError(
            f"{self.folder} can't be read ({problem.__name__} in {question}.sql): a file seems to be "
            "cut short or damaged (compare its SHA-256 with PhysioNet's), or the disk is full"
        )

    def malformed(self, con: duckdb.DuckDBPyConnection, files: dict[str, Path]) -> dict[str, int]:
        found = {file: (n, problems) for file, n, problems in self.ask(con, "malformed")}
        counts = {table: found.get(path.name, (0, 0)) for table, path in files.items()}
        for table, (_, problems) in counts.items():
            if problems >= MALFORMED_LIMIT:
                raise CohortError(
                    f"{files[table]} has {MALFORMED_LIMIT:,} or more rows whose columns aren't its "
                    "header's, or whose quotes don't close; expected PhysioNet's file, with commas"
                )
        return {f"malformed_{table}": n for table, (n, _) in counts.items()}

    def event_counts(self, con: duckdb.DuckDBPyConnection) -> dict[str, int]:
        found = {(channel, state): n for channel, state, n in self.ask(con, "event_counts")}
        return {f"{one.name}_{state}": found.get((one.name, state), 0) for one in CHANNELS for state in STATES}

    def became(self, con: duckdb.DuckDBPyConnection) -> pa.Table:
        if not self.outcomes:
            return pa.table({})
        for question in ("length_of_stay", "phenotypes"):
            self.ask(con, question)
        return self.table(con, "outcomes")


def _sentence(counts: dict[str, int]) -> str:
    left_out = [
        f"{n} {name.removeprefix('left_out_').replace('_', ' ')}"
        for name, n in counts.items()
        if name.startswith("left_out_") and n
    ]
    return f"ICUSTAYS has {counts['stays_in_file']} rows, of which {counts['stays_rejected']} rejected" + (
        f", left out: {', '.join(left_out)}" if left_out else ""
    )
