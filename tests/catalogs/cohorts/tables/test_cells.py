"""Distinct texts of a column as numbers: each kind of number, what is none, and what a whole column is found to be."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from fairshards.catalogs.cohorts.tables.cells import (
    Numbers,
    as_numbers,
    compact_dates,
    dates,
    missing_texts,
    trimmed,
    with_units,
)


def numbers_of(*texts: str, decimal: str | None = None, counts: tuple[int, ...] = ()) -> Numbers:
    """Read texts as numbers; each stands in one cell, or in ``counts``."""
    return as_numbers(pa.array(texts), np.array(counts or [1] * len(texts)), decimal)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0),
        ("-0.5", -0.5),
        ("+7", 7.0),
        (".5", 0.5),
        ("−3", -3.0),
        ("1.5e3", 1500.0),
        ("2D-1", 0.2),
        ("1,234,567", 1234567.0),
        ("12 345", 12345.0),
    ],
)
def test_a_number_is_read(text: str, value: float) -> None:
    found = numbers_of(text)
    assert (found.values.tolist(), found.plain.tolist(), found.censored.tolist()) == ([value], [True], [False])


@pytest.mark.parametrize("text", ["1,23,4", "12-5", "1 2", "e5", "high", ""])
def test_what_is_no_number_has_no_value(text: str) -> None:
    found = numbers_of(text)
    assert math.isnan(found.values[0]) and not (found.plain | found.censored | found.infinite).any()


@pytest.mark.parametrize(("text", "bound"), [("<0.1", 0.1), ("≥ 90", 90.0), ("65+", 65.0)])
def test_a_bound_is_censored(text: str, bound: float) -> None:
    found = numbers_of(text)
    assert (found.values.tolist(), found.plain.tolist(), found.censored.tolist()) == ([bound], [False], [True])


@pytest.mark.parametrize("text", ["-inf", "Infinity", "∞", "1e999"])
def test_what_has_no_end_is_infinite(text: str) -> None:
    found = numbers_of(text)
    assert found.infinite.tolist() == [True] and not (found.plain | found.censored).any()


def test_words_that_say_missing_among_numbers_do() -> None:
    found = numbers_of("1", "unknown", "NA", "none", "-", "well")
    assert found.missing.tolist() == [False, True, True, True, True, False]


def test_the_decimal_sign_is_the_one_under_which_more_cells_are_numbers() -> None:
    german = numbers_of("1,5", "2,75", "3.000,1")
    assert (german.decimal, german.values.tolist(), german.sure) == (",", [1.5, 2.75, 3000.1], True)
    many = numbers_of("1,5", "2.5", counts=(2, 9))
    assert (many.decimal, many.plain.tolist()) == (".", [False, True])
    either = numbers_of("1,234")
    assert (either.decimal, either.values.tolist(), either.sure, either.grouped) == (".", [1234.0], False, True)
    told = numbers_of("1,234", decimal=",")
    assert (told.decimal, told.values.tolist(), told.grouped, told.fractions) == (",", [1.234], False, True)


@pytest.mark.parametrize(
    ("texts", "found_to_be"),
    [
        (("1", "2"), set()),
        (("1,000", "2"), {"grouped"}),
        (("10%", "20 %"), {"percent"}),
        (("007", "12"), {"codes"}),
        (("0", "0.5"), {"fractions"}),
        (("1.0", "2"), {"fractions"}),  # as written: the column's decimals are counted later
    ],
)
def test_what_a_column_is_found_to_be(texts: tuple[str, ...], found_to_be: set[str]) -> None:
    found = numbers_of(*texts)
    flags = {name for name in ("grouped", "percent", "codes", "fractions") if getattr(found, name)}
    assert flags == found_to_be and all(type(getattr(found, name)) is bool for name in flags)


def test_percent_beside_bare_numbers_is_another_scale() -> None:
    found = numbers_of("45%", "0.45")
    assert found.plain.tolist() == [False, True] and not found.percent


@pytest.mark.parametrize(
    ("text", "missing"), [("", True), ("N/A", True), (".a", True), (".ab", False), ("-9", True), ("none", False)]
)
def test_spellings_of_missing_hold_in_every_column(text: str, missing: bool) -> None:
    assert missing_texts(pa.array([text]), {"-9"}).tolist() == [missing]


def test_an_empty_cell_is_no_text_and_is_no_missing_word() -> None:
    assert trimmed(pa.array([" a\t", None])).to_pylist() == ["a", None]
    assert missing_texts(pa.array([None], pa.string())).tolist() == [False]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-31", True),
        ("31.1.24", True),
        ("3 Feb 2020", True),
        ("Feb 3, 2020 10:00", True),
        ("10:30", True),
        ("2024-01", False),
        ("1.5", False),
        ("1/2-2020", False),
    ],
)
def test_dates_are_told_from_numbers(text: str, date: bool) -> None:
    assert dates(pa.array([text])).tolist() == [date]


def test_dates_in_eight_digits() -> None:
    values = np.array([19000101, 20991231, 18991231, 21000101, 20241301, 20240001, 20240132, 20240100], float)
    assert compact_dates(values).tolist() == [True, True] + [False] * 6


@pytest.mark.parametrize(
    ("text", "unit"), [("12 mg/dl", True), ("$5", True), ("120/80", True), ("12", True), ("mg 12", False)]
)
def test_measurements_with_units_and_pairs(text: str, unit: bool) -> None:
    assert with_units(pa.array([text])).tolist() == [unit]
