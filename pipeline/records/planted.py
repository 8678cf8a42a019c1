"""A planted bias: training labels of one sub-group are corrupted and test rows stay clean; what undoes it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fairshards.catalogs.cohorts.checked import Checked
from fairshards.catalogs.cohorts.schema import CohortError, Column, Schema

if TYPE_CHECKING:
    from fairshards.pipeline.recipe.records import PlantedBias

PROXY = "site"
SITES = ("A", "B")


def planted(checked: Checked, attribute: str, plant: PlantedBias) -> Checked:
    """Return the cohort with the bias in its training rows.

    With ``proxy`` a column ``site`` is added to both parts, which is "B" for that share of the group's people and "A"
    for that share of all others: a reader of the rows can tell the group even where S itself is left out.

    Raises:
        CohortError: the schema has no such group, or a column ``site`` of its own.
    """
    schema = checked.schema
    if plant.group not in schema[attribute].categories:
        known = list(schema[attribute].categories)
        raise CohortError(f"cohort.plant.group is {plant.group!r}; {attribute} has {known}")
    no, yes = schema[schema.label].categories
    generator = np.random.default_rng([plant.seed, 1])
    train = checked.train.copy()
    positive = (train[attribute] == plant.group) & (train[schema.label] == yes)
    turned = positive & (generator.random(len(train)) < plant.share)
    train.loc[turned, schema.label] = no
    if plant.proxy is None:
        return replace(checked, train=train)
    if PROXY in schema.names:
        raise CohortError(f"the cohort has a column {PROXY!r} of its own, where a proxy would be planted")
    parts = [_with_site(part, attribute, plant, generator) for part in (train, checked.test)]
    column = Column(PROXY, "category", categories=SITES, meaning="Planted: it stands in for the protected attribute.")
    columns = (*schema.columns[:-1], column, schema.columns[-1])
    wider = Schema(schema.name, columns, schema.label, schema.protected, schema.rules, schema.source, schema.notes)
    return replace(checked, schema=wider, train=parts[0][wider.names], test=parts[1][wider.names])


def _with_site(rows: pd.DataFrame, attribute: str, plant: PlantedBias, generator: np.random.Generator) -> pd.DataFrame:
    right = generator.random(len(rows)) < (plant.proxy or 0.0)
    in_group = (rows[attribute] == plant.group).to_numpy()
    return rows.assign(**{PROXY: np.where(in_group == right, SITES[1], SITES[0])})
