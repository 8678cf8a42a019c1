"""Rare categories: what fewer than ``LEAST`` training people have is joined before anything learns or lists it.

A category that one patient alone has, a physician's name for example, would stand in the model, in every shard's schema
and on the dataset card. The rare ones of a column become one category, ``other``, where together ``LEAST`` training
people have them, and are made missing where not. Test rows count for nothing: what they alone have is rare too. A
column that keeps none is left out. Label and protected attribute are never changed but refused: who is compared with
whom is for people to say. No message holds a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from fairshards.catalogs.cohorts.schema import LEAST, CohortError, Column, Schema

OTHER = "other"
MOST_DISTINCT = 0.5
"""Distinct values a known row from which on a category is an id or free text."""


@dataclass(frozen=True)
class Joined:
    """What became of a column's rare categories.

    Attributes:
        categories, rows: How many there were, and in how many rows of training and test.
        name: The category that they are now; None: missing.
        left_out: Whether the column is gone, since it has no category without them.
    """

    categories: int
    rows: int
    name: str | None
    left_out: bool = False

    def __str__(self) -> str:
        became = f"joined into {self.name!r}" if self.name else "made missing"
        became = "left out with the column" if self.left_out else became
        return (
            f"{self.categories} categor{'y' if self.categories == 1 else 'ies'} of {self.rows} "
            f"row{'' if self.rows == 1 else 's'} {became}"
        )


def join_rare(
    schema: Schema,
    attribute: str,
    train: pd.DataFrame,
    *others: pd.DataFrame,
    typed: Collection[str] = (),
    people: pd.Series | None = None,
) -> tuple[Schema, list[pd.DataFrame], dict[str, Joined]]:
    """Return schema and tables without rare categories, and what was joined, by column.

    Args:
        schema: What the columns are.
        attribute: The protected attribute.
        train: The rows that something learns from; ``others`` are held against them.
        typed: Categories with a type of their own, numbers for example; ``other`` is none, so these become missing.
        people: Whose row each of ``train`` is, where one may have several; None: one a row.

    Raises:
        CohortError: label or protected attribute has a rare value, or nearly every row of a column has its own.
    """
    tables = [table.copy() for table in (train, *others)]
    columns: list[Column] = []
    joined: dict[str, Joined] = {}
    gone: list[str] = []
    for column in schema.columns:
        counts = _counts(column, train, people)
        rare = [value for value, count in counts.items() if count < LEAST]
        rows = sum(int(table[column.name].isin(rare).sum()) for table in tables) if rare else 0
        if column.name in (schema.label, attribute):
            _require_shared_value(column.name, int(train[column.name].isin(rare).sum()), rows)
        elif rare:
            _require_category(column.name, train[column.name])
            few = train[column.name].isin(rare)
            together = int(few.sum()) if people is None else people[few].nunique()
            name = None if together < LEAST or column.name in typed else _name(counts, rare)
            kept = (*(value for value in column.categories if value not in rare), *([name] if name else []))
            here = len({value for table in tables for value in table[column.name].unique()} & {*rare})
            needed = 2 if column.name in schema.protected else 1
            if here:
                joined[column.name] = Joined(here, rows, name, len(kept) < needed)
            for table in tables:
                table.loc[table[column.name].isin(rare), column.name] = name
            gone += rare
            if len(kept) < needed:
                continue
            column = replace(column, categories=kept)
        columns.append(column)
    names = [column.name for column in columns]
    left = schema.without([name for name in schema.names if name not in names])
    rules = tuple(rule for rule in left.rules if not any(_literal(value) in rule.sql for value in gone))
    return replace(left, columns=tuple(columns), rules=rules), [table[names] for table in tables], joined


def said(joined: Mapping[str, Joined]) -> str:
    """Return the sentence of a run: columns and counts, never a value."""
    return f"categories that fewer than {LEAST} training people have: " + "; ".join(
        f"{column}: {one}" for column, one in joined.items()
    )


def _counts(column: Column, train: pd.DataFrame, people: pd.Series | None) -> dict[str, int]:
    """Return how many training people have each category; none of a number."""
    if column.kind != "category":
        return {}
    values = train[column.name]
    found = values.value_counts() if people is None else people.groupby(values).nunique()
    return {value: int(found.get(value, 0)) for value in column.categories}


def _name(counts: Mapping[str, int], rare: Sequence[str]) -> str:
    """Return what the rare ones are called together: a name that no other category has."""
    name = OTHER
    while name in counts and name not in rare:
        name += " (rare)"
    return name


def _require_shared_value(name: str, known: int, rows: int) -> None:
    if rows:
        raise CohortError(
            f"{name!r} has values that fewer than {LEAST} training people have, in {known} training rows and "
            f"{rows - known} test rows: too few to learn from, and each of them could be told. Leave these values of "
            "the protected attribute out with cohort.leave_values, or join them in the table"
        )


def _require_category(name: str, values: pd.Series) -> None:
    known, distinct = int(values.notna().sum()), values.nunique()
    if distinct > MOST_DISTINCT * max(known, LEAST):
        raise CohortError(
            f"column {name!r} has {distinct} values in {known} training rows: is it an id or free text? "
            "Leave it out with cohort.leave_out"
        )


def _literal(value: str) -> str:
    """Return a value as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
