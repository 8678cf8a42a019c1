"""Cells of typed columns as texts or as float64: yes and no stay words, and a long id keeps its digits."""

from __future__ import annotations

import math
import uuid
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting, words_of
from fairshards.catalogs.cohorts.tables.typed_columns import as_words, plain, raw_of_frame, taken_numbers


def chunked(values: list[Any], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "kind", "cells", "cells_type"),
    [
        ([True, None, False], pa.bool_(), ["True", None, "False"], pa.string()),
        ([1, None, 0], pa.int8(), [1.0, None, 0.0], pa.float64()),
        ([0.1, None], pa.float32(), [0.1, None], pa.float64()),
        (["a", None], pa.large_string(), ["a", None], pa.string()),
        ([None], pa.null(), [None], pa.string()),
        ([True, False], pa.dictionary(pa.int8(), pa.bool_()), ["True", "False"], pa.string()),
    ],
)
def test_cells_are_texts_or_numbers(values: list[Any], kind: pa.DataType, cells: list[Any], cells_type: Any) -> None:
    found = plain("x", chunked(values, kind))
    assert (found.type, found.to_pylist()) == (cells_type, cells)


def test_other_types_are_refused_by_name() -> None:
    for values, kind, words in (
        ([[1]], pa.list_(pa.int64()), "lists"),
        ([b"1"], pa.binary(), "bytes"),
        ([0], pa.date32(), "dates"),
    ):
        with pytest.raises(CohortError, match=f"column 'x' holds {words}"):
            plain("x", chunked(values, kind))


def test_words_of_numbers_keep_all_digits() -> None:
    assert as_words("x", chunked([2**53 + 1, None], pa.int64())).to_pylist() == ["9007199254740993", None]
    assert as_words("x", chunked([3.0, 0.5, None], pa.float64())).to_pylist() == ["3", "0.5", None]
    patient = uuid.UUID(int=7)
    assert as_words("x", chunked([patient.bytes], pa.uuid())).to_pylist() == [str(patient)]


def test_numbers_that_say_missing_are() -> None:
    values = chunked([1.0, -9.0, 2.0], pa.float64())
    found = taken_numbers("x", values, ColumnSetting(), {"-9.00"})
    assert (found.column.kind, found.values.to_pylist()) == ("integer", [1, None, 2])
    assert taken_numbers("x", values, ColumnSetting(), set()).values.to_pylist() == [1, -9, 2]


def test_a_frames_mixed_cells_are_texts_and_its_names_are_once() -> None:
    raw = raw_of_frame(pd.DataFrame({3: ["a", 1, math.nan], "b": pd.array([True, None, False], "boolean")}))
    assert raw.names == ("3", "b") and raw.rows == 3
    assert [column.to_pylist() for column in raw.columns] == [["a", "1", None], [True, None, False]]
    with pytest.raises(CohortError, match=r"names a column twice: \['3'\]"):
        raw_of_frame(pd.DataFrame([[1, 2]], columns=[3, "3"]))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (True, {"true", "yes", "on", "1"}),
        (False, {"false", "no", "off", "0"}),
        (1, {"1"}),
        (2.0, {"2.0", "2"}),
        (" None ", {"none"}),
    ],
)
def test_what_a_settings_value_may_stand_for(said: Any, words: set[str]) -> None:
    assert words_of(said) == words
