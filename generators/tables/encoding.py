"""The reversible transformer between a cohort's rows and what networks see; apart from the networks, tested alone.

A numeric column becomes a standard normal score by its quantile function (``quantiles.py``: point masses are intervals
of it, integers stay integers), and 0 where it is missing. A category becomes a one-hot block. Missing is a state: of a
category one value more, of a number a block (present, missing). The label y and the protected attribute s stand apart,
as class numbers: the generator is asked for them. What can't vary (a constant, an empty column) no network sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fairshards.catalogs.cohorts.schema import LEAST, CohortError, Column, Schema
from fairshards.generators.tables.quantiles import Quantiles

EDGE = 1e-4
"""Quantiles are clipped to [EDGE, 1 - EDGE]: normal scores to 3.7."""
MISSING = "(missing)"
"""How the missing state of a category is called in messages; in tables it is null."""


@dataclass(frozen=True)
class Block:
    """A one-hot block: columns [start, stop) of the encoding; state k is ``states[k]``, None is missing.

    A number's block has the states "present" and None.
    """

    column: str
    start: int
    states: tuple[str | None, ...]

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + len(self.states)


@dataclass(frozen=True)
class Encoded:
    """Rows as intervals and states, from which every pass draws new scores.

    Attributes:
        low, high: float32[n, numerics], quantiles between which the row's score is drawn; 0.5 where missing.
        present: bool[n, numerics].
        states: int64[n, blocks], which state of each block.
        y, s: int64[n], class numbers of the label and of the protected attribute.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    present: NDArray[np.bool_]
    states: NDArray[np.int64]
    y: NDArray[np.int64]
    s: NDArray[np.int64]


@dataclass(frozen=True)
class TableEncoding:
    """What ``fit`` learned. All of it is JSON (``to_json``), and holds no value of one patient alone.

    Attributes:
        schema: The cohort's.
        attribute: The protected attribute s.
        numerics: Names of the modelled numeric columns, in the order of the scores.
        quantiles: By numeric column.
        blocks: One-hot blocks after the scores.
        constants: Columns that don't vary, with their value (None: never there).
        groups: Names of the values of s.
    """

    schema: Schema
    attribute: str
    numerics: tuple[str, ...]
    quantiles: Mapping[str, Quantiles]
    blocks: tuple[Block, ...]
    groups: tuple[str, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """How many numbers a network sees of a row, y and s apart."""
        return self.blocks[-1].stop if self.blocks else len(self.numerics)

    @property
    def classes(self) -> tuple[str, ...]:
        """The label's two values."""
        return self.schema[self.schema.label].categories

    @classmethod
    def fit(
        cls, schema: Schema, attribute: str, rows: pd.DataFrame, people: NDArray[np.int64] | None = None
    ) -> TableEncoding:
        """Learn the encoding of ``rows`` (the schema's columns; nulls are missing).

        ``people`` are int64[n], the number of the person whose row each is, where one has several.

        Raises:
            CohortError: label or attribute is missing or constant, no column varies, or a value is none of its column.
        """
        _check_label(schema, attribute, rows)
        seen = [value for value in schema[attribute].categories if (rows[attribute] == value).any()]
        numerics: list[str] = []
        quantiles: dict[str, Quantiles] = {}
        blocks: list[Block] = []
        constants: dict[str, Any] = {}
        modelled = [schema[name] for name in schema.features if name != attribute]
        for column in modelled:
            values = rows[column.name]
            known = values.dropna()
            _check_categories(column, known)
            whose = None if people is None else people[values.notna().to_numpy()]
            if column.kind != "category" and (len(known) if whose is None else len(np.unique(whose))) < LEAST:
                constants[column.name] = None  # its few values would be told
            elif known.empty or (known.nunique() == 1 and len(known) == len(values)):
                constants[column.name] = None if known.empty else _plain(known.iloc[0])
            elif column.kind != "category":
                numerics.append(column.name)
                quantiles[column.name] = Quantiles.fit(known.to_numpy(np.float64), column.decimals, whose)
        position = len(numerics)
        for column in modelled:
            if column.name in constants:
                continue
            states = _states(column, rows[column.name])
            if len(states) > 1:
                blocks.append(Block(column.name, position, states))
                position += len(states)
        if not numerics and not blocks:
            raise CohortError(f"cohort {schema.name!r}: no column but label and {attribute} varies; nothing to learn")
        return cls(schema, attribute, tuple(numerics), quantiles, tuple(blocks), tuple(seen), constants)

    def encode(self, rows: pd.DataFrame) -> Encoded:
        """Return the rows as intervals and states.

        Raises:
            CohortError: a category wasn't seen in ``fit``; the message names the column, not the value.
        """
        shape = (len(rows), len(self.numerics))
        low, high = np.full(shape, 0.5, np.float32), np.full(shape, 0.5, np.float32)
        present = np.ones(shape, np.bool_)
        for position, name in enumerate(self.numerics):
            values = rows[name].to_numpy(np.float64, na_value=np.nan)
            there = present[:, position] = ~np.isnan(values)
            low[there, position], high[there, position] = self.quantiles[name].encode(values[there])
        states = [self._block_states(block, rows[block.column]) for block in self.blocks]
        return Encoded(
            low,
            high,
            present,
            np.stack(states, 1) if states else np.zeros((len(rows), 0), np.int64),
            _codes(self.schema.label, self.classes, rows[self.schema.label]),
            _codes(self.attribute, self.groups, rows[self.attribute]),
        )

    def scores(self, encoded: Encoded, generator: np.random.Generator) -> NDArray[np.float32]:
        """Return float32[n, width], what networks see of rows: scores drawn inside intervals, and one-hot blocks."""
        inside = encoded.low + (encoded.high - encoded.low) * generator.random(encoded.low.shape)
        numbers = ndtri(np.clip(inside, EDGE, 1 - EDGE)) * encoded.present
        blocks = (np.eye(len(block.states))[encoded.states[:, number]] for number, block in enumerate(self.blocks))
        return np.concatenate([numbers, *blocks], 1).astype(np.float32)

    def decode(self, x: NDArray[np.float32], y: NDArray[np.int64], s: NDArray[np.int64]) -> pd.DataFrame:
        """Return rows in the schema's order from float32[n, width] scores and one-hot blocks, y and s.

        Categories are strings, integers Int64 and numerics float64; missing is null.
        """
        columns: dict[str, Any] = {self.schema.label: _named(self.classes, y), self.attribute: _named(self.groups, s)}
        missing: dict[str, NDArray[np.bool_]] = {}
        for block in self.blocks:
            state = x[:, block.start : block.stop].argmax(1)
            if block.column in self.quantiles:
                missing[block.column] = state == 1
            else:
                columns[block.column] = _named(block.states, state)
        for position, name in enumerate(self.numerics):
            values = self.quantiles[name].decode(ndtr(x[:, position].astype(np.float64)))
            if name in missing:
                values[missing[name]] = np.nan
            columns[name] = _typed(self.schema[name], pd.Series(values))
        for name, value in self.constants.items():
            columns[name] = _typed(self.schema[name], pd.Series([value] * len(x), dtype=object))
        for name in self.schema.names:
            if name not in columns:  # always present, one state: cannot be
                raise CohortError(f"column {name!r} was not encoded")
        return pd.DataFrame({name: columns[name] for name in self.schema.names})

    def _block_states(self, block: Block, values: pd.Series) -> NDArray[np.int64]:
        if block.column in self.quantiles:
            missing: NDArray[np.int64] = values.isna().to_numpy().astype(np.int64)
            return missing
        return _codes(block.column, block.states, values)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "schema": self.schema.to_json(),
            "attribute": self.attribute,
            "numerics": list(self.numerics),
            "quantiles": {
                name: {
                    "edges": one.edges.tolist(),
                    "first": one.first.tolist(),
                    "last": one.last.tolist(),
                    "decimals": one.decimals,
                }
                for name, one in self.quantiles.items()
            },
            "blocks": [[block.column, block.start, list(block.states)] for block in self.blocks],
            "groups": list(self.groups),
            "constants": dict(self.constants),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> TableEncoding:
        """Return the encoding that ``to_json`` wrote."""
        return cls(
            Schema.from_json(said["schema"]),
            said["attribute"],
            tuple(said["numerics"]),
            {
                name: Quantiles(np.array(one["edges"]), np.array(one["first"]), np.array(one["last"]), one["decimals"])
                for name, one in said["quantiles"].items()
            },
            tuple(Block(column, start, tuple(states)) for column, start, states in said["blocks"]),
            tuple(said["groups"]),
            said["constants"],
        )


def _check_label(schema: Schema, attribute: str, rows: pd.DataFrame) -> None:
    if attribute not in schema.protected:
        raise CohortError(f"{attribute!r} is no protected attribute of {schema.name!r}, which has {schema.protected}")
    for name in (schema.label, attribute):
        _check_categories(schema[name], rows[name].dropna())
        found = rows[name].nunique(dropna=False)
        if rows[name].isna().any():
            count = int(rows[name].isna().sum())
            raise CohortError(
                f"column {name!r} is missing in {count} of {len(rows)} training rows; "
                "label and protected attribute must be known: give missing a category of its own"
            )
        if found < 2:
            raise CohortError(f"column {name!r} has one value in all {len(rows)} training rows: nothing to tell apart")


def _check_categories(column: Column, known: pd.Series) -> None:
    unknown = set(known.unique()) - set(column.categories) if column.kind == "category" else ()
    if unknown:
        raise CohortError(
            f"column {column.name!r} has {len(unknown)} values that its schema lacks; it knows "
            f"{len(column.categories)} others"
        )


def _states(column: Column, values: pd.Series) -> tuple[str | None, ...]:
    some = values.isna().any()
    if column.kind != "category":
        return ("present", None) if some else ("present",)
    seen = tuple(value for value in column.categories if (values == value).any())
    return (*seen, None) if some else seen


def _codes(name: str, states: Sequence[str | None], values: pd.Series) -> NDArray[np.int64]:
    named = [state for state in states if state is not None]
    found = pd.Index(named, dtype=object).get_indexer(values.astype(object))  # -1: missing, or none of them
    number = np.array([states.index(state) for state in named], dtype=np.int64)
    missing, unknown = values.isna().to_numpy(), found < 0
    codes: NDArray[np.int64] = np.where(unknown, -1, number[found])
    if None in states:
        codes[missing], unknown = states.index(None), unknown & ~missing
    if unknown.any():
        raise CohortError(
            f"column {name!r} has a value in {int(unknown.sum())} rows that no training row has; "
            f"training knows {len(named)} values{' and missing ones' * (None in states)}"
        )
    return codes


def _named(names: Sequence[str | None], codes: NDArray[np.int64]) -> pd.Series:
    return pd.Series(np.array(names, dtype=object)[codes], dtype=object)


def _typed(column: Column, values: pd.Series) -> pd.Series:
    if column.kind == "integer":
        return values.astype("Float64").astype("Int64")
    return values.astype("float64") if column.kind == "numeric" else values


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
