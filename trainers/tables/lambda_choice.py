"""Which lambda to take, from biased rows alone: the least information at hardly less utility. No clean label is used.

Utility is the AUROC within groups of S, on held-out rows with the labels as they are, of a learner trained on each
generator's rows; it may be at most ``loss`` below that of lambda = 0. Within groups, because a biased label rewards who
tells the groups apart: over all rows the constraint would be charged for the very bias that it undoes.

Information is I(Yhat; S) or I(Yhat; S | Y) of that learner on real rows. Where labels themselves are suspect the former
is the one to ask: given a corrupted Y, a fair prediction does depend on S.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.evaluation.cohort_learners import Learner, labels, predict, train
from fairshards.trainers.evaluation.fairness import at_rate
from fairshards.trainers.tables.joint_shares import information, joint_shares

LOSS, HELD_OUT = 0.02, 0.2


@dataclass(frozen=True)
class Candidate:
    """What was measured of a lambda: ``auroc`` within groups on held-out rows, informations in nats on real rows."""

    lam: float
    auroc: float
    information: float
    information_given_y: float


def measure(
    lam: float,
    learner: Learner,
    schema: Schema,
    columns: Sequence[str],
    attribute: str,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    real: pd.DataFrame,
) -> Candidate:
    """Return what a generator's rows are worth: a learner is trained on them and asked of real rows.

    Args:
        held_out: Rows that the generator didn't see, for utility.
        real: Rows for the informations; those that it saw are of use too, since the learner saw none.
    """
    model = train(learner, schema, synthetic, columns)
    scores = predict(model, schema, held_out, columns)
    area = auroc_within(labels(schema, held_out), scores, held_out[attribute].to_numpy(object))
    return Candidate(lam, area, *informations(model, schema, columns, attribute, real))


def auroc_within(y: NDArray[np.int64], scores: NDArray[np.float64], s: NDArray[Any]) -> float:
    """Return the share of (y = 1, y = 0) pairs of one group that the scores order right; ties count half.

    NaN where no group has both labels. All arrays have n rows; ``s`` are groups' names or numbers.
    """
    right, pairs = 0.0, 0
    for group in np.unique(s):
        rows = s == group
        some = int(y[rows].sum()) * int((1 - y[rows]).sum())
        if some:
            right += some * float(roc_auc_score(y[rows], scores[rows]))
            pairs += some
    return right / pairs if pairs else float("nan")


def averaged(candidates: Sequence[Candidate]) -> Candidate:
    """Return the mean of one lambda's candidates, of several seeds."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in candidates]))

    return Candidate(candidates[0].lam, mean("auroc"), mean("information"), mean("information_given_y"))


def hold_out(
    rows: pd.DataFrame, seed: int | Sequence[int], people: pd.Series | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return four fifths of the rows to train generators on, and the fifth that none sees, drawn by ``seed``.

    ``people`` says whose row each is, where one has several: then a fifth of the people is held out.
    """
    if people is not None:
        drawn = np.random.default_rng(seed).permutation(people.unique())
        out = people.isin(drawn[: round(HELD_OUT * len(drawn))]).to_numpy(bool)
        return rows[~out].reset_index(drop=True), rows[out].reset_index(drop=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = round(HELD_OUT * len(order))
    kept, held_out = (rows.iloc[part].reset_index(drop=True) for part in (order[cut:], order[:cut]))
    return kept, held_out


def informations(
    model: Any, schema: Schema, columns: Sequence[str], attribute: str, rows: pd.DataFrame
) -> tuple[float, float]:
    """Return I(Yhat; S) and I(Yhat; S | Y) in nats; Yhat calls as many rows positive as there are."""
    y = labels(schema, rows)
    predicted = at_rate(predict(model, schema, rows, columns), float(y.mean()))
    values = schema[attribute].categories
    s = rows[attribute].map({value: number for number, value in enumerate(values)}).to_numpy(np.int64)

    def told(rows: NDArray[np.bool_]) -> float:
        return information(joint_shares(predicted[rows], s[rows], 2, len(values)))

    given = sum(float((y == value).mean()) * told(y == value) for value in (0, 1) if (y == value).any())
    return told(np.ones(len(y), bool)), given


def choose(candidates: Sequence[Candidate], given_y: bool = False, loss: float = LOSS) -> Candidate:
    """Return the candidate with the least information whose AUROC is at most ``loss`` below that of lambda 0.

    Raises:
        TrainerError: lambda 0, which utility is held against, isn't among them.
    """
    base = next((one for one in candidates if one.lam == 0), None)
    if base is None:
        raise TrainerError(f"candidates are {[one.lam for one in candidates]}; 0 is needed, to hold utility against")
    useful = [one for one in candidates if one.auroc >= base.auroc - loss]
    return min(useful, key=lambda one: one.information_given_y if given_y else one.information)
