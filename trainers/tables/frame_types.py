"""The types of a DataFrame's columns, which synthetic rows come back in: True stays True, and 1 is no "1"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairshards.catalogs.cohorts.cohort import SPLIT
from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.trainers.core.errors import TrainerError


@dataclass(frozen=True)
class ColumnType:
    """A column as it was given.

    Attributes:
        name: What it was called; in a schema names are texts.
        dtype: Pandas' name of its type; of a categorical one, that of its categories.
        objects: What Python objects it holds where ``dtype`` is object: "boolean", "integer", ..., as pandas says.
        order: The categories of a categorical column in their order, as a schema writes them.
        ordered: Whether that order means something.
    """

    name: str | int
    dtype: str
    objects: str = ""
    order: tuple[str, ...] | None = None
    ordered: bool = False

    @property
    def typed(self) -> bool:
        """Whether its categories are no texts, so that ``other`` can't be one of them."""
        kind = _dtype(self)
        return (
            self.objects in ("boolean", "integer")
            or pd.api.types.is_bool_dtype(kind)
            or pd.api.types.is_numeric_dtype(kind)
        )


def column_types(rows: pd.DataFrame) -> dict[str, ColumnType]:
    """Return the columns' types by the names that a schema has for them.

    Raises:
        TrainerError: a name is neither a text nor a whole number, or two are one text.
    """
    found: dict[str, ColumnType] = {}
    for number, name in enumerate(rows.columns):
        if not isinstance(name, str | int | np.integer) or isinstance(name, bool):
            raise TrainerError(
                f"column {number} has a name of type {type(name).__name__}; expected a text or a whole "
                "number: rename it, e.g. with rows.columns = [...]"
            )
        if str(name) in found:
            raise TrainerError(f"the table has a column {str(name)!r} twice; rename one of them")
        found[str(name)] = _type_of(name if isinstance(name, str) else int(name), rows.iloc[:, number])
    return {inner(name, found): one for name, one in found.items()}


def inner(name: str, names: Mapping[str, Any] | Sequence[str]) -> str:
    """Return a column's name in the schema: ``split``, which says train or test in files, is one like others here."""
    found = name
    while found == SPLIT or (found != name and found in names):
        found += "_"
    return found


def _type_of(name: str | int, values: pd.Series) -> ColumnType:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        order = tuple(map(str, dtype.categories))
        return ColumnType(name, str(dtype.categories.dtype), _objects(dtype.categories), order, bool(dtype.ordered))
    return ColumnType(name, str(dtype), _objects(values))


def _objects(values: Any) -> str:
    return pd.api.types.infer_dtype(values, skipna=True) if values.dtype == object else ""


def named(types: Mapping[str, ColumnType], schema: Schema) -> dict[str, ColumnType]:
    """Return the types of a schema's columns; categories that it doesn't list are in no order either."""
    found = {}
    for column in schema.columns:
        one = types[column.name]
        order = None if one.order is None else tuple(value for value in one.order if value in column.categories)
        found[column.name] = ColumnType(one.name, one.dtype, one.objects, order, one.ordered)
    return found


def restored(rows: pd.DataFrame, schema: Schema, types: Mapping[str, ColumnType]) -> pd.DataFrame:
    """Return generated rows with the types and names of the columns that were fitted.

    A type without a missing value, which a column needs now, becomes its nullable one.
    """
    if not types:
        return rows
    found = [
        _restored(rows[column.name], column, types[column.name]).rename(types[column.name].name)
        for column in schema.columns
    ]
    return pd.concat(found, axis=1)


def _restored(values: pd.Series, column: Column, one: ColumnType) -> pd.Series:
    dtype = _dtype(one)
    if column.kind == "category":
        cells = values.map(_reader(dtype, one), na_action="ignore")
        if one.order is None:
            return _cast(cells, dtype)
        categories = [_reader(dtype, one)(value) for value in one.order]
        return cells.astype(pd.CategoricalDtype(pd.Index(categories, dtype=dtype), one.ordered))
    if not pd.api.types.is_integer_dtype(dtype):
        return _cast(values, dtype)
    limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    whole = [None if pd.isna(value) else min(max(round(value), int(limits.min)), int(limits.max)) for value in values]
    return _cast(pd.Series(whole, index=values.index, dtype=object), dtype)


def _reader(dtype: Any, one: ColumnType) -> Any:
    """Return what makes a column's own value of a category's text."""
    if pd.api.types.is_bool_dtype(dtype) or one.objects == "boolean":
        return lambda text: text == "True"
    if pd.api.types.is_integer_dtype(dtype) or one.objects == "integer":
        return int
    return float if pd.api.types.is_float_dtype(dtype) else str


def _dtype(one: ColumnType) -> Any:
    """Return the type; object where this pandas knows none of that name."""
    try:
        return pd.api.types.pandas_dtype(one.dtype)
    except TypeError:
        return np.dtype(object)


def _cast(values: pd.Series, dtype: Any) -> pd.Series:
    if not values.isna().any() or not isinstance(dtype, np.dtype) or dtype.kind not in "biu":
        return values.astype(dtype)
    return values.astype("boolean" if dtype.kind == "b" else {"i": "Int64", "u": "UInt64"}[dtype.kind])


def to_json(types: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Return plain values."""
    return {name: asdict(one) for name, one in types.items()}


def from_json(said: Mapping[str, Any]) -> dict[str, ColumnType]:
    """Return the types that ``to_json`` wrote."""
    return {
        name: ColumnType(**{**one, "order": None if one["order"] is None else tuple(one["order"])})
        for name, one in said.items()
    }
