"""Cells of text as numbers, by a rule of our own: missing, decimal commas, groups of thousands, bounds, percent.

All is decided by the whole column, over its distinct texts. No text goes further than this: callers count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MISSING = frozenset(
    (
        "",
        ".",
        "..",
        "...",
        "?",
        "na",
        "n/a",
        "n.a.",
        "n.a",
        "<na>",
        "#n/a",
        "#n/a n/a",
        "#na",
        "#null!",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
        "#num!",
        "nan",
        "-nan",
        "1.#ind",
        "-1.#ind",
        "1.#qnan",
        "-1.#qnan",
        "nat",
        "null",
        "(null)",
        "<null>",
        "\\n",
    )
)
"""Spellings of missing in every column, whatever their case: empty, R's, pandas', Excel's, SAS', SQL's."""

NO_NUMBER = frozenset(
    (
        "-",
        "--",
        "---",
        "–",
        "—",
        "_",
        "*",
        "none",
        "nil",
        "missing",
        "(missing)",
        "unknown",
        "unk",
        "not known",
        "not available",
        "not done",
        "not measured",
        "not tested",
        "not applicable",
        "nd",
        "n.d.",
        "n/d",
        "nk",
        "nr",
        "pending",
        "tba",
        "tbd",
        "#n/d",
        "#nv",
    )
)
"""Spellings of missing among numbers alone: in a category none and unknown are values, and - is a test's result."""

_CODED = r"^\.[a-zA-Z_]$"
"""SAS' and Stata's special missing values."""
_GROUPS = {".": ",", ",": "."}
_SPACES = " \u00a0\u2009\u202f'’"
"""What groups thousands beside the other sign: spaces, thin ones, apostrophes."""
_INFINITE = r"^[+-]?(?i:inf|infinity|∞)$"
_BOUND = r"^(?:<=|>=|=<|=>|<|>|≤|≥|≦|≧|＜|＞)\s*"
_AND_MORE = r"\s*\+$"
_PERCENT = r"\s*[%％]$"
_ZEROS = r"^0\d+$"
_DATE = (
    r"^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
    r"|\d{1,2}(?:-\d{1,2}-|/\d{1,2}/|\.\d{1,2}\.)(?:\d{4}|\d{2})"
    r"|\d{1,2}[- ]?[A-Za-z]{3,9}[- ,]*\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4})(?:[ T:].*)?$"
    r"|^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"
)
_PAIR = r"^\d[\d.,]*\s*/\s*\d[\d.,]*$"
_WITH_UNIT = r"^[$€£¥]?\s*[+-]?\d[\d.,]*\s*(?:[A-Za-zµμ°/%^²³*]{1,12}(?:/\S{1,12})?)?$"


@dataclass(frozen=True)
class Numbers:
    """A column's distinct texts as numbers.

    Attributes:
        values: float64[k]; NaN where there is no number.
        plain, censored, infinite, missing: bool[k]: a number, a bound such as <0.1, no end, or a spelling of missing.
        decimal: "." or ",".
        sure: More cells are numbers under it than under the other one.
        grouped: Thousands are grouped by a sign that could be the decimal one.
        percent: All numbers have a percent sign.
        codes: Some begin with zeros, as codes do.
        fractions: Some have decimals.
    """

    values: Floats
    plain: Flags
    censored: Flags
    infinite: Flags
    missing: Flags
    decimal: Literal[".", ","]
    sure: bool
    grouped: bool
    percent: bool
    codes: bool
    fractions: bool


def trimmed(texts: pa.Array) -> pa.Array:
    """Return texts without blanks around them."""
    return pc.utf8_trim_whitespace(texts.cast(pa.string()))


def missing_texts(texts: pa.Array, further: Iterable[str] = ()) -> Flags:
    """Return which texts say that a value is missing, in any column; ``further`` are casefolded."""
    known = pa.array(sorted(MISSING | set(further)), pa.string())
    return _flags(pc.is_in(pc.utf8_lower(texts), known)) | _matches(texts, _CODED)


def as_numbers(texts: pa.Array, counts: NDArray[np.int64], decimal: str | None, usual: str = ".") -> Numbers:
    """Return distinct trimmed texts as numbers.

    Args:
        counts: int64[k], how many cells have each.
        decimal: The sign before decimals; None: the one under which more cells are numbers.
        usual: The sign where both are right, e.g. in 1,234.
    """
    missing = missing_texts(texts) | _flags(pc.is_in(pc.utf8_lower(texts), pa.array(sorted(NO_NUMBER), pa.string())))
    infinite = _matches(texts, _INFINITE)
    percent, bounded = _matches(texts, _PERCENT), _matches(texts, _BOUND) | _matches(texts, r"\d\s*\+$")
    bare = texts
    for pattern in (_BOUND, _AND_MORE, _PERCENT):
        bare = pc.replace_substring_regex(bare, pattern, "")
    bare = pc.replace_substring_regex(bare, r"^[−–]", "-")
    read = {sign: _parsed(bare, sign) for sign in (".", ",")}
    found = {sign: int(counts[~np.isnan(values)].sum()) for sign, values in read.items()}
    chosen = decimal or (usual if found["."] == found[","] else max(found, key=lambda sign: found[sign]))
    values = read[chosen]
    number = ~np.isnan(values)
    whole = percent[number].all() and number.any()
    if not whole:  # 45% beside 0.45: not the same scale
        number &= ~percent
    infinite |= number & np.isinf(values)
    number &= ~infinite
    values = np.where(number, values, np.nan)
    grouped = number & _matches(bare, rf"\d[{_GROUPS[chosen]}]\d")
    return Numbers(
        values,
        number & ~bounded,
        number & bounded,
        infinite,
        missing & ~number,
        "," if chosen == "," else ".",
        found["."] != found[","],
        bool(grouped.any()),
        bool(whole),
        bool((number & _matches(bare, _ZEROS)).any()),
        bool((values[number] % 1 != 0).any() or (number & _matches(bare, rf"\{chosen}\d")).any()),
    )


def dates(texts: pa.Array) -> Flags:
    """Return which texts look like dates or times."""
    return _matches(texts, _DATE)


def compact_dates(values: Floats) -> Flags:
    """Return which numbers are a year, a month and a day in eight digits, as databases write 20240131."""
    year, month, day = values // 10_000, values // 100 % 100, values % 100
    found: Flags = (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return found


def with_units(texts: pa.Array) -> Flags:
    """Return which texts look like a number with a unit or a currency, or like two of them, as 120/80 is."""
    return _matches(texts, _WITH_UNIT) | _matches(texts, _PAIR)


def _parsed(bare: pa.Array, sign: str) -> Floats:
    """Return float64[k] of texts with ``sign`` before their decimals; NaN where they are no number."""
    group = f"[{_GROUPS[sign]}{_SPACES}]"
    digits = rf"(?:(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)(?:\{sign}\d*)?|\{sign}\d+)"
    there = _matches(bare, rf"^[+-]?{digits}(?:[eEdD][+-]?\d{{1,3}})?$")
    plain = pc.replace_substring_regex(bare, group, "")
    plain = pc.replace_substring_regex(plain, "[dD]", "e")
    if sign == ",":
        plain = pc.replace_substring(plain, ",", ".")
    plain = pc.if_else(pa.array(there), pc.replace_substring_regex(plain, r"^\+", ""), pa.scalar(None, pa.string()))
    values: Floats = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _matches(texts: pa.Array, pattern: str) -> Flags:
    return _flags(pc.match_substring_regex(texts, pattern))


def _flags(found: pa.Array) -> Flags:
    flags: Flags = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return flags
