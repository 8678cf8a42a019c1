"""What the columns of a cohort are: kinds, units, valid ranges, rules, the label and the protected attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["numeric", "integer", "category"]
LEAST = 5
"""People who must share a value, or a run's mean, for anything made from a cohort to hold on to it."""


class CohortError(ValueError):
    """A cohort can't be read or isn't what its schema says. No message holds a patient's values."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the table.
        kind: numeric (measured to ``decimals``), integer, or category.
        decimals: The precision of a numeric column as it was charted.
        low, high: The least and the largest valid value, both valid; None where there is no bound.
        categories: The values of a category, in a fixed order; ordered ones from least to most.
        unit: Of a number, e.g. "mmHg".
        meaning: A sentence for people.
    """

    name: str
    kind: Kind
    decimals: int = 0
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    unit: str = ""
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise CohortError(f"column {self.name!r} is of kind {self.kind!r}; expected one of {list(get_args(Kind))}")
        if len(set(self.categories)) < len(self.categories):
            raise CohortError(f"column {self.name!r} lists one of its {len(self.categories)} categories twice")
        if self.kind == "category" and not self.categories:
            raise CohortError(
                f"column {self.name!r} is a category without a value: leave it out, or list its categories"
            )
        if self.kind != "category" and self.categories:
            raise CohortError(f"column {self.name!r} is {self.kind}, but lists categories")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise CohortError(f"column {self.name!r} has low {self.low} and high {self.high}; low must be the smaller")


@dataclass(frozen=True)
class Rule:
    """A rule between columns as an SQL expression; a row breaks it where it is false (unknown, with NULLs, passes)."""

    name: str
    sql: str


@dataclass(frozen=True)
class Schema:
    """The columns of a cohort, which of them is the label y (a category of two: no, yes), and which are protected."""

    name: str
    columns: tuple[Column, ...]
    label: str
    protected: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    source: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise CohortError(f"schema {self.name!r} has a column twice: {twice}")
        for name in (self.label, *self.protected):
            if name not in names:
                raise CohortError(f"schema {self.name!r} has no column {name!r}; it has {names}")
            if self[name].kind != "category":
                raise CohortError(
                    f"column {name!r} is {self[name].kind}; label and protected attributes are categories"
                )
            if (found := len(self[name].categories)) < 2:
                raise CohortError(
                    f"column {name!r} has {found} value; as label or protected attribute it tells nothing"
                )
        if (found := len(self[self.label].categories)) != 2:
            raise CohortError(
                f"label {self.label!r} has {found} values, expected two: leave out the rows of others, "
                "or make these missing"
            )
        if self.label in self.protected:
            raise CohortError(
                f"the label {self.label!r} is also protected: then fairness has nothing to compare. "
                "Name another column in protected"
            )

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise CohortError(f"schema {self.name!r} has no column {name!r}; it has {self.names}")

    @property
    def names(self) -> list[str]:
        """The columns' names in order."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """The names of all columns but the label."""
        return [name for name in self.names if name != self.label]

    def class_name(self, value: str) -> str:
        """Return "<label>=<value>", how a value of the label is called as a class."""
        return f"{self.label}={value}"

    def group_name(self, value: str, s: str) -> str:
        """Return "<label>=<value>|<value of s>", how a sub-group is called."""
        return f"{self.class_name(value)}|{s}"

    def without(self, names: Sequence[str]) -> Schema:
        """Return the schema without some columns, and without the rules that name them."""
        kept = tuple(column for column in self.columns if column.name not in names)
        rules = tuple(rule for rule in self.rules if not any(name in rule.sql for name in names))
        protected = tuple(name for name in self.protected if name not in names)
        return Schema(self.name, kept, self.label, protected, rules, self.source, self.notes)

    def to_json(self) -> str:
        """Return the schema as JSON, as it stands in a Parquet file's metadata."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Return the schema that ``to_json`` wrote.

        Raises:
            CohortError: it is none.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            columns = tuple(Column(**{**one, "categories": tuple(one["categories"])}) for one in raw.pop("columns"))
            rules = tuple(Rule(**one) for one in raw.pop("rules"))
            return cls(**{**raw, "columns": columns, "rules": rules, "protected": tuple(raw["protected"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CohortError(f"the schema can't be read: {error}") from error
