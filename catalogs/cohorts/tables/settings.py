"""What a recipe may say of a table without a schema: the label and its event, what is missing, columns one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Word = str | int | float | bool
"""A cell's text as YAML may read it: 1, 0.5 and yes need no quotes."""


class ColumnSetting(BaseModel):
    """What one column is, where its cells don't say so, or say it wrongly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[
        Literal["numeric", "category", "leave_out"] | None,
        Field(description="numeric: cells that are no number are made missing; leave_out: the column isn't used."),
    ] = None
    decimals: Annotated[int | None, Field(ge=0, le=15, description="Numbers are rounded to it; 0: whole ones.")] = None
    decimal: Annotated[Literal[".", ","] | None, Field(description="What stands before decimals.")] = None
    missing: Annotated[tuple[Word, ...], Field(description="Further spellings of missing in this column.")] = ()
    low: Annotated[float | None, Field(description="The least valid number; lesser ones are made missing.")] = None
    high: Annotated[float | None, Field(description="The largest valid number.")] = None
    unit: Annotated[str, Field(description="The numbers' unit, for the dataset card.")] = ""

    @property
    def of_numbers(self) -> list[str]:
        """The settings that are given and that only numbers have a use for."""
        given = {"decimals": self.decimals, "decimal": self.decimal, "low": self.low, "high": self.high}
        return [*(name for name, value in given.items() if value is not None), *(["unit"] if self.unit else [])]


@dataclass(frozen=True)
class TableSettings:
    """How a table is read.

    Attributes:
        label: The label's column, of two values.
        protected: Columns that are protected attributes.
        categories: Columns of numbers that are categories all the same.
        leave_out: Columns that aren't used: nothing is asked of them.
        event: The label's value that is "yes"; None: ``fairshards.catalogs.cohorts.tables.event`` says which.
        patient: The column that says whose row it is; it is no feature.
        missing: Further spellings of missing, in all columns.
        censored: What becomes of "<0.1" among numbers: its bound, or missing.
        encoding: Of a CSV that is neither UTF-8 nor UTF-16; None: Western European (cp1252).
        columns: What single columns are.
    """

    label: str
    protected: tuple[str, ...]
    categories: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    event: Word | None = None
    patient: str | None = None
    missing: tuple[Word, ...] = ()
    censored: Literal["bound", "missing"] = "bound"
    encoding: str | None = None
    columns: Mapping[str, ColumnSetting] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns that a table must have."""
        patient = (self.patient,) if self.patient else ()
        return tuple(dict.fromkeys((self.label, *self.protected, *patient)))

    @property
    def unused(self) -> set[str]:
        """The columns that are left out."""
        return {*self.leave_out, *(name for name, one in self.columns.items() if one.kind == "leave_out")}

    def of(self, name: str) -> ColumnSetting:
        """Return what is said of a column; of the label, attributes and ``categories`` that they are categories."""
        said = self.columns.get(name, ColumnSetting())
        if name in (self.label, *self.protected, *self.categories):
            return said.model_copy(update={"kind": "category"})
        return said


def words_of(said: Word) -> set[str]:
    """Return the texts that a setting's value may stand for: YAML reads yes as true, and 1 as a number."""
    if isinstance(said, bool):
        return {"true", "yes", "on", "1"} if said else {"false", "no", "off", "0"}
    if isinstance(said, float) and said.is_integer():
        return {str(said), str(int(said))}
    return {str(said).strip().casefold()}
