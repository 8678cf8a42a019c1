"""How like the real cohort a synthetic one is: columns, correlations, sub-groups, and whether a learner can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.generators.tables.encoding import MISSING
from fairshards.trainers.evaluation.cohort_learners import features, model_of, without_empty


def column_distances(schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """Return, by column, ("ks", D) of a number's known values, or ("jsd", divergence in bits) of a category's shares,
    missing among them; both in [0, 1].
    """
    found: dict[str, tuple[str, float]] = {}
    for column in schema.columns:
        left, right = real[column.name], synthetic[column.name]
        if column.kind == "category":
            found[column.name] = "jsd", _jsd(left.fillna(MISSING), right.fillna(MISSING))
        else:
            left, right = left.dropna(), right.dropna()
            empty = float(len(left) != len(right)) if min(len(left), len(right)) == 0 else None
            found[column.name] = (
                "ks",
                empty
                if empty is not None
                else float(ks_2samp(left.astype(float), right.astype(float), method="asymp").statistic),
            )
    return found


def missing_differences(schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, float]:
    """Return, by column that misses values anywhere, synthetic minus real share of missing ones."""
    return {
        name: float(synthetic[name].isna().mean() - real[name].isna().mean())
        for name in schema.names
        if real[name].isna().any() or synthetic[name].isna().any()
    }


def correlations(schema: Schema, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return Pearson correlations of numbers and of every category's indicator; a constant's are NaN."""
    table = features(schema, rows, schema.names)
    numbers = [table[column.name] for column in schema.columns if column.kind != "category"]
    indicators = [
        (table[column.name] == number).astype(float)
        for column in schema.columns
        for number in range(len(column.categories))
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = pd.concat([*numbers, *indicators], axis=1).corr().to_numpy()
    return found


def correlation_difference(schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame) -> float:
    """Return the mean absolute difference of all pairs' correlations, in [0, 2]."""
    left, right = correlations(schema, real), correlations(schema, synthetic)
    right = np.where(np.isfinite(left), np.nan_to_num(right), right)  # a column that collapsed correlates with nothing
    above = np.triu_indices(len(left), 1)
    return float(np.nanmean(np.abs(left - right)[above]))


def group_shares(schema: Schema, attribute: str, rows: pd.DataFrame) -> pd.Series:
    """Return the share of every (y, s) of the schema; 0 where there is none."""
    every = pd.MultiIndex.from_product([schema[schema.label].categories, schema[attribute].categories])
    return rows.groupby([schema.label, attribute]).size().reindex(every, fill_value=0) / len(rows)


def subgroups(schema: Schema, attribute: str, real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, float]:
    """Return the JSD of p(s, y) and the smallest ratio of a sub-group's synthetic to its real share."""
    left, right = group_shares(schema, attribute, real), group_shares(schema, attribute, synthetic)
    there = left > 0
    return {
        "subgroup_jsd": float(jensenshannon(left, right, base=2) ** 2),
        "smallest_subgroup_ratio": float((right[there] / left[there]).min()),
    }


def discriminative(
    schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame, seed: int = 0
) -> tuple[float, float, int]:
    """Return |accuracy - 0.5| and the AUROC of gradient boosting that tells real from synthetic, and of how many rows.

    Both kinds are cut to one size; 70% train, 30% are asked. ``real`` are people that the generator never saw.
    """
    n = min(len(real), len(synthetic))
    generator = np.random.default_rng(seed)
    parts = [rows.iloc[generator.choice(len(rows), n, replace=False)] for rows in (real, synthetic)]
    x = pd.concat([features(schema, part, schema.names) for part in parts], ignore_index=True)
    y = np.repeat([0, 1], n)
    order = generator.permutation(2 * n)
    cut = round(1.4 * n)
    model = model_of("gradient boosting", schema, schema.names, seed)
    model.fit(without_empty(x.iloc[order[:cut]]), y[order[:cut]])
    asked = order[cut:]
    told = model.predict_proba(x.iloc[asked])[:, 1]
    accuracy = float(((told > 0.5) == y[asked]).mean())
    return abs(accuracy - 0.5), float(roc_auc_score(y[asked], told)), len(asked)


def _jsd(left: pd.Series, right: pd.Series) -> float:
    values = sorted({*left.unique(), *right.unique()})
    shares = [rows.value_counts(normalize=True).reindex(values, fill_value=0.0) for rows in (left, right)]
    return float(jensenshannon(*shares, base=2) ** 2)
