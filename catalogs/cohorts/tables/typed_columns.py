"""Columns that have a type already, in Parquet files and DataFrames: each is texts, numbers, or refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.columns import Taken, dated, numbers_in, numeric
from fairshards.catalogs.cohorts.tables.raw_table import RawTable
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting


def plain(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column's cells as text, or as float64.

    Raises:
        CohortError: it holds lists, dates or another type that a record's column can't have.
    """
    kind = values.type
    if isinstance(kind, pa.UuidType):
        texts = [None if one is None else str(one) for one in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if isinstance(kind, pa.DictionaryType | pa.RunEndEncodedType):
        return plain(name, pa.chunked_array([pa.array(values.to_pylist(), kind.value_type)]))
    types = pa.types
    if types.is_null(kind):
        return values.cast(pa.string())
    if types.is_boolean(kind):
        words = [None if one is None else str(one) for one in values.to_pylist()]
        return pa.chunked_array([pa.array(words, pa.string())])
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return values.cast(pa.string())
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return pa.chunked_array([pa.array(_floats(values), pa.float64(), from_pandas=True)])
    if types.is_temporal(kind):
        raise dated(name)
    what = next(
        (
            word
            for word, of in (
                ("lists", types.is_list),
                ("lists", types.is_large_list),
                ("lists", types.is_fixed_size_list),
                ("structs", types.is_struct),
                ("maps", types.is_map),
                ("bytes", types.is_binary),
                ("bytes", types.is_large_binary),
                ("bytes", types.is_fixed_size_binary),
            )
            if of(kind)
        ),
        f"values of type {kind.id if kind.num_fields else kind}",
    )
    raise CohortError(
        f"column {name!r} holds {what}; a column has one number or one word a row. Make columns of it, "
        f"or leave it out: cohort.leave_out=[{name}]"
    )


def as_words(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column's cells as text; whole numbers with all their digits, which float64 doesn't hold of long ids.

    Raises:
        CohortError: it holds lists, dates or another type that a record's column can't have.
    """
    kind = values.type
    if isinstance(kind, pa.DictionaryType):
        return as_words(name, pa.chunked_array([one.dictionary_decode() for one in values.chunks], kind.value_type))
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    cells = plain(name, values)
    return words_of_numbers(cells) if cells.type == pa.float64() else cells


def _floats(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return float64[n]; short floats as the decimal numbers that they were written as."""
    kind = values.type
    found = (
        values.to_numpy()
        if not pa.types.is_decimal(kind)
        else np.array([np.nan if one is None else float(one) for one in values.to_pylist()])
    )
    if not (pa.types.is_float16(kind) or pa.types.is_float32(kind)):
        return found.astype(np.float64)
    distinct, where = np.unique(found, return_inverse=True)
    return distinct.astype(str).astype(np.float64)[where]


def words_of_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as texts, whole ones without ".0"."""

    def text(value: float | None) -> str | None:
        return None if value is None else str(int(value)) if float(value).is_integer() else str(value)

    distinct = values.combine_chunks().dictionary_encode()
    named = pa.array([text(one) for one in distinct.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([named.take(distinct.indices)])


def taken_numbers(name: str, values: pa.ChunkedArray, said: ColumnSetting, missing: set[str]) -> Taken:
    """Return a column of numbers as it is used."""
    found = values.to_numpy().astype(np.float64)
    return numeric(name, np.where(np.isin(found, [*numbers_in(missing)]), np.nan, found), said)


def raw_of_frame(rows: pd.DataFrame) -> RawTable:
    """Return a DataFrame's columns; names become texts, and cells of mixed types too."""
    names = [str(name) for name in rows.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CohortError(f"the table names a column twice: {twice}. Give each column a name of its own")
    return RawTable(tuple(names), tuple(_arrow(rows.iloc[:, number]) for number in range(len(names))))


def _arrow(values: pd.Series) -> pa.ChunkedArray:
    found = None
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # its message may quote a cell
        found = None
    if found is None:
        missing = values.isna().to_numpy()
        found = pa.array([None if gone else str(one) for one, gone in zip(values, missing, strict=True)], pa.string())
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])
