"""A schema from the rows themselves, for tables without one: kinds, precision, categories. No ranges and no rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.cohorts.cohort import SPLIT, Cohort
from catalogs.cohorts.schema import CohortError, Column, Schema

MOST_DECIMALS = 6
MOST_CATEGORIES = 100
NULLS = ("", "NA", "NaN", "nan", "null", "NULL", "?")


def infer_schema(
    rows: pd.DataFrame, label: str, protected: Sequence[str], categories: Sequence[str] = (), name: str = "table"
) -> Schema:
    """Return the schema of a table.

    Args:
        rows: One person a row.
        label: A column of two values; the one that sorts last is "yes".
        protected: Columns that are protected attributes.
        categories: Columns of numbers that are categories all the same.

    Raises:
        CohortError: a column is missing, label or attribute isn't a category, or a text column has over 100 values.
    """
    if missing := [one for one in (label, *protected, *categories) if one not in rows]:
        raise CohortError(f"table {name!r} lacks the columns {missing}; it has {list(rows.columns)}. Is the delimiter "
                          "right?")
    named = {label, *protected, *categories}
    columns = tuple(_column(str(one), rows[one], one in named) for one in rows.columns if one != SPLIT)
    return Schema(name, columns, label, tuple(protected))


def as_text(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the rows with the schema's categories as strings; missing stays missing."""
    found = rows.copy()
    for column in schema.columns:
        if column.kind == "category":
            found[column.name] = _named(rows[column.name])
    return found


def read_table(path: Path, label: str, protected: Sequence[str], categories: Sequence[str] = ()) -> Cohort:
    """Return the cohort of a CSV or Parquet file, with an inferred schema; a column ``split`` says train or test.

    Raises:
        CohortError: it can't be read, or has no such columns.
    """
    if not path.is_file():
        raise CohortError(f"no table at {path}: expected a CSV (.csv, .csv.gz, .tsv) or Parquet (.parquet) file")
    failed, rows = "", None
    try:
        if path.suffix == ".parquet":
            rows = pq.read_table(path).to_pandas()
        else:
            rows = duckdb.connect().sql("SELECT * FROM read_csv($path, nullstr = $nulls)",
                                        params={"path": str(path), "nulls": list(NULLS)}).df()  # fmt: skip
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # its message may quote a row, so it doesn't travel
        failed = type(error).__name__
    if rows is None:
        raise CohortError(f"{path} can't be read ({failed}); expected a CSV with a header, or Parquet")
    if rows.empty:
        raise CohortError(f"{path} has no rows")
    schema = infer_schema(rows, label, protected, categories, path.name.partition(".")[0])
    return Cohort(schema, pa.Table.from_pandas(as_text(rows, schema), preserve_index=False))


def _column(name: str, values: pd.Series, named: bool) -> Column:
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric and not named:
        decimals = _decimals(known.to_numpy(np.float64))
        return Column(name, "numeric" if decimals else "integer", decimals)
    found = tuple(sorted(_named(known).unique()))
    if len(found) > MOST_CATEGORIES:
        raise CohortError(f"column {name!r} has {len(found)} values in {len(known)} rows: is it an id or free text? "
                          "Leave it out of the table")
    return Column(name, "category", categories=found)


def _named(values: pd.Series) -> pd.Series:
    """Return values as strings; whole numbers without ".0"."""
    def text(value: object) -> object:
        if value is None or value is pd.NA or value != value:
            return None
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return values.astype(object).map(text)


def _decimals(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Return the fewest decimals, at most six, that hold every value."""
    finite = values[np.isfinite(values)]
    for decimals in range(MOST_DECIMALS):
        if np.allclose(finite, np.round(finite, decimals), rtol=0, atol=10.0 ** -(decimals + 4)):
            return decimals
    return MOST_DECIMALS
