"""One column of a table: what it is taken for, by its cells and by what the recipe says of it; never what stands there.

A column that can't be taken is refused by its name, a count, and the setting that mends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.schema import LEAST, CohortError, Column
from fairshards.catalogs.cohorts.tables.cells import (
    Floats,
    Numbers,
    as_numbers,
    compact_dates,
    dates,
    missing_texts,
    trimmed,
    with_units,
)
from fairshards.catalogs.cohorts.tables.decimals import decimals_of
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting, Word, words_of

ODD_SHARE = 0.05
"""Cells of a column of numbers that may be none: they are made missing, and counted."""
FEW_NUMBERS = 12
"""Distinct whole numbers beside words that are codes, e.g. stages 1, 2, 3A; more were measured."""
LEAST_PLAIN = 3
"""Distinct numbers that a column of bounds has; fewer, and "<65" is a group of ages."""
MOST_CATEGORIES = 100
FEW_CATEGORIES, MOSTLY = 10, 0.5
"""A category has at most so many values, or fewer than this share of its cells: others are mostly unique."""
_WHOLE, _NO_DECIMALS = r"^[+-]?(?:\d+(?:\.0*|,00?)?|\.0+|,00?)$", r"(?:\.0*|,00?)$"
"""Whole numbers, also as SPSS and SAS write them: 1.00, 1,00 and .00 for 0."""
MOST_INTEGER = 2**53
"""The largest whole number that a float64 can't miss."""


@dataclass(frozen=True)
class Taken:
    """A column as it is used: what it is, its cells, and notes without a value for people."""

    column: Column
    values: pa.Array
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Texts:
    """A column of text: its distinct trimmed texts, how many cells have each, and which one a cell has (-1: none)."""

    name: str
    words: pa.Array
    counts: NDArray[np.int64]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, name: str, values: pa.ChunkedArray) -> Texts:
        """Return the texts of a column."""
        found = trimmed(values.combine_chunks()).dictionary_encode()
        codes = pc.fill_null(found.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        return cls(name, found.dictionary, np.bincount(codes[codes >= 0], minlength=len(found.dictionary)), codes)

    def cells(self, of_words: Floats) -> Floats:
        """Return float64[n], each cell's number."""
        return np.append(of_words, np.nan)[self.codes]

    def numbers(self, said: ColumnSetting, missing: set[str], usual: str = ".") -> Numbers:
        """Return the distinct texts as numbers."""
        kept = np.where(missing_texts(self.words, missing), 0, self.counts)
        return as_numbers(self.words, kept, said.decimal, usual)


def taken_text(texts: Texts, read: Numbers, said: ColumnSetting, missing: set[str], censored: str) -> Taken:
    """Return what a column of text is taken for.

    Raises:
        CohortError: it is partly numbers, dates, ids or free text.
    """
    gone = missing_texts(texts.words, missing)
    if not read.codes:  # 09 among codes isn't the -9, or 9, that is said to be missing
        gone |= read.plain & np.isin(read.values, [*numbers_in(missing)])
    odd = ~(gone | read.plain | read.censored | read.infinite | read.missing)
    counts = {
        name: int(texts.counts[flags & ~gone].sum())
        for name, flags in (
            ("plain", read.plain),
            ("censored", read.censored),
            ("infinite", read.infinite),
            ("odd", odd),
            ("missing", read.missing),
        )
    }
    numbers = counts["plain"] + counts["censored"] + counts["infinite"]
    distinct = int((read.plain & ~gone).sum())
    if numbers + counts["odd"] + counts["missing"] == 0:
        return empty(texts.name, len(texts.codes))
    if said.kind == "category" or (said.kind is None and not numbers):
        return _category(texts, gone, said.kind == "category")
    if said.kind is None:
        if read.codes and distinct <= MOST_CATEGORIES:
            return _category(texts, gone, True, "codes: some begin with 0")
        groups = counts["censored"] and distinct < LEAST_PLAIN
        if groups or counts["odd"] > ODD_SHARE * (numbers + counts["odd"]):
            if not groups and numbers >= counts["odd"] and (read.fractions or distinct > FEW_NUMBERS):
                raise _partly(texts, counts["odd"], numbers, odd, gone)
            note = "groups" if groups else f"{numbers} of {numbers + counts['odd']} cells are numbers"
            return _category(texts, gone, False, note)
    if not numbers:
        raise CohortError(f"column {texts.name!r} is to be numeric, but none of its cells is a number")
    return _numbers_of(texts, read, gone, counts, said, censored, odd)


def _numbers_of(
    texts: Texts,
    read: Numbers,
    gone: NDArray[np.bool_],
    counts: dict[str, int],
    said: ColumnSetting,
    censored: str,
    odd: NDArray[np.bool_],
) -> Taken:
    name, cells = texts.name, len(texts.codes)
    used = (read.plain | (read.censored & (censored == "bound"))) & ~gone
    notes, remarks = [], []
    if counts["odd"]:
        first = int(np.flatnonzero(np.append(odd & ~gone, False)[texts.codes])[0]) + 1
        remarks.append(f"{_cells(name, counts['odd'], cells)} no number (made missing; the first is in row {first})")
        notes.append(f"{counts['odd']} no number")
    if counts["infinite"]:
        remarks.append(f"{_cells(name, counts['infinite'], cells)} infinite (made missing)")
        notes.append(f"{counts['infinite']} infinite")
    if counts["censored"]:
        done = "the bound is taken" if censored == "bound" else "made missing"
        remarks.append(
            f"{_cells(name, counts['censored'], cells)} a bound, with a sign such as < or > ({done}; "
            "cohort.censored says which)"
        )
        notes.append(f"{counts['censored']} bounds")
    if read.percent:
        notes.append("percent signs dropped")
    if read.decimal == "," and read.fractions:
        notes.append("decimal commas")
    if read.grouped:
        sign = "." if read.decimal == "," else ","
        notes.append(f"thousands grouped by {'commas' if sign == ',' else 'points'}, spaces or apostrophes")
        if not read.sure and said.decimal is None:
            remarks.append(
                f"{name}: a sign before three digits is read as one that groups thousands; where it is "
                f"before decimals, say cohort.columns={{{name}: {{decimal: '{sign}'}}}}"
            )
    found = numeric(name, texts.cells(np.where(used, read.values, np.nan)), said)
    return Taken(found.column, found.values, (*notes, *found.notes), (*remarks, *found.remarks))


def _partly(texts: Texts, odd: int, numbers: int, flags: NDArray[np.bool_], gone: NDArray[np.bool_]) -> CohortError:
    first = int(np.flatnonzero(np.append(flags & ~gone, False)[texts.codes])[0]) + 1
    return CohortError(
        f"column {texts.name!r} has {numbers} cells that are numbers and {odd} that are neither number nor missing "
        f"(the first in row {first}). Name spellings of missing in cohort.missing, or say cohort.columns="
        f"{{{texts.name}: {{kind: numeric}}}} to make them missing, or {{kind: category}}"
    )


def numeric(name: str, values: Floats, said: ColumnSetting) -> Taken:
    """Return a column of numbers (float64[n], NaN is missing) at the precision that it has.

    Raises:
        CohortError: most of them are dates in eight digits, and nothing says that they are numbers.
    """
    infinite = np.isinf(values)
    values = np.where(infinite, np.nan, values)
    known = values[~np.isnan(values)]
    remarks = [f"{_cells(name, int(infinite.sum()), len(values))} infinite (made missing)"] if infinite.any() else []
    if not len(known):
        return replace(empty(name, len(values)), remarks=tuple(remarks))
    decimals = decimals_of(known) if said.decimals is None else said.decimals
    values = np.round(values, decimals) + 0.0
    whole = decimals == 0 and np.abs(known).max() <= MOST_INTEGER
    column = Column(name, "integer" if whole else "numeric", decimals, said.low, said.high, unit=said.unit)
    cells = pa.array(values, pa.float64(), from_pandas=True)
    distinct, counts = np.unique(known, return_counts=True)
    if whole and said.kind is None and len(distinct) > 2 and compact_dates(distinct).mean() > MOSTLY:
        raise dated(name, f"; a number all the same: cohort.columns={{{name}: {{kind: numeric}}}}")
    if coded := _code(distinct, counts):
        remarks.append(
            f"{_cells(name, coded[1], len(values))} its {coded[0]} number, far from all others: where that "
            f"is a code for missing, name it in cohort.columns={{{name}: {{missing: [...]}}}}"
        )
    notes = ("constant",) if len(distinct) == 1 else ()
    return Taken(column, cells.cast(pa.int64()) if whole else cells, notes, tuple(remarks))


def _code(distinct: Floats, counts: NDArray[np.int64]) -> tuple[str, int] | None:
    """Return whether the least or the largest number looks like a code for missing, such as -9 or 999, and how many
    cells have it."""
    if len(distinct) < FEW_NUMBERS:
        return None
    for end, inner, word in ((0, 1, "least"), (-1, -2, "largest")):
        others = distinct[1:] if end == 0 else distinct[:-1]
        nines = set(str(abs(distinct[end])).removesuffix(".0")) <= {"9", "8", "7"}
        if nines and counts[end] >= LEAST and abs(distinct[end] - distinct[inner]) > np.ptp(others):
            return word, int(counts[end])
    return None


def _cells(name: str, some: int, cells: int) -> str:
    return f"{name}: {some} of {cells} cells {'is' if some == 1 else 'are'}"


def empty(name: str, rows: int) -> Taken:
    """Return a column that nobody has; it is given back so."""
    return Taken(Column(name, "numeric"), pa.nulls(rows, pa.float64()), ("empty",))


def _category(texts: Texts, gone: NDArray[np.bool_], asked: bool, *notes: str) -> Taken:
    """Return a column of words, refused where they are mostly unique; whole numbers are so without decimals."""
    words = texts.words
    there = words.filter(pa.array(~gone))
    if pc.all(pc.match_substring_regex(there, _WHOLE)).as_py():
        words = pc.replace_substring_regex(pc.replace_substring_regex(words, _NO_DECIMALS, ""), "^$", "0")
    found = tuple(sorted(set(words.filter(pa.array(~gone)).to_pylist())))
    _check_unique(texts.name, there, texts.counts[~gone], len(found), asked)
    codes = np.where(np.append(gone, True)[texts.codes], -1, texts.codes)
    cells = words.take(pa.array(codes, pa.int64(), mask=codes < 0))
    remarks = []
    if len({word.casefold() for word in found}) < len(found):
        remarks.append(f"{texts.name}: some of its {len(found)} values differ in case alone")
    notes = (*notes, *(("constant",) if len(found) == 1 else ()))
    return Taken(Column(texts.name, "category", categories=found), cells, notes, tuple(remarks))


def _check_unique(name: str, there: pa.Array, counts: NDArray[np.int64], distinct: int, asked: bool) -> None:
    """Refuse dates, measurements with units, and what is mostly unique; ``asked`` says that it is a category."""
    known = int(counts.sum())
    mostly = distinct > FEW_CATEGORIES and distinct > MOSTLY * known
    if not asked and distinct > 2 and int(counts[dates(there)].sum()) > MOSTLY * known:
        raise dated(name)
    if not asked and distinct > FEW_NUMBERS and (measured := int(counts[with_units(there)].sum())) > MOSTLY * known:
        raise CohortError(
            f"column {name!r} has numbers with a unit, a currency or a sign, or two numbers, in "
            f"{measured} of {known} cells: write one number alone, or leave it out: "
            f"cohort.leave_out=[{name}]; as words: cohort.columns={{{name}: "
            "{kind: category}}"
        )
    if not mostly and (asked or distinct <= MOST_CATEGORIES):
        return
    more = "" if mostly else f"; a category of so many is cohort.columns={{{name}: {{kind: category}}}}"
    raise CohortError(
        f"column {name!r} has {distinct} values in {known} rows: is it an id or free text? Leave it out: "
        f"cohort.leave_out=[{name}]; where it says whose row it is: cohort.patient={name}{more}"
    )


def dated(name: str, more: str = "") -> CohortError:
    """Return the refusal of a column of dates."""
    return CohortError(
        f"column {name!r} holds dates or times, which aren't modelled: turn it into a number, e.g. days "
        f"since admission, or leave it out: cohort.leave_out=[{name}]{more}"
    )


def numbers_in(words: set[str]) -> Iterator[float]:
    """Yield the numbers among texts: -9 is missing where it is written -9.00, too."""
    for word in words:
        with contextlib.suppress(ValueError):
            yield float(word)


def missing_words(said: tuple[Word, ...]) -> set[str]:
    """Return the casefolded texts that settings call missing."""
    return set().union(*(words_of(word) if not isinstance(word, bool) else {str(word).casefold()} for word in said))
