"""A cohort's rows held against its schema: which rows can be used, and a split into train and test by patient."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from fairshards.catalogs.cohorts.cohort import SPLIT, Cohort, Problem
from fairshards.catalogs.cohorts.rare import Joined
from fairshards.catalogs.cohorts.schema import CohortError, Column, Schema

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Checked:
    """Usable rows, split.

    Attributes:
        schema: The cohort's.
        train, test: The schema's columns: categories as str, integers as Int64, numerics as float64; nulls are missing.
        rejects: Rows that were left out, with the reason.
        cleared: Values outside their valid range that were made missing, by column.
        joined: Rare categories that were joined, by column (``rare.py``).
        patients: By part, whose row each is, where the cohort says it.
        counts, notes, remarks: The cohort's.
    """

    schema: Schema
    train: pd.DataFrame
    test: pd.DataFrame
    rejects: tuple[Problem, ...]
    cleared: Mapping[str, int]
    joined: Mapping[str, Joined] = field(default_factory=dict)
    patients: Mapping[str, pd.Series] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def check_cohort(cohort: Cohort, attribute: str, test_share: float, seed: int) -> Checked:
    """Return the rows that can be used, split.

    A row is left out where label or protected attribute is missing, where a category is none of the schema's, or where
    a rule is broken. A number outside its valid range is made missing. Without a column ``split`` every (y, s) group
    gives ``test_share`` of its rows to test, drawn by ``seed``; whole patients, where it is known whose row each is.

    Raises:
        CohortError: a column is missing or of another type, or nothing usable is left. No message holds a value.
    """
    schema = cohort.schema
    if attribute not in schema.protected:
        raise CohortError(f"{attribute!r} is no protected attribute of {schema.name!r}, which has {schema.protected}")
    table = cohort.rows
    if missing := [name for name in schema.names if name not in table.column_names]:
        raise CohortError(f"cohort {schema.name!r} lacks the columns {missing} among its {len(table.column_names)}")
    frame = pd.DataFrame({column.name: _typed(column, table) for column in schema.columns})
    frame, cleared = _in_range(schema, frame)
    patients = table[cohort.patient].to_pandas() if cohort.patient else None
    wrong = _wrong_rows(schema, attribute, frame)
    if patients is not None:
        for row in np.flatnonzero(patients.isna().to_numpy(bool)):
            wrong.setdefault(int(row), ("missing", f"{cohort.patient} is missing"))
    numbers = cohort.numbers or range(len(frame))
    rejects = [*cohort.rejects, *(Problem(numbers[row], *why) for row, why in sorted(wrong.items()))]
    usable = frame.drop(index=list(wrong))
    if usable.empty:
        reasons = Counter(problem.reason for problem in rejects).most_common(3)
        raise CohortError(f"cohort {schema.name!r} has no usable row; {len(frame)} were read, rejected for {reasons}")
    split = _split(schema, attribute, usable, table, test_share, seed, patients)
    parts = {part: usable[split == part].reset_index(drop=True) for part in (TRAIN, TEST)}
    for part, rows in parts.items():
        if rows.empty:
            raise CohortError(
                f"cohort {schema.name!r} has no {part} row of {len(usable)}; check the column split, or "
                f"test_share (it is {test_share})"
            )
    whose = (
        {}
        if patients is None
        else {part: patients.loc[usable.index][split == part].reset_index(drop=True) for part in (TRAIN, TEST)}
    )
    return Checked(
        schema,
        parts[TRAIN],
        parts[TEST],
        tuple(rejects),
        cleared,
        patients=whose,
        counts=cohort.counts,
        notes=cohort.notes,
        remarks=cohort.remarks,
    )


def _typed(column: Column, table: pa.Table) -> pd.Series:
    values = table[column.name]
    kind = {"numeric": pa.float64(), "integer": pa.int64(), "category": pa.string()}[column.kind]
    cast = numbers = None
    with contextlib.suppress(pa.ArrowException):  # its message quotes a value, so it doesn't travel
        cast = values.cast(kind)
        numbers = cast if column.kind == "category" else cast.cast(pa.float64())
    if cast is None or numbers is None:
        raise CohortError(
            f"column {column.name!r} is {values.type}, expected {column.kind}; some of it can't be read so"
        )
    if column.kind == "category":
        return cast.to_pandas()
    found = numbers.to_pandas().astype("float64")
    return found.astype("Int64") if column.kind == "integer" else found.round(column.decimals) + 0.0  # no -0.0


def _in_range(schema: Schema, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    cleared = {}
    for column in schema.columns:
        if column.kind == "category":
            continue
        outside = invalid(column, frame[column.name])
        if outside.any():
            frame[column.name] = frame[column.name].mask(outside)
            cleared[column.name] = int(outside.sum())
    return frame, cleared


def invalid(column: Column, values: pd.Series) -> pd.Series:
    """Return which values aren't the column's, bool[n]: an unknown category, a number out of range or infinite."""
    if column.kind == "category":
        return values.notna() & ~values.isin(column.categories)
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    outside = ~values.between(low, high).fillna(True).astype(bool)
    return values.notna() & (outside | np.isinf(values.astype("float64")))


def _wrong_rows(schema: Schema, attribute: str, frame: pd.DataFrame) -> dict[int, tuple[str, str]]:
    """Return, by row number, a reason and a sentence for each row that can't be used."""
    wrong: dict[int, tuple[str, str]] = {}

    def mark(rows: pd.Series, reason: str, detail: str) -> None:
        for row in np.flatnonzero(rows.to_numpy(bool)):
            wrong.setdefault(int(row), (reason, detail))

    for name in (schema.label, attribute):
        mark(frame[name].isna(), "missing", f"{name} is missing")
    for column in schema.columns:
        if column.kind == "category":
            mark(
                invalid(column, frame[column.name]),
                "unknown_category",
                f"{column.name} is none of its {len(column.categories)} categories",
            )
    for rule, broken in broken_rules(schema, frame).items():
        mark(broken, "rule", f"breaks the rule: {rule}")
    return wrong


def broken_rules(schema: Schema, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, by rule, which rows break it (bool[n]); what is unknown breaks nothing."""
    if not schema.rules or frame.empty:
        return {rule.name: pd.Series(np.zeros(len(frame), bool)) for rule in schema.rules}
    connection = duckdb.connect()
    connection.register(
        "rows_given",
        pa.Table.from_pandas(frame, preserve_index=False).append_column(
            "row_number_given", pa.array(range(len(frame)))
        ),
    )
    found = {}
    for rule in schema.rules:
        asked = None
        with contextlib.suppress(duckdb.Error):
            asked = connection.sql(f"SELECT row_number_given FROM rows_given WHERE NOT ({rule.sql})").fetchall()
        if asked is None:
            raise CohortError(f"the rule {rule.name!r} of {schema.name!r} can't be asked of its rows: {rule.sql}")
        broken = np.zeros(len(frame), bool)
        broken[[row for (row,) in asked]] = True
        found[rule.name] = pd.Series(broken)
    return found


def _split(
    schema: Schema,
    attribute: str,
    usable: pd.DataFrame,
    table: pa.Table,
    test_share: float,
    seed: int,
    patients: pd.Series | None,
) -> pd.Series:
    """Return "train" or "test" of every usable row, with their index."""
    if SPLIT in table.column_names:
        given = table[SPLIT].to_pandas().reindex(usable.index)
        if unknown := int((~given.isin([TRAIN, TEST])).sum()):
            raise CohortError(
                f"column {SPLIT!r} is neither train nor test in {unknown} rows; where it means something "
                f"else, rename it, or leave it out: cohort.leave_out=[{SPLIT}]"
            )
        if patients is not None and (both := _in_both(given, patients)):
            raise CohortError(
                f"column {SPLIT!r} has {both} patients in both train and test; leave it out, and rows "
                "are split by patient"
            )
        return given
    if patients is not None:
        return _split_patients(schema, attribute, usable, test_share, seed, patients.loc[usable.index])
    generator = np.random.default_rng(seed)
    split = pd.Series(TRAIN, index=usable.index)
    for _, rows in usable.groupby([schema.label, attribute], sort=True):
        chosen = generator.permutation(rows.index.to_numpy())[: round(test_share * len(rows))]
        split.loc[chosen] = TEST
    return split


def _in_both(split: pd.Series, patients: pd.Series) -> int:
    """Return how many patients have rows in both parts."""
    whose = patients.loc[split.index]
    return len(set(whose[split == TRAIN]) & set(whose[split == TEST]))


def _split_patients(
    schema: Schema, attribute: str, usable: pd.DataFrame, test_share: float, seed: int, patients: pd.Series
) -> pd.Series:
    """Return the part of every usable row, by patient: of those whose first row is in a (y, s) group, as many go to
    test as have ``test_share`` of their rows."""
    generator = np.random.default_rng(seed)
    rows = patients.value_counts(sort=False)
    first = usable[~patients.duplicated()].assign(_patient=patients[~patients.duplicated()])
    test: set[object] = set()
    for _, group in first.groupby([schema.label, attribute], sort=True):
        drawn = generator.permutation(group["_patient"].to_numpy())
        taken = np.cumsum(rows[drawn].to_numpy())
        test.update(drawn[: int(np.searchsorted(taken, test_share * taken[-1], side="right"))])
    return pd.Series(np.where(patients.isin(test), TEST, TRAIN), index=usable.index)
