"""Others' generators of tables: CTGAN, TVAE and a Gaussian copula (PyPI ``ctgan``, ``copulas``), asked as ours is.

They know no missing numbers, so a number gets its median where it is missing and a category of its own says so; drawn
rows get their nulls back by that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fairshards.catalogs.cohorts.schema import Schema

FLAG, NONE = "?missing", "(missing)"
Draw = Callable[[int], pd.DataFrame]


def plain(schema: Schema, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return rows without nulls, and which columns are categories."""
    found: dict[str, Any] = {}
    categories = []
    for column in schema.columns:
        values = rows[column.name]
        if column.kind == "category":
            found[column.name] = values.fillna(NONE).astype(str)
            categories.append(column.name)
            continue
        numbers = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        found[column.name] = np.where(np.isnan(numbers), np.nanmedian(numbers), numbers)
        if np.isnan(numbers).any():
            found[column.name + FLAG] = np.where(np.isnan(numbers), "yes", "no")
            categories.append(column.name + FLAG)
    return pd.DataFrame(found), categories


def restored(schema: Schema, rows: pd.DataFrame) -> pd.DataFrame:
    """Return drawn rows as the schema has them: nulls, whole numbers, precision."""
    found: dict[str, Any] = {}
    for column in schema.columns:
        values = rows[column.name]
        if column.kind == "category":
            found[column.name] = values.astype(object).where(values != NONE, None)
            continue
        numbers = pd.to_numeric(values).round(column.decimals)
        if column.name + FLAG in rows:
            numbers = numbers.mask(rows[column.name + FLAG] == "yes")
        found[column.name] = numbers.astype("Int64") if column.kind == "integer" else numbers.astype("float64")
    return pd.DataFrame(found)


def _ctgan(schema: Schema, rows: pd.DataFrame, seed: int, kind: str, epochs: int) -> Draw:
    import ctgan
    import torch

    table, categories = plain(schema, rows)
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = getattr(ctgan, kind)(epochs=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table, categories)
    return lambda count: restored(schema, model.sample(count))


def _copula(schema: Schema, rows: pd.DataFrame, seed: int) -> Draw:
    """A Gaussian copula over the columns' own quantiles; categories are cut at their shares, in the schema's order."""
    from scipy.stats import norm

    table, categories = plain(schema, rows)
    generator = np.random.default_rng(seed)
    levels, scores = {}, {}
    for name in table:
        if name in categories:
            levels[name] = sorted(table[name].unique())
            codes = table[name].map({value: number for number, value in enumerate(levels[name])}).to_numpy()
        else:
            codes = table[name].to_numpy()
        values, counts = np.unique(codes, return_counts=True)
        edges = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
        place = np.searchsorted(values, codes)
        inside = edges[place] + generator.random(len(codes)) * (edges[place + 1] - edges[place])
        scores[name] = norm.ppf(np.clip(inside, 1e-6, 1 - 1e-6))
        levels[name] = (values, edges, levels.get(name))
    cholesky = np.linalg.cholesky(np.corrcoef(np.stack(list(scores.values()))) + 1e-6 * np.eye(len(scores)))

    def draw(count: int) -> pd.DataFrame:
        drawn = norm.cdf(cholesky @ generator.standard_normal((len(scores), count)))
        found = {}
        for name, quantile in zip(scores, drawn, strict=True):
            values, edges, named = levels[name]
            place = np.clip(np.searchsorted(edges, quantile, side="right") - 1, 0, len(values) - 1)
            found[name] = values[place] if named is None else np.array(named, object)[values[place].astype(int)]
        return restored(schema, pd.DataFrame(found))

    return draw


PEERS: dict[str, Callable[[Schema, pd.DataFrame, int], Draw]] = {
    "ctgan": lambda schema, rows, seed: _ctgan(schema, rows, seed, "CTGAN", 300),
    "tvae": lambda schema, rows, seed: _ctgan(schema, rows, seed, "TVAE", 300),
    "copula": _copula,
}
"""By name: trained on rows, it returns what draws rows. CTGAN and TVAE get their default of 300 epochs."""
