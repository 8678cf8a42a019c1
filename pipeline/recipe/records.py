"""The recipe of health records (``kind: ehr``): a cohort, a Bt-GAN, filters, quotas by sub-group, an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.tables.settings import ColumnSetting, TableSettings, Word
from fairshards.families import COHORT_READERS
from fairshards.filters.registry import ROW_FILTERS
from fairshards.pipeline.recipe.base import RecipeBase, filter_problems
from fairshards.pipeline.recipe.options import OptionsByName, options_beside
from fairshards.pipeline.recipe.strict import Strict, check_fields, field_problems
from fairshards.plugins import PluginError
from fairshards.trainers.core.index import Group
from fairshards.trainers.tables.settings import BtGanSettings

IN_MODEL = ("attribute", "constraint", "lam", "device")
"""Fields of BtGanSettings that have keys of their own."""
TABLE_ONLY = ("event", "categories", "columns", "missing", "censored", "encoding")
"""Fields of the cohort that no reader with a schema of its own has a use for."""


class PlantedBias(Strict):
    """Training labels of one sub-group are turned from yes to no; test rows stay as they are."""

    group: str = Field(description="The value of S whose positives are corrupted.")
    share: float = Field(gt=0, le=1, description="The share of them that is turned.")
    proxy: float | None = Field(
        None, gt=0.5, le=1, description="S is hidden, and a column `site` stands in for it in this share of rows."
    )
    seed: int = Field(0, ge=0)


class CohortSource(Strict):
    """Where the cohort comes from, and how it is used."""

    model_config = ConfigDict(json_schema_extra=options_beside(COHORT_READERS, "reader", "options"))

    reader: str = Field(
        description="support2, mimic3, adult, compas; parquet: a file that fairshards wrote, with its schema; table: "
        "any CSV or Parquet file; or a reader of your own, by its dotted path."
    )
    options: Mapping[str, Any] = Field(default_factory=dict, description="Fields of a reader of your own.")
    path: str | None = Field(None, description="The dataset's folder or file; support2 ships with fairshards.")
    attribute: str = Field(description="The protected attribute S, e.g. race.")
    label: str | None = Field(None, description="Reader table: the label's column, of two values.")
    event: Word | None = Field(None, description="Reader table: the label's value that is the event, e.g. Died.")
    categories: tuple[str, ...] = Field((), description="Reader table: columns of numbers that are categories.")
    columns: Mapping[str, ColumnSetting] = Field(
        default_factory=dict, description="Reader table: what single columns are, where it takes them for another."
    )
    missing: tuple[Word, ...] = Field((), description="Reader table: further spellings of missing, e.g. -9.")
    censored: Literal["bound", "missing"] = Field("bound", description="Reader table: what <0.1 among numbers becomes.")
    encoding: str | None = Field(None, description="Reader table: of a CSV that is neither UTF-8 nor UTF-16.")
    patient: str | None = Field(
        None, description="The column that says whose row it is: no patient is in both train and test; no feature."
    )
    leave_out: tuple[str, ...] = Field((), description="Columns that are not used.")
    leave_values: tuple[str, ...] = Field((), description="Values of S whose people are left out.")
    smallest_group: int = Field(5, ge=1, description="Training rows that each (y, s) must have.")
    test_share: float = Field(0.3, gt=0, lt=1, description="Share of test rows, where the cohort has no split.")
    split_seed: int = Field(0, ge=0)
    plant: PlantedBias | None = Field(None, description="A bias planted in training rows, to measure what undoes it.")

    @model_validator(mode="after")
    def _somewhere(self) -> CohortSource:
        if self.reader != "table":
            _check_reader(self.reader, self.options)
        elif self.options:
            raise ValueError("cohort.options is of readers of your own; table has keys beside it")
        if self.path is None and self.reader in COHORT_READERS.built_in and self.reader != "support2":
            raise ValueError(f"cohort.path is missing: name the folder or file of {self.reader}")
        if (self.reader == "table") != (self.label is not None):
            raise ValueError("cohort.label names the label's column of reader table, and of no other")
        given = [name for name in TABLE_ONLY if getattr(self, name) not in (None, (), {}, "bound")]
        if given and self.reader != "table":
            raise ValueError(f"cohort.{given[0]} is of reader table; {self.reader} has a schema of its own")
        return self

    @property
    def table(self) -> TableSettings:
        """How reader table reads."""
        return TableSettings(
            self.label or "",
            (self.attribute,),
            self.categories,
            self.leave_out,
            self.event,
            self.patient,
            self.missing,
            self.censored,
            self.encoding,
            self.columns,
        )


def _check_reader(name: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError where a cohort has no such reader, or the reader no such options."""
    try:
        check_fields(COHORT_READERS[name], options, "cohort.options", complete=True)
    except PluginError as error:
        raise ValueError(f"cohort.reader is {error}") from None


class Model(Strict):
    """The Bt-GAN: fields of trainers.BtGanSettings that differ from their defaults."""

    constraint: Literal["none", "parity", "odds"] = "none"
    lam: float = Field(0.0, ge=0, description="lambda, the weight of the information constraint.")
    settings: Mapping[str, Any] = Field(default_factory=dict, description="Further fields of trainers.BtGanSettings.")
    device: Literal["cpu", "cuda"] = "cpu"


class RowQuota(Strict):
    """How many rows to keep per (y, s) sub-group."""

    rows: int | None = Field(None, ge=2, description="Rows in all. Default: as many as training rows.")
    groups: Literal["constrained", "real", "balanced"] = Field(
        "constrained", description="Their shares: as the constraint asks, as in training, or equal."
    )
    surplus: float = Field(0.2, ge=0, le=100, description="Share made beyond the quota in the first round.")
    max_rounds: int = Field(4, ge=1)
    shard_size: int = Field(500, ge=1, description="Rows a raw shard, of one sub-group.")
    curated_shard_size: int = Field(5000, ge=1)


class Evaluation(Strict):
    """What the synthetic cohort is held against."""

    bootstrap: int = Field(200, ge=0, description="Resamples behind an interval; 0: none.")
    fewest: int = Field(20, ge=1, description="Rows of a class that a sub-group needs for its rates to be compared.")


class EhrRecipe(RecipeBase):
    """Everything a run over health records needs."""

    KIND: ClassVar[str] = "ehr"

    kind: Literal["ehr"]
    cohort: CohortSource
    model: Model = Field(default_factory=lambda: Model.model_validate({}))
    quota: RowQuota = Field(default_factory=lambda: RowQuota.model_validate({}))
    filters: Annotated[Mapping[str, Mapping[str, Any]], OptionsByName(ROW_FILTERS)] = Field(default_factory=dict)
    webdataset: bool = Field(False, description="Also write curated rows as WebDataset tars.")
    evaluation: Evaluation = Field(default_factory=lambda: Evaluation.model_validate({}))

    @model_validator(mode="after")
    def _consistent(self) -> EhrRecipe:
        problems = list(filter_problems(self.filters, ROW_FILTERS))
        wrong = list(field_problems(BtGanSettings, self.model.settings, "model.settings", IN_MODEL))
        try:
            _ = wrong or self.settings
        except ValueError as error:
            wrong = [f"model: {error}"]
        problems += wrong
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def settings(self) -> BtGanSettings:
        """What the Bt-GAN is trained with."""
        model = self.model
        given = {"seed": self.seed, **model.settings}
        return BtGanSettings(self.cohort.attribute, model.constraint, model.lam, device=model.device, **given)


@dataclass(frozen=True)
class RowGroups:
    """An EHR recipe with what the cohort says of its groups: what rounds of synthesis plan by."""

    recipe: EhrRecipe
    schema: Schema
    attribute: str
    classes: tuple[str, ...]
    values: tuple[str, ...]
    groups: list[Group]

    @property
    def quota(self) -> RowQuota:
        """The rounds' settings."""
        return self.recipe.quota

    @property
    def filters(self) -> Mapping[str, Mapping[str, Any]]:
        """The recipe's."""
        return self.recipe.filters

    def class_name(self, y: int) -> str:
        """Return "<label>=<value>"."""
        return self.schema.class_name(self.classes[y])

    def bias_name(self, s: int) -> str:
        """Return the value of the protected attribute."""
        return self.values[s]

    def group_name(self, y: int, b: int) -> str:
        """Return "<label>=<value>|<value of s>"."""
        return self.schema.group_name(self.classes[y], self.values[b])
