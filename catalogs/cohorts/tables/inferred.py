"""A cohort from a table without a schema: what each column is, by its cells and by what the recipe says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fairshards.catalogs.cohorts.cohort import SPLIT, Cohort
from fairshards.catalogs.cohorts.schema import CohortError, Schema
from fairshards.catalogs.cohorts.tables.cells import Numbers, missing_texts
from fairshards.catalogs.cohorts.tables.columns import Taken, Texts, missing_words, taken_text
from fairshards.catalogs.cohorts.tables.event import event_of
from fairshards.catalogs.cohorts.tables.identifiers import FEWEST, UNIQUE, all_differ, counts_up, is_id, patients_in
from fairshards.catalogs.cohorts.tables.raw_table import RawTable, missing_columns
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting, TableSettings, Word
from fairshards.catalogs.cohorts.tables.table_file import read_raw
from fairshards.catalogs.cohorts.tables.typed_columns import as_words, plain, raw_of_frame, taken_numbers


def read_table(path: Path, settings: TableSettings) -> Cohort:
    """Return the cohort of a file; a column ``split`` says train or test.

    Raises:
        CohortError: it can't be read, or a column can't be taken; all such columns are named, with what to do.
    """
    raw = read_raw(path, settings.asked, settings.encoding)
    return cohort_of(raw, settings, path.name.partition(".")[0] or "table")


def infer_schema(
    rows: pd.DataFrame,
    label: str,
    protected: Sequence[str],
    categories: Sequence[str] = (),
    name: str = "table",
    event: Word | None = None,
) -> Schema:
    """Return the schema of a table.

    Args:
        rows: One person a row.
        label: A column of two values.
        protected: Columns that are protected attributes.
        categories: Columns of numbers that are categories all the same.
        event: The label's value that is "yes"; None: ``fairshards.catalogs.cohorts.tables.event`` says which.

    Raises:
        CohortError: a column is missing, or can't be taken.
    """
    settings = TableSettings(str(label), tuple(map(str, protected)), tuple(map(str, categories)), event=event)
    return cohort_of(raw_of_frame(rows), settings, name).schema


def cohort_of(raw: RawTable, settings: TableSettings, name: str) -> Cohort:
    """Return the cohort of a table's columns.

    Raises:
        CohortError: a column is missing, or can't be taken; all are named.
    """
    _check_settings(raw, settings, name)
    beside = {SPLIT, settings.patient}
    used = [one for one in raw.names if one not in settings.unused and one not in beside]
    cells = {one: raw.columns[raw.names.index(one)] for one in raw.names if one not in settings.unused}
    read: dict[str, _Cells] = {}
    taken: dict[str, Taken] = {}
    wrong: list[str] = []
    for one in used:
        with _collecting(wrong):
            read[one] = _Cells.of(one, cells[one], settings)
    usual = _usual(read.values())
    for one in read:
        with _collecting(wrong):
            taken[one] = read[one].taken(settings, usual)
            _check_id(one, taken[one], settings)
            _check_of_numbers(one, taken[one], settings)
    if wrong:
        raise CohortError("\n".join(wrong))
    columns = tuple(taken[one].column for one in used)
    schema = Schema(name, columns, settings.label, settings.protected)
    schema, why = _with_event(schema, taken[settings.label].values, settings)
    bad = (
        [f"{len(raw.rejects)} line{'s' * (len(raw.rejects) > 1)} left out, the first: {raw.rejects[0].detail}"]
        if raw.rejects
        else []
    )
    remarks = [
        *raw.remarks,
        *bad,
        *why,
        *(said for one in used for said in taken[one].remarks),
        *_repeated(taken, settings, SPLIT in cells),
    ]
    rows = {one: taken[one].values for one in used} | {
        one: _named(as_words(one, cells[one]), settings) for one in beside if one and one in cells
    }
    notes = {one: "; ".join(taken[one].notes) for one in used}
    return Cohort(
        schema,
        pa.table(rows),
        raw.rejects,
        patient=settings.patient,
        numbers=raw.numbers,
        notes=notes,
        remarks=tuple(remarks),
    )


def _check_settings(raw: RawTable, settings: TableSettings, name: str) -> None:
    if set(settings.asked) - set(raw.names):
        raise missing_columns(f"table {name!r}", settings.asked, raw.names)
    named = {"categories": settings.categories, "leave_out": settings.leave_out, "columns": tuple(settings.columns)}
    for setting, names in named.items():
        if unknown := [one for one in names if one not in raw.names]:
            raise CohortError(f"cohort.{setting} names {unknown}, which table {name!r} has no columns of")
    if gone := [one for one in settings.asked if one in settings.unused]:
        raise CohortError(f"cohort leaves out {gone}, which it needs as label, attribute or patient")
    if settings.patient in (settings.label, *settings.protected):
        raise CohortError(f"cohort.patient is {settings.patient!r}, which is the label or the attribute")


def _named(values: pa.ChunkedArray, settings: TableSettings) -> pa.Array:
    """Return a column that is no feature, as trimmed texts."""
    texts = Texts.of("", values)
    gone = np.append(missing_texts(texts.words, missing_words(settings.missing)), True)[texts.codes]
    return texts.words.take(pa.array(texts.codes, pa.int64(), mask=gone))


@contextlib.contextmanager
def _collecting(wrong: list[str]) -> Iterator[None]:
    """Keep what is wrong with one column, so that all are told of at once."""
    try:
        yield
    except CohortError as error:
        wrong.append(str(error))


@dataclass(frozen=True)
class _Cells:
    """A column's cells as numbers, or as texts with the numbers that these are; and what the recipe says of it."""

    name: str
    said: ColumnSetting
    missing: set[str]
    values: pa.ChunkedArray | Texts
    numbers: Numbers | None

    @classmethod
    def of(cls, name: str, values: pa.ChunkedArray, settings: TableSettings) -> _Cells:
        said = settings.of(name)
        missing = missing_words((*settings.missing, *said.missing))
        if pa.types.is_dictionary(values.type) and pa.types.is_integer(values.type.value_type) and said.kind is None:
            said = said.model_copy(update={"kind": "category"})  # a pandas Categorical
        cells = as_words(name, values) if said.kind == "category" else plain(name, values)
        if cells.type == pa.float64():
            return cls(name, said, missing, cells, None)
        texts = Texts.of(name, cells)
        return cls(name, said, missing, texts, texts.numbers(said, missing))

    def taken(self, settings: TableSettings, usual: str) -> Taken:
        """Return what the column is used as; ``usual`` is the table's sign before decimals."""
        if self.numbers is None:
            return taken_numbers(self.name, self.values, self.said, self.missing)
        read = self.numbers
        if usual != "." and not read.sure:
            read = self.values.numbers(self.said, self.missing, usual)
        return taken_text(self.values, read, self.said, self.missing, settings.censored)


def _usual(columns: Iterable[_Cells]) -> str:
    """Return the sign before decimals in this table: a comma where columns have it, and none has a point."""
    signs = {one.numbers.decimal for one in columns if one.numbers and one.numbers.sure and one.numbers.fractions}
    return "," if signs == {","} else "."


def _with_event(schema: Schema, labels: pa.Array, settings: TableSettings) -> tuple[Schema, list[str]]:
    """Return the schema whose label has the event last, and a sentence where it wasn't clear."""
    counts = {one["values"]: one["counts"] for one in pc.value_counts(labels.drop_null()).to_pylist()}
    event, how = event_of(schema.label, counts, settings.event)
    order = (*(one for one in sorted(counts) if one != event), event)
    columns = tuple(
        replace(column, categories=order) if column.name == schema.label else column for column in schema.columns
    )
    said = [f"the rarer value of {schema.label} is taken for the event; cohort.event names another"]
    return replace(schema, columns=columns), said if how == "rarer" else []


def _check_id(name: str, taken: Taken, settings: TableSettings) -> None:
    """Refuse whole numbers that are another one in each row and are called an id."""
    if taken.column.kind != "integer" or settings.columns.get(name, ColumnSetting()).kind or not is_id(name):
        return
    known = taken.values.drop_null()
    distinct = pc.count_distinct(known).as_py()
    if len(known) >= FEWEST and distinct >= UNIQUE * len(known):
        raise CohortError(
            f"column {name!r} has {distinct} values in {len(known)} rows, as an id has: leave it out: "
            f"cohort.leave_out=[{name}], or say cohort.columns={{{name}: {{kind: numeric}}}}"
        )


def _check_of_numbers(name: str, taken: Taken, settings: TableSettings) -> None:
    """Refuse settings that would do nothing, since the column isn't taken for numbers."""
    given = settings.columns.get(name, ColumnSetting()).of_numbers
    if given and taken.column.kind == "category":
        raise CohortError(
            f"column {name!r} is a category, which has no {' and no '.join(given)}: take it out of "
            f"cohort.columns, or say that the column is numeric: {{kind: numeric}}"
        )


def _repeated(taken: dict[str, Taken], settings: TableSettings, split: bool) -> list[str]:
    """Return a sentence for each column that looks like a patient's id with several rows, and for row numbers."""
    found = []
    for name, one in taken.items():
        named = {settings.label, *settings.protected}
        if name in named or settings.columns.get(name, ColumnSetting()).kind or one.column.decimals:
            continue
        numbers = one.values
        if one.column.kind == "category":
            numbers = pc.dictionary_encode(numbers).indices
        values = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if one.column.kind == "integer" and counts_up(values):
            found.append(f"{name} counts rows up: is it a row's number? cohort.leave_out=[{name}]")
            continue
        if one.column.kind == "integer" and all_differ(values):
            found.append(f"{name} has another whole number in each row: is it an id? cohort.leave_out=[{name}]")
        elif not settings.patient and (people := patients_in(name, values, one.column.kind == "integer")):
            now = "" if split else ", and rows of one patient may be in both train and test"
            found.append(
                f"{name} looks like a patient's id, with {people} values in {len(values)} rows. It is used as "
                f"a feature{now}: cohort.patient={name} splits by patient, and leaves it out"
            )
    return found
