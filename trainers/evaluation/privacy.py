"""What a synthetic cohort gives away of its training patients: copies, nearness, and a membership attack.

Every number is held against patients that the generator never saw: near is what is nearer to training patients than to
those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fairshards.generators.tables.record_space import RecordSpace, nearest


@dataclass(frozen=True)
class Privacy:
    """The measures.

    Attributes:
        copies: Synthetic rows that equal a training row in every column.
        train_copies, held_out_copies: The same of equally many training and unseen patients; the latter is chance.
        nearest_train, nearest_held_out: Medians of the distance to the nearest patient of equally many of either kind.
        memorisation: The share of synthetic rows that are nearer to a training patient than to an unseen one, minus
            0.5: 0 is none, 0.5 all. Ties count half.
        membership_auc: The AUROC with which nearness to the synthetic rows tells training patients from unseen ones.
    """

    copies: int
    train_copies: int
    held_out_copies: int
    nearest_train: float
    nearest_held_out: float
    memorisation: float
    membership_auc: float
    n: int


def privacy(
    space: RecordSpace, train: pd.DataFrame, held_out: pd.DataFrame, synthetic: pd.DataFrame, seed: int = 0
) -> Privacy:
    """Return the measures; training and unseen patients are cut to one number."""
    generator = np.random.default_rng(seed)
    n = min(len(train), len(held_out))
    drawn = [rows.iloc[generator.choice(len(rows), n, replace=False)] for rows in (train, held_out)]
    parts = [space.points(rows) for rows in drawn]
    made = space.points(synthetic)
    to_train, to_held_out = (nearest(made, part, space.columns) for part in parts)
    near = np.mean((to_train < to_held_out) + 0.5 * (to_train == to_held_out)) - 0.5
    closeness = np.concatenate([-nearest(part, made, space.columns) for part in parts])
    member = np.repeat([1, 0], n)
    some, unseen = (_copies(synthetic, rows) for rows in drawn)
    return Privacy(
        _copies(synthetic, train),
        some,
        unseen,
        float(np.median(to_train)),
        float(np.median(to_held_out)),
        float(near),
        float(roc_auc_score(member, closeness)),
        len(synthetic),
    )


def _copies(rows: pd.DataFrame, others: pd.DataFrame) -> int:
    return int(
        pd.util.hash_pandas_object(_plain(rows), index=False)
        .isin(pd.util.hash_pandas_object(_plain(others), index=False))
        .sum()
    )


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows as strings; 3 and 3.0 are one number, as are 0 and -0."""
    found = {
        name: values.astype("Float64") + 0.0 if pd.api.types.is_numeric_dtype(values) else values
        for name, values in rows.items()
    }
    return pd.DataFrame(
        {name: values.astype(object).where(values.notna(), None).astype(str) for name, values in found.items()}
    )
